"""arm_frame: each arm's queries counted, from records that are written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dnslab.analyse.arms import COLUMNS, arm_frame
from dnslab.analyse.dataset import open_run
from dnslab.plan.arms import ARMS, arm_load
from dnslab.plan.model import Plan
from dnslab.store import stream as records
from tests.runs import rows, write_run

PLAN = Plan(
    variants=("baseline",),
    rounds=1,
    loads=(arm_load("a", 1, 4), *(arm_load(arm, 5, 4) for arm in ARMS), arm_load("a", 5, 4, "10.0.0.7")),
    schedule="together",
)
A, PAIR = 1, 3


def frame(path: Path, lookups: dict[int, Any], plan: Plan = PLAN, **changes: Any) -> pd.DataFrame:
    """Of a run in which each load of ``lookups`` had these records."""
    changed = {"engine": "wire", **changes}
    by_trial = {("baseline", "glibc", 1, load): made for load, made in lookups.items()}
    write_run(path, plan, by_trial, start_changes=changed)
    found = arm_frame(open_run(path))
    assert list(found) == list(COLUMNS)
    return found


def test_what_became_of_queries(tmp_path: Path) -> None:
    outcome = [0, 0, 0, 2, 5, 2, records.OUTCOME_NO_ANSWER, records.OUTCOME_SOCKET, records.OUTCOME_NOT_STARTED]
    made = rows([1.0, 150.0, 1_000.0, 2.0, 2.0, 2.0, 2_500.0, 0.0, 0.0], outcome=outcome, answers=1)
    made["flags"][0] = records.FLAG_TRUNCATED
    made["flags"][6] = records.FLAG_TRUNCATED  # no answer has no bit
    made["start_ns"][3] += 20_000_000
    made["end_ns"][3] += 20_000_000
    row = frame(tmp_path / "run", {A: made}).iloc[0]
    assert (row.arm, row.place, row.target, row["round"], row.load) == ("a", "10.96.0.10", "glibc", 1, 1)
    assert (row.n, row.lost, row.unanswered, row.late, row.errors, row.truncated) == (7, 2, 1, 2, 3, 1)
    assert row.rcodes == {"SERVFAIL": 2, "REFUSED": 1}
    assert (row.late_sent, row.unsent, row.lost_second) == (1, 2, 0)
    assert (row.p50_ms, row.p99_ms) == (2.0, math.inf)


def test_a_query_that_is_refused_on_its_way_is_lost(tmp_path: Path) -> None:
    """It has an end after its start; one for which there was no socket has none."""
    made = rows([1.0, 0.01, 0.0], outcome=[0, records.OUTCOME_SOCKET, records.OUTCOME_SOCKET])
    row = frame(tmp_path / "run", {A: made}).iloc[0]
    assert (row.n, row.lost, row.unanswered, row.unsent) == (2, 1, 1, 1)


def test_late_queries_in_a_row_count_over_all_arms_that_ran_together(tmp_path: Path) -> None:
    ms = [1.0, 200.0, 200.0, 1.0, 200.0, 1.0]
    even, odd = rows(ms[::2]), rows(ms[1::2])
    for made, first in ((even, 0), (odd, 1)):
        made["intended_ns"] = np.arange(first, 6, 2) * 100_000_000
    found = frame(tmp_path / "run", {A: even, 2: odd})
    assert found[["after_late", "late_after_late"]].to_numpy().tolist() == [[3, 1], [0, 0]]
    assert found["rate_per_s"].tolist() == [5.0, 5.0]


def test_what_answers_take_beyond_what_all_of_their_type_take(tmp_path: Path) -> None:
    """A limit of its CPU delays a slow server's answers further, and AAAA answers that are late leave A alone."""
    slow = rows([250.0, 500.0] + [250.0] * 17 + [280.0], answers=1)
    found = frame(tmp_path / "run", {A: slow, PAIR: pairs_of([0.3, 250.0] * 9 + [0.4, 500.0])})
    beyond, of_pairs = found.iloc[0].beyond, found.iloc[1].beyond
    assert (beyond["late"], beyond["held"], beyond["lost"]) == (1, 2, 0)
    assert beyond["good_p50_ms"] == pytest.approx(0, abs=0.1)
    assert (of_pairs["late"], of_pairs["held"]) == (1, 1)
    assert (found.after_late.sum(), found.late_after_late.sum()) == (1, 0)
    assert frame(tmp_path / "quick", {A: rows([0.3, 500.0] * 10, answers=1)}).iloc[0].beyond == {}


def pairs_of(ms: list[float]) -> Any:
    """A and AAAA in turn, sent together."""
    made = rows(ms, answers=1)
    made["flags"] = np.where(np.arange(len(ms)) % 2, records.FLAG_AAAA, 0)
    return made


def test_of_a_pair_the_second_query_alone_may_be_lost(tmp_path: Path) -> None:
    made = rows([1.0] * 8, name=[0, 1] * 4)
    made["intended_ns"] = made["start_ns"] = np.repeat(np.arange(4) * 200_000_000, 2)
    made["end_ns"] = made["start_ns"] + 1_000_000
    made["outcome"][[1, 3, 4, 6, 7]] = records.OUTCOME_NO_ANSWER  # second, second, first, both
    row = frame(tmp_path / "run", {PAIR: made}, arrangement="pair-one-socket").iloc[0]
    assert (row.arm, row.n, row.lost, row.lost_second, row.lost_first) == ("pair-one-socket", 8, 5, 2, 1)


