"""The small protocol between the runner and every backend.

A backend knows where probes run and how flows are kept fresh there, and nothing of schedules, files or statistics. The
runner knows nothing of namespaces or pods.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dnslab.measure.witnesses import Reading
from dnslab.plan.model import Load
from dnslab.plan.schedule import TargetInfo
from dnslab.plan.variants import Means, Variant
from dnslab.store.contents import BackendFacts


@dataclass(frozen=True)
class Client:
    """One probe on one target in one trial, as ``Backend.open`` is to make it. ``key`` is unique within a run."""

    key: str
    target: str
    variant: Variant
    load: Load
    names: tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """What a name resolves to when all is well: the full name with its trailing dot, and addresses per family.

    Without any address it is not known what it should resolve to. ``problem`` then says why; ``exists`` is false if
    all answers agree that there is no such name. ``differed`` says that some answers gave fewer addresses, or none.
    """

    absolute: str
    n_a: int
    n_aaaa: int
    problem: str = ""
    exists: bool = True
    differed: bool = False


@dataclass(frozen=True)
class TargetFacts:
    """Facts read inside a target. ``extra`` holds what only some backends know (node, address, cache warmth)."""

    libc: str
    libc_version: str
    means: Means
    resolv_conf: str
    kernel: str
    node: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def glibc_version() -> str:
    """The version of glibc on this machine, ``""`` where it has none."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
    except (ValueError, OSError):
        return ""


class Channel(Protocol):
    """The byte streams to and from one running probe."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``; ProbeFailed when the probe has gone."""

    def read(self, timeout_s: float) -> bytes:
        """At least one byte from the probe; ``b""`` at the end; TimeoutError if nothing comes."""

    def errors(self) -> str:
        """What the probe has written to stderr so far."""

    def close(self) -> None:
        """End the probe, whatever it is doing, and free what the channel holds. May be called twice."""


class Target(Protocol):
    """A fresh client, ready to run one probe."""

    def facts(self) -> TargetFacts:
        """What the target is, as seen in it."""

    def start(self, job: bytes) -> Channel:
        """Start the probe and hand it ``job``."""

    def counters(self) -> Reading:
        """Flat numbers by dotted name (``client.Udp.RcvbufErrors``, ``node.exposed``), and what cannot be read."""

    def ground_truth(self) -> Mapping[str, Any] | None:
        """What the fault really did to this target, or None. It goes to a file that statistics must not read."""

    def close(self) -> None:
        """Remove everything that was made. May be called twice."""


class Backend(Protocol):
    """Where targets come from. Methods may be called from several threads, ``close`` from any."""

    name: str
    #: whether the targets of the next group are opened before the present group has ended: worth it where opening is
    #: slow and does not load what is measured
    opens_ahead: bool

    def describe(self) -> BackendFacts:
        """The environment, for environment.json: versions, kernel, machine, what is injected."""

    def targets(self) -> Sequence[TargetInfo]:
        """The targets that can be opened, and what their libc is."""

    def expected(self, names: Sequence[str]) -> Mapping[str, Expected]:
        """What each of ``names`` resolves to now."""

    def open(self, client: Client) -> Target:
        """Make ``client``, without flow, port or cache state of an earlier one. May be called ahead of its trial."""

    def close(self) -> None:
        """Remove everything that was made. May be called twice."""
