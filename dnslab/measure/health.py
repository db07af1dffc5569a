"""Decides when to abort a run: when DNS fails more than it did before the run, by a stated margin.

Before the run it measures a few lookups of the control variant. During the run it compares lookups with them that were
due in the same seconds. Only failures count, as stalls are what is measured. Knows nothing of files and schedules.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dnslab.errors import RunInvalid, UsageError
from dnslab.measure.conversation import Conversation
from dnslab.measure.probe.job import encode
from dnslab.measure.protocol import Backend, Client, Expected
from dnslab.measure.trial import describe, make_job
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo, Trial, trials
from dnslab.sentences import machine as sentences
from dnslab.store import stream as records

CONTROL = "baseline"
#: over all targets together: few enough for any DNS, enough to tell a sick DNS from a healthy one
RATE_PER_S, DURATION_S = 50.0, 1.0
#: of a control load, which is slower
CONTROL_BEFORE_S = 2.0
#: of more targets, only some are asked, spread evenly: backends list targets node by node
MAX_TARGETS = 25
START_DELAY_NS = 50_000_000
#: how long after its deadline a lookup may still be missing from what came
SETTLE_S = 1.0
#: of a record (``stream.RECORD_FIELDS``): intended_ns and outcome, which is not 0 where the lookup failed
_DUE_AND_OUTCOME = struct.Struct("<Q20xh10x")
#: failures are counted over so many seconds, or over a whole trial where that is shorter: one lost second is no reason
WINDOW_S = 5
#: fewer failed lookups are no reason to abort, whatever their share
MIN_FAILED = 50


@dataclass(frozen=True)
class Tally:
    """Lookups, all of which have ended, and how many of them failed."""

    n: int = 0
    n_failed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.n + other.n, self.n_failed + other.n_failed)

    def __str__(self) -> str:
        return f"{100 * self.share:.0f} % ({self.n_failed:,} of {self.n:,})"

    @property
    def share(self) -> float:
        """Failed lookups as a share of all; 0 where there are none."""
        return self.n_failed / self.n if self.n else 0.0


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of all."""
    return sum(tallies, Tally())


class Cohorts:
    """One client's lookups by the second in which they were due.

    Parameters
    ----------
    deadline_s
        The longest that a lookup may take. A second is final once that has passed for all of its lookups.
    per_s
        How many lookups are due in a second; None in a closed loop.
    """

    def __init__(self, deadline_s: float = math.inf, per_s: float | None = None) -> None:
        self._deadline_s, self._per_s = deadline_s, per_s
        self._counts: list[list[int]] = []

    def add(self, block: memoryview) -> None:
        """Count a block of records, but for lookups that could not begin."""
        for intended_ns, outcome in _DUE_AND_OUTCOME.iter_unpack(block):
            if outcome == records.OUTCOME_NOT_STARTED:  # too few workers for an outage that may be as old as the run
                continue
            second = intended_ns // 1_000_000_000
            while len(self._counts) <= second:
                self._counts.append([0, 0])
            self._counts[second][0] += 1
            self._counts[second][1] += bool(outcome)

    def past(self, elapsed_s: float) -> list[Tally]:
        """The seconds that are over, ``elapsed_s`` after the start instant; infinite once every lookup has ended.

        In a second that is not final yet, those that are missing count as answered, so that no share is too high. Of a
        closed loop nobody knows how many are missing: only final seconds are given.
        """
        counts = [Tally(*count) for count in self._counts]
        if math.isinf(elapsed_s):
            return counts
        # The probe sends what ended in blocks, and looks for lookups to give up a few times a second.
        n_final = math.floor(max(0.0, elapsed_s - self._deadline_s - SETTLE_S))
        n_past = n_final if self._per_s is None else max(n_final, math.floor(elapsed_s))
        seconds = (counts + [Tally()] * n_past)[:n_past]
        young = [Tally(max(second.n, round(self._per_s or 0)), second.n_failed) for second in seconds[n_final:]]
        return seconds[:n_final] + young


def together(by_client: Sequence[Sequence[Tally]]) -> list[Tally]:
    """The sum over clients for each second, as far as the one that came furthest."""
    return [total(second) for second in itertools.zip_longest(*by_client, fillvalue=Tally())]


@dataclass(frozen=True)
class Before:
    """The lookups before the run: by how much they overran their load, all that is set up included."""

    tally: Tally
    overrun_s: float = 0.0


def before(plan: Plan, backend: Backend, expected: Mapping[str, Expected]) -> Before:
    """Measure how many lookups fail before the run puts any load on DNS. Takes about two seconds, or one and the
    deadline where lookups fail.

    Parameters
    ----------
    plan
        Its control variant and its names are used. The control variant is baseline, or the plan's first variant.
    backend
        Opens a fresh client on each target, as for a trial.
    expected
        As ``backend.expected`` gave it.

    Raises
    ------
    DnslabError
        No client could be had, or no probe in any of them came to its end.
    """
    began_s, trial = time.monotonic(), control_trial(plan, backend.targets())
    load = plan.loads[trial.load]
    # The control of loads that run together is asked as during the run, so that before and during are alike.
    alike = load.model_copy(update={"duration_s": CONTROL_BEFORE_S, "warmup_s": 0.0})
    loads = (alike if plan.order == "together" else _quiet(load, len(trial.targets)),)
    quiet = plan.model_copy(update={"loads": loads, "schedule": "in-turn"})  # nothing beside it
    with ThreadPoolExecutor(max_workers=len(trial.targets)) as pool:
        futures = [pool.submit(_ask, quiet, trial, backend, expected, name) for name in trial.targets]
    # One broken probe is not DNS: its trial will say so. When all break, the run cannot be judged.
    broken = [error for future in futures if isinstance(error := future.exception(), RunInvalid)]
    if len(broken) == len(futures):
        raise broken[0]
    beats = [future.result() for future in futures if not isinstance(future.exception(), RunInvalid)]
    tally = total(Tally(beat.n_done, beat.n_failed) for beat in beats)
    overrun_s = max(0.0, time.monotonic() - began_s - loads[0].duration_s)
    return Before(tally, overrun_s)


