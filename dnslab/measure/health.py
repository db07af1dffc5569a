"""When a run is to be aborted: DNS fails more than it did before the run, by a stated margin.

Measures what there was before, a few lookups a second of the control variant, and judges the probes'
running totals against it. Failures count alone: stalls are what is measured. Knows nothing of files and schedules.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dnslab.errors import RunInvalid, UsageError
from dnslab.measure.conversation import Conversation
from dnslab.measure.probe.job import encode
from dnslab.measure.protocol import Backend, Client, Expected
from dnslab.measure.trial import describe, make_job
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo, Trial, trials
from dnslab.store import stream as records

CONTROL = "baseline"
#: over all targets together: little enough for any DNS, enough to tell a sick one from a healthy one
RATE_PER_S, DURATION_S = 50.0, 1.0
#: of more targets every so many-th is asked: backends list them node by node
MAX_TARGETS = 25
#: a lookup that takes longer counts as failed before the run, which makes the judgement milder
DEADLINE_S = 6.0
START_DELAY_NS = 50_000_000
#: what is judged is this long, or a whole trial where that is shorter: one lost second is no reason
WINDOW_S = 5.0
#: fewer failed lookups are no reason, whatever their share
MIN_FAILED = 50


@dataclass(frozen=True)
class Tally:
    """Lookups that ended, and how many of them failed."""

    n: int = 0
    n_failed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.n + other.n, self.n_failed + other.n_failed)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.n - other.n, self.n_failed - other.n_failed)

    def __str__(self) -> str:
        return f"{100 * self.share:.0f} % ({self.n_failed:,} of {self.n:,})"

    @property
    def share(self) -> float:
        """Failed of ended; 0 where none ended."""
        return self.n_failed / self.n if self.n else 0.0


def tally(heartbeats: Sequence[records.Heartbeat | None]) -> Tally:
    """Of probes that measure the same, from their last heartbeats."""
    return sum((Tally(beat.n_done, beat.n_failed) for beat in heartbeats if beat), Tally())


def before(plan: Plan, backend: Backend, expected: Mapping[str, Expected]) -> Tally:
    """What fails while the run does not load anything yet, in about two seconds.

    Parameters
    ----------
    plan
        Its control variant is asked, with its names: baseline, or the first one where the plan has none.
    backend
        Gives a fresh client on each target asked, as for a trial.
    expected
        As ``backend.expected`` gave it.

    Raises
    ------
    DnslabError
        No client could be had, or no probe in any of them came to its end.
    """
    trial = control_trial(plan, backend.targets())
    quiet = plan.model_copy(
        update={
            "loads": (_quiet(plan.loads[trial.load], len(trial.targets)),),
            "deadline_s": min(DEADLINE_S, plan.deadline_s or DEADLINE_S),
        }
    )
    with ThreadPoolExecutor(max_workers=len(trial.targets)) as pool:
        futures = [pool.submit(_ask, quiet, trial, backend, expected, name) for name in trial.targets]
    # A probe that breaks is its trial's affair, unless all do.
    broken = [error for future in futures if isinstance(error := future.exception(), RunInvalid)]
    if len(broken) == len(futures):
        raise broken[0]
    return tally([future.result() for future in futures if not isinstance(future.exception(), RunInvalid)])


def control_trial(plan: Plan, targets: Sequence[TargetInfo]) -> Trial:
    """The first trial of baseline, or the first of all, as number 0 of load 0 on the targets to ask before the run."""
    listed = trials(plan, targets)
    if not listed:
        raise UsageError("nothing to measure: no variant of the plan applies to any of its targets")
    first = next((trial for trial in listed if trial.variant == CONTROL), listed[0])
    return Trial(0, 0, 0, first.variant, 0, first.targets[:: math.ceil(len(first.targets) / MAX_TARGETS)])


def _quiet(load: Load, n_targets: int) -> Load:
    paced = {"loop": "fixed", "rate_per_s": RATE_PER_S / n_targets, "workers": round(RATE_PER_S * DURATION_S)}
    return load.model_copy(update={**paced, "duration_s": DURATION_S, "warmup_s": 0.0})


def _ask(plan: Plan, trial: Trial, backend: Backend, expected: Mapping[str, Expected], name: str) -> records.Heartbeat:
    """The last heartbeat of one quiet trial, of which nothing is kept."""
    variant, load = plan.variant(trial.variant), plan.loads[0]
    last: list[records.Heartbeat] = []
    with contextlib.closing(backend.open(Client(f"0000-{name}", name, variant, load, plan.names))) as target:
        facts = target.facts()
        job = make_job(plan, trial, facts, describe(plan, trial, name, facts, expected))
        with contextlib.closing(target.start(encode(job))) as channel:
            conversation = Conversation(channel, lambda data: None)
            conversation.ready()
            clock = conversation.measure_clock()
            conversation.go(time.monotonic_ns() + START_DELAY_NS + clock.offset_ns)
            conversation.follow(last.append)
    return last[-1]


class Watch:
    """Judges the groups of a run, one after another, against ``before``.

    Where the control variant is measured beside others, it alone is judged: that ``use-vc`` fails where TCP is blocked
    is a result. Measured without it, another variant is judged against its own first trial.
    """

    def __init__(self, control: str, before: Tally, margin: float) -> None:
        self._control, self._margin = control, margin
        self._references = {control: before}
        self._samples: dict[str, deque[tuple[float, Tally]]] = {}

    def judge(self, elapsed_s: float, tallies: Mapping[str, Tally], over: bool = False) -> str:
        """Why to abort now, ``""`` while there is no reason.

        Parameters
        ----------
        elapsed_s
            Since the group's start instant.
        tallies
            By variant, since then.
        over
            Whether the group is; the next call is then about another one.
        """
        judged = [self._control] if self._control in tallies else list(tallies)
        reasons = [self._judge_one(name, elapsed_s, tallies[name], over) for name in judged]
        if over:
            self._samples.clear()
            for name in judged:
                self._references.setdefault(name, tallies[name])
        return next(filter(None, reasons), "")

    def _judge_one(self, name: str, elapsed_s: float, so_far: Tally, over: bool) -> str:
        samples = self._samples.setdefault(name, deque([(0.0, Tally())]))
        samples.append((elapsed_s, so_far))
        while samples[1][0] <= elapsed_s - WINDOW_S:
            samples.popleft()
        reference = self._references.get(name)
        if reference is None or not (over or elapsed_s >= WINDOW_S):
            return ""
        since_s, first = samples[0]
        spans = ((so_far - first, f"the last {elapsed_s - since_s:.0f} s"), (so_far, "the trial"))
        for span, when in spans:
            if span.n_failed >= MIN_FAILED and span.share > reference.share + self._margin:
                since = "before the run" if name == self._control else "in its first trial"
                return (
                    f"DNS got worse: {span} of {name}'s lookups failed in {when}, {reference} {since}, and more than "
                    f"{100 * self._margin:g} points above that aborts"
                )
        return ""
