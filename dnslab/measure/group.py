"""Measures one group of a run: the trials that are measured at the same time, from one start instant to their end."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from typing import Any

from dnslab.errors import DnslabError, RunInvalid, StorageFailed
from dnslab.measure import health
from dnslab.measure.conversation import ClockOffset, Conversation
from dnslab.measure.pacing import CLOCKS_AT_ONCE, RunClock, StartInstant
from dnslab.measure.probe.job import encode
from dnslab.measure.progress import ClientProgress
from dnslab.measure.protocol import Backend, Client, Expected, Target, TargetFacts
from dnslab.measure.trial import describe, make_job
from dnslab.measure.witnesses import Reading
from dnslab.plan.model import Plan
from dnslab.plan.schedule import Trial, count_clients
from dnslab.sentences import machine as sentences
from dnslab.store.client import ClientWriter
from dnslab.store.contents import ClientStart
from dnslab.store.folder import RunFolder
from dnslab.store.stream import Trailer

#: a probe that is told to start this long after the start instant has missed too much of its load
LATE_START_S = 2.0
#: between two looks at the clients of a group
LOOK_INTERVAL_S = 0.25


class DnsGotWorse(Exception):
    """DNS fails more than before the run; the text says by how much."""


@dataclass(frozen=True)
class Shared:
    """What all groups of a run share. ``report`` is told how far the clients of a group are, and whether it stops; it
    says whether they may end there."""

    folder: RunFolder
    backend: Backend
    expected: Mapping[str, Expected]
    watch: health.Watch
    clock: RunClock
    report: Callable[[Sequence[ClientProgress], bool], bool]
    clock_exchanges: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(CLOCKS_AT_ONCE))

    @property
    def plan(self) -> Plan:
        """The run's plan."""
        return self.folder.plan


@dataclass
class OpenClient:
    """A client of a group, once its target is open."""

    trial: Trial
    target: Target
    facts: TargetFacts
    progress: ClientProgress
    conversation: Conversation | None = None
    instant_ns: int | None = None
    cohorts: health.Cohorts = field(default_factory=health.Cohorts)

    @property
    def key(self) -> str:
        """Unique within a run."""
        return _key(self.trial, self.progress.target)


