"""Names of the faults that the lab can inject, and their parameters. Pure.

``measure.lab.faults`` knows what each of them does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dnslab.sentences import plan_errors as said
from dnslab.text import nearest


@dataclass(frozen=True)
class Parameter:
    """A parameter of a fault: its default, its allowed range, and what it is, unit included."""

    default: float
    low: float
    high: float
    what: str
    choices: tuple[float, ...] = ()

    @property
    def allowed(self) -> str:
        """``"0 to 1"``, or the choices."""
        if self.choices:
            return ", ".join(map(number, self.choices))
        return f"{number(self.low)} to {number(self.high)}"


_FROM = Parameter(0, 0, 86_400, "s from a client's first query until the fault begins")
_FOR = Parameter(0, 0, 86_400, "s that it lasts; 0: until the trial ends")
#: by fault, in the order in which they are listed
PARAMETERS: dict[str, Mapping[str, Parameter]] = {
    "none": {},
    "race": {"p": Parameter(0.05, 0, 1, "share of exposed pairs")},
    "loss": {"p": Parameter(0.05, 0, 1, "share of packets"), "from": _FROM, "for": _FOR},
    "tcp-blocked": {},
    "outage": {
        "from": Parameter(1, 0, 86_400, "s from a client's first query until the fault begins"),
        "for": Parameter(3, 0, 86_400, "s that it lasts; 0: until the trial ends"),
    },
    "policy-late": {"for": Parameter(2, 0.001, 600, "s from a client's first query until its packets pass")},
    "pps-cap": {
        "rate": Parameter(100, 1, 1_000_000, "queries/s that pass"),
        "burst": Parameter(5, 1, 10_000, "queries that pass at once"),
    },
    "burst-cap": {
        "p": Parameter(0.05, 0, 1, "share of the queries that come too soon"),
        "rate": Parameter(10_000, 100, 1_000_000, "queries/s that the policer lets pass; its bucket holds one"),
    },
    "snat-clash": {"ports": Parameter(16, 1, 60_000, "source ports for each server")},
    "table-full": {"flows": Parameter(50, 1, 60_000, "flows that are tracked at once")},
    "stuck-port": {"p": Parameter(0.06, 0, 1, "share of source ports")},
    "standing-flow": {"age": Parameter(1, 0.001, 20, "s from a flow's first query until its queries are dropped")},
    "mtu": {"bytes": Parameter(96, 28, 65_535, "largest IP packet that passes")},
    "checksum": {"p": Parameter(0.05, 0, 1, "share of packets")},
    "clash-late": {
        "p": Parameter(0.05, 0, 1, "share of pairs whose second query is tracked for 1 s only"),
        "ms": Parameter(1_500, 1, 20_000, "delay of every answer"),
    },
    "rule-length": {"rules": Parameter(300_000, 1_000, 5_000_000, "rules before the one that matches")},
    "redirect": {},
    # Small enough to overflow at 200 workers within seconds. The kernel's default, 106,496, overflows too, but
    # rarely. Under 8 KiB, one query of a pair is lost so often that the stalls look like those of the race.
    "receive-buffer": {"bytes": Parameter(16_384, 1_024, 1_048_576, "bytes of SO_RCVBUF of each server")},
    "slow-answer": {"ms": Parameter(1_200, 1, 20_000, "ms of delay of every answer"), "from": _FROM, "for": _FOR},
    "slow-aaaa": {"ms": Parameter(1_200, 1, 20_000, "ms of delay of every AAAA answer"), "from": _FROM, "for": _FOR},
    "one-dead-backend": {},
    "rcode": {
        "p": Parameter(0.05, 0, 1, "share of queries"),
        "code": Parameter(2, 2, 5, "SERVFAIL 2, NOTIMP 4, REFUSED 5", (2, 4, 5)),
        "type": Parameter(0, 0, 28, "A 1, AAAA 28, both 0", (0, 1, 28)),
        "from": _FROM,
        "for": _FOR,
    },
    "aaaa-rcode": {"code": Parameter(4, 2, 5, "SERVFAIL 2, NOTIMP 4, REFUSED 5", (2, 4, 5))},
    "truncation": {"p": Parameter(1, 0, 1, "share of UDP answers")},
    "refused-over-n": {
        "n": Parameter(4, 1, 100_000, "queries that may wait at each server"),
        "ms": Parameter(100, 1, 20_000, "ms of delay of every answer"),
    },
    "upstream-one-dead": {
        "p": Parameter(0.5, 0, 1, "share of queries"),
        "ms": Parameter(2_000, 1, 20_000, "ms until the other upstream is asked"),
    },
    "tcp-workers": {
        "n": Parameter(2, 1, 1_000, "workers of each server"),
        "ms": Parameter(40, 1, 20_000, "ms that a connection keeps one"),
    },
    "name-never-answers": {},
    "pause": {
        "ms": Parameter(800, 1, 60_000, "ms of each pause"),
        "every": Parameter(4, 0.1, 3_600, "s between pauses"),
    },
    "server-throttle": {"cpu": Parameter(0.2, 0.01, 64, "cores that the group may use, over each 100 ms")},
    "client-throttle": {"cpu": Parameter(0.1, 0.01, 64, "cores that the group may use, over each 100 ms")},
}


def number(value: float) -> str:
    """``value`` without an exponent: ``"0.05"``, ``"1,048,576"``."""
    return f"{value:,.9g}"


def problems(name: str, values: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each thing that is wrong with a fault: its name, a parameter's name or value."""
    if name not in PARAMETERS:
        yield said.UNKNOWN_FAULT(name=repr(name), hint=nearest(name, PARAMETERS))
        return
    known = PARAMETERS[name]
    for key, value in values.items():
        if key not in known:
            yield said.UNKNOWN_PARAMETER(fault=repr(name), key=repr(key), known=", ".join(known) or "none")
        elif known[key].choices and value not in known[key].choices:
            yield said.PARAMETER_CHOICE(name=f"{name}:{key}", choices=known[key].allowed, value=f"{value:g}")
        elif not known[key].low <= value <= known[key].high:
            low, high = f"{known[key].low:,.12g}", f"{known[key].high:,.12g}"
            yield said.PARAMETER_RANGE(name=f"{name}:{key}", low=low, high=high, value=f"{value:g}")
