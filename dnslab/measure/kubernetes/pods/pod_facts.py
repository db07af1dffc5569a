"""What the probe in a container reports: C library, files, and what names resolve to from there.

Needs no shell and no tool of the image.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dnslab.errors import NotAble, ProbeFailed, StreamForeign, UsageError
from dnslab.measure import counters
from dnslab.measure.probe.job import Job, encode
from dnslab.measure.protocol import Channel, Expected
from dnslab.plan.resolvconf import Libc, ResolverOptions, names_tried
from dnslab.store import stream as records

READY_TIMEOUT_S = 15.0
RESOLV_CONF = "/etc/resolv.conf"
KERNEL = "/proc/sys/kernel/osrelease"

#: runs a command line in the container: exit code (127: not there) and output
Run = Callable[[Sequence[str]], tuple[int, bytes]]


@dataclass(frozen=True)
class LoadableProbe:
    """The probe that a container can load, and its C library; ``kind`` is ``"static"`` if it has none."""

    program: str
    kind: str
    libc: Libc
    version: str


def choose_probe(run: Run, program: Callable[[str], str], machine: str) -> LoadableProbe:
    """The dynamic probe that the container can load, else the static one, which brings musl's resolver with it.

    Parameters
    ----------
    run
        Runs a command line in the container.
    program
        From ``"glibc"``, ``"musl"`` or ``"static"`` to the path of that probe in the container.
    machine
        As ``uname -m`` names it.

    Raises
    ------
    NotAble
        Not even the static probe starts: another architecture, or a place that is not executable.
    """
    output = b""
    for kind in ("glibc", "musl", "static"):
        code, output = run([program(kind), "--version"])
        match = re.search(rb", (glibc|musl) ?(\S*)$", output.strip())
        if code == 0 and match:
            version = _musl_version(run, machine) if kind == "musl" else match[2].decode()
            return LoadableProbe(program(kind), kind, "glibc" if kind == "glibc" else "musl", version)
    words = " ".join(output.decode("utf-8", "replace").split())
    raise NotAble(f"no probe starts in the container, not even the static one: {words or 'it printed no error'}")


def _musl_version(run: Run, machine: str) -> str:
    """The version that musl's loader prints when it is called without a program, which it reports as a failure."""
    _, output = run([f"/lib/ld-musl-{machine}.so.1"])
    match = re.search(rb"Version (\S+)", output)
    return match[1].decode() if match else ""


def show(run: Run, program: str, paths: Sequence[str]) -> Mapping[str, str | None]:
    """Texts of files in the container; None for a file that cannot be read.

    Raises
    ------
    ProbeFailed
        The probe does not run.
    """
    code, data = run([program, "--show", *paths])
    if code:
        raise ProbeFailed(f"cannot read {paths[0]} in the container: {data.decode('utf-8', 'replace').strip()}")
    return counters.shown(data)


def pod_counters(run: Run, program: str) -> dict[str, int]:
    """The pod's own UDP, TCP and socket counters (``client.``), and its node's CPU time (``machine.cpu.``)."""
    return counters.client(show(run, program, counters.CLIENT_FILES))


def resolve(
    start: Callable[[bytes], Channel], names: Sequence[str], options: ResolverOptions, libc: Libc = "glibc"
) -> Mapping[str, Expected]:
    """What each of ``names`` resolves to in the container. The probe looks up each candidate as an absolute name.

    Raises
    ------
    UsageError
        A name without any address: its lookups could not be judged.
    """
    candidates = {name: names_tried(name, options, libc) for name in names}
    answers = _look_up(start, list(dict.fromkeys(name for tried in candidates.values() for name in tried)))
    expected = {}
    for name, tried in candidates.items():
        absolute = next((candidate for candidate in tried if any(answers[candidate])), None)
        if absolute is None:
            raise UsageError(f"{name!r} does not resolve in the cluster: its lookups could not be judged")
        expected[name] = Expected(absolute, *answers[absolute])
    return expected


def _look_up(start: Callable[[bytes], Channel], names: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Addresses per family of each absolute name. Names are looked up once each, one after another."""
    job = Job(
        entries=tuple(name.encode("ascii") for name in names),
        workers=1,
        duration_s=30.0,
        deadline_s=20.0,
        hard_deadline_s=60.0,
        max_lookups=len(names),
    )
    decoder = records.StreamDecoder()
    counts: dict[str, tuple[int, int]] = {}
    with contextlib.closing(start(encode(job))) as channel:
        while decoder.trailer is None:
            data = channel.read(READY_TIMEOUT_S + job.deadline_s)
            if not data:
                raise ProbeFailed(f"the probe ended before its answers: {channel.errors() or 'it printed no error'}")
            for message in decoder.feed(data):
                if isinstance(message, records.Header):
                    channel.write(records.command("PING"))
                elif isinstance(message, records.Clock):
                    channel.write(records.command("GO", message.monotonic_ns))
                elif isinstance(message, records.Records):
                    counts |= _answers(message.data, names)
        channel.write(records.command("ACK"))
    missing = [name for name in names if name not in counts]
    if missing:
        raise NotAble(f"no answer for {missing[0]!r} from inside the cluster within {job.duration_s:g} s")
    return counts


def _answers(data: memoryview, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """``name`` and ``answers`` (low half A, high half AAAA) of each record; see struct record in format.h."""
    counts = {}
    for _, _, _, _, _, name, _, answers in struct.iter_unpack("<QQQIhHII", data):
        if name >= len(names):
            raise StreamForeign(f"expected one of {len(names)} names, the probe's record has number {name}")
        counts[names[name]] = (answers & 0xFFFF, answers >> 16)
    return counts
