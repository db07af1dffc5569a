"""What a plan may ask of DNS that others use too: how much, and which names.

Pure. An error says what the plan asks for, what is allowed and which option allows more. Knows nothing of how a plan is
carried out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dnslab.errors import UsageError
from dnslab.plan import ports
from dnslab.plan.model import Load, Plan
from dnslab.plan.resolvconf import DEFAULT_ZONE, parse
from dnslab.plan.schedule import TargetInfo, forecast
from dnslab.sentences import limits as sentences
from dnslab.text import counted


def check_load(plan: Plan, targets: Sequence[TargetInfo]) -> None:
    """Check that the load of ``plan`` on ``targets`` is within its limits. Only a cluster has limits.

    Raises
    ------
    UsageError
        The load is over a limit, or engine wire has too few ports for it. A target whose libc is not known yet counts
        with every variant.
    """
    if not plan.in_cluster:
        return
    ports.check(plan)
    expected, limits = forecast(plan, targets), plan.limits
    peak, workers, n_lookups = expected.peak_lookups_per_s, expected.peak_workers, expected.n_paced_lookups
    where = sentences.WHERE(
        targets=counted(len(targets), "target"), variants=counted(len(plan.variants), "configuration")
    )
    if peak and peak > limits.max_rate_per_s:
        most = f"{limits.max_rate_per_s:,.0f}"
        raise UsageError(sentences.RATE(rate=f"{peak:,.0f}", where=where, most=most, wanted=f"{math.ceil(peak)}"))
    if workers > limits.max_workers:
        most = f"{limits.max_workers:,}"
        raise UsageError(sentences.WORKERS(workers=f"{workers:,}", where=where, most=most, wanted=f"{workers}"))
    if n_lookups > limits.max_lookups:
        most = f"{limits.max_lookups:,}"
        raise UsageError(sentences.LOOKUPS(lookups=f"{n_lookups:,}", where=where, most=most, wanted=f"{n_lookups}"))


def fitted(plan: Plan, targets: Sequence[TargetInfo]) -> Plan:
    """The plan with the rates that nobody gave low enough for its limits; the plan itself where they are.

    For engine wire they leave ports enough, too. A target whose libc is not known yet counts with every variant.
    """
    if not plan.in_cluster:
        return plan
    loads = tuple(_fitted(plan.model_copy(update={"loads": (load,)}), targets) for load in plan.loads)
    return plan if loads == plan.loads else plan.model_copy(update={"loads": loads})


def _fitted(plan: Plan, targets: Sequence[TargetInfo]) -> Load:
    """The only load of ``plan``, with a lower rate where it has to be."""
    (load,) = plan.loads
    peak, allowed = forecast(plan, targets).peak_lookups_per_s, plan.limits.max_rate_per_s
    if load.has_own_rate or not load.rate_per_s or not peak:
        return load
    rate_per_s = min(load.rate_per_s * allowed / peak, ports.most_per_s(plan, load))
    if rate_per_s >= load.rate_per_s:
        return load
    return load.lowered_to(rate_per_s)


def check_names(plan: Plan, absolute: Mapping[str, str], resolv_conf: str) -> None:
    """Check that every name of ``plan`` is in the cluster's own domain, unless others are allowed.

    Parameters
    ----------
    plan
        Only a plan for a cluster is checked.
    absolute
        The full name that each name resolves to, as a short name may lead outside the cluster.
    resolv_conf
        Of a pod: its search list tells the cluster's domain.

    Raises
    ------
    UsageError
        A name resolves outside.
    """
    if not plan.in_cluster or plan.limits.allow_external:
        return
    zone = cluster_zone(resolv_conf)
    for name in plan.names:
        if not f".{absolute[name].rstrip('.').lower()}".endswith(f".{zone}"):
            raise UsageError(sentences.OUTSIDE(name=repr(name), absolute=absolute[name], zone=zone))


def cluster_zone(resolv_conf: str) -> str:
    """The cluster's domain, from the entry ``svc.<zone>`` of a pod's search list.

    >>> cluster_zone("search web.svc.corp.test svc.corp.test corp.test")
    'corp.test'
    """
    split = (domain.strip(".").lower().partition(".") for domain in parse(resolv_conf).search)
    # The shortest: a namespace may be called svc, too.
    return min((zone for label, _, zone in split if label == "svc" and zone), key=len, default=DEFAULT_ZONE)
