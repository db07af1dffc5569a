"""Findings of whole runs against what the lab really did to them: shares, their intervals, and the cause they name.

All runs are measured first, several labs at once: a lab owns its namespaces, so names and addresses do not collide.
Most of a trial is the wait for its last stalls, in which the machine is idle.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import scipy.stats

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.lookups import read_stream
from dnslab.analyse.summary import Summary, summarise
from dnslab.explain.findings import Findings, conclude
from dnslab.explain.validity import find_vetoes
from dnslab.measure import runner
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Limits, Load, Plan, TargetPlan

pytestmark = [pytest.mark.verify, pytest.mark.lab, pytest.mark.alone]

N_RUNS = 8
#: 4,500 measured lookups of each configuration. An idle machine answers one query before the other is sent: a third of
#: lookups or more are exposed there, which makes 75 stalls at p = 0.05. With six rounds (t = 2.57) the half-width is
#: then 0.3 of the share.
PACED = Plan(
    variants=("baseline", "single-request"),
    targets=(TargetPlan(name="glibc"),),
    names=("web.any.cluster.local.",),
    rounds=6,
    loads=(Load(rate_per_s=300, duration_s=2.5),),
)
#: All workers ask at once, which a small buffer does not hold however fast its server is. Nothing aborts: the workers
#: that lost an answer ask again at once too.
BURST = PACED.model_copy(
    update={
        "rounds": 2,
        "loads": (Load(loop="closed", workers=200, warmup_s=0, duration_s=1),),
        "limits": Limits(abort_margin=1),
    }
)
RACES = ("race:p=0", "race:p=0.05")
#: the longest first
PLANS = {
    ("loss:p=0.02", 0): PACED,
    ("loss:p=0.003", 0): PACED,
    **{(fault, seed): PACED for seed in range(N_RUNS) for fault in RACES[1:]},
    **{(RACES[0], seed): PACED for seed in range(2)},
    # twice as many bytes hold all queries where few labs leave the servers their CPU time
    **{("receive-buffer:bytes=4096", seed): BURST for seed in range(2)},
}
#: While it sends, a lab needs up to half of two cores: more labs would make each other's lookups late. What a busy
#: machine did to a run, which then says so and is void, is measured again, by fewer labs.
AT_ONCE = (3, 2, 1)
#: as long as this took no longer, another pass begins
PASSES_S = 600
#: What a busy machine does to a run. Exposure is lost where only some trials met one.
BUSY = {"CPU saturated", "generator too slow", "output blocked", "exposure lost"}


@dataclasses.dataclass(frozen=True)
class Measured:
    """A run's findings, and the truth of each configuration, warm-up included: ``asked``, ``exposed``, ``dropped``,
    ``stalled``."""

    summary: Summary
    findings: Findings
    truth: dict[str, dict[str, int]]

    @property
    def busy(self) -> bool:
        return self.findings.void and {veto.name for veto in self.findings.vetoes if veto.severity == "void"} <= BUSY


def truth_of(run: Run) -> dict[str, dict[str, int]]:
    truth: dict[str, dict[str, int]] = {}
    for client in run.clients():
        raw, problem = read_stream(client.stream)
        assert not problem
        assert client.end
        told = json.loads(client.stream.with_name(f"{client.target}.ground-truth.json").read_text())
        seen = {
            "asked": len(raw),
            "exposed": client.end.exposed_counted,
            "dropped": told["dropped"],
            "stalled": int(((raw["end_ns"] - raw["start_ns"]) / 1e6 >= client.start.stall_ms).sum()),
        }
        sums = truth.setdefault(client.start.variant, dict.fromkeys(seen, 0))
        truth[client.start.variant] = {name: sums[name] + count for name, count in seen.items()}
    return truth


def measure(folder: Path, at_once: int, key: tuple[str, int]) -> Measured:
    fault, seed = key
    plan = PLANS[key].model_copy(update={"fault": FaultPlan.parse(fault), "seed": seed})
    run = open_run(runner.run(plan, folder / f"{fault}-{seed}-{at_once}"))
    summary = summarise(run)
    return Measured(summary, conclude(summary, find_vetoes(run, summary)), truth_of(run))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Measured]]:
    """Runs by fault."""
    folder, began = tmp_path_factory.mktemp("truth"), time.monotonic()
    found: dict[tuple[str, int], Measured] = {}
    for at_once in AT_ONCE:
        lacking = [key for key in PLANS if key not in found or found[key].busy]
        if not lacking or time.monotonic() - began > PASSES_S:
            break
        with ThreadPoolExecutor(at_once) as pool:
            found.update(zip(lacking, pool.map(functools.partial(measure, folder, at_once), lacking), strict=True))
        n_busy = sum(one.busy for one in found.values())
        print(f"{len(lacking)} runs, {at_once} at once: the machine was too busy for {n_busy}; "
              f"{time.monotonic() - began:.0f} s so far")  # fmt: skip
    return {fault: [found[key] for key in PLANS if key[0] == fault] for fault, _ in PLANS}


@pytest.mark.parametrize("fault", dict.fromkeys(fault for fault, _ in PLANS))
def test_no_run_is_void(measured: dict[str, list[Measured]], fault: str) -> None:
    assert [one.findings.headline for one in measured[fault] if one.findings.void] == []


@pytest.mark.parametrize("fault", RACES)
def test_stalls_are_the_dropped_packets(measured: dict[str, list[Measured]], fault: str) -> None:
    """In each run and configuration, one by one; and as many are dropped as the fault says."""
    for one in measured[fault]:
        assert {name: seen["stalled"] for name, seen in one.truth.items()} == {
            name: seen["dropped"] for name, seen in one.truth.items()
        }
        assert one.truth["single-request"]["dropped"] == 0
        assert one.truth["baseline"]["exposed"] > 0.2 * one.truth["baseline"]["asked"]
    dropped, exposed = (sum(one.truth["baseline"][name] for one in measured[fault]) for name in ("dropped", "exposed"))
    interval = scipy.stats.binomtest(dropped, exposed).proportion_ci(0.999)
    assert interval.low <= true_p(fault) <= interval.high


def true_p(fault: str) -> float:
    return FaultPlan.parse(fault).parameters["p"]


def test_without_a_drop_nothing_is_found(measured: dict[str, list[Measured]]) -> None:
    for one in measured["race:p=0"]:
        for row in one.summary.measured():
            assert (row.stalls, row.failed) == (0, 0)
            # The largest share of which n lookups show none once in twenty times.
            assert row.stalls_upper == pytest.approx(1 - 0.05 ** (1 / row.n))
        assert one.findings.headline.startswith("No stalls seen.")
        assert "None of " in one.findings.headline
        assert "pattern" not in one.findings.headline


@pytest.mark.parametrize("fault", RACES[1:])
def test_intervals_hold_the_true_share(measured: dict[str, list[Measured]], fault: str) -> None:
    """In 6 of 8 runs or more: of 95 % intervals fewer do once in 172 times, binomial (8, 0.95)."""
    held = 0
    for one in measured[fault]:
        row, truth = one.summary.row("baseline"), one.truth["baseline"]
        assert row
        interval, share = row.intervals["stalls_share"], true_p(fault) * truth["exposed"] / truth["asked"]
        held += interval.low <= share <= interval.high
        print(f"{fault}: {row.stalls} of {row.n} stalled, {interval.estimate:.4f} ({interval.low:.4f} to "
              f"{interval.high:.4f}), true {share:.4f}, half-width {half_width(one):.2f} of the estimate, machine idle "
              f"{min(client.idle_share for client in one.summary.clients):.0%} at least")  # fmt: skip
    assert scipy.stats.binom.cdf(5, N_RUNS, 0.95) < 1 / 172
    assert held >= 6


def half_width(one: Measured) -> float:
    """Of baseline's stall share, in estimates."""
    row = one.summary.row("baseline")
    assert row
    interval = row.intervals["stalls_share"]
    return float((interval.high - interval.low) / 2 / interval.estimate)


