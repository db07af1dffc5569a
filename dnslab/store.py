"""A run folder: the only thing that measuring and reading share.

::

    results/20261124T101500Z-compare/
      plan.yaml  environment.json [environment.2.json after a resume]
      trials/0007/<target>.start.json   written before the load
      trials/0007/<target>.dnsr         the probe's bytes as they came, append-only
      trials/0007/<target>.end.json     written after the load; without it the trial was interrupted
      trials/0007/<target>.ground-truth.json   what an injected fault did; nothing on the reading side opens it
      trials/0007.2/                    the same trial, measured again by a resume

Each of these is written once, whole or not at all. All else in the folder is derived.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from dnslab import plan as plans
from dnslab.errors import RunExists, RunInvalid, RunNotFound, StorageFull

RUN_VERSION = 1


@contextlib.contextmanager
def _full_disk_is_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"the disk is full at {path}: the run stopped and keeps what it has; "
                "free some space and go on with `dnslab run --resume`"
            ) from error
        raise


def write_once(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` whole or not at all; RunExists when it is there, StorageFull on a full disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with _full_disk_is_named(path.parent):
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # unlike rename, refuses to replace
        except FileExistsError as error:
            raise RunExists(f"{path} is there already: nothing is overwritten") from error
        finally:
            temporary.unlink(missing_ok=True)


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


class Stream:
    """The raw file of one arm: bytes appended as they came. StorageFull when they cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _full_disk_is_named(path):
            self._file: IO[bytes] = path.open("xb", buffering=0)

    def append(self, data: bytes) -> None:
        """Write all of ``data``."""
        view = memoryview(data)
        with _full_disk_is_named(self._path):
            while view:
                view = view[self._file.write(view) or 0 :]

    def close(self) -> None:
        """Flush to the disk and close; may be called twice."""
        if not self._file.closed:
            try:
                with _full_disk_is_named(self._path):
                    os.fsync(self._file.fileno())
            finally:
                self._file.close()


@dataclass(frozen=True)
class ArmRecord:
    """What a run folder holds of one trial on one target; ``end`` is None for an interrupted one."""

    number: int
    attempt: int
    target: str
    start: Mapping[str, Any]
    end: Mapping[str, Any] | None
    stream: Path

    @property
    def status(self) -> str:
        """``"complete"``, ``"stopped"``, ``"failed"``, or ``"interrupted"`` where the end was never written."""
        return "interrupted" if self.end is None else str(self.end["status"])


class ArmWriter:
    """Writes what belongs to one trial on one target, each once."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder, self._target = folder, target
        with _full_disk_is_named(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._target}.{suffix}"

    def start(self, data: Mapping[str, Any]) -> None:
        """Before the load: configuration as seen, counters."""
        write_once(self._path("start.json"), _json(data))

    def stream(self) -> Stream:
        """The raw file, opened for appending."""
        return Stream(self._path("dnsr"))

    def end(self, data: Mapping[str, Any]) -> None:
        """After the load: counters, the probe's trailer, status."""
        write_once(self._path("end.json"), _json(data))

    def ground_truth(self, data: Mapping[str, Any]) -> None:
        """What the injected fault really did."""
        write_once(self._path("ground-truth.json"), _json(data))


