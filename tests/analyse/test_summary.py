"""stats: figures worked out by hand or by scipy, failed lookups slowest, rounds as replicates."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from dnslab.analyse.dataset import open_run
from dnslab.analyse.quantiles import Quantiles, quantiles
from dnslab.analyse.sketches import sketches
from dnslab.analyse.summary import Summary, summarise
from dnslab.analyse.timeline import stalls_per_second
from dnslab.explain.tables import by_configuration
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.store.stream import FLAG_WARMUP, OUTCOME_ABANDONED
from tests.runs import rows, write_run


def test_failed_lookups_are_the_slowest() -> None:
    assert quantiles(np.array([3.0, 1.0, np.inf, 2.0]), (0.5, 0.75, 0.9)) == [2.0, 3.0, math.inf]
    frame = pd.DataFrame(
        {"variant": ["a"] * 4, "outcome": ["answered"] * 3 + ["failed"], "response_ms": [1.0, 2.0, 3.0, 0.1]}
    )
    assert Quantiles((0.5, 0.99))(frame, ["variant"])["response_ms"].tolist() == [2.0, math.inf]


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    plan = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),))
    lookups = {}
    for number, n_stalls in ((1, 1), (2, 2), (3, 3)):
        made = rows([0.5] * 90 + [5004.0] * n_stalls + [0.5] * (10 - n_stalls))
        made["flags"][90 : 90 + n_stalls] = 1
        lookups["baseline", "glibc", number] = made
        lookups["use-vc", "glibc", number] = rows([1.0] * 100)
        lookups["baseline", "musl", number] = rows([0.4] * 98 + [2503.0] * 2)
    return summarise(open_run(write_run(tmp_path / "run", plan, lookups, exposed=50)))


def test_figures(summary: Summary) -> None:
    row = summary.row("baseline", "glibc")
    assert row
    assert (row.n, row.stalls, row.slow, row.failed, row.over_limit) == (300, 6, 6, 0, 6)
    assert row.flagged_share == 1.0
    on_musl = summary.row("baseline", "musl")
    assert on_musl
    assert (on_musl.stalls, on_musl.flagged_share) == (6, None)
    assert (row.min_ms, row.max_ms) == pytest.approx((0.5, 5004.0))
    assert row.avg_ms == pytest.approx((294 * 0.5 + 6 * 5004) / 300)
    assert (row.p50_ms, row.p99_ms) == pytest.approx((0.5, 5004.0))
    assert row.exposed_counted == 150
    told = [[getattr(one, key) for key in ("round", "n", "stalls", "slow", "failed")] for one in row.by_round]
    assert told == [[number, 100, number, number, 0] for number in (1, 2, 3)]
    assert [one.p99_ms for one in row.by_round] == pytest.approx([0.5, 5004.0, 5004.0])
    assert json.loads(json.dumps(summary.to_dict(), allow_nan=False))["rows"][0]["by_round"] == [
        vars(one) for one in row.by_round
    ]
    assert "by_round" not in summary.to_frame()
    assert row.exposed_modelled is None
    interval = row.intervals["stalls_share"]
    _, high = scipy.stats.t.interval(0.95, 2, 0.02, scipy.stats.sem([0.01, 0.02, 0.03]))
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.02, 0, high))


@pytest.mark.parametrize(
    ("variant", "loop", "candidates", "share"),
    [
        # 200 sockets/s, entries of 1 s, 64,512 ports: about 200 of them are taken at any time
        ("baseline", "poisson", 1, 1 - 200 / 64_512),
        ("baseline", "poisson", 4, 1 - 800 / 64_512),
        ("single-request", "poisson", 1, 0.0),
        # a closed loop's rate is the one that was measured: 101 lookups a second
        ("baseline", "closed", 1, 1 - 101 / 64_512),
    ],
)
def test_exposure_is_modelled_where_it_was_not_counted(
    tmp_path: Path, variant: str, loop: str, candidates: int, share: float | None
) -> None:
    plan = Plan(variants=(variant,), rounds=1, loads=(Load(loop=loop, duration_s=1),))
    made = {(variant, "glibc", 1): rows([0.5] * 100)}
    path = write_run(tmp_path / "run", plan, made, start_changes={"n_candidates": candidates})
    row = summarise(open_run(path)).row(variant)
    assert row
    assert row.exposed_counted is None
    assert row.exposed_modelled == (None if share is None else pytest.approx(100 * share, abs=0.01))


def warm_up(made: Any, n: int) -> Any:
    """The first ``n`` are of the warm-up."""
    made["flags"][:n] |= FLAG_WARMUP
    return made


def test_stalls_of_counted_pairs_include_the_warm_up(tmp_path: Path) -> None:
    """Of each round's 50 pairs: 3, 4 and 5 stalls with the 2 of the warm-up, whose pairs were counted, too."""
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    lookups = {
        ("baseline", "glibc", n): warm_up(rows([5001.0] * 2 + [0.5] * 18 + [5001.0] * n + [0.5] * (100 - n)), 20)
        for n in (1, 2, 3)
    }
    row = summarise(open_run(write_run(tmp_path / "run", plan, lookups, exposed=50))).row("baseline")
    assert row
    assert (row.n, row.stalls) == (300, 6)
    assert [(one.exposed_stalls, one.exposed) for one in row.by_round] == [(3, 50), (4, 50), (5, 50)]
    interval = row.intervals["exposed_share"]
    assert row.exposed_share == interval.estimate == pytest.approx(12 / 150)
    low, high = scipy.stats.t.interval(0.95, 2, 0.08, scipy.stats.sem([0.06, 0.08, 0.1]))
    score = scipy.stats.binomtest(12, 150).proportion_ci(0.95, "wilson")
    assert (interval.low, interval.high) == pytest.approx((min(low, score.low), max(high, score.high)))


