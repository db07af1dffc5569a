"""How long a probe was paused during its trial: stopped by SIGSTOP or a debugger, or on a paused machine.

A stopped probe receives no answer, so a lookup in flight takes as long as the stop and looks like a stall of DNS. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: a probe sends a heartbeat every half second: a gap from here on holds a stop of a second, or its controller did not
#: read
GAP_NS = 1_500_000_000
#: a shorter stop makes no lookup slow
LEAST_NS = 1_000_000_000


def paused_s(heartbeats_ns: Sequence[int], raw: npt.NDArray[Any]) -> float:
    """The longest time, s, in which a probe gave no sign of life; 0 if it is less than one second.

    A sign of life is a heartbeat, or a lookup that begins or ends. Heartbeats alone are not enough: they also stay away
    while the controller does not read, and lookups go on meanwhile.

    Parameters
    ----------
    heartbeats_ns
        When each heartbeat was sent, since the start instant, in order.
    raw
        All records of the trial, warm-up included, times since the start instant.
    """
    beats = np.array([0, *heartbeats_ns], dtype=np.uint64).astype(np.int64)
    gaps = [(beats[place], beats[place + 1]) for place in np.flatnonzero(np.diff(beats) >= GAP_NS)]
    if not gaps:
        return 0.0
    events = np.sort(np.concatenate([raw["start_ns"], raw["end_ns"]])).astype(np.int64)
    longest = max(_longest_ns(events[(events > first) & (events < last)], first, last) for first, last in gaps)
    return longest / 1e9 if longest >= LEAST_NS else 0.0


def _longest_ns(events: npt.NDArray[np.int64], first: np.int64, last: np.int64) -> int:
    """The longest time without an event between ``first`` and ``last``."""
    return int(np.diff(np.concatenate([[first], events, [last]])).max())
