"""Reads text files of other tools into an ``Imported``.

A file is one round of a variant; several outputs in one file are several rounds. What a file does not say stays None or
NaN, and ``notes`` say what its kind cannot show. A file that is cut short or does not add up is refused. Each kind has
a module of its own; this one chooses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dnslab.errors import UsageError
from dnslab.imports.counts import read_counts
from dnslab.imports.dnsperf import read_dnsperf
from dnslab.imports.dnspyre import read_dnspyre
from dnslab.imports.lookups import read_lookups
from dnslab.imports.rounds import DEFAULT_LIMIT_MS, File
from dnslab.imports.stress_client import read_stress_client
from dnslab.imports.summary import Imported


def named(text: str) -> File:
    """Split ``[VARIANT=]FILE`` of the command line."""
    variant, equals, path = text.partition("=")
    return (variant, Path(path)) if equals and not Path(text).exists() else (None, Path(text))


def load(
    kind: str,
    files: Sequence[File],
    limit_ms: float | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Imported:
    """Read files of one kind: ``stress-client``, ``dnsperf``, ``dnspyre``, ``csv`` or ``counts``.

    Parameters
    ----------
    limit_ms
        From which latency on a request is counted; needed where the tool counted itself, as it does not say.
    columns, unit
        For ``csv``, see ``lookups.read_lookups``.

    Raises
    ------
    UsageError
        Names file and line where there is one.
    """
    if kind != "csv" and (columns or unit):
        raise UsageError(f"--columns and --unit are for csv: {kind} has a form of its own")
    if limit_ms is None and kind in ("stress-client", "counts"):
        raise UsageError(f"{kind} counts lookups over a limit and does not say which limit: give it with -l (ms)")
    if limit_ms is not None and not 0 < limit_ms < math.inf:
        raise UsageError(f"-l: should be over 0, is {limit_ms:g}")
    limit = DEFAULT_LIMIT_MS if limit_ms is None else limit_ms
    if kind == "csv":
        return read_lookups(files, columns or {}, limit, unit or "ms")
    readers = {
        "stress-client": read_stress_client,
        "dnsperf": read_dnsperf,
        "dnspyre": read_dnspyre,
        "counts": read_counts,
    }
    if kind not in readers:
        raise UsageError(f"unknown kind {kind!r}: there are {', '.join([*readers, 'csv'])}")
    tool = "" if kind == "counts" else kind.replace("-", " ")
    return replace(readers[kind](files, limit), tool=tool)
