"""Waits for trouble: counts what a small load's heartbeats say, and fires by the rule of ``plan.sentinel``.

Keeps the bad queries of the longest window alone, so that memory stays bounded however long the wait is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dnslab.measure.progress import Progress
from dnslab.plan.sentinel import Alarm, Kind


@dataclass(frozen=True)
class Fired:
    """That the sentinel fired: on which target, for what, and how many were bad within how long."""

    target: str
    kind: Kind
    n_bad: int
    window_s: float


@dataclass
class Sentinel:
    """Whether a run that waits has seen enough; give it to ``runner.run`` as ``until``.

    Parameters
    ----------
    alarms
        When it fires.
    now_s
        A monotonic clock.
    """

    alarms: Sequence[Alarm]
    now_s: Callable[[], float] = time.monotonic
    fired: Fired | None = None
    _totals: dict[tuple[int, str, Kind], int] = field(default_factory=dict)
    _bad: dict[tuple[str, Kind], deque[tuple[float, int]]] = field(default_factory=dict)

    def __call__(self, progress: Progress) -> bool:
        """Count what is new in ``progress``, and say whether it has fired."""
        now_s = self.now_s()
        for client in progress.running:
            if beat := client.heartbeat:
                n_late = max(0, beat.n_over_limit - beat.n_failed)
                self._note(now_s, (client.trial.number, client.target, "failed"), beat.n_failed)
                self._note(now_s, (client.trial.number, client.target, "late"), n_late)
        self.fired = self.fired or next(filter(None, (self._judged(alarm, now_s) for alarm in self.alarms)), None)
        return self.fired is not None

    def _note(self, now_s: float, key: tuple[int, str, Kind], total: int) -> None:
        new = total - self._totals.get(key, 0)
        if new > 0:
            self._totals[key] = total
            self._bad.setdefault(key[1:], deque()).append((now_s, new))

    def _judged(self, alarm: Alarm, now_s: float) -> Fired | None:
        longest_s = max(one.window_s for one in self.alarms)
        for (target, kind), bad in self._bad.items():
            while bad and bad[0][0] < now_s - longest_s:
                bad.popleft()
            n_bad = sum(n for at_s, n in bad if at_s >= now_s - alarm.window_s) if kind == alarm.kind else 0
            if n_bad >= alarm.least:
                return Fired(target, kind, n_bad, alarm.window_s)
        return None
