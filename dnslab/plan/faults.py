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
    """A parameter of a fault: its default and allowed range."""

    default: float
    low: float
    high: float
    what: str


_LOSS = Parameter(0.05, 0.0, 1.0, "share of packets")
#: by fault
PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    "none": {},
    "race": {"p": Parameter(0.05, 0.0, 1.0, "share of exposed pairs")},
    "loss": {"p": _LOSS},
    # Small enough to overflow at 200 workers within seconds. The kernel's default, 106,496, overflows too, but
    # rarely. Under 8 KiB, one query of a pair is lost so often that the stalls look like those of the race.
    "receive-buffer": {"bytes": Parameter(16_384, 1024, 1 << 20, "SO_RCVBUF of each server")},
    "slow-answer": {"ms": Parameter(1200, 1, 20_000, "delay of every answer")},
    "slow-aaaa": {"ms": Parameter(1200, 1, 20_000, "delay of every AAAA answer")},
    "one-dead-backend": {},
    "tcp-blocked": {},
}


def problems(name: str, values: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each thing that is wrong with a fault: its name, a parameter's name or value."""
    if name not in PARAMETERS:
        yield said.UNKNOWN_FAULT(name=repr(name), hint=nearest(name, PARAMETERS))
        return
    known = PARAMETERS[name]
    for key, value in values.items():
        if key not in known:
            yield said.UNKNOWN_PARAMETER(fault=repr(name), key=repr(key), known=", ".join(known) or "none")
        elif not known[key].low <= value <= known[key].high:
            low, high = f"{known[key].low:,.12g}", f"{known[key].high:,.12g}"
            yield said.PARAMETER_RANGE(name=f"{name}:{key}", low=low, high=high, value=f"{value:g}")
