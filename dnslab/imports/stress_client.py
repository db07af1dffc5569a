"""Reads the output of the Go stress client with flags ``-c -d -l``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dnslab.errors import UsageError
from dnslab.imports.rounds import (
    DEFAULT_LIMIT_MS,
    File,
    check_counts,
    in_order,
    numbered_lines,
)
from dnslab.imports.summary import Imported
from dnslab.sentences import imports as sentences

_STRESS_LINES = (
    ("request count", re.compile(r"request count[:\uff1a]\s*(\d{1,15})$")),
    ("error count", re.compile(r"error count[:\uff1a]\s*(\d{1,15})$")),
    (
        "request time",
        re.compile(
            r"request time[:\uff1a]\s*min\((\d{1,15})ms\)\s*max\((\d{1,15})ms\)\s*avg\((\d{1,15})ms\)"
            r"\s*timeout\((\d{1,15})n\)$"
        ),
    ),
)
#: where a page joined the three lines into one
_PASTED_TOGETHER = re.compile(r"\s+(?=(?:error count|request time)[:\uff1a])")


def read_stress_client(files: Sequence[File], limit_ms: float) -> Imported:
    """The last three lines of the Go stress client with flags ``-c -d -l``. ``limit_ms`` is the value of its ``-l``.

    Raises
    ------
    UsageError
        A file has no such lines, or does not add up; with its line.
    """

    def outputs(path: Path) -> Iterator[dict[str, Any]]:
        matches: list[tuple[str, ...]] = []
        split = ((number, part) for number, line in numbered_lines(path) for part in _PASTED_TOGETHER.split(line))
        for number, line in split:
            if not line.startswith(tuple(start for start, _ in _STRESS_LINES)):
                continue  # the client prints each error, and shells their prompt
            start, pattern = _STRESS_LINES[len(matches)]
            match = pattern.match(line)
            if not match:
                raise UsageError(f"{path} line {number}: expected a complete line `{start}: ...`, saw {line[:80]!r}")
            matches.append(match.groups())
            if len(matches) == len(_STRESS_LINES):
                n, failed, least, most, average, over = (int(value) for values in matches for value in values)
                check_counts(f"{path} line {number}", limit_ms, n=n, failed=failed, over_limit=over, max_ms=most)
                times = {"min_ms": least, "avg_ms": average, "max_ms": most, "n_timed": n}
                yield {"n": n, "failed": failed, "over_limit": over, **times}
                matches = []
        if matches:
            raise UsageError(f"{path} ends before the line `{_STRESS_LINES[len(matches)][0]}`")

    notes = [
        str(sentences.STRESS_IN_FLIGHT),
        str(sentences.CLOSED),
        f"{sentences.WHOLE_MS} {sentences.COUNTS_ONLY}",
        str(sentences.WHICH_RESOLVER),
        str(sentences.SERVICE),
    ]
    if DEFAULT_LIMIT_MS < limit_ms <= 5_000:
        notes.insert(0, sentences.LIMIT_TOO_HIGH(limit=f"{limit_ms:,g} ms"))
    return Imported("requests", in_order(files, outputs), limit_ms, tuple(notes))
