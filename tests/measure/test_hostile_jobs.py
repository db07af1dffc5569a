"""Jobs that no plan makes, and servers that do not do what they should: the probe refuses or outlasts them."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dnslab.errors import ProbeFailed
from dnslab.measure.probe import find_probe
from dnslab.measure.probe.job import Job, encode, wire_query
from dnslab.store import stream as records
from tests.fuzz import jobs
from tests.measure.test_probe import talk
from tests.nameserver import nameserver

pytestmark = pytest.mark.probe

QUERY = wire_query("a.any.cluster.local.", "A")
PAIR = (QUERY, wire_query("a.any.cluster.local.", "AAAA"))
WIRE = Job(
    entries=(QUERY,), engine="wire", workers=1, duration_s=0.3, deadline_s=0.5, hard_deadline_s=5.0,
    nameserver=("127.0.0.1", 1),
)  # fmt: skip


@pytest.fixture(scope="module")
def program() -> Path:
    """The probe under address and undefined-behaviour sanitizers."""
    return jobs.program("glibc")


@pytest.mark.parametrize(
    ("job", "values", "says"),
    [
        # The name's first label says that it is longer than the entry: its type would be read from beyond.
        (dataclasses.replace(WIRE, entries=(bytes(12) + b"\x05" + bytes(5),)), {}, "no DNS query"),
        (dataclasses.replace(WIRE, entries=(QUERY[:-1],)), {}, "no DNS query"),
        (dataclasses.replace(WIRE, entries=(bytes(600),)), {}, "no DNS query"),
        # Arrivals without a gap: the schedule stands still, and no load ever ends.
        (dataclasses.replace(WIRE, loop="fixed", rate_per_s=1.0), {"rate_per_1000s": 2**62}, "1,000,000 arrivals"),
        # More in flight than a socket has places: the loop that fills them never ends.
        (dataclasses.replace(WIRE, mode="sticky"), {"outstanding": 2**32 - 1}, "4,096 queries"),
        (dataclasses.replace(WIRE, mode="sticky", workers=20_000), {"outstanding": 4_096}, "too many queries"),
        # Sums of times that come round to zero.
        (WIRE, {"warmup_ns": 2**64 - 1, "duration_ns": 2}, "36 years"),
        (WIRE, {"deadline_ns": 2**64 - 1}, "36 years"),
        (WIRE, {"hard_deadline_ns": (2**32 - 1) * 10**9}, "36 years"),
        (WIRE, {"nameserver_family": 7}, "needs a nameserver"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused(program: Path, job: Job, values: Any, says: str) -> None:
    with pytest.raises(ProbeFailed, match=says):
        talk(jobs.with_fields(encode(job), **values), program)


@pytest.mark.parametrize("mode", ["fresh", "sticky"])
def test_a_closed_loop_of_sockets_that_fail_at_once_ends_in_time(program: Path, mode: str) -> None:
    """Each fresh one was free again at once, and filling them had no end; those that are kept left no record."""
    # No socket connects to this address without asking for it.
    job = dataclasses.replace(WIRE, mode=mode, nameserver=("255.255.255.255", 53))
    rows, trailer, _ = talk(job, program)
    assert trailer.status == "complete"
    assert set(rows["outcome"]) == {records.OUTCOME_SOCKET}
    assert trailer.elapsed_ns < 2_000_000_000


def test_all_that_waited_for_a_connection_is_sent(program: Path) -> None:
    """Only the first 32 were; the others were recorded as not answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as first:
        first.connect(server.getsockname())  # the queue is full: the next connection waits for a second try, 1 s later

        def accept() -> None:
            time.sleep(0.5)
            server.accept()[0].close()
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as stream:
                while size := stream.read(2):
                    query = stream.read(int.from_bytes(size))
                    connection.sendall(size + query[:2] + b"\x85\x80" + query[4:])

        thread = threading.Thread(target=accept)
        thread.start()
        job = dataclasses.replace(
            WIRE, transport="tcp", mode="sticky", loop="fixed", rate_per_s=1000.0, duration_s=0.2, deadline_s=4.0,
            hard_deadline_s=9.0, nameserver=("127.0.0.1", server.getsockname()[1]),
        )  # fmt: skip
        rows, _, _ = talk(job, program)
        thread.join()
    assert len(rows) == 199
    assert set(rows["outcome"]) == {0}
    assert (rows["end_ns"] - rows["start_ns"]).min() > 500_000_000  # they began with the connection


def test_half_a_pair_that_finds_a_place_is_sent(program: Path) -> None:
    """On a socket with one place left the A was recorded as unanswered since the load's start, and never sent."""
    with nameserver(lambda rdtype, port, seen: rdtype == 1) as server:
        job = dataclasses.replace(
            WIRE, entries=PAIR, arrangement="pair-one-socket", mode="sticky", loop="fixed", rate_per_s=1000.0,
            deadline_s=2.0, nameserver=("127.0.0.1", server.port),
        )  # fmt: skip
        rows, _, _ = talk(job, program)
    assert Counter(rows["outcome"])[records.OUTCOME_NOT_STARTED] > 0
    assert (rows["start_ns"] >= rows["intended_ns"]).all()


STEPPED = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	static time_t first;
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int error = real(which, now);
	if (which == CLOCK_REALTIME && !first)
		first = now->tv_sec;
	if (which == CLOCK_REALTIME && now->tv_sec >= first + 1)
		now->tv_sec += STEP_S;
	return error;
}
"""


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_wall_clock_that_is_set_makes_no_latency(tmp_path: Path, step_s: int) -> None:
    """Kernel stamps are of the wall clock: answers came an hour late, or an hour before their query."""
    library, program = tmp_path / "stepped.so", tmp_path / "probe"
    command = ["cc", "-shared", "-fPIC", f"-DSTEP_S=({step_s})", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=STEPPED, text=True, check=True)
    program.write_text(f"#!/bin/sh\nLD_PRELOAD={library} exec {find_probe('glibc')}\n")
    program.chmod(0o755)
    with nameserver() as server:
        job = dataclasses.replace(
            WIRE,
            loop="fixed",
            rate_per_s=100.0,
            duration_s=2.5,
            hard_deadline_s=9.0,
            nameserver=("127.0.0.1", server.port),
        )
        rows, _, _ = talk(job, program)
    assert len(rows) == 249
    took_ns = rows["end_ns"].astype("i8") - rows["start_ns"].astype("i8")
    assert 0 <= took_ns.min() <= took_ns.max() < 500_000_000
