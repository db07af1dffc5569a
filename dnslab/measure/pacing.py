"""The instant at which all arms of a group start, and how much longer a run takes. Pure but for the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from dnslab.store.folder import ArmRecord

#: between the last target's readiness and the start instant: every probe must have its GO by then. Sent all at once
#: to 100 pods through one API server, the last came a second after the first.
START_DELAY_NS = 100_000_000
START_DELAY_PER_ARM_NS = 15_000_000
#: clocks measured at the same time: more would measure one another
CLOCKS_AT_ONCE = 2


class Pace:
    """Time left, from how much longer than their load the groups so far took: set-up, and lookups in flight at the
    end, which may be a resolver's whole wait."""

    def __init__(self) -> None:
        self._began_s = self._spent_s = self._planned_s = self._this_s = self._later_s = 0.0

    def begin(self, this_s: float, later_s: float) -> None:
        """The next group begins; the load planned for it and for all after it."""
        now_s = time.monotonic()
        if self._this_s:
            self._spent_s += now_s - self._began_s
            self._planned_s += self._this_s
        self._began_s, self._this_s, self._later_s = now_s, this_s, later_s

    def left_s(self) -> float:
        """Seconds until the last group ends."""
        factor = self._spent_s / self._planned_s if self._planned_s else 1.0
        elapsed_s = time.monotonic() - self._began_s
        return max(0.0, factor * self._this_s - elapsed_s) + factor * self._later_s


class RunClock:
    """Nanoseconds since a run began, by the monotonic clock, so that nobody who sets the time moves trials.

    That clock means nothing in another process: a resume goes on where the last trial ended, plus what has passed on
    the wall clock since. ``arms`` are those that are there already.
    """

    def __init__(self, arms: Sequence[ArmRecord]) -> None:
        elapsed_ns, wall_ns = max((pair for arm in arms for pair in arm.clocks_ns), default=(0, time.time_ns()))
        self._offset_ns = elapsed_ns + max(0, time.time_ns() - wall_ns) - time.monotonic_ns()

    def elapsed_ns(self) -> int:
        """Now."""
        return time.monotonic_ns() + self._offset_ns


class StartInstant:
    """Lets every arm of a group wait until all have come, then gives all the same instant of our monotonic clock."""

    def __init__(self, n_arms: int) -> None:
        self._waiting_for = n_arms
        self._condition = threading.Condition()
        self._instant_ns: int | None = None
        self._arrived: set[str] = set()

    def is_past(self, after_s: float) -> bool:
        """Whether the instant has come and ``after_s`` seconds more have passed."""
        return self._instant_ns is not None and time.monotonic_ns() > self._instant_ns + after_s * 1e9

    def wait(self, arm: str) -> int:
        """The instant, once all have come or the group is abandoned."""
        with self._condition:
            self._arrive(arm)
            self._condition.wait_for(lambda: self._instant_ns is not None)
            assert self._instant_ns is not None
            return self._instant_ns

    def leave(self, arm: str) -> None:
        """An arm that will never be ready does not hold up the others; after ``wait`` this changes nothing."""
        with self._condition:
            self._arrive(arm)

    def abandon(self) -> None:
        """Nobody is waited for any longer."""
        with self._condition:
            self._release()

    def _arrive(self, arm: str) -> None:
        self._arrived.add(arm)
        if len(self._arrived) >= self._waiting_for:
            self._release()

    def _release(self) -> None:
        if self._instant_ns is None:
            self._instant_ns = time.monotonic_ns() + START_DELAY_NS + self._waiting_for * START_DELAY_PER_ARM_NS
            self._condition.notify_all()
