"""pauses: a stopped probe is told from a controller that does not read, and from a load with little to do."""

from __future__ import annotations

import numpy as np
import pytest

from dnslab.analyse.lookups import RECORD
from dnslab.analyse.pauses import paused_s


def looked_up(starts_s: object, service_s: float = 0.001) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    starts = np.atleast_1d(np.asarray(starts_s, dtype=np.float64))
    made = np.zeros(len(starts), RECORD)
    made["start_ns"] = np.round(starts * 1e9)
    made["end_ns"] = np.round((starts + service_s) * 1e9)
    return made


def beats(*seconds: float) -> list[int]:
    return [round(one * 1e9) for one in seconds]


EVERY_10_MS = np.arange(0, 10, 0.01)


def test_a_stop_of_four_seconds_is_as_long_as_nothing_happened() -> None:
    awake = EVERY_10_MS[(EVERY_10_MS < 3.2) | (EVERY_10_MS > 7.2)]
    stopped = paused_s(beats(0.7, 1.2, 1.7, 2.2, 2.7, 3.2, 7.25, 7.26, 7.7, 8.2, 8.7, 9.2, 9.7, 10), looked_up(awake))
    assert stopped == pytest.approx(4.0, abs=0.05)


def test_a_lookup_in_flight_over_the_stop_does_not_hide_it() -> None:
    made = np.concatenate([looked_up([1.0], service_s=6.0), looked_up([7.1])])
    assert paused_s(beats(0.7, 1.2, 7.0, 7.5), made) == pytest.approx(5.8, abs=0.01)


def test_a_controller_that_does_not_read_stops_no_lookup() -> None:
    assert paused_s(beats(0.7, 1.2, 8.0, 8.5, 9, 9.5, 10), looked_up(EVERY_10_MS)) == 0.0


def test_little_to_do_is_no_stop_while_heartbeats_come() -> None:
    assert paused_s(beats(*np.arange(0.7, 60, 0.5)), looked_up([1.0, 50.0])) == 0.0
    assert paused_s(beats(*np.arange(0.7, 60, 0.5)), looked_up([])) == 0.0


def test_what_makes_no_lookup_slow_is_no_stop() -> None:
    assert paused_s(beats(0.7, 1.2, 2.1, 2.6), looked_up([0.5])) == 0.0
    assert paused_s([], looked_up([0.5])) == 0.0


def test_times_that_cannot_be_do_no_harm() -> None:
    """A received stream may say anything."""
    made = looked_up([1.0])
    made["start_ns"] = made["end_ns"] = 2**64 - 1
    assert paused_s([2**64 - 1, 0, 2**63], made) >= 0.0
