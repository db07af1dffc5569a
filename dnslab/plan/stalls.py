"""From which service time on a lookup counts as a stall."""

from __future__ import annotations

#: a stall takes at least this share of the first attempt timeout: less than 1, since clocks and timers are not exact,
#: and large enough that nothing but a lost packet takes so long
STALL_SHARE = 0.9


def stall_ms(timeout_s: float) -> float:
    """The service time, ms, from which on a lookup is a stall where the first attempt timeout is ``timeout_s``."""
    return STALL_SHARE * timeout_s * 1e3


def timeout_of_stall_s(stall_ms: float) -> float:
    """The first attempt timeout, s, of a resolver whose lookups stall from ``stall_ms`` on."""
    return stall_ms / (STALL_SHARE * 1e3)
