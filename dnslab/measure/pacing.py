"""The clocks of a run: the instant at which all clients of a group start, the run's own clock, the time left.

Reads the monotonic and the wall clock. Knows nothing of backends, probes or files.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

from dnslab.store.client import ClientRecord

#: Between the moment when the last client is ready and the start instant. Every probe must have its GO by then: when
#: it is sent to 100 pods through one API server, the last pod gets it a second after the first.
START_DELAY_NS = 100_000_000
START_DELAY_PER_CLIENT_NS = 15_000_000
#: how long a stalled lookup waits at least: the first attempt timeout of glibc
STALL_S = 5.0
#: clocks measured at the same time: more would delay one another
CLOCKS_AT_ONCE = 2


class Pace:
    """Estimates the time left, which never goes up: a wait for stalled lookups is counted in before it happens.

    A group takes longer than its load because its clients are set up before it, and because lookups in flight at its
    end take as long as the resolver waits. The first group is expected to overrun its load as the lookups before the
    run did, and by a stall at least; each later one as those before it did.

    Parameters
    ----------
    overrun_s
        By how much the lookups before the run overran their load.
    """

    def __init__(self, overrun_s: float = 0.0) -> None:
        self._foreseen_s, self._overruns_s = max(overrun_s, STALL_S), list[float]()
        self._first_s = self._began_s = time.monotonic()
        self._loads_s: list[float] = []
        self._told_s = math.inf

    def begin(self, loads_s: Sequence[float]) -> None:
        """Note that a group begins, with the length of its load and of those of all groups after it."""
        if self._loads_s:
            self._overruns_s.append(self._over_s())
        self._began_s, self._loads_s = time.monotonic(), list(loads_s)

    def left_s(self) -> float:
        """Estimated time until the last group ends, s; never more than it was before."""
        self._told_s = min(self._told_s, self._estimate_s())
        return self._told_s

    @property
    def is_behind(self) -> bool:
        """Whether it takes clearly longer than was told, as more lookups wait than before."""
        return self._estimate_s() > 1.1 * self._told_s + STALL_S

    def share(self) -> float:
        """How much of the time has passed, 0 to 1; it never goes down."""
        return self.passed_s() / max(self.passed_s() + self.left_s(), 1e-9)

    def passed_s(self) -> float:
        """Time since the run began, s."""
        return time.monotonic() - self._first_s

    def _estimate_s(self) -> float:
        overrun_s, (current_s, *later_s) = self._overrun_s(), self._loads_s
        left_s = max(0.0, current_s + overrun_s - (time.monotonic() - self._began_s))
        return left_s + sum(later_s) + len(later_s) * overrun_s

    def _overrun_s(self) -> float:
        """By how much a group overruns its load. One that goes on raises it little by little, and not when it ends."""
        if not self._overruns_s:
            return max(self._foreseen_s, self._over_s())
        so_far_s, n = sum(self._overruns_s), len(self._overruns_s)
        return max(so_far_s / n, (so_far_s + self._over_s()) / (n + 1))

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
