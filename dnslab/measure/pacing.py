"""The clocks of a run: the instant at which all clients of a group start, the run's own clock, the time left.

Reads the monotonic and the wall clock. Knows nothing of backends, probes or files.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from dnslab.store.client import ClientRecord

#: Between the moment when the last client is ready and the start instant. Every probe must have its GO by then: when
#: it is sent to 100 pods through one API server, the last pod gets it a second after the first.
START_DELAY_NS = 100_000_000
START_DELAY_PER_CLIENT_NS = 15_000_000
#: clocks measured at the same time: more would delay one another
CLOCKS_AT_ONCE = 2


class Pace:
    """Estimates the time left from how far earlier groups overran their load.

    A group takes longer than its load because its clients are set up before it, and because lookups in flight at its
    end may take as long as the resolver waits.
    """

    def __init__(self) -> None:
        self._began_s = self._spent_s = self._planned_s = self._current_s = self._later_s = 0.0

    def begin(self, current_s: float, later_s: float) -> None:
        """Note that a group begins, with the load planned for it, and for all groups after it."""
        now_s = time.monotonic()
        if self._current_s:
            self._spent_s += now_s - self._began_s
            self._planned_s += self._current_s
        self._began_s, self._current_s, self._later_s = now_s, current_s, later_s

    def left_s(self) -> float:
        """Estimated time until the last group ends, s."""
        factor = self._spent_s / self._planned_s if self._planned_s else 1.0
        elapsed_s = time.monotonic() - self._began_s
        return max(0.0, factor * self._current_s - elapsed_s) + factor * self._later_s


class RunClock:
    """Nanoseconds since a run began, by the monotonic clock: setting the time of the machine does not move trials.

    The monotonic clock means nothing to another process. A resume therefore counts on from the end of the last trial
    among ``measured``, and adds what has passed on the wall clock since.
    """

    def __init__(self, measured: Sequence[ClientRecord]) -> None:
        readings_ns = (pair for record in measured for pair in record.clocks_ns)
        elapsed_ns, wall_ns = max(readings_ns, default=(0, time.time_ns()))
        self._offset_ns = elapsed_ns + max(0, time.time_ns() - wall_ns) - time.monotonic_ns()

    def elapsed_ns(self) -> int:
        """Nanoseconds since the run began."""
        return time.monotonic_ns() + self._offset_ns


class StartInstant:
    """Makes every client of a group wait for all others, then gives all the same instant of our monotonic clock."""

    def __init__(self, n_clients: int) -> None:
        self._waiting_for = n_clients
        self._condition = threading.Condition()
        self._instant_ns: int | None = None
        self._arrived: set[str] = set()

    def is_past(self, after_s: float) -> bool:
        """Whether ``after_s`` seconds have passed since the instant."""
        return self._instant_ns is not None and time.monotonic_ns() > self._instant_ns + after_s * 1e9

    def wait(self, client: str) -> int:
        """Wait until all clients are ready or the group is abandoned. Returns the instant, ns."""
        with self._condition:
            self._arrive(client)
            self._condition.wait_for(lambda: self._instant_ns is not None)
            assert self._instant_ns is not None
            return self._instant_ns

    def leave(self, client: str) -> None:
        """Say that this client will never be ready, so that no other waits for it. Does nothing after ``wait``."""
        with self._condition:
            self._arrive(client)

    def abandon(self) -> None:
        """Release all clients that wait, and let none wait from now on."""
        with self._condition:
            self._release()

    def _arrive(self, client: str) -> None:
        self._arrived.add(client)
        if len(self._arrived) >= self._waiting_for:
            self._release()

    def _release(self) -> None:
        if self._instant_ns is None:
            self._instant_ns = time.monotonic_ns() + START_DELAY_NS + self._waiting_for * START_DELAY_PER_CLIENT_NS
            self._condition.notify_all()
