"""Which configuration stalls less? Measures a plan, or opens runs that are there already, for a comparison.

Only ``experiment`` and ``cli`` know both how runs are measured and how they are read.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dnslab.analyse.dataset import Run, open_run
from dnslab.errors import Interrupted, NotAble, RunNotFound, UsageError
from dnslab.files import PACKAGE
from dnslab.measure import runner
from dnslab.measure.display import shown
from dnslab.plan.model import Plan
from dnslab.sentences.notebook import INTERRUPTED_EARLY, SAMPLE_SHOWN, SAMPLE_TWICE
from dnslab.store.folder import RunFolder, results_folder, resume_call, run_paths
from dnslab.text import echo

#: a small run measured in the lab, shown where no lab can be had
SAMPLE = PACKAGE / "sample"

#: by plan, the runs that this process made
_made: dict[str, Path] = {}


def run(
    plan: Plan | Mapping[str, Any],
    out: Path | str | None = None,
    results: Path | str | None = None,
    *,
    how_to_resume: Callable[[Path], str] = resume_call,
) -> Run:
    """Measure ``plan``, showing how far it is: below the cell, on the terminal, or in plain lines.

    Parameters are those of ``runner.run``; errors say in Python how to resume.

    Returns
    -------
    Run
        The new run, opened.

    Raises
    ------
    UsageError, NotAble, RunInvalid
        As ``runner.run`` does.
    Interrupted
        By Ctrl-C or a notebook's stop button; the message has the call that resumes the run.
    """
    with _interrupted_in_one_line(), shown() as on_progress:
        return open_run(runner.run(plan, out, results, on_progress, how_to_resume))


def resume(run: Run | Path | str) -> Run:
    """Measure what an interrupted run lacks, showing how far it is.

    Parameters
    ----------
    run
        The run folder, or the run that was opened from it.

    Returns
    -------
    Run
        The run, opened anew.

    Raises
    ------
    UsageError
        ``run`` is a bundle: only a folder can be measured into.
    RunNotFound, RunInvalid, RunExists, NotAble, Interrupted
        As ``runner.resume`` does.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    if path.is_file():
        raise UsageError(f"{path} is a bundle: unpack it, and resume the folder in it")
    with _interrupted_in_one_line(), shown() as on_progress:
        return open_run(runner.resume(path, on_progress, resume_call))


@contextlib.contextmanager
def _interrupted_in_one_line() -> Iterator[None]:
    """An interrupt before the first trial is one line, as one in mid-run is."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(INTERRUPTED_EARLY()) from None


def obtain_run(run: Run | Path | str = "latest", plan: Mapping[str, Any] | None = None) -> Run:
    """Open the run that a notebook shows, or measure it.

    Parameters
    ----------
    run
        A run folder, a bundle, an opened run, ``"latest"``, or ``"new"``, which carries out ``plan`` once a kernel:
        calling it again with the same plan opens the finished run.
    plan
        Keys of a plan, for ``"new"``.

    Returns
    -------
    Run
        Where no lab can be had for ``"new"``, or ``"latest"`` finds no run, the sample run that comes with dnslab; a
        printed line then says so.

    Raises
    ------
    UsageError
        ``run`` is nothing of these.
    RunNotFound, RunInvalid
        There is no run at ``run``, or it cannot be read.
    """
    if isinstance(run, Run):
        return run
    if not isinstance(run, str | Path):
        raise UsageError(f"parameter run: expected a run folder, 'latest' or 'new', saw {run!r}")
    try:
        return _measured_run(plan or {}) if run == "new" else open_run(run, _results())
    except (NotAble, RunNotFound) as error:
        asks_the_lab = run == "new" and (plan or {}).get("backend", "lab") == "lab"
        if not (run == "latest" or asks_the_lab) or not SAMPLE.exists():
            raise
        echo(SAMPLE_SHOWN(why=str(error)))
        return Run(RunFolder(SAMPLE))


def obtain_runs(runs: Sequence[str] = ()) -> list[Run]:
    """Open the runs that a notebook sets side by side.

    Parameters
    ----------
    runs
        Run folders or bundles, the one before first; without any, the two newest.

    Returns
    -------
    list of Run
        Where there are not two runs, the sample run twice; a printed line then says so.

    Raises
    ------
    UsageError
        One run is named, which cannot be compared.
    RunNotFound, RunInvalid
        There is no run at one of the places, or it cannot be read.
    """
    check_runs(runs)
    paths: Sequence[str | Path] = list(runs) or run_paths(_results())[-2:]
    if len(paths) < 2:
        echo(SAMPLE_TWICE)
        paths = [SAMPLE, SAMPLE]
    return [open_run(path, _results()) for path in paths]


def check_runs(runs: Sequence[str]) -> None:
    """Check that ``runs`` are paths and can be compared: none, or two or more; UsageError otherwise."""
    for run in runs:
        if not isinstance(run, str | Path):
            raise UsageError(f"expected run folders or bundles, saw {run!r}")
    if len(runs) == 1:
        raise UsageError("name two runs or more, or none for the two newest")


def _results() -> Path:
    """The results folder as an absolute path, since a notebook may change its folder."""
    return results_folder().absolute()


def _measured_run(plan: Mapping[str, Any]) -> Run:
    key = json.dumps(plan, sort_keys=True, default=str)
    if key not in _made:
        _made[key] = run(plan, results=_results()).path
    return open_run(_made[key])
