"""Reads any CSV with a header and a row for each lookup."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dns.rcode
import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.errors import UsageError
from dnslab.imports.csvfile import read_numbers, read_rows
from dnslab.imports.rounds import (
    File,
    check_number,
    measured_round,
)
from dnslab.imports.summary import Imported, Round
from dnslab.sentences import imports as sentences
from dnslab.text import visible

UNITS_MS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
COLUMNS = ("latency_ms", "outcome", "variant", "round", "time_s")
#: what an outcome column may say, in lower case. Negative answers count as answers: nobody says what was expected
_OK = ("answered", "partial", "negative", "ok", "success", "noerror", "nxdomain")
_FAILED = ("failed", "failure", "error", "timeout", "servfail", "refused", "formerr", "notimp")
#: reasons for which rows are left out: counted, and named one by one
_MOST_REASONS, _MOST_NAMED = 100, 5
#: all that DNS itself can answer, by the names of the IANA registry (dnspython's table)
_RCODES = frozenset(rcode.name.lower() for rcode in dns.rcode.Rcode)
#: rows of a k6 CSV that are lookups: of its module k6/x/dns, or of a metric of the user's own
_K6_METRIC, _K6_VALUE = "metric_name", "metric_value"
_K6_LOOKUPS = re.compile(r"(?=.*(?:dns|lookup|resol))(?=.*(?:duration|time|latency|ms\b)).*", re.IGNORECASE)
#: a median under this, or a lookup over that, is of another unit: loopback takes more, no resolver waits so long
_QUICKEST_MS, _LONGEST_MS = 0.01, 600_000.0


def read_lookups(files: Sequence[File], columns: Mapping[str, str], limit_ms: float, unit: str = "ms") -> Imported:
    """Any CSV with a header and a row for each lookup.

    Parameters
    ----------
    columns
        Which column holds what: ``latency_ms`` (needed), ``outcome``, ``variant``, ``round``, ``time_s``. Without
        ``outcome`` all are answered, without ``variant`` and ``round`` a file is a round of one.
    unit
        Of the latency column: ``s``, ``ms``, ``us`` or ``ns``.

    Raises
    ------
    UsageError
        ``columns`` or ``unit`` are not known, or a file does not hold what they say; with its line.
    """
    unknown = set(columns) - set(COLUMNS)
    if unknown or "latency_ms" not in columns:
        raise UsageError(f"--columns: expected latency_ms=COLUMN and any of {', '.join(COLUMNS[1:])}")
    if unit not in UNITS_MS:
        raise UsageError(f"--unit: should be one of {', '.join(UNITS_MS)}, is {unit!r}")
    rounds: list[Round] = []
    last: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for given, path in files:
        if given and "variant" in columns:
            raise UsageError(f"{path}: a column gives the variant, so {given}= cannot be used")
        before = Counter(last)
        for variant, number, counted in _csv_rounds(
            given or path.stem, path, columns, limit_ms, UNITS_MS[unit], left_out=left_out
        ):
            rounds.append(Round(variant, before[variant] + number, **counted))
            last[variant] = max(last[variant], rounds[-1].round)
        check_number(path, len(rounds), len(last))
    paired = len(files) == 1 and "round" in columns and _same_rounds(rounds)
    notes = [str(sentences.ROWS_UNCLEAR), str(sentences.SERVICE)]
    if "outcome" not in columns:
        notes.append(str(sentences.NO_OUTCOME))
    elif any(round_.n_timed < round_.n for round_ in rounds):
        notes.append(str(sentences.FAILURES))
    notes += [sentences.ROWS_LEFT_OUT(rows=f"{n:,}", why=why) for why, n in left_out.most_common(_MOST_NAMED)]
    if len(left_out) > _MOST_NAMED:
        notes.append(sentences.ALL_LEFT_OUT(rows=f"{left_out.total():,}"))
    if paired:
        notes.append(str(sentences.PAIRED))
    return Imported("lookups", tuple(rounds), limit_ms, tuple(notes), paired)


def _csv_rounds(
    variant: str, path: Path, columns: Mapping[str, str], limit_ms: float, factor: float, *, left_out: Counter[str]
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Variant, number and counts of each round in a file. ``variant`` is used if no column has it.

    ``left_out`` counts rows that are no lookups, or of which nobody knows whether they are, by the reason.
    """
    known: dict[str, dict[str, int]] = {"round": {}, "variant": {}}
    of_k6 = columns["latency_ms"] == _K6_VALUE and _K6_METRIC not in columns.values()
    read = read_rows(path, [*columns.values(), *([_K6_METRIC] if of_k6 else [])])
    kept = (_lookups_only(frame, columns, left_out) for frame in read)
    parts = [_csv_rows(path, frame, columns, factor, known) for frame in kept if len(frame)]
    if not parts:
        raise UsageError(f"{path} has no row of a lookup: {', '.join(list(left_out)[:_MOST_NAMED])}")
    durations_ms, failed, times_s, variants, rounds = (np.concatenate(column) for column in zip(*parts, strict=True))
    del parts
    _check_unit(path, durations_ms[~failed])
    groups, kinds = pd.factorize(variants.astype(np.int64) * (int(rounds.max()) + 1) + rounds)
    check_number(path, len(kinds), len(known["variant"]))
    names = list(known["variant"]) or [variant]
    for members in np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1]):
        span_s = float(np.ptp(times_s[members])) if len(times_s) else 0.0
        per_s = len(members) / span_s if span_s else math.nan
        counted = measured_round(durations_ms[members], failed[members], limit_ms, per_s)
        yield names[variants[members[0]]], int(rounds[members[0]]) + 1, counted


