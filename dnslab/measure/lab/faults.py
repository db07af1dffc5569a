"""The faults that the lab can inject, by name, and how several are put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from dnslab.errors import UsageError
from dnslab.measure.lab.fault import CLUSTER_IP, Fault, counter, expect, expect_arms
from dnslab.measure.lab.namespaces import Namespaces
from dnslab.measure.lab.rules import RULE_FAULTS
from dnslab.measure.lab.serving import CPU_FAULTS, SERVER_FAULTS
from dnslab.plan import flows
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.faults import PARAMETERS, Parameter, number, problems
from dnslab.sentences import plan_errors as said

#: 4 MiB do not overflow at 200 closed-loop workers; the kernel's default buffer does
AMPLE_RCVBUF = 4 << 20
UDP_TIMEOUTS_S = (flows.UDP_TIMEOUT_S, flows.UDP_STREAM_TIMEOUT_S)
#: entries live so shortly that nearly every new socket opens a new flow, at any rate that the lab reaches
SHORT_UDP_TIMEOUTS_S = (1, 1)
#: the same where sockets are kept: each is asked every 1.3 s, or more seldom, and has to stay on its flow
KEPT_UDP_TIMEOUTS_S = (4, flows.UDP_STREAM_TIMEOUT_S)

NONE = Fault("none", "nothing: what this kernel really does", expected=expect("clean"), arms=expect_arms("clean"))
_ALL = {fault.name: fault for fault in (NONE, *RULE_FAULTS, *SERVER_FAULTS, *CPU_FAULTS)}
FAULTS: dict[str, Fault] = {name: _ALL[name] for name in PARAMETERS}

#: pairs that are tested by a real run of both
PAIRS: Sequence[str] = (
    "race:p=0.3+loss:p=0.05",
    "race:p=0.3+one-dead-backend",
    "race:p=0.3+slow-aaaa:ms=200",
    "race:p=0.3+rcode:p=0.2",
    "race:p=0.3+tcp-blocked",
    "race:p=0.3+pause:every=1,ms=300",
    "loss:p=0.05+rcode:p=0.2,type=28",
    "loss:p=0.05+slow-answer:ms=200",
    "loss:p=0.05+tcp-blocked",
    "loss:p=0.05+stuck-port:p=0.2",
    "one-dead-backend+slow-answer:ms=200",
    "slow-aaaa:ms=200+rcode:p=0.2,type=1",
    "outage:from=0.5,for=0.5+rcode:p=0.2",
    "mtu:bytes=60+tcp-blocked",
    "truncation+tcp-blocked",
    "checksum:p=0.2+slow-answer:ms=200",
    "server-throttle+loss:p=0.05",
    "snat-clash+aaaa-rcode",
)

# The second packet of a socket that passes before the first was answered meets state "new" again: that is the pair
# the old kernels' insertion race could hit. Sequential lookups are "established" by then, a second socket is another
# entry, TCP is not matched. The mark lives in the entry itself; at 2 the pair is counted, and retries are not.
_PAIRS = f"""
  chain pairs {{
    ct mark 0 ct mark set 1 accept
    ct mark 2 accept
    ct mark set 2
    counter name exposed
    {{pair_rule}}
  }}
  chain new_flows {{
    type filter hook prerouting priority -110; policy accept;
    ip daddr {CLUSTER_IP} udp dport 53 ct state new jump pairs
  }}
