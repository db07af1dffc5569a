"""Arms: loads of raw queries that differ in one point, and what each is called.

Pure. An arm is a load of a plan; its name follows from what the load asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from dnslab.plan.model import Load, Plan

Arm = Literal["a", "aaaa", "pair-one-socket", "pair-two-sockets", "tcp", "standing"]
#: what makes each arm, of a load of engine wire; a pair is two queries
ARMS: Mapping[Arm, Mapping[str, Any]] = MappingProxyType(
    {
        "a": {},
        "aaaa": {"record_type": "AAAA"},
        "pair-one-socket": {"arrangement": "pair-one-socket"},
        "pair-two-sockets": {"arrangement": "pair-two-sockets"},
        "tcp": {"transport": "tcp"},
        "standing": {"mode": "sticky"},
    }
)
#: the arm that watches over DNS where loads run together: a small load of its own
CONTROL = "control"
#: sockets that the arm ``standing`` keeps: a kept socket sees one endpoint, so few would miss others
STANDING_SOCKETS = 16


@dataclass(frozen=True)
class Change:
    """A server that came behind a Service, or left it, and when that was seen (Unix time). ``pod`` is ``""`` where
    nobody says which it is."""

    seen_realtime_ns: int
    address: str
    came: bool
    pod: str = ""


@dataclass(frozen=True)
class Places:
    """Addresses at which DNS can be asked: of ``services``, and of each server behind them (``endpoints``).

    ``missing`` says why endpoints are not known; ``""`` where they are. ``pods`` are the pods of the endpoints, by
    address, with their nodes. ``changes`` are of the endpoints, while they were asked.
    """

    services: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    missing: str = ""
    pods: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    @property
    def stayed(self) -> tuple[str, ...]:
        """Endpoints that did not leave meanwhile."""
        left = {change.address for change in self.changes if not change.came}
        return tuple(address for address in self.endpoints if address not in left)

    def titled(self, address: str) -> str:
        """``"10.244.1.2 (coredns-5d78c9869d-x2x9k on node-1)"``, or the address alone."""
        return f"{address} ({self.pods[address]})" if address in self.pods else address


def arm_load(arm: Arm, rate_per_s: float, duration_s: float, server: str | None = None) -> Load:
    """The load that is ``arm``: arrivals at even spaces, without a warm-up, since the first seconds count.

    Parameters
    ----------
    rate_per_s
        Arrivals a second; a pair sends two queries at each.
    server
        Asked in place of the first nameserver of resolv.conf.
    """
    paced: dict[str, Any] = {"rate_per_s": rate_per_s, "duration_s": duration_s, "warmup_s": 0.0, "loop": "fixed"}
    return Load(engine="wire", workers=STANDING_SOCKETS, server=server, **ARMS[arm], **paced)


def queries_per_s(load: Load) -> float:
    """Queries a second of a load, without those that a resolver repeats; a lookup of the C library sends two."""
    alone = load.engine == "wire" and load.arrangement == "single"
    return (load.rate_per_s or 0.0) * (1 if alone else 2)


def arm_of(plan: Plan, index: int) -> str:
    """What the load at ``index`` is called as an arm; ``""`` for lookups of the C library."""
    load = plan.loads[index]
    if load.engine != "wire":
        return ""
    if plan.order == "together" and index == 0:
        return CONTROL
    if load.transport == "tcp":
        return "tcp"
    if load.mode == "sticky":
        return "standing"
    if load.arrangement != "single":
        return load.arrangement
    return "aaaa" if load.record_type == "AAAA" else "a"
