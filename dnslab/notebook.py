"""What the notebooks call first: parameters that hold, and the run to show, saved or made now.

The only module in which measuring and reading meet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dnslab import runner
from dnslab.dataset import Run, open_run
from dnslab.errors import NotAble, RunNotFound, UsageError
from dnslab.plan import Plan
from dnslab.progress import shown
from dnslab.store import RunFolder

#: a small run measured in the lab, shown where no lab can be had
SAMPLE = Path(__file__).parent / "sample"


class CompareParameters(BaseModel):
    """Parameters of compare.ipynb. ``run``: a run folder, ``"latest"`` or ``"new"``; ``plan``: for ``"new"``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    run: str = "latest"
    plan: dict[str, Any] = {}

    @classmethod
    def check(cls, **values: object) -> CompareParameters:
        """The parameters, once they hold; UsageError in one line otherwise."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"parameter {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


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
        print(f"{error}. What follows is the sample run that comes with dnslab, measured elsewhere.")
        return Run(RunFolder(SAMPLE))


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
