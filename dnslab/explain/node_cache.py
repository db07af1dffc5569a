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
from dnslab.store.client import ClientRecord

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
    advice = f"{DIRECT} asks CoreDNS past it" + ("" if DIRECT in run.plan.variants else ": add it to --variants")
    if asked is not None and asked >= FOLLOWED and cache.owns_cluster_ip is None:
        seen = "the caches' own counters rose by as much as the lookups at the cluster IP, or others asked that much"
        yield Veto("baseline may be node-local already", "note", seen, advice)
    elif asked is not None and asked <= NOT_FOLLOWED and cache.owns_cluster_ip:
        seen = (
            f"by the configuration it owns the cluster IP ({', '.join(cache.evidence[:1]) or 'as it was seen'}), but "
            f"the caches' own counters rose by {asked:.0%} of the lookups there"
        )
        yield Veto("the node-local cache is passed by", "note", seen, "see what answers for the cluster IP on the node")
    elif cache.owns_cluster_ip:
        seen = f"a node-local cache owns the cluster IP ({', '.join(cache.evidence[:1]) or 'as it was seen'})"
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
