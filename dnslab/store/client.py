"""The files of one client, which is one trial on one target: written once, and read back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dnslab.store.contents import ClientEnd, ClientStart
from dnslab.store.writing import as_json, failures_are_named, write_once

#: variant, target and load
Key = tuple[str, str, int]
#: variant, target, load and round: one client of a run
ClientName = tuple[str, str, int, int]


class Stream:
    """The raw file of one client. Bytes are appended as they came; StorageFull if the disk is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with failures_are_named(path):
            self._file: IO[bytes] = path.open("xb", buffering=0)

    def append(self, data: bytes) -> None:
        """Write all of ``data``."""
        view = memoryview(data)
        with failures_are_named(self._path):
            while view:
                view = view[self._file.write(view) or 0 :]

    def close(self) -> None:
        """Flush to the disk and close; may be called twice."""
        if not self._file.closed:
            try:
                with failures_are_named(self._path):
                    os.fsync(self._file.fileno())
            finally:
                self._file.close()


@dataclass(frozen=True)
class ClientRecord:
    """What a run folder holds of one client. ``end`` is None if it was interrupted."""

    number: int
    attempt: int
    target: str
    start: ClientStart
    end: ClientEnd | None
    stream: Path

    @property
    def key(self) -> Key:
        """Variant, target and load."""
        return self.start.variant, self.target, self.start.load

    @property
    def name(self) -> ClientName:
        """Variant, target, load and round."""
        return *self.key, self.start.round

    @property
    def clocks_ns(self) -> list[tuple[int, int]]:
        """The run's clock and the wall clock, ns, read together at the trial's start and at its end."""
        pairs: list[tuple[int | None, int | None]] = [(self.start.started_elapsed_ns, self.start.started_realtime_ns)]
        if self.end:
            pairs.append((self.end.finished_elapsed_ns, self.end.finished_realtime_ns))
        return [
            (elapsed_ns, wall_ns) for elapsed_ns, wall_ns in pairs if elapsed_ns is not None and wall_ns is not None
        ]

    @property
    def counters_after(self) -> Mapping[str, int]:
        """The counters after the load; empty where they were not read."""
        return self.end.counters if self.end else {}

    @property
    def status(self) -> str:
        """``"complete"``, ``"stopped"``, ``"failed"``, or ``"interrupted"`` where the end was never written."""
        return "interrupted" if self.end is None else self.end.status


class ClientWriter:
    """Writes the files of one client, each once."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder, self._target = folder, target
        with failures_are_named(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._target}.{suffix}"

    def start(self, start: ClientStart) -> None:
        """Write start.json before the load: the configuration found in the target, and counters."""
        write_once(self._path("start.json"), as_json(start.model_dump(mode="json", exclude_unset=True)))

    def stream(self) -> Stream:
        """Open the raw file for appending."""
        return Stream(self._path("dnsr"))

    def end(self, data: Mapping[str, Any]) -> None:
        """Write end.json after the load: counters, the probe's trailer, status."""
        write_once(self._path("end.json"), as_json(data))

    def ground_truth(self, data: Mapping[str, Any]) -> None:
        """Write what the injected fault did."""
        write_once(self._path("ground-truth.json"), as_json(data))
