"""What all fuzzers share: cases that can be repeated, limits, and what counts as a failure.

A case is a function of a random generator and a folder. It writes what it makes into the folder and lets dnslab read
it; the generator of case N follows from the seed and N alone, so a failure is repeated by both.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from dnslab.errors import DnslabError

#: CPU time, as other processes may have the machine
READING_MAX_S = 1.0
#: a case that waits for what never comes
CASE_MAX_S = 120.0
MEMORY_MAX_BYTES = 1 << 30

#: (generator, folder to write into, what was counted)
Case = Callable[[random.Random, Path, Counter[str]], None]


class Defect(Exception):
    """dnslab did what it must not, though it raised nothing."""


@dataclass
class Result:
    """What a fuzzer did: counts by name, and failures by what they have in common (a line of code)."""

    name: str
    seed: int
    n_cases: int = 0
    spent_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        counted = ", ".join(f"{n:,} {what}" for what, n in self.counts.items())
        return (
            f"{self.name}: {counted}; {self.n_cases:,} cases of seed {self.seed} in {self.spent_s:.0f} s "
            f"({self.n_cases / max(self.spent_s, 1e-9):,.1f}/s), "
            f"peak memory {peak_bytes() >> 20} MiB, {len(self.failures)} different failures"
        )


def peak_bytes() -> int:
    """The most memory that this process has had, since ``forget_peak`` where that works."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def forget_peak() -> None:
    """What was read earlier in this process counts no more."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _print(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def reading(counts: Counter[str], what: str = "readings") -> Iterator[None]:
    """What is read inside may be refused with an error of dnslab, and takes less than a second."""
    counts[what] += 1
    began = time.process_time()
    try:
        yield
    except DnslabError as error:
        counts["refused"] += 1
        if not str(error).strip():
            raise Defect("an error without a word") from error
    spent_s = time.process_time() - began
    if spent_s > READING_MAX_S:
        raise Defect(f"a reading of {spent_s:.1f} s")


def run(
    name: str,
    case: Case,
    folder: Path,
    seed: int,
    *,
    keep: Path,
    first: int = 0,
    n_cases: int | None = None,
    seconds: float | None = None,
    say: Callable[[str], None] = _print,
) -> Result:
    """Cases ``first``, ``first`` + 1, ... of ``seed``, until so many are done or the time is over.

    A failure is told once for each place in the code, with how to repeat it; its input goes to a folder in ``keep``.
    """
    result = Result(name, seed)
    forget_peak()
    began = time.monotonic()
    with _no_hang(), warnings.catch_warnings(action="error"):  # a warning of Python's would stand on a user's terminal
        number = first
        while not (n_cases is not None and number >= first + n_cases):
            if seconds is not None and time.monotonic() - began >= seconds:
                break
            folder.mkdir(parents=True, exist_ok=True)
            signal.setitimer(signal.ITIMER_REAL, CASE_MAX_S)
            try:
                case(random.Random(f"{name} {seed} {number}"), folder, result.counts)
                if peak_bytes() > MEMORY_MAX_BYTES:
                    raise Defect("more than 1 GiB of memory")
            except Exception as error:
                for one in error.exceptions if isinstance(error, ExceptionGroup) else (error,):
                    kind = _place(one)
                    if kind not in result.failures:
                        result.failures[kind] = _kept(result, folder, keep, number)
                        say(f"{name}: {kind}\n  {' '.join(str(one).split())[:300]}\n{result.failures[kind]}")
            signal.setitimer(signal.ITIMER_REAL, 0)
            number += 1
            result.n_cases += 1
            result.spent_s = time.monotonic() - began
    return result


def _kept(result: Result, folder: Path, keep: Path, number: int) -> str:
    """How to repeat a case, and where its input is kept."""
    kept = keep / f"{result.name}-{result.seed}-{number}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, symlinks=True)
    again = f"python -m tests.fuzz --only {result.name} --seed {result.seed} --first {number} --cases 1"
    return f"  again: {again}\n  input: {kept}"


def _place(error: Exception) -> str:
    """Type of the error and the last line of dnslab that it went through, else the last line of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/dnslab/" in frame.filename and "/tests/" not in frame.filename]
    if isinstance(error, Defect):
        return f"{type(error).__name__}: {error}" if len(str(error)) < 60 else str(error)
    last = (own or frames)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name} line {last.lineno}, {last.name}"


@contextlib.contextmanager
def _no_hang() -> Iterator[None]:
    """A case that takes too long is interrupted by an error."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise Defect(f"a case that is not done in {CASE_MAX_S:.0f} s")

    before = signal.signal(signal.SIGALRM, hangs)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
