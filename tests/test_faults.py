"""Every fault does to every variant what its row of expected outcomes says, seen in a real run of each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dnslab import runner
from dnslab.backends.lab.faults import FAULTS
from dnslab.dataset import Lookups, open_run
from dnslab.plan import FaultPlan, Load, Plan, TargetPlan

pytestmark = pytest.mark.lab

#: enough to be sure of some, few enough to stay quick
LOADS = {
    "race": ("race:p=0.3", Load(rate_per_s=60, duration_s=3, workers=120)),
    "loss": ("loss:p=0.1", Load(rate_per_s=60, duration_s=3, workers=120)),
    "receive-buffer": ("receive-buffer", Load(loop="closed", workers=200, duration_s=3)),
    "one-dead-backend": ("one-dead-backend", Load(rate_per_s=20, duration_s=2, workers=100)),
    "tcp-blocked": ("tcp-blocked", Load(rate_per_s=20, duration_s=1, workers=60)),
}
DEFAULT = Load(rate_per_s=20, duration_s=2, workers=100)


def holds(outcome: str, lookups: Lookups, delay_ms: float) -> bool:
    service, failed = lookups.service_ms, lookups.outcome == 3
    flagged = float(lookups.half_lost[lookups.stall].mean()) if lookups.stall.any() else 0.0
    outcomes = {
        "clean": not (service >= 1000).any() and not failed.any(),
        "stalls": lookups.stall.sum() >= 3 and flagged >= 0.8,
        "lost": lookups.stall.sum() >= 3,
        "retransmit": (service >= 150).sum() >= 3 and lookups.stall.mean() < 0.05 and not failed.any(),
        "slow": bool(((service >= delay_ms) & (service < 1.5 * delay_ms)).all()) and not failed.any(),
        "slower": bool((service >= 2 * delay_ms).all()) and not failed.any(),
        "hangs": bool((lookups.raw["outcome"] == -32768).all()),
    }
    return bool(outcomes[outcome])


@pytest.mark.parametrize("name", FAULTS)
def test_expected_outcomes(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    text, load = LOADS.get(name, (name, DEFAULT))
    on_glibc = tuple(variant for variant in fault.expected if variant != "musl")
    targets = (TargetPlan(name="glibc"), TargetPlan(name="musl", variants=("baseline",)))
    plan = Plan(
        fault=FaultPlan.parse(text),
        variants=on_glibc,
        targets=targets if "musl" in fault.expected else targets[:1],
        loads=(load,),
        names=("web.any.cluster.local.",),
        rounds=1,
        deadline_s=16.5 if name != "tcp-blocked" else 6.0,
    )
    run = open_run(runner.run(plan, tmp_path / "run"))
    seen = {}
    for lookups in run.decoded():
        variant = "musl" if lookups.arm.target == "musl" else lookups.arm.start["variant"]
        seen[variant] = lookups
        truth = (
            json.loads(lookups.arm.stream.with_name(f"{lookups.arm.target}.ground-truth.json").read_text())
            if (name != "none")
            else {"fault": "none"}
        )
        assert truth["fault"] == name
    delay_ms = next((p.default for key, p in fault.parameters.items() if key == "ms"), 0.0)
    wrong = {
        variant: (outcome, np.round(np.sort(seen[variant].service_ms)[-5:], 1).tolist())
        for variant, outcome in fault.expected.items()
        if not holds(outcome, seen[variant], delay_ms)
    }
    assert not wrong
