"""The faults that the lab can inject: their parameters, what they change, and what to expect of each variant.

A fault is data: ``rules`` and ``pair_rule`` go into the node's nft table, the rest says what the servers do.
Tests check the lab and dnslab's conclusions against ``expected``, which comes from measurements on glibc 2.36 and
musl 1.2.3:

clean      no lookup at or over 1 s, none failed
stalls     some lookups take at least the first attempt timeout; most carry the half-lost flag
lost       some lookups take at least the first attempt timeout; few carry the flag
retransmit some lookups over 0.15 s (TCP retransmits), few or none stall, none fails
no stall   no lookup takes the first attempt timeout, none fails
overflow   stalls are no more than the datagrams that servers dropped; few carry the flag
slow       every lookup takes the delay
slower     every lookup takes the delay twice
varies     clean or lost: the cache has one standing connection, to either server; few carry the flag
hangs      every lookup runs into the probe's deadline
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dnslab.errors import UsageError
from dnslab.plan import flows
from dnslab.plan.faults import PARAMETERS, Parameter, problems
from dnslab.plan.model import FaultPlan
from dnslab.plan.variants import BUILT_IN, DIRECT

Outcome = Literal["clean", "stalls", "lost", "retransmit", "no stall", "overflow", "slow", "slower", "varies", "hangs"]

CLUSTER_IP = "10.96.0.10"
#: 4 MiB do not overflow at 200 closed-loop workers; the kernel's default buffer does
AMPLE_RCVBUF = 4 << 20
UDP_TIMEOUTS_S = (flows.UDP_TIMEOUT_S, flows.UDP_STREAM_TIMEOUT_S)
#: entries live so shortly that nearly every new socket opens a new flow, at any rate that the lab reaches
SHORT_UDP_TIMEOUTS_S = (1, 1)


@dataclass(frozen=True)
class Fault:
    """One fault. ``expected`` is by variant on glibc; its key ``"musl"`` is baseline on musl."""

    name: str
    summary: str
    #: nft chains in the node's table, with {p} per million
    rules: str = ""
    #: nft rule for the second query of a pair that opens a new flow
    pair_rule: str = ""
    #: whether answers come late, or a retry has to meet the same conntrack entry: the kernel's timeouts are kept then
    late: bool = False
    dead_backend: bool = False
    expected: Mapping[str, Outcome] = field(default_factory=dict)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Its parameters by name."""
        return PARAMETERS[self.name]

    def values(self, plan: FaultPlan) -> dict[str, float]:
        """The parameters with defaults filled in."""
        return {key: plan.parameters.get(key, parameter.default) for key, parameter in self.parameters.items()}

    def nft(self, values: Mapping[str, float]) -> str:
        """The node's nft chains: those that count exposed pairs, and those of the fault."""
        text = _PAIRS.replace("{pair_rule}", self.pair_rule) + self.rules
        return text.replace("{p}", str(round(values.get("p", 0.0) * 1_000_000)))

    @property
    def udp_timeouts_s(self) -> tuple[int, int]:
        """The node's conntrack timeouts for UDP: unreplied, stream."""
        return UDP_TIMEOUTS_S if self.late else SHORT_UDP_TIMEOUTS_S


_DROP = "numgen random mod 1000000 < {p} counter name dropped drop"
_LOSS = """
  chain lose {
    meta l4proto { tcp, udp } th dport 53 numgen random mod 1000000 < {p} counter name dropped drop
    meta l4proto { tcp, udp } th sport 53 numgen random mod 1000000 < {p} counter name dropped drop
  }
  chain loss_in {
    type filter hook prerouting priority -310; policy accept;
    iifname "c" jump lose
  }
  chain loss_out {
    type filter hook postrouting priority 310; policy accept;
    oifname "c" jump lose
  }
"""
_NO_TCP = f"""
  chain no_tcp {{
    type filter hook prerouting priority -310; policy accept;
    iifname "c" ip daddr {CLUSTER_IP} tcp dport 53 counter name dropped drop
  }}
"""

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

_EVERY = (*(name for name in BUILT_IN if name != DIRECT), "musl")
_PAIRED = ("baseline", "ndots-1", "root-first", "absolute", "timeout-1")
_CACHED = ("node-local", "node-local+single-request-reopen")


def _expect(default: Outcome, **changes: Outcome | Mapping[str, Outcome]) -> Mapping[str, Outcome]:
    """``default`` for every variant but those in ``changes``, whose keywords have ``_`` for ``-``."""
    named = {key.replace("_", "-"): value for key, value in changes.items() if isinstance(value, str)}
    grouped = {key: value for group in changes.values() if not isinstance(group, str) for key, value in group.items()}
    return {**dict.fromkeys(_EVERY, default), **grouped, **named}


FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("none", "nothing: what this kernel really does", expected=_expect("clean")),
        Fault(
            "race",
            "drops the second packet of a pair that opens a new flow, as kernels before 5.6 did",
            pair_rule=_DROP,
            expected=_expect("clean", paired=dict.fromkeys(_PAIRED, "stalls"), musl="lost"),
        ),
        Fault(
            "loss",
            "drops packets at random between client and node, both ways, UDP and TCP",
            rules=_LOSS,
            expected=_expect(
                "lost", paired=dict.fromkeys((*_PAIRED, "node-local"), "stalls"), use_vc="retransmit", musl="lost"
            ),
        ),
        Fault(
            "receive-buffer",
            "gives the sockets of servers and node-local cache a small receive buffer",
            expected=_expect("overflow", baseline="lost", use_vc="no stall"),
        ),
        Fault(
            "slow-answer",
            "answers late",
            late=True,
            expected=_expect(
                "slow",
                sequential=dict.fromkeys(
                    ("single-request", "single-request-reopen", "node-local+single-request-reopen"), "slower"
                ),
            ),
        ),
        Fault(
            "slow-aaaa",
            "answers AAAA late",
            late=True,
            expected=_expect("slow", no_aaaa="clean"),
        ),
        Fault(
            "one-dead-backend",
            "one of the two servers drops everything",
            late=True,
            dead_backend=True,
            expected=_expect("lost", cached=dict.fromkeys(_CACHED, "varies")),
        ),
        Fault(
            "tcp-blocked",
            "drops a client's TCP to the cluster IP without a word, as a network policy may",
            rules=_NO_TCP,
            expected=_expect("clean", use_vc="hangs"),
        ),
    )
}


def find(plan: FaultPlan) -> tuple[Fault, dict[str, float]]:
    """The fault that ``plan`` names, with all its parameters; UsageError for a name or a value that is not known."""
    for problem in problems(plan.name, plan.parameters):
        raise UsageError(problem)
    fault = FAULTS[plan.name]
    return fault, fault.values(plan)


def describe_all() -> Iterator[str]:
    """A line for each fault, and one for each of its parameters with its default."""
    for fault in FAULTS.values():
        yield f"{fault.name:18} {fault.summary}"
        for key, parameter in fault.parameters.items():
            yield f"{'':18}   {key}={parameter.default:g}: {parameter.what}, {parameter.low:g} to {parameter.high:g}"
