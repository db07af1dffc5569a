"""Reads a published table of counts, a row for each round."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dnslab.errors import UsageError
from dnslab.imports.csvfile import read_numbers, read_rows
from dnslab.imports.rounds import (
    File,
    check_counts,
    in_order,
)
from dnslab.imports.summary import Imported
from dnslab.sentences import imports as sentences


def read_counts(files: Sequence[File], limit_ms: float) -> Imported:
    """A published table as CSV, a row a round: ``variant,n,over_limit`` and any of ``failed,min_ms,avg_ms,max_ms``."""

    def outputs(path: Path) -> Iterator[dict[str, Any]]:
        for frame in read_rows(path):
            yield from _counted(path, frame, limit_ms)

    notes = (str(sentences.TABLE_ONLY), str(sentences.COUNTS_ONLY))
    return Imported("requests", in_order(files, outputs), limit_ms, notes)


def _counted(path: Path, frame: pd.DataFrame, limit_ms: float) -> Iterator[dict[str, Any]]:
    """Rows of a published table, each as a round."""
    known = ("variant", "n", "over_limit", "failed", "min_ms", "avg_ms", "max_ms")
    if not set(known[:3]) <= set(frame) <= set(known):
        raise UsageError(f"{path} line 1: expected columns {','.join(known)}, the first three at least")
    values = {name: read_numbers(path, name, frame[name]) for name in known[1:] if name in frame}
    for index, (line, variant) in enumerate(frame["variant"].items()):
        numbers = {name: float(column[index]) for name, column in values.items()}
        if any(numbers.get(name, 0.0) % 1 for name in ("n", "failed", "over_limit")):
            raise UsageError(f"{path} line {line}: n, failed and over_limit should be whole numbers")
        counts = {name: int(numbers.pop(name, 0)) for name in ("n", "failed", "over_limit")}
        check_counts(f"{path} line {line}", limit_ms, **counts, max_ms=numbers.get("max_ms", math.nan))
        yield {"variant": variant, **counts, **numbers, "n_timed": counts["n"] if "avg_ms" in numbers else 0}