def _csv_rows(
    path: Path, frame: pd.DataFrame, columns: Mapping[str, str], factor: float, known: Mapping[str, dict[str, int]]
) -> tuple[npt.NDArray[Any], ...]:
    """For some rows: durations, failures, times, and the indexes of variant and round in ``known``."""
    mapped = {name: frame[column] for name, column in columns.items()}
    times_s = read_numbers(path, columns["time_s"], mapped["time_s"]) if "time_s" in mapped else np.empty(0)
    indexes = [np.zeros(len(frame), np.int32), np.zeros(len(frame), np.int32)]
    for i, name in enumerate(("variant", "round")):
        if name in mapped:
            codes, texts = pd.factorize(mapped[name])
            of_text = [known[name].setdefault(str(text), len(known[name])) for text in texts]
            indexes[i] = np.asarray(of_text, np.int32)[codes]
    check_number(path, len(known["round"]), len(known["variant"]))
    return (*_durations(path, mapped, factor), times_s, *indexes)


def _lookups_only(frame: pd.DataFrame, columns: Mapping[str, str], left_out: Counter[str]) -> pd.DataFrame:
    if _K6_METRIC in frame:
        metrics = frame[_K6_METRIC]
        others = ~metrics.map({name: bool(_K6_LOOKUPS.fullmatch(name)) for name in metrics.unique()}).astype(bool)
        _count(metrics[others], "k6's metric", left_out)
        frame = frame[~others]
    if "outcome" in columns:
        words = _words(frame[columns["outcome"]])
        unknown = ~words.isin({*_OK, *_FAILED, *_RCODES})
        _count(words[unknown], "outcome", left_out)
        frame = frame[~unknown]
    return frame


def _count(texts: pd.Series, what: str, left_out: Counter[str]) -> None:
    for each, n in texts.value_counts().items():
        reason = f"{what} {visible(str(each)[:80])!r}"
        left_out[reason if reason in left_out or len(left_out) < _MOST_REASONS else f"a further {what}"] += int(n)


def _words(cells: pd.Series) -> pd.Series:
    """Outcomes in lower case, cut to a length that can be shown. There are few, and many rows."""
    return cells.map({text: text.strip().lower()[:80] for text in cells.unique()})


def _same_rounds(rounds: Sequence[Round]) -> bool:
    numbers: dict[str, set[int]] = {}
    for round_ in rounds:
        numbers.setdefault(round_.variant, set()).add(round_.round)
    return len({frozenset(of_variant) for of_variant in numbers.values()}) == 1


def _durations(
    path: Path, mapped: Mapping[str, pd.Series], factor: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Duration, ms, of each row, and whether it failed. A failed row without a duration has ``inf``."""
    cells = mapped["latency_ms"]
    failed = np.zeros(len(cells), bool)
    if "outcome" in mapped:
        failed = ~_words(mapped["outcome"]).isin(_OK).to_numpy()
    durations_ms = read_numbers(path, str(cells.name), cells, failed) * factor
    return np.where(np.isnan(durations_ms), np.inf, durations_ms), failed


def _check_unit(path: Path, answered: npt.NDArray[np.float64]) -> None:
    """Raise UsageError if durations of answered lookups, ms, look as if they had another unit."""
    if len(answered) and not (np.median(answered) >= _QUICKEST_MS and answered.max() <= _LONGEST_MS):
        raise UsageError(
            f"{path}: a median of {np.median(answered):g} ms and a maximum of {answered.max():g} ms is not what "
            "lookups take: give the column's unit with --unit"
        )
