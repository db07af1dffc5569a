"""The rungs of a diagnosis as runs that are there: their raw queries, the one of the C library, and what was noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from dnslab.analyse.arms import arm_frame
from dnslab.analyse.dataset import Run
from dnslab.errors import RunInvalid
from dnslab.experiment import verify
from dnslab.explain.ladder import RungDone
from dnslab.explain.patched import NOT_NAMED, Patched
from dnslab.explain.waited import Waited
from dnslab.plan import ladder, sentinel
from dnslab.plan.arms import Places
from dnslab.plan.ladder import Ladder
from dnslab.sentences import ladder as said
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
    return Patched.of(libc or runs[0], after=verifying or asked.command)


def arms_of(runs: Sequence[Run]) -> pd.DataFrame:
    """Raw queries of all ``runs``, as ``arm_frame`` gives them."""
    frames = [frame for run in runs if len(frame := arm_frame(run))]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["arm", "place"])


def places_of(folder: DiagnosisFolder) -> Places:
    """Where DNS could be asked when a diagnosis was made; nowhere if nobody noted it.

    Raises
    ------
    RunInvalid
        Its answer does not say where.
    """
    if asked := folder.asked:
        return asked.places
    if not folder.has_ended:
        return Places(missing=said.NOT_LOOKED_UP())
    path = folder.path / ANSWER
    try:
        return _PLACES.validate_python(folder.read(Path(ANSWER)).get("places"))
    except ValidationError:
        raise RunInvalid(said.NO_PLACES(path=str(path))) from None


def _validated(of: TypeAdapter[T], content: Mapping[str, Any], run: Path) -> T:
    """What was noted of ``run``, as what it is; RunInvalid if it is something else."""
    try:
        return of.validate_python(content)
    except ValidationError:
        raise RunInvalid(said.NOT_NOTED(path=f"{run}.json")) from None


def libc_run(runs: Sequence[Run]) -> Run | None:
    """The run that compared configurations of the C library."""
    return next((run for run in runs if any(load.engine == "libc" for load in run.plan.loads)), None)


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
    per_s = ladder.per_server_per_s(run.plan, places)
    n_targets = len({client.target for client in run.clients()})
    return RungDone(name, str(run.path), load_s, load_s, per_s, n_targets, "; ".join(run.problems[:1]))
