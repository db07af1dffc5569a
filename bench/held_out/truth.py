"""Each held-out fault with its parameters, and what a diagnosis has to say of it to be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.held_out.path import PATH_FAULTS
from bench.held_out.serving import PROGRAM_FAULTS, SERVING_FAULTS
from dnslab.measure.lab.fault import Fault
from dnslab.plan.faults import Parameter


@dataclass(frozen=True)
class Truth:
    """What a right answer says.

    ``cause`` is a name of the catalogue; empty where none of its causes is there. ``also`` are causes that what can be
    seen fits as well. ``mechanisms``, for faults outside the catalogue, are those that describe what lookups suffer:
    naming one is right as long as no cause of it is called certain. Where there are none, only "none of these" is.
    """

    cause: str = ""
    also: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeldOut:
    """A fault, its parameters, and what it is."""

    fault: Fault
    parameters: Mapping[str, Parameter]
    truth: Truth


def _share(default: float, what: str) -> Mapping[str, Parameter]:
    return {"p": Parameter(default, 0, 1, what)}


_MS = {"ms": Parameter(150, 1, 20_000, "ms that an answer takes")}
PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    "loss-statistic": _share(0.05, "share of packets"),
    "race-connbytes": _share(0.1, "share of second packets"),
    "map-full": {
        "flows": Parameter(40, 1, 60_000, "flows that fit"),
        "life": Parameter(4, 0.1, 600, "s that a flow keeps its place"),
    },
    "nat-to-nobody": {"one_of": Parameter(16, 4, 1024, "one source port in so many is hit", (4, 8, 16, 32, 64, 128))},
    "link-mtu": {"bytes": Parameter(96, 92, 1_500, "largest IP packet of an answer that passes")},
    "shaped-link": {
        "bits": Parameter(24_000, 8_000, 1e9, "bits/s that pass, with Ethernet headers"),
        "queue": Parameter(400, 100, 1e7, "bytes that may wait"),
    },
    "id-drop": {"bits": Parameter(5, 1, 12, "zero bits at the end of the ids that are hit", tuple(range(1, 13)))},
    "idle-first": {"idle": Parameter(0.15, 0.01, 60, "s without a query, after which the next is lost")},
    "unbound-truncates": {"bytes": Parameter(60, 12, 4_096, "longest answer that is not truncated")},
    "duty-cycle": {
        "period": Parameter(100, 10, 10_000, "ms of a period"),
        "stopped": Parameter(0.8, 0.01, 0.99, "share of it in which the servers are stopped"),
    },
    "queue-bursts": {
        "bits": Parameter(1e6, 1e5, 1e9, "bits/s of each server's link"),
        "datagrams": Parameter(30, 1, 300, "datagrams of 1,250 bytes in a burst"),
        "every": Parameter(1_000, 10, 60_000, "mean ms between bursts"),
    },
    "periodic-cut": {
        "period": Parameter(5_000, 100, 600_000, "ms of a period"),
        "cut": Parameter(350, 10, 60_000, "ms at its end in which all is lost"),
    },
    "slow-exponential": _MS,
    "aaaa-uniform": {
        "low": Parameter(100, 0, 20_000, "least ms that an AAAA answer takes"),
        "high": Parameter(500, 0, 20_000, "most ms that it takes"),
    },
    "stop-the-world": {
        "stop": Parameter(600, 1, 60_000, "ms of each stop"),
        "every": Parameter(3_000, 10, 600_000, "mean ms between stops"),
        "random": Parameter(1, 0, 1, "whether the time between stops is random", (0, 1)),
    },
    "paused-reader": {
        "stop": Parameter(400, 1, 60_000, "ms in which nothing is read"),
        "every": Parameter(600, 10, 600_000, "ms between these"),
        "rcvbuf": Parameter(1_152, 1, 1_048_576, "bytes of SO_RCVBUF of each server"),
    },
    "raw-checksum": _share(0.1, "share of UDP answers"),
    "wrong-id": _share(0.05, "share of UDP answers"),
    "other-port": _share(0.05, "share of UDP answers"),
    "empty-answers": _share(0.05, "share of answers"),
    "one-slow-endpoint": {"ms": Parameter(250, 1, 20_000, "ms that an answer takes")},
    "a-late": {"ms": Parameter(80, 1, 20_000, "ms that an A answer takes")},
    "heavy-tail": {
        "p": Parameter(0.05, 0, 1, "share of queries"),
        "ms": Parameter(40, 1, 20_000, "least ms that they take; half of them take twice as long or longer"),
        "most": Parameter(1_500, 1, 20_000, "most ms"),
    },
}

#: right answers, by fault
TRUTHS: Mapping[str, Truth] = {
    "loss-statistic": Truth("packet-loss"),
    "race-connbytes": Truth("conntrack-race"),
    "map-full": Truth("ebpf-map-full", ("conntrack-table-full", "cloud-flow-limit")),
    "nat-to-nobody": Truth("stale-nat-entry"),
    "endpoint-no-carrier": Truth("dead-endpoint"),
    "endpoint-stopped": Truth("dead-endpoint"),
    "link-mtu": Truth("small-mtu"),
    "shaped-link": Truth("packet-rate-limit"),
    "tcp-reset": Truth("tcp-blocked"),
    "udp-rejected": Truth("udp-blocked"),
    "aaaa-filter": Truth("aaaa-dropped"),
    "servfail-forward": Truth("server-errors"),
    "unbound-truncates": Truth("truncated-answers"),
    "duty-cycle": Truth("server-cpu-limit", ("server-pauses",)),
    "slow-exponential": Truth("slow-server", ("slow-upstream",)),
    "aaaa-uniform": Truth("slow-aaaa"),
    "stop-the-world": Truth("server-pauses"),
    "paused-reader": Truth("server-buffer-full", ("server-pauses",)),
    "raw-checksum": Truth("bad-checksum-offload"),
    "wrong-id": Truth(mechanisms=("packets-lost",)),
    "other-port": Truth(mechanisms=("answers-from-elsewhere", "answers-not-taken")),
    "empty-answers": Truth(mechanisms=("errors",)),
    "one-slow-endpoint": Truth(mechanisms=("all-late", "some-late")),
    "a-late": Truth(mechanisms=("all-late", "some-late")),
    "heavy-tail": Truth(mechanisms=("some-late",)),
    "queue-bursts": Truth(mechanisms=("pauses", "some-late", "held-up")),
    "periodic-cut": Truth(mechanisms=("all-lost-for-a-time", "packets-lost")),
    "idle-first": Truth(),
    "id-drop": Truth(mechanisms=("packets-lost",)),
}

_ALL = {fault.name: fault for fault in (*PATH_FAULTS, *SERVING_FAULTS, *PROGRAM_FAULTS)}
#: those inside the catalogue first
HELD_OUT: Sequence[HeldOut] = tuple(
    HeldOut(_ALL[name], PARAMETERS.get(name, {}), truth) for name, truth in TRUTHS.items()
)
