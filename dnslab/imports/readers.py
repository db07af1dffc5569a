"""Reads what other tools measured: text files in, ``Imported`` out.

A file is one round of a variant; several outputs in one file are several rounds. What a file does not say stays None or
NaN, and ``notes`` say what its kind cannot show. A file that is cut short or does not add up is refused.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.errors import UsageError
from dnslab.files import IMPORT_BYTES, IMPORT_LINE_BYTES, IMPORT_ROUNDS, IMPORT_VARIANTS, blocks_given, text
from dnslab.imports.csvfile import read_numbers, read_rows
from dnslab.imports.summary import Imported, Round

#: as of ``dnslab run -l``: a 5 s stall ends some 0.1 ms under 5,000 ms
DEFAULT_LIMIT_MS = 4_900.0
UNITS_MS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
COLUMNS = ("latency_ms", "outcome", "variant", "round", "time_s")
#: what an outcome column may say, in lower case; negative answers are answers, for nobody tells what was expected
_OK = ("answered", "partial", "negative", "ok", "success", "noerror", "nxdomain")
_FAILED = ("failed", "failure", "error", "timeout", "servfail", "refused", "formerr", "notimp")
#: a median under this, or a lookup over that, is of another unit: loopback takes more, no resolver waits so long
_QUICKEST_MS, _LONGEST_MS = 0.01, 600_000.0

_SERVICE = "Latency counts from when a request was sent, not from when it was due: what waited before is not in it."
_CLOSED = "In a closed loop stalled workers ask nothing: shares and latencies depend on their number, too."
_COUNTS_ONLY = "Only counts were kept: no quantiles."
_FAILURES = "A failure without a latency counts as at or over the limit; min, avg and max leave it out."


#: a variant (None: the file's name without ending) and where its file is
File = tuple[str | None, Path]


def named(text: str) -> File:
    """``[VARIANT=]FILE`` as the command line has it."""
    variant, equals, path = text.partition("=")
    return (variant, Path(path)) if equals and not Path(text).exists() else (None, Path(text))


def load(
    kind: str,
    files: Sequence[File],
    limit_ms: float | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Imported:
    """Read files of one kind: ``stress-client``, ``dnsperf``, ``csv`` or ``counts``.

    Parameters
    ----------
    limit_ms
        From which latency on a request is counted; needed where the tool counted itself, as it does not say.
    columns, unit
        For ``csv``, see ``read_csv``.

    Raises
    ------
    UsageError
        Names file and line where there is one.
    """
    if kind != "csv" and (columns or unit):
        raise UsageError(f"--columns and --unit are for csv: {kind} has a form of its own")
    if limit_ms is None and kind in ("stress-client", "counts"):
        raise UsageError(f"{kind} holds counts over a limit, and not which: give it with -l (ms)")
    if limit_ms is not None and not 0 < limit_ms < math.inf:
        raise UsageError(f"-l: should be over 0, is {limit_ms:g}")
    limit = DEFAULT_LIMIT_MS if limit_ms is None else limit_ms
    if kind == "csv":
        return read_csv(files, columns or {}, limit, unit or "ms")
    readers = {"stress-client": read_stress_client, "dnsperf": read_dnsperf, "counts": read_counts}
    if kind not in readers:
        raise UsageError(f"unknown kind {kind!r}: there are {', '.join([*readers, 'csv'])}")
    return readers[kind](files, limit)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text with their numbers, one at a time."""
    for first, lines in blocks_given(path, IMPORT_BYTES, IMPORT_LINE_BYTES):
        for number, line in enumerate(lines, first):
            yield number, text(line, path).strip()


def _in_order(files: Sequence[File], outputs: Callable[[Path], Iterator[dict[str, Any]]]) -> tuple[Round, ...]:
    """Rounds of all outputs in all files, numbered for each variant."""
    rounds: list[Round] = []
    numbers: Counter[str] = Counter()
    for named_variant, path in files:
        before = len(rounds)
        for counted in outputs(path):
            variant = counted.pop("variant", None) or named_variant or path.stem
            numbers[variant] += 1
            rounds.append(Round(variant, numbers[variant], **counted))
            _check_number(path, len(rounds), len(numbers))
        if len(rounds) == before:
            raise UsageError(f"{path} holds no output of that kind, or is empty")
    return tuple(rounds)


