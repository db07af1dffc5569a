"""Jobs for the probe, under sanitizers, with its engines running against a hostile nameserver.

Runs in namespaces of its own (``__main__``): port 53 of loopback is the nameserver's, and nothing else can be reached.
With glibc the sanitizers are those for addresses and undefined behaviour. musl has no runtime for them: there
undefined behaviour traps, and musl's own allocator checks its heap.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import re
import selectors
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnslab.errors import DnslabError, ProbeFailed
from dnslab.measure.probe.job import (
    ARRANGEMENTS,
    ENGINES,
    JOB,
    LOOPS,
    MODES,
    RES_OPTIONS,
    TRANSPORTS,
    Job,
    ResolverPatch,
    encode,
)
from dnslab.store import stream as records
from tests import PROBE
from tests.fuzz import mutate
from tests.fuzz.harness import MEMORY_MAX_BYTES, Defect

SOURCES = PROBE
BUILT = Path(".cache/fuzz/bin")
BUILDS = {
    "glibc": ("cc", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "musl": ("musl-gcc", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"),
}
PER_CASE = 400
AT_ONCE = 96
SANITIZER_STATUS = 99
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "ASAN_OPTIONS": f"detect_leaks=0:exitcode={SANITIZER_STATUS}:quarantine_size_mb=8",
    "UBSAN_OPTIONS": f"print_stacktrace=1:exitcode={SANITIZER_STATUS}",
}
#: how much later than it should a probe ends on a machine that others use, too; and how long until it is given up
LATE_S, PATIENCE_S = 1.5, 10.0
#: how long the controller waits for a probe to take its job, and for all
JOB_MAX_S, TALK_MAX_S = 2.0, 6.0
#: from its start instant on, a load of this fuzzer is over in this time
LOAD_MAX_S = 1.0

#: name of a field of a job, in their order
FIELDS = re.findall(
    r"^\tuint\d+_t (\w+)", (SOURCES / "format.h").read_text().partition("struct job {")[2].partition("}")[0], re.M
)
_WIDTHS = dict(
    zip(FIELDS, (struct.calcsize(f"<{code}") for code in re.findall(r"\d*[a-zA-Z]", JOB.format)), strict=True)
)
_CHANGEABLE = [name for name in FIELDS if name not in ("magic", "version", "size", "crc", "zero")]


def with_fields(data: bytes, **values: Any) -> bytes:
    """The job in ``data`` with other values in its fields, and a checksum that is right."""
    fields = list(JOB.unpack_from(data))
    for name, value in values.items():
        fields[FIELDS.index(name)] = value
    return sealed(JOB.pack(*fields) + data[JOB.size :])


def sealed(data: bytes) -> bytes:
    """The same with its checksum right."""
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


@functools.cache
def program(libc: str) -> Path:
    """The probe under sanitizers, built once for each state of its sources."""
    compiler, *flags = BUILDS[libc]
    sources = sorted(SOURCES.glob("*.c"))
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.[ch]")))).hexdigest()[:12]
    output = BUILT.absolute() / f"probe-{libc}-{state}"
    if not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        new = output.with_suffix(f".{os.getpid()}")
        command = [compiler, "-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-pthread", *flags]
        subprocess.run([*command, *map(str, sources), "-o", str(new), "-lm"], check=True)
        new.replace(output)
    return output


@functools.cache
def nameserver(seed: str) -> subprocess.Popen[bytes]:
    """The hostile nameserver; it ends with this process."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.hostile", seed], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout
    assert server.stdout.readline() == b"ready\n"
    return server


def _name(rng: random.Random, odd: bool) -> bytes:
    """A name of its own, to which the nameserver has an answer of its own, or one that is none."""
    usual = b"h%d.any.cluster.local." % rng.randrange(10**9)
    if not odd or rng.random() < 0.5:
        return usual
    names = (
        b"h%d" % rng.randrange(10**9), usual[:-1], b"localhost", b"1.2.3.4", b"::1", b"fe80::1%lo", b"0x7f.1", b".",
        b"..", b"-", b" ", b"a\0b", b"\\000.b", b"xn--a.", b"a." * 120, b"a" * 63 + b".b.", b"a" * 64 + b".",
        b"a" * 65_535, b".".join([b"a" * 63] * 5), b"\xff" * 40, mutate.raw(rng, usual)[:60_000] or b"x",
    )  # fmt: skip
    return rng.choice(names)


