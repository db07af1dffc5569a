"""A run's lookups as one file for other programs: CSV or parquet, one row for each lookup. Written part by part."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

import pandas as pd

from dnslab.analyse.dataset import Run
from dnslab.errors import UsageError
from dnslab.files import open_regular, whole
from dnslab.text import as_csv_cell

Form = Literal["csv", "parquet"]
#: every lookup, made with a report; dnslab itself never reads it, so that a foreign one changes no figure
PARQUET = "lookups.parquet"
#: key in a parquet file's metadata: JSON with size and SHA-256 of the raw bytes of each trial that it was made of
MADE_OF = b"dnslab.raw"
#: lookups of a row group: what is in memory at once, beside a trial
GROUP_ROWS = 1_000_000


def export(run: Run, path: Path, form: Form = "csv") -> int:
    """Write every measured lookup of ``run`` to ``path``; columns are those of ``Run.lookups``.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    UsageError
        ``path`` already exists, or its folder is not: nothing is overwritten.
    """
    try:
        with path.open("xb") as file:
            try:
                return export_to(run, file, form)
            except BaseException:  # half a file would look like a whole one
                path.unlink()
                raise
    except FileExistsError:
        raise UsageError(f"{path} already exists, and dnslab does not overwrite files: name another file") from None
    except FileNotFoundError:
        raise UsageError(f"{path.parent} is not a folder: make it, or name another file") from None


def export_to(run: Run, file: IO[bytes], form: Form = "csv") -> int:
    """Write every measured lookup of ``run`` into an open file, which may be a pipe. Gives the number of rows."""
    n_rows = _write_csv(run, file) if form == "csv" else _write_parquet(run, _Forward(file))
    file.flush()
    return n_rows


class _Forward(io.RawIOBase):
    """A file that only goes forward and knows how far it is: a pipe cannot tell, and parquet asks."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._at = file, 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._at

    def write(self, data: Any) -> int:
        """All of ``data``."""
        size = memoryview(data).nbytes
        self._file.write(data)
        self._at += size
        return size


def keep_parquet(run: Run, folder: Path | None = None) -> Path:
    """Write ``lookups.parquet`` into ``folder``, by default the run's own, in place of an earlier one."""
    path = (folder or run.path) / PARQUET
    with whole(path, replace=True) as temporary, temporary.open("wb") as file:
        _write_parquet(run, file)
    return path


def _groups(run: Run) -> Iterator[pd.DataFrame]:
    """All lookups in frames of ``GROUP_ROWS`` rows or a few more. Without any trial: one empty frame."""
    waiting: list[pd.DataFrame] = []
    n_rows = n_given = 0
    for frame in run.frames():
        waiting.append(frame)
        n_rows += len(frame)
        if n_rows >= GROUP_ROWS:
            yield pd.concat(waiting, ignore_index=True)
            n_given += 1
            waiting, n_rows = [], 0
    if waiting or not n_given:
        yield pd.concat(waiting, ignore_index=True) if waiting else run.lookups()


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV in which no text is a formula and every character is visible (``text.as_csv_cell``)."""
    return str(_with_safe_text(frame).to_csv(index=False))


def _with_safe_text(frame: pd.DataFrame) -> pd.DataFrame:
    texts = frame.select_dtypes(exclude=["number", "bool"])
    return frame.assign(
        **{
            str(name): column.map(lambda cell: as_csv_cell(cell) if isinstance(cell, str) else cell)
            for name, column in texts.items()
        }
    )


def _write_csv(run: Run, file: IO[bytes]) -> int:
    n_rows = 0
    for i, frame in enumerate(_groups(run)):
        _with_safe_text(frame).to_csv(file, index=False, header=i == 0)
        n_rows += len(frame)
    return n_rows


def _write_parquet(run: Run, file: IO[bytes] | _Forward) -> int:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    groups = _groups(run)
    first = next(groups)
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    schema = schema.with_metadata({**(schema.metadata or {}), MADE_OF: json.dumps(_raw_checksums(run))})
    n_rows = 0
    with (
        ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
        ThreadPoolExecutor(max_workers=1) as pool,  # compresses one group while the next is made
    ):
        written: Future[None] | None = None
        for frame in chain([first], groups):
            table = pa.Table.from_pandas(frame, schema, preserve_index=False)
            if written:
                written.result()
            written = pool.submit(writer.write_table, table)
            n_rows += len(frame)
        if written:
            written.result()
    return n_rows


def _raw_checksums(run: Run) -> dict[str, dict[str, int | str]]:
    """Size and SHA-256 of the raw bytes of each trial, by their place in the run's folder."""
    checksums: dict[str, dict[str, int | str]] = {}
    for client in run.clients():
        with contextlib.suppress(FileNotFoundError), open_regular(client.stream) as raw:
            size = os.fstat(raw.fileno()).st_size
            digest = hashlib.file_digest(raw, "sha256").hexdigest()  # type: ignore[arg-type]
            checksums[client.stream.relative_to(run.path).as_posix()] = {"bytes": size, "sha256": digest}
    return checksums
