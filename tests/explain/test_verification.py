"""Whether a patch helped, of runs that measured a workload beside its old configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnslab.analyse.dataset import Run
from dnslab.analyse.intervals import ratio_bounds
from dnslab.analyse.summary import Summary, summarise
from dnslab.explain.findings import conclude
from dnslab.explain.verification import Side, Suffered, Verification, compared, status, verify
from dnslab.plan.model import CustomVariant, Earlier, Plan, Trouble
from dnslab.present import share
from dnslab.store.folder import RunFolder
from tests.runs import GLIBC, MUSL, rows, write_run

OLD = "nameserver 10.96.0.10\nsearch a.svc.cluster.local\noptions ndots:5\n"
NEW = f"{OLD.strip()} single-request-reopen\n"
N = 500


#: 20 ms is late
LIMIT_MS = 20.0


def plan_of(rounds: int, earlier: tuple[int, int] = (40, 1000), trouble: Trouble = "stalls") -> Plan:
    return Plan(
        rounds=rounds,
        variants=("baseline", "before"),
        custom_variants={"before": CustomVariant(resolv_conf=OLD)},
        limit_ms=LIMIT_MS,
        verifies=Earlier(run="the-first", trouble=trouble, count=earlier[0], n=earlier[1]),
    )


def measured(path: Path, now: list[int], before: list[int], earlier: tuple[int, int] = (40, 1000)) -> Summary:
    """A verifying run with so many stalls of 500 lookups in each round."""
    plan = plan_of(len(now), earlier)
    lookups = {
        (variant, "glibc", number): rows([5_001.0] * n + [0.3] * (N - n))
        for variant, stalls in (("baseline", now), ("before", before))
        for number, n in enumerate(stalls, 1)
    }
    return summarise(Run(RunFolder(write_run(path, plan, lookups, start_changes={"resolv_conf": NEW}))))


@pytest.mark.parametrize(
    ("now", "before", "word", "ends_with"),
    [
        ([0, 0, 0, 0], [20, 21, 19, 20], "gone", 0),
        ([1, 0, 0, 0], [60, 61, 59, 60], "gone", 0),
        ([8, 9, 7, 8], [40, 41, 39, 40], "better but not gone", 1),
        ([20, 19, 21, 20], [20, 21, 19, 20], "stays", 1),
        ([40, 41, 39, 40], [20, 21, 19, 20], "worse", 1),
        ([20, 21, 19, 20], [0, 0, 0, 0], "worse", 1),
        ([0, 0, 0, 0], [0, 0, 0, 0], "not here today", 4),
        ([0, 0, 0], [3, 2, 4], "not enough data", 4),
    ],
)
def test_the_answer_follows_from_both_configurations(
    tmp_path: Path, now: list[int], before: list[int], word: str, ends_with: int
) -> None:
    summary = measured(tmp_path / "run", now, before)
    (answer,) = verify(summary)
    assert (answer.word, status(summary, False)) == (word, ends_with)
    assert conclude(summary, []).headline == answer.sentence
    assert conclude(summary, []).answers["Did the patch help?"] == answer.sentence


#: a lookup with each trouble (latency in ms, outcome, answers), and what it is said to do
TROUBLED: dict[Trouble, tuple[tuple[float, int, int], str]] = {
    "stalls": ((5_001.0, 0, 0x10001), "stalled"),
    "failed": ((0.3, -3, 0), "failed"),
    "slow": ((1_200.0, 0, 0x10001), "took 1 s or longer"),
    "partial": ((0.3, 0, 1), "lacked addresses"),
    "over_limit": ((200.0, 0, 0x10001), "took 20\xa0ms or longer"),
}


def with_trouble(trouble: Trouble, n: int) -> Any:
    """Records of N lookups, of which n have the trouble."""
    latency_ms, outcome, answers = TROUBLED[trouble][0]
    bad = np.arange(N) < n
    columns = {"outcome": np.where(bad, outcome, 0), "answers": np.where(bad, answers, 0x10001)}
    return rows(np.where(bad, latency_ms, 0.3).tolist(), **columns)


@pytest.mark.parametrize("trouble", TROUBLED)
@pytest.mark.parametrize(("left", "word"), [(0, "gone"), (40, "stays"), (None, "not here today")])
def test_what_was_found_is_verified(tmp_path: Path, trouble: Trouble, left: int | None, word: str) -> None:
    did, plan = TROUBLED[trouble][1], plan_of(3, trouble=trouble)
    lookups = {
        (variant, "glibc", number): with_trouble(trouble, n)
        for variant, n in (("baseline", left or 0), ("before", 0 if left is None else 40))
        for number in (1, 2, 3)
    }
    path = write_run(tmp_path / "run", plan, lookups, start_changes={"resolv_conf": NEW})
    summary = summarise(Run(RunFolder(path)))
    (answer,) = verify(summary)
    assert answer.word == word
    assert f" {did}" in answer.sentence
    others = {text for _, text in TROUBLED.values()} - {did}
    assert not [text for text in others if text in answer.sentence]
    assert conclude(summary, []).answers["Before"].endswith(f"{did}.")


def test_a_patch_that_makes_lookups_stall_is_no_good_one(tmp_path: Path) -> None:
    """It ends the failures, and its own stalls are said."""
    plan = plan_of(3, trouble="failed")
    troubles: tuple[tuple[str, Trouble], ...] = (("baseline", "stalls"), ("before", "failed"))
    lookups = {
        (variant, "glibc", number): with_trouble(trouble, 40) for variant, trouble in troubles for number in (1, 2, 3)
    }
    path = write_run(tmp_path / "run", plan, lookups, start_changes={"resolv_conf": NEW})
    (answer,) = verify(summarise(Run(RunFolder(path))))
    assert answer.word == "worse"
    assert answer.sentence == "Worse: 8 % of lookups stall now, and none with the old configuration."


def test_1_000_lookups_on_each_side_are_enough_at_4_percent(tmp_path: Path) -> None:
    assert verify(measured(tmp_path / "run", [0] * 2, [20, 20]))[0].word == "gone"


@pytest.mark.parametrize(
    ("left", "at_once", "expected", "least", "most"),
    [(0.0, 1, 40, 0.8, 1.0), (0.0, 1, 100, 0.97, 1.0), (0.1, 1, 57, 0.0, 0.05), (0.1, 3, 57, 0.0, 0.1)],
    ids=["none left", "none left of many", "a tenth left", "a tenth left in bursts"],
)
def test_how_often_a_fault_is_said_to_be_gone(
    left: float, at_once: int, expected: int, least: float, most: float
) -> None:
    """Poisson counts of six rounds; ``left`` of the stalls remain, and ``at_once`` come together."""
    drawn, gone, n = np.random.default_rng(1), 0, 1_000
    lookups = (320.0,) * 6
    for _ in range(n):
        before, now = (at_once * drawn.poisson(share * expected / 6 / at_once, 6) for share in (1.0, left))
        side_now, side_before = (Side(tuple(counts.astype(float)), (0.0,) * 6, lookups) for counts in (now, before))
        earlier = Earlier(run="then", trouble="stalls", count=expected, n=1_920)
        gone += compared(side_now, side_before, Suffered(earlier, LIMIT_MS))[0] == "gone"
    assert least <= gone / n <= most


def test_too_few_lookups_are_not_a_fault_that_has_gone(tmp_path: Path) -> None:
    # 0.1 % of 1,500 lookups is 1.5: that none stalls says nothing
    (answer,) = verify(measured(tmp_path / "run", [0, 0, 0], [0, 0, 0], earlier=(10, 10_000)))
    assert answer.word == "not enough data"


def test_a_workload_that_no_patch_has_reached_is_said_to_be_one(tmp_path: Path) -> None:
    plan = plan_of(3)
    stalling = rows([5_001.0] * 40 + [0.3] * (N - 40))
    lookups = {(name, "glibc", number): stalling for name in plan.variants for number in (1, 2, 3)}
    path = write_run(tmp_path / "run", plan, lookups, start_changes={"resolv_conf": OLD})
    (answer,) = verify(summarise(Run(RunFolder(path))))
    assert answer.word == "stays"
    assert answer.sentence.endswith("no patch has reached it.")


def test_an_old_configuration_that_these_pods_cannot_have_is_said_to_be_one(tmp_path: Path) -> None:
    plan = plan_of(3)
    inside = replace(MUSL, means="_res")
    lookups = {("baseline", "musl", number): rows([0.3] * N) for number in (1, 2, 3)}
    path = write_run(tmp_path / "run", plan, lookups, known=(inside,))
    (answer,) = verify(summarise(Run(RunFolder(path))))
    assert answer.word == "not enough data"
    assert "musl reads only resolv.conf, so nothing can be changed in a process that already runs" in answer.sentence
    assert "--like" in answer.sentence


def test_all_targets_count_and_each_libc_by_itself_the_worst_first(tmp_path: Path) -> None:
    plan = plan_of(3)
    stalling, clean = rows([5_001.0] * 40 + [0.3] * (N - 40)), rows([0.3] * N)
    lookups = {
        (name, target, number): clean if (name, target) == ("baseline", "glibc") else stalling
        for name in plan.variants
        for target in ("glibc", "musl")
        for number in (1, 2, 3)
    }
    path = write_run(tmp_path / "run", plan, lookups, start_changes={"resolv_conf": NEW}, known=(GLIBC, MUSL))
    summary = summarise(Run(RunFolder(path)))
    answers: list[Verification] = verify(summary)
    assert [(answer.libc, answer.word) for answer in answers] == [("musl", "stays"), ("glibc", "gone")]
    assert status(summary, False) == 1
    assert status(summary, True) == 4


def test_a_redacted_copy_gives_the_same_answer(tmp_path: Path) -> None:
    measured(tmp_path / "run", [0, 0, 0], [40, 41, 39])
    copy = Run(RunFolder(share.redacted(tmp_path / "run", tmp_path)))
    (answer,) = verify(summarise(copy))
    assert answer.word == "gone"
    assert copy.plan.verifies is not None
    assert copy.plan.verifies.run.startswith("run-")
    assert "10.96.0.10" not in (copy.path / "plan.yaml").read_text()


def test_bounds_of_a_ratio_are_those_of_a_binomial_share() -> None:
    from scipy.stats import binomtest

    # Given 45 events in all, those of the first side are binomial: r n / (r n + m) for sides of n and m lookups.
    found = ratio_bounds(5, 2_000, 40, 1_000)
    interval = binomtest(5, 45).proportion_ci(0.90, "exact")
    expected = [share / (1 - share) * 1_000 / 2_000 for share in (interval.low, interval.high)]
    assert [found.low, found.high] == pytest.approx(expected)
    assert found.estimate == pytest.approx(5 / 2_000 / (40 / 1_000))
