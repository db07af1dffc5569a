"""A run in each state that a page can be in, made up but for the kept ones; and kept diagnoses, all measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dnslab.analyse.dataset import Run, open_run
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.compare import compare
from dnslab.imports import readers
from dnslab.imports.summary import summarise_imported
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.present.page import compared_page, diagnosis_page, imported_page, page
from tests import diagnoses
from tests.explain.test_verification import measured as measured_verification
from tests.golden import RUNS
from tests.runs import END_COUNTERS, GLIBC, MUSL, rows, write_run

VARIANTS = ("baseline", "single-request", "single-request-reopen", "use-vc", "node-local")
N = 300


def latencies(generator: np.random.Generator) -> Any:
    return np.exp(generator.normal(-0.4, 0.5, N))


def run_of(
    path: Path,
    made: Callable[[str, np.random.Generator], Any],
    known: Any = (GLIBC,),
    written: Mapping[str, Any] = {},
    **more: Any,
) -> Run:
    """Five rounds of every configuration, each with what ``made`` gives for it; ``written`` is for ``write_run``."""
    generator = np.random.default_rng(3)
    plan = Plan(variants=VARIANTS, rounds=5, loads=(Load(duration_s=3, warmup_s=0),), **more)
    lookups = {
        (name, target.name, number): as_on(target, made(name, generator))
        for target in known
        for name in VARIANTS
        for number in range(1, 6)
        if target.libc == "glibc" or name in ("baseline", "node-local")
    }
    run = write_run(path, plan, lookups, known=known, **written)
    _change(run / "environment.json", started="2026-11-28T21:56:07Z")
    return open_run(run)


def as_on(target: TargetInfo, made: Any) -> Any:
    """Lookups as they are with this C library: musl asks again after 2.5 s, and does not tell what was lost."""
    if target.libc == "musl":
        made["end_ns"] = np.minimum(made["end_ns"], made["start_ns"] + np.uint64(2_503_000_000))
        made["flags"] = 0
    return made


def stalling(name: str, generator: np.random.Generator) -> Any:
    made = latencies(generator)
    bad = generator.random(N) < (0.05 if name == "baseline" else 0)
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


def without_a(name: str, generator: np.random.Generator) -> Any:
    """Some lookups get IPv6 addresses alone."""
    bad = generator.random(N) < 0.04
    return rows(latencies(generator).tolist(), answers=np.where(bad, 0x10000, 0x10001))


def late_aaaa(name: str, generator: np.random.Generator) -> Any:
    return rows((latencies(generator) + (0.0 if name == "no-aaaa" else 200.0)).tolist())


def overflowing(name: str, generator: np.random.Generator) -> Any:
    made = latencies(generator)
    made[generator.random(N) < (0.06 if name in ("baseline", *VARIANTS[1:3]) else 0)] = 5003.0
    return rows(made.tolist())


def fine(name: str, generator: np.random.Generator) -> Any:
    return rows(latencies(generator).tolist())


#: names as long as clusters have them
WIDE = (
    TargetInfo("web-7c9f6d5b8-xk2vq@ip-10-120-33-214.eu-central-1.compute.internal", "glibc", "2.36"),
    TargetInfo("web-7c9f6d5b8-qq2vq@ip-10-120-33-216.eu-central-1.compute.internal", "glibc", "2.36"),
    TargetInfo("batch-worker-5f6d7c8b9-abcde@ip-10-120-33-215.eu-central-1.compute.internal", "musl", "1.2.3"),
)


def in_cluster(run: Run) -> Run:
    """The run as if it had been measured in a cluster whose nodes its targets name."""
    kept = json.loads((RUNS / "cluster" / "environment.json").read_text(encoding="utf-8"))
    _change(
        run.path / "environment.json", backend={**kept["backend"], "context": "production"}, started=kept["started"]
    )
    for start in run.path.glob("trials/*/*.start.json"):
        _change(start, node=json.loads(start.read_text(encoding="utf-8"))["target"].partition("@")[2])
    return open_run(run.path)


def _change(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.chmod(0o644)
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


#: counters that rise with another one: conntrack drops what it fails to insert
DROPS_WITH = {"node.conntrack.insert_failed": ("node.conntrack.drop",)}


def counted(
    path: Path, made: Callable[[str, np.random.Generator], Any], counter: str, named: tuple[str, ...], rise: int
) -> Run:
    """A run in a cluster, on a kernel with the race, in which this counter rose while ``named`` were measured."""
    counters = (counter, *DROPS_WITH.get(counter, ()))
    usual = dict.fromkeys((*END_COUNTERS, "client.cpu.periods", "client.cpu.throttled_periods", *counters), 0)
    rises = {name: dict.fromkeys(counters, rise) for name in named}
    start = {"counters": usual, "kernel": "Linux 5.4.0"}
    known = {
        "exposed": 290,
        "start_changes": start,
        "counters_of": lambda name, *_: rises.get(name, dict.fromkeys(counters, 0)),
    }
    return in_cluster(run_of(path, made, CLUSTER, written=known, backend="kubernetes"))


CLUSTER = (
    TargetInfo("glibc@node-1", "glibc", "2.36"),
    TargetInfo("glibc@node-2", "glibc", "2.36"),
    TargetInfo("musl@node-3", "musl", "1.2.3"),
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
        "found": page(counted(folder / "found", stalling, "node.conntrack.insert_failed", VARIANTS[:1], 17)),
        "buffer": page(counted(folder / "buffer", overflowing, "server-a.Udp.RcvbufErrors", VARIANTS[:3], 60)),
        "failing": page(run_of(folder / "failing", failing)),
        "slow": page(run_of(folder / "slow", slow)),
        "partial": page(run_of(folder / "partial", without_a)),
        "delayed": page(run_of(folder / "delayed", late_aaaa)),
        "none": page(run_of(folder / "none", fine)),
        "cluster": page(open_run(RUNS / "cluster")),
        "void": page(open_run(RUNS / "void")),
        "gone": page(open_run(folder / "gone")),
        "stays": page(open_run(folder / "stays")),
        "imported": imported_page(summarise_imported(lookups)),
        "compared": compared_page(compare(open_run(folder / "race"), open_run(folder / "none"))),
        "refused": compared_page(compare(open_run(folder / "race"), open_run(RUNS / "void"))),
        **{f"diagnosis-{name}": diagnosis_page(diagnoses.kept(name, folder)) for name in diagnoses.NAMES},
    }
