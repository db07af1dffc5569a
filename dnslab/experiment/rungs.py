"""The rungs of a diagnosis as runs that are there: their raw queries, the one of the C library, and what was noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from dnslab.analyse.arms import arm_times
from dnslab.analyse.dataset import Run
from dnslab.errors import RunInvalid
from dnslab.experiment import verify
from dnslab.explain.around import Around
from dnslab.explain.diagnosed import arms_of, libc_run
from dnslab.explain.ladder import RungDone
from dnslab.explain.patched import NOT_NAMED, Patched
from dnslab.explain.waited import Waited
from dnslab.plan import ladder, sentinel
from dnslab.plan.arms import Places
from dnslab.plan.ladder import Ladder
from dnslab.sentences import ladder as said
from dnslab.store.contents import Seconds
from dnslab.store.diagnosis import ANSWER, DiagnosisFolder
from dnslab.store.folder import SCRATCH_PREFIX

T = TypeVar("T")

_DONE, _WAITED = TypeAdapter(RungDone), TypeAdapter(Waited)
_PLACES = TypeAdapter(Places)


def waited_in(folder: DiagnosisFolder) -> Waited | None:
    """What the sentinel of a diagnosis saw; None if it had none, or none that has ended."""
    noted = folder.noted(folder.wait)
    return _validated(_WAITED, noted, folder.wait) if noted else None


def done_at(folder: DiagnosisFolder, rung: Path) -> RungDone | None:
    """What was noted of the rung whose run folder is ``rung``; None if it has not ended, or is the sentinel's."""
    noted = folder.noted(rung) if rung != folder.wait else None
    return _validated(_DONE, noted, rung) if noted else None


def patched(runs: Sequence[Run], asked: Ladder) -> Patched:
    """What remedies are for: the workload that was measured, and how to measure it again after a change."""
    if not runs:
        return NOT_NAMED
    libc = libc_run(runs)
    if asked.base.backend == "lab":
        return Patched.of(libc or runs[0], first=ladder.IN_CLUSTER)
    # A bundle is unpacked for as long as it is read.
    verifying = (
        verify.command(libc) if libc and not any(part.startswith(SCRATCH_PREFIX) for part in libc.path.parts) else ""
    )
    return Patched.of(libc or runs[0], again=asked.command, verify=verifying)


class Ended(BaseModel):
    """What only the answer of a diagnosis knows: how long it took, and which rung would have been next."""

    seconds: Seconds = 0.0
    next_rung: str | None = None


def ended_in(folder: DiagnosisFolder) -> Ended:
    """What the answer of a diagnosis knows; nothing of it where it has not ended.

    Raises
    ------
    RunInvalid
        The answer does not hold what dnslab writes there.
    """
    if not folder.has_ended:
        return Ended()
    try:
        return Ended.model_validate(folder.read(Path(ANSWER)))
    except ValidationError:
        raise RunInvalid(said.NOT_NOTED(path=str(folder.path / ANSWER))) from None


def around(runs: Sequence[Run]) -> Around:
    """What ``runs`` tell beside their queries and lookups."""
    libc, pair = libc_run(runs), arms_of(runs)
    pair = pair[pair["arm"] == "pair-one-socket"]
    starts = [client.start for client in libc.clients()] if libc else []
    baselines = [start for start in starts if start.variant == "baseline" and start.engine == "libc"]
    asked = [start.n_asked for start in baselines if start.n_asked]
    return Around(
        who=tuple(run.environment.backend.who_answers for run in runs if run.environment.backend.who_answers.lines),
        times=tuple(times for run in runs for times in arm_times(run)),
        name=baselines[0].names[0] if baselines else "",
        n_asked=min(asked) if asked else None,
        full_ms=float(pair["p50_ms"].median()) if len(pair) else None,
        kernel=next((client.start.kernel for run in runs for client in run.clients() if client.start.kernel), ""),
    )


def places_of(folder: DiagnosisFolder) -> Places:
    """Where DNS could be asked, as the answer of a diagnosis says, or else its last rung that has ended, or else what
    was noted before the first; nowhere if nobody noted it.

    Raises
    ------
    RunInvalid
        What should say where does not.
    """
    if folder.has_ended:
        return _places_in(folder.read(Path(ANSWER)), folder.path / ANSWER)
    for run in reversed((folder.wait, *folder.rungs)):
        if (noted := folder.noted(run)) and "places" in noted:
            return _places_in(noted, run.with_name(f"{run.name}.json"))
    asked = folder.asked
    return asked.places if asked else Places(missing=said.NOT_LOOKED_UP())


def _places_in(content: Mapping[str, Any], path: Path) -> Places:
    try:
        return _PLACES.validate_python(content.get("places"))
    except ValidationError:
        raise RunInvalid(said.NO_PLACES(path=str(path))) from None


def _validated(of: TypeAdapter[T], content: Mapping[str, Any], run: Path) -> T:
    """What was noted of ``run``, as what it is; RunInvalid if it is something else."""
    try:
        return of.validate_python(content)
    except ValidationError:
        raise RunInvalid(said.NOT_NOTED(path=f"{run}.json")) from None


def rung_in(folder: DiagnosisFolder, run: Run, places: Places) -> RungDone:
    """The rung of a diagnosis whose run is ``run``, as it was noted, or else as the run shows it."""
    shown = replace(as_rung(run, places), path=str(run.path.relative_to(folder.path)))
    return done_at(folder, run.path) or shown


def as_rung(run: Run, places: Places) -> RungDone:
    """A finished run as the rung that it is like."""
    has_arms = any(load.engine == "wire" for load in run.plan.loads)
    names = {sentinel.NAME, *(rung.name for rung in ladder.RUNGS)}
    name = run.plan.name if run.plan.name in names else (ladder.FEW if has_arms else ladder.LIBC).name
    load_s = run.plan.load_s
    n_targets = len({client.target for client in run.clients()})
    per_s = ladder.per_server_per_s(run.plan, places, n_targets) or _measured_per_s(run)
    return RungDone(name, str(run.path), load_s, load_s, per_s, n_targets, "; ".join(run.problems[:1]))


def _measured_per_s(run: Run) -> float:
    """Queries a second, A and AAAA, of the fastest trial, where the plan sets no rate as its loops are closed."""
    loads, ends = run.plan.loads, [(client.start.load, client.end) for client in run.clients() if client.end]
    return max((2 * end.trailer.n_records / loads[load].duration_s for load, end in ends), default=0.0)
