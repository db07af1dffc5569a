"""One lookup in detail: when it was due, began and ended, what the probe noted, and the counters of its trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnslab.analyse.dataset import Run
from dnslab.analyse.lookups import OUTCOMES, Lookups, error_name
from dnslab.errors import RunInvalid
from dnslab.store import stream as records
from dnslab.text import Table, as_html, as_output, milliseconds, rounded

#: what a flag tells
FLAGS = {
    records.FLAG_HALF_LOST: "half lost: one of two parallel answers came, and glibc asked again one after the other",
    records.FLAG_HALF_LOST_TWICE: "half lost twice: one stayed away again, and glibc took a socket for each query",
    records.FLAG_WORKERS_EXHAUSTED: "workers exhausted: every worker was inside the resolver when it was due",
    records.FLAG_TRUNCATED: "truncated: the answer did not fit into a datagram",
    records.FLAG_TCP: "asked over TCP",
}
#: counters worth a look even where they stood still: they would show another cause
TELLING = (".exposed", ".Udp.RcvbufErrors", "node.conntrack.insert_failed", "node.conntrack.drop")


@dataclass(frozen=True)
class Closeup:
    """``sentences`` are in the order things happened; ``counters`` are the trial's, before and after it."""

    sentences: tuple[str, ...]
    counters: Table

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{as_html(line)}</li>" for line in self.sentences)
        return as_output(f"<ol class='told'>{lines}</ol>{self.counters._repr_html_()}")


def follow(run: Run) -> Closeup:
    """The first stall of ``run`` in detail. If nothing stalled: the slowest lookup, and a sentence that says so.

    Raises
    ------
    RunInvalid
        Nothing was measured.
    """
    slowest: tuple[float, Lookups, int] | None = None
    for lookups in run.decoded():
        if lookups.stall.any():
            return _closeup(lookups, int(np.argmax(lookups.stall)))
        if len(lookups.raw):
            row = int(np.argmax(lookups.service_ms))
            if slowest is None or lookups.service_ms[row] > slowest[0]:
                slowest = (float(lookups.service_ms[row]), lookups, row)
    if slowest is None:
        raise RunInvalid(f"{run.path} has no lookups to follow: nothing was measured")
    return _closeup(*slowest[1:])


def _closeup(lookups: Lookups, row: int) -> Closeup:
    start, raw = lookups.client.start, lookups.raw[row]
    first = "" if lookups.stall[row] else "Nothing stalled in this run, so this is its slowest lookup: "
    name = start.names[int(raw["name"]) // start.entries_per_name]
    service_ms = float(lookups.service_ms[row])
    waited_ms = float(lookups.response_ms[row]) - service_ms
    sentences = [
        f"{first}{name} was due {lookups.intended_s[row]:.3f} s after the start of trial {lookups.client.number} "
        f"({start.variant} on {start.target}, round {start.round}).",
        f"Worker {raw['worker']} began {milliseconds(waited_ms)} ms later.",
        f"The resolver returned after {milliseconds(service_ms)} ms: {_outcome(lookups, row)}.",
        _against_timeout(lookups, row),
        "The probe noted: " + ("; ".join(_flags(int(raw["flags"]))) or "nothing") + ".",
    ]
    return Closeup(tuple(sentences), _counters(start.counters, lookups.client.counters_after))


def _outcome(lookups: Lookups, row: int) -> str:
    raw = lookups.raw[row]
    outcome, code = OUTCOMES[lookups.outcome[row]], int(raw["outcome"])
    error = f" ({error_name(code)})" if code else ""
    return f"{outcome}{error}, with {raw['answers'] & 0xFFFF} A and {raw['answers'] >> 16} AAAA"


def _against_timeout(lookups: Lookups, row: int) -> str:
    """Compare the lookup with the attempt timeout. Over TCP the resolver never asks again, so no timeout is named."""
    timeout_s = lookups.client.start.attempt_timeout_s
    again = f"It asks again after {timeout_s:g} s without an answer. " if timeout_s else ""
    word = "a stall" if lookups.stall[row] else "no stall"
    return f"{again}{rounded(lookups.client.start.stall_ms / 1e3)} s or more count as a stall, so this is {word}."


def _flags(flags: int) -> list[str]:
    return [text for flag, text in FLAGS.items() if flags & flag]


def _counters(before: Mapping[str, int], after: Mapping[str, int]) -> Table:
    """A table of the counters that point to a cause, then of all others that changed.

    CPU ticks are left out, and inodes, which are no amount.
    """
    names = [name for name in before if name in after and not name.startswith("machine.cpu.") and ".inodes" not in name]
    telling = [name for name in names if name.endswith(TELLING)]
    changed = [name for name in names if name not in telling and before[name] != after[name]]
    rows = [
        {
            "counter": name,
            "before": f"{before[name]:,}",
            "after": f"{after[name]:,}",
            "change": f"{after[name] - before[name]:+,}" if after[name] != before[name] else "0",
        }
        for name in [*telling, *changed]
    ]
    return Table(pd.DataFrame(rows), "counters before and after the trial")
