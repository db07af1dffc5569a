"""calibration: a few cells of docs/calibration.md, anew from a fixed seed."""

from __future__ import annotations

import pytest

from bench.calibration import KINDS, Cell, Covered, Rounds, coverage, detected, estimates, falsely_different

RUNS = 400


@pytest.fixture(scope="module", params=[("rounds vary (0.001)", 5, 0.02), ("rounds of unequal size", 9, 0.05)])
def covered(request: pytest.FixtureRequest) -> list[Covered]:
    """Of each interval of one cell. Not of independent lookups, which Wilson alone would cover."""
    kind, rounds, share = request.param
    cell = Cell(_kind(kind), rounds, share, RUNS)
    return [coverage(cell, i) for i in range(len(estimates(share)))]


def _kind(name: str) -> Rounds:
    return next(kind for kind in KINDS if kind.name == name)


def test_intervals_cover(covered: list[Covered]) -> None:
    assert [one.covered >= 0.93 for one in covered] == [True] * 5


def test_intervals_are_not_much_wider_than_they_need(covered: list[Covered]) -> None:
    assert [1 <= one.width <= 1.5 for one in covered] == [True] * 5


def test_the_oracle_is_one(covered: list[Covered]) -> None:
    """It covers in what it says, but for skewness: a width is measured by the right rule."""
    assert [one.oracle_covered for one in covered] == pytest.approx([0.95] * 5, abs=0.015)


@pytest.mark.parametrize("kind", ["rounds vary (0.002)", "a bad minute hits all"])
def test_like_baseline_is_seldom_called_different(kind: str) -> None:
    assert falsely_different(Cell(_kind(kind), 5, 0.05, RUNS)) <= 0.05


@pytest.mark.parametrize("kind", ["rounds vary (0.002)", "bursts of 5"])
def test_one_per_cent_is_told_from_none(kind: str) -> None:
    assert detected(Cell(_kind(kind), 9, 0.01, RUNS)) >= 0.9
