"""Opens the diagnosis that a notebook shows, or makes it."""

from __future__ import annotations

from pathlib import Path

from dnslab.errors import NotAble, RunNotFound, UsageError
from dnslab.experiment.compare import SAMPLE
from dnslab.experiment.diagnose import diagnose, opened, prepare
from dnslab.explain.diagnosed import Diagnosed
from dnslab.plan.ladder import BUDGET_S, base_plan
from dnslab.plan.model import Plan
from dnslab.sentences import ladder as said
from dnslab.sentences.notebook import SAMPLE_SHOWN
from dnslab.store.diagnosis import ANSWER
from dnslab.store.folder import results_folder
from dnslab.text import echo

#: by what was asked, the diagnoses that this process made
_made: dict[str, Path] = {}


def obtain_diagnosis(
    run: Diagnosed | Path | str = "latest",
    base: Plan | None = None,
    budget_s: float = BUDGET_S,
) -> Diagnosed:
    """Open the diagnosis that a notebook shows, or make it.

    Parameters
    ----------
    run
        The folder of a diagnosis, a finished run, an opened diagnosis, ``"latest"``, or ``"new"``, which diagnoses once
        a kernel: calling it again with the same ``base`` opens what is there.
    base
        Where and what to ask, for ``"new"`` (``plan.ladder.base_plan``).
    budget_s
        The longest time.

    Returns
    -------
    Diagnosed
        Where no lab can be had for ``"new"``, or there is no diagnosis for ``"latest"``, what the sample run bears that
        comes with dnslab; a printed line then says so.

    Raises
    ------
    UsageError
        ``run`` is nothing of these.
    RunNotFound, RunInvalid
        There is no diagnosis and no run at ``run``, or it cannot be read.
    NotAble, Interrupted
        As ``diagnose`` does.
    """
    if isinstance(run, Diagnosed):
        return run
    if not isinstance(run, str | Path):
        raise UsageError(said.EXPECTED_DIAGNOSIS(run=repr(run)[:80]))
    results = results_folder().absolute()  # a notebook may change its folder
    try:
        if run == "new":
            return _new(base or base_plan("lab"), budget_s, results)
        return opened(_latest(results) if run == "latest" else run, results)
    except (NotAble, RunNotFound) as error:
        asks_the_lab = run == "new" and (base is None or base.backend == "lab")
        if not (run == "latest" or asks_the_lab):
            raise
        echo(SAMPLE_SHOWN(why=str(error)))
        return opened(SAMPLE)


def _latest(results: Path) -> Path:
    found = sorted(path.parent for path in results.glob(f"*/{ANSWER}"))
    if not found:
        raise RunNotFound(said.NO_DIAGNOSIS(folder=str(results)))
    return found[-1]


def _new(base: Plan, budget_s: float, results: Path) -> Diagnosed:
    key = f"{base.model_dump_json()} {budget_s}"
    if key not in _made:
        _made[key], _ = diagnose(prepare(base, budget_s), results=results)
    return opened(_made[key])
