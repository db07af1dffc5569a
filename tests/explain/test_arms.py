"""arms: what each arm shows, in a word, by tests against chance."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from dnslab.analyse.arms import COLUMNS
from dnslab.explain.arms import read_arms, seen_by_arm
from dnslab.explain.sign import State, some
from dnslab.plan.arms import ARMS
from dnslab.plan.ladder import Seen


def row(arm: str, place: str = "10.96.0.10", **changes: Any) -> dict[str, Any]:
    counts = dict.fromkeys(COLUMNS, 0)
    return {**counts, "arm": arm, "place": place, "n": 100, "p50_ms": 0.4, "p99_ms": 2.0, "rcodes": {}, **changes}


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def word(**changes: Any) -> str:
    return seen_by_arm(frame(row("a", **changes)))[0].word


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "clean"),
        ({"lost": 1}, "unclear"),
        ({"lost": 5, "unanswered": 5}, "lost"),
        ({"lost": 100, "unanswered": 100, "p50_ms": math.inf}, "silent"),
        ({"late": 2}, "clean"),
        ({"late": 12}, "late"),
        ({"errors": 100}, "errors"),
        ({"truncated": 100}, "truncated"),
        ({"late_sent": 8}, "clean"),
        ({"late_sent": 60}, "sent late"),
        ({"p50_ms": 200.0, "late": 100}, "late, slow"),
        ({"n": 0, "p50_ms": math.nan}, "clean"),
    ],
)
def test_words(changes: dict[str, Any], expected: str) -> None:
    assert word(**changes) == expected


def test_one_lost_query_of_many_thousand_is_no_trouble_and_rounds_add_up() -> None:
    assert some(3, 6_000, 1e-3) is not State.YES
    seen = seen_by_arm(frame(row("a", lost=2, unanswered=2), row("a", lost=2, unanswered=1)))
    assert [(one.n, one.counts["lost"], one.word) for one in seen] == [(200, 4, "lost")]
    assert seen_by_arm(frame()) == []


def test_what_the_ladder_needs() -> None:
    clean = [row(arm) for arm in ("control", *ARMS)]
    assert read_arms(frame(*clean)) == Seen()
    pair = [row(arm, lost=20 * (arm == "pair-one-socket")) for arm in ARMS]
    assert read_arms(frame(*pair)) == Seen(trouble=True)
    assert read_arms(frame(*[row(arm, lost=20) for arm in ARMS])) == Seen(trouble=True, everywhere=True)
    dead = [row(arm, lost=100, unanswered=100) for arm in ("a", "tcp")]
    assert read_arms(frame(*dead)) == Seen(dead=True, trouble=True)
    no_tcp = [row(arm, lost=100 * (arm == "tcp"), unanswered=100 * (arm == "tcp")) for arm in ARMS]
    assert read_arms(frame(*no_tcp)) == Seen(trouble=True)
    few = [row(arm, n=4, lost=4, unanswered=4) for arm in ("a", "tcp")]
    assert read_arms(frame(*few)) == Seen(trouble=True)
    elsewhere = row("a", "10.0.0.2", lost=100, unanswered=100)
    assert read_arms(frame(*clean, elsewhere)) == Seen(trouble=True)
    assert read_arms(frame(row("control", lost=50))) == Seen()
