"""How far a run has come, as data. ``display`` shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dnslab.plan.schedule import Trial
from dnslab.store.stream import Heartbeat


@dataclass
class ClientProgress:
    """How far one client has come: the running totals of its probe, warm-up included."""

    trial: Trial
    target: str
    heartbeat: Heartbeat | None = None
    lateness_ns: int = 0

    def note(self, heartbeat: Heartbeat) -> None:
        """Keep the newest heartbeat, and the largest lateness of all heartbeats."""
        self.heartbeat = heartbeat
        self.lateness_ns = max(self.lateness_ns, heartbeat.lateness_ns)


@dataclass
class Progress:
    """How far a run has come. The lookups of ``running`` are not yet among those that are ``done``."""

    n_trials: int
    n_done: int = 0
    running: Sequence[ClientProgress] = ()
    n_lookups_done: int = 0
    n_failed_done: int = 0
    n_stalls_done: int = 0
    #: seconds since the run began, and estimated until its end, which never goes up; ``share`` of both that has passed
    passed_s: float = 0.0
    left_s: float = 0.0
    share: float = 0.0
    #: it takes longer than was told
    is_behind: bool = False
    #: the user has asked to stop; what is in flight is waited for
    stopping: bool = False

    def count_done(self, trials: Sequence[Trial], clients: Sequence[ClientProgress]) -> None:
        """Count ``trials`` that have ended, and the lookups of their ``clients``. No client runs after this."""
        for heartbeat in filter(None, (client.heartbeat for client in clients)):
            self.n_lookups_done += heartbeat.n_done
            self.n_failed_done += heartbeat.n_failed
            self.n_stalls_done += heartbeat.n_stalls
        self.n_done += len(trials)
        self.running = ()


OnProgress = Callable[[Progress], None]
#: whether a run has measured what it is for, by how far it is
Until = Callable[[Progress], bool]
