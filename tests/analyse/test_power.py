"""power: against simulation through the verdicts' own intervals, and cases worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnslab.analyse import intervals
from dnslab.analyse.power import (
    Size,
    detectable_difference,
    lookups_for_one,
    power_of_difference,
    rounds_for_difference,
    share_for_one,
    spread_of,
)
from tests.cli.test_cli import dnslab


@pytest.mark.parametrize(
    ("size", "share", "base"),
    [
        (Size(9, 2000, 5), 0.001, 0.0),
        (Size(5, 2000, 5), 0.005, 0.0),
        (Size(9, 2000, 5), 0.01, 0.005),
        (Size(9, 2000, 1, 3.0), 0.004, 0.0),
        (Size(20, 200, 2), 0.01, 0.0),
    ],
)
def test_power_against_simulation(size: Size, share: float, base: float) -> None:
    """Within ten points, and never promising more than three points too much."""
    generator = np.random.default_rng(5)
    n, hits, runs = int(size.n), 0, 400
    for _ in range(runs):
        counts, base_counts = (_rounds(generator, size, one) for one in (share, base))
        found = intervals.difference(counts, [n] * size.rounds, base_counts, [n] * size.rounds)
        hits += found.p < 0.05 / size.n_compared
    assert hits / runs - 0.10 < power_of_difference(size, share, base) < hits / runs + 0.05


def _rounds(generator: np.random.Generator, size: Size, share: float) -> list[float]:
    """Counts of rounds whose own shares vary as ``size.spread`` says (beta-binomial)."""
    shares = np.full(size.rounds, share)
    if size.spread > 1 and share:
        scale = (size.n - 1) / (size.spread - 1) - 1
        shares = generator.beta(share * scale, (1 - share) * scale, size.rounds)
    return [float(count) for count in generator.binomial(int(size.n), shares)]


def test_one_stall_or_more() -> None:
    assert (1 - 0.001) ** lookups_for_one(0.001, 0.9) <= 0.1 < (1 - 0.001) ** (lookups_for_one(0.001, 0.9) - 1)
    assert share_for_one(2302, 0.9) == pytest.approx(0.001, rel=1e-3)
    assert lookups_for_one(0.001, 0.9, spread=3) == pytest.approx(3 * 2302, abs=3)


def test_sizes_and_differences_agree() -> None:
    rounds = rounds_for_difference(2000, 0.001, 0.9, 5)
    assert rounds
    assert (
        power_of_difference(Size(rounds, 2000, 5), 0.001) >= 0.9 > power_of_difference(Size(rounds - 1, 2000, 5), 0.001)
    )
    share = detectable_difference(Size(rounds, 2000, 5), 0.9)
    assert share is not None
    assert 0.0008 < share <= 0.001
    assert rounds_for_difference(1, 1e-6, 0.9) is None
    assert detectable_difference(Size(2, 2000), 0.9) is None


def test_spread() -> None:
    assert spread_of([2, 2, 2], [100, 100, 100]) == 1.0
    assert spread_of([0, 0, 0], [100, 100, 100]) == 1.0
    assert spread_of([0, 6, 0], [100, 100, 100]) == pytest.approx(12 / (100 * 0.02 * 0.98))


def test_the_command_says_it(tmp_path: Path) -> None:
    done = dnslab("plan", "--detect", "0.1%", "--power", "90%", cwd=tmp_path)
    assert done.returncode == 0
    assert "in 90 % of runs: 2,302 lookups" in done.stdout
    assert "trials of 10 s at 200 lookups/s: 12 rounds (24,000 lookups of each, 2 min or more)" in done.stdout
    assert "--pilot RUN" in done.stdout
    bad = dnslab("plan", "--detect", "2", cwd=tmp_path)
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    assert "expected a share as 0.1% or 0.001, saw '2'" in bad.stderr
