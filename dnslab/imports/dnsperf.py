"""Reads what dnsperf prints, with ``-v`` or without."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnslab.errors import UsageError
from dnslab.imports.rounds import (
    File,
    in_order,
    measured_round,
    numbered_lines,
)
from dnslab.imports.summary import Imported
from dnslab.sentences import imports as sentences
from dnslab.text import counted

_DNSPERF_STARTS = "DNS Performance Testing Tool"
_CLOSING = {
    "completed": re.compile(r"Queries completed:\s+(\d{1,15})\b"),
    "lost": re.compile(r"Queries lost:\s+(\d{1,15})\b"),
    "interrupted": re.compile(r"Queries interrupted:\s+(\d{1,15})\b"),
    "per_s": re.compile(r"Queries per second:\s+(\d{1,15}(?:\.\d{1,15})?)$"),
    "codes": re.compile(r"Response codes:\s+(.*)"),
    "times": re.compile(r"Average Latency \(s\):\s+(.*)"),
}
_ANSWERS = ("NOERROR", "NXDOMAIN")
_CODE, _SECONDS = re.compile(r"[A-Za-z]{0,20}\d{0,5}"), re.compile(r"\d{1,9}\.\d{1,9}")  # dnsperf writes rcode11, too


def read_dnsperf(files: Sequence[File], limit_ms: float) -> Imported:
    """Outputs of dnsperf: each query if it ran with ``-v``, else the statistics at the end."""
    codes_seen: Counter[str] = Counter()
    rounds = in_order(files, lambda path: _dnsperf(path, limit_ms, codes_seen))
    notes = [
        f"{sentences.NOT_A_LOOKUP} {sentences.FEW_SOCKETS}",
        f"{sentences.STOPS_SENDING} {sentences.CLOSED}",
        str(sentences.SERVICE),
    ]
    if codes_seen["lost"]:
        timed_out = sentences.TIMED_OUT(queries=counted(codes_seen["lost"], "query", "queries"))
        notes.append(f"{timed_out} {sentences.FAILURES}")
    if codes_seen["interrupted"]:
        notes.append(sentences.IN_FLIGHT(queries=counted(codes_seen["interrupted"], "query", "queries")))
    if codes_seen["NXDOMAIN"]:
        notes.append(sentences.NXDOMAIN(answers=counted(codes_seen["NXDOMAIN"], "answer")))
    if any(round_.latencies_ms is None for round_ in rounds):
        notes.append(str(sentences.DNSPERF_COUNTS))
    return Imported("queries", rounds, limit_ms, tuple(notes))


def _dnsperf(path: Path, limit_ms: float, codes_seen: Counter[str]) -> Iterator[dict[str, Any]]:
    n_before, has_counts = 0, False

    def output(numbered: tuple[int, str]) -> int:
        """The number of the output that a line belongs to; 0 before the first. People paste parts of an output, too."""
        nonlocal n_before, has_counts
        line = numbered[1]
        part = line.startswith(("> ", "Statistics:", "Queries sent:"))
        if line == _DNSPERF_STARTS or (part and (has_counts or not n_before)):
            n_before += 1
            has_counts = False
        has_counts |= line.startswith("Queries sent:")
        return n_before

    for number, lines in itertools.groupby(numbered_lines(path), output):
        if number:
            counted, codes = _dnsperf_output(path, lines, limit_ms)
            codes_seen.update(codes)
            yield counted


def _dnsperf_output(
    path: Path, lines: Iterable[tuple[int, str]], limit_ms: float
) -> tuple[dict[str, Any], Counter[str]]:
    """One output as a round, and the number of queries by response code, lost or interrupted."""
    durations_ms: list[float] = []
    failed: list[bool] = []
    counts: Counter[str] = Counter()
    closing: dict[str, str] = {}
    number = 0
    for number, line in lines:
        if line.startswith("> "):
            code, duration_ms = _dnsperf_query(f"{path} line {number}", line)
            counts[code] += 1
            if code != "interrupted":
                durations_ms.append(duration_ms)
                failed.append(code not in _ANSWERS)
        for name, pattern in _CLOSING.items():
            match = pattern.match(line)
            if match:  # the first: statistics of connections come after those of queries
                closing.setdefault(name, match[1])
    if not {"completed", "lost"} <= set(closing):
        raise UsageError(f"{path} line {number}: dnsperf's statistics are missing: is the file cut short?")
    completed, lost, interrupted = (int(closing.get(name, 0)) for name in ("completed", "lost", "interrupted"))
    if not completed + lost:
        raise UsageError(f"{path} line {number}: no query was answered or lost up to here: nothing to count")
    if counts:
        answered = counts.total() - counts["lost"] - counts["interrupted"]
        if (answered, counts["lost"], counts["interrupted"]) != (completed, lost, interrupted):
            raise UsageError(
                f"{path}: its lines show {answered} answers, {counts['lost']} timeouts, {counts['interrupted']} "
                f"interrupted, its statistics of {completed}, {lost}, {interrupted}: lines are missing"
            )
        per_s = float(closing.get("per_s", "nan"))
        return measured_round(np.asarray(durations_ms), np.asarray(failed), limit_ms, per_s), counts
    return _from_statistics(path, number, closing, limit_ms)


def _from_statistics(
    path: Path, number: int, closing: Mapping[str, str], limit_ms: float
) -> tuple[dict[str, Any], Counter[str]]:
    """The same of an output without a line for each query, which ends at line ``number``."""
    completed, lost = int(closing["completed"]), int(closing["lost"])
    codes = Counter(
        {code: int(count) for code, count in re.findall(r"([A-Za-z]*\d*) (\d{1,15}) \(", closing.get("codes", ""))}
    )
    times_s = re.findall(r"\d{1,9}\.\d{1,9}", closing.get("times", ""))
    if codes.total() != completed or len(times_s) < 3:
        raise UsageError(f"{path} line {number}: dnsperf's statistics are incomplete: is the file cut short?")
    average, least, most = (float(value) * 1e3 for value in times_s[:3])
    times = {"min_ms": least, "avg_ms": average, "max_ms": most, "n_timed": completed} if completed else {}
    counted = {
        "n": completed + lost,
        "failed": completed + lost - sum(codes[code] for code in _ANSWERS),
        "over_limit": lost if most < limit_ms else None,
        **times,
        "per_s": float(closing.get("per_s", "nan")),
    }
    return counted, codes + Counter(lost=lost, interrupted=int(closing.get("interrupted", 0)))


def _dnsperf_query(where: str, line: str) -> tuple[str, float]:
    """Code (or ``lost``, ``interrupted``) and duration of a line ``> RCODE name type seconds``, ``> T|I name type``."""
    _, code, *rest = line.split()
    if code in ("T", "I") and rest:
        return {"T": "lost", "I": "interrupted"}[code], math.inf
    if len(rest) < 2 or not _CODE.fullmatch(code) or not _SECONDS.fullmatch(rest[-1]):
        raise UsageError(
            f"{where}: expected `> RCODE name type seconds`, `> T name type` or `> I ...`, saw {line[:80]!r}"
        )
    return code, float(rest[-1]) * 1e3
