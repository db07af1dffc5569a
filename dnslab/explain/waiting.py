"""How long stalls lasted, in words. Pure."""

from __future__ import annotations

from dnslab.analyse.summary import Row
from dnslab.plan.stalls import timeout_of_stall_s
from dnslab.text import span_of

#: share of stalls at one multiple of the resolver's step from which on they all waited that long
MOST = 0.9


def waited(row: Row) -> str:
    """How long the stalls of ``row`` lasted: one time if nearly all ended there."""
    at = row.stalls_at or {}
    step, n = max(at.items(), key=lambda pair: pair[1], default=("", 0))
    if n >= MOST * row.stalls > 0:
        return span_of(float(step))
    if sum(at.values()) >= MOST * row.stalls:
        return f"{span_of(timeout_of_stall_s(row.stall_ms))} or longer"
    return f"{span_of(row.stall_ms / 1e3)} or longer"
