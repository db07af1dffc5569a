"""Several runs beside each other: the answer and the figures of each. Compares nothing.

The first is called ``before``, the others ``after``, ``after 2`` and so on.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dnslab import tables
from dnslab.dataset import Run
from dnslab.findings import conclude
from dnslab.stats import summarise
from dnslab.validity import find_vetoes


def _named(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    later = (f"after {number}" if number > 1 else "after" for number in range(1, len(runs)))
    return list(zip(["before", *later], runs, strict=True))


def headlines(runs: Sequence[Run]) -> tables.Table:
    """What each run says: its folder, when it began, its fault, its headline."""
    rows = []
    for name, run in _named(runs):
        summary = summarise(run)
        answer = conclude(summary, find_vetoes(run, summary)).headline
        facts = {"folder": run.path.name, "started": run.environment.get("started", ""), "fault": summary.fault}
        rows.append({"run": name, **facts, "the answer": answer})
    return tables.Table(pd.DataFrame(rows), "the answer of each run")


def side_by_side(runs: Sequence[Run]) -> tables.Table:
    """The figures of every run, a configuration's rows below each other."""
    return tables.side_by_side({name: summarise(run).figures for name, run in _named(runs)})
