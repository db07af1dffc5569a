"""Source ports of engine wire: as the nameserver saw them, of probes one after another, side by side, and later.

Later is made by the kernel: a process in a time namespace of its own has another monotonic clock (time_namespaces(7)).
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dnslab.errors import ProbeFailed
from dnslab.measure.conversation import Conversation
from dnslab.measure.probe import find_probe
from dnslab.measure.probe.job import Job, encode, wire_query
from dnslab.measure.process import ProcessChannel
from dnslab.measure.protocol import Channel
from dnslab.plan.flows import PORT_PERIOD_S, PORT_RANGE_FILE, PORT_REST_S, count_ports, wire_rate_per_s
from tests.measure.test_probe import talk_over
from tests.nameserver import Nameserver, nameserver

JOB = Job(
    entries=tuple(wire_query("a.any.cluster.local.", rdtype) for rdtype in ("A", "AAAA")),
    workers=1,
    duration_s=1.0,
    deadline_s=1.0,
    hard_deadline_s=20.0,
    engine="wire",
    loop="poisson",
    rate_per_s=40.0,
    arrangement="pair-one-socket",
    ports="shared",
    n_port_lanes=1,
)
RANGE = Path(PORT_RANGE_FILE).read_text(encoding="ascii")
FIRST_PORT, N_PORTS = int(RANGE.split()[0]), count_ports(RANGE)
AHEAD_AT_START_S = 2
#: a network namespace with few ports, in which nothing answers
NARROW = "ip link set lo up && echo 40000 {last} >" + PORT_RANGE_FILE + ' && exec "$0"'


def started(job: Job | bytes, *enter: str) -> Channel:
    channel = ProcessChannel([*enter, str(find_probe("glibc"))])
    channel.write(job if isinstance(job, bytes) else encode(job))
    return channel


def ports_of(job: Job, *enter: str) -> set[int]:
    """The ports that a probe used, each for one pair."""
    rows, _, _ = talk_over(lambda data: started(job, *enter), job)
    used = Counter(int(row["worker"]) & 0xFFFF for row in rows)
    assert len(used) > 20
    assert set(used.values()) == {2}
    return set(used)


def asking(server: Nameserver, **changes: object) -> Job:
    return replace(JOB, nameserver=("127.0.0.1", server.port), **changes)  # type: ignore[arg-type]


def test_no_port_comes_again_from_probes_side_by_side_and_one_after_another() -> None:
    with nameserver() as server, ThreadPoolExecutor(2) as pool:
        for seed in (1, 2):
            jobs = [asking(server, port_lane=lane, n_port_lanes=2, seed=10 * lane + seed) for lane in (0, 1)]
            list(pool.map(ports_of, jobs))
    seen = Counter(port for _, _, port in server.queries)
    assert len(seen) > 4 * 20
    assert set(seen.values()) == {2}  # A and AAAA
    assert all(FIRST_PORT <= port < FIRST_PORT + N_PORTS for port in seen)


def later(seconds: int) -> tuple[str, ...]:
    return "unshare", "--time", f"--monotonic={seconds}", "--fork", "--kill-child"


@pytest.mark.parametrize("seconds", [20, 100, PORT_REST_S - 4])
def test_no_port_comes_again_within_its_rest(seconds: int) -> None:
    with nameserver() as server:
        assert not ports_of(asking(server)) & ports_of(asking(server, seed=1), *later(seconds))


@pytest.mark.parametrize("n_lanes", [1, 2])
def test_at_the_rate_that_is_said_to_fit_every_arrival_has_a_port(n_lanes: int) -> None:
    per_s = wire_rate_per_s(1.0, n_lanes, N_PORTS)
    with nameserver() as server:
        job = asking(server, rate_per_s=per_s, n_port_lanes=n_lanes, seed=3)
        rows, _, _ = talk_over(started, job)
    assert len(rows) > per_s
    assert set(rows["outcome"]) == {0}


def test_ports_come_again_after_their_period() -> None:
    """The walk is by the clock alone, so a later run that knows nothing of this one spares its ports."""
    with nameserver() as server:
        began_s = time.monotonic()
        first = ports_of(asking(server))
        since_s = round(time.monotonic() - began_s)
        assert first & ports_of(asking(server, seed=1), *later(PORT_PERIOD_S - since_s))


def test_ports_that_others_have_open_are_passed_by() -> None:
    with nameserver() as server, contextlib.ExitStack() as others:
        place = int((time.monotonic() + AHEAD_AT_START_S) % PORT_PERIOD_S * N_PORTS / PORT_PERIOD_S)
        taken = set()
        for ahead in range(0, N_PORTS * 2 // PORT_PERIOD_S, 2):  # every second port of the next 2 s
            other = others.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):
                other.bind(("", FIRST_PORT + (place + ahead) % N_PORTS))
                taken.add(other.getsockname()[1])
        used = ports_of(asking(server))
    assert len(taken) > 100
    assert not used & taken
    assert min(taken) < max(used) or max(taken) > min(used)


@pytest.mark.parametrize(("ports", "fits"), [("shared", 5), ("own", 995)])
def test_ports_that_do_not_suffice_are_refused_with_the_rate_that_fits(ports: str, fits: int) -> None:
    job = replace(JOB, nameserver=("127.0.0.1", 53), ports=ports, rate_per_s=fits + 2.0)
    enter = ("unshare", "-Urn", "sh", "-c", NARROW.format(last=40_994))
    with contextlib.closing(started(job, *enter)) as channel, pytest.raises(ProbeFailed) as refused:
        Conversation(channel, lambda data: None).ready()
    assert f"995 source ports, of which none is used again within 180 s, do not suffice: at most {fits}" in str(
        refused.value
    )


def test_a_probe_with_an_address_of_its_own_goes_through_all_ports_once() -> None:
    job = replace(JOB, nameserver=("127.0.0.1", 53), ports="own", rate_per_s=60.0, loop="fixed", deadline_s=0.05)
    used = ports_of(job, "unshare", "-Urn", "sh", "-c", NARROW.format(last=40_059))
    assert used <= set(range(40_000, 40_060))
    assert len(used) == 60


def test_without_an_order_of_its_own_the_kernel_draws_ports() -> None:
    """The witness to the others: random ports of as many sockets do come again."""
    enter = ("unshare", "-Urn", "sh", "-c", NARROW.format(last=40_059))
    job = replace(JOB, nameserver=("127.0.0.1", 53), ports="kernel", rate_per_s=60.0, loop="fixed", deadline_s=0.05)
    rows, _, _ = talk_over(lambda data: started(job, *enter), job)
    assert max(Counter(int(row["worker"]) & 0xFFFF for row in rows).values()) > 2


def test_a_job_cannot_ask_for_ports_in_a_closed_loop() -> None:
    job = replace(JOB, nameserver=("127.0.0.1", 53), loop="closed", rate_per_s=0.0)
    result = subprocess.run([str(find_probe("glibc"))], input=encode(job), capture_output=True, timeout=10, check=False)
    assert b"asks for source ports in a way" in result.stdout
