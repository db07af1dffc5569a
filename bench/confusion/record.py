"""Records cases: a whole diagnosis of each, several labs side by side, each in a process and a folder of its own.

``python -m bench.confusion.record FAULT FOLDER NAME...`` records one. What is there is not measured again, and a folder
that was cut short is made anew.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from bench.confusion.cases import Case
from dnslab.errors import DnslabError
from dnslab.plan.faultplan import fault_names
from dnslab.plan.faults import PARAMETERS

#: of a diagnosis, beside its rungs: the machine while it ran, and why there is no answer, if there is none
MACHINE, FAILED = "machine.json", "failed.txt"
#: a diagnosis ends by itself after its budget and one rung at the latest
LONGEST_S = 600.0
#: faults that take so much CPU time of the machine that labs beside them would be held up
HEAVY = frozenset({"rule-length"})


def folder() -> Path:
    """Where recordings are kept."""
    given = os.environ.get("DNSLAB_CONFUSION_DIR")
    return Path(given) if given else Path.home() / ".cache" / "dnslab-confusion"


@dataclass(frozen=True)
class Task:
    """A case to record for the nth time (``repetition``, from 1)."""

    case: Case
    repetition: int

    @property
    def path(self) -> Path:
        """The folder of the recording."""
        return folder() / self.case.fault / str(self.repetition)


@dataclass
class Batch:
    """Records tasks side by side until all are done, or ``until_s`` of the monotonic clock, or a signal to end."""

    n_labs: int
    until_s: float
    on_done: Callable[[Task, float], object] = lambda task, seconds: None
    ended: bool = field(default=False, init=False)

    def record(self, tasks: Iterable[Task]) -> None:
        """Record what is not there. A first SIGINT or SIGTERM lets the diagnoses in progress finish."""
        missing = [task for task in tasks if not task.path.exists()]
        heavy = [task for task in missing if set(fault_names(task.case.fault)) & HEAVY]
        before = {number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with ThreadPoolExecutor(self.n_labs) as pool:
                list(pool.map(self._one, [task for task in missing if task not in heavy]))
            for task in heavy:
                self._one(task)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.ended = True

    def _one(self, task: Task) -> None:
        if self.ended or time.monotonic() >= self.until_s:
            return
        began_s = time.monotonic()
        argv = [sys.executable, "-m", "bench.confusion.record", task.case.fault, str(task.path), *task.case.names]
        task.path.parent.mkdir(parents=True, exist_ok=True)
        with task.path.with_name(f"{task.repetition}.log").open("wb") as log:
            # A session of its own: Ctrl-C on the terminal ends no diagnosis half-way.
            child = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
            try:
                child.wait(LONGEST_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.on_done(task, time.monotonic() - began_s)


def record(fault: str, path: Path, names: Sequence[str]) -> None:
    """Diagnose a lab with ``fault``, and leave the folder at ``path`` when all of it is there."""
    from dnslab.experiment.diagnose import diagnose, prepare
    from dnslab.plan.ladder import VARIANTS
    from dnslab.plan.model import Plan

    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    base = Plan.of({"backend": "lab", "fault": fault, "names": names, "targets": ("glibc",), "variants": VARIANTS})
    began, load = datetime.now(UTC), os.getloadavg()[0]
    try:
        diagnose(prepare(base), part)
    except DnslabError as error:
        part.mkdir(exist_ok=True)
        (part / FAILED).write_text(f"{type(error).__name__}: {error}\n", encoding="utf-8")
    facts = {
        "began": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds(), 1),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
    }
    (part / MACHINE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    part.rename(path)


def main() -> None:
    """Record the case that the command line names."""
    fault, path, *names = sys.argv[1:]
    if not set(fault_names(fault)) <= set(PARAMETERS):
        importlib.import_module("bench.held_out")  # which adds its faults to the lab
    record(fault, Path(path), names)


if __name__ == "__main__":
    main()
