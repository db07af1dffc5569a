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
        "rises": {},
    }
    return {**counts, **usual, **changes}


def state(name: str, *rows: dict[str, Any]) -> State:
    return arm_signs.read(pd.DataFrame(list(rows), columns=list(COLUMNS)))[name].state


def errors_at(*shares: float) -> list[dict[str, Any]]:
    """The arm ``a`` at 5 queries a second, then at 25."""
    rates = zip((5.0, 25.0), shares, strict=True)
    return [row("a", rate_per_s=rate, errors=round(200 * share)) for rate, share in rates]


def lossy(arm: str, lost: int, **changes: Any) -> dict[str, Any]:
    return row(arm, lost=lost, unanswered=lost, **changes)


def pairs_at(*shares: float) -> list[dict[str, Any]]:
    """Pairs from one socket at 5 a second, then at 25."""
    rates = zip((5.0, 25.0), shares, strict=True)
    return [lossy("pair-one-socket", round(200 * share), rate_per_s=rate) for rate, share in rates]


@pytest.mark.parametrize(
    ("name", "seen", "not_seen"),
    [
        ("raw-a-always", [row("a", lost=200, unanswered=200)], [row("a", lost=60, unanswered=60)]),
        ("raw-errors-grow", errors_at(0.05, 0.6), errors_at(0.4, 0.4)),
        ("raw-flows-slow", [row("a", p50_ms=1.0), row("standing")], [row("a", p50_ms=0.3), row("standing")]),
        ("raw-held-up", [row("aaaa", answered_p99_ms=80.0)], [row("aaaa", answered_p99_ms=12.0)]),
        ("raw-short", [row("a", answered_p99_ms=95.0)], [row("a", answered_p99_ms=700.0)]),
        (
            "raw-short",
            [row("a", answered_p99_ms=280.0, held=90, late=6)],
            [row("a", answered_p99_ms=280.0, held=20, late=15)],
        ),
        ("raw-tcp-late", [row("tcp", held=40), row("a", held=1)], [row("tcp", held=40), row("a", held=35)]),
        (
            "raw-late-together",
            [row("a", after_late=40, late_after_late=38)],
            [row("a", after_late=40, late_after_late=3)],
        ),
        ("raw-tcp-resent", [row("tcp", lost=12, unanswered=0)], [row("tcp", lost=12, unanswered=12)]),
        ("raw-tcp-resent", [row("tcp", lost=12)], [row("tcp", lost=12), row("a", lost=11)]),
        ("raw-tcp-short", [row("tcp", held=60, short=60)], [row("tcp", held=60, short=8)]),
        ("raw-tcp-always", [row("tcp", lost=200, unanswered=200)], [row("tcp", lost=9, unanswered=9)]),
        ("raw-all-late", [row("a", held=199)], [row("a", held=40)]),
        (
            "raw-late-constant",
            [row("a", late=12, late_p10_ms=2_001.0, late_p90_ms=2_030.0)],
            [row("a", late=12, late_p10_ms=151.0, late_p90_ms=900.0)],
        ),
        (
            "raw-kept-spared",
            [lossy("a", 60), lossy("aaaa", 55), lossy("standing", 0)],
            [lossy("a", 60), lossy("aaaa", 55), lossy("standing", 58)],
        ),
        (
            "raw-kept-same",
            [lossy("standing", 20, kept=16, kept_silent=2, kept_chance=0.01)],
            [lossy("standing", 20, kept=16, kept_silent=0, kept_chance=0.01)],
        ),
        (
            "raw-pair-first",
            [lossy("pair-one-socket", 20, lost_first=18, lost_second=2)],
            [lossy("pair-one-socket", 20, lost_first=1, lost_second=19)],
        ),
        (
            "raw-pair-second",
            [lossy("pair-one-socket", 20, lost_first=1, lost_second=19)],
            [lossy("pair-one-socket", 20, lost_first=8, lost_second=12)],
        ),
        (
            "raw-whole-flows",
            [lossy("pair-one-socket", 28), lossy("pair-two-sockets", 20, lost_first=10, lost_second=10)],
            [lossy("pair-one-socket", 20, lost_second=20), lossy("pair-two-sockets", 20, lost_second=20)],
        ),
        (
            "raw-whole-flows",
            [lossy("pair-one-socket", 60), lossy("pair-two-sockets", 4)],
            [row("pair-one-socket", lost=100), lossy("pair-two-sockets", 4)],  # answered after 1 s
        ),
        (
            "raw-window",
            [lossy("a", 20, silent_from_s=1.0, silent_s=1.2, length_s=10.0)],
            [lossy("a", 20, silent_from_s=math.nan, silent_s=math.nan, length_s=math.nan)],
        ),
        (
            "raw-from-start",
            [lossy("a", 20, silent_from_s=0.1, silent_s=1.2, length_s=10.0)] * 2,
            [lossy("a", 20, silent_from_s=3.1, silent_s=1.2, length_s=10.0)] * 2,
        ),
        (
            "raw-aaaa-alone-late",
            [row("a", held=2), row("aaaa", held=199)],
            [row("a", held=190), row("aaaa", held=199)],
        ),
        ("raw-aaaa-alone-late", [row("a", held=60), row("aaaa", held=199)], [row("a", held=2), row("aaaa", held=20)]),
        ("raw-some-held", [row("a", held=20)], [row("a", held=2)]),
        ("raw-some-held", [row("a", held=20)], [row("a", held=199)]),
        ("raw-some-held", [row("a", held=9, lost=150, unanswered=150)], [row("a", held=50, lost=150, unanswered=150)]),
        ("raw-lost-grows", pairs_at(0.0, 0.5), pairs_at(0.3, 0.3)),
        (
            "raw-refused-quick",
            [row("a", errors=50, rcodes={"REFUSED": 50}, error_p50_ms=1.2, good_p50_ms=101.0)],
            [row("a", errors=50, rcodes={"SERVFAIL": 50}, error_p50_ms=1.2, good_p50_ms=101.0)],
        ),
        ("raw-a-late", [row("a", good_p50_ms=61.0)], [row("a", good_p50_ms=61.0, lost=100, unanswered=100)]),
        (
            "raw-a-late",
            [row("a", good_p50_ms=61.0, held=100, lost=100, unanswered=100)],
            [row("a", good_p50_ms=0.3, lost=100, unanswered=100)],
        ),
        ("raw-all-late", [row("a", held=100, lost=100, unanswered=100)], [row("a", held=40)]),
        ("raw-tcp-slow", [row("tcp", late=60), row("a")], [row("tcp", late=60, lost=60), row("a")]),
        ("raw-tcp-slow", [row("tcp", late=60), row("a", late=10)], [row("tcp", late=60), row("a", late=60)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_seen_and_not_seen(name: str, seen: list[dict[str, Any]], not_seen: list[dict[str, Any]]) -> None:
    assert (state(name, *seen), state(name, *not_seen)) == (State.YES, State.NO)


@pytest.mark.parametrize(
    ("pauses", "longest_s", "expected"),
    [(2, 0.3, State.YES), (1, 1.3, State.YES), (1, 0.3, State.UNCLEAR), (0, math.nan, State.NOT_MEASURED)],
)
def test_two_pauses_or_a_long_one_are_no_chance(pauses: int, longest_s: float, expected: State) -> None:
    assert state("raw-paused", row("a", pauses=pauses, paused_s=longest_s)) is expected


def test_errors_of_other_arms_do_not_grow_with_the_rate() -> None:
    """A rung at a high rate may ask for A alone, which gets the errors."""
    assert state("raw-errors-grow", *errors_at(0.4, 0.4), row("aaaa", rate_per_s=5.0)) is State.NO


def test_too_few_or_too_many_late_queries_do_not_tell_whether_they_come_together() -> None:
    for n in (9, 100):
        assert state("raw-late-together", row("a", after_late=n, late_after_late=n)) is State.NOT_MEASURED


def test_pairs_from_one_socket_lose_more_only_where_chance_hardly_gives_it() -> None:
    name, two = "raw-pair-more", lossy("pair-two-sockets", 16, n=240)
    assert state(name, lossy("pair-one-socket", 54, n=240), two) is State.YES
    assert state(name, lossy("pair-one-socket", 10, n=298), lossy("pair-two-sockets", 1, n=298)) is State.UNCLEAR


def read(*rows: dict[str, Any]) -> dict[str, Sign]:
    return signs.read(None, pd.DataFrame(list(rows), columns=list(COLUMNS)))


def test_what_kernels_count_beside_raw_queries_counts() -> None:
    drops = {"server-a.Udp.RcvbufErrors": 40.0, "server-b.Udp.RcvbufErrors": 55.0}
    assert read(lossy("a", 80, rises=drops))["server-buffer"].yes
    assert read(lossy("a", 80, rises=dict.fromkeys(drops, 0.0)))["server-buffer"].no
    assert read(lossy("a", 80))["server-buffer"].state is State.NOT_MEASURED
    held = {"client.cpu.periods": 119.0, "client.cpu.throttled_periods": 116.0}
    assert read(row("a", rises=held))["throttled"].yes


def test_how_full_a_table_is_does_not_add_up_over_rungs() -> None:
    """Four rungs beside a table that is a third full."""
    third = [row("a", rises={"node.conntrack.count": 0.3, "node.conntrack.early_drop": 0.0}) for _ in range(4)]
    assert read(*third)["table-full"].no
    assert read(*third, row("a", rises={"node.conntrack.count": 0.97}))["table-full"].yes


def test_lookups_stall_where_raw_queries_are_lost_and_no_lookups_were_made() -> None:
    assert read(lossy("a", 60))["stalls"].yes
    assert read(row("a"))["stalls"].state is State.NOT_MEASURED


def test_a_time_in_which_new_flows_alone_are_lost_is_no_outage() -> None:
    outage = {name: Sign(name, State.YES) for name in ("delay-some", "window", "stalls")}
    for kept, window in ((0, State.NO), (58, State.YES)):
        raw = arm_signs.read(pd.DataFrame([lossy("a", 110), lossy("standing", kept)], columns=list(COLUMNS)))
        assert {**outage, **signs._seen_better(outage, raw)}["window"].state is window


def test_raw_queries_show_delays_better_than_lookups() -> None:
    found = {name: Sign(name, State.YES) for name in ("delay-some", "delay-short", "delays-together", "stalls")}
    nothing = {name: Sign(name, State.NOT_MEASURED) for name in arm_signs.NAMES}
    better = signs._seen_better(found, {**nothing, "raw-held-up": Sign("raw-held-up", State.NO)})
    assert {name: sign.state for name, sign in better.items()} == {"delay-some": State.UNCLEAR}
    late = {name: Sign(name, State.YES) for name in ("raw-held-up", "raw-a-late")}
    few = {**found, "delay-some": Sign("delay-some", State.UNCLEAR)}
    assert signs._seen_better(few, {**nothing, **late})["delay-some"].yes
    known = {name: Sign(name, State.NO) for name in ("raw-short", "raw-late-together")}
    better = signs._seen_better(found, {**nothing, **known, "raw-held-up": Sign("raw-held-up", State.YES)})
    assert {sign.name: sign.state for sign in better.values()} == {
        "delay-short": State.NO,
        "delays-together": State.NO,
    }
