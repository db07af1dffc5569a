"""Pairs put together from recordings of single faults: what either does to a query is done."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bench.confusion import cases
from bench.confusion.together import Together, pairs
from dnslab.analyse.arms import arm_frame
from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import summarise
from dnslab.plan.arms import ARMS, arm_load
from dnslab.plan.model import Load, Plan
from dnslab.store import stream as records
from tests.runs import rows, write_run

ARM_PLAN = Plan(
    variants=("baseline",),
    rounds=1,
    loads=(arm_load("a", 1, 4), *(arm_load(arm, 5, 4) for arm in ARMS)),
    schedule="together",
)
LIBC_PLAN = Plan(variants=("baseline",), rounds=1, loads=(Load(rate_per_s=100, duration_s=1, warmup_s=0),))
GONE = records.OUTCOME_NO_ANSWER


def arms(path: Path, ms: list[float], outcome: list[int], checksums: int = 0) -> Run:
    """A run whose arm ``a`` had these queries."""
    made = {("baseline", "glibc", 1, 1): rows(ms, outcome=outcome, answers=1)}
    start = {"engine": "wire", "counters": {"client.Udp.InCsumErrors": 0, "client.Udp.InDatagrams": 0}}
    counters = {"client.Udp.InCsumErrors": checksums, "client.Udp.InDatagrams": 5}
    return open_run(write_run(path, ARM_PLAN, made, counters, start_changes=start))


def test_what_either_lost_is_lost_and_delays_add_up(tmp_path: Path) -> None:
    one = arms(tmp_path / "one", [0.3, 2_500.0, 200.0, 0.3, 0.3], [0, GONE, 0, 0, 2], checksums=3)
    other = arms(tmp_path / "other", [0.3, 0.3, 150.3, 2_500.0, 0.3], [0, 0, 0, GONE, 5], checksums=4)
    row = arm_frame(Together(one, other)).iloc[0]
    assert (row.n, row.unanswered, row.errors, row.rcodes) == (5, 2, 1, {"SERVFAIL": 1})
    assert (row.late, row.late_p10_ms) == (1, pytest.approx(349.5))
    assert (row.rises["client.Udp.InCsumErrors"], row.rises["client.Udp.InDatagrams"]) == (7, 5)


def test_with_a_healthy_recording_nothing_changes(tmp_path: Path) -> None:
    one = arms(tmp_path / "one", [0.3, 2_500.0, 200.0, 0.3, 0.3], [0, GONE, 0, 0, 2])
    healthy = arms(tmp_path / "healthy", [0.3, 0.4, 0.3, 0.2, 0.7], [0] * 5)
    pd.testing.assert_frame_equal(arm_frame(Together(one, healthy)), arm_frame(one))


def test_lookups_that_wait_for_both_wait_longer(tmp_path: Path) -> None:
    stalls, errors = (
        open_run(write_run(tmp_path / name, LIBC_PLAN, {("baseline", "glibc", 1): made}))
        for name, made in (
            ("stalls", rows([5_000.0, 5_000.0, 0.2])),
            ("errors", rows([5_000.0, 0.2, 1.0], outcome=[0, 0, -3])),
        )
    )
    row = summarise(Together(stalls, errors)).row("baseline")
    assert row
    assert (row.n, row.stalls, row.failed) == (3, 2, 1)


def test_pairs_are_those_that_can_be_there_together(tmp_path: Path) -> None:
    """And that climbed the same rungs."""
    rungs = {"race:p=0.3": "arms", "burst-cap:p=0.5": "arms", "tcp-blocked": "arms", "slow-answer:ms=60": "place"}
    singles = [tmp_path / name / "1" for name in rungs]
    for path in singles:
        path.mkdir(parents=True)
        (path / "diagnosis.json").write_text(json.dumps({"rungs": [{"rung": rungs[path.parent.name]}]}))
    named = {"+".join(sorted(path.parent.name for path in pair)) for pair in pairs(singles)}
    assert named == {"race:p=0.3+tcp-blocked", "burst-cap:p=0.5+tcp-blocked"}
    assert not cases.possible("race:p=0.3", "burst-cap:p=0.5")
