"""Every fault does to every variant what its row of expected outcomes says, seen in a real run of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from dnslab.analyse.dataset import open_run
from dnslab.analyse.lookups import Lookups
from dnslab.measure import runner
from dnslab.measure.lab.faults import FAULTS
from dnslab.plan.model import FaultPlan, Limits, Load, Plan, TargetPlan
from dnslab.plan.variants import BUILT_IN, DIRECT

pytestmark = pytest.mark.lab

#: enough to be sure of some, few enough to stay quick
LOADS = {
    "race": ("race:p=0.3", Load(rate_per_s=60, duration_s=3, workers=120)),
    "loss": ("loss:p=0.05", Load(rate_per_s=60, duration_s=3, workers=120)),
    "receive-buffer": ("receive-buffer", Load(loop="closed", workers=200, duration_s=6)),
    "one-dead-backend": ("one-dead-backend", Load(rate_per_s=20, duration_s=2, workers=100)),
    "tcp-blocked": ("tcp-blocked", Load(rate_per_s=20, duration_s=1, workers=60)),
}
#: under loss glibc may wait three times for one lookup, and only then tells that one of a pair was lost
DEADLINES_S = {"loss": 16.5, "tcp-blocked": 6.0}
DEFAULT = Load(rate_per_s=20, duration_s=2, workers=100)


def holds(outcome: str, lookups: Lookups, delay_ms: float) -> bool:
    service, failed = lookups.service_ms, lookups.outcome == 3
    n_stalls = int(lookups.stall.sum())
    flagged = float(lookups.half_lost[lookups.stall].mean()) if n_stalls else 0.0
    # Of two stalls one may well carry the flag: what counts is that no more than half of them do, within chance.
    few_flagged = binom.sf(round(flagged * n_stalls) - 1, n_stalls, 0.5) > 0.001
    outcomes = {
        "clean": not (service >= 1000).any() and not failed.any(),
        "stalls": n_stalls >= 3 and flagged >= 0.8,
        "lost": n_stalls >= 1,
        "retransmit": (service >= 150).sum() >= 3 and lookups.stall.mean() < 0.05 and not failed.any(),
        "no stall": not n_stalls and not failed.any(),
        "overflow": n_stalls <= dropped_at_receive_buffers(lookups) and few_flagged,
        "slow": bool(((service >= delay_ms) & (service < 1.5 * delay_ms)).all()) and not failed.any(),
        "slower": bool((service >= 2 * delay_ms).all()) and not failed.any(),
        "varies": few_flagged,
        "hangs": bool((lookups.raw["outcome"] == -32768).all()),
    }
    return bool(outcomes[outcome])


def dropped_at_receive_buffers(lookups: Lookups) -> int:
    before, after = lookups.client.start.counters, lookups.client.counters_after
    return sum(after[name] - before[name] for name in before if "RcvbufErrors" in name and "client" not in name)


def done_by(truth: Mapping[str, Any]) -> int:
    """Packets that the fault dropped, where the fault is one that drops."""
    done = {
        "receive-buffer": sum(truth["rcvbuf_errors"].values()),
        "one-dead-backend": truth.get("dropped_by_dead_backend"),
    }
    return int(done.get(truth["fault"], truth["dropped"]))


#: each variant in turn, a minute in all; how many answers a full buffer loses depends on the CPU that is left
LONG = {"receive-buffer"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=(pytest.mark.verify, pytest.mark.alone)) if name in LONG else name for name in FAULTS],
)
def test_expected_outcomes(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    variants = tuple(name for name in BUILT_IN if name != DIRECT)  # which is a cluster's
    assert set(fault.expected) == {*variants, "musl"}
    text, load = LOADS.get(name, (name, DEFAULT))
    plan = Plan(
        fault=FaultPlan.parse(text),
        variants=variants,
        targets=(TargetPlan(name="glibc"), TargetPlan(name="musl", variants=("baseline",))),
        loads=(load,),
        # A name of its own for each lookup of the slow faults: the node-local cache has nothing to answer them from.
        names=tuple(f"q{i}.any.cluster.local." for i in range(200)),
        rounds=1,
        deadline_s=DEADLINES_S.get(name, 11.0),
        # Some faults fail half of all lookups: by chance too few of the 48 before the run, and it would end at once.
        limits=Limits(abort_margin=1.0),
    )
    run = open_run(runner.run(plan, tmp_path / "run"))
    delay_ms = next((p.default for key, p in fault.parameters.items() if key == "ms"), 0.0)
    lookups_of = {
        "musl" if trial.client.target == "musl" else trial.client.start.variant: trial for trial in run.decoded()
    }
    wrong = {
        variant: (outcome, np.round(np.sort(lookups_of[variant].service_ms)[-5:], 1).tolist())
        for variant, outcome in fault.expected.items()
        if not holds(outcome, lookups_of[variant], delay_ms)
    }
    assert not wrong
    truths = []
    for lookups in lookups_of.values():
        truth = lookups.client.stream.with_name(f"{lookups.client.target}.ground-truth.json")
        assert truth.exists() == (name != "none")
        if name != "none":
            truths.append(json.loads(truth.read_text()))
    assert {truth["fault"] for truth in truths} <= {name}
    assert (sum(map(done_by, truths)) > 0) == (name not in ("none", "slow-answer", "slow-aaaa"))