def _check_number(path: Path, n_rounds: int, n_variants: int) -> None:
    """Raise UsageError if there are more rounds or variants than the limits allow."""
    if n_rounds > IMPORT_ROUNDS or n_variants > IMPORT_VARIANTS:
        raise UsageError(
            f"{path}: expected at most {IMPORT_VARIANTS:,} variants and {IMPORT_ROUNDS:,} rounds in all: "
            "does --columns name the right ones?"
        )


def _check(where: str, limit_ms: float, *, n: int, failed: int, over_limit: int, max_ms: float) -> None:
    """Raise UsageError if counts contradict each other."""
    if n < 1 or max(failed, over_limit) > n:
        raise UsageError(f"{where}: {failed} failed and {over_limit} over the limit of {n} do not add up")
    if math.isfinite(max_ms) and (over_limit > 0) != (max_ms >= limit_ms):
        raise UsageError(
            f"{where}: {over_limit} over the limit, the slowest {max_ms:g} ms: the limit was not {limit_ms:g} ms"
        )


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


def read_stress_client(files: Sequence[File], limit_ms: float) -> Imported:
    """The three closing lines of the Go stress client with flags ``-c -d -l``; ``limit_ms`` is what its ``-l`` was.

    Raises
    ------
    UsageError
        A file has no such lines, or does not add up; with its line.
    """

    def outputs(path: Path) -> Iterator[dict[str, Any]]:
        matches: list[tuple[str, ...]] = []
        for number, line in _lines(path):
            if not line.startswith(tuple(start for start, _ in _STRESS_LINES)):
                continue  # the client prints each error, and shells their prompt
            start, pattern = _STRESS_LINES[len(matches)]
            match = pattern.match(line)
            if not match:
                raise UsageError(f"{path} line {number}: expected a whole line `{start}: ...`, saw {line[:80]!r}")
            matches.append(match.groups())
            if len(matches) == len(_STRESS_LINES):
                n, failed, least, most, average, over = (int(value) for values in matches for value in values)
                _check(f"{path} line {number}", limit_ms, n=n, failed=failed, over_limit=over, max_ms=most)
                times = {"min_ms": least, "avg_ms": average, "max_ms": most, "n_timed": n}
                yield {"n": n, "failed": failed, "over_limit": over, **times}
                matches = []
        if matches:
            raise UsageError(f"{path} ends before the line `{_STRESS_LINES[len(matches)][0]}`")

    notes = [
        "Requests in flight at the end were never counted, stalls likelier than others: shares are too low.",
        _CLOSED,
        f"Latencies are whole milliseconds. {_COUNTS_ONLY}",
        "Which resolver the client used is not told: Go's own asks A and AAAA from two ports and cannot meet the race.",
        _SERVICE,
    ]
    if DEFAULT_LIMIT_MS < limit_ms <= 5_000:
        notes.insert(0, f"A limit of {limit_ms:g} ms can miss stalls of 5 s, which may end just before.")
    return Imported("requests", _in_order(files, outputs), limit_ms, tuple(notes))


def read_counts(files: Sequence[File], limit_ms: float) -> Imported:
    """A published table as CSV, a row a round: ``variant,n,over_limit`` and any of ``failed,min_ms,avg_ms,max_ms``."""

    def outputs(path: Path) -> Iterator[dict[str, Any]]:
        for frame in read_rows(path):
            yield from _counted(path, frame, limit_ms)

    notes = ("How it was measured, and what was left out, the table does not tell.", _COUNTS_ONLY)
    return Imported("requests", _in_order(files, outputs), limit_ms, notes)


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
        _check(f"{path} line {line}", limit_ms, **counts, max_ms=numbers.get("max_ms", math.nan))
        yield {"variant": variant, **counts, **numbers, "n_timed": counts["n"] if "avg_ms" in numbers else 0}


def _measured(
    durations_ms: npt.NDArray[np.float64], failed: npt.NDArray[np.bool_], limit_ms: float, per_s: float
) -> dict[str, Any]:
    """A round whose durations are known; ``inf`` for failures whose end was not seen."""
    timed = durations_ms[np.isfinite(durations_ms)]
    times = {"min_ms": timed.min(), "avg_ms": timed.mean(), "max_ms": timed.max()} if len(timed) else {}
    return {
        "n": len(durations_ms),
        "failed": int(failed.sum()),
        "over_limit": int((durations_ms >= limit_ms).sum()),
        **{name: float(value) for name, value in times.items()},
        "n_timed": len(timed),
        "per_s": per_s,
        "latencies_ms": np.where(failed, np.inf, durations_ms),
    }


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
_CODE, _SECONDS = re.compile(r"[A-Z]{1,20}\d{0,5}"), re.compile(r"\d{1,9}\.\d{1,9}")