class GroupRun:
    """Opens the clients of a group, starts them at one instant, watches them, closes them.

    Every client has a thread of ``pool``. ``failures`` says which clients have no complete end, and why;
    ``has_seen_enough``, whether that is because the run has measured what it is for.
    """

    def __init__(self, run: Shared, group: Sequence[Trial], pool: ThreadPoolExecutor) -> None:
        self.trials = group
        self.load_s = load_s(run.plan, group)
        self.failures: list[str] = []
        self.has_seen_enough = False
        self._run, self._pool = run, pool
        self._opening: list[Future[OpenClient]] = []
        self._clients: list[OpenClient] = []
        n_clients = count_clients(group)
        self._ready, self._start = StartInstant(n_clients), StartInstant(n_clients)
        self._stopping = threading.Event()
        self._stopped_by = "the user"
        self._interrupted = False
        self._judged_second = 0
        self._worse = ""

    @property
    def progress(self) -> list[ClientProgress]:
        """How far each client has come."""
        return [client.progress for client in self._clients]

    def open(self) -> None:
        """Begin to open all clients. May be called twice."""
        if not self._opening:
            for trial in self.trials:
                for name in trial.targets:
                    self._opening.append(self._pool.submit(self._open, trial, name))

    def measure(self, following: GroupRun | None) -> None:
        """Open all clients, ready them one by one, start them at one instant, and follow them to their end.

        The clients of the ``following`` group are opened when the load has ended, while the last lookups are waited
        for: pods that start beside a load make its answers late.

        Raises
        ------
        KeyboardInterrupt
            On Ctrl-C, once all lookups in flight have ended; at once on a second one.
        DnsGotWorse
            And a trial was cut short for it, or there is a following group.
        DnslabError
            A client could not be opened, or its files could not be written.
        """
        self.open()
        try:
            self._clients = [future.result() for future in self._opening]
        except KeyboardInterrupt:
            self._run.report(self.progress, True)
            raise
        measuring = self._submit_all()
        while not all(future.done() for future in measuring):
            try:
                self._look_after(following)
                time.sleep(LOOK_INTERVAL_S)
            except KeyboardInterrupt:
                self._interrupt()
        for future in measuring:
            future.result()
        if self._interrupted:
            raise KeyboardInterrupt
        worse = self._worse or self._judge(over=True)
        if worse and (self._stopping.is_set() or following):
            raise DnsGotWorse(worse)

    def close(self) -> None:
        """Close all clients that were opened. May be called twice."""
        self._stopping.set()
        wait(self._opening)
        targets = [future.result().target for future in self._opening if not future.exception()]
        try:
            closing = [self._pool.submit(target.close) for target in targets]
        except RuntimeError:  # no more threads can be had
            for target in targets:
                target.close()
            raise
        for future in closing:
            future.result()

    def _open(self, trial: Trial, name: str) -> OpenClient:
        plan = self._run.plan
        client = Client(_key(trial, name), name, plan.variant(trial.variant), plan.loads[trial.load], plan.names)
        target = self._run.backend.open(client)
        try:
            return OpenClient(trial, target, target.facts(), ClientProgress(trial, name))
        except BaseException:
            target.close()
            raise

    def _submit_all(self) -> list[Future[None]]:
        """Submit all clients. If no more threads can be started, those already started do not wait for the others."""
        try:
            return [self._pool.submit(self._measure_client, client) for client in self._clients]
        except BaseException:
            self._stop()
            raise

    def _look_after(self, following: GroupRun | None) -> None:
        """The work that is done several times a second while clients are measured."""
        opens_ahead = self._run.backend.opens_ahead and not self._stopping.is_set()
        if following and opens_ahead and self._start.is_past(self.load_s):
            following.open()
        if self._run.report(self.progress, False) and not self._stopping.is_set():
            self.has_seen_enough, self._stopped_by = True, str(sentences.SEEN_ENOUGH)
            self._stop()
        if not self._interrupted and not self._worse and (worse := self._judge()):
            self._worse = worse
            self._stopped_by = "dnslab, as DNS got worse"
            self._stop()

    def _interrupt(self) -> None:
        """The first Ctrl-C stops new lookups; the second does not wait for lookups in flight."""
        if self._interrupted:
            for client in self._clients:
                client.target.close()
            raise KeyboardInterrupt
        self._interrupted = True
        self._stop()
        self._run.report(self.progress, True)

    def _stop(self) -> None:
        self._stopping.set()
        self._ready.abandon()
        self._start.abandon()
        for client in self._clients:
            if client.conversation:
                client.conversation.stop()

    def _judge(self, over: bool = False) -> str:
        """The reason to abort; ``""`` if there is none. ``over`` says that the group has ended."""
        # Beside the load it is judged only where it can matter, and once a second: it goes through the whole trial.
        judged = [client for client in self._clients if health.is_judged(self._run.plan, client.trial)]
        beats = [(client, beat) for client in judged if (beat := client.progress.heartbeat)]
        second = max((beat.elapsed_ns // 10**9 for _, beat in beats), default=0)
        n_failed = sum(beat.n_failed for _, beat in beats)
        if not over and (n_failed < self._run.watch.min_failed or second == self._judged_second):
            return ""
        self._judged_second = second
        cohorts: dict[str, list[list[health.Tally]]] = {}
        for client, beat in beats:
            seconds = client.cohorts.past(math.inf if over else beat.elapsed_ns / 1e9)
            cohorts.setdefault(client.trial.variant, []).append(seconds)
        return self._run.watch.judge({name: health.together(each) for name, each in cohorts.items()}, over)

    def _measure_client(self, client: OpenClient) -> None:
        """Measure one client, from its job to end.json. Unless files cannot be written, errors end this client only."""
        end: dict[str, Any] = {"status": "failed", "error": None, "trailer": None}
        begun = False
        try:
            start = describe(self._run.plan, client.trial, client.progress.target, client.facts, self._run.expected)
            client.cohorts = health.Cohorts(start.deadline_s, self._run.plan.loads[client.trial.load].rate_per_s)
            writer = self._run.folder.writer(client.trial.number, client.progress.target)
            began_ns = self._run.clock.elapsed_ns()
            counters = client.target.counters()
            seen = {"counters": dict(counters), "missing": counters.missing}
            writer.start(start.model_copy(update={"started_elapsed_ns": began_ns, **seen}))
            begun = True
            with contextlib.closing(writer.stream()) as stream:
                trailer, clock = self._talk(client, start, stream.append)
            end.update(status=trailer.status, trailer=asdict(trailer), clock=asdict(clock))
        except StorageFailed:
            raise
        except DnslabError as error:
            end["error"] = str(error)
        finally:
            self._ready.leave(client.key)
            self._start.leave(client.key)
            if begun and not isinstance(sys.exception(), StorageFailed):
                self._finish(client, writer, end)
            elif end["error"]:
                self._fail(client, end["error"])

    def _talk(
        self, client: OpenClient, start: ClientStart, sink: Callable[[bytes], None]
    ) -> tuple[Trailer, ClockOffset]:
        """Start the probe, let it measure, and return its trailer and the offset of its clock."""
        channel = client.target.start(encode(make_job(self._run.plan, client.trial, client.facts, start)))
        with contextlib.closing(channel):
            conversation = Conversation(channel, sink)
            conversation.ready()
            # Not while others are still being started, nor all at once: either would be measured as distance.
            self._ready.wait(client.key)
            with self._run.clock_exchanges:
                clock = conversation.measure_clock()
            client.conversation = conversation
            instant_ns = client.instant_ns = self._start.wait(client.key)
            conversation.go(instant_ns + clock.offset_ns)
            late_s = (time.monotonic_ns() - instant_ns) / 1e9
            if late_s > LATE_START_S:
                raise RunInvalid(sentences.STARTED_LATE(late=f"{late_s:.1f} s"))
            if self._stopping.is_set():
                conversation.stop()
            return conversation.follow(client.progress.note, client.cohorts.add), clock

    def _finish(self, client: OpenClient, writer: ClientWriter, end: dict[str, Any]) -> None:
        """Write end.json, with what is known after the load."""
        counters = Reading()
        try:
            counters = client.target.counters()
            truth = client.target.ground_truth()
            if truth is not None:
                writer.ground_truth(truth)
        except DnslabError as error:
            end.update(status="failed", error=end["error"] or str(error))
        if self._stopping.is_set() and end["status"] != "complete":
            end["error"] = end["error"] or sentences.STOPPED_BY(whom=self._stopped_by)
        end.update(
            counters=dict(counters),
            missing=counters.missing,
            exposed_counted=counters.get("node.exposed"),
            heartbeat_lateness_ms_max=client.progress.lateness_ns / 1e6,
            began_realtime_ns=_realtime_ns(client.instant_ns),
            finished_realtime_ns=time.time_ns(),
            finished_elapsed_ns=self._run.clock.elapsed_ns(),
        )
        writer.end(end)
        if end["status"] != "complete":
            self._fail(client, end["error"] or end["status"])

    def _fail(self, client: OpenClient, reason: str) -> None:
        trial = client.trial
        self.failures.append(sentences.IN_ROUND(variant=trial.variant, round=str(trial.round), why=reason))


def load_s(plan: Plan, group: Sequence[Trial]) -> float:
    """How long the longest load of a group takes, warm-up included."""
    return max(plan.loads[trial.load].total_s for trial in group)


def _realtime_ns(monotonic_ns: int | None) -> int | None:
    """An instant of the monotonic clock in Unix time."""
    return None if monotonic_ns is None else time.time_ns() - time.monotonic_ns() + monotonic_ns


def _key(trial: Trial, target: str) -> str:
    return f"{trial.number:04d}-{target}"
