"""Plan, backend and probe to a run folder: start instant, progress, abort, resume.

Decides when things happen. What a trial is comes from ``plan``, where it runs from the backend, and every byte goes
to ``store``; no record is decoded here.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dnslab.errors import DnslabError, Interrupted, NotAble, RunInvalid, StorageFailed, refusal
from dnslab.measure import backends, health, preflight
from dnslab.measure.backends import completed, known_targets, open_backend
from dnslab.measure.conversation import Conversation
from dnslab.measure.pacing import CLOCKS_AT_ONCE, Pace, RunClock, StartInstant
from dnslab.measure.probe.job import encode
from dnslab.measure.protocol import Backend, Client, Expected, Target, TargetFacts
from dnslab.measure.trial import describe, make_job
from dnslab.plan import limits, model as plans
from dnslab.plan.model import Plan, Trial
from dnslab.store import stream as records
from dnslab.store.folder import ArmWriter, RunFolder, resume_command

#: a probe that is told to start this long after the start instant has missed too much of its load
LATE_START_S = 2.0


@dataclass
class ArmProgress:
    """Where one trial on one target stands; figures are the probe's own running totals, warm-up included."""

    trial: Trial
    target: str
    heartbeat: records.Heartbeat | None = None
    lateness_ns: int = 0


@dataclass
class Progress:
    """Where a run stands, for display."""

    n_trials: int
    n_done: int = 0
    running: Sequence[ArmProgress] = ()
    n_lookups_done: int = 0
    n_failed_done: int = 0
    n_stalls_done: int = 0
    left_s: float = 0.0


OnProgress = Callable[[Progress], None]