def read_dnsperf(files: Sequence[File], limit_ms: float) -> Imported:
    """Outputs of dnsperf: each query where it ran with ``-v``, else the statistics at the end."""
    seen: Counter[str] = Counter()
    rounds = _in_order(files, lambda path: _dnsperf(path, limit_ms, seen))
    notes = [
        "Queries of one question each, from few sockets: not an application's lookup, which asks A and AAAA, walks the "
        "search list, retries, and opens a new flow; so the race, which needs one, hardly shows.",
        f"dnsperf sends no more once `-q` queries are out. {_CLOSED}",
        _SERVICE,
    ]
    if seen["lost"]:
        notes.append(f"{seen['lost']:,} queries timed out. {_FAILURES}")
    if seen["interrupted"]:
        notes.append(f"{seen['interrupted']:,} queries were out when dnsperf was interrupted, and are not counted.")
    if seen["NXDOMAIN"]:
        notes.append(
            f"{seen['NXDOMAIN']:,} answers were NXDOMAIN, and count as answers: what was expected is not told."
        )
    if any(one.latencies_ms is None for one in rounds):
        notes.append("Without `-v` dnsperf keeps counts only: no quantiles, and over the limit only if none can be.")
    return Imported("queries", rounds, limit_ms, tuple(notes))


def _dnsperf(path: Path, limit_ms: float, seen: Counter[str]) -> Iterator[dict[str, Any]]:
    starts = itertools.count(1)
    n_before = 0

    def output(numbered: tuple[int, str]) -> int:
        """The number of the output that a line belongs to; 0 before the first."""
        nonlocal n_before
        if numbered[1] == _DNSPERF_STARTS:
            n_before = next(starts)
        return n_before

    for number, lines in itertools.groupby(_lines(path), output):
        if number:
            counted, codes = _dnsperf_output(path, lines, limit_ms)
            seen.update(codes)
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
        raise UsageError(f"{path} line {number}: dnsperf's statistics do not follow: is the file cut short?")
    completed, lost, interrupted = (int(closing.get(name, 0)) for name in ("completed", "lost", "interrupted"))
    per_s = float(closing.get("per_s", "nan"))
    n = completed + lost
    if not n:
        raise UsageError(f"{path} line {number}: no query was answered or lost up to here: nothing to count")
    if counts:
        answered = counts.total() - counts["lost"] - counts["interrupted"]
        if (answered, counts["lost"], counts["interrupted"]) != (completed, lost, interrupted):
            raise UsageError(
                f"{path}: its lines tell of {answered} answers, {counts['lost']} timeouts, {counts['interrupted']} "
                f"interrupted, its statistics of {completed}, {lost}, {interrupted}: lines are missing"
            )
        return _measured(np.asarray(durations_ms), np.asarray(failed), limit_ms, per_s), counts
    codes = Counter(
        {code: int(count) for code, count in re.findall(r"([A-Z]+\d*) (\d{1,15})\b", closing.get("codes", ""))}
    )
    times_s = re.findall(r"\d{1,9}\.\d{1,9}", closing.get("times", ""))
    if codes.total() != completed or len(times_s) < 3:
        raise UsageError(f"{path} line {number}: dnsperf's statistics are not whole: is the file cut short?")
    average, least, most = (float(value) * 1e3 for value in times_s[:3])
    times = {"min_ms": least, "avg_ms": average, "max_ms": most, "n_timed": completed} if completed else {}
    counted = {
        "n": n,
        "failed": n - sum(codes[code] for code in _ANSWERS),
        "over_limit": lost if most < limit_ms else None,
        **times,
        "per_s": per_s,
    }
    return counted, codes + Counter(lost=lost, interrupted=interrupted)


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


