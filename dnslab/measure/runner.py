"""From a plan to a run folder: check the plan, open its backend, make the folder, and have its trials measured.

``group`` measures the trials. What a trial is comes from ``plan``, where it runs from the backend, and every byte
goes to ``store``. No record is decoded here.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dnslab.errors import DnslabError, UsageError
from dnslab.measure import backends, health, preflight, trial
from dnslab.measure.backends import completed, known_targets, open_backend
from dnslab.measure.environment import environment
from dnslab.measure.in_progress import RunInProgress
from dnslab.measure.progress import OnProgress, Until
from dnslab.measure.protocol import Backend, Expected
from dnslab.plan import flows, limits
from dnslab.plan.model import Plan
from dnslab.plan.resolvconf import parse
from dnslab.plan.schedule import TargetInfo
from dnslab.sentences import machine as sentences
from dnslab.store.contents import BackendFacts, Environment
from dnslab.store.folder import RunFolder, results_folder, resume_command


@dataclass(frozen=True)
class Prepared:
    """A plan that was checked and is complete, with rates that fit, and the targets that it will have."""

    plan: Plan
    targets: Sequence[TargetInfo]


def prepare(
    plan: Plan | Mapping[str, Any], out: Path | str | None = None, results: Path | str | None = None
) -> Prepared:
    """All that is checked and looked up before a run makes anything. Parameters and errors are those of ``run``."""
    checked = plan.check() if isinstance(plan, Plan) else Plan.of(plan)
    check(checked, out, results)
    checked = completed(checked)
    targets = known_targets(checked)
    checked = limits.fitted(checked, targets)
    preflight.check_targets(checked, targets)
    preflight.allow_open_files(checked, targets)
    return Prepared(checked, targets)


def run(
    plan: Plan | Mapping[str, Any] | Prepared,
    out: Path | str | None = None,
    results: Path | str | None = None,
    on_progress: OnProgress | None = None,
    how_to_resume: Callable[[Path], str] = resume_command,
    *,
    backend: Backend | None = None,
    until: Until | None = None,
) -> Path:
    """Carry out ``plan``.

    Parameters
    ----------
    plan
        A plan, the keys of one, or one that was prepared already, which is not looked up again.
    out
        The run folder to make; default ``<results>/<UTC time>-<plan's name>``.
    results
        Default ``store.folder.results_folder()``.
    on_progress
        Called about four times a second from this thread; default none.
    how_to_resume
        Makes what an error says to do in order to resume; default the command line.
    backend
        One that is open already, and stays so; default the plan's own.
    until
        Ends the run early, as if its plan ended there, once it says so; it is asked about four times a second.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    UsageError, NotAble
        Before anything is made.
    RunInvalid
        After the run, when a trial failed; the folder holds what was measured.
    Interrupted
        On Ctrl-C; likewise.
    """
    checked = (plan if isinstance(plan, Prepared) else prepare(plan, out, results)).plan
    with _or_opened(backend, checked) as opened:
        preflight.check_targets(checked, opened.targets())  # now that their libc is known, in a cluster too
        expected = _expected(checked, opened)
        if checked.cluster.existing:
            checked = _fitted_to_flows(checked, opened.describe(), expected)
        before = health.before(checked, opened, expected)
        folder = _make_folder(checked, environment(checked, opened, before.tally, expected), out, results)
        with folder.claimed():
            run = RunInProgress(folder, opened, expected, before, on_progress, how_to_resume=how_to_resume)
            run.measure(until)
    return folder.path


def check(plan: Plan, out: Path | str | None = None, results: Path | str | None = None) -> None:
    """Check ``plan`` and the path of its run folder, as far as possible without asking a backend.

    Parameters are those of ``run``.

    Raises
    ------
    UsageError, NotAble
        As ``backends.check`` and ``preflight.check_new_folder`` do.
    """
    backends.check(plan)
    default = Path(results or results_folder()) / f"<UTC time>-{plan.name}"
    preflight.check_new_folder(default if out is None else Path(out))


def resume(
    path: Path | str,
    on_progress: OnProgress | None = None,
    how_to_resume: Callable[[Path], str] = resume_command,
    *,
    backend: Backend | None = None,
    until: Until | None = None,
) -> Path:
    """Resume an interrupted run: measure every trial that is missing or not complete.

    Whether DNS gets worse is judged against what fails now, not against what failed when the run began.

    Parameters
    ----------
    path
        The run folder.
    on_progress, how_to_resume, backend, until
        As for ``run``.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    RunNotFound, RunInvalid, RunExists
        There is no run folder at ``path``, it was changed, its environment was another one, or another process
        measures into it.
    UsageError, NotAble, Interrupted
        As for ``run``.
    """
    folder = RunFolder(Path(path))
    preflight.check_writable(folder.path)
    targets = known_targets(folder.plan)
    limits.check_load(folder.plan, targets)
    preflight.allow_open_files(folder.plan, targets)
    with folder.claimed(), _or_opened(backend, folder.plan) as opened:
        expected = _expected(folder.plan, opened)
        before = health.before(folder.plan, opened, expected)
        folder.add_environment(environment(folder.plan, opened, before.tally, expected))
        run = RunInProgress(folder, opened, expected, before, on_progress, how_to_resume=how_to_resume)
        run.measure(until)
    return folder.path


def _fitted_to_flows(plan: Plan, facts: BackendFacts, expected: Mapping[str, Expected]) -> Plan:
    """The plan with the rates that nobody gave low enough that most flows from a pod's one address are new."""
    options = parse(facts.resolv_conf)
    if facts.node_cache.owns_cluster_ip or not facts.n_ports:
        return plan
    n_asked = max(trial.n_asked(name, expected[name], options, "glibc") for name in plan.names)
    in_force = [plan.variant(name).applied_to(options) for name in plan.variants]
    sockets = [flows.sockets_per_lookup(each, n_asked, plan.cache_addresses) for each in in_force]
    rate_per_s = flows.fitting_rate_per_s(sockets, plan.order, facts.n_ports)
    if not math.isfinite(rate_per_s):
        return plan
    loads = tuple(
        load if load.has_own_rate or load.engine == "wire" else load.lowered_to(rate_per_s) for load in plan.loads
    )
    return plan.model_copy(update={"loads": loads})


