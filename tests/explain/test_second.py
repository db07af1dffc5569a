"""A second cause is told by what the first cannot reach: other servers, the time before and after a cut, what is late
beyond what all answers take, and answers over UDP beside those that are cut."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from dnslab.analyse.arms import COLUMNS
from dnslab.explain.arms import usual_way
from dnslab.explain.diagnosed import seen_so_far
from dnslab.explain.engine import Answer, Word, rank
from dnslab.explain.ladder import RungDone, conclude_ladder
from dnslab.explain.second import _read, beyond, with_second
from dnslab.explain.sign import Sign, State
from dnslab.explain.signs import read
from dnslab.plan.arms import ARMS, Places

PLACES = Places(("10.96.0.10",), ("10.0.0.2", "10.0.0.3"))
NOT_SILENT = {"silent_from_s": math.nan, "silent_s": math.nan, "length_s": math.nan}


def row(arm: str, place: str = "10.96.0.10", **changes: Any) -> dict[str, Any]:
    """200 queries of an arm."""
    zero: dict[str, Any] = dict.fromkeys(COLUMNS, 0)
    usual = {"arm": arm, "place": place, "n": 200, "rate_per_s": 10.0, "p50_ms": 1.0, "p99_ms": 2.0}
    return {
        **zero,
        **NOT_SILENT,
        **usual,
        "answered_p99_ms": 2.0,
        "rcodes": {},
        "rises": {},
        "calm": {},
        "running": {},
        "beyond": {},
        **changes,
    }


def lost(n: int) -> dict[str, Any]:
    return {"lost": n, "unanswered": n}


def found(*rows: dict[str, Any]) -> tuple[Answer, set[str]]:
    arms = pd.DataFrame(list(rows), columns=list(COLUMNS))
    signs = read(None, usual_way(arms))
    servers = arms[arms["place"].isin(PLACES.stayed)]
    if len(servers):
        signs["raw-one-place"] = read(None, servers)["raw-one-place"]
    answer = with_second(rank(signs), signs, arms, PLACES)
    assert all(one.word.rank <= Word.LIKELY.rank for one in answer.found)
    return answer.answer, {one.mechanism.name for one in answer.found}


def dead(at_the_other: dict[str, dict[str, Any]]) -> tuple[Answer, set[str]]:
    """One server of two is dead, and arms at the other saw this."""
    here = [row(arm, **lost(100)) for arm in ARMS]
    there = [row(arm, "10.0.0.3", **lost(200)) for arm in ("a", "tcp", "standing")]
    other = [row(arm, "10.0.0.2", **at_the_other.get(arm, {})) for arm in ("a", "tcp", "standing")]
    return found(*here, *there, *other)


def test_what_the_server_that_answers_loses_is_a_second_cause() -> None:
    assert dead({}) == (Answer.FOUND, {"one-server-silent"})
    lossy = {"a": lost(14), "standing": lost(17), "tcp": {"lost": 20, "late": 22}}
    assert dead(lossy) == (Answer.TWO, {"one-server-silent", "packets-lost"})
    assert dead({"a": {"errors": 40}}) == (Answer.TWO, {"one-server-silent", "errors"})


@pytest.mark.parametrize(
    ("calm", "second"),
    [
        ({"errors": 30}, {"errors"}),
        ({"held": 60, "held_p10_ms": 24.0, "held_p90_ms": 93.0, "answered_p99_ms": 96.0}, {"held-up"}),
        ({}, set()),
    ],
    ids=["errors", "a CPU limit", "nothing"],
)
def test_what_is_left_before_and_after_a_cut_is_a_second_cause(calm: dict[str, Any], second: set[str]) -> None:
    silent = {"silent_from_s": 2.0, "silent_s": 1.2, "length_s": 10.0}
    rows = []
    for arm in ARMS:
        counts: dict[str, Any] = {"lost": 24} if arm == "tcp" else lost(24)
        outside = {**dict.fromkeys(("lost", "unanswered", "held", "late", "errors"), 0), "n": 176, **calm}
        rows.append(row(arm, **{**calm, **counts, **(silent if arm == "a" else {})}, calm=outside))
    answer, names = found(*rows, UNTHROTTLED)
    assert names == {"all-lost-for-a-time", *second}
    assert answer is (Answer.TWO if second else Answer.FOUND)


@pytest.mark.parametrize(
    ("running", "second"),
    [
        ({"errors": 30}, {"errors"}),
        ({"lost": 40, "unanswered": 40}, {"packets-lost"}),
        ({"held": 60, "held_p10_ms": 24.0, "held_p90_ms": 93.0, "answered_p99_ms": 96.0}, {"held-up"}),
        ({"late": 60, "held": 60, "late_p10_ms": 980.0, "late_p90_ms": 1_020.0}, {"some-late"}),
        ({}, set()),
    ],
    ids=["errors", "loss", "a CPU limit", "a dead upstream", "nothing"],
)
def test_what_is_left_between_pauses_is_a_second_cause(running: dict[str, Any], second: set[str]) -> None:
    times = {"held_p10_ms": 40.0, "held_p90_ms": 1_200.0, "late_p10_ms": 160.0, "late_p90_ms": 1_200.0}
    rows = []
    for arm in ARMS:
        counts: dict[str, Any] = {"held": 30, "late": 26, "answered_p99_ms": 1_300.0, **times}
        outside: dict[str, Any] = {"held": 0, "late": 0, "n": 170, "answered_p99_ms": 2.0, **running}
        counts |= {name: running[name] for name in ("errors", "lost", "unanswered") if name in running}
        counts |= {"pauses": 2, "paused_s": 1.3} if arm == "a" else {}
        rows.append(row(arm, **counts, running=outside))
    answer, names = found(*rows, UNTHROTTLED)
    assert names == {"pauses", *second}
    assert answer is (Answer.TWO if second else Answer.FOUND)


UNTHROTTLED = row("a", n=0, rises={"client.cpu.periods": 100.0, "client.cpu.throttled_periods": 0.0})
SHORT: dict[str, Any] = {"held": 60, "held_p10_ms": 24.0, "held_p90_ms": 93.0, "answered_p99_ms": 96.0}


ALL_LATE: dict[str, Any] = {"held": 200, "late": 200, "good_p50_ms": 250.0, "answered_p99_ms": 350.0}
NOT_LATER: dict[str, Any] = {**dict.fromkeys(("held", "late"), 0), "good_p50_ms": 0.1, "answered_p99_ms": 2.0}


@pytest.mark.parametrize(
    ("later", "second"),
    [(SHORT, {"held-up"}), ({"held": 3}, set())],
    ids=["a CPU limit", "hardly any"],
)
def test_what_is_late_beyond_what_all_answers_take_is_a_second_cause(later: dict[str, Any], second: set[str]) -> None:
    rows = [row(arm, **ALL_LATE, beyond={**NOT_LATER, **later}) for arm in ARMS]
    answer, names = found(*rows, UNTHROTTLED)
    assert names == {"all-late", *second}
    assert answer is (Answer.TWO if second else Answer.FOUND)


def test_what_is_late_beyond_a_clash_of_late_answers_is_a_second_cause() -> None:
    """It loses answers to pairs from one socket alone, and on sockets that are kept: what others lack tells more."""
    clash = {"pair-one-socket": lost(12), "standing": lost(40)}
    rows = [row(arm, **ALL_LATE, beyond={**NOT_LATER, **SHORT}, **clash.get(arm, {})) for arm in ARMS]
    arms = pd.DataFrame([*rows, UNTHROTTLED], columns=list(COLUMNS))
    signs = {**read(None, usual_way(arms)), "wrong-address": Sign("wrong-address", State.YES)}
    answer = with_second(rank(signs), signs, arms, PLACES)
    assert {one.mechanism.name for one in answer.found} == {"answers-from-elsewhere", "held-up"}


def test_late_answers_to_aaaa_alone_are_no_delay_of_some() -> None:
    late: dict[str, Any] = {"held": 200, "late": 200, "good_p50_ms": 250.0, "late_p10_ms": 250.0, "late_p90_ms": 252.0}
    rows = [row(arm, **(late if arm == "aaaa" else {})) for arm in ARMS]
    assert found(*rows) == (Answer.FOUND, {"aaaa-late"})


def test_the_words_say_where_the_usual_time_is_taken_off() -> None:
    """When queries were sent has nothing to do with it."""
    rows = [row(arm, **ALL_LATE, late_sent=100, beyond={**NOT_LATER, **SHORT}) for arm in ARMS]
    signs = _read(beyond(pd.DataFrame(rows, columns=list(COLUMNS))), "all-late")
    off = "The usual time of an answer is taken off here. "
    assert signs["raw-some-held"].claim.startswith(off)
    assert not signs["raw-a-sent-late"].claim.startswith(off)
    assert not signs["raw-a-lost"].claim.startswith(off)


def test_where_two_are_left_beside_the_first_neither_is_named() -> None:
    """The first of them might be what the others leave over. Where no counter was read, nothing came from elsewhere."""
    rows = [
        row(arm, **ALL_LATE, late_sent=100, beyond=NOT_LATER, **lost(12 if arm == "pair-one-socket" else 0))
        for arm in ARMS
    ]
    throttled = row("a", n=0, rises={"client.cpu.periods": 100.0, "client.cpu.throttled_periods": 90.0})
    assert found(*rows, throttled)[0] is not Answer.TWO


def test_what_is_late_over_udp_is_no_matter_of_answers_that_are_cut() -> None:
    udp = [arm for arm in ARMS if arm != "tcp"]
    cut = {"tcp-after-udp": replace(read(None)["tcp-after-udp"], state=State.YES)}
    for late, second in ((SHORT, {"held-up"}), ({}, set())):
        rows = [row("tcp"), UNTHROTTLED, *(row(arm, truncated=100, **late) for arm in udp)]
        arms = pd.DataFrame(rows, columns=list(COLUMNS))
        signs = {**read(None, usual_way(arms)), **cut}
        answer = with_second(rank(signs), signs, arms, PLACES)
        assert {one.mechanism.name for one in answer.found} == {"truncated", *second}


def test_before_and_after_a_cut_means_where_a_cut_would_have_been_told() -> None:
    """Few queries of two arms tell no stretch of silence, and those lost in one would count as lost without it."""
    silent: dict[str, Any] = {"silent_from_s": 0.0, "silent_s": 1.2, "length_s": 10.0}
    rows = [
        row(arm, **lost(200 if arm == "tcp" else 24), **silent, calm={**lost(176 if arm == "tcp" else 0), "n": 176})
        for arm in ARMS
    ]
    few = [row("a", rate_per_s=1.0, n=4, **lost(2)), row("tcp", rate_per_s=1.0, n=4, **lost(4))]
    assert found(*few, *rows)[1] == {"all-lost-at-first", "tcp-silent"}


def test_a_few_bad_queries_that_the_first_cause_does_not_make_start_the_last_rung() -> None:
    done = [RungDone("arms", "rungs/1-arms", 9.0, 6.0, 12.0, 1)]
    for errors, hints in ((0, False), (2, True)):
        tcp_silent = [row(arm, **(lost(200) if arm == "tcp" else {"errors": errors * (arm == "aaaa")})) for arm in ARMS]
        arms = pd.DataFrame(tcp_silent, columns=list(COLUMNS))
        answer = conclude_ladder(done, arms, None, Places(("10.96.0.10",)), passed_s=9.0)
        assert (answer.status, answer.hints) == ("cause", hints)
        assert seen_so_far(arms, answer).too_little is hints
