"""What a fault of the lab is: parameters, what it changes, and what to expect of each variant and of each arm.

A fault is data. ``rules`` and ``pair_rule`` go into the node's nft table, ``client_rules`` into the client's;
``serving`` says how servers answer; ``throttles`` limits processes. What none of these can do is done by ``at_server``
and ``at_node``, which run what they like inside the lab.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dnslab.measure.lab.namespaces import Namespaces
from dnslab.plan.faultplan import OneFault
from dnslab.plan.faults import PARAMETERS, Parameter
from dnslab.plan.variants import BUILT_IN, DIRECT

Outcome = Literal[
    "clean", "stalls", "lost", "retransmit", "no stall", "overflow", "slow", "slower", "some slow", "held up",
    "partial", "errors", "fails", "varies", "hangs",
]  # fmt: skip
#: of a variant; with glibc 2.36, and with musl 1.2.3
OUTCOMES: Mapping[Outcome, str] = {
    "clean": "no lookup takes 1 s or more, none fails",
    "stalls": "some lookups take the first attempt timeout or longer; most of them carry the half-lost flag",
    "lost": "some lookups take the first attempt timeout or longer, with or without the flag",
    "retransmit": "some lookups take 0.15 s or more (TCP sends again); few stall, none fails",
    "no stall": "no lookup takes the first attempt timeout, none fails",
    "overflow": "no more lookups stall than datagrams were dropped at the servers' sockets; few carry the flag",
    "slow": "every lookup takes the delay",
    "slower": "every lookup takes the delay twice",
    "some slow": "some lookups take half of the delay or more, others do not; none fails",
    "held up": "some lookups take 20 ms or more; none fails",
    "partial": "every lookup gets addresses of one family alone",
    "errors": "some lookups fail, or get one family alone, before the first attempt timeout",
    "fails": "every lookup fails",
    "varies": "depends on chance or on the C library's version, so no test holds it",
    "hangs": "every lookup runs into the probe's deadline",
}
ArmOutcome = Literal[
    "clean", "lost", "silent", "slow", "some slow", "late", "held up", "sent late", "errors", "truncated", "costly",
    "varies",
]  # fmt: skip
#: of an arm, whose raw queries are each asked once
ARM_OUTCOMES: Mapping[ArmOutcome, str] = {
    "clean": "every query is answered within 0.5 s, without error",
    "lost": "some queries get no answer, others do",
    "silent": "no query gets an answer",
    "slow": "every answer takes the delay",
    "some slow": "some answers take half of the delay or more",
    "late": "nearly every query is answered, some after 0.15 s (TCP sends again)",
    "held up": "some answers take 20 ms or more, all come",
    "sent late": "some queries are sent 20 ms or more after their time; those sent are answered as usual",
    "errors": "some answers carry an error code",
    "truncated": "every answer is truncated",
    "costly": "half of the answers take 0.5 ms or more, none 0.5 s",
    "varies": "depends on chance, so no test holds it",
}
#: what two faults cannot both have
Slot = Literal["when servers answer", "what servers answer", "which pairs are hit", "who answers"]
Values = Mapping[str, float]

CLUSTER_IP = "10.96.0.10"

#: raw queries: A alone, AAAA alone, both from one socket, both from two, A over TCP, A on sockets that are kept
ARMS = ("a", "aaaa", "pair-one-socket", "pair-two-sockets", "tcp", "standing")
VARIANTS = (*(name for name in BUILT_IN if name != DIRECT), "musl")


def nothing(values: Values) -> str:
    """No rules."""
    return ""


def usual(values: Values, server: str, config: str) -> str:
    """The usual ``config`` of unbound."""
    return config


def leave(inside: Namespaces, place: str, values: Values) -> None:
    """Leave the namespace ``place`` as it is."""


def nothing_counted(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
    """No counts."""
    return {}


@dataclass(frozen=True)
class Fault:
    """One fault. ``note`` says what in it is real and what is imitated; ``emulated``: it only looks like its cause."""

    name: str
    summary: str
    note: str = ""
    emulated: bool = False
    #: nft sets and chains of the node's table, which count in the counter ``did_`` and the fault's name
    rules: Callable[[Values], str] = nothing
    #: nft rule for the second query of a pair that opens a new flow
    pair_rule: Callable[[Values], str] = nothing
    #: nft table of the client's namespace
    client_rules: Callable[[Values], str] = nothing
    #: settings of ``responder``, which then serves in place of unbound
    serving: Callable[[Values], Mapping[str, object]] | None = None
    #: a program that takes these settings in place of ``responder``
    program: Path | None = None
    #: unbound.conf of the server of that name, made from the usual one
    unbound: Callable[[Values, str, str], str] = usual
    #: what else to do for the server of that name, once both answer
    at_server: Callable[[Namespaces, str, Values], None] = leave
    #: what else to do for each new client's node, after its rules
    at_node: Callable[[Namespaces, str, Values], None] = leave
    #: what these two did, by kind, as counted in the lab; for the ground truth of the client behind that node
    did: Callable[[Namespaces, str, Values], Mapping[str, int]] = nothing_counted
    #: whether answers come late, or a retry has to meet the same conntrack entry: the kernel's timeouts are kept then
    late: bool = False
    dead_backend: bool = False
    #: whether servers fill in UDP checksums themselves, so that a wrong one can be seen
    checksums: bool = False
    throttles: Literal["", "servers", "client"] = ""
    takes: frozenset[Slot] = frozenset()
    expected: Mapping[str, Outcome] = field(default_factory=dict)
    arms: Mapping[str, ArmOutcome] = field(default_factory=dict)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Its parameters by name."""
        return PARAMETERS[self.name]

    def values(self, plan: OneFault) -> dict[str, float]:
        """The parameters with defaults filled in."""
        return {key: plan.parameters.get(key, parameter.default) for key, parameter in self.parameters.items()}


def counter(fault: str) -> str:
    """The nft counter of what ``fault`` did."""
    return f"did_{fault.replace('-', '_')}"


def expect(default: Outcome, **changes: Outcome | Mapping[str, Outcome]) -> Mapping[str, Outcome]:
    """``default`` for every variant but those in ``changes``, whose keywords have ``_`` for ``-``."""
    named = {key.replace("_", "-"): value for key, value in changes.items() if isinstance(value, str)}
    grouped = {key: value for group in changes.values() if not isinstance(group, str) for key, value in group.items()}
    return {**dict.fromkeys(VARIANTS, default), **grouped, **named}


def expect_arms(default: ArmOutcome, **changes: ArmOutcome) -> Mapping[str, ArmOutcome]:
    """``default`` for every arm but those in ``changes``, whose keywords have ``_`` for ``-``."""
    return {**dict.fromkeys(ARMS, default), **{key.replace("_", "-"): value for key, value in changes.items()}}


#: variants that send both queries at once from one socket to the cluster IP
PAIRED = ("baseline", "ndots-1", "root-first", "absolute", "timeout-1")
CACHED = ("node-local", "node-local+single-request-reopen")
IN_SEQUENCE = ("single-request", "single-request-reopen", "node-local+single-request-reopen")
