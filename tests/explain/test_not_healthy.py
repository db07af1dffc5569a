"""What once passed as healthy: each is said, with what helps, in the verdict, the answers and on the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnslab.analyse.dataset import Run, open_run
from dnslab.explain.findings import findings_of
from dnslab.explain.soundness import examine
from dnslab.plan.model import Load, Plan
from dnslab.present.page import page
from tests.present.test_states import words
from tests.runs import END_COUNTERS, GLIBC, rows, write_run

N = 600
VARIANTS = ("baseline", "single-request", "use-vc", "no-aaaa")
NAMES = ["web.any.cluster.local.", "api.any.cluster.local.", "mute.any.cluster.local."]
BOTH, ONLY_A, ONLY_AAAA = 0x10001, 0x1, 0x10000
Made = Callable[[str, np.random.Generator], Any]


def all_late(variant: str, generator: np.random.Generator) -> Any:
    return rows([400.0 if variant == "single-request" else 200.0] * N)


def aaaa_late(variant: str, generator: np.random.Generator) -> Any:
    return rows([0.5 if variant == "no-aaaa" else 200.0] * N)


def errors_of(answers: int, share: float) -> Made:
    def made(variant: str, generator: np.random.Generator) -> Any:
        bad = generator.random(N) < (0 if variant == "no-aaaa" and answers == ONLY_A else share)
        return rows([0.5] * N, answers=np.where(bad, answers, BOTH))

    return made


def truncated(variant: str, generator: np.random.Generator) -> Any:
    return rows([0.9] * N)


def pauses(variant: str, generator: np.random.Generator) -> Any:
    made = [0.5] * N
    made[200:280] = [800.0 - 10 * i for i in range(80)]
    return rows(made)


def freeze(variant: str, generator: np.random.Generator) -> Any:
    made = [0.5] * N
    made[200:500] = [3_000.0 - 10 * i for i in range(300)]
    return rows(made)


def mute(variant: str, generator: np.random.Generator) -> Any:
    name = np.arange(N) % 3
    return rows(np.where(name == 2, 10_003.0, 0.5).tolist(), name=name, outcome=np.where(name == 2, -3, 0))


CASES = {
    "200 ms on all": (all_late, "delayed", "all-late"),
    "200 ms on AAAA": (aaaa_late, "delayed", "aaaa-late"),
    "1 % of A": (errors_of(ONLY_AAAA, 0.01), "partial", "errors"),
    "1 % of AAAA": (errors_of(ONLY_A, 0.01), "partial", "aaaa-errors"),
    "all AAAA": (errors_of(ONLY_A, 1.0), "partial", "aaaa-errors"),
    "truncation": (truncated, "none", "truncated"),
    "pauses of 0.8 s": (pauses, "delayed", "pauses"),
    "a freeze of 3 s": (freeze, "slow", "pauses"),
    "a name that never answers": (mute, "failing", "one-name-silent"),
}


def run_of(path: Path, made: Made, opened: int) -> Run:
    generator = np.random.default_rng(5)
    plan = Plan(variants=VARIANTS, names=tuple(NAMES), rounds=3, loads=(Load(duration_s=6, warmup_s=0),))
    lookups = {(name, "glibc", number): made(name, generator) for number in (1, 2, 3) for name in VARIANTS}
    counters = (*END_COUNTERS, "client.cpu.periods", "client.cpu.throttled_periods", "client.Tcp.ActiveOpens")
    start = {"names": NAMES, "expected": [[1, 1]] * 3, "counters": dict.fromkeys(counters, 0)}
    rise = {"client.Tcp.ActiveOpens": opened}
    return open_run(write_run(path / "run", plan, lookups, rise, start_changes=start, known=(GLIBC,)))


@pytest.mark.parametrize("case", CASES)
def test_it_is_said_with_what_helps(case: str, tmp_path: Path) -> None:
    made, state, mechanism = CASES[case]
    run = run_of(tmp_path, made, N if case == "truncation" else 0)
    found = findings_of(examine(run))
    assert found.verdict.state == state
    assert found.verdict.tone != "good"
    assert found.diagnosis.mechanisms == [mechanism]
    (cause, *_) = found.diagnosis.causes
    assert cause.evidence_for
    assert "Nothing to fix" not in found.answers["What helps?"]
    text = words(page(run))
    assert cause.name in text
    assert cause.remedy is not None
    assert cause.remedy.change in text
    assert cause.remedy.change in found.answers["What helps?"]
    assert "race" not in cause.name


def test_a_pod_with_ipv4_alone_is_warned(tmp_path: Path) -> None:
    found = findings_of(examine(run_of(tmp_path, errors_of(ONLY_AAAA, 0.01), 0)))
    assert "A pod with IPv4 alone cannot connect to them." in str(found.verdict)
