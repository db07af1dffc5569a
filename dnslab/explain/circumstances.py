"""What of a run is not in its summary: the numbers that signs are read from, kernels, errors, and where it ran."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnslab.analyse.counts import measured
from dnslab.analyse.dataset import Run
from dnslab.analyse.lookups import error_name
from dnslab.analyse.observed import Observed, observe
from dnslab.analyse.summary import Summary
from dnslab.explain.answers import leading_baseline
from dnslab.store.client import ClientRecord

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Circumstances:
    """``observed`` are the numbers of the target that the answer is about, ``arms`` raw queries that were sent there.

    ``insert_failed`` are conntrack's failed inserts during baseline's trials, None where they were not counted.
    ``errors`` are of baseline, by name.
    """

    kernels: tuple[str, ...] = ()
    buffers_counted: bool = False
    insert_failed: int | None = None
    errors: tuple[tuple[str, int], ...] = ()
    n_nodes: int | None = None
    nodes_measured: int = 0
    external: bool = False
    observed: Observed | None = None
    arms: pd.DataFrame | None = None

    @classmethod
    def of(cls, run: Run, summary: Summary, arms: pd.DataFrame | None = None) -> Circumstances:
        """Those of ``run``, whose summary this is."""
        baseline = leading_baseline(summary)
        target = baseline.target if baseline else None
        clients = [
            (client, found)
            for client, found in zip(run.clients(), measured(run), strict=True)
            if client.start.variant == "baseline" and client.start.load == 0
        ]
        names = {name for client, _ in clients for name in client.start.counters}
        # Another target may be on another node, with other drops.
        here = [client for client, _ in clients if client.target == target]
        tracked = "node.conntrack.insert_failed"
        errors: Counter[str] = Counter()
        for client, found in clients:
            if client.target == target:
                errors.update({name: n for code, n in found.codes.items() if (name := error_name(code))})
        nodes = run.environment.backend.surroundings.nodes
        return cls(
            kernels=tuple(dict.fromkeys(client.start.kernel for client, _ in clients if client.start.kernel)),
            buffers_counted=any(name.endswith(".Udp.RcvbufErrors") and "client" not in name for name in names),
            insert_failed=sum(_rise(client, tracked) for client in here) if tracked in names else None,
            errors=tuple(errors.most_common()),
            n_nodes=len(nodes) if nodes else None,
            external=run.plan.limits.allow_external,
            nodes_measured=len({client.start.node for client, _ in clients if client.start.node}),
            observed=observe(run, summary, baseline) if baseline else None,
            arms=arms,
        )


def _rise(client: ClientRecord, name: str) -> int:
    before, after = client.start.counters, client.counters_after
    return int(max(0, after[name] - before[name])) if name in before and name in after else 0


#: where only a summary is there
NOT_KNOWN = Circumstances()
