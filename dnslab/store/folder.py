"""A run folder: the only thing that measuring and reading share.

::

    results/20261124T101500Z-compare/
      plan.yaml  environment.json [environment.2.json after a resume]
      trials/0007/<target>.start.json   written before the load
      trials/0007/<target>.dnsr         the probe's bytes as they came, append-only
      trials/0007/<target>.end.json     written after the load; without it the trial was interrupted
      trials/0007/<target>.ground-truth.json   what an injected fault did; nothing on the reading side opens it
      trials/0007.2/                    the same trial, measured again by a resume

Each of these files is written once, whole or not at all. Everything else in the folder is derived. A run folder may
come from anyone, so it is refused if it holds a link, a pipe or the like. ``contents`` checks what is read back of each
file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from dnslab import files
from dnslab.errors import InvalidPlan, RunExists, RunInvalid, RunNotFound
from dnslab.plan import planfile
from dnslab.plan.model import Plan
from dnslab.sentences import files as sentences
from dnslab.store import contents
from dnslab.store.client import ClientRecord, ClientWriter
from dnslab.store.contents import RUN_VERSION, ClientEnd, ClientStart, Environment
from dnslab.store.writing import as_json, failures_are_named, write_once
from dnslab.text import nearest

#: begins the name of a temporary folder that a run is unpacked or copied into
SCRATCH_PREFIX = "dnslab-scratch-"
_TRIAL = re.compile(r"(\d{4,9})(?:\.(\d{1,4}))?", re.ASCII)
_ENVIRONMENT = re.compile(r"environment(?:\.(\d{1,4}))?\.json", re.ASCII)
_CLIENT_SUFFIXES = (".start.json", ".end.json", ".ground-truth.json", ".dnsr")


def resume_command(path: Path, command: str = "run") -> str:
    """The command that resumes what ``command`` made at ``path``, on one line and quoted for a shell."""
    text = str(path)
    if text.isprintable():
        return f"`dnslab {command} --resume {shlex.quote(text)}`"
    # In quotes a line end would end the message; $'...' is of POSIX.1-2024, and of older shells in use.
    return f"`dnslab {command} --resume $'{''.join(map(_escaped, text))}'`"


def resume_call(path: Path) -> str:
    """The same as a line of Python, in which no character of the path can end the text."""
    return f"`run = dnslab.resume({json.dumps(str(path), ensure_ascii=False)})`"


def _escaped(character: str) -> str:
    if character.isprintable() and character not in "'\\":
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


class RunFolder:
    """An existing run folder. Make a new one with ``create``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = self._read_plan()
        self.files()  # refuses a folder that holds anything but regular files

    @property
    def is_temporary(self) -> bool:
        """Whether the folder is removed when this process ends, as that of an unpacked bundle is."""
        return self.path.parent.name.startswith(SCRATCH_PREFIX)

    def _read_plan(self) -> Plan:
        path = self.path / "plan.yaml"
        try:
            data = files.read_regular(path, files.PLAN_BYTES)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunNotFound(_no_run(self.path)) from error
        try:
            return planfile.load(data, str(path))
        except InvalidPlan as error:
            raise RunInvalid(str(error)) from error

    @classmethod
    def create(cls, path: Path, plan: Plan, environment: Environment) -> RunFolder:
        """A new run folder at ``path``.

        It appears whole: plan and environment are in it from the first instant on.

        Raises
        ------
        RunExists
            There is something at ``path``.
        InvalidPlan
            The plan is larger than any that is read.
        StorageFull, StorageFailed
        """
        written = plan.to_yaml()
        if len(written.encode()) > files.PLAN_BYTES:
            raise InvalidPlan(sentences.PLAN_TOO_LARGE(most=f"{files.PLAN_BYTES // files.MIB}"))
        temporary = files.temporary_beside(path)
        with failures_are_named(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise RunExists(sentences.RUN_EXISTS(path=str(path), command=resume_command(path)))
            temporary.mkdir()
            try:
                write_once(temporary / "plan.yaml", written)
                write_once(
                    temporary / "environment.json",
                    _environment_text(environment),
                )
                (temporary / "trials").mkdir()
                temporary.rename(path)
            except OSError as error:
                raise RunExists(sentences.EXISTS(path=str(path))) if path.exists() else error from error
            finally:
                for leftover in ("plan.yaml", "environment.json"):
                    (temporary / leftover).unlink(missing_ok=True)
                for folder in (temporary / "trials", temporary):
                    with contextlib.suppress(OSError):
                        folder.rmdir()
        return cls(path)

    @classmethod
    def create_in(cls, results: Path, plan: Plan, environment: Environment) -> RunFolder:
        """A new run folder in ``results``, named by the current second, or by a later one that no other run has.

        So two runs that begin together get a folder each, and the latest run is the last by name.
        """
        with failures_are_named(results):
            results.mkdir(parents=True, exist_ok=True)
        while True:
            path = new_run_path(results, plan.name)
            with failures_are_named(results), locked(results, wait=True), contextlib.suppress(RunExists):
                if not any(results.glob(f"{path.name.partition('-')[0]}-*")):
                    return cls.create(path, plan, environment)
            time.sleep(0.1)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Context that keeps other processes from measuring into this folder; RunExists if one already does.

        The kernel releases the lock when this process ends, in whatever way.
        """
        with contextlib.ExitStack() as lock:
            try:
                lock.enter_context(locked(self.path))
            except BlockingIOError:
                raise RunExists(sentences.BUSY(path=str(self.path))) from None
            yield

    @property
    def is_claimed(self) -> bool:
        """Whether a process measures into this folder right now."""
        try:
            with locked(self.path):
                return False
        except BlockingIOError:
            return True

    def files(self) -> list[Path]:
        """Paths, relative to the folder, of the files that were written once, in order. Derived files are left out.

        Raises
        ------
        RunInvalid
            There is something in the folder that is neither a regular file nor a folder of such.
        """
        paths = [Path(name) for name in _names(self.path) if name == "plan.yaml" or _ENVIRONMENT.fullmatch(name)]
        for trial in self._trials():
            names = [name for name in _names(self.path / "trials" / trial) if target_of(name)]
            paths += [Path("trials", trial, name) for name in names]
        return sorted(paths)

    def _trials(self) -> list[str]:
        """Names of the folders that hold a trial."""
        trials = self.path / "trials"
        return [name for name in _names(trials, folders=True) if _TRIAL.fullmatch(name)] if _is_folder(trials) else []

    @property
    def environment(self) -> Environment:
        """What the run was measured on when it first started."""
        return self._environments()[0]

    def _environments(self) -> list[Environment]:
        numbers = [int(matched[1] or 1) for name in _names(self.path) if (matched := _ENVIRONMENT.fullmatch(name))]
        if not numbers:
            raise RunInvalid(sentences.NO_ENVIRONMENT(path=str(self.path)))
        paths = [self.path / _environment_name(number) for number in sorted(numbers)]
        return [contents.read_environment(files.read_regular(path, files.ENVIRONMENT_BYTES), path) for path in paths]

    def add_environment(self, environment: Environment) -> None:
        """Note a resume in ``environment.N.json``; RunInvalid if kernel or C library differ from the first start."""
        environments = self._environments()
        first, now = (facts.model_dump(include={"kernel", "targets"}) for facts in (environments[0], environment))
        for key, was in first.items():
            if was != now[key]:
                raise RunInvalid(sentences.OTHER_ENVIRONMENT(key=key, was=repr(was), now=repr(now[key])))
        write_once(self.path / _environment_name(len(environments) + 1), _environment_text(environment))

    def writer(self, number: int, target: str) -> ClientWriter:
        """The writer for trial ``number`` on ``target``. If it was begun before, it becomes a new attempt."""
        last = self._attempts.get(number, 0)
        while self._trial(number, last + 1).exists():
            last += 1
        earlier = (attempt for attempt in range(last, 0, -1) if self._was_begun(number, attempt, target))
        return ClientWriter(self._trial(number, next(earlier, 0) + 1), target)

    @cached_property
    def _attempts(self) -> dict[int, int]:
        """The last attempt of each trial before this resume."""
        attempts: dict[int, int] = {}
        for name in self._trials():
            if match := _TRIAL.fullmatch(name):
                attempts[int(match[1])] = max(attempts.get(int(match[1]), 0), int(match[2] or 1))
        return attempts

    def _was_begun(self, number: int, attempt: int, target: str) -> bool:
        """Whether an attempt was begun. Its start.json may be missing if the run died early."""
        folder = self._trial(number, attempt)
        return any((folder / f"{target}{suffix}").exists() for suffix in (".start.json", ".dnsr"))

    def _trial(self, number: int, attempt: int) -> Path:
        return self.path / "trials" / (f"{number:04d}" + (f".{attempt}" if attempt > 1 else ""))

    def clients(self) -> list[ClientRecord]:
        """Every client that was started, in order of trial, target and attempt.

        Raises
        ------
        RunInvalid
            Names the file, and the key in it, that does not hold what dnslab writes there.
        """
        clients = []
        for trial in self._trials():
            match = _TRIAL.fullmatch(trial)
            folder = self.path / "trials" / trial
            names = set(_names(folder))
            for target in sorted(name.removesuffix(".start.json") for name in names if name.endswith(".start.json")):
                if match and target:
                    end = self._end(folder / f"{target}.end.json") if f"{target}.end.json" in names else None
                    number, attempt = int(match[1]), int(match[2] or 1)
                    start = self._start(folder / f"{target}.start.json", number, target)
                    clients.append(ClientRecord(number, attempt, target, start, end, folder / f"{target}.dnsr"))
        return sorted(clients, key=lambda client: (client.number, client.target, client.attempt))

    def _start(self, path: Path, number: int, target: str) -> ClientStart:
        """The content of a start.json, checked to be of this trial and target and to fit the plan."""
        start = contents.read_model(ClientStart, files.read_regular(path, files.START_BYTES), path)
        if (start.trial, start.target) != (number, target):
            raise RunInvalid(sentences.OTHER_TRIAL(path=str(path), number=str(start.trial)))
        if start.variant not in self.plan.variants or start.load >= len(self.plan.loads):
            raise RunInvalid(sentences.NOT_IN_PLAN(path=str(path)))
        return start

    def _end(self, path: Path) -> ClientEnd:
        return contents.read_model(ClientEnd, files.read_regular(path, files.END_BYTES), path)

    def last_clients(self) -> list[ClientRecord]:
        """The last attempt of each client. Earlier attempts do not count.

        A group is measured again as a whole, so that trials which are compared share their minute.
        """
        return list({(client.number, client.target): client for client in self.clients()}.values())

    def read(self, path: Path) -> dict[str, Any]:
        """The content of a JSON file of the run, unchecked; RunInvalid if it is not JSON."""
        return contents.read_object(self.read_bytes(path), path)

    def read_bytes(self, path: Path) -> bytes:
        """The bytes of a file of the run; RunInvalid if it is larger than dnslab writes it. Not for raw files."""
        return files.read_regular(path, largest(path.name))


def _names(folder: Path, folders: bool = False) -> list[str]:
    """Names of the files in ``folder``, or with ``folders`` of its folders; RunInvalid if anything else is in it."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink() or not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                files.check_regular(Path(entry.path), entry.stat(follow_symlinks=False).st_mode)
            if entry.is_dir(follow_symlinks=False) == folders:
                names.append(entry.name)
    return names


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def target_of(name: str) -> str:
    """The target in the name of a trial's file; ``""`` if it is no such file."""
    suffix = next((suffix for suffix in _CLIENT_SUFFIXES if name.endswith(suffix)), None)
    return "" if suffix is None or name.startswith(".") else name.removesuffix(suffix)


def _environment_text(environment: Environment) -> str:
    return as_json({"version": RUN_VERSION, **environment.model_dump(mode="json", exclude_unset=True)})


def _environment_name(number: int) -> str:
    return "environment.json" if number == 1 else f"environment.{number}.json"


def largest(name: str) -> int:
    """The largest size, bytes, that a file of a run may have, by its name. Raw files have no limit."""
    base = name.rpartition("/")[2]
    if base == "plan.yaml":
        return files.PLAN_BYTES
    if _ENVIRONMENT.fullmatch(base):
        return files.ENVIRONMENT_BYTES
    if base.endswith(".dnsr"):
        return sys.maxsize
    return files.START_BYTES if base.endswith(".start.json") else files.END_BYTES


def results_folder() -> Path:
    """Where runs are kept: ``$DNSLAB_RESULTS``, else ``results`` in the current folder.

    In a folder called ``notebooks`` it is the project's ``results``, beside that folder.
    """
    if named := os.environ.get("DNSLAB_RESULTS"):
        return Path(named)
    with contextlib.suppress(FileNotFoundError):  # the current folder has gone: making a run there says so
        here = Path.cwd()
        if here.name == "notebooks":
            return here.parent / "results"
    return Path("results")


def new_run_path(results: Path, name: str) -> Path:
    """``results/<UTC time>-<name>``, not yet made."""
    return results / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"


@contextlib.contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Context that has the kernel's lock on ``folder``; BlockingIOError if another process has it, unless to ``wait``.

    Some network file systems know no locks: there it has none.
    """
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def _no_run(path: Path) -> str:
    """What ``path`` is instead of a run folder, and what to name."""
    if not path.exists():
        known = map(str, run_paths(results_folder()))
        return sentences.NO_SUCH_RUN(path=str(path), hint=nearest(str(path), known, or_all=False))
    if (path / "rungs").is_dir():
        return sentences.IS_A_DIAGNOSIS(path=str(path))
    if path.is_dir() and (runs := run_paths(path)):
        return sentences.HOLDS_RUNS(path=str(path), example=str(runs[-1]))
    return sentences.NOT_A_RUN(path=str(path))


def run_paths(results: Path) -> list[Path]:
    """The run folders under ``results``, the newest last."""
    return sorted(path.parent for path in results.glob("*/plan.yaml") if not path.parent.name.startswith("."))


def latest_run_path(results: Path) -> Path:
    """The newest run folder under ``results``; RunNotFound when there is none."""
    runs = run_paths(results)
    if not runs:
        raise RunNotFound(sentences.NO_RUNS(folder=str(results)))
    return runs[-1]
