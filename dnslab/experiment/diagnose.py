"""Why does DNS stall? Climbs the ladder rung after rung, asks after each what it shows, and goes on where that points.

Each rung is a run in a folder of its own, ``rungs/2-arms`` and so on, so that each can be read, resumed and bundled.
All are measured through one backend. What was asked is noted first, and each rung when it has ended, so that a
diagnosis that was killed goes on where it stood.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dnslab.analyse.dataset import Run, open_run
from dnslab.errors import DnslabError, Interrupted, RunInvalid, UsageError
from dnslab.experiment.climb import Climb, OnRung, OnWait, ended
from dnslab.experiment.rungs import (
    Ended,
    around,
    as_rung,
    done_at,
    ended_in,
    patched,
    places_of,
    rung_in,
    waited_in,
)
from dnslab.explain.diagnosed import Diagnosed, arms_of, libc_run, seen_so_far
from dnslab.explain.ladder import Answer, conclude_ladder
from dnslab.measure import backends, preflight, runner
from dnslab.measure.protocol import Backend
from dnslab.plan import ladder, sentinel
from dnslab.plan.arms import Places, arm_load
from dnslab.plan.ladder import BUDGET_S, Ladder
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import wanted
from dnslab.sentences import ladder as said
from dnslab.sentences.notebook import INTERRUPTED_EARLY
from dnslab.store.bundle import open_any
from dnslab.store.diagnosis import DIAGNOSE, DiagnosisFolder, is_diagnosis
from dnslab.store.folder import new_run_path, results_folder

#: longest load of one plan (plan.model.Load), s
_LONGEST_S = 86_400.0


def prepare(
    base: Plan, budget_s: float = BUDGET_S, most_per_s: float = ladder.MOST_PER_S, wait_s: float = 0.0
) -> Ladder:
    """Look up where DNS can be asked, and check the plan of each rung. Nothing is made.

    Raises
    ------
    UsageError, NotAble
        A rung could not be carried out.
    """
    if wait_s > sentinel.LONGEST_S:
        raise UsageError(said.WAIT_TOO_LONG(most=f"{sentinel.LONGEST_S / 3_600:.0f}h"))
    for rung in ladder.RUNGS:
        backends.check(ladder.plan_of(rung, base, Places()))
    asked = next(iter(backends.usual_options(base).nameservers), "")
    is_wanted = wanted(base)
    n_targets = sum(is_wanted(target.name, "baseline") for target in backends.known_targets(base))
    return Ladder(base, backends.places(base), budget_s, most_per_s, asked, wait_s, max(1, n_targets))


def diagnose(
    asked: Ladder,
    out: Path | str | None = None,
    results: Path | str | None = None,
    *,
    on_rung: OnRung = lambda rung, plan: None,
    on_wait: OnWait = lambda plan: None,
) -> tuple[Path, Answer]:
    """Climb the ladder until one cause is shown, nothing is left to ask, or the budget ends.

    Where a wait is asked for, a sentinel waits first, and the ladder is climbed if it sees something.

    Parameters
    ----------
    out
        The folder to make; default ``<results>/<UTC time>-diagnose``.
    results
        Default ``store.folder.results_folder()``.
    on_rung
        Called before each rung.
    on_wait
        Called before the sentinel waits.

    Returns
    -------
    tuple of Path and Answer
        The folder, which holds ``diagnosis.json`` and the rungs' run folders, and what was found.

    Raises
    ------
    UsageError, NotAble
        The first rung could not be measured; nothing is made then.
    Interrupted
        On Ctrl-C; the message says how to resume.
    """
    path = Path(out) if out else new_run_path(Path(results or results_folder()), DIAGNOSE)
    preflight.check_new_folder(path)
    with _opened(asked) as backend:
        folder = DiagnosisFolder.create(path, asked)
        try:
            with folder.claimed():
                return path, ended(Climb(asked, folder, backend), on_rung, on_wait)
        except DnslabError as error:
            if not isinstance(error, Interrupted):
                folder.discard_if_empty()
            raise


def resume(
    path: Path | str,
    *,
    on_rung: OnRung = lambda rung, plan: None,
    on_wait: OnWait = lambda plan: None,
) -> tuple[Path, Answer]:
    """Go on with a diagnosis that was interrupted or killed. Rungs that have ended are read, not measured again.

    Parameters
    ----------
    path
        The folder of the diagnosis.
    on_rung, on_wait
        As for ``diagnose``.

    Returns
    -------
    tuple of Path and Answer
        As ``diagnose`` does.

    Raises
    ------
    UsageError
        The diagnosis has ended, or does not say what was asked.
    RunNotFound, RunInvalid, RunExists
        There is no diagnosis at ``path``, it was changed, or another process climbs there.
    NotAble, Interrupted
        As for ``diagnose``.
    """
    folder = DiagnosisFolder(Path(path))
    if folder.has_ended:
        raise UsageError(said.HAS_ENDED(path=str(path)))
    asked = folder.asked
    if asked is None:
        raise UsageError(said.NOT_ASKED(path=str(path)))
    preflight.check_writable(folder.path)
    with folder.claimed(), _opened(asked) as backend:
        places = replace(backends.places(asked.base), changes=places_of(folder).changes)
        climb = Climb(replace(asked, places=places), folder, backend)
        for rung in folder.rungs:
            if done := done_at(folder, rung):
                climb.done.append(done)
                climb.runs.append(open_run(rung))
        climb.earlier_s = sum(done.seconds for done in climb.done)
        return folder.path, ended(climb, on_rung, on_wait)


@contextlib.contextmanager
def _opened(asked: Ladder) -> Iterator[Backend]:
    """One backend for all rungs, made for all configurations, and for as long as all may take."""
    with_wait_s = min(_LONGEST_S, asked.budget_s + asked.wait_s)
    # One load lasts as long as all of them; the other says that sockets are kept.
    loads = (Load(duration_s=with_wait_s), arm_load("standing", 1.0, 1.0))
    plan = asked.base.model_copy(update={"loads": loads, "rounds": 1})
    with _interrupted_early(), runner.opened_backend(backends.completed(plan)) as backend:
        yield backend


@contextlib.contextmanager
def _interrupted_early() -> Iterator[None]:
    """An interrupt before there is anything to resume is one line."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(str(INTERRUPTED_EARLY)) from None


