"""Why does DNS stall? Climbs the ladder rung after rung, asks after each what it shows, and goes on where that points.

Each rung is a run in a folder of its own, ``rungs/2-arms`` and so on, so that each can be read, resumed and bundled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from dnslab import files
from dnslab.analyse.arms import arm_frame
from dnslab.analyse.dataset import Run, open_run
from dnslab.errors import Interrupted, RunInvalid
from dnslab.experiment.compare import run as measure
from dnslab.explain.arms import read_arms
from dnslab.explain.ladder import Answer, RungDone, conclude_ladder
from dnslab.measure import backends, preflight
from dnslab.plan import ladder
from dnslab.plan.arms import Places
from dnslab.plan.ladder import BUDGET_S, Ladder, Rung, Seen
from dnslab.plan.model import Plan
from dnslab.sentences import ladder as said
from dnslab.store.contents import read_object
from dnslab.store.folder import new_run_path, results_folder, resume_command
from dnslab.store.writing import as_json, write_once

#: until a rung was measured: what one takes beside its load, s
OVERHEAD_S = {"lab": 8.0, "local": 6.0, "kubernetes": 45.0}
FILE = "diagnosis.json"
_PLACES = TypeAdapter(Places)


@dataclass
class _Climb:
    """A diagnosis in progress."""

    asked: Ladder
    folder: Path
    began_s: float = field(default_factory=time.monotonic)
    done: list[RungDone] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def passed_s(self) -> float:
        return time.monotonic() - self.began_s

    @property
    def arms(self) -> pd.DataFrame:
        """Raw queries of all rungs."""
        return _arms(self.runs)

    def needs_s(self, plan: Plan, trouble: bool) -> float:
        """How long a rung will take, by what earlier ones took beside their load, and with stalls where there is
        trouble."""
        load_s = plan.load_s
        if trouble and plan.loads[0].engine == "libc":
            load_s += ladder.STALL_S * plan.rounds
        usual_s = OVERHEAD_S.get(plan.backend, OVERHEAD_S["kubernetes"])
        return load_s + max((done.overhead_s for done in self.done), default=usual_s)

    def answer(self, stopped: str = "", following: Rung | None = None) -> Answer:
        """What is known by now."""
        return conclude_ladder(
            self.done,
            self.arms,
            _libc_run(self.runs),
            self.asked.places,
            passed_s=self.passed_s,
            budget_s=self.asked.budget_s,
            stopped=stopped,
            following=following,
        )


def prepare(base: Plan, budget_s: float = BUDGET_S, most_per_s: float = ladder.MOST_PER_S) -> Ladder:
    """Look up where DNS can be asked, and check the plan of each rung. Nothing is made.

    Raises
    ------
    UsageError, NotAble
        A rung could not be carried out.
    """
    for rung in ladder.RUNGS:
        backends.check(ladder.plan_of(rung, base, Places()))
    asked = next(iter(backends.usual_options(base).nameservers), "")
    return Ladder(base, backends.places(base), budget_s, most_per_s, asked)


def diagnose(
    asked: Ladder,
    out: Path | str | None = None,
    results: Path | str | None = None,
    *,
    on_rung: Callable[[Rung, Plan], object] = lambda rung, plan: None,
) -> tuple[Path, Answer]:
    """Climb the ladder until one cause is shown, nothing is left to ask, or the budget ends.

    Parameters
    ----------
    out
        The folder to make; default ``<results>/<UTC time>-diagnose``.
    results
        Default ``store.folder.results_folder()``.
    on_rung
        Called before each rung.

    Returns
    -------
    tuple of Path and Answer
        The folder, which holds ``diagnosis.json`` and the rungs' run folders, and what was found.

    Raises
    ------
    UsageError, NotAble
        The first rung could not be measured.
    Interrupted
        On Ctrl-C; the rungs measured so far stay in the folder.
    """
    folder = Path(out) if out else new_run_path(Path(results or results_folder()), "diagnose")
    preflight.check_new_folder(folder)
    climb = _Climb(asked, folder)
    answer = _climbed(climb, on_rung)
    write_once(folder / FILE, as_json(answer.to_dict()))
    return folder, answer


def _climbed(climb: _Climb, on_rung: Callable[[Rung, Plan], object]) -> Answer:
    seen = Seen()
    while rung := ladder.next_rung([done.rung for done in climb.done], seen):
        if len(climb.arms):
            climb.asked = replace(climb.asked, asked=str(climb.arms["place"].iloc[0]))
        plan = climb.asked.plan_of(rung)
        if climb.done and climb.needs_s(plan, seen.trouble) > climb.asked.budget_s - climb.passed_s:
            return climb.answer(following=rung)
        on_rung(rung, plan)
        if stopped := _measure(climb, rung, plan):
            return climb.answer(stopped)
        answer = climb.answer()
        seen = replace(read_arms(climb.arms), settled=answer.settled)
        seen = replace(seen, trouble=seen.trouble or answer.trouble)
    return climb.answer()


def _measure(climb: _Climb, rung: Rung, plan: Plan) -> str:
    """Measure a rung. Why the ladder ends there; ``""`` if it does not."""
    path = climb.folder / "rungs" / f"{len(climb.done) + 1}-{rung.name}"
    began_s, why = time.monotonic(), ""
    try:
        measure(plan, path, how_to_resume=resume_command)
    except Interrupted as error:
        raise Interrupted(said.INTERRUPTED(rung=rung.name, path=str(climb.folder))) from error
    except RunInvalid as error:
        if not path.exists():
            raise
        why = str(error)
    run = open_run(path)
    climb.runs.append(run)
    climb.done.append(
        RungDone(
            rung=rung.name,
            path=str(path.relative_to(climb.folder)),
            seconds=time.monotonic() - began_s,
            load_s=plan.load_s,
            per_server_per_s=ladder.per_server_per_s(plan, climb.asked.places),
            n_targets=len({client.target for client in run.clients()}),
            problem=why,
        )
    )
    return why


def read(path: Path | str = "latest", results: Path | str | None = None) -> Answer:
    """The answer that finished runs can bear, and the rung that would add most.

    Parameters
    ----------
    path
        The folder of a diagnosis, or a run as ``open_run`` takes it.
    results
        As for ``open_run``.

    Raises
    ------
    RunNotFound, RunInvalid
        There is no run at ``path``, or it cannot be read.
    """
    rungs = _rung_paths(Path(path))
    runs = [open_run(rung) for rung in rungs] or [open_run(path, results)]
    arms = _arms(runs)
    places = _places(Path(path) / FILE) if rungs else Places(missing=said.NOT_LOOKED_UP())
    done = [_as_rung(run, places) for run in runs]
    answer = conclude_ladder(done, arms, _libc_run(runs), places, passed_s=0.0)
    seen = replace(read_arms(arms), settled=answer.settled)
    following = ladder.next_rung([one.rung for one in done], replace(seen, trouble=seen.trouble or answer.trouble))
    if following is None:
        return answer
    add = said.ADD(rung=following.name, separates=str(following.separates))
    return replace(answer, following=following.name, lines=(*answer.lines, add))


def libc_and_arms(folder: Path) -> tuple[Run | None, pd.DataFrame]:
    """Of the diagnosis in ``folder``, the run that compared configurations of the C library, and all raw queries."""
    runs = [open_run(rung) for rung in _rung_paths(folder)]
    return _libc_run(runs), _arms(runs)


def _arms(runs: Sequence[Run]) -> pd.DataFrame:
    """Raw queries of all ``runs``, as ``arm_frame`` gives them."""
    frames = [frame for run in runs if len(frame := arm_frame(run))]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["arm", "place"])


def _rung_paths(path: Path) -> Sequence[Path]:
    """The run folders of the rungs in the folder of a diagnosis, in order; none if it is another folder."""
    return sorted(plan.parent for plan in (path / "rungs").glob("*/plan.yaml"))


def _places(path: Path) -> Places:
    """Where DNS could be asked when a diagnosis was made; nowhere if it was interrupted before it wrote ``path``."""
    if not path.exists():
        return Places(missing=said.NOT_LOOKED_UP())
    document = read_object(files.read_regular(path, files.ENVIRONMENT_BYTES), path)
    try:
        return _PLACES.validate_python(document.get("places"))
    except ValidationError:
        raise RunInvalid(said.NO_PLACES(path=str(path))) from None


def _libc_run(runs: Sequence[Run]) -> Run | None:
    """The run that compared configurations of the C library."""
    return next((run for run in runs if any(load.engine == "libc" for load in run.plan.loads)), None)


def _as_rung(run: Run, places: Places) -> RungDone:
    """A finished run as the rung that it is like."""
    has_arms = any(load.engine == "wire" for load in run.plan.loads)
    names = {rung.name for rung in ladder.RUNGS}
    name = run.plan.name if run.plan.name in names else (ladder.FEW if has_arms else ladder.LIBC).name
    load_s = run.plan.load_s
    per_s = ladder.per_server_per_s(run.plan, places)
    n_targets = len({client.target for client in run.clients()})
    return RungDone(name, str(run.path), load_s, load_s, per_s, n_targets, "; ".join(run.problems[:1]))
