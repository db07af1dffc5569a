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

    Parameters
    ----------
    overrun_s
        By how much the lookups before the run overran their load: nothing else is known in the first group.
    deadline_s
        The longest that a lookup may take.
    """

    def __init__(self, overrun_s: float = 0.0, deadline_s: float = 0.0) -> None:
        self._overruns_s, self._deadline_s = [overrun_s], deadline_s
        self._began_s, self._loads_s = 0.0, [0.0]

    def begin(self, loads_s: Sequence[float]) -> None:
        """Note that a group begins, with the length of its load and of those of all groups after it."""
        if self._began_s:
            self._overruns_s.append(self._over_s())
        self._began_s, self._loads_s = time.monotonic(), list(loads_s)

    def left_s(self) -> float:
        """Estimated time until the last group ends, s."""
        overrun_s, (current_s, *later_s) = self._overrun_s(), self._loads_s
        left_s = max(0.0, current_s + overrun_s - (time.monotonic() - self._began_s))
        return left_s + sum(later_s) + len(later_s) * overrun_s

    def wait_s(self) -> float:
        """How much longer at most, s, as lookups may wait until their deadline at the end of each group."""
        return len(self._loads_s) * max(0.0, self._deadline_s - self._overrun_s())

    def _overrun_s(self) -> float:
        """By how much a group overruns its load. One that goes on raises it little by little, and not when it ends."""
        so_far_s = sum(self._overruns_s)
        return max(so_far_s / len(self._overruns_s), (so_far_s + self._over_s()) / (len(self._overruns_s) + 1))

    def _over_s(self) -> float:
        return max(0.0, time.monotonic() - self._began_s - self._loads_s[0])


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
