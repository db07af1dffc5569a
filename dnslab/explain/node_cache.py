"""Whether baseline asked a node-local cache already: by its configuration, and by the cache's own counters.

Counters count for more where they do not rise; where they do, others may have asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from dnslab.analyse.dataset import Run
from dnslab.analyse.exposure import options_of
from dnslab.explain.veto import Veto
from dnslab.plan.flows import asks_cache
from dnslab.plan.variants import DIRECT
from dnslab.sentences import checks
from dnslab.store.client import ClientRecord
from dnslab.text import rounded

#: what all node-local caches together were asked, as ``measure.kubernetes.counters`` names it
REQUESTS = "node-local.requests"
#: of lookups at the cluster IP, the share that the counter has to show beside all else, or may show at most
FOLLOWED, NOT_FOLLOWED = 0.9, 0.1
#: A and AAAA
QUERIES = 2


def node_local_already(run: Run) -> Iterator[Veto]:
    """Warn if baseline already uses a node-local cache, or only seems to."""
    cache = run.environment.backend.node_cache
    asked = asked_of_caches(run)
    advice = (checks.BYPASS if DIRECT in run.plan.variants else checks.BYPASS_BY)(direct=DIRECT)
    evidence = next(iter(cache.evidence), str(checks.AS_SEEN))
    if asked is not None and asked >= FOLLOWED and cache.owns_cluster_ip is None:
        yield Veto("baseline may be node-local already", "note", str(checks.MAYBE_NODE_LOCAL), advice)
    elif asked is not None and asked <= NOT_FOLLOWED and cache.owns_cluster_ip:
        seen = checks.NODE_LOCAL_BYPASSED(evidence=evidence, share=f"{rounded(100 * asked, 1)} %")
        yield Veto("node-local cache bypassed", "note", seen, str(checks.SEE_WHO_ANSWERS))
    elif cache.owns_cluster_ip:
        seen = checks.NODE_LOCAL_ALREADY(evidence=evidence)
        yield Veto("baseline is node-local already", "note", seen, advice)


def asked_of_caches(run: Run) -> float | None:
    """Requests that the caches counted beside those of variants that ask them, for each lookup at the cluster IP.

    None where they were not counted. What others ask of the caches at the same time is counted, too.
    """
    groups: dict[int, list[ClientRecord]] = defaultdict(list)
    for client in run.clients():
        groups[client.start.group].append(client)
    rose = at_cluster_ip = 0.0
    for clients in groups.values():
        before = [client.start.counters[REQUESTS] for client in clients if REQUESTS in client.start.counters]
        after = [client.end.counters[REQUESTS] for client in clients if client.end and REQUESTS in client.end.counters]
        if not before or not after:
            continue
        rose += max(after) - min(before)
        for client in clients:
            start, n = client.start, client.end.trailer.n_records if client.end else 0
            if asks_cache(options_of(run, start), run.plan.cache_addresses):
                rose -= n * QUERIES * (start.n_asked or start.n_candidates)
            elif start.variant != DIRECT:
                at_cluster_ip += n
    return rose / at_cluster_ip if at_cluster_ip else None