def test_stalls_of_modelled_lookups_leave_the_warm_up_out(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline", "single-request"), rounds=3, loads=(Load(duration_s=1),))
    made = warm_up(rows([5001.0] * 2 + [0.5] * 18 + [5001.0] * 4 + [0.5] * 96), 20)
    lookups = {(variant, "glibc", n): made for variant in plan.variants for n in (1, 2, 3)}
    summary = summarise(open_run(write_run(tmp_path / "run", plan, lookups)))
    row, sequential = summary.row("baseline"), summary.row("single-request")
    assert row
    assert sequential
    assert row.exposed_counted is None
    assert row.exposed_modelled
    assert row.exposed_share == pytest.approx(12 / row.exposed_modelled)
    assert sum(one.exposed or 0 for one in row.by_round) == pytest.approx(row.exposed_modelled)
    # 12 stalls of which none can be of a pair
    assert (sequential.exposed_modelled, sequential.exposed_share) == (0.0, None)
    assert json.loads(json.dumps(summary.to_dict(), allow_nan=False))["rows"][1]["intervals"]["exposed_share"] == {
        "estimate": None, "low": None, "high": None, "p": None
    }  # fmt: skip


def test_no_share_of_fewer_pairs_than_stalled(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", n): rows([0.5] * 90 + [5001.0] * 10) for n in (1, 2, 3)}
    for exposed, share in ((9, None), (10, 1.0)):
        path = write_run(tmp_path / str(exposed), plan, lookups, exposed=exposed)
        row = summarise(open_run(path)).row("baseline")
        assert row
        assert row.exposed_share == share


#: ms of stalls: at, just within and just beyond 0.05 of a step of 5 s, and far from any
ENDED = [4999.9, 5004.0, 5249.0, 5251.0, 4749.0, 6000.0, 9996.0, 15_001.0]


@pytest.mark.parametrize(
    ("measured", "latencies_ms", "start", "told"),
    [
        (("baseline", "glibc"), ENDED, {}, (5.0, {"5": 3, "10": 1, "15": 1}, 3)),
        (("timeout-1", "glibc"), [1004.0, 1051.0, 2003.0], {"stall_ms": 900.0}, (1.0, {"1": 1, "2": 1}, 1)),
        (("baseline", "musl"), [2501.0, 2626.0, 5001.0], {}, (2.5, {"2.5": 1, "5": 1}, 1)),
        (("timeout-1", "musl"), [334.0, 400.0], {"stall_ms": 300.0}, (1 / 3, {"0.333": 1}, 1)),
        (("use-vc", "glibc"), ENDED, {}, (None, None, None)),
        (("baseline", "glibc"), ENDED, {"engine": "wire"}, (None, None, None)),
        (("baseline", "glibc"), ENDED, {"resolv_conf": "nameserver 192.0.2.1\n" * 3}, (None, None, None)),
        (("single-request", "glibc"), [], {}, (5.0, {}, 0)),
    ],
)
def test_at_which_step_stalls_ended(
    tmp_path: Path, measured: tuple[str, str], latencies_ms: list[float], start: dict[str, Any], told: tuple[Any, ...]
) -> None:
    plan = Plan(variants=measured[:1], rounds=2, loads=(Load(duration_s=1),))
    made = rows([0.5] * 20 + latencies_ms)
    path = write_run(tmp_path / "run", plan, {(*measured, 1): made}, start_changes=start)
    row = summarise(open_run(path)).row(measured[0])
    assert row
    assert (row.stall_step_s, row.stalls_at, row.stalls_elsewhere) == told


def test_what_the_probe_gave_up_ended_at_no_step(tmp_path: Path) -> None:
    """A deadline of 10 s is the probe's, not a multiple of the resolver's 5 s."""
    plan = Plan(variants=("baseline",), rounds=1, loads=(Load(duration_s=1),))
    made = rows([0.5] * 20 + [10_000.0] * 2 + [10_001.0])
    made["outcome"][20:22] = OUTCOME_ABANDONED
    made["outcome"][22] = -3  # glibc's own second timeout
    summary = summarise(open_run(write_run(tmp_path / "run", plan, {("baseline", "glibc", 1): made})))
    row = summary.row("baseline")
    assert row
    assert (row.stalls_at, row.stalls_elsewhere) == ({"10": 1}, 2)
    assert summary.to_frame()[["stalls_at_10_s", "stalls_elsewhere"]].to_numpy().tolist() == [[1, 2]]
    assert json.loads(json.dumps(summary.to_dict()))["rows"][0]["stalls_at"] == {"10": 1}


def test_effects_are_paired_by_round(summary: Summary) -> None:
    row = summary.row("use-vc")
    assert row
    effect = row.effects["stalls_share"]
    low, high = scipy.stats.t.interval(0.95, 2, -0.02, scipy.stats.sem([-0.01, -0.02, -0.03]))
    assert (effect.estimate, effect.low, effect.high) == pytest.approx((-0.02, low, high))
    assert row.effects["p50_ms"].estimate == pytest.approx(0.5)
    assert row.stalls_upper == pytest.approx(1 - 0.05 ** (1 / 300))


def test_not_applicable_is_not_measured(summary: Summary) -> None:
    assert summary.row("use-vc", "musl") is None
    assert [(row.variant, row.target) for row in summary.not_applicable] == [("use-vc", "musl")]
    assert "not applicable: musl ignores use-vc" in by_configuration(summary).to_text()


def test_json_is_versioned(summary: Summary) -> None:
    data = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert data["version"] == 1
    assert data["rows"][0]["intervals"]["stalls_share"]["estimate"] == pytest.approx(0.02)
    assert len(summary.to_frame()) == 4


def test_a_closed_loop_has_no_effects(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=1, loads=(Load(loop="closed", workers=2, duration_s=1),))
    lookups = {(v, "glibc", 1): rows([1.0] * 10) for v in plan.variants}
    found = summarise(open_run(write_run(tmp_path / "run", plan, lookups)))
    assert [row.effects for row in found.measured()] == [{}, {}]


def test_a_sketch_ends_at_the_answered_share(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=1, loads=(Load(duration_s=1),))
    made = rows(list(np.arange(1, 101, dtype=float)))
    made["outcome"][90:] = -3
    run = open_run(write_run(tmp_path / "run", plan, {("baseline", "glibc", 1): made}))
    sketch = sketches(run)
    assert sketch["answered_share"].iloc[0] == pytest.approx(0.9)
    assert sketch["level"].max() <= 0.9
    assert sketch["response_ms"].max() == 90.0
    assert sketch["response_ms"].is_monotonic_increasing


def test_stalls_by_second(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=2, loads=(Load(duration_s=1),))
    made = rows([0.5] * 150 + [5000.0] * 50)  # one every 10 ms: the stalls are due in second 1
    run = open_run(write_run(tmp_path / "run", plan, {("baseline", "glibc", r): made for r in (1, 2)}))
    assert stalls_per_second(run)[["second", "n", "stalls"]].to_numpy().tolist() == [[0, 200, 0], [1, 200, 100]]


def test_shares_by_target_worst_first(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),))
    nodes = [TargetInfo(f"node-{letter}", "glibc", "2.36") for letter in "abc"]
    lookups = {}
    for number, n_stalls in ((1, 1), (2, 2), (3, 3)):
        for node in nodes:
            for variant in plan.variants:
                lookups[variant, node.name, number] = rows([0.5] * 100)
        lookups["baseline", "node-b", number] = rows([5004.0] * n_stalls + [0.5] * (100 - n_stalls))
        failing = rows([0.5] * 100)
        failing["outcome"][:10] = -3
        lookups["use-vc", "node-c", number] = failing
    summary = summarise(open_run(write_run(tmp_path / "run", plan, lookups, known=nodes)))
    frame = summary.by_target()
    assert frame["target"].tolist() == ["node-c"] * 2 + ["node-b"] * 2 + ["node-a"] * 2
    assert frame["variant"].tolist() == ["baseline", "use-vc"] * 3
    assert frame["stalls_share"].tolist() == pytest.approx([0, 0, 0.02, 0, 0, 0])
    assert frame["failed_share"].tolist() == pytest.approx([0, 0.1, 0, 0, 0, 0])
    low, high = scipy.stats.t.interval(0.95, 2, 0.02, scipy.stats.sem([0.01, 0.02, 0.03]))
    none = scipy.stats.binomtest(0, 300, alternative="less").proportion_ci(0.95, "exact").high
    assert frame["low"].tolist() == pytest.approx([0, 0, max(0, low), 0, 0, 0])
    assert frame["high"].tolist() == pytest.approx([none, none, high, none, none, none])
    assert len(summary.by_target(load=1)) == 0


def test_a_trial_of_a_single_lookup_is_summarised_without_a_warning(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=1)
    summary = summarise(open_run(write_run(tmp_path / "run", plan, {("baseline", "glibc", 1): rows([3.0])})))
    row = summary.row("baseline", "glibc")
    assert row
    assert (row.n, row.p50_ms) == (1, 3.0)
