"""gates: each word for its reason, and the exit status it gives the command line."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import scipy.stats

from dnslab.analyse import intervals
from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.errors import UsageError
from dnslab.explain.gates import DEFAULT, Gate, Gated, decide
from dnslab.explain.soundness import examine
from dnslab.plan.model import Load, Plan
from tests.runs import GLIBC, rows, write_run


def made(path: Path, stalls: Sequence[int], n: int = 1000, n_rounds: int | None = None, **load: Any) -> Path:
    """A run of baseline with that many stalls of 5 s in each round, all else 0.5 ms."""
    plan = Plan(variants=("baseline",), rounds=n_rounds or len(stalls), loads=(Load(**{"duration_s": 1, **load}),))
    lookups = {
        ("baseline", "glibc", number): rows([0.5] * (n - count) + [5004.0] * count)
        for number, count in enumerate(stalls, 1)
    }
    return write_run(path, plan, lookups, known=[GLIBC])


def decided(path: Path, *gates: str) -> Gated:
    part = examine(open_run(path))
    return decide(part.summary, part.vetoes, [Gate.parse(text) for text in gates] or DEFAULT)


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("slow_share<0.1%", Gate("slow_share", 0.001, strict=True)),
        ("failed_share <= 2 %", Gate("failed_share", 0.02)),
        ("p99<100ms", Gate("p99", 100.0, strict=True)),
        ("p999<=1.5s", Gate("p999", 1500.0)),
    ],
)
def test_gates_are_read(text: str, gate: Gate) -> None:
    assert Gate.parse(text) == gate


@pytest.mark.parametrize(
    "text", ["p99<100", "p99<1%", "slow_share<5ms", "p98<1ms", "p99>5ms", "p99<1.2.3ms", "p99", ""]
)
def test_other_gates_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a limit like 'slow_share<0"):
        Gate.parse(text)


def test_default_gates_of_a_clean_run(tmp_path: Path) -> None:
    found = decided(made(tmp_path / "run", [0, 0, 0]))
    assert found.table.frame["limit"].tolist() == ["<= 0.1 %", "<= 20 ms", "<= 100 ms"]
    assert [one.word for one in found.decisions] == ["passes", "passes", "passes"]
    assert found.status == 0
    # none of 3,000: the exact one-sided bound, just under the limit
    assert found.decisions[0].measured.high == pytest.approx(1 - 0.05 ** (1 / 3000))
    assert decided(made(tmp_path / "fewer", [0, 0, 0], 998)).decisions[0].word == "undecided"


@pytest.mark.parametrize(
    ("gate", "word"),
    [
        # 40, 50, 60 of 1,000: 5 % (2.5 to 7.5), by t over the three rounds
        ("slow_share<8%", "passes"),
        ("slow_share<6%", "undecided"),
        ("slow_share<4%", "undecided"),
        ("slow_share<2%", "fails"),
        ("stalls_share<2%", "fails"),
        ("failed_share<0.2%", "passes"),
        ("p50<20ms", "passes"),
        ("p50<0.4ms", "fails"),
        ("p99<100ms", "fails"),
        ("p99<6s", "passes"),
        # every round's p50 is 0.5 ms
        ("p50<=0.5ms", "passes"),
        ("p50<0.5ms", "fails"),
    ],
)
def test_the_whole_interval_decides(tmp_path: Path, gate: str, word: str) -> None:
    found = decided(made(tmp_path / "run", [40, 50, 60]), gate)
    assert [one.word for one in found.decisions] == [word]
    assert found.status == {"passes": 0, "fails": 1, "undecided": 4}[word]


def test_figures(tmp_path: Path) -> None:
    path = made(tmp_path / "run", [0, 50, 60])
    shares, p99 = (one.measured for one in decided(path, "slow_share<1%", "p99<1s").decisions)
    low, high = scipy.stats.t.interval(0.95, 2, 11 / 300, scipy.stats.sem([0, 0.05, 0.06]))
    assert (shares.estimate, shares.low) == pytest.approx((11 / 300, max(0, low)))
    assert high < shares.high == intervals.share([0, 50, 60], [1000] * 3).high
    times = [0.5, 5004.0, 5004.0]
    low, high = scipy.stats.t.interval(0.95, 2, sum(times) / 3, scipy.stats.sem(times))
    assert (p99.estimate, p99.low, p99.high) == pytest.approx((sum(times) / 3, max(0, low), high))


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ({"stalls": [0, 0]}, "too few rounds (2 of at least 3)"),
        ({"stalls": [0, 0, 0], "n": 50}, "too few lookups (50 in a round, p99 needs 100)"),
        ({"stalls": [0, 0, 0], "n_rounds": 4}, "the run is void (trials missing)"),
        ({"stalls": [0, 0, 0], "loop": "closed"}, "a closed loop shows only throughput and the slowest lookup"),
    ],
)
def test_undecided_for_a_reason(tmp_path: Path, run: dict[str, Any], why: str) -> None:
    found = decided(made(tmp_path / "run", **run), "p99<100ms")
    assert [(one.word, one.why) for one in found.decisions] == [("undecided", why)]


def test_a_void_run_says_so_first(tmp_path: Path) -> None:
    found = decided(made(tmp_path / "run", [0, 0, 0], n_rounds=4))
    said = "Cannot tell: this run is void. Trials missing: Trial 4 (baseline, round 4, glibc) is missing."
    assert found.to_text().startswith(f"{said}\n\n")
    assert found.to_markdown().startswith(f"## Gates\n\n{said}\n\n| measure |")
    assert found.status == 4
    assert "Cannot tell" not in decided(made(tmp_path / "sound", [0, 0, 0])).to_text()


def test_a_broken_gate_outweighs_an_undecided_one(tmp_path: Path) -> None:
    found = decided(made(tmp_path / "run", [40, 50, 60]), "slow_share<6%", "p99<100ms", "p50<1s")
    assert [one.word for one in found.decisions] == ["undecided", "fails", "passes"]
    assert found.status == 1


def test_a_variant_that_was_not_measured(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no lookups of use-vc, only of baseline"):
        decide(summarise(open_run(made(tmp_path / "run", [0, 0, 0]))), variant="use-vc")


def test_failed_lookups_break_a_quantile(tmp_path: Path) -> None:
    lookups = {("baseline", "glibc", n): rows([0.5] * 1000, outcome=-3) for n in (1, 2, 3)}
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    found = decided(write_run(tmp_path / "run", plan, lookups, known=[GLIBC]))
    assert [one.word for one in found.decisions] == ["fails", "fails", "fails"]
    assert math.isfinite(found.decisions[1].measured.high)


@pytest.mark.parametrize(
    ("gate", "status", "line"),
    [
        ("slow_share<8%", 0, "| slow | baseline | glibc | 5.0 % | 2.5 to 7.6 % | < 8 % | passes |"),
        ("slow_share<2%", 1, "| slow | baseline | glibc | 5.0 % | 2.5 to 7.6 % | < 2 % | fails |"),
        ("slow_share<=6%", 4, "| <= 6 % | undecided: the limit lies inside the interval |"),
        ("p98<1ms", 2, ""),
    ],
)
def test_command_line(tmp_path: Path, gate: str, status: int, line: str) -> None:
    path = made(tmp_path / "run", [40, 50, 60])
    command = [sys.executable, "-c", "from dnslab.cli import main; main()", "gate", str(path), "--gate", gate]
    done = subprocess.run([*command, "--format", "markdown"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done
    assert line in done.stdout
