"""The lookups of one trial on one target, decoded from the probe's raw bytes into arrays.

Units are converted here, once: nanoseconds to milliseconds and seconds. Opens no ground truth.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dnslab.analyse.pauses import paused_s
from dnslab.errors import ProbeFailed, RunInvalid, StreamError, StreamForeign, StreamTruncated, StreamVersion
from dnslab.files import open_regular
from dnslab.plan.model import Load
from dnslab.store import stream as records
from dnslab.store.client import ClientRecord

RECORD = np.dtype(list(records.RECORD_FIELDS))
OUTCOMES = ("answered", "partial", "negative", "failed")
ANSWERED, PARTIAL, NEGATIVE, FAILED = range(4)
SLOW_MS = 1_000.0
#: no trial lasts so long: a plan's longest warm-up and load, and the longest deadline twice, are 97,200 s
LONGEST_S = 100_000.0

#: netdb.h; the same values in glibc and musl
_EAI = {-1: "EAI_BADFLAGS", -2: "EAI_NONAME", -3: "EAI_AGAIN", -4: "EAI_FAIL", -5: "EAI_NODATA", -6: "EAI_FAMILY"}
_EAI |= {-7: "EAI_SOCKTYPE", -8: "EAI_SERVICE", -10: "EAI_MEMORY", -11: "EAI_SYSTEM", -12: "EAI_OVERFLOW"}
_OURS = {
    records.OUTCOME_ABANDONED: "abandoned",
    records.OUTCOME_NO_ANSWER: "no answer",
    records.OUTCOME_SOCKET: "socket error",
    records.OUTCOME_NOT_STARTED: "not started",
}
_RCODE = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
ERRORS = {0: "", **_EAI, **_OURS, **_RCODE}
_NEGATIVE_CODES = (-2, -5, 3)


def error_name(code: int) -> str:
    """The name of an error, such as ``"EAI_AGAIN"`` or ``"abandoned"``; ``""`` for none, and the number if it is
    unknown.
    """
    return ERRORS.get(code, str(code))


@dataclass(frozen=True)
class Lookups:
    """Columns of one client, as arrays of equal length without the warm-up; see ``Run.lookups``.

    ``warmup`` are the raw records of the warm-up, because counters on the path include it. ``paused_s`` is how long
    the probe was stopped (``pauses``).
    """

    client: ClientRecord
    intended_s: npt.NDArray[np.float64]
    response_ms: npt.NDArray[np.float64]
    service_ms: npt.NDArray[np.float64]
    outcome: npt.NDArray[np.int8]
    raw: npt.NDArray[Any]
    warmup: npt.NDArray[Any]
    paused_s: float = 0.0

    @property
    def n_bytes(self) -> int:
        """Memory that the columns take."""
        columns = (self.intended_s, self.response_ms, self.service_ms, self.outcome, self.raw, self.warmup)
        return sum(column.nbytes for column in columns)

    @property
    def half_lost(self) -> npt.NDArray[np.bool_]:
        """glibc fell back after one of two parallel answers did not come."""
        return self._has(records.FLAG_HALF_LOST | records.FLAG_HALF_LOST_TWICE)

    @property
    def exhausted(self) -> npt.NDArray[np.bool_]:
        """Every worker was inside the resolver when the lookup's time came."""
        return self._has(records.FLAG_WORKERS_EXHAUSTED)

    def _has(self, flags: int) -> npt.NDArray[np.bool_]:
        return np.asarray(self.raw["flags"] & flags, dtype=np.bool_)

    @property
    def stall(self) -> npt.NDArray[np.bool_]:
        """Service time at or over 0.9 of the first attempt timeout."""
        return self.service_ms >= self.client.start.stall_ms

    @property
    def not_started(self) -> npt.NDArray[np.bool_]:
        """The load was over, or every worker inside the resolver, before the lookup could begin."""
        return self.exhausted | np.asarray(self.raw["outcome"] == records.OUTCOME_NOT_STARTED, dtype=np.bool_)

    @property
    def failed_slowest_ms(self) -> npt.NDArray[np.float64]:
        """Response times, ``inf`` of failed lookups."""
        failed = self.outcome == FAILED
        return np.where(failed, np.inf, self.response_ms) if failed.any() else self.response_ms

    @property
    def codes(self) -> dict[int, int]:
        """How many lookups ended with each code (``ERRORS``)."""
        codes, counts = np.unique(self.raw["outcome"], return_counts=True)
        return dict(zip(codes.tolist(), counts.tolist(), strict=True))

    def by_slice(self, load: Load, n_slices: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Lookups that were due in each of ``n_slices`` equal parts of the load, and the bad ones among them."""
        bad = self.stall | (self.outcome == FAILED)
        # The end belongs to the last slice: a closed loop may begin a lookup right on it.
        slices = (
            ((self.intended_s - load.warmup_s) * (n_slices / load.duration_s)).clip(0, n_slices - 1).astype(np.int64)
        )
        return np.bincount(slices, minlength=n_slices), np.bincount(slices[bad], minlength=n_slices)

    @property
    def n_warmup_stalls(self) -> int:
        """Stalls of the warm-up."""
        return int((_elapsed_ms(self.warmup, "start_ns") >= self.client.start.stall_ms).sum())


def read_stream(path: Path) -> tuple[npt.NDArray[Any], RunInvalid | None]:
    """Records of a raw file up to its last whole block, and what is wrong with the file (None if it is whole)."""
    raw, _, problem = _read_stream(path)
    return raw, problem


def _read_stream(path: Path) -> tuple[npt.NDArray[Any], list[int], RunInvalid | None]:
    """The same as ``read_stream``, with the time of each heartbeat, ns, as the second value."""
    blocks, beats_ns = [], []
    decoder = records.StreamDecoder()
    problem: RunInvalid | None = None
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
            try:
                for message in decoder.feed(data):
                    if isinstance(message, records.Records):
                        blocks.append(message.data)
                    elif isinstance(message, records.Heartbeat):
                        beats_ns.append(message.elapsed_ns)
                decoder.close()
            except (StreamError, ProbeFailed) as error:
                problem = type(error)(f"{path}: {error}")
            return np.frombuffer(b"".join(blocks), dtype=RECORD), beats_ns, problem
    except FileNotFoundError:
        return np.empty(0, RECORD), [], StreamTruncated(f"{path}: there are no raw bytes")


def _outcomes(client: ClientRecord, raw: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    expected = np.asarray(client.start.expected, dtype=np.int64).reshape(-1, 2) > 0
    index, code, answers = raw["name"], raw["outcome"], raw["answers"]
    if len(expected) and client.start.engine == "wire":
        # A row is one question, and a name that is asked for both types is two places of the list.
        entries = np.repeat(expected, client.start.entries_per_name, axis=0)
        asks_aaaa = (raw["flags"] & records.FLAG_AAAA) != 0
        wants_a, wants_aaaa = entries[:, 0][index] & ~asks_aaaa, entries[:, 1][index] & asks_aaaa
    else:
        wants_a, wants_aaaa = expected[:, 0][index], (expected[:, 1] & client.start.asks_aaaa)[index]
    came = (code == 0) & (answers != 0)
    missing = (wants_a & (answers & 0xFFFF == 0)) | (wants_aaaa & (answers >> 16 == 0))
    outcome = np.where(came, np.where(missing, np.int8(PARTIAL), np.int8(ANSWERED)), np.int8(FAILED))
    none = np.flatnonzero(~came & ~(wants_a | wants_aaaa))
    outcome[none[np.isin(code[none], (0, *_NEGATIVE_CODES))]] = NEGATIVE
    return outcome


def decode(client: ClientRecord) -> Lookups:
    """The measured lookups of one trial on one target. An interrupted trial is read up to its last whole block.

    Raises
    ------
    StreamTruncated, StreamForeign, StreamVersion
        The trial ended well, but its raw bytes are not whole any more, or not a probe's.
    """
    raw, beats_ns, problem = _read_stream(client.stream)
    if problem and (client.status == "complete" or isinstance(problem, StreamVersion)):
        raise problem
    paused = paused_s(beats_ns, raw)
    warmup, raw = _split(raw)
    return of_records(client, raw, warmup, paused)


def of_records(client: ClientRecord, raw: npt.NDArray[Any], warmup: npt.NDArray[Any], paused: float) -> Lookups:
    """Lookups of these raw records, and of those of the warm-up. Raises StreamForeign as ``decode`` does."""
    intended_s, response_ms, service_ms = raw["intended_ns"] / 1e9, *(_elapsed_ms(raw, at) for at in _SINCE)
    try:
        outcome = _outcomes(client, raw)
    except IndexError:
        raise StreamForeign(
            f"{client.stream}: a lookup is of a name that the trial's start.json does not have"
        ) from None
    _check_times(client, intended_s, response_ms, service_ms)
    return Lookups(client, intended_s, response_ms, service_ms, outcome, raw, warmup, paused)


def _check_times(
    client: ClientRecord, intended_s: npt.NDArray[np.float64], *elapsed_ms: npt.NDArray[np.float64]
) -> None:
    """Raise StreamForeign if a time is longer than any trial lasts: a chart would need a point for each second."""
    latest_s = max(
        intended_s.max(initial=0.0),
        *(max(times_ms.max(initial=0.0), -times_ms.min(initial=0.0)) / 1e3 for times_ms in elapsed_ms),
    )
    if latest_s > LONGEST_S:
        raise StreamForeign(f"{client.stream}: a time of {latest_s:,.0f} s in it is longer than any trial lasts")


_SINCE = ("intended_ns", "start_ns")


def _split(raw: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Records of the warm-up, and all others. They are views if all records of the warm-up come first."""
    in_warmup = (raw["flags"] & records.FLAG_WARMUP) != 0
    n_warmup = int(in_warmup.sum())
    if in_warmup[:n_warmup].all():
        return raw[:n_warmup], raw[n_warmup:]
    return raw[in_warmup], raw[~in_warmup]


def _elapsed_ms(raw: npt.NDArray[Any], since: str) -> npt.NDArray[np.float64]:
    """Time, ms, from the instant in column ``since`` to the end of the lookup; negative if that instant is later."""
    elapsed: npt.NDArray[np.float64] = (raw["end_ns"] - raw[since]).view(np.int64) / 1e6
    return elapsed