def is_judged(plan: Plan, trial: Trial) -> bool:
    """Whether failures of ``trial`` can end the run. Of loads that run together only the first, the control, can: how
    the others fail is a result."""
    return plan.order != "together" or trial.load == 0


def min_failed(plan: Plan, n_targets: int) -> int:
    """How many failed lookups are needed to end a run. A control load is small, so all of a window have to fail there:
    where every second server is dead, most of ten fail by chance now and then."""
    if plan.order != "together":
        return MIN_FAILED
    n_in_window = (plan.loads[0].rate_per_s or 0.0) * WINDOW_S * n_targets
    return max(1, min(MIN_FAILED, math.ceil(n_in_window)))


def control_trial(plan: Plan, targets: Sequence[TargetInfo]) -> Trial:
    """The trial to measure before the run: the first of baseline, else the plan's first, under the first load.

    Raises
    ------
    UsageError
        No variant of the plan applies to any target.
    """
    listed = trials(plan, targets)
    if not listed:
        raise UsageError(str(sentences.NOTHING_TO_MEASURE))
    control = next((trial for trial in listed if trial.variant == CONTROL), listed[0])
    return Trial(1, 1, 1, control.variant, 0, control.targets[:: math.ceil(len(control.targets) / MAX_TARGETS)])


def _quiet(load: Load, n_targets: int) -> Load:
    paced = {"loop": "fixed", "rate_per_s": RATE_PER_S / n_targets, "workers": round(RATE_PER_S * DURATION_S)}
    return load.model_copy(update={**paced, "duration_s": DURATION_S, "warmup_s": 0.0})


def _ask(plan: Plan, trial: Trial, backend: Backend, expected: Mapping[str, Expected], name: str) -> records.Heartbeat:
    """Measure one quiet trial, keep nothing of it, and give its last heartbeat."""
    variant, load = plan.variant(trial.variant), plan.loads[0]
    heartbeats: list[records.Heartbeat] = []
    with contextlib.closing(backend.open(Client(f"0000-{name}", name, variant, load, plan.names))) as target:
        facts = target.facts()
        start = describe(plan, trial, name, facts, expected)
        job = make_job(plan, trial, facts, start)
        with contextlib.closing(target.start(encode(job))) as channel:
            conversation = Conversation(channel, lambda data: None)
            conversation.ready()
            clock = conversation.measure_clock()
            conversation.go(time.monotonic_ns() + START_DELAY_NS + clock.offset_ns)
            conversation.follow(heartbeats.append)
    return heartbeats[-1]


class Watch:
    """Judges the groups of a run, one after another, against what failed before the run.

    A group that holds the control variant is judged by that variant alone: when ``use-vc`` fails because TCP is
    blocked, that is a result. In a group without it, each variant is judged against its own first trial.

    Parameters
    ----------
    control
        The control variant.
    before
        What failed before the run.
    margin
        By how much the failed share must exceed the reference, 0 to 1.
    min_failed
        Fewer failed lookups are no reason, whatever their share.
    """

    def __init__(self, control: str, before: Tally, margin: float, min_failed: int = MIN_FAILED) -> None:
        self._control, self._margin, self.min_failed = control, margin, min_failed
        self._references = {control: before}

    def judge(self, cohorts: Mapping[str, Sequence[Tally]], over: bool = False) -> str:
        """The reason to abort now; ``""`` while there is none.

        Parameters
        ----------
        cohorts
            By variant, for each second since the group's start instant the lookups that were due in it. Failed lookups
            end late: of those that *ended* in a second, too many would have failed.
        over
            Whether the group has ended; the next call is then about the next group.
        """
        judged = [self._control] if self._control in cohorts else list(cohorts)
        reasons = [self._judge_one(name, cohorts[name], over) for name in judged]
        if over:
            for name in judged:
                self._references.setdefault(name, total(cohorts[name]))
        return next(filter(None, reasons), "")

    def _judge_one(self, name: str, cohorts: Sequence[Tally], over: bool) -> str:
        reference = self._references.get(name)
        if reference is None or not (over or len(cohorts) >= WINDOW_S):
            return ""
        firsts = range(max(1, len(cohorts) - WINDOW_S + 1))
        windows = [(first, min(first + WINDOW_S, len(cohorts))) for first in firsts]
        for first, last in (*windows, (0, len(cohorts))):
            span = total(cohorts[first:last])
            if span.n_failed >= self.min_failed and span.share > reference.share + self._margin:
                control = name == self._control
                return sentences.DNS_GOT_WORSE(
                    now=str(span),
                    variant=name,
                    first=str(first),
                    last=str(last),
                    reference=str(reference),
                    since=str(sentences.BEFORE_THE_RUN if control else sentences.IN_ITS_FIRST_TRIAL),
                    margin=f"{100 * self._margin:g}",
                )
        return ""
