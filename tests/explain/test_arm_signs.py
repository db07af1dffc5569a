"""Signs of raw queries: seen where their numbers say so, and only there; and what they show better than lookups."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from dnslab.analyse.arms import COLUMNS
from dnslab.explain import arm_signs, signs
from dnslab.explain.sign import Sign, State


def row(arm: str, **changes: Any) -> dict[str, Any]:
    counts = dict.fromkeys(COLUMNS, 0)
    usual = {
        "arm": arm,
        "place": "10.96.0.10",
        "n": 200,
        "rate_per_s": 10.0,
        "p50_ms": 0.2,
        "p99_ms": 2.0,
        "rcodes": {},
    }
    return {**counts, **usual, **changes}


def state(name: str, *rows: dict[str, Any]) -> State:
    return arm_signs.read(pd.DataFrame(list(rows), columns=list(COLUMNS)))[name].state


def errors_at(*shares: float) -> list[dict[str, Any]]:
    """The arm ``a`` at 5 queries a second, then at 25."""
    rates = zip((5.0, 25.0), shares, strict=True)
    return [row("a", rate_per_s=rate, errors=round(200 * share)) for rate, share in rates]


@pytest.mark.parametrize(
    ("name", "seen", "not_seen"),
    [
        ("raw-a-always", [row("a", lost=200, unanswered=200)], [row("a", lost=60, unanswered=60)]),
        ("raw-errors-grow", errors_at(0.05, 0.6), errors_at(0.4, 0.4)),
        ("raw-flows-slow", [row("a", p50_ms=1.0), row("standing")], [row("a", p50_ms=0.3), row("standing")]),
        ("raw-held-up", [row("aaaa", p99_ms=80.0)], [row("aaaa", p99_ms=12.0), row("a", p99_ms=math.inf)]),
        ("raw-short", [row("a", p99_ms=95.0)], [row("a", p99_ms=700.0)]),
        (
            "raw-late-together",
            [row("a", after_late=40, late_after_late=38)],
            [row("a", after_late=40, late_after_late=3)],
        ),
        ("raw-tcp-resent", [row("tcp", lost=12, unanswered=0)], [row("tcp", lost=12, unanswered=12)]),
        ("raw-a-late", [row("a", p50_ms=61.0)], [row("a", p50_ms=61.0, lost=100, unanswered=100)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_seen_and_not_seen(name: str, seen: list[dict[str, Any]], not_seen: list[dict[str, Any]]) -> None:
    assert (state(name, *seen), state(name, *not_seen)) == (State.YES, State.NO)


def test_errors_of_other_arms_do_not_grow_with_the_rate() -> None:
    """A rung at a high rate may ask for A alone, which gets the errors."""
    assert state("raw-errors-grow", *errors_at(0.4, 0.4), row("aaaa", rate_per_s=5.0)) is State.NO


def test_too_few_or_too_many_late_queries_do_not_tell_whether_they_come_together() -> None:
    for n in (9, 100):
        assert state("raw-late-together", row("a", after_late=n, late_after_late=n)) is State.NOT_MEASURED


def test_raw_queries_show_delays_better_than_lookups() -> None:
    found = {name: Sign(name, State.YES) for name in ("delay-some", "delay-short", "delays-together")}
    quick = {name: Sign(name, State.NOT_MEASURED) for name in ("raw-short", "raw-late-together")}
    better = signs._seen_better(found, {**quick, "raw-held-up": Sign("raw-held-up", State.NO)})
    assert {name: sign.state for name, sign in better.items()} == {"delay-some": State.UNCLEAR}
    known = {name: Sign(name, State.NO) for name in quick}
    better = signs._seen_better(found, {**known, "raw-held-up": Sign("raw-held-up", State.YES)})
    assert {sign.name: sign.state for sign in better.values()} == {
        "delay-short": State.NO,
        "delays-together": State.NO,
    }