"""


@dataclass(frozen=True)
class Injection:
    """The faults of a lab with all their parameters. Make it by ``find``."""

    plan: FaultPlan
    faults: tuple[tuple[Fault, dict[str, float]], ...]

    @property
    def names(self) -> list[str]:
        """Names of the faults, in the plan's order."""
        return [fault.name for fault, _ in self.faults]

    @property
    def is_none(self) -> bool:
        """Whether nothing is injected."""
        return self.names == ["none"]

    @property
    def summary(self) -> str:
        """What the faults do, in a sentence."""
        return "; and ".join(fault.summary for fault, _ in self.faults)

    @property
    def emulated(self) -> bool:
        """Whether one of them only looks like its cause."""
        return any(fault.emulated for fault, _ in self.faults)

    @property
    def parameters(self) -> dict[str, dict[str, float]]:
        """By fault, all its parameters."""
        return {fault.name: values for fault, values in self.faults if values}

    def node_rules(self) -> str:
        """Counters and chains of the node's nft table: those that count exposed pairs, and those of the faults."""
        counters = "".join(f"  counter {counter(name)} {{ }}\n" for name in self.names)
        pair_rule = "".join(fault.pair_rule(values) for fault, values in self.faults)
        rules = "".join(fault.rules(values) for fault, values in self.faults)
        return counters + _PAIRS.replace("{pair_rule}", pair_rule) + rules

    def client_rules(self) -> str:
        """The nft table of the client's namespace; empty where no fault wants one."""
        return "".join(fault.client_rules(values) for fault, values in self.faults)

    def udp_timeouts_s(self, kept: bool) -> tuple[int, int]:
        """The node's conntrack timeouts for UDP: unreplied, stream. ``kept``: sockets are kept for many queries."""
        if any(fault.late for fault, _ in self.faults):
            return UDP_TIMEOUTS_S
        return KEPT_UDP_TIMEOUTS_S if kept else SHORT_UDP_TIMEOUTS_S

    @property
    def dead_backend(self) -> bool:
        """Whether one of the servers drops everything."""
        return any(fault.dead_backend for fault, _ in self.faults)

    @property
    def checksums(self) -> bool:
        """Whether servers fill in UDP checksums themselves."""
        return any(fault.checksums for fault, _ in self.faults)

    @property
    def rcvbuf(self) -> int:
        """SO_RCVBUF of every server in bytes, the node-local cache included."""
        return round(self._values("receive-buffer").get("bytes", AMPLE_RCVBUF))

    def serving(self) -> dict[str, Any] | None:
        """Settings of ``responder`` where it takes the place of unbound; else None."""
        settings = [fault.serving(values) for fault, values in self.faults if fault.serving]
        return {key: value for one in settings for key, value in one.items()} if settings else None

    @property
    def program(self) -> Path | None:
        """The program that takes these settings, where it is not ``responder``."""
        return next((fault.program for fault, _ in self.faults if fault.program), None)

    def unbound(self, server: str, config: str) -> str:
        """What the faults make of ``config``, the usual unbound.conf of ``server``."""
        for fault, values in self.faults:
            config = fault.unbound(values, server, config)
        return config

    def at_server(self, inside: Namespaces, server: str) -> None:
        """Do what else the faults want for ``server``."""
        for fault, values in self.faults:
            fault.at_server(inside, server, values)

    def at_node(self, inside: Namespaces, node: str) -> None:
        """Do what else the faults want for ``node``."""
        for fault, values in self.faults:
            fault.at_node(inside, node, values)

    def did(self, inside: Namespaces, node: str) -> dict[str, dict[str, int]]:
        """What they did in these ways, by fault and kind; without those that count nothing."""
        counted = {fault.name: dict(fault.did(inside, node, values)) for fault, values in self.faults}
        return {name: counts for name, counts in counted.items() if counts}

    def throttled(self, who: str) -> float | None:
        """Cores that ``who`` (``"servers"`` or ``"client"``) may use; None for all there are."""
        return next((values["cpu"] for fault, values in self.faults if fault.throttles == who), None)

    @property
    def pause_s(self) -> tuple[float, float] | None:
        """Seconds between pauses of the servers, and of each pause; None without any."""
        values = self._values("pause")
        return (values["every"], values["ms"] / 1e3) if values else None

    def _values(self, name: str) -> dict[str, float]:
        return next((values for fault, values in self.faults if fault.name == name), {})


def add(fault: Fault, parameters: Mapping[str, Parameter]) -> None:
    """Let the lab of this process inject ``fault`` as well.

    Raises
    ------
    ValueError
        The lab has a fault of that name.
    """
    if fault.name in FAULTS:
        raise ValueError(f"a fault called {fault.name} exists")
    PARAMETERS[fault.name] = parameters
    FAULTS[fault.name] = fault


def remove(name: str) -> None:
    """Undo ``add`` for the fault of that name."""
    del PARAMETERS[name], FAULTS[name]


def find(plan: FaultPlan) -> Injection:
    """The faults that ``plan`` names, with all their parameters.

    Raises
    ------
    UsageError
        No such fault (with the nearest name) or parameter, a value out of range, or faults that exclude each other.
    """
    for part in plan.parts:
        for problem in problems(part.name, part.parameters):
            raise UsageError(problem)
    faults = tuple((FAULTS[part.name], FAULTS[part.name].values(part)) for part in plan.parts)
    for (one, _), (other, _) in combinations(faults, 2):
        if reason := why_not_both(one, other):
            raise UsageError(said.NOT_TOGETHER(one=one.name, other=other.name, reason=reason))
    return Injection(plan, faults)


def why_not_both(one: Fault, other: Fault) -> str:
    """Why two faults cannot be injected together; empty where they can."""
    if one.name == other.name:
        return str(said.SAME_FAULT)
    if NONE in (one, other):
        return str(said.WITH_NONE)
    if shared := one.takes & other.takes:
        return said.BOTH_DECIDE(what=min(shared))
    captures = next((fault for fault in (one, other) if "who answers" in fault.takes), None)
    if captures and "client" not in (one.throttles, other.throttles):
        return str(said.CAPTURED)
    return ""


def describe_all() -> Iterator[str]:
    """A line for each fault, and one for each of its parameters with its default."""
    for fault in FAULTS.values():
        yield f"{fault.name:18} {fault.summary}"
        for key, parameter in fault.parameters.items():
            yield f"{'':18}   {key}={number(parameter.default)}: {parameter.what}, {parameter.allowed}"
