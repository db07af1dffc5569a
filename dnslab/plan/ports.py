"""Source ports that engine wire chooses itself in pods, so that none comes again while conntrack may keep its flow.

Pure. How many lookups a second have ports enough, and which lane of them each of several probes takes.
"""

from __future__ import annotations

import math

from dnslab.errors import UsageError
from dnslab.plan import flows
from dnslab.plan.model import Load, Plan


def are_chosen(plan: Plan, load: Load) -> bool:
    """Whether the probe chooses the source ports of ``load``.

    Only in a cluster: the lab forgets flows within seconds, and this machine's address is not the run's own.
    """
    is_udp = load.engine == "wire" and load.transport == "udp"
    return plan.in_cluster and is_udp and load.mode == "fresh" and load.loop != "closed"


def n_lanes(plan: Plan) -> int:
    """How many probes choose ports at the same time from one address: in an existing pod those of all variants, and of
    all loads that run together."""
    if not plan.cluster.existing or plan.order == "in-turn":
        return 1
    return len(plan.variants) * (len(plan.loads) if plan.order == "together" else 1)


def lane(plan: Plan, variant: str, load: int) -> int:
    """Which of ``n_lanes`` the probe of a trial takes, from 0."""
    if n_lanes(plan) == 1:
        return 0
    return plan.variants.index(variant) + (load * len(plan.variants) if plan.order == "together" else 0)


def most_per_s(plan: Plan, load: Load) -> float:
    """The highest rate of ``load`` for each variant that has ports enough; infinity where the kernel chooses them."""
    if not are_chosen(plan, load):
        return math.inf
    if plan.cluster.existing:
        sockets_per_s = flows.wire_rate_per_s(load.total_s, n_lanes(plan))
    else:
        sockets_per_s = flows.fresh_wire_rate_per_s(load.total_s)
    return sockets_per_s / flows.sockets_per_arrival(load.arrangement)


def check(plan: Plan) -> None:
    """Check that engine wire has ports enough in each pod, of Linux's own range.

    Raises
    ------
    UsageError
        Ports would have to come again within 180 s; the message has the rate that fits.
    """
    for load in plan.loads:
        fits = most_per_s(plan, load)
        if load.rate_per_s and load.rate_per_s > fits:
            raise UsageError(
                f"engine wire uses no source port twice within {flows.PORT_REST_S} s, and a pod has {flows.N_PORTS:,} "
                f"ports{f' for {n_lanes(plan)} variants' if n_lanes(plan) > 1 else ''}. At most {math.floor(fits):,} "
                f"lookups/s fit into trials of {load.total_s:g} s, not {load.rate_per_s:g}: lower --rate"
            )
