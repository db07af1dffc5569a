"""The probe itself: real programs, a real nameserver on loopback, the whole conversation."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import time
import zlib
from collections import Counter
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnslab.analyse.lookups import RECORD
from dnslab.errors import ProbeFailed
from dnslab.measure.conversation import Conversation
from dnslab.measure.lab.namespaces import Namespaces
from dnslab.measure.probe import find_probe
from dnslab.measure.probe.job import Job, ResolverPatch, encode, wire_query
from dnslab.measure.process import ProcessChannel
from dnslab.measure.protocol import Channel
from dnslab.store import stream as records
from tests import PROBE
from tests.nameserver import Nameserver, nameserver

pytestmark = pytest.mark.probe

SOURCES = PROBE
NAME = b"web.any.cluster.local."
JOB = Job(entries=(NAME,), workers=4, duration_s=0.5, deadline_s=20.0, hard_deadline_s=40.0)


def patched(server: Nameserver, **changes: Any) -> ResolverPatch:
    return ResolverPatch(nameserver=("127.0.0.1", server.port), **changes)


def talk(
    job: Job | bytes, program: Path | None = None, read: Any = None
) -> tuple[Any, records.Trailer, records.Header]:
    """Records, trailer and header of one whole conversation with a child process."""

    def start(data: bytes) -> Channel:
        channel = ProcessChannel([str(program or find_probe("glibc"))])
        channel.write(data)
        return channel

    return talk_over(start, job, read)


def talk_over(
    start: Callable[[bytes], Channel], job: Job | bytes, read: Any = None
) -> tuple[Any, records.Trailer, records.Header]:
    """The same with a probe that ``start`` starts."""
    channel = start(job if isinstance(job, bytes) else encode(job))
    try:
        received: list[bytes] = []
        conversation = Conversation(channel, received.append)
        header = conversation.ready()
        clock = conversation.measure_clock()
        conversation.go(time.monotonic_ns() + clock.offset_ns + 20_000_000)
        if read:
            read(conversation)
        trailer = conversation.follow(lambda beat: None)
    finally:
        channel.close()
    decoder = records.StreamDecoder()
    blocks = [np.frombuffer(m.data, RECORD) for m in decoder.feed(b"".join(received)) if isinstance(m, records.Records)]
    return np.concatenate(blocks) if blocks else np.empty(0, RECORD), trailer, header


def build(tmp_path: Path, *flags: str, compiler: str = "cc") -> Path:
    output = tmp_path / "probe"
    sources = sorted(map(str, SOURCES.glob("*.c")))
    base = [compiler, "-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-pthread"]
    subprocess.run([*base, *flags, *sources, "-o", str(output), "-lm"], check=True)
    return output


def test_no_file_uses_one_that_uses_it(tmp_path: Path) -> None:
    """By the names that each object file defines and needs."""
    defined: dict[str, str] = {}
    needed: dict[str, set[str]] = {}
    for source in sorted(SOURCES.glob("*.c")):
        output = tmp_path / f"{source.stem}.o"
        subprocess.run(["cc", "-std=c11", "-c", str(source), "-o", str(output)], check=True)
        names = subprocess.run(["nm", "-P", str(output)], text=True, capture_output=True, check=True).stdout
        for name, kind, *_ in map(str.split, names.splitlines()):
            if kind == "U":
                needed.setdefault(source.stem, set()).add(name)
            elif kind.isupper():
                defined[name] = source.stem
    uses = {stem: {defined[name] for name in names if name in defined} for stem, names in needed.items()}
    assert {"libc", "wire"} < uses["conversation"] | uses["main"]
    assert uses["libc"] == {"util"}
    order = list(TopologicalSorter(uses).static_order())
    assert order[-2:] == ["conversation", "main"]


@pytest.mark.parametrize("libc", ["glibc", "musl", "static"])
def test_self_test_help_and_version(libc: str) -> None:
    program = find_probe(libc)
    for argument, says in (
        ("--self-test", "engine wire"),
        ("--help", "Exit status"),
        ("--version", "format version 1"),
    ):
        done = subprocess.run([program, argument], capture_output=True, text=True, check=True)
        assert says in done.stdout
    assert subprocess.run([program, "--nonsense"], capture_output=True, check=False).returncode == 2


@pytest.mark.lab
@pytest.mark.parametrize("libc", ["glibc", "musl", "static"])
def test_it_deletes_an_interface(libc: str) -> None:
    program = str(find_probe(libc))
    namespaces = Namespaces()
    try:
        namespaces.run("ip link add nodelocaldns type bridge && ip link set nodelocaldns up")
        command = namespaces.enter([program, "--delete-link", "nodelocaldns"])
        first, again = [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(2)]
        links = namespaces.run("ip -o link")
    finally:
        namespaces.close()
    assert (first.returncode, first.stderr) == (0, "")
    assert "nodelocaldns" not in links
    assert again.returncode == 1
    assert again.stderr == "probe: cannot delete interface nodelocaldns: No such device\n"


def test_closed_loop() -> None:
    with nameserver() as server:
        rows, trailer, header = talk(dataclasses.replace(JOB, patch=patched(server)))
    assert header.libc == "glibc"
    assert trailer.status == "complete"
    assert len(rows) == trailer.n_records == len(server.queries) / 2
    assert set(rows["outcome"]) == {0}
    assert set(rows["answers"]) == {0x10001}
    assert set(rows["worker"]) == {0, 1, 2, 3}
    assert (rows["end_ns"] > rows["start_ns"]).all()
    assert Counter(rdtype for _, rdtype, _ in server.queries)[28] == len(rows)


def test_the_executable_checks_itself() -> None:
    with nameserver() as server:
        _, _, header = talk(dataclasses.replace(JOB, patch=patched(server), max_lookups=1))
    data = find_probe("glibc").read_bytes()
    assert (header.executable_size, header.executable_crc) == (len(data), zlib.crc32(data))


def arrivals_ns(seed: int, rate_per_s: float, end_ns: int) -> list[int]:
    """The Poisson schedule worked out again: splitmix64 of the last arrival, exponential gap."""

    def mix(value: int) -> int:
        mask = 2**64 - 1
        value = (value + 0x9E3779B97F4A7C15) & mask
        value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & mask
        value = ((value ^ value >> 27) * 0x94D049BB133111EB) & mask
        return value ^ value >> 31

    times: list[int] = []
    last = 0
    while True:
        uniform = ((mix(seed ^ mix(last)) >> 11) + 1) * 2.0**-53
        last += 1 + int(-math.log(uniform) * 1e9 / rate_per_s)
        if last >= end_ns:
            return times
        times.append(last)


@pytest.mark.parametrize("engine", ["libc", "wire"])
def test_poisson_arrivals_are_the_schedule(engine: str) -> None:
    with nameserver() as server:
        job = dataclasses.replace(
            JOB, engine=engine, loop="poisson", rate_per_s=400.0, seed=7, workers=20, warmup_s=0.2, duration_s=0.8
        )
        if engine == "libc":
            job = dataclasses.replace(job, patch=patched(server))
        else:
            job = dataclasses.replace(
                job, entries=(wire_query("a.any.cluster.local.", "A"),), nameserver=("127.0.0.1", server.port)
            )
        rows, _, _ = talk(job)
    wanted = arrivals_ns(7, 400.0, 1_000_000_000)
    assert len(rows) == len(wanted)
    # A last-digit difference of the two logarithms may shift one gap by a nanosecond, and so all that follows.
    assert np.abs(np.sort(rows["intended_ns"]).astype(np.int64)[:20] - wanted[:20]).max() <= 20
    assert (rows["start_ns"] >= rows["intended_ns"]).all()
    warm = (rows["flags"] & records.FLAG_WARMUP) != 0
    assert warm.sum() == (rows["intended_ns"] < 200_000_000).sum() > 0


def test_fixed_arrivals() -> None:
    with nameserver() as server:
        rows, _, _ = talk(dataclasses.replace(JOB, loop="fixed", rate_per_s=100.0, patch=patched(server)))
    assert sorted(rows["intended_ns"]) == list(range(10_000_000, 500_000_000, 10_000_000))


def test_arrivals_due_while_the_probe_slept_over_the_end_are_late_not_left_out() -> None:
    def sleep_over_the_end(conversation: Conversation) -> None:
        process = conversation._channel._process  # type: ignore[attr-defined]
        time.sleep(0.3)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        process.send_signal(signal.SIGCONT)

    with nameserver() as server:
        job = dataclasses.replace(
            JOB, engine="wire", entries=(wire_query(NAME.decode(), "A"),), loop="fixed", rate_per_s=100.0,
            duration_s=0.505, nameserver=("127.0.0.1", server.port),
        )  # fmt: skip
        rows, trailer, _ = talk(job, read=sleep_over_the_end)
    assert trailer.status == "complete"
    assert len(rows) == 50
    assert (rows["start_ns"] - rows["intended_ns"]).max() > 200_000_000


def first_aaaa_lost(rdtype: int, port: int, seen: int) -> bool:
    return not (rdtype == 28 and seen < 2)


@pytest.mark.parametrize(("mode", "n_flagged"), [("fresh", 4), ("sticky", 1)])
def test_half_lost_lookups_are_flagged(mode: str, n_flagged: int) -> None:
    """Fresh: each lookup loses its AAAA and waits. Sticky: glibc asks one at a time after the first."""
    with nameserver(lambda rdtype, port, seen: rdtype == 1 or seen >= 2) as server:
        job = dataclasses.replace(
            JOB, workers=1, mode=mode, max_lookups=4, duration_s=9.0, patch=patched(server, timeout_s=1)
        )
        rows, _, _ = talk(job)
    flagged = (rows["flags"] & records.FLAG_HALF_LOST) != 0
    waited = rows["end_ns"] - rows["start_ns"] >= 900_000_000
    assert flagged.sum() == n_flagged
    assert (waited == flagged).all() if mode == "fresh" else flagged[0]
    assert len(rows) == 4


def test_single_request_is_not_mistaken_for_half_lost() -> None:
    with nameserver() as server:
        job = dataclasses.replace(JOB, max_lookups=20, patch=patched(server, options=frozenset({"single-request"})))
        rows, _, _ = talk(job)
    assert not rows["flags"].any()


def test_watchdog_abandons_and_replaces() -> None:
    """Under use-vc glibc waits for ever for a server that accepts and says nothing."""
    with nameserver(tcp_answers=False) as server:
        job = dataclasses.replace(
            JOB,
            workers=2,
            duration_s=1.0,
            deadline_s=0.4,
            max_replaced=20,
            patch=patched(server, options=frozenset({"use-vc"})),
        )
        rows, trailer, _ = talk(job)
    assert set(rows["outcome"]) == {records.OUTCOME_ABANDONED}
    assert trailer.n_abandoned == len(rows) >= 4
    assert trailer.n_replaced >= 2
    assert (rows["end_ns"] - rows["start_ns"] >= 400_000_000).all()
    assert trailer.elapsed_ns < 3_000_000_000


def test_workers_lost_when_none_may_be_replaced() -> None:
    with nameserver(tcp_answers=False) as server:
        job = dataclasses.replace(
            JOB, workers=2, duration_s=3.0, deadline_s=0.3, patch=patched(server, options=frozenset({"use-vc"}))
        )
        _, trailer, _ = talk(job)
    assert (trailer.status, trailer.n_abandoned) == ("workers lost", 2)


def test_an_outage_stays_in_the_denominator() -> None:
    """No answer at all: two workers are soon inside the resolver, and every arrival is accounted for."""
    with nameserver(lambda rdtype, port, seen: False) as server:
        job = dataclasses.replace(
            JOB,
            workers=2,
            loop="fixed",
            rate_per_s=100.0,
            patch=patched(server, timeout_s=1, attempts=1),
            duration_s=0.5,
        )
        rows, _, _ = talk(job)
    assert len(rows) == 49
    assert Counter(rows["outcome"])[records.OUTCOME_NOT_STARTED] == 47
    assert ((rows["flags"] & records.FLAG_WORKERS_EXHAUSTED) != 0).sum() == 47


def test_lookups_in_flight_at_the_end_are_waited_for() -> None:
    with nameserver(lambda rdtype, port, seen: seen >= 2) as server:
        job = dataclasses.replace(JOB, workers=3, duration_s=0.1, patch=patched(server, timeout_s=1))
        rows, trailer, _ = talk(job)
    assert len(rows) == 3
    assert (rows["end_ns"] >= 900_000_000).all()
    assert trailer.status == "complete"


def stop_soon(conversation: Conversation) -> None:
    time.sleep(0.2)
    conversation.stop()


def test_stop_ends_early_and_says_so() -> None:
    with nameserver() as server:
        job = dataclasses.replace(JOB, duration_s=30.0, patch=patched(server))
        began = time.monotonic()
        rows, trailer, _ = talk(job, read=stop_soon)
    assert trailer.status == "stopped"
    assert len(rows) > 0
    assert time.monotonic() - began < 5


@pytest.mark.alone
def test_a_reader_that_pauses_disturbs_nobody() -> None:
    with nameserver() as server:
        job = dataclasses.replace(
            JOB,
            engine="wire",
            entries=(wire_query("a.any.cluster.local.", "A"),),
            loop="fixed",
            rate_per_s=2000.0,
            workers=4,
            duration_s=2.0,
            mode="sticky",
            nameserver=("127.0.0.1", server.port),
        )
        rows, trailer, _ = talk(job, read=lambda conversation: time.sleep(3))
    assert trailer.n_records == 3999
    assert trailer.blocked_ns == 0
    assert rows["end_ns"].max() < 2_500_000_000


def _gone(process: subprocess.Popen[bytes], within_s: float) -> int:
    return process.wait(within_s)


def test_it_ends_when_the_controller_goes() -> None:
    with nameserver() as server:
        data = encode(dataclasses.replace(JOB, duration_s=30.0, patch=patched(server)))
        process = subprocess.Popen([find_probe("glibc")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin
        assert process.stdout
        process.stdin.write(data)
        process.stdin.flush()
        assert process.stdout.read(4) == b"DNSR"
        process.stdin.close()
        assert _gone(process, 2) == 1
        process.stdout.close()


def test_it_ends_on_a_broken_pipe_and_at_its_hard_deadline() -> None:
    with nameserver() as server:
        job = dataclasses.replace(JOB, duration_s=30.0, hard_deadline_s=1.0, patch=patched(server))
        channel = ProcessChannel([str(find_probe("glibc"))])
        channel.write(encode(job))
        conversation = Conversation(channel, lambda data: None)
        conversation.ready()
        conversation.go(time.monotonic_ns())
        began = time.monotonic()
        while channel.read(5.0):
            pass
        assert time.monotonic() - began < 3
        channel.close()
        read_end, write_end = os.pipe()
        process = subprocess.Popen([find_probe("glibc")], stdin=subprocess.PIPE, stdout=write_end)
        os.close(write_end)
        os.close(read_end)
        assert process.stdin
        process.stdin.write(encode(job))
        process.stdin.flush()
        assert _gone(process, 2) == 1
        process.stdin.close()


@pytest.mark.parametrize(
    ("libc", "damage", "says"),
    [
        ("glibc", lambda data: b"HTTP" + data[4:], "not a job"),
        ("glibc", lambda data: data[:-1] + b"x", "checksum"),
        ("musl", lambda data: data, "musl keeps no resolver state"),
    ],
)
def test_refused_jobs_say_why(libc: str, damage: Any, says: str) -> None:
    channel = ProcessChannel([str(find_probe(libc))])
    try:
        channel.write(damage(encode(dataclasses.replace(JOB, patch=ResolverPatch(ndots=1)))))
        with pytest.raises(ProbeFailed, match=says):
            Conversation(channel, lambda data: None).ready()
    finally:
        channel.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("arrangement", ["single", "pair-one-socket", "pair-two-sockets"])
def test_wire_arrangements(arrangement: str, transport: str) -> None:
    entries = tuple(wire_query("a.any.cluster.local.", rdtype) for rdtype in ("A", "AAAA"))
    with nameserver() as server:
        job = dataclasses.replace(
            JOB,
            engine="wire",
            entries=entries,
            arrangement=arrangement,
            transport=transport,
            loop="fixed",
            rate_per_s=200.0,
            nameserver=("127.0.0.1", server.port),
        )
        rows, _, _ = talk(job)
    per_arrival = 1 if arrangement == "single" else 2
    assert len(rows) == 99 * per_arrival == len(server.queries)
    assert set(rows["outcome"]) == {0}
    # Every record's port and type are those the server saw, none missing, none doubled.
    asked = Counter((rdtype, port) for _, rdtype, port in server.queries)
    recorded = Counter((28 if row["flags"] & records.FLAG_AAAA else 1, int(row["worker"]) & 0xFFFF) for row in rows)
    assert recorded == asked
    ports_per_arrival = {"single": 1, "pair-one-socket": 1, "pair-two-sockets": 2}[arrangement]
    assert len({port for _, _, port in server.queries}) > 99 * ports_per_arrival * 0.9


def test_wire_reports_what_does_not_come() -> None:
    entries = (wire_query("a.any.cluster.local.", "A"), wire_query("nowhere.test.", "A"))
    with nameserver(lambda rdtype, port, seen: port % 2 == 0) as server:
        job = dataclasses.replace(
            JOB,
            engine="wire",
            entries=entries,
            loop="fixed",
            rate_per_s=200.0,
            deadline_s=0.3,
            nameserver=("127.0.0.1", server.port),
        )
        rows, _, _ = talk(job)
    even = (rows["worker"] & 1) == 0
    assert set(rows["outcome"][~even]) == {records.OUTCOME_NO_ANSWER}
    assert set(rows["outcome"][even & (rows["name"] == 1)]) == {3}  # NXDOMAIN
    assert set(rows["outcome"][even & (rows["name"] == 0)]) == {0}


def test_memory_is_bounded() -> None:
    with nameserver() as server:
        _, trailer, _ = talk(dataclasses.replace(JOB, workers=200, duration_s=1.0, patch=patched(server)))
    assert trailer.max_rss_bytes < 64 << 20


@pytest.mark.parametrize("engine", ["libc", "wire"])
def test_sanitizers_find_nothing(tmp_path: Path, engine: str) -> None:
    program = build(tmp_path, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    with nameserver(lambda rdtype, port, seen: port % 5 != 0) as server:
        job = dataclasses.replace(JOB, workers=8, duration_s=1.0, patch=patched(server, timeout_s=1, attempts=1))
        if engine == "wire":
            entries = tuple(wire_query("a.any.cluster.local.", rdtype) for rdtype in ("A", "AAAA"))
            job = dataclasses.replace(
                job,
                engine="wire",
                entries=entries,
                arrangement="pair-one-socket",
                loop="poisson",
                rate_per_s=500.0,
                patch=None,
                deadline_s=0.3,
                nameserver=("127.0.0.1", server.port),
            )
        rows, trailer, _ = talk(job, program)
    assert trailer.status == "complete"
    assert len(rows) > 8


def test_it_compiles_without_warnings(tmp_path: Path) -> None:
    build(tmp_path, "-O2")
    build(tmp_path, "-O2", "-static", "-DDNSLAB_STATIC", compiler="musl-gcc")


def test_the_reader_killed_leaves_no_probe() -> None:
    """A controller that is killed closes the pipes: the probe goes with it."""
    with nameserver() as server:
        data = encode(dataclasses.replace(JOB, duration_s=30.0, patch=patched(server))).hex()
        script = (
            "import subprocess,sys,time\n"
            f"p = subprocess.Popen([{str(find_probe('glibc'))!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
            f"p.stdin.write(bytes.fromhex({data!r})); p.stdin.flush()\n"
            "print(p.pid, flush=True); time.sleep(60)\n"
        )
        import sys

        parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert parent.stdout
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
        deadline = time.monotonic() + 3
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            if state == "Z":
                break
            time.sleep(0.02)
        else:
            assert not Path(f"/proc/{pid}").exists()
