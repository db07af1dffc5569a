"""What each configuration costs: time at the median, and queries to the DNS servers.

Queries are counted by the kernel where they leave a client, so retries and lost packets are among them. Only counters
of a client that is alone in its network namespace are used: others count more than that client.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from dnslab.analyse.dataset import Run
from dnslab.analyse.summary import Summary
from dnslab.plan.variants import DIRECT
from dnslab.store.client import ClientRecord

UDP, TCP = "client.Udp.OutDatagrams", "client.Tcp.ActiveOpens"
#: queries that a cache of the client's own had no answer for; asked at the same time, two make one query upstream
MISSES = "node-local.num.cachemiss"
COLUMNS = ["variant", "target", "p50_ms", "low", "high", "udp_queries", "tcp_connections", "cache_misses"]


def costs(run: Run, summary: Summary, load: int = 0) -> pd.DataFrame:
    """The cost of each configuration measured under ``load``, in the order of the summary.

    Returns
    -------
    DataFrame
        ``variant``, ``target``; ``p50_ms`` against baseline with its bounds ``low`` and ``high`` (NaN for baseline
        itself and where nothing was compared); per lookup, warm-up included, ``udp_queries`` and ``tcp_connections``
        that a client sent to its servers, or ``cache_misses`` of the node-local cache it asked instead, which asks them
        no more often. NaN where it was not counted: a connection's queries never are.
    """
    sent: dict[tuple[str, str], list[Mapping[str, float]]] = {}
    for client in run.clients():
        if client.start.load == load and client.status == "complete":
            sent.setdefault((client.start.variant, client.target), []).append(_sent(run, client))
    rows = []
    for row in summary.measured(load):
        effect = row.effects.get("p50_ms")
        p50 = (effect.estimate, effect.low, effect.high) if effect else (math.nan,) * 3
        trials = sent.get((row.variant, row.target), [])
        rows.append((row.variant, row.target, *p50, *(_per_lookup(trials, name) for name in COLUMNS[5:])))
    return pd.DataFrame(rows, columns=COLUMNS)


def _sent(run: Run, client: ClientRecord) -> Mapping[str, float]:
    """Queries sent in one trial, by column, and its ``lookups``. A count that is not known is left out."""
    before, after = client.start.counters, client.counters_after
    sent = {"lookups": float(client.end.trailer.n_records if client.end else 0)}
    for column, name in _counters(run, client.start.variant).items():
        if name in before and name in after:
            sent[column] = after[name] - before[name]
    return sent


def _counters(run: Run, variant: str) -> Mapping[str, str]:
    """By column, the name of the counter of what only this client sent to its servers."""
    backend = run.environment.backend
    if "fresh_clients" not in backend.model_fields_set or not backend.fresh_clients:
        return {}  # its sockets are counted together with those of all else that runs there
    if run.plan.variant(variant).node_local:
        return {"cache_misses": MISSES}
    if backend.node_cache.owns_cluster_ip and variant != DIRECT:
        return {}  # it asked a cache that all pods of the node share
    return {"udp_queries": UDP, "tcp_connections": TCP}


def _per_lookup(sent: list[Mapping[str, float]], column: str) -> float:
    """The sum over all trials per lookup; NaN unless every trial counted."""
    n = sum(trial["lookups"] for trial in sent)
    return sum(trial[column] for trial in sent) / n if n and all(column in trial for trial in sent) else math.nan
