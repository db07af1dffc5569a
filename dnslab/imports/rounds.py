"""Rounds from files: what the readers of all kinds of data share."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dnslab.errors import UsageError
from dnslab.files import IMPORT_BYTES, IMPORT_LINE_BYTES, IMPORT_ROUNDS, IMPORT_VARIANTS, blocks_given, text
from dnslab.imports.summary import Round

#: as of ``dnslab run -l``: a 5 s stall ends some 0.1 ms under 5,000 ms
DEFAULT_LIMIT_MS = 4_900.0
# What several kinds of data cannot show.
#: a variant (None: the file's name without ending) and where its file is
File = tuple[str | None, Path]


#: what stands before the text of a line: of ``kubectl logs --prefix`` the container, of ``--timestamps`` the time, of a
#: file in /var/log/pods (CRI) the time and the stream
_LOGGED = re.compile(
    r"(\[pod/[^\]\s]+\] )?"
    r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)(?: (?:stdout|stderr) [FP])?(?: |$))?"
    r"(.*)",
    re.DOTALL,
)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text with their numbers, one at a time, without what ``kubectl logs`` puts before them.

    With ``--prefix`` the lines of several containers may be mixed: they come container by container.
    """
    of_others: dict[str, list[tuple[int, str]]] = {}
    first_container: str | None = None
    for first, lines in blocks_given(path, IMPORT_BYTES, IMPORT_LINE_BYTES):
        for number, line in enumerate(lines, first):
            match = _LOGGED.match(text(line, path).rstrip("\r\n"))
            assert match  # any part of it may be missing
            container, rest = match[1] or "", match[2]
            if first_container is None:
                first_container = container
            if container == first_container:
                yield number, rest.strip()
            else:
                of_others.setdefault(container, []).append((number, rest.strip()))
    for numbered in of_others.values():
        yield from numbered


def in_order(files: Sequence[File], outputs: Callable[[Path], Iterator[dict[str, Any]]]) -> tuple[Round, ...]:
    """Rounds of all outputs in all files, numbered for each variant.

    Raises UsageError if a file holds no output, or if there are more rounds or variants than the limits allow.
    """
    rounds: list[Round] = []
    numbers: Counter[str] = Counter()
    for named_variant, path in files:
        before = len(rounds)
        for counted in outputs(path):
            variant = counted.pop("variant", None) or named_variant or path.stem
            numbers[variant] += 1
            rounds.append(Round(variant, numbers[variant], **counted))
            check_number(path, len(rounds), len(numbers))
        if len(rounds) == before:
            raise UsageError(f"{path} has no output of that kind, or is empty")
    return tuple(rounds)


def check_number(path: Path, n_rounds: int, n_variants: int) -> None:
    """Raise UsageError if there are more rounds or variants than the limits allow."""
    if n_rounds > IMPORT_ROUNDS or n_variants > IMPORT_VARIANTS:
        raise UsageError(
            f"{path}: expected at most {IMPORT_VARIANTS:,} variants and {IMPORT_ROUNDS:,} rounds in all: "
            "does --columns name the right ones?"
        )


def check_counts(where: str, limit_ms: float, *, n: int, failed: int, over_limit: int, max_ms: float) -> None:
    """Raise UsageError if counts contradict each other."""
    if n < 1 or max(failed, over_limit) > n:
        raise UsageError(f"{where}: {failed} failed and {over_limit} over the limit of {n} do not add up")
    if math.isfinite(max_ms) and (over_limit > 0) != (max_ms >= limit_ms):
        raise UsageError(
            f"{where}: {over_limit} over the limit, the slowest {max_ms:g} ms: the limit was not {limit_ms:g} ms"
        )


def measured_round(
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
