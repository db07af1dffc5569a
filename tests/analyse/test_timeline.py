"""timeline: slices on the run's clock against runs made up second by second; spells where one was put, else none."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.analyse.timeline import pooled, run_slices, spells
from dnslab.explain.validity import find_vetoes
from dnslab.measure.pacing import RunClock
from dnslab.plan.model import Load, Plan
from tests.runs import MUSL, rows, write_run

N_ROUNDS = 9
GROUP_S = 20.0  # tests/runs.py starts a group every 20 s
BROKEN = (5, 6)


def slices_of(path: Path, plan: Plan, lookups: dict[tuple[str, str, int], object]) -> pd.DataFrame:
    return run_slices(open_run(write_run(path, plan, lookups)))


def test_a_cache_gone_from_round_5_to_7_is_seen_at_its_time(tmp_path: Path) -> None:
    plan = Plan(
        variants=("baseline", "node-local"), rounds=N_ROUNDS, loads=(Load(rate_per_s=100, duration_s=2, warmup_s=0),)
    )
    lookups = {}
    for number in range(1, N_ROUNDS + 1):
        lookups["baseline", "glibc", number] = rows([0.5] * 195 + [5004.0] * 5)  # all stalls in second 1
        lookups["node-local", "glibc", number] = rows([0.5] * 200, outcome=-3 if number in BROKEN else 0)
    slices = slices_of(tmp_path / "run", plan, lookups)
    local = slices[slices["variant"] == "node-local"]
    assert local["start_s"].tolist() == [GROUP_S * group + second for group in range(N_ROUNDS) for second in (0.0, 1.0)]
    assert local["n"].tolist() == [100] * 18
    assert local["bad"].tolist() == [100 if number in BROKEN else 0 for number in range(1, 10) for _ in (0, 1)]
    baseline = slices[slices["variant"] == "baseline"]
    assert baseline["bad"].tolist() == [0, 5] * N_ROUNDS
    assert baseline["start_s"].tolist() == local["start_s"].tolist()  # side by side: the same clock
    (spell,) = spells(pooled(slices, 0))
    assert (spell.variant, spell.first_round, spell.last_round) == ("node-local", *BROKEN)
    assert (spell.start_s, spell.end_s) == (4 * GROUP_S, 5 * GROUP_S + 2)
    assert (spell.share, spell.usual) == (1.0, 0.0)


def test_in_turn_each_trial_has_its_own_time(tmp_path: Path) -> None:
    load = Load(rate_per_s=100, duration_s=1, warmup_s=0.5)
    plan = Plan(variants=("baseline", "use-vc"), rounds=1, schedule="in-turn", loads=(load,))
    made = rows([0.5] * 150)
    made["flags"][:50] = 4  # warm-up
    slices = slices_of(tmp_path / "run", plan, {(name, "glibc", 1): made for name in plan.variants})
    assert slices["start_s"].tolist() == [0.5, GROUP_S + 0.5]
    assert slices["end_s"].tolist() == [1.5, GROUP_S + 1.5]
    assert slices["n"].tolist() == [100, 100]


def test_many_rounds_make_one_slice_a_trial_and_targets_add_up(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=40, loads=(Load(rate_per_s=100, duration_s=2, warmup_s=0),))
    lookups = {}
    for number in range(1, 41):
        lookups["baseline", "glibc", number] = rows([5000.0] * 20 + [0.5] * 180)
        lookups["baseline", MUSL.name, number] = rows([0.5] * 200)
    slices = slices_of(tmp_path / "run", plan, lookups)
    assert len(slices) == 80
    both = pooled(slices, 0)
    assert both[["n", "bad"]].drop_duplicates().to_numpy().tolist() == [[400, 20]]
    assert both["start_s"].tolist() == [GROUP_S * group for group in range(40)]
    assert spells(both) == []


def test_a_group_starts_with_its_last_trial(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=2, loads=(Load(rate_per_s=100, duration_s=1, warmup_s=0),))
    lookups = {(name, "glibc", number): rows([0.5] * 9) for name in plan.variants for number in (1, 2)}
    path = write_run(tmp_path / "run", plan, lookups)
    late = path / "trials" / "0002" / "glibc.start.json"
    start = json.loads(late.read_text())
    late.write_text(json.dumps({**start, "started_realtime_ns": start["started_realtime_ns"] + 3 * 10**9}))
    assert run_slices(open_run(path))["start_s"].tolist() == [0, 0, GROUP_S - 3, GROUP_S - 3]


def test_a_trial_measured_again_stands_where_it_was_measured_again(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=2, loads=(Load(rate_per_s=100, duration_s=1, warmup_s=0),))
    lookups = {("baseline", target, number): rows([0.5] * 100) for target in ("glibc", "musl") for number in (1, 2)}
    run = open_run(write_run(tmp_path / "run", plan, lookups))
    client = next(client for client in run.clients() if (client.target, client.number) == ("glibc", 2))
    writer = run.folder.writer(2, "glibc")
    writer.start(
        client.start.model_copy(update={"started_realtime_ns": client.start.started_realtime_ns + 500 * 10**9})
    )
    stream = writer.stream()
    stream.append(client.stream.read_bytes())
    stream.close()
    assert client.end
    writer.end(client.end.model_dump())
    slices = run_slices(open_run(run.path))
    assert slices["start_s"].tolist() == [0.0, 0.0, GROUP_S + 500, GROUP_S]


def test_nothing_measured_gives_an_empty_frame(tmp_path: Path) -> None:
    slices = slices_of(tmp_path / "run", Plan(variants=("baseline",), rounds=1), {})
    assert (len(slices), spells(pooled(slices, 0))) == (0, [])


@pytest.mark.parametrize("share", [0.0005, 0.005, 0.05, 0.5])
def test_chance_alone_makes_no_spell(share: float) -> None:
    generator = np.random.default_rng(4)
    for _ in range(25):
        assert spells(drawn(generator.binomial(100, np.full(60, share)))) == []


@pytest.mark.parametrize(("usual", "worse"), [(0.0, 0.1), (0.01, 0.2), (0.05, 0.4), (0.2, 1.0)])
def test_a_spell_is_found_among_chance(usual: float, worse: float) -> None:
    shares = np.full(60, usual)
    shares[30:40] = worse
    found = spells(drawn(np.random.default_rng(4).binomial(100, shares)))
    inside = sum(min(spell.end_s, 40) - max(spell.start_s, 30) for spell in found)
    assert found
    assert inside >= 5
    assert all(30 <= spell.start_s < spell.end_s <= 40 for spell in found)


def test_a_little_worse_is_no_spell_however_many_lookups_say_so() -> None:
    bad = np.full(60, 50_000)
    bad[30:40] = 110_000
    assert spells(drawn(bad, n=1_000_000)) == []


def drawn(bad: object, n: int = 100) -> pd.DataFrame:
    """One configuration, a slice a second, ``n`` lookups each."""
    at = np.arange(60.0)
    return pd.DataFrame(
        {"variant": "baseline", "round": 1, "start_s": at, "end_s": at + 1, "n": n, "bad": np.asarray(bad)}
    )


def test_a_wall_clock_that_was_set_moves_no_trial(tmp_path: Path) -> None:
    """Set back by an hour between two rounds. A run of an earlier version has no other clock."""
    plan = Plan(variants=("baseline",), rounds=2, loads=(Load(rate_per_s=100, duration_s=1, warmup_s=0),))
    lookups = {("baseline", "glibc", number): rows([0.5] * 100) for number in (1, 2)}
    path = write_run(tmp_path / "run", plan, lookups)
    for number in (1, 2):
        file = path / "trials" / f"000{number}" / "glibc.start.json"
        start = json.loads(file.read_text())
        start["started_realtime_ns"] -= (number - 1) * 3600 * 10**9
        file.write_text(json.dumps(start))
    assert run_slices(open_run(path))["start_s"].tolist() == [3600 - GROUP_S, 0.0]
    for number in (1, 2):
        file = path / "trials" / f"000{number}" / "glibc.start.json"
        start = {**json.loads(file.read_text()), "started_elapsed_ns": 5 + (number - 1) * 20 * 10**9}
        file.write_text(json.dumps(start))
    run = open_run(path)
    assert run_slices(run)["start_s"].tolist() == [0.0, GROUP_S]
    vetoes = {veto.name: veto for veto in find_vetoes(run, summarise(run))}
    assert "The wall clock jumped back by 3,600 s" in vetoes["wall clock moved"].seen


def test_a_resume_goes_on_with_the_runs_clock(tmp_path: Path) -> None:
    """Also where the wall clock went back meanwhile: no trial is placed before one that is there."""
    plan = Plan(variants=("baseline",), rounds=1, loads=(Load(rate_per_s=100, duration_s=1, warmup_s=0),))
    path = write_run(tmp_path / "run", plan, {("baseline", "glibc", 1): rows([0.5] * 100)})
    (client,) = open_run(path).clients()
    assert RunClock([]).elapsed_ns() < 10**9
    for ago_s in (100, -3600):
        times = {"started_elapsed_ns": 7 * 10**9, "started_realtime_ns": time.time_ns() - ago_s * 10**9}
        elapsed_s = RunClock([replace(client, start=client.start.model_copy(update=times))]).elapsed_ns() / 1e9
        assert elapsed_s == pytest.approx(7 + max(0, ago_s), abs=1)