def read_csv(files: Sequence[File], columns: Mapping[str, str], limit_ms: float, unit: str = "ms") -> Imported:
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
    for given, path in files:
        if given and "variant" in columns:
            raise UsageError(f"{path}: a column says the variant, so {given}= cannot")
        before = Counter(last)
        for variant, number, counted in _csv_rounds(given or path.stem, path, columns, limit_ms, UNITS_MS[unit]):
            rounds.append(Round(variant, before[variant] + number, **counted))
            last[variant] = max(last[variant], rounds[-1].round)
        _check_number(path, len(rounds), len(last))
    paired = len(files) == 1 and "round" in columns and _same_rounds(rounds)
    notes = ["Whether a row is a lookup or a single query, and who resolved it, the file does not tell.", _SERVICE]
    if "outcome" not in columns:
        notes.append("No column says the outcome: all rows count as answered.")
    elif any(one.n_timed < one.n for one in rounds):
        notes.append(_FAILURES)
    if paired:
        notes.append("Rounds are paired, which holds if the variants of a round were measured together.")
    return Imported("rows", tuple(rounds), limit_ms, tuple(notes), paired)


def _csv_rounds(
    variant: str, path: Path, columns: Mapping[str, str], limit_ms: float, factor: float
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Variant, number and counts of each round in a file. ``variant`` is used if no column has it."""
    known: dict[str, dict[str, int]] = {"round": {}, "variant": {}}
    parts = [_csv_rows(path, frame, columns, factor, known) for frame in read_rows(path, [*columns.values()])]
    durations_ms, failed, times_s, variants, rounds = (np.concatenate(column) for column in zip(*parts, strict=True))
    del parts
    _check_unit(path, durations_ms[~failed])
    groups, found = pd.factorize(variants.astype(np.int64) * (int(rounds.max()) + 1) + rounds)
    _check_number(path, len(found), len(known["variant"]))
    names = list(known["variant"]) or [variant]
    for places in np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1]):
        span_s = float(np.ptp(times_s[places])) if len(times_s) else 0.0
        per_s = len(places) / span_s if span_s else math.nan
        counted = _measured(durations_ms[places], failed[places], limit_ms, per_s)
        yield names[variants[places[0]]], int(rounds[places[0]]) + 1, counted


def _csv_rows(
    path: Path, frame: pd.DataFrame, columns: Mapping[str, str], factor: float, known: Mapping[str, dict[str, int]]
) -> tuple[npt.NDArray[Any], ...]:
    """For some rows: durations, failures, times, and the indexes of variant and round in ``known``."""
    mapped = {name: frame[column] for name, column in columns.items()}
    times_s = read_numbers(path, columns["time_s"], mapped["time_s"]) if "time_s" in mapped else np.empty(0)
    places = [np.zeros(len(frame), np.int32), np.zeros(len(frame), np.int32)]
    for i, name in enumerate(("variant", "round")):
        if name in mapped:
            codes, texts = pd.factorize(mapped[name])
            of_text = [known[name].setdefault(str(one), len(known[name])) for one in texts]
            places[i] = np.asarray(of_text, np.int32)[codes]
    _check_number(path, len(known["round"]), len(known["variant"]))
    return (*_durations(path, mapped, factor), times_s, *places)


def _same_rounds(rounds: Sequence[Round]) -> bool:
    numbers: dict[str, set[int]] = {}
    for one in rounds:
        numbers.setdefault(one.variant, set()).add(one.round)
    return len({frozenset(of_variant) for of_variant in numbers.values()}) == 1


def _durations(
    path: Path, mapped: Mapping[str, pd.Series], factor: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Duration, ms, of each row, and whether it failed. A failed row without a duration has ``inf``."""
    cells = mapped["latency_ms"]
    failed = np.zeros(len(cells), bool)
    if "outcome" in mapped:
        words = mapped["outcome"].str.strip().str.lower()
        failed = words.isin(_FAILED).to_numpy()
        unknown = ~(failed | words.isin(_OK).to_numpy())
        if unknown.any():
            place = int(np.argmax(unknown))
            saw = mapped["outcome"].iloc[place][:80]
            raise UsageError(
                f"{path} line {cells.index[place]}: outcome {saw!r} is none of {', '.join((*_OK, *_FAILED))}"
            )
    durations_ms = read_numbers(path, str(cells.name), cells, failed) * factor
    return np.where(np.isnan(durations_ms), np.inf, durations_ms), failed


def _check_unit(path: Path, answered: npt.NDArray[np.float64]) -> None:
    """Raise UsageError if durations of answered lookups, ms, look as if they had another unit."""
    if len(answered) and not (np.median(answered) >= _QUICKEST_MS and answered.max() <= _LONGEST_MS):
        raise UsageError(
            f"{path}: a median of {np.median(answered):g} ms and a maximum of {answered.max():g} ms: no lookups. "
            "Say the column's unit with --unit"
        )