def _with_addresses(now: Expected, addresses: Sequence[str]) -> Expected:
    n_aaaa = sum(":" in address for address in addresses)
    return replace(now, n_a=len(addresses) - n_aaaa, n_aaaa=n_aaaa)


def _make_folder(plan: Plan, described: Environment, out: Path | str | None, results: Path | str | None) -> RunFolder:
    if out is None:
        return RunFolder.create_in(Path(results or results_folder()), plan, described)
    return RunFolder.create(Path(out), plan, described)


def _or_opened(backend: Backend | None, plan: Plan) -> contextlib.AbstractContextManager[Backend]:
    """``backend`` as it is, or if there is none that of ``plan``."""
    return contextlib.nullcontext(backend) if backend else opened_backend(plan)


@contextlib.contextmanager
def opened_backend(plan: Plan) -> Iterator[Backend]:
    """The backend of ``plan``, which is closed at the end in any case.

    Raises
    ------
    UsageError, NotAble
        As ``backends.open_backend`` does.
    """
    backend = open_backend(plan)
    try:
        yield backend
    except DnslabError as error:
        try:
            backend.close()
        except DnslabError as close_error:  # neither may hide the other
            raise type(error)(f"{error}; {close_error}") from error
        raise
    finally:
        backend.close()


def _expected(plan: Plan, backend: Backend) -> Mapping[str, Expected]:
    """What the plan's names resolve to: what it says itself, else what is answered now.

    Raises
    ------
    UsageError
        There is no such name, or the plan may not look it up.
    """
    found = {}
    for name, now in backend.expected(plan.names).items():
        if not now.exists and name not in plan.expect:
            raise UsageError(sentences.NO_SUCH_NAME(name=repr(name), plain=name))
        found[name] = now if name not in plan.expect else _with_addresses(now, plan.expect[name])
    absolute = {name: addresses.absolute for name, addresses in found.items()}
    limits.check_names(plan, absolute, backend.describe().resolv_conf)
    return found
