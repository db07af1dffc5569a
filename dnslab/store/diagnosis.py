"""The folder of a whole diagnosis: what was asked, its rungs, each of which is a run folder, and the answer.

::

    results/20261124T101500Z-diagnose/
      asked.json       what was asked and where DNS can be asked; written first
      wait/            the run of the sentinel, where there was one; wait.json: what it saw
      rungs/1-alive/   a run folder; rungs/1-alive.json: how long it took, and why it ended
      diagnosis.json   the answer; written last

Like all files of a run, these are written once. Knows nothing of how a rung is measured, nor what an answer says.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dnslab import files
from dnslab.errors import InvalidPlan, RunExists, RunInvalid, RunNotFound
from dnslab.plan.ladder import Ladder
from dnslab.sentences import files as sentences
from dnslab.store import contents
from dnslab.store.folder import RunFolder, largest, locked
from dnslab.store.writing import as_json, failures_are_named, write_once

#: how the folder of a diagnosis is called after the time, and the command that makes it
DIAGNOSE = "diagnose"
ASKED, ANSWER, WAIT = "asked.json", "diagnosis.json", "wait"
VERSION = 1
_LADDER = TypeAdapter(Ladder)
_RUNG = re.compile(r"\d{1,3}-[a-z][a-z-]{0,30}", re.ASCII)


class DiagnosisFolder:
    """An existing diagnosis. Make a new one with ``create``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not is_diagnosis(path):
            raise RunNotFound(sentences.NOT_A_DIAGNOSIS(path=str(path)))
        self.files()  # refuses a folder that holds anything but regular files

    @classmethod
    def create(cls, path: Path, asked: Ladder) -> DiagnosisFolder:
        """A new folder at ``path`` that says what is ``asked``.

        Raises
        ------
        RunExists
            There is something at ``path``.
        StorageFull, StorageFailed
        """
        with failures_are_named(path.parent):
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                raise RunExists(sentences.EXISTS(path=str(path))) from None
        write_once(path / ASKED, as_json({"version": VERSION, **_LADDER.dump_python(asked, mode="json")}))
        return cls(path)

    @property
    def asked(self) -> Ladder | None:
        """What was asked; None where nobody noted it.

        Raises
        ------
        RunInvalid
            The file does not hold what dnslab writes there.
        """
        path = self.path / ASKED
        if not path.exists():
            return None
        content = self.read(Path(ASKED))
        if content.pop("version", None) != VERSION:
            raise RunInvalid(sentences.NO_LADDER(path=str(path)))
        try:
            ladder = _LADDER.validate_python(content)
            ladder.base.check()
        except (ValidationError, InvalidPlan):
            raise RunInvalid(sentences.NO_LADDER(path=str(path))) from None
        return ladder

    @property
    def has_ended(self) -> bool:
        """Whether its answer is written."""
        return (self.path / ANSWER).exists()

    @property
    def rungs(self) -> list[Path]:
        """The run folders of its rungs, in the order in which they were climbed."""
        found = [path.parent for path in (self.path / "rungs").glob("*/plan.yaml") if _RUNG.fullmatch(path.parent.name)]
        return sorted(found, key=lambda path: int(path.name.partition("-")[0]))

    @property
    def n_ended(self) -> int:
        """How many of its rungs have ended."""
        return sum(self.noted(rung) is not None for rung in self.rungs)

    @property
    def wait(self) -> Path:
        """The run folder of its sentinel, whether or not there is one."""
        return self.path / WAIT

    def rung(self, number: int, name: str) -> Path:
        """The run folder of a rung, whether or not it is there."""
        return self.path / "rungs" / f"{number}-{name}"

    def note(self, run: Path, content: Mapping[str, Any]) -> None:
        """Write what is to be kept of a rung, or of the sentinel, that has ended. RunExists if it was noted before."""
        write_once(run.with_name(f"{run.name}.json"), as_json(content))

    def noted(self, run: Path) -> dict[str, Any] | None:
        """What was noted of a rung or of the sentinel; None if it has not ended. RunInvalid if it is not JSON."""
        path = run.with_name(f"{run.name}.json")
        return self.read(path.relative_to(self.path)) if path.exists() else None

    def read(self, path: Path) -> dict[str, Any]:
        """The content of a JSON file by its path in the folder, unchecked; RunInvalid if it is not JSON."""
        return contents.read_object(files.read_regular(self.path / path, largest(path.name)), self.path / path)

    def own_files(self) -> list[Path]:
        """Paths, relative to the folder, of the files that are not of a rung's run."""
        runs = [run.relative_to(self.path) for run in self._runs()]
        paths = [Path(ASKED), Path(ANSWER), *(run.with_name(f"{run.name}.json") for run in runs)]
        return [path for path in paths if (self.path / path).is_file()]

    def folders(self) -> list[RunFolder]:
        """Its run folders, that of the sentinel first. RunInvalid if one cannot be read."""
        return [RunFolder(path) for path in self._runs()]

    def files(self) -> list[Path]:
        """Paths, relative to the folder, of all files that were written once.

        Raises
        ------
        RunInvalid
            A rung holds something that is neither a regular file nor a folder of such.
        """
        of_runs = [folder.path.relative_to(self.path) / path for folder in self.folders() for path in folder.files()]
        return [*self.own_files(), *of_runs]

    def _runs(self) -> list[Path]:
        return [*([self.wait] if (self.wait / "plan.yaml").is_file() else []), *self.rungs]

    def discard_if_empty(self) -> None:
        """Remove the folder if nothing was measured in it."""
        if not (self.wait.exists() or (self.path / "rungs").exists()):
            (self.path / ASKED).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.rmdir()

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Context that keeps other processes from climbing here; RunExists if one already does."""
        with contextlib.ExitStack() as lock:
            try:
                lock.enter_context(locked(self.path))
            except BlockingIOError:
                raise RunExists(sentences.BUSY(path=str(self.path))) from None
            yield


def is_diagnosis(path: Path) -> bool:
    """Whether there is the folder of a diagnosis at ``path``."""
    return (path / ASKED).is_file() or (path / "rungs").is_dir()