def run(
    plan: Plan | Mapping[str, Any],
    out: Path | str | None = None,
    results: Path | str | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Carry out ``plan`` and give back its run folder.

    Parameters
    ----------
    plan
        A plan, or the keys of one.
    out
        The run folder to make; default ``<results>/<UTC time>-<plan's name>``.
    results
        Default ``results`` in the current folder, or ``$DNSLAB_RESULTS``.
    on_progress
        Called about twice a second from this thread; default none.

    Raises
    ------
    UsageError, NotAble
        Before anything is made.
    RunInvalid
        After the run, when a trial failed; the folder holds what was measured.
    Interrupted
        On Ctrl-C; likewise.
    """
    checked = completed((plan if isinstance(plan, Plan) else Plan.model_validate(dict(plan))).check())
    check(checked, out, results)
    targets = known_targets(checked)
    preflight.check_targets(checked, targets)
    preflight.allow_open_files(checked, targets)
    with _opened_backend(checked) as backend:
        preflight.check_targets(checked, backend.targets())  # now that their libc is known, in a cluster too
        expected = _expected(checked, backend)
        before = health.before(checked, backend, expected)
        described = environment(checked, backend, before)
        if out is None:
            folder = RunFolder.create_in(_results(results), checked, described)
        else:
            folder = RunFolder.create(Path(out), checked, described)
        with folder.claimed():
            _Runner(folder, backend, expected, before, on_progress).go()
    return folder.path


def check(plan: Plan, out: Path | str | None = None, results: Path | str | None = None) -> None:
    """Check ``plan``, and the place of its run folder, as far as that can be done before a backend is asked anything.

    Parameters are those of ``run``.

    Raises
    ------
    UsageError, NotAble
        As ``backends.check`` and ``preflight.check_new_folder`` do.
    """
    backends.check(plan)
    preflight.check_new_folder(_results(results) / f"<UTC time>-{plan.name}" if out is None else Path(out))


def _results(results: Path | str | None) -> Path:
    return Path(results or os.environ.get("DNSLAB_RESULTS", "results"))


def resume(path: Path | str, on_progress: OnProgress | None = None) -> Path:
    """Go on with an interrupted run: every trial without a complete end is measured (again).

    To go on is to take DNS as it now is: whether it gets worse is judged against now.
    """
    folder = RunFolder(Path(path))
    preflight.check_writable(folder.path)
    targets = known_targets(folder.plan)
    limits.check_load(folder.plan, targets)
    preflight.allow_open_files(folder.plan, targets)
    with folder.claimed(), _opened_backend(folder.plan) as backend:
        expected = _expected(folder.plan, backend)
        before = health.before(folder.plan, backend, expected)
        folder.add_environment(environment(folder.plan, backend, before))
        _Runner(folder, backend, expected, before, on_progress).go()
    return folder.path


@contextlib.contextmanager
def _opened_backend(plan: Plan) -> Iterator[Backend]:
    """The backend, closed in any case."""
    backend = open_backend(plan)
    try:
        yield backend
    except DnslabError as error:
        try:
            backend.close()
        except DnslabError as left:  # neither may hide the other
            raise type(error)(f"{error}; {left}") from error
        raise
    finally:
        backend.close()


def _expected(plan: Plan, backend: Backend) -> Mapping[str, Expected]:
    """What the plan's names resolve to, once it is known that they may be asked for."""
    expected = backend.expected(plan.names)
    absolute = {name: one.absolute for name, one in expected.items()}
    limits.check_names(plan, absolute, str(backend.describe().get("resolv_conf", "")))
    return expected


def environment(plan: Plan, backend: Backend, before: health.Tally) -> dict[str, Any]:
    """What the run is measured on, as plain data; ``before`` is what failed when nothing was loaded yet."""
    uname = platform.uname()
    return {
        "dnslab": version("dnslab"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": f"{uname.system} {uname.release}",
        "machine": uname.machine,
        "n_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_model(),
        "python": platform.python_version(),
        "targets": [asdict(target) for target in backend.targets()],
        "backend": dict(backend.describe()),
        "fault": str(plan.fault),
        "health_before": asdict(before),
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


@dataclass
class OpenClient:
    """One open target of the group at hand."""

    trial: Trial
    target: Target
    facts: TargetFacts
    progress: ArmProgress
    conversation: Conversation | None = None

    @property
    def key(self) -> str:
        return f"{self.trial.number:04d}-{self.progress.target}"


class _Runner:
    def __init__(
        self,
        folder: RunFolder,
        backend: Backend,
        expected: Mapping[str, Expected],
        before: health.Tally,
        on_progress: OnProgress | None,
    ) -> None:
        self._folder, self._backend, self._expected = folder, backend, expected
        self._plan = folder.plan
        self._on_progress = on_progress or (lambda progress: None)
        self._stopping = threading.Event()
        self._stopped_by = "the user"
        self._failures: list[str] = []
        self._pace = Pace()
        self._clock = RunClock(folder.last_arms())
        self._clocks = threading.Semaphore(CLOCKS_AT_ONCE)

        control = health.control_trial(self._plan, backend.targets()).variant
        self._watch = health.Watch(control, before, self._plan.limits.abort_margin)

    def go(self) -> None:
        trials = plans.trials(self._plan, self._backend.targets())
        groups = _groups(self._missing(trials))
        self._progress = Progress(len(trials), n_done=len(trials) - sum(len(group) for group in groups))
        try:
            self._run_groups(groups)
        except KeyboardInterrupt:
            n_done = f"{self._progress.n_done} of {len(trials)} trials"
            raise Interrupted(f"interrupted after {n_done}, {self._goes_on}") from None
        except _Worse as worse:
            raise RunInvalid(f"{worse}: aborted with {self._whole_of(trials)} whole, {self._goes_on}") from None
        except DnslabError as error:
            kind = type(error) if isinstance(error, RunInvalid) else RunInvalid
            raise kind(f"{error}: {self._whole_of(trials)} are whole, {self._goes_on}") from error
        except (OSError, MemoryError, RuntimeError) as error:
            if not (refused := refusal(error)):
                raise
            raise NotAble(f"{refused}: {self._whole_of(trials)} are whole, {self._goes_on}") from error
        if self._failures:
            raise RunInvalid(
                f"{len(self._failures)} of {len(trials)} trials are not whole ({self._failures[0]}): "
                f"{resume_command(self._folder.path)} measures them again"
            )

    def _run_groups(self, groups: Sequence[Sequence[Trial]]) -> None:
        n_arms = max((sum(len(trial.targets) for trial in group) for group in groups), default=0)
        self._ahead: list[Future[OpenClient]] = []
        # Room for a group that is measured and the next one that is opened meanwhile.
        with ThreadPoolExecutor(max_workers=max(1, 2 * n_arms), thread_name_prefix="arm") as self._pool:
            try:
                for index, group in enumerate(groups):
                    self._pace.begin(self._group_s(group), sum(self._group_s(later) for later in groups[index + 1 :]))
                    opening, self._ahead = self._ahead or self._open_all(group), []
                    self._run_group(group, opening, groups[index + 1] if index + 1 < len(groups) else ())
            finally:
                for client in _opened(self._ahead):
                    client.target.close()

    def _missing(self, trials: Sequence[Trial]) -> list[Trial]:
        complete = {(arm.number, arm.target) for arm in self._folder.last_arms() if arm.status == "complete"}
        # Side by side, a round is only worth something whole: its trials share the same minute.
        incomplete = {t.group for t in trials if any((t.number, name) not in complete for name in t.targets)}
        return [trial for trial in trials if trial.group in incomplete]

    @property
    def _goes_on(self) -> str:
        if not self._folder.path.exists():
            return "and the run folder has gone"
        return f"all kept: {resume_command(self._folder.path)} goes on"

    def _whole_of(self, trials: Sequence[Trial]) -> str:
        try:
            n_missing = len(self._missing(trials))
        except (DnslabError, OSError):  # the folder has gone, or was changed
            n_missing = len(trials)
        return f"{len(trials) - n_missing} of {len(trials)} trials"

    def _group_s(self, group: Sequence[Trial]) -> float:
        loads = [self._plan.loads[trial.load] for trial in group]
        return max(load.warmup_s + load.duration_s for load in loads)

    def _run_group(self, group: Sequence[Trial], opening: Sequence[Future[OpenClient]], then: Sequence[Trial]) -> None:
        """Measure ``group``, whose targets are ``opening``; ``then`` is what to open while it is measured."""
        clients: list[OpenClient] = []
        try:
            clients = _collect(opening)
            self._measure(clients, then)
        finally:
            self._stopping.set()
            self._close_all(clients)
            self._stopping.clear()
        self._progress.n_done += len(group)
        self._progress.running = ()

    def _close_all(self, clients: Sequence[OpenClient]) -> None:
        try:
            closing = [self._pool.submit(client.target.close) for client in clients]
        except RuntimeError:  # no more threads can be had
            for client in clients:
                client.target.close()
            raise
        for future in closing:
            future.result()

    def _open_all(self, group: Sequence[Trial]) -> list[Future[OpenClient]]:
        return [self._pool.submit(self._open, trial, name) for trial in group for name in trial.targets]

    def _open(self, trial: Trial, name: str) -> OpenClient:
        variant = self._plan.variant(trial.variant)
        key = f"{trial.number:04d}-{name}"
        target = self._backend.open(Client(key, name, variant, self._plan.loads[trial.load], self._plan.names))
        try:
            return OpenClient(
                trial,
                target,
                target.facts(),
                ArmProgress(trial, name),
            )
        except BaseException:
            target.close()
            raise

    def _measure(self, clients: Sequence[OpenClient], then: Sequence[Trial]) -> None:
        """All clients of a group: readied one by one, started at one instant, followed until the last has ended.

        The next group's targets are opened when the load has ended, while the last lookups are waited for: pods that
        start beside a load make its answers late.
        """
        start = StartInstant(len(clients))
        ready = StartInstant(len(clients))
        futures = self._submit_all(clients, ready, start)
        self._progress.running = [client.progress for client in clients]
        load_s = self._group_s([client.trial for client in clients])
        interrupted, worse = False, ""
        while not all(future.done() for future in futures):
            try:
                opens = self._backend.opens_ahead and not self._stopping.is_set()
                if then and opens and not self._ahead and start.is_past(load_s):
                    self._ahead = self._open_all(then)
                self._progress.left_s = self._pace.left_s()
                self._on_progress(self._progress)
                if not worse and not interrupted and (worse := self._worse(clients)):
                    self._stopped_by = "dnslab, as DNS got worse"
                    self._stop(clients, ready, start)
                time.sleep(0.25)
            except KeyboardInterrupt:
                if interrupted:  # a second Ctrl-C does not wait for lookups in flight
                    for client in clients:
                        client.target.close()
                    raise
                interrupted = True
                self._stop(clients, ready, start)
        for future in futures:
            future.result()
        for progress in (client.progress for client in clients):
            if progress.heartbeat:
                self._progress.n_lookups_done += progress.heartbeat.n_done
                self._progress.n_failed_done += progress.heartbeat.n_failed
                self._progress.n_stalls_done += progress.heartbeat.n_stalls
        if interrupted:
            raise KeyboardInterrupt
        worse = worse or self._worse(clients, over=True)
        if worse and (self._stopping.is_set() or then):
            raise _Worse(worse)

    def _submit_all(
        self, clients: Sequence[OpenClient], ready: StartInstant, start: StartInstant
    ) -> list[Future[None]]:
        """Where no more threads can be had, those that were started do not wait for the others."""
        try:
            return [self._pool.submit(self._measure_one, client, ready, start) for client in clients]
        except BaseException:
            self._stop(clients, ready, start)
            raise

    def _worse(self, clients: Sequence[OpenClient], over: bool = False) -> str:
        beats: dict[str, list[records.Heartbeat]] = {}
        for client in clients:
            if client.progress.heartbeat:
                beats.setdefault(client.trial.variant, []).append(client.progress.heartbeat)
        elapsed_s = max((beat.elapsed_ns / 1e9 for one in beats.values() for beat in one), default=0.0)
        return self._watch.judge(elapsed_s, {name: health.tally(one) for name, one in beats.items()}, over)

    def _stop(self, clients: Sequence[OpenClient], ready: StartInstant, start: StartInstant) -> None:
        self._stopping.set()
        ready.abandon()
        start.abandon()
        for client in clients:
            if client.conversation:
                client.conversation.stop()

    def _measure_one(self, client: OpenClient, ready: StartInstant, start: StartInstant) -> None:
        """One trial on one target, from job to end.json. All but files that cannot be written ends this trial only."""
        end: dict[str, Any] = {"status": "failed", "error": None, "trailer": None}
        begun = False
        try:
            described = describe(self._plan, client.trial, client.progress.target, client.facts, self._expected)
            writer = self._folder.writer(client.trial.number, client.progress.target)
            began_ns = self._clock.elapsed_ns()
            writer.start({**described, "started_elapsed_ns": began_ns, "counters": dict(client.target.counters())})
            begun = True
            with contextlib.closing(writer.stream()) as stream:
                trailer, clock = self._talk(client, described, ready, start, stream.append)
            end.update(status=trailer.status, trailer=asdict(trailer), clock=clock)
        except StorageFailed:
            raise
        except DnslabError as error:
            end["error"] = str(error)
        finally:
            ready.leave(client.key)
            start.leave(client.key)
            if begun and not isinstance(sys.exception(), StorageFailed):
                self._finish(client, writer, end)
            elif end["error"]:
                self._fail(client, end["error"])

    def _finish(self, client: OpenClient, writer: ArmWriter, end: dict[str, Any]) -> None:
        counters: Mapping[str, int] = {}
        try:
            counters = client.target.counters()
            truth = client.target.ground_truth()
            if truth is not None:
                writer.ground_truth(truth)
        except DnslabError as error:
            end.update(status="failed", error=end["error"] or str(error))
        if self._stopping.is_set() and end["status"] != "complete":
            end["error"] = end["error"] or f"stopped by {self._stopped_by}"
        end.update(
            counters=dict(counters),
            exposed_counted=counters.get("node.exposed"),
            heartbeat_lateness_ms_max=client.progress.lateness_ns / 1e6,
            finished_realtime_ns=time.time_ns(),
            finished_elapsed_ns=self._clock.elapsed_ns(),
        )
        writer.end(end)
        if end["status"] != "complete":
            self._fail(client, end["error"] or end["status"])

    def _fail(self, client: OpenClient, why: str) -> None:
        self._failures.append(f"{client.trial.variant}, round {client.trial.round}: {why}")

    def _talk(
        self,
        client: OpenClient,
        described: Mapping[str, Any],
        ready: StartInstant,
        start: StartInstant,
        sink: Callable[[bytes], None],
    ) -> tuple[records.Trailer, dict[str, int]]:
        channel = client.target.start(encode(make_job(self._plan, client.trial, client.facts, described)))
        with contextlib.closing(channel):
            conversation = Conversation(channel, sink)
            conversation.ready()
            # Not while others are still being started, nor all at once: either would be measured as distance.
            ready.wait(client.key)
            with self._clocks:
                clock = conversation.measure_clock()
            client.conversation = conversation
            instant_ns = start.wait(client.key)
            conversation.go(instant_ns + clock.offset_ns)
            late_s = (time.monotonic_ns() - instant_ns) / 1e9
            if late_s > LATE_START_S:
                raise RunInvalid(f"the probe was started {late_s:.1f} s late: dnslab was stopped, or is too slow here")
            if self._stopping.is_set():
                conversation.stop()
            return conversation.follow(lambda beat: _note(client.progress, beat)), asdict(clock)


class _Worse(Exception):
    """DNS fails more than before the run, in words."""


def _groups(trials: Sequence[Trial]) -> list[list[Trial]]:
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.group, []).append(trial)
    return list(groups.values())


def _collect(futures: Sequence[Future[OpenClient]]) -> list[OpenClient]:
    """All clients, or the first error once those that did open are closed again."""
    clients = _opened(futures)
    failed = [error for future in futures if (error := future.exception())]
    if failed:
        for client in clients:
            client.target.close()
        raise failed[0]
    return clients


def _opened(futures: Sequence[Future[OpenClient]]) -> list[OpenClient]:
    wait(futures)
    return [future.result() for future in futures if not future.exception()]


def _note(progress: ArmProgress, heartbeat: records.Heartbeat) -> None:
    progress.heartbeat = heartbeat
    progress.lateness_ns = max(progress.lateness_ns, heartbeat.lateness_ns)
