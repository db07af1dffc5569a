"""Several runs side by side, with the names that ``comparison`` gives them: the answer and the numbers of each."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dnslab.analyse.dataset import Run
from dnslab.explain import tables
from dnslab.explain.comparison import labels
from dnslab.explain.findings import conclude_part
from dnslab.explain.soundness import examine
from dnslab.text import ANSWER, Table


def _named(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    return list(zip(labels(len(runs)), runs, strict=True))


def headlines(runs: Sequence[Run]) -> Table:
    """A row for each run: its folder, when it began, its fault, its headline."""
    rows = []
    for name, run in _named(runs):
        part = examine(run)
        answer = conclude_part(part).headline
        facts = {"folder": run.path.name, "started": run.environment.started or "", "fault": part.summary.fault}
        rows.append({"run": name, **facts, ANSWER: answer})
    return Table(pd.DataFrame(rows), "the answer of each run")


def side_by_side(runs: Sequence[Run]) -> Table:
    """The numbers of every run's sound part. The rows of one configuration stand below each other."""
    return tables.side_by_side({name: tables.by_configuration(examine(run).summary) for name, run in _named(runs)})
