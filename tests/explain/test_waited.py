"""waited: what a sentinel saw stands first in the answer, and trouble that has gone is not nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from dnslab.analyse.arms import COLUMNS
from dnslab.explain.ladder import RungDone, conclude_ladder
from dnslab.explain.waited import Waited
from dnslab.plan import ladder
from dnslab.plan.arms import Places
from dnslab.plan.ladder import Rung

QUIET = Waited(3_600.0, 3_600.0, n=5_400, lost=0, errors=0, late=3, n_targets=1)
FIRED = replace(QUIET, seconds=725.0, target="node-1", kind="failed", n_bad=5, window_s=60.0)


def arms(n: int) -> pd.DataFrame:
    """Clean queries of one arm."""
    zero: dict[str, Any] = dict.fromkeys(COLUMNS, 0)
    zero |= {"rcodes": {}, "rises": {}}
    row = {**zero, "arm": "a", "place": "10.96.0.10", "target": "t", "n": n, "p50_ms": 1.0, "p99_ms": 2.0}
    return pd.DataFrame([{**row, "arm": "control", "n": 5}, row])


def said(waited: Waited | None, following: Rung | None = None) -> tuple[str, tuple[str, ...]]:
    done = [RungDone("arms", "rungs/1-arms", 9.0, 6.0, 12.0, 1)]
    answer = conclude_ladder(done, arms(400), None, Places(), passed_s=9.0, following=following, waited=waited)
    assert answer.to_dict()["waited"] == (waited.__dict__ if waited else None)
    return answer.status, answer.lines


def test_of_a_quiet_wait_nothing_more_is_said() -> None:
    assert said(QUIET) == said(None)
    assert said(None)[0] == "nothing found"


def test_what_had_gone_leaves_the_answer_open() -> None:
    status, lines = said(FIRED)
    assert status == "insufficient data"
    assert lines[0].startswith("After 12 min 5 s of waiting, 5 queries from node-1 failed within 1 min, so the ladder")
    assert "had gone when the ladder was climbed" in lines[1]
    _, unfinished = said(FIRED, ladder.MORE)
    assert not any("had gone" in line for line in unfinished)
    assert "The next rung would be more" in unfinished[-1]


def test_a_wait_that_was_not_whole_says_so() -> None:
    _, lines = said(replace(QUIET, problem="1 of 48 trials is incomplete: a: it died. Resume it"))
    assert lines[0] == "Part of the wait is missing: 1 of 48 trials is incomplete: a: it died."
    assert "came late" in said(replace(FIRED, kind="late"))[1][0]


def test_counts_are_those_of_the_queries() -> None:
    frame = pd.concat([arms(10), arms(20).assign(target="u", lost=2, errors=1, late=4)])
    waited = Waited.of(frame, 60.0, 61.0)
    assert (waited.n, waited.lost, waited.errors, waited.late, waited.n_targets) == (40, 4, 2, 8, 2)
    assert not waited.fired
