"""Climbs the ladder: waits for trouble if that is asked for, measures rung after rung, and notes what has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pandas as pd

from dnslab.analyse.arms import arm_frame
from dnslab.analyse.dataset import Run, open_run
from dnslab.errors import Interrupted, NotAble, RunInvalid, UsageError
from dnslab.experiment.rungs import around, patched, rung_in, waited_in
from dnslab.experiment.sentinel import Sentinel
from dnslab.explain.diagnosed import arms_of, libc_run, seen_so_far
from dnslab.explain.ladder import Answer, RungDone, conclude_ladder
from dnslab.explain.waited import Waited
from dnslab.measure import backends, runner
from dnslab.measure.display import shown
from dnslab.measure.progress import Until
from dnslab.measure.protocol import Backend
from dnslab.plan import ladder, sentinel
from dnslab.plan.arms import Change, Places
from dnslab.plan.ladder import Ladder, Rung, Seen
from dnslab.plan.model import Plan
from dnslab.plan.schedule import applicable_targets
from dnslab.sentences import ladder as said
from dnslab.store.diagnosis import ANSWER, DIAGNOSE, DiagnosisFolder
from dnslab.store.folder import resume_command
from dnslab.store.writing import as_json, write_once
from dnslab.text import counted

#: until a rung was measured: what one takes beside its load, s
OVERHEAD_S = {"lab": 8.0, "local": 6.0, "kubernetes": 45.0}
OnRung = Callable[[Rung, Plan], object]
OnWait = Callable[[Plan], object]


@dataclass
class Climb:
    """A diagnosis in progress: what it has measured.

    ``changes`` gives how the DNS servers have changed since this process began to climb; ``asked.places`` holds the
    changes before. ``earlier_s`` is how long the diagnosis took before it was resumed.
    """

    asked: Ladder
    folder: DiagnosisFolder
    backend: Backend
    earlier_s: float = 0.0
    began_s: float = field(default_factory=time.monotonic)
    done: list[RungDone] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    waited: Waited | None = None
    changes: Callable[[], tuple[Change, ...]] = tuple

    @property
    def passed_s(self) -> float:
        return self.earlier_s + time.monotonic() - self.began_s

    @property
    def places(self) -> Places:
        """Where DNS can be asked, with all changes until now."""
        places = self.asked.places
        return replace(places, changes=(*places.changes, *self.changes()))

    @property
    def arms(self) -> pd.DataFrame:
        """Raw queries of all rungs."""
        return arms_of(self.runs)

    def needs_s(self, plan: Plan, trouble: bool) -> float:
        """How long a rung will take, by what earlier ones took beside their load, and with stalls where there is
        trouble."""
        load_s = plan.load_s
        if trouble and plan.loads[0].engine == "libc":
            load_s += ladder.STALL_S * plan.rounds
        usual_s = OVERHEAD_S.get(plan.backend, OVERHEAD_S["kubernetes"])
        # Lookups of the C library wait for their stalls, which raw queries do not.
        others = (done.overhead_s for done in self.done if done.rung != ladder.LIBC.name)
        return load_s + max(others, default=usual_s)

    def answer(self, stopped: str = "", following: Rung | None = None) -> Answer:
        """What is known by now."""
        return conclude_ladder(
            self.done,
            self.arms,
            libc_run(self.runs),
            self.places,
            passed_s=self.passed_s,
            budget_s=self.asked.budget_s,
            stopped=stopped,
            following=following,
            patched=patched(self.runs, self.asked),
            waited=self.waited,
            around=around(self.runs),
        )


def ended(climb: Climb, on_rung: OnRung, on_wait: OnWait) -> Answer:
    """Wait and climb to the end, and write the answer.

    Raises
    ------
    Interrupted
        On Ctrl-C; the message says how to resume.
    """
    try:
        answer = _waited(climb, on_wait)
        if answer is None:
            with backends.watched(climb.asked.base) as climb.changes:
                answer = _climbed(climb, on_rung)
    except (KeyboardInterrupt, Interrupted):
        command = resume_command(climb.folder.path, DIAGNOSE)
        raise Interrupted(said.INTERRUPTED(rungs=counted(len(climb.done), "rung"), command=command)) from None
    write_once(climb.folder.path / ANSWER, as_json(answer.to_dict()))
    return answer


def _waited(climb: Climb, on_wait: OnWait) -> Answer | None:
    """Wait for trouble, if that is asked for. The answer if there was none in all that time."""
    if not climb.asked.wait_s:
        return None
    climb.waited = waited = waited_in(climb.folder) or _wait(climb, on_wait)
    if waited.fired:
        return None
    run = open_run(climb.folder.wait)
    climb.runs.append(run)
    climb.done.append(rung_in(climb.folder, run, climb.asked.places))
    return climb.answer()


def _wait(climb: Climb, on_wait: OnWait) -> Waited:
    """Wait until the sentinel fires, or the time is over, and note what it saw."""
    folder, wait_s = climb.folder, climb.asked.wait_s
    plan = sentinel.plan_of(climb.asked.base, wait_s)
    n_targets = len(applicable_targets(plan, climb.backend.targets())["baseline"])
    watch = Sentinel(sentinel.alarms(wait_s, n_targets))
    on_wait(plan)
    began_s = time.monotonic() - _watched_s(folder.wait)
    why = _carried_out(climb, plan, folder.wait, watch)
    climb.began_s = time.monotonic()  # the budget is the ladder's
    waited = Waited.of(arm_frame(open_run(folder.wait)), wait_s, climb.began_s - began_s, why)
    if watch.fired:
        waited = replace(waited, **asdict(watch.fired))
    folder.note(folder.wait, {**asdict(waited), "places": asdict(climb.places)})
    return waited


def _watched_s(wait: Path) -> float:
    """How long the sentinel has watched before it was interrupted, in whole rounds, s."""
    if not wait.exists():
        return 0.0
    run = open_run(wait)
    rounds = {client.start.round for client in run.clients() if client.status == "complete"}
    return len(rounds) * run.plan.loads[0].total_s


def _climbed(climb: Climb, on_rung: OnRung) -> Answer:
    if climb.done and climb.done[-1].problem:
        return climb.answer(climb.done[-1].problem)
    seen = seen_so_far(climb.arms, climb.answer()) if climb.done else Seen()
    while rung := ladder.next_rung([done.rung for done in climb.done], seen, climb.asked.by_place):
        if len(climb.arms):
            climb.asked = replace(climb.asked, asked=str(climb.arms["place"].iloc[0]))
        if climb.changes() or (climb.waited and not climb.done):  # servers that have gone are asked no more
            now = replace(backends.places(climb.asked.base), changes=climb.asked.places.changes)
            climb.asked = replace(climb.asked, places=now)
        plan = climb.asked.plan_of(rung)
        if climb.done and climb.needs_s(plan, seen.trouble) > climb.asked.budget_s - climb.passed_s:
            return climb.answer(following=rung)
        on_rung(rung, plan)
        if stopped := _measure(climb, rung, plan):
            return climb.answer(stopped)
        seen = seen_so_far(climb.arms, climb.answer())
    return climb.answer()


def _measure(climb: Climb, rung: Rung, plan: Plan) -> str:
    """Measure a rung, or what it lacks. Why the ladder ends there; ``""`` if it does not."""
    path = climb.folder.rung(len(climb.done) + 1, rung.name)
    began_s = time.monotonic()
    why = _carried_out(climb, plan, path)
    if not path.exists():
        return why
    run = open_run(path)
    climb.runs.append(run)
    done = RungDone(
        rung=rung.name,
        path=str(path.relative_to(climb.folder.path)),
        seconds=time.monotonic() - began_s,
        load_s=plan.load_s,
        per_server_per_s=climb.asked.per_server_per_s(plan),
        n_targets=len({client.target for client in run.clients()}),
        problem=why,
    )
    climb.done.append(done)
    climb.folder.note(path, {**asdict(done), "places": asdict(climb.places)})
    return why


def _carried_out(climb: Climb, plan: Plan, path: Path, until: Until | None = None) -> str:
    """Carry out ``plan`` at ``path``, or what an earlier process left of it. Why it ended early, or ``""``."""

    def how_to_resume(run: Path) -> str:
        return resume_command(climb.folder.path, DIAGNOSE)

    try:
        with shown() as on_progress:
            if path.exists():
                runner.resume(path, on_progress, how_to_resume, backend=climb.backend, until=until)
            else:
                runner.run(
                    plan,
                    path,
                    on_progress=on_progress,
                    how_to_resume=how_to_resume,
                    backend=climb.backend,
                    until=until,
                )
    except (RunInvalid, UsageError, NotAble) as error:  # what was measured before is not lost with this rung
        if not (path.exists() or climb.done):
            raise
        return str(error)
    return ""
