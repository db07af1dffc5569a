"""How files of a run are written: whole or not at all, and with a full disk named."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dnslab import files
from dnslab.errors import RunExists, StorageFailed, StorageFull
from dnslab.sentences import files as sentences


@contextlib.contextmanager
def failures_are_named(path: Path) -> Iterator[None]:
    """Context in which an OSError of writing becomes StorageFull or StorageFailed, and names ``path``."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(sentences.DISK_FULL(path=str(path))) from error
        raise StorageFailed(sentences.NOT_WRITTEN(path=str(path), why=str(error.strerror or error))) from error


def write_once(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all; RunExists if the file exists, StorageFull on a full disk."""
    with failures_are_named(path.parent):
        try:
            with files.whole(path) as temporary, temporary.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError as error:
            raise RunExists(sentences.NO_OVERWRITING(path=str(path))) from error


def as_json(data: Mapping[str, Any]) -> str:
    """The text of a JSON file of the run."""
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
