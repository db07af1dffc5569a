"""What a run sweeps, and the figure of it: its numbers are the rows' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import summarise
from dnslab.analyse.sweeps import swept
from dnslab.plan.model import Load, Plan
from dnslab.present.pictures.base import Figure, Remark
from dnslab.present.pictures.sweep import sweep
from dnslab.text import plain
from tests.runs import rows, write_run


def swept_run(path: Path, loads: tuple[Load, ...], targets: tuple[str, ...] = ("glibc",)) -> Run:
    """Baseline stalls in 2 % more with each load, node-local never; every lookup that is not stalled takes 0.5 ms."""
    plan = Plan(variants=("baseline", "node-local"), rounds=3, loads=loads)
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in (1, 2, 3):
        for target in targets:
            lookups["node-local", target, number] = rows([0.5] * 100)
            for load in range(len(loads)):
                n = 2 * load
                lookups["baseline", target, number, load] = rows([5004.0] * n + [0.5] * (100 - n))
    return open_run(write_run(path, plan, lookups))


def test_rates_on_their_scale(tmp_path: Path) -> None:
    """Listed out of order in the plan, they stand in order on the axis."""
    run = swept_run(tmp_path / "run", tuple(Load(rate_per_s=rate, duration_s=1) for rate in (40, 20, 160)))
    found = swept(summarise(run))
    assert found
    assert (found.name, found.scale) == ("lookups/s", True)
    baseline = found.frame[found.frame["variant"] == "baseline"]
    assert baseline["value"].tolist() == [20, 40, 160]
    assert baseline["label"].tolist() == ["20", "40", "160"]
    assert baseline["stalls_share"].tolist() == [0.02, 0.0, 0.04]
    assert baseline["p99_ms"].tolist() == [5004.0, 0.5, 5004.0]
    figure = sweep(summarise(run))
    assert isinstance(figure, Figure)
    assert plain(figure.alt) == (
        "Share of lookups that stalled and p99 against lookups/s. "
        "baseline: 2.0 % at 20, p99 5,004 ms, 0 at 40, p99 0.50 ms, 4.0 % at 160, p99 5,004 ms; "
        "node-local: 0 at 20, p99 0.50 ms, 0 at 40, p99 0.50 ms, 0 at 160, p99 0.50 ms."
    )
    assert "closed loop" not in figure.caption


def test_loads_that_differ_in_more_than_an_amount_go_by_name(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "run", (Load(rate_per_s=20, duration_s=1), Load(loop="closed", workers=5, duration_s=1)))
    found = swept(summarise(run))
    assert found
    assert (found.name, found.scale) == ("load", False)
    assert found.frame["label"].unique().tolist() == ["20/s (poisson)", "closed loop, 5 workers"]
    figure = sweep(summarise(run))
    assert isinstance(figure, Figure)
    assert "A closed loop therefore undercounts stalls." in figure.caption


def test_two_amounts_at_once_have_no_scale(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "run", tuple(Load(rate_per_s=rate, workers=rate, duration_s=1) for rate in (20, 40)))
    found = swept(summarise(run))
    assert found
    assert (found.name, found.scale) == ("load", False)


@pytest.mark.parametrize(("key", "name"), [("workers", "workers"), ("duration_s", "length of a trial, s")])
def test_other_amounts(key: str, name: str, tmp_path: Path) -> None:
    run = swept_run(tmp_path / "run", tuple(Load.model_validate({"loop": "closed", key: value}) for value in (1, 4)))
    found = swept(summarise(run))
    assert found
    assert (found.name, found.scale, found.frame["value"].unique().tolist()) == (name, True, [1.0, 4.0])


def test_one_load_on_two_targets(tmp_path: Path) -> None:
    found = swept(summarise(swept_run(tmp_path / "run", (Load(duration_s=1),), ("glibc", "musl"))))
    assert found
    assert (found.name, found.scale, found.frame["label"].unique().tolist()) == ("target", False, ["glibc", "musl"])


def test_a_p99_among_failed_lookups_has_no_number(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(rate_per_s=20), Load(rate_per_s=40)))
    made = {("baseline", "glibc", number): rows([0.5] * 10, outcome=-3) for number in (1, 2, 3)}
    figure = sweep(summarise(open_run(write_run(tmp_path / "run", plan, made))))
    assert isinstance(figure, Figure)
    assert plain(figure.alt).endswith(
        "baseline: 0 and 100 % failed at 20, p99 failed, 0 and 100 % failed at 40, p99 failed."
    )


def test_nothing_swept(tmp_path: Path) -> None:
    summary = summarise(swept_run(tmp_path / "run", (Load(duration_s=1),)))
    assert swept(summary) is None
    remark = sweep(summary)
    assert isinstance(remark, Remark)
    assert "nothing was swept" in remark.text