def _query(rng: random.Random, odd: bool) -> bytes:
    name = b"".join(
        bytes((len(label),)) + label for label in (b"h%d" % rng.randrange(10**9), b"any", b"cluster", b"local")
    )
    query = b"\0\0\1\0\0\1\0\0\0\0\0\0" + name + b"\0\0" + rng.choice((b"\1", b"\x1c", b"\x41")) + b"\0\1"
    if not odd or rng.random() < 0.5:
        return query
    if rng.random() < 0.5:  # a label of another length, the last one too, or bytes after the end
        query = query[: rng.choice((len(query), 17, 18, 30))]
        at = rng.choice((12, 12, 12 + 1 + query[12]))
        return query[:at] + bytes((rng.choice((1, 5, 6, 63, 64, 191, 192, 255)),)) + query[at + 1 :]
    return rng.choice((mutate.raw(rng, query)[:65_000] or b"x", query + rng.randbytes(rng.choice((1, 11, 440, 600)))))


def job(rng: random.Random, libc: str) -> bytes:
    """A job of a few milliseconds, most often with something in it that no plan asks for."""
    engine = rng.choice(ENGINES)
    entry, odd = (_query if engine == "wire" else _name), rng.random() < 0.2
    patch = None
    if libc == "glibc" and engine == "libc" and rng.random() < 0.8:
        options = frozenset(rng.sample(sorted(RES_OPTIONS), rng.choice((0, 0, 1, 3))))
        patch = ResolverPatch(
            options, rng.choice((None, 1, 5)), 1, 1, ("127.0.0.1", 53) if rng.random() < 0.8 else None
        )
    data = encode(
        Job(
            entries=(b"x",) * rng.choice((2, 2, 2, 1, 4, 20)),
            workers=rng.choice((1, 2, 4, 4, 30)),
            duration_s=rng.choice((0.01, 0.03, 0.06)),
            warmup_s=rng.choice((0.0, 0.0, 0.01)),
            deadline_s=rng.choice((0.001, 0.03, 0.1, 0.3)),
            hard_deadline_s=rng.choice((0.2, 4.0, 4.0, 4.0)),
            engine=engine,
            loop=rng.choice(LOOPS),
            mode=rng.choice(MODES),
            outstanding=rng.choice((1, 3, 64)),
            rate_per_s=rng.choice((50.0, 300.0, 3_000.0)),
            seed=rng.getrandbits(64),
            heartbeat_ms=rng.choice((1, 20, 500)),
            max_replaced=rng.choice((0, 3, 30)),
            max_lookups=rng.choice((0, 0, 1, 50)),
            patch=patch,
            arrangement=rng.choice(ARRANGEMENTS),
            transport=rng.choice(TRANSPORTS),
            nameserver=None if patch and patch.nameserver else (rng.choice(("127.0.0.1", "127.0.0.1", "::1")), 53),
        )
    )
    n_entries = JOB.unpack_from(data)[FIELDS.index("n_entries")]
    body = b"".join(struct.pack("<H", len(one)) + one for one in (entry(rng, odd) for _ in range(n_entries)))
    data = data[: JOB.size] + body
    data = with_fields(data, size=len(data))
    if rng.random() < 0.6:
        data = with_fields(data, **{name: _value(rng, name) for name in rng.sample(_CHANGEABLE, rng.choice((1, 1, 2)))})
    if rng.random() < 0.05:
        data = mutate.raw(rng, data)
        data = sealed(data) if len(data) > 16 and rng.random() < 0.5 else data
    return data


