"""Reads what dnspyre exports: a histogram as CSV (``--csv``), or totals as JSON (``--json``)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dnslab.errors import UsageError
from dnslab.files import MIB, read_given, text
from dnslab.imports.rounds import File, in_order
from dnslab.imports.summary import Imported
from dnslab.sentences import imports as sentences

_HEADER = ("From (ns)", "To (ns)", "Count")
_BUCKET = re.compile(r"(\d{1,18}),\s*(\d{1,18}),\s*(\d{1,15})")
#: neither form is larger: a CSV has a row for each bucket
_LARGEST = 16 * MIB


def read_dnspyre(files: Sequence[File], limit_ms: float) -> Imported:
    """Outputs of dnspyre, a file a round.

    Raises
    ------
    UsageError
        A file is neither form, or does not add up.
    """
    kinds = set()

    def outputs(path: Path) -> Iterator[dict[str, Any]]:
        data = read_given(path, _LARGEST)
        kinds.add(data.lstrip()[:1])
        yield _totals(path, data, limit_ms) if data.lstrip().startswith(b"{") else _histogram(path, data, limit_ms)

    rounds = in_order(files, outputs)
    notes = [
        str(sentences.NOT_A_LOOKUP),
        str(sentences.COUNTS_ONLY),
    ]
    if kinds != {b"{"}:
        notes += [str(sentences.HISTOGRAM), str(sentences.BUCKETS)]
    if any(round_.over_limit is None for round_ in rounds):
        notes.append(sentences.OVER_UNKNOWN(limit=f"{limit_ms:,g} ms"))
    return Imported("queries", rounds, limit_ms, tuple(notes))


def _histogram(path: Path, data: bytes, limit_ms: float) -> dict[str, Any]:
    header, *lines = text(data, path).splitlines() or [""]
    if tuple(name.strip() for name in header.split(",")) != _HEADER:
        raise UsageError(f"{path} line 1: expected the columns {', '.join(_HEADER)}, saw {header[:80]!r}")
    buckets = [_bucket(path, number, line) for number, line in enumerate(lines, 2) if line.strip()]
    counted = [bucket for bucket in buckets if bucket[2]]
    if not counted:
        raise UsageError(f"{path} has no query in any bucket")
    limit_ns = limit_ms * 1e6
    is_split = any(low_ns < limit_ns < high_ns for low_ns, high_ns, _ in counted)
    return {
        "n": sum(n for _, _, n in counted),
        "failed": 0,
        "over_limit": None if is_split else sum(n for low_ns, _, n in counted if low_ns >= limit_ns),
        "min_ms": min(low_ns for low_ns, _, _ in counted) / 1e6,
        "max_ms": max(high_ns for _, high_ns, _ in counted) / 1e6,
    }


def _bucket(path: Path, number: int, line: str) -> tuple[int, int, int]:
    match = _BUCKET.fullmatch(line.strip())
    if not match or int(match[1]) > int(match[2]):
        raise UsageError(f"{path} line {number}: expected two bounds in ns and a count, saw {line[:80]!r}")
    return int(match[1]), int(match[2]), int(match[3])


def _totals(path: Path, data: bytes, limit_ms: float) -> dict[str, Any]:
    try:
        totals = json.loads(data)
        n, answered = _number(totals, "totalRequests"), _number(totals, "totalSuccessResponses")
        negative = _number(totals, "totalNegativeResponses")
        stats, per_s = totals["latencyStats"], _number(totals, "queriesPerSecond")
        least, average, most = (_number(stats, name) for name in ("minMs", "meanMs", "maxMs"))
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise UsageError(f"{path}: expected the JSON of dnspyre (--json): {_problem(error)}") from error
    failed = int(n - answered - negative)
    if n < 1 or failed < 0:
        raise UsageError(f"{path}: {answered:g} answers and {negative:g} negative ones of {n:g} do not add up")
    return {
        "n": int(n),
        "failed": failed,
        "over_limit": 0 if most < limit_ms and not failed else None,
        "min_ms": least,
        "avg_ms": average,
        "max_ms": most,
        "n_timed": int(n) - failed,
        "per_s": per_s,
    }


def _number(data: Mapping[str, Any], key: str) -> float:
    number = data[key]
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1e15:
        raise ValueError(f"{key} should be a number")
    return float(number)


def _problem(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else (str(error) or type(error).__name__)[:200]
