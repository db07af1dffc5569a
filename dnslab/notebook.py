"""What the notebooks call first: parameters that hold, and the run to show, saved or made now.

The only module in which measuring and reading meet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from dnslab.analyse.dataset import Run, open_run
from dnslab.errors import NotAble, RunNotFound, UsageError
from dnslab.files import PACKAGE
from dnslab.measure import runner
from dnslab.measure.display import shown
from dnslab.plan.model import Plan
from dnslab.store.folder import RunFolder, run_paths
from dnslab.text import echo

#: a small run measured in the lab, shown where no lab can be had
SAMPLE = PACKAGE / "sample"


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def check(cls, **values: object) -> Self:
        """The parameters, once they hold; UsageError in one line otherwise."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            named = f"parameter {'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
            raise UsageError(f"{named}{first['msg'].removeprefix('Value error, ')}") from error


class CompareParameters(_Parameters):
    """Parameters of compare.ipynb. ``run``: a run folder, ``"latest"`` or ``"new"``; ``plan``: for ``"new"``."""

    run: str = "latest"
    plan: dict[str, Any] = {}


class BeforeAfterParameters(_Parameters):
    """Parameters of before_after.ipynb. ``runs``: folders or bundles, the one before first; without any, the two
    newest."""

    runs: list[str] = []

    @field_validator("runs")
    @classmethod
    def _two_or_more(cls, runs: list[str]) -> list[str]:
        if len(runs) == 1:
            raise ValueError("name two runs or more, or none for the two newest")
        return runs


class _Measured(_Parameters):
    """What a run made by a notebook has: the command line's options, named as there."""

    run: str = "new"
    variants: str = "baseline,single-request-reopen,node-local"
    fault: str = "race"
    rate: float = 60.0
    duration: float = 2.0
    rounds: int = 3

    @model_validator(mode="after")
    def _makes_a_plan(self) -> Self:
        Plan.model_validate(self.plan)
        return self

    @property
    def plan(self) -> dict[str, Any]:
        """What ``run = "new"`` carries out."""
        variants = [name for name in self.variants.split(",") if name]
        loads = [{"rate_per_s": self.rate, "duration_s": self.duration}]
        return {"variants": variants, "fault": self.fault, "loads": loads, "rounds": self.rounds}


class ExploreParameters(_Measured):
    """Parameters of explore.ipynb."""


class MatrixParameters(_Measured):
    """Parameters of matrix.ipynb. ``values``, with commas between, are those that ``sweep`` takes in turn."""

    sweep: Literal["rate", "workers", "duration", "target"] = "rate"
    values: str = "20,60,180"

    @property
    def plan(self) -> dict[str, Any]:
        """One run: a load for each value, or all targets under one."""
        values = [value for value in self.values.split(",") if value]
        plan = {**super().plan, "name": "matrix"}
        if self.sweep == "target":
            return {**plan, "targets": values}
        (usual,) = plan["loads"]
        closed = {"loop": "closed", "duration_s": self.duration}
        if self.sweep == "workers":
            loads = [{**closed, "workers": value} for value in values]
        else:
            key = {"rate": "rate_per_s", "duration": "duration_s"}[self.sweep]
            loads = [{**usual, key: value} for value in values]
        return {**plan, "loads": loads, "targets": ["glibc"]}


_made: dict[str, Path] = {}


def obtain_run(run: str = "latest", plan: Mapping[str, Any] | None = None) -> Run:
    """The run a notebook shows.

    ``"new"`` carries out ``plan`` in the lab, once a kernel: calling it again with the same plan gives the finished
    run. Where no lab can be had, or ``"latest"`` finds no run, the sample run that comes with dnslab is shown instead,
    and said to be.
    """
    parameters = CompareParameters.check(run=run, plan=dict(plan or {}))
    try:
        return _made_run(parameters.plan) if parameters.run == "new" else open_run(parameters.run, results_folder())
    except (NotAble, RunNotFound) as error:
        if parameters.run not in ("new", "latest") or not SAMPLE.exists():
            raise
        echo(f"{error}. What follows is the sample run that comes with dnslab, measured elsewhere.")
        return Run(RunFolder(SAMPLE))


def obtain_runs(runs: Sequence[str] = ()) -> list[Run]:
    """The runs a notebook sets side by side, the one before first.

    Without any named, the two newest. Where there are not two, the sample run stands in for both, and it is said.
    """
    named: Sequence[str | Path] = BeforeAfterParameters.check(runs=list(runs)).runs
    found = list(named or run_paths(results_folder())[-2:])
    if len(found) < 2:
        echo("There are not two runs yet. What follows is the sample run that comes with dnslab, beside itself.")
        found = [SAMPLE, SAMPLE]
    return [open_run(one, results_folder()) for one in found]


def _made_run(plan: Mapping[str, Any]) -> Run:
    key = json.dumps(plan, sort_keys=True, default=str)
    if key not in _made:
        _made[key] = run(plan, results=results_folder())
    return open_run(_made[key])


def run(plan: Plan | Mapping[str, Any], out: Path | str | None = None, results: Path | str | None = None) -> Path:
    """``runner.run`` with its progress shown: below the cell, on the terminal, or in plain lines."""
    with shown() as on_progress:
        return runner.run(plan, out, results, on_progress)


def results_folder() -> Path:
    """``$DNSLAB_RESULTS``, else ``results`` of the project or the current folder; never ``notebooks/results``."""
    if os.environ.get("DNSLAB_RESULTS"):
        return Path(os.environ["DNSLAB_RESULTS"])
    here = Path.cwd()
    return (here.parent if here.name == "notebooks" else here) / "results"
