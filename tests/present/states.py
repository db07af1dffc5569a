"""A run in each state that a page can be in, made up but for the kept ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dnslab.analyse.dataset import Run, open_run
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.compare import compare
from dnslab.imports import readers
from dnslab.imports.summary import summarise_imported
from dnslab.plan.model import FaultPlan, Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.present.page import compared_page, imported_page, page
from tests.explain.test_verification import measured as measured_verification
from tests.golden import RUNS
from tests.runs import GLIBC, MUSL, rows, write_run

VARIANTS = ("baseline", "single-request", "single-request-reopen", "use-vc", "node-local")
N = 300


def latencies(generator: np.random.Generator) -> Any:
    return np.exp(generator.normal(-0.4, 0.5, N))


def run_of(path: Path, made: Callable[[str, np.random.Generator], Any], known: Any = (GLIBC,), **more: Any) -> Run:
    """Five rounds of every configuration, each with what ``made`` gives for it."""
    generator = np.random.default_rng(3)
    plan = Plan(variants=VARIANTS, rounds=5, loads=(Load(duration_s=3, warmup_s=0),), **more)
    lookups = {
        (name, target.name, number): made(name, generator)
        for target in known
        for name in VARIANTS
        for number in range(1, 6)
        if target.libc == "glibc" or name in ("baseline", "node-local")
    }
    return open_run(write_run(path, plan, lookups, known=known))


def stalling(name: str, generator: np.random.Generator) -> Any:
    made = latencies(generator)
    bad = generator.random(N) < (0.07 if name == "baseline" else 0)
    made[bad] = 5004.0
    return rows(made.tolist(), flags=bad.astype(int))


def failing(name: str, generator: np.random.Generator) -> Any:
    made, outcome = latencies(generator), np.zeros(N, int)
    outcome[generator.random(N) < (0 if name == "node-local" else 0.06)] = -3
    return rows(made.tolist(), outcome=outcome)


def slow(name: str, generator: np.random.Generator) -> Any:
    made = latencies(generator)
    made[generator.random(N) < 0.04] = 1500.0
    return rows(made.tolist())


def fine(name: str, generator: np.random.Generator) -> Any:
    return rows(latencies(generator).tolist())


#: names as long as clusters have them
WIDE = (
    TargetInfo("web-7c9f6d5b8-xk2vq@ip-10-120-33-214.eu-central-1.compute.internal", "glibc", "2.36"),
    TargetInfo("web-7c9f6d5b8-qq2vq@ip-10-120-33-216.eu-central-1.compute.internal", "glibc", "2.36"),
    TargetInfo("batch-worker-5f6d7c8b9-abcde@ip-10-120-33-215.eu-central-1.compute.internal", "musl", "1.2.3"),
)


def pages(folder: Path) -> Mapping[str, str]:
    """The page of each state, by its name."""
    measured_verification(folder / "gone", [0, 0, 0, 0], [20, 21, 19, 20])
    measured_verification(folder / "stays", [20, 19, 21, 20], [20, 21, 19, 20])
    columns = {"latency_ms": "service_ms", "outcome": "outcome", "variant": "variant", "round": "round"}
    lookups = readers.load("csv", [(None, RUNS / "imported" / "lookups.csv")], columns=columns)
    race = FaultPlan.parse("race:p=0.05")
    return {
        "sample": page(open_run(SAMPLE)),
        "race": page(run_of(folder / "race", stalling, (GLIBC, MUSL), fault=race)),
        "wide": page(run_of(folder / "wide", stalling, WIDE)),
        "failing": page(run_of(folder / "failing", failing)),
        "slow": page(run_of(folder / "slow", slow)),
        "none": page(run_of(folder / "none", fine)),
        "cluster": page(open_run(RUNS / "cluster")),
        "void": page(open_run(RUNS / "void")),
        "gone": page(open_run(folder / "gone")),
        "stays": page(open_run(folder / "stays")),
        "imported": imported_page(summarise_imported(lookups)),
        "compared": compared_page(compare(open_run(folder / "race"), open_run(folder / "none"))),
        "refused": compared_page(compare(open_run(folder / "race"), open_run(RUNS / "void"))),
    }
