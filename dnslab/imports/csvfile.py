"""Reads a CSV that anyone may have made: cells as text, some rows at a time, within the limits of ``files``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.errors import UsageError
from dnslab.files import IMPORT_BYTES, IMPORT_COLUMNS, IMPORT_LINE_BYTES, IMPORT_ROWS, blocks_given, text

#: no count and no time is larger
_LARGEST = 1e15
#: a line of nothing else is blank
_NOTHING = b', \t\r\n"'


def read_rows(path: Path, columns: Sequence[str] = ()) -> Iterator[pd.DataFrame]:
    """Cells of ``columns`` (default all) as text, some rows at a time; the index is the line in the file.

    Raises
    ------
    UsageError
        Names file and line. A cell ends in its line, also in quotes.
    """
    header: _Header | None = None
    n_rows = 0
    for number, lines in blocks_given(path, IMPORT_BYTES, IMPORT_LINE_BYTES):
        header = header or _Header.read(path, lines.pop(0), columns)
        first = max(number, 2)
        for i, line in enumerate(lines):
            header.check(path, first + i, line)
        frame = _cells(path, header, lines, first)
        n_rows += len(frame)
        if n_rows > IMPORT_ROWS:
            raise UsageError(f"{path}: expected at most {IMPORT_ROWS:,} rows (docs/limits.md)")
        yield frame
    if not header:
        raise UsageError(f"{path} is empty")
    if not n_rows:
        raise UsageError(f"{path} has a header and no rows")


@dataclass(frozen=True)
class _Header:
    """The first line, its number of columns, and the indexes of those that are read (None: all)."""

    line: bytes
    n_columns: int
    places: tuple[int, ...] | None

    @classmethod
    def read(cls, path: Path, line: bytes, columns: Sequence[str]) -> _Header:
        """The header in ``line``. Raises UsageError if one of ``columns`` is missing, or if there are too many."""
        names = next(csv.reader([text(line, path)]), [])
        if len(names) > IMPORT_COLUMNS:
            raise UsageError(f"{path} line 1: expected at most {IMPORT_COLUMNS:,} columns, saw {len(names):,}")
        missing = sorted(set(columns) - set(names))
        if [name.strip() for name in names] == ["From (ns)", "To (ns)", "Count"]:
            raise UsageError(f"{path} is a histogram of dnspyre, not a row for each lookup: import it as dnspyre")
        if missing:
            raise UsageError(f"{path} line 1: no column {missing[0]!r}, there are {', '.join(names)[:1_000]}")
        indexes = tuple(sorted({names.index(name) for name in columns})) if columns else None
        return cls(line.rstrip(b"\r\n") + b"\n", len(names), indexes)

    def check(self, path: Path, number: int, line: bytes) -> None:
        """Raise UsageError if a row has more cells than the header, or does not end in its line."""
        if line.count(b'"') % 2:
            raise UsageError(f"{path} line {number}: a cell in quotes should end in its line")
        if line.count(b",") >= self.n_columns:
            n_cells = len(next(csv.reader([text(line, path)])))
            if n_cells > self.n_columns:
                raise UsageError(f"{path} line {number}: expected {self.n_columns} cells, saw {n_cells}")


def _cells(path: Path, header: _Header, lines: Sequence[bytes], first: int) -> pd.DataFrame:
    """Some rows without the blank ones. The first is line ``first`` of the file."""
    data = io.BytesIO(header.line + b"".join(lines))
    try:
        frame = pd.read_csv(data, dtype=str, keep_default_na=False, skip_blank_lines=False, usecols=header.places)
    except pd.errors.EmptyDataError:
        raise UsageError(f"{path} is empty") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text (line {first} or later): save it as UTF-8") from None
    except pd.errors.ParserError as error:
        raise UsageError(f"{path}: {str(error).split('C error: ')[-1].strip()}") from None
    frame = frame.fillna("")
    frame.index = pd.RangeIndex(first, first + len(frame))
    return frame[np.fromiter((bool(line.strip(_NOTHING)) for line in lines), bool, len(lines))]


def read_numbers(path: Path, column: str, cells: pd.Series, may_lack: npt.NDArray[np.bool_] | bool = False) -> Any:
    """The cells of a column as numbers.

    Parameters
    ----------
    cells
        Text, whose index is the line in the file.
    may_lack
        Where a cell may be empty; it is NaN then.

    Returns
    -------
    array of float64
        As long as ``cells``, none negative.

    Raises
    ------
    UsageError
        A cell is no number, or a negative or very large one; with its line.
    """
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(float)
    bad = ~((numbers >= 0) & (numbers <= _LARGEST)) & ~((cells == "").to_numpy() & may_lack)
    if bad.any():
        first = int(np.argmax(bad))
        raise UsageError(
            f"{path} line {cells.index[first]}: {column} should be a number, is {cells.iloc[first][:80]!r}"
        )
    return numbers
