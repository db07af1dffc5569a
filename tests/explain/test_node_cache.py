"""Whether baseline asks a node-local cache: counters count for more than configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.explain.node_cache import asked_of_caches, node_local_already
from dnslab.plan.model import Load, Plan
from tests.runs import rows, write_run

CLUSTER = "nameserver 10.96.0.10\noptions ndots:5\n"


@pytest.mark.parametrize(
    ("rose", "owns", "says"),
    [
        # 100 lookups of baseline, and 100 of node-local, which are 200 queries; of a round
        (400, True, "baseline is node-local already"),
        (400, False, None),  # others may have asked that much
        (400, None, "baseline may be node-local already"),
        (200, True, "node-local cache bypassed"),
        (200, False, None),
        (250, True, "baseline is node-local already"),  # neither clearly: what the configuration says
        (250, False, None),
        (None, True, "baseline is node-local already"),
        (None, False, None),
    ],
)
def test_counters_count_for_more_than_configuration(
    tmp_path: Path, rose: int | None, owns: bool | None, says: str | None
) -> None:
    plan = Plan(variants=("baseline", "node-local"), rounds=3, loads=(Load(duration_s=1, warmup_s=0),))
    made = {(name, "glibc", number): rows([0.5] * 100) for name in plan.variants for number in (1, 2, 3)}
    started = {} if rose is None else {"node-local.requests": 1_000}
    changes = {"resolv_conf": CLUSTER, "counters": {"machine.cpu.total_ticks": 0, **started}}
    counters = {} if rose is None else {"node-local.requests": 1_000 + rose}
    path = write_run(tmp_path / "run", plan, made, counters, start_changes=changes)
    environment = json.loads((path / "environment.json").read_text())
    environment["backend"]["node_cache"] = {"owns_cluster_ip": owns, "evidence": ["a DaemonSet"]}
    (path / "environment.json").chmod(0o644)
    (path / "environment.json").write_text(json.dumps(environment))
    run = open_run(path)
    assert [veto.name for veto in node_local_already(run)] == ([says] if says else [])
    assert (asked_of_caches(run) is None) == (rose is None)