class RunFolder:
    """An existing run folder. Make a new one with ``create``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.plan = plans.load((path / "plan.yaml").read_text(encoding="utf-8"), str(path / "plan.yaml"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunNotFound(f"{path} is not a run folder: it has no plan.yaml") from error

    @classmethod
    def create(cls, path: Path, plan: plans.Plan, environment: Mapping[str, Any]) -> RunFolder:
        """A new run folder at ``path``.

        It appears whole: plan and environment are in it from the first instant on.

        Raises
        ------
        RunExists
            There is something at ``path``.
        """
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with _full_disk_is_named(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise RunExists(f"{path} is there already: give another --out, or go on with --resume {path}")
            temporary.mkdir()
            try:
                write_once(temporary / "plan.yaml", plan.to_yaml())
                write_once(temporary / "environment.json", _json({"version": RUN_VERSION, **environment}))
                (temporary / "trials").mkdir()
                temporary.rename(path)
            except OSError as error:
                raise RunExists(f"{path} is there already") if path.exists() else error from error
            finally:
                for leftover in ("plan.yaml", "environment.json"):
                    (temporary / leftover).unlink(missing_ok=True)
                for folder in (temporary / "trials", temporary):
                    with contextlib.suppress(OSError):
                        folder.rmdir()
        return cls(path)

    def files(self) -> list[Path]:
        """What was written once, relative to the folder, in order; nothing that is derived."""
        patterns = ("plan.yaml", "environment*.json", "trials/*/*.json", "trials/*/*.dnsr")
        found = [path for pattern in patterns for path in self.path.glob(pattern)]
        return sorted(path.relative_to(self.path) for path in found if not path.name.startswith("."))

    @property
    def environment(self) -> dict[str, Any]:
        """What the run was measured on, of its first start."""
        return self._environments()[0]

    def _environments(self) -> list[dict[str, Any]]:
        paths = sorted(self.path.glob("environment*.json"), key=lambda path: len(path.name))
        if not paths:
            raise RunInvalid(f"{self.path} has no environment.json: it was not written by dnslab, or was changed")
        return [self._of_known_version(path) for path in paths]

    def _of_known_version(self, path: Path) -> dict[str, Any]:
        data = self.read(path)
        version = data.get("version", RUN_VERSION)
        if version != RUN_VERSION:
            raise RunInvalid(f"{path}: a run of version {version}, this dnslab reads {RUN_VERSION}")
        return data

    def add_environment(self, environment: Mapping[str, Any]) -> None:
        """Note a resume: writes ``environment.N.json``; RunInvalid when kernel or libc differ from the first."""
        first = self.environment
        for key in ("kernel", "targets"):
            if first.get(key) != environment.get(key):
                raise RunInvalid(f"cannot resume: {key} was {first.get(key)!r}, is now {environment.get(key)!r}")
        number = len(self._environments()) + 1
        write_once(self.path / f"environment.{number}.json", _json({"version": RUN_VERSION, **environment}))

    def writer(self, number: int, target: str) -> ArmWriter:
        """Where trial ``number`` on ``target`` is to be written: a new attempt where an earlier one is there."""
        attempt = 1 + max(
            (arm.attempt for arm in self.arms() if (arm.number, arm.target) == (number, target)), default=0
        )
        # A start.json may be missing where the run died before it: such a folder holds nothing of this target.
        while (self._trial(number, attempt) / f"{target}.dnsr").exists():
            attempt += 1
        return ArmWriter(self._trial(number, attempt), target)

    def _trial(self, number: int, attempt: int) -> Path:
        return self.path / "trials" / (f"{number:04d}" + (f".{attempt}" if attempt > 1 else ""))

    def arms(self) -> list[ArmRecord]:
        """Every trial on every target that was started, in order of number, target, attempt."""
        found = []
        for path in self.path.glob("trials/*/*.start.json"):
            match = re.fullmatch(r"(\d{4,})(?:\.(\d+))?", path.parent.name)
            if not match:
                continue
            target = path.name.removesuffix(".start.json")
            end = path.with_name(f"{target}.end.json")
            found.append(
                ArmRecord(
                    int(match[1]),
                    int(match[2] or 1),
                    target,
                    self.read(path),
                    self.read(end) if end.exists() else None,
                    path.with_name(f"{target}.dnsr"),
                )
            )
        return sorted(found, key=lambda arm: (arm.number, arm.target, arm.attempt))

    def last_arms(self) -> list[ArmRecord]:
        """The last attempt of every trial on every target. Only it counts: a group is measured again as a whole, so
        that trials which are compared side by side share their minute."""
        return list({(arm.number, arm.target): arm for arm in self.arms()}.values())

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """What a JSON file of a run holds; RunInvalid where it is none."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunInvalid(f"{path} is not JSON: it was not written by dnslab, or was changed") from error
        if not isinstance(data, dict):
            raise RunInvalid(f"{path} does not hold what dnslab writes there")
        return data


def new_run_path(results: Path, name: str) -> Path:
    """``results/<UTC time>-<name>``, not yet made."""
    return results / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"


def run_paths(results: Path) -> list[Path]:
    """The run folders under ``results``, the newest last."""
    return sorted(path.parent for path in results.glob("*/plan.yaml") if not path.parent.name.startswith("."))


def latest_run_path(results: Path) -> Path:
    """The newest run folder under ``results``; RunNotFound when there is none."""
    runs = run_paths(results)
    if not runs:
        raise RunNotFound(f"no run in {results}: make one with `dnslab run`")
    return runs[-1]
