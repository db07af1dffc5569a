"""The small protocol between the runner and every backend, and the channel to a probe.

A backend knows where probes run and how flows are kept fresh there. It knows nothing of schedules, files or
statistics; the runner knows nothing of namespaces or pods.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dnslab.errors import NotAble, ProbeFailed
from dnslab.plan.model import Load, TargetInfo
from dnslab.plan.variants import Means, Variant


@dataclass(frozen=True)
class Arm:
    """One trial on one target: what ``Backend.open`` makes a fresh client for. ``key`` is unique within a run."""

    key: str
    target: str
    variant: Variant
    load: Load
    names: tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """What a name resolves to when all is well: the full name with its trailing dot, and addresses per family."""

    absolute: str
    n_a: int
    n_aaaa: int


@dataclass(frozen=True)
class TargetFacts:
    """What a target is, as seen in it. ``extra`` holds what only some backends know (node, address, cache warmth)."""

    libc: str
    libc_version: str
    means: Means
    resolv_conf: str
    kernel: str
    node: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def glibc_version() -> str:
    """This machine's, ``""`` where it has none."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
    except (ValueError, OSError):
        return ""


class Channel(Protocol):
    """A byte stream to and from one running probe."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``; ProbeFailed when the probe has gone."""

    def read(self, timeout_s: float) -> bytes:
        """What has come, at least one byte; ``b""`` at the end; TimeoutError when nothing comes."""

    def errors(self) -> str:
        """What the probe wrote to stderr so far."""

    def close(self) -> None:
        """End the probe, whatever it is doing, and free what the channel holds. May be called twice."""


class Target(Protocol):
    """A fresh client, ready to run one probe."""

    def facts(self) -> TargetFacts: ...

    def start(self, job: bytes) -> Channel:
        """Start the probe and hand it ``job``."""

    def counters(self) -> Mapping[str, int]:
        """Flat numbers by dotted name (``client.Udp.RcvbufErrors``, ``node.exposed``); cumulative."""

    def ground_truth(self) -> Mapping[str, Any] | None:
        """What the fault really did to this target, or None; goes to a file that no statistics may read."""

    def close(self) -> None:
        """Leave nothing behind. May be called twice."""


class Backend(Protocol):
    """Where targets come from. Methods may be called from several threads, ``close`` from any."""

    name: str
    #: whether the targets of the next trials are opened while the present ones are measured: where opening is slow
    #: and costs the measured path nothing
    opens_ahead: bool

    def describe(self) -> Mapping[str, Any]:
        """The environment, for environment.json: versions, kernel, machine, what is injected."""

    def targets(self) -> Sequence[TargetInfo]:
        """The targets there are, and what their libc is."""

    def expected(self, names: Sequence[str]) -> Mapping[str, Expected]:
        """What each of ``names`` resolves to; UsageError for one that does not resolve."""

    def open(self, arm: Arm) -> Target:
        """A fresh client for ``arm``: no flow, port or cache state of an earlier one. May be called ahead."""

    def close(self) -> None:
        """Leave nothing behind. May be called twice."""


class ProcessChannel:
    """The channel to a probe that is a child process of this one.

    The child ends when this process does, whatever way: its stdin closes. ``argv`` may be a command that enters a
    namespace first.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        # In memory where the system can: there may be no folder for temporary files.
        in_memory = hasattr(os, "memfd_create")
        self._stderr = open(os.memfd_create("stderr"), "w+b") if in_memory else tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=0,
                env=dict(env) if env is not None else None,
                start_new_session=True,  # Ctrl-C is the runner's to handle: the probe ends by STOP or EOF
            )
        except OSError as error:
            self._stderr.close()
            raise NotAble(f"cannot start {argv[0]}: {error.strerror}") from error
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:  # an unbuffered pipe takes what fits
                view = view[self._stdin.write(view) or 0 :]
        except (BrokenPipeError, ValueError) as error:
            raise ProbeFailed(f"the probe has gone: {self.errors() or 'it said nothing'}") from error

    def read(self, timeout_s: float) -> bytes:
        waiting = select.poll()  # unlike select, for descriptors over 1,023 too
        waiting.register(self._stdout, select.POLLIN)
        if not waiting.poll(timeout_s * 1e3):
            raise TimeoutError(f"nothing came from the probe for {timeout_s:g} s")
        return os.read(self._stdout.fileno(), 1 << 18)

    def errors(self) -> str:
        if self._stderr.closed:
            return ""
        end = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, end - 4096))
        return self._stderr.read().decode("utf-8", "replace").strip()

    def hang_up(self) -> None:
        """Close the probe's stdin: it ends at once, whatever it is doing, and its reader sees the end."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def close(self) -> None:
        if self._stderr.closed:
            return
        with contextlib.suppress(OSError):
            self._stdin.close()
        deadline = time.monotonic() + 1.0
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._stderr.close()
