"""Several runs beside each other, called as ``comparison`` calls them: the answer and the figures of each."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dnslab.analyse.dataset import Run
from dnslab.analyse.summary import summarise
from dnslab.explain import tables
from dnslab.explain.comparison import labels
from dnslab.explain.findings import conclude
from dnslab.explain.validity import find_vetoes


def _named(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    return list(zip(labels(len(runs)), runs, strict=True))


def headlines(runs: Sequence[Run]) -> tables.Table:
    """What each run says: its folder, when it began, its fault, its headline."""
    rows = []
    for name, run in _named(runs):
        summary = summarise(run)
        answer = conclude(summary, find_vetoes(run, summary)).headline
        facts = {"folder": run.path.name, "started": run.environment.get("started", ""), "fault": summary.fault}
        rows.append({"run": name, **facts, tables.ANSWER: answer})
    return tables.Table(pd.DataFrame(rows), "the answer of each run")


def side_by_side(runs: Sequence[Run]) -> tables.Table:
    """The figures of every run, a configuration's rows below each other."""
    return tables.side_by_side({name: summarise(run).figures for name, run in _named(runs)})
