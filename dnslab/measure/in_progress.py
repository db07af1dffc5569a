"""A run in progress: which trials are missing, group after group, and what to say when it cannot go on.

Knows nothing of how a run folder or a backend comes to be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dnslab.errors import DnslabError, Interrupted, NotAble, RunInvalid, refusal
from dnslab.measure import health
from dnslab.measure.group import DnsGotWorse, GroupRun, Shared, load_s
from dnslab.measure.pacing import Pace, RunClock
from dnslab.measure.progress import ClientProgress, OnProgress, Progress, Until
from dnslab.measure.protocol import Backend, Expected
from dnslab.plan.schedule import Trial, count_clients, in_groups, trials
from dnslab.sentences import Sentence, machine as sentences
from dnslab.store.client import ClientRecord
from dnslab.store.folder import RunFolder
from dnslab.text import counted


class RunInProgress:
    """Measures what a run folder does not hold yet, and says what is missing when it cannot go on.

    Parameters
    ----------
    folder
        Claimed by this process.
    expected
        As ``backend.expected`` gave it.
    health_before
        What failed before any load; ``health.Watch`` judges against it.
    how_to_resume
        Makes the command or the call that resumes the run in a folder.
    """

    def __init__(
        self,
        folder: RunFolder,
        backend: Backend,
        expected: Mapping[str, Expected],
        health_before: health.Before,
        on_progress: OnProgress | None,
        *,
        how_to_resume: Callable[[Path], str],
    ) -> None:
        self._folder, self._plan = folder, folder.plan
        control = health.control_trial(self._plan, backend.targets())
        min_failed = health.min_failed(self._plan, len(control.targets))
        watch = health.Watch(control.variant, health_before.tally, self._plan.limits.abort_margin, min_failed)
        measured = folder.last_clients()
        self._shared = Shared(folder, backend, expected, watch, RunClock(measured), self._report)
        self._on_progress = on_progress or (lambda progress: None)
        self._how_to_resume = how_to_resume
        self._until: Until | None = None
        self._pace, self._failures = Pace(health_before.overrun_s), list[str]()
        self._trials = trials(self._plan, backend.targets())
        self._groups = in_groups(self._missing(measured))
        self._progress = Progress(self.n_trials, self.n_trials - sum(map(len, self._groups)))

    @property
    def n_trials(self) -> int:
        """Trials of the whole plan."""
        return len(self._trials)

    def measure(self, until: Until | None = None) -> None:
        """Measure all missing trials, or those that begin before ``until`` is true.

        Raises
        ------
        Interrupted
            On Ctrl-C.
        RunInvalid
            DNS got worse, or trials failed.
        NotAble
            The machine refused memory, threads or the like.
        """
        self._until = until
        try:
            self._measure_groups()
        except KeyboardInterrupt:
            raise Interrupted(self._kept(sentences.INTERRUPTED, self._progress.n_done)) from None
        except DnsGotWorse as worse:
            raise RunInvalid(self._stopped(str(worse))) from None
        except DnslabError as error:
            kind = type(error) if isinstance(error, RunInvalid) else RunInvalid
            raise kind(self._stopped(str(error))) from error
        except (OSError, MemoryError, RuntimeError) as error:
            if not (refused := refusal(error)):
                raise
            raise NotAble(self._stopped(refused)) from error
        if self._failures:
            n, first, command = len(self._failures), self._failures[0], self._how_to_resume(self._folder.path)
            raise RunInvalid(sentences.INCOMPLETE(n=f"{n}", trials=f"{self.n_trials}", first=first, command=command))

    def _report(self, running: Sequence[ClientProgress], stopping: bool) -> bool:
        """Call ``on_progress`` with the progress of the clients ``running``; once ``stopping``, always so. Whether the
        run may end there."""
        self._progress.running, self._progress.stopping = running, stopping or self._progress.stopping
        self._progress.left_s, self._progress.share = self._pace.left_s(), self._pace.share()
        self._progress.passed_s, self._progress.is_behind = self._pace.passed_s(), self._pace.is_behind
        self._on_progress(self._progress)
        return self._until is not None and self._until(self._progress)

    def _measure_groups(self) -> None:
        groups, loads_s = self._groups, [load_s(self._plan, group) for group in self._groups]
        n_clients = max(map(count_clients, groups), default=0)
        # Room for a group that is measured and the next one, whose targets are opened meanwhile.
        with ThreadPoolExecutor(max_workers=max(1, 2 * n_clients), thread_name_prefix="client") as pool:
            following: GroupRun | None = None
            for index, group in enumerate(groups):
                self._pace.begin(loads_s[index:])
                current = following or GroupRun(self._shared, group, pool)
                following = GroupRun(self._shared, groups[index + 1], pool) if index + 1 < len(groups) else None
                self._measure_group(current, following)
                if current.has_seen_enough:
                    return

    def _measure_group(self, current: GroupRun, following: GroupRun | None) -> None:
        try:
            with contextlib.closing(current):
                current.measure(following)
        except BaseException:
            if following:
                following.close()
            raise
        if following and current.has_seen_enough:
            following.close()
        self._failures += [] if current.has_seen_enough else current.failures
        self._progress.count_done(current.trials, current.progress)

    def _missing(self, measured: Sequence[ClientRecord]) -> list[Trial]:
        complete = {(client.number, client.target) for client in measured if client.status == "complete"}
        # Side by side, a round is only worth something whole: its trials share the same minute.
        incomplete = {t.group for t in self._trials if any((t.number, name) not in complete for name in t.targets)}
        return [trial for trial in self._trials if trial.group in incomplete]

    def _stopped(self, why: str) -> str:
        try:
            n_missing = len(self._missing(self._folder.last_clients()))
        except (DnslabError, OSError):  # the folder has gone, or was changed
            n_missing = self.n_trials
        return f"{why}. {self._kept(sentences.STOPPED, self.n_trials - n_missing)}"

    def _kept(self, sentence: Sentence, n: int) -> str:
        """``sentence`` with ``n`` of all trials, and how to go on."""
        path = self._folder.path
        kept = sentences.KEPT(command=self._how_to_resume(path)) if path.exists() else str(sentences.FOLDER_GONE)
        return sentence(n=f"{n:,}", trials=counted(self.n_trials, "trial"), kept=kept)