def arms_in_silence(path: Path, *arms: int, lost: Callable[[int], bool]) -> pd.DataFrame:
    """Arms of 50 queries over 10 s, of which those that are lost got no answer."""
    made = rows([1.0] * 50)
    made["intended_ns"] = made["start_ns"] = np.arange(50) * 200_000_000
    made["end_ns"] = made["start_ns"] + 1_000_000
    made["outcome"][[i for i in range(50) if lost(i)]] = records.OUTCOME_NO_ANSWER
    return frame(path, {arm: made.copy() for arm in arms})


def test_a_stretch_in_which_nothing_was_answered_stands_apart(tmp_path: Path) -> None:
    """Queries 10 to 15, of three arms; and one of 50 at another time."""
    found = arms_in_silence(tmp_path / "run", A, 2, 6, lost=lambda i: 10 <= i <= 15 or i == 40)
    first = found.iloc[0]
    assert (first.silent_from_s, first.silent_s, first.length_s) == (2.0, 1.0, 9.8)
    assert found["silent_s"].isna().tolist() == [False, True, True]
    assert found["unanswered"].tolist() == [7, 7, 7]
    assert [(calm["n"], calm["unanswered"]) for calm in found["calm"]] == [(44, 1), (44, 1), (44, 1)]


def arms_that_wait(path: Path, *arms: int, until: int, lost: Callable[[int], bool] = lambda i: False) -> pd.DataFrame:
    """Arms of 50 queries over 10 s: answers to those from query 9 on came at ``until``, in fifths of a second."""
    made = rows([1.0] * 50)
    made["intended_ns"] = made["start_ns"] = np.arange(50) * 200_000_000
    made["end_ns"] = np.where((np.arange(50) >= 9) & (np.arange(50) < until), until * 200_000_000, made["start_ns"])
    made["end_ns"] += 1_000_000
    made["outcome"][[i for i in range(50) if lost(i)]] = records.OUTCOME_NO_ANSWER
    return frame(path, {arm: made.copy() for arm in arms})


@pytest.mark.parametrize("lost", [lambda i: False, lambda i: i % 3 == 0], ids=["nothing lost", "a third lost"])
def test_a_stretch_in_which_all_answers_wait_is_a_pause(tmp_path: Path, lost: Callable[[int], bool]) -> None:
    """Of queries 9 to 15."""
    found = arms_that_wait(tmp_path / "run", A, 2, 6, until=16, lost=lost)
    assert found["pauses"].tolist() == [1, 0, 0]
    assert found.iloc[0][["paused_from_s", "paused_s"]].tolist() == [1.8, 1.2]
    assert found["silent_s"].isna().all()
    assert (found["held"] > 0).all()
    assert [running["held"] for running in found["running"]] == [0, 0, 0]


def test_what_some_answers_wait_for_is_no_pause(tmp_path: Path) -> None:
    """Others came meanwhile, no query was due, or the answers never came."""
    few_arms = arms_that_wait(tmp_path / "few", A, 2, until=16)
    short = arms_that_wait(tmp_path / "short", A, 2, 6, until=10)
    never = arms_that_wait(tmp_path / "never", A, 2, 6, until=16, lost=lambda i: 10 <= i <= 16)
    usual = frame(tmp_path / "usual", {arm: rows([250.0] * 50) for arm in (A, 2, 6)})
    for found in (few_arms, short, never, usual):
        assert not found["pauses"].any()
    assert usual["running"].tolist() == [{}] * len(usual)
    assert [running["unanswered"] for running in never["running"]] == [0, 0, 0]


def test_scattered_losses_and_those_of_few_arms_are_no_stretch(tmp_path: Path) -> None:
    scattered = arms_in_silence(tmp_path / "scattered", A, 2, 6, lost=lambda i: i % 3 == 0)
    few_arms = arms_in_silence(tmp_path / "few", A, 2, lost=lambda i: 10 <= i <= 15)
    half = arms_in_silence(tmp_path / "half", A, 2, 6, lost=lambda i: 10 <= i <= 15 or i % 8 != 0)
    for found in (scattered, few_arms, half):
        assert found["silent_s"].isna().all()
        assert found["calm"].tolist() == [{}] * len(found)


def test_kept_sockets_that_got_no_answer_at_all(tmp_path: Path) -> None:
    """16 sockets take turns: of 80 queries, each sent 5."""
    made = rows([1.0] * 80)
    made["intended_ns"] = made["start_ns"] = np.arange(80) * 100_000_000
    made["end_ns"] = made["start_ns"] + 1_000_000
    made["outcome"][[3 + 16 * i for i in range(5)] + [9 + 16 * i for i in range(5)] + [20]] = records.OUTCOME_NO_ANSWER
    row = frame(tmp_path / "run", {6: made}).iloc[0]
    assert (row.arm, row.unanswered, row.kept, row.kept_silent) == ("standing", 11, 16, 2)
    assert row.kept_chance == pytest.approx(16 * (1 / 70) ** 5)


def test_a_row_for_each_arm_and_place(tmp_path: Path) -> None:
    found = frame(tmp_path / "run", {load: rows([1.0], answers=1) for load in range(len(PLAN.loads))})
    assert found["arm"].tolist() == ["control", *ARMS, "a"]
    assert found["place"].tolist() == ["10.96.0.10"] * 7 + ["10.0.0.7"]


def test_lookups_of_the_c_library_are_no_arm(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=1)
    assert not len(frame(tmp_path / "run", {0: rows([1.0])}, plan, engine="libc"))


def test_an_arm_without_queries_has_no_quantiles(tmp_path: Path) -> None:
    row = frame(tmp_path / "run", {A: rows([0.0], outcome=[records.OUTCOME_SOCKET])}).iloc[0]
    assert (row.n, row.unsent) == (0, 1)
    assert math.isnan(row.p50_ms)
