"""The plan that verifies a patch: it looks for what the earlier run found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnslab.analyse.dataset import open_run
from dnslab.errors import UsageError
from dnslab.experiment.verify import LONGEST_TRIAL_S, plan_of
from dnslab.plan.model import Load, Plan
from tests.runs import GLIBC, rows, write_run

N = 400


def found(path: Path, bad: int, latency_ms: float, **columns: Any) -> Plan:
    """The plan after a run of which ``bad`` of 400 lookups a round were like this."""
    fields: dict[str, Any] = {"backend": "kubernetes", "cluster": {"namespace": "n", "like": "deploy/web"}}
    plan = Plan.of(
        {**fields, "variants": ("baseline",), "rounds": 6, "loads": (Load(rate_per_s=80, duration_s=5).model_dump(),)}
    )
    is_bad = np.arange(N) < bad
    changed = {name: np.where(is_bad, value, 0x10001 if name == "answers" else 0) for name, value in columns.items()}
    made = rows(np.where(is_bad, latency_ms, 0.3).tolist(), **changed)
    lookups = {("baseline", "glibc", number): made for number in range(1, 7)}
    return plan_of(open_run(write_run(path, plan, lookups, known=(GLIBC,))))


@pytest.mark.parametrize(
    ("latency_ms", "columns", "trouble"),
    [
        (5_001.0, {}, "stalls"),
        (0.3, {"outcome": -3, "answers": 0}, "failed"),
        (1_200.0, {}, "slow"),
        (0.3, {"answers": 1}, "partial"),
        (200.0, {}, "over_limit"),
    ],
)
def test_what_was_found_is_what_is_looked_for(
    tmp_path: Path, latency_ms: float, columns: dict[str, int], trouble: str
) -> None:
    plan = found(tmp_path / "run", 40, latency_ms, **columns)
    assert plan.verifies
    assert (plan.verifies.trouble, plan.verifies.count, plan.verifies.n) == (trouble, 240, 2_400)
    assert plan.loads[0].duration_s == 5  # 240 are enough
    assert plan.limit_ms == (50.0 if trouble == "over_limit" else 4_900.0)


def test_all_lookups_may_be_late(tmp_path: Path) -> None:
    plan = found(tmp_path / "run", N, 200.0)
    assert plan.verifies
    assert (plan.verifies.trouble, plan.verifies.count, plan.limit_ms) == ("over_limit", 2_400, 20.0)


def test_little_trouble_takes_longer_trials(tmp_path: Path) -> None:
    assert 5 < found(tmp_path / "run", 1, 5_001.0).loads[0].duration_s <= LONGEST_TRIAL_S


def test_where_nothing_was_wrong_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing was wrong with baseline in run: there is nothing to verify"):
        found(tmp_path / "run", 0, 5_001.0)