def _value(rng: random.Random, name: str) -> Any:
    if name == "nameserver":
        return rng.choice(
            (bytes(16), b"\x7f\0\0\2" + bytes(12), b"\xff" * 16, b"\xe0\0\0\1" + bytes(12), bytes(15) + b"\1")
        )
    bits = 8 * _WIDTHS[name]
    value: int = rng.choice(
        (0, 1, 2, 7, 2**bits - 1, 2 ** (bits - 1), rng.getrandbits(bits), rng.getrandbits(rng.randrange(1, bits + 1)))
    )
    if name in ("workers", "max_replaced") and 500 < value <= 20_000:
        return value % 500  # thousands of threads under a sanitizer are a test of the machine
    return value


@dataclass
class _Talk:
    """One probe and how far its conversation is."""

    data: bytes
    libc: str
    plan: random.Random
    began_s: float = field(default_factory=time.monotonic)
    went_s: float = 0.0
    stopped_s: float = 0.0
    closed: bool = False
    late: bool = False
    killed: bool = False
    n_records: int = 0

    def __post_init__(self) -> None:
        self.decoder = records.StreamDecoder()
        self.errors = os.memfd_create("stderr")
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        actions = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_DUP2, self.errors, 2),
        ]
        path = str(program(self.libc))
        self.pid = os.posix_spawn(path, [path], ENVIRONMENT, file_actions=actions, setsid=True)
        os.close(stdin)
        os.close(stdout)
        os.set_blocking(self.stdin, False)
        self.unsent = self.data
        self.send(b"")

    def send(self, data: bytes) -> None:
        """As much as the pipe takes; the rest when there is room."""
        self.unsent += data
        try:
            while self.unsent and not self.closed:
                self.unsent = self.unsent[os.write(self.stdin, self.unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent = b""

    def hang_up(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self.stdin)

    def take(self, data: bytes) -> None:
        """Go on with the conversation as a controller does: clock, start, acknowledgement. At times, not quite."""
        for message in self.decoder.feed(data):
            if isinstance(message, records.Header):
                pings = b"".join(records.command("PING", i) for i in range(self.plan.choice((0, 1, 8, 200))))
                start_ns = time.monotonic_ns() + self.plan.choice((0, 1_000_000, 5_000_000))
                if self.plan.random() < 0.02:
                    start_ns = self.plan.choice((1, start_ns + 10**9, 2**64 - 1))
                    self.late = start_ns > time.monotonic_ns() + 10**8  # STOP is heard from the start instant on
                self.send(pings + records.command("GO", start_ns))
                self.went_s = time.monotonic()
                if self.plan.random() < 0.02:
                    self.send(
                        self.plan.choice((records.command("STOP"), b"\xff" * 16, records.command("PING") * 3_000))
                    )
            elif isinstance(message, records.Records):
                self.n_records += len(message.data) // records.RECORD_SIZE
            elif isinstance(message, records.Trailer):
                self.send(records.command("ACK"))

    def tend(self, now_s: float) -> None:
        """End what would go on for long: first STOP, then hang up, as a controller does."""
        self.send(b"")
        if self.went_s and not self.stopped_s and now_s > self.went_s + LOAD_MAX_S:
            self.stopped_s = now_s
            self.send(records.command("STOP"))
        # A job that says to be longer than it is: the rest is waited for as long as the controller is there.
        if now_s > self.began_s + (TALK_MAX_S if self.went_s else JOB_MAX_S):
            self.hang_up()
        if now_s > self.began_s + TALK_MAX_S + PATIENCE_S:
            self.killed = True
            os.kill(self.pid, 9)

    def judge(self, status: int, usage: Any) -> None:
        """Defect where it did what it must not."""
        if self.killed:
            raise Defect(f"{self.libc}: a probe that does not end when its controller has gone")
        errors = os.pread(self.errors, 100_000, 0).decode("utf-8", "replace")
        code = os.waitstatus_to_exitcode(status)
        if code < 0 or code not in (0, 1, 2) or "runtime error" in errors:
            found = re.search(r"SUMMARY: .*|.*runtime error.*", errors)
            raise Defect(f"{self.libc}: {found[0] if found else f'status {code}'}")
        if usage.ru_maxrss * 1024 > MEMORY_MAX_BYTES:
            raise Defect(f"{self.libc}: a probe of {usage.ru_maxrss >> 10} MiB")
        if self.went_s:
            self._judge_end(time.monotonic())

    def _judge_end(self, now_s: float) -> None:
        """A whole job was taken and started: it ends by its deadlines, whatever its controller does."""
        fields = dict(zip(FIELDS, JOB.unpack_from(self.data), strict=True))
        if now_s - self.went_s > fields["hard_deadline_ns"] / 1e9 + 1 + LATE_S:
            raise Defect(f"{self.libc}: a probe that outlives its hard deadline")
        heard = self.stopped_s and not self.closed and not self.late
        unfinished = heard and self.decoder.trailer is None
        if unfinished and now_s - self.stopped_s > fields["deadline_ns"] / 1e9 + LATE_S:
            raise Defect(f"{self.libc}: a probe that goes on after STOP until its hard deadline")

    def close(self) -> None:
        self.hang_up()
        os.close(self.stdout)
        os.close(self.errors)


class _Batch:
    """Probes that run side by side, and what was found wrong with them."""

    def __init__(self, folder: Path, counts: Counter[str]) -> None:
        self.folder, self.counts = folder, counts
        self.selector = selectors.DefaultSelector()
        self.talks: dict[int, _Talk] = {}
        self.defects: list[Defect] = []

    def start(self, libc: str, number: int) -> None:
        talk = _Talk(job(random.Random(number), libc), libc, random.Random(number + 1))
        self.selector.register(talk.stdout, selectors.EVENT_READ, talk)
        self.talks[talk.pid] = talk
        self.counts["jobs"] += 1

    def step(self) -> None:
        """Take what has come, and see to each probe."""
        for key, _ in self.selector.select(0.05):
            self._hear(key.data)
        for talk in list(self.talks.values()):
            talk.tend(time.monotonic())
            pid, status, usage = os.wait4(talk.pid, os.WNOHANG)
            if pid:
                while talk.stdout in self.selector.get_map():  # its last bytes are still in the pipe
                    self._hear(talk)
                self._end(talk, status, usage)

    def _hear(self, talk: _Talk) -> None:
        data = os.read(talk.stdout, 1 << 16)
        if not data:
            self.selector.unregister(talk.stdout)
            return
        try:
            talk.take(data)
        except ProbeFailed:
            pass  # it refused the job, and ends
        except DnslabError as error:
            self._note(talk, Defect(f"{talk.libc}: a stream that cannot be read: {error}"))

    def _end(self, talk: _Talk, status: int, usage: Any) -> None:
        del self.talks[talk.pid]
        started = bool(talk.went_s) and bool(talk.n_records or talk.decoder.trailer)
        self.counts[f"{talk.libc} engines started"] += started
        self.counts["lookups"] += talk.n_records
        self.counts["MiB of the largest probe"] = max(self.counts["MiB of the largest probe"], usage.ru_maxrss >> 10)
        self.counts["refused"] += talk.decoder.header is None
        self.counts["ended by their deadline or ours"] += bool(talk.went_s) and talk.decoder.trailer is None
        try:
            talk.judge(status, usage)
        except Defect as defect:
            self._note(talk, defect)
        talk.close()

    def _note(self, talk: _Talk, defect: Defect) -> None:
        self.defects.append(defect)
        (self.folder / f"job-{talk.libc}-{len(self.defects)}.bin").write_bytes(talk.data)


def case(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    nameserver("1")
    waiting = [(rng.choice(list(BUILDS)), rng.getrandbits(60)) for _ in range(PER_CASE)]
    batch = _Batch(folder, counts)
    with batch.selector:
        while waiting or batch.talks:
            while waiting and len(batch.talks) < AT_ONCE:
                batch.start(*waiting.pop())
            batch.step()
    if batch.defects:
        raise ExceptionGroup("jobs", batch.defects)
