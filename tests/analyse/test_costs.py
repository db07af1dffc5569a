"""costs: what a client asked is what its servers received, and nothing is said where nobody counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dnslab.analyse.costs import MISSES, TCP, UDP, costs
from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.measure import runner
from dnslab.plan.model import Load, Plan, TargetPlan
from tests.runs import rows, write_run

BEFORE = {UDP: 10, TCP: 3, MISSES: 5}


def counted(path: Path, counters: dict[str, int], **environment: Any) -> pd.DataFrame:
    """Costs of a run with 100 lookups a trial, whose counters went from ``BEFORE`` to these."""
    plan = Plan(variants=("baseline", "use-vc", "node-local"), rounds=3, loads=(Load(duration_s=1),))
    lookups = {(name, "glibc", number): rows([0.5] * 100) for name in plan.variants for number in (1, 2, 3)}
    write_run(path, plan, lookups, counters, start_changes={"counters": BEFORE})
    place = path / "environment.json"
    known = json.loads(place.read_text())
    place.write_text(json.dumps({**known, "backend": {**known["backend"], **environment}}))
    run = open_run(path)
    return costs(run, summarise(run)).set_index("variant")


def test_each_is_counted_where_it_asks(tmp_path: Path) -> None:
    found = counted(tmp_path / "run", {UDP: 410, TCP: 203, MISSES: 6})
    assert found.loc[["baseline"], ["udp_queries", "tcp_connections"]].to_numpy().tolist() == [[4.0, 2.0]]
    assert found.loc[["baseline"], "cache_misses"].isna().all()
    assert found.loc["node-local", "cache_misses"] == 0.01
    assert found.loc[["node-local"], ["udp_queries", "tcp_connections"]].isna().all(axis=None)  # they went to the cache
    assert found.loc["use-vc", "p50_ms"] == 0
    assert found.loc[["baseline"], "p50_ms"].isna().all()


@pytest.mark.parametrize(
    ("counters", "environment"),
    [
        ({}, {}),
        ({UDP: 410, TCP: 203, MISSES: 6}, {"fresh_clients": False}),
        ({UDP: 410, TCP: 203}, {"node_cache": {"owns_cluster_ip": True}}),
    ],
)
def test_what_others_share_or_nobody_counts_is_not_counted(
    tmp_path: Path, counters: dict[str, int], environment: dict[str, Any]
) -> None:
    found = counted(tmp_path / "run", counters, **environment)
    assert found[["udp_queries", "tcp_connections", "cache_misses"]].isna().all(axis=None)


@pytest.mark.lab
def test_servers_received_what_clients_asked(tmp_path: Path) -> None:
    """One trial at a time and nothing lost: the servers' own counters are an account of each client."""
    plan = Plan(
        variants=("baseline", "single-request", "use-vc", "node-local"),
        targets=(TargetPlan(name="glibc"),),
        names=("kubernetes.default",),
        schedule="in-turn",
        rounds=1,
        loads=(Load(rate_per_s=50, duration_s=1, warmup_s=0.2),),
    )
    run = open_run(runner.run(plan, tmp_path / "run"))
    found = costs(run, summarise(run)).set_index("variant")
    for client in run.clients():
        assert client.end
        assert client.end.trailer
        received = {
            name: sum(client.end.counters[f"{at}.{name}"] - client.start.counters[f"{at}.{name}"] for at in SERVERS)
            for name in ("Udp.InDatagrams", "Tcp.PassiveOpens")
        }
        n, row = client.end.trailer.n_records, found.loc[client.start.variant]
        assert n > 20
        if client.start.variant == "node-local":
            assert received["Udp.InDatagrams"] == 0
            assert 0 < row["cache_misses"] < 1
            continue
        assert received == {
            "Udp.InDatagrams": round(row["udp_queries"] * n),
            "Tcp.PassiveOpens": round(row["tcp_connections"] * n),
        }
    # two names to try, an A and an AAAA of each; over TCP one connection for both
    assert found["udp_queries"].tolist()[:3] == [4, 4, 0]
    assert found["tcp_connections"].tolist()[:3] == [0, 0, 2]


SERVERS = ("server-a", "server-b")
