"""A diagnosis that was read: its answer, and the runs of its rungs with what they hold together.

Pure but for reading the runs' numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dnslab.analyse.arms import arm_frame
from dnslab.analyse.dataset import Run
from dnslab.explain.arms import ArmSeen, read_arms
from dnslab.explain.ladder import Answer
from dnslab.plan.ladder import Ladder, Seen
from dnslab.sentences import diagnosis as said
from dnslab.text import Facts, Table, as_html, as_output, counted, duration, listed, milliseconds

#: columns of the table of arms that are counts, by their heading
_COUNTS = {
    "no answer in 1 s": "lost",
    "no answer at all": "unanswered",
    "late": "late",
    "error codes": "errors",
    "cut short": "truncated",
    "sent late": "late_sent",
    "not sent": "unsent",
}


@dataclass(frozen=True)
class Diagnosed:
    """A diagnosis by the folder it is in (or the finished run that it was made from): its answer, the runs of its rungs
    in the order in which they were measured, and what was asked."""

    path: Path
    answer: Answer
    runs: tuple[Run, ...]
    asked: Ladder

    @cached_property
    def arms(self) -> pd.DataFrame:
        """Raw queries of all rungs, as ``analyse.arms.arm_frame`` gives them."""
        return arms_of(self.runs)

    @property
    def libc(self) -> Run | None:
        """The run that compared configurations of the C library, if the ladder came to it."""
        return libc_run(self.runs)

    def arm_table(self) -> Table:
        """What each arm showed at each address, in numbers."""
        return arm_table(self.answer.arms)

    @property
    def facts(self) -> Facts:
        """What was asked, and what was found, in a few lines."""
        answer = self.answer
        lines = {
            "answer": answer.status,
            "rungs": listed([rung.rung for rung in answer.rungs]) if answer.rungs else "",
            "took": duration(answer.seconds) if answer.seconds else "",
            "queries": counted(sum(seen.n for seen in answer.arms), "raw query", "raw queries"),
        }
        return Facts(said.DIAGNOSIS(name=self.path.name), lines)

    def __repr__(self) -> str:
        return "\n".join([str(self.facts), *self.answer.lines])

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{as_html(line)}</li>" for line in self.answer.lines)
        return as_output(f"<div class='card'>{self.facts.to_html()}<ul>{lines}</ul></div>")


def arms_of(runs: Sequence[Run]) -> pd.DataFrame:
    """Raw queries of all ``runs``, as ``arm_frame`` gives them."""
    frames = [frame for run in runs if len(frame := arm_frame(run))]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["arm", "place"])


def libc_run(runs: Sequence[Run]) -> Run | None:
    """The run that compared configurations of the C library."""
    return next((run for run in runs if any(load.engine == "libc" for load in run.plan.loads)), None)


def seen_so_far(arms: pd.DataFrame, answer: Answer) -> Seen:
    """What the rungs so far show of where the ladder goes on: raw queries, and what was concluded of them."""
    seen = read_arms(arms)
    too_little = answer.status == "insufficient data" or answer.hints
    return replace(seen, trouble=seen.trouble or answer.trouble, too_little=too_little)


def arm_table(arms: Sequence[ArmSeen]) -> Table:
    """What each arm showed at each address, in numbers; a row each."""
    return Table(pd.DataFrame([_numbers(seen) for seen in arms]), str(said.ARMS_TABLE))


def _numbers(seen: ArmSeen) -> dict[str, Any]:
    counts = {heading: f"{seen.counts[column]:,}" for heading, column in _COUNTS.items()}
    times = {f"{name} ms": _time(value) for name, value in (("p50", seen.p50_ms), ("p99", seen.p99_ms))}
    return {"arm": seen.arm, "asked at": seen.place, "queries": f"{seen.n:,}", **counts, **times, "seen": seen.word}


def _time(value: float) -> str:
    return milliseconds(value) if math.isfinite(value) else "-"
