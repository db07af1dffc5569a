"""Checks before a run makes anything: can the plan be carried out, and can a run be written there.

A run and a dry run make the same checks here. Nothing is made or loaded, and no folder is left behind.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from dnslab.errors import NotAble, RunExists, UsageError
from dnslab.measure.backends import BACKENDS
from dnslab.plan import limits
from dnslab.plan.model import Plan
from dnslab.plan.schedule import TargetInfo, count_clients, in_groups, trials
from dnslab.sentences import machine as sentences
from dnslab.text import listed

#: what reading a run and its report import; all of the extra "analysis"
ANALYSIS_NEEDS = ("numpy", "pandas", "scipy", "matplotlib", "seaborn", "pyarrow", "jinja2")
#: what notebooks import besides, here or in their kernel; all of the extra "notebooks" but JupyterLab
NOTEBOOKS_NEED = (
    *ANALYSIS_NEEDS,
    *("papermill", "nbconvert", "nbformat", "nbclient", "ipykernel"),
)
#: files that dnslab, or a probe, has open beside those of its clients: pipes, libraries, files of the run
OWN_FILES = 40
#: of each client that is measured at the same time: pipes, its raw file, what starts and ends it
FILES_PER_CLIENT = 8
#: more is of no use, and some systems allow a billion
MOST_FILES = 65_536
#: the longest path inside a run folder, for a target of a usual name
LONGEST_INSIDE = "trials/0001.10/some-deployment-0123456789-abcde.ground-truth.json"


def check_targets(plan: Plan, targets: Sequence[TargetInfo]) -> None:
    """Check that ``plan`` has something to measure on ``targets``, and no more than its limits allow.

    Raises
    ------
    NotAble
        The plan wants a target that has to be installed first, as the lab's musl.
    UsageError
        The plan names an unknown target, none of its variants applies to any target, or its load is over a limit.
    """
    known = [target.name for target in targets]
    for target in plan.targets:
        if target.name not in known:
            if install := BACKENDS[plan.backend].installed_by.get(target.name):
                raise NotAble(sentences.TARGET_NOT_INSTALLED(target=repr(target.name), install=install))
            raise UsageError(sentences.NO_TARGET(target=repr(target.name), known=listed(known)))
    if not trials(plan, targets):
        raise UsageError(str(sentences.NOTHING_TO_MEASURE))
    limits.check_load(plan, targets)


def allow_open_files(plan: Plan, targets: Sequence[TargetInfo]) -> None:
    """Raise the limit of open files for this process and its probes, as far as the system allows.

    A lookup for which no socket can be had fails, and counts as a failure of DNS.

    Raises
    ------
    NotAble
        The plan needs more than this process may have.
    """
    import resource

    needed = OWN_FILES + FILES_PER_CLIENT * max(map(count_clients, in_groups(trials(plan, targets))), default=0)
    kind = BACKENDS[plan.backend]
    if kind.probes_are_children:
        needed = max(needed, OWN_FILES + max(load.workers for load in plan.loads))
    needed = max(needed, kind.min_open_files)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        wanted = max(soft, needed, min(hard, MOST_FILES))
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (OSError, ValueError) as error:
        raise NotAble(sentences.OPEN_FILES(needed=f"{needed:,}", allowed=f"{hard:,}", limit=str(needed))) from error


def check_new_folder(path: Path) -> None:
    """Check that a run folder can be made at ``path``.

    Raises
    ------
    RunExists
        There is something at ``path``.
    UsageError
        A part of ``path`` is a file, or ``path`` is too long.
    NotAble
        The folder it would be made in cannot be written to.
    """
    try:
        if os.path.lexists(path):
            raise RunExists(sentences.FOLDER_EXISTS(path=str(path)))
        (path.absolute() / LONGEST_INSIDE).exists()  # the kernel says here that a path or a name is too long
        parent = next(folder for folder in path.absolute().parents if folder.exists())
    except OSError as error:
        raise UsageError(sentences.NO_FOLDER(path=_abridged(path), why=str(error.strerror))) from error
    if not parent.is_dir():
        why = sentences.FILE_IN_THE_WAY(path=str(parent))
        raise UsageError(sentences.NO_FOLDER(path=str(path), why=why))
    check_writable(parent)


def _abridged(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 200 else f"{text[:80]}...{text[-80:]}"


def check_writable(folder: Path) -> None:
    """Check that files can be made in the existing ``folder``; NotAble if they cannot."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotAble(sentences.NOT_WRITABLE(folder=str(folder)))


def check_report() -> None:
    """Check that what a report needs is installed; NotAble names the first thing that is missing."""
    missing = next((name for name in ANALYSIS_NEEDS if importlib.util.find_spec(name) is None), None)
    if missing:
        raise NotAble(sentences.REPORT_NEEDS(module=missing))