def test_intervals_are_narrow(measured: dict[str, list[Measured]]) -> None:
    """In 6 of 8 runs: the width of an interval over few rounds is a random number, too."""
    assert sorted(half_width(one) for one in measured["race:p=0.05"])[5] <= 0.5


def test_a_remedy_is_seen_to_help(measured: dict[str, list[Measured]]) -> None:
    for one in measured["race:p=0.05"]:
        row = one.summary.row("single-request")
        assert row
        assert row.verdicts["stalls_share"].word == "lower"


@pytest.mark.parametrize("fault", RACES[1:])
def test_a_race_is_called_one(measured: dict[str, list[Measured]], fault: str) -> None:
    for one in measured[fault]:
        assert "Emulated: conntrack race." in one.findings.headline


@pytest.mark.parametrize("fault", dict.fromkeys(fault for fault, _ in PLANS if fault not in RACES))
def test_nothing_else_is_called_a_race(measured: dict[str, list[Measured]], fault: str) -> None:
    for one in measured[fault]:
        baseline, cause = one.summary.row("baseline"), one.findings.headline
        assert baseline
        print(cause)
        assert baseline.stalls >= 20
        assert not re.search(r"\brace\b", cause)
        assert "Conntrack race" not in {found.name for found in one.findings.diagnosis.causes}
        assert ("full receive buffer" if fault.startswith("receive-buffer") else "cause is not shown") in cause