def read(path: Path | str = "latest", results: Path | str | None = None) -> Answer:
    """The answer that finished runs can bear, and the rung that would add most.

    Parameters
    ----------
    path
        The folder or the bundle of a diagnosis, or a run as ``open_run`` takes it.
    results
        As for ``open_run``.

    Raises
    ------
    RunNotFound, RunInvalid
        There is no run at ``path``, or it cannot be read.
    """
    found = opened(path, results)
    answer, waited = found.answer, found.answer.waited
    if answer.following or answer.stopped_by or (waited and not waited.fired):
        return answer
    seen = seen_so_far(found.arms, answer)
    places = answer.places
    following = ladder.next_rung([rung.rung for rung in answer.rungs], seen, bool(places.services or places.endpoints))
    if following is None:
        return answer
    add = said.ADD(rung=following.name, separates=str(following.separates))
    return replace(answer, following=following.name, lines=(*answer.lines, add))


def opened(path: Path | str = "latest", results: Path | str | None = None) -> Diagnosed:
    """Open a diagnosis, or a finished run as one. Its answer is made anew from its runs.

    Parameters
    ----------
    path
        The folder or the bundle of a diagnosis, or a run as ``open_run`` takes it.
    results
        As for ``open_run``.

    Raises
    ------
    RunNotFound, RunInvalid
        There is no run at ``path``, or it cannot be read.
    """
    folder = _diagnosis(path)
    runs = tuple(_runs(folder) if folder else [open_run(path, results)])
    places = places_of(folder) if folder else Places(missing=said.NOT_LOOKED_UP())
    asked = folder.asked if folder else None
    noted = ended_in(folder) if folder else Ended()
    done = [rung_in(folder, run, places) if folder else as_rung(run, places) for run in runs]
    last = done_at(folder, runs[-1].path) if folder else None
    asked_again = asked or Ladder(runs[0].plan, places)
    answer = conclude_ladder(
        done,
        arms_of(runs),
        libc_run(runs),
        places,
        passed_s=noted.seconds,
        budget_s=asked.budget_s if asked else None,
        stopped=last.problem if last else "",
        following=next((rung for rung in ladder.RUNGS if rung.name == noted.next_rung), None),
        patched=patched(runs, asked_again),
        waited=waited_in(folder) if folder else None,
        around=around(runs),
    )
    return Diagnosed(folder.path if folder else runs[0].path, answer, runs, asked_again)


def _diagnosis(path: Path | str) -> DiagnosisFolder | None:
    """The diagnosis at ``path``, a folder or a bundle; None if there is none."""
    path = Path(path)
    opened = open_any(path) if path.is_file() or is_diagnosis(path) else None
    return opened if isinstance(opened, DiagnosisFolder) else None


def _runs(folder: DiagnosisFolder) -> list[Run]:
    """The runs of a diagnosis that its answer is made from: its rungs, or that of its sentinel where nothing was seen.

    They keep the folder of an unpacked bundle as long as they are there.

    Raises
    ------
    RunInvalid
        There is none.
    """
    runs = [open_run(rung) for rung in folder.rungs]
    if not runs and (folder.wait / "plan.yaml").exists():
        runs = [open_run(folder.wait)]
    if not runs:
        raise RunInvalid(said.NO_RUNGS(path=str(folder.path)))
    return runs
