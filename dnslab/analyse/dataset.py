"""A run as data frames: one row a lookup, decoded from the probe's raw bytes.

Units are converted here, once: nanoseconds to milliseconds and seconds. Opens no ground truth.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.analyse.standstill import standstill_s
from dnslab.errors import ProbeFailed, RunInvalid, StreamError, StreamForeign, StreamTruncated, StreamVersion
from dnslab.files import open_regular
from dnslab.plan.model import MAX_ARMS, Plan, TargetInfo, trials
from dnslab.store import stream as records
from dnslab.store.bundle import open_bundle
from dnslab.store.folder import ArmRecord, RunFolder, latest_run_path
from dnslab.text import as_html, as_output

T = TypeVar("T")

RECORD = np.dtype(list(records.RECORD_FIELDS))
OUTCOMES = ("answered", "partial", "negative", "failed")
ANSWERED, PARTIAL, NEGATIVE, FAILED = range(4)
SLOW_MS = 1_000.0
#: of decoded trials that a run keeps: about eight million lookups
KEPT_BYTES = 512 * 2**20
#: no trial lasts so long: a plan's longest warm-up and load, and the longest deadline twice, are 97,200 s
LONGEST_S = 100_000.0
#: trials decoded at a time, beside the one that is worked on
N_AT_ONCE = 2

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


def _error(code: int) -> str:
    return ERRORS.get(code, str(code))


@dataclass(frozen=True)
class Lookups:
    """Columns of one trial on one target, as arrays of equal length, warm-up excluded; see ``Run.lookups``.

    ``warmup`` are the raw records of the warm-up, which what is counted on the path includes. ``standstill_s`` is how
    long the probe was stopped, see ``standstill``.
    """

    arm: ArmRecord
    intended_s: npt.NDArray[np.float64]
    response_ms: npt.NDArray[np.float64]
    service_ms: npt.NDArray[np.float64]
    outcome: npt.NDArray[np.int8]
    raw: npt.NDArray[Any]
    warmup: npt.NDArray[Any]
    standstill_s: float = 0.0

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
        return self.service_ms >= float(self.arm.start["stall_ms"])

    @property
    def n_warmup_stalls(self) -> int:
        """Stalls of the warm-up."""
        return int((_elapsed_ms(self.warmup, "start_ns") >= float(self.arm.start["stall_ms"])).sum())


def read_stream(path: Path) -> tuple[npt.NDArray[Any], RunInvalid | None]:
    """Records of a raw file up to its last whole block, and what is wrong with it (None when it is whole)."""
    raw, _, problem = _read_stream(path)
    return raw, problem


def _read_stream(path: Path) -> tuple[npt.NDArray[Any], list[int], RunInvalid | None]:
    """As ``read_stream``; in the middle, when each heartbeat was sent."""
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


def _outcomes(arm: ArmRecord, raw: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    expected = np.asarray(arm.start["expected"], dtype=np.int64).reshape(-1, 2) > 0
    index, code, answers = raw["name"], raw["outcome"], raw["answers"]
    if len(expected) and arm.start.get("engine") == "wire":
        # A row is one question, and a name that is asked for both types is two places of the list.
        entries = expected if arm.start.get("arrangement") == "single" else np.repeat(expected, 2, axis=0)
        asks_aaaa = (raw["flags"] & records.FLAG_AAAA) != 0
        wants_a, wants_aaaa = entries[:, 0][index] & ~asks_aaaa, entries[:, 1][index] & asks_aaaa
    else:
        wants_a, wants_aaaa = expected[:, 0][index], (expected[:, 1] & bool(arm.start["asks_aaaa"]))[index]
    came = (code == 0) & (answers != 0)
    missing = (wants_a & (answers & 0xFFFF == 0)) | (wants_aaaa & (answers >> 16 == 0))
    outcome = np.where(came, np.where(missing, np.int8(PARTIAL), np.int8(ANSWERED)), np.int8(FAILED))
    none = np.flatnonzero(~came & ~(wants_a | wants_aaaa))
    outcome[none[np.isin(code[none], (0, *_NEGATIVE_CODES))]] = NEGATIVE
    return outcome


def decode(arm: ArmRecord) -> Lookups:
    """The measured lookups of one trial on one target; those of an interrupted trial up to its last whole block.

    Raises
    ------
    StreamTruncated, StreamForeign, StreamVersion
        The trial ended well, but its raw bytes are not whole any more, or not a probe's.
    """
    raw, beats_ns, problem = _read_stream(arm.stream)
    if problem and (arm.status == "complete" or isinstance(problem, StreamVersion)):
        raise problem
    standstill = standstill_s(beats_ns, raw)
    warmup, raw = _split(raw)
    intended_s, response_ms, service_ms = raw["intended_ns"] / 1e9, *(_elapsed_ms(raw, at) for at in _SINCE)
    try:
        outcome = _outcomes(arm, raw)
    except IndexError:
        raise StreamForeign(f"{arm.stream}: a lookup is of a name that the trial's start.json does not have") from None
    _check_times(arm, intended_s, response_ms, service_ms)
    return Lookups(arm, intended_s, response_ms, service_ms, outcome, raw, warmup, standstill)


def _check_times(arm: ArmRecord, intended_s: npt.NDArray[np.float64], *elapsed_ms: npt.NDArray[np.float64]) -> None:
    """StreamForeign where a time is longer than any trial: a chart of it would have as many places."""
    latest_s = max(
        intended_s.max(initial=0.0), *(max(one.max(initial=0.0), -one.min(initial=0.0)) / 1e3 for one in elapsed_ms)
    )
    if latest_s > LONGEST_S:
        raise StreamForeign(f"{arm.stream}: a time of {latest_s:,.0f} s in it is longer than any trial lasts")


_SINCE = ("intended_ns", "start_ns")


def _split(raw: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Records of the warm-up, and all others; where no slow one of the warm-up ended among these, without a copy."""
    in_warmup = (raw["flags"] & records.FLAG_WARMUP) != 0
    n_warmup = int(in_warmup.sum())
    if in_warmup[:n_warmup].all():
        return raw[:n_warmup], raw[n_warmup:]
    return raw[in_warmup], raw[~in_warmup]


def _elapsed_ms(raw: npt.NDArray[Any], since: str) -> npt.NDArray[np.float64]:
    """Until the end, from the instant in column ``since``; negative where that is later."""
    elapsed: npt.NDArray[np.float64] = (raw["end_ns"] - raw[since]).view(np.int64) / 1e6
    return elapsed


class Run:
    """A run folder, opened for reading. ``problems`` names trials that are not whole, with the reason."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.path = folder.path
        self.plan: Plan = folder.plan
        self._kept: dict[int, Lookups] = {}
        self._kept_bytes = 0

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the run was measured on."""
        return self.folder.environment

    @cached_property
    def targets(self) -> list[TargetInfo]:
        """The targets there were."""
        found = [TargetInfo(**target) for target in self.environment["targets"]]
        if self.plan.n_trials * len(found) > MAX_ARMS:
            raise RunInvalid(f"{self.path}: its plan has more than {MAX_ARMS:,} trials on its targets (docs/limits.md)")
        return found

    @property
    def images(self) -> list[str]:
        """What the containers ran that lookups were made in: image and digest; none where they were no containers."""
        places = (self.environment.get("backend") or {}).get("places") or []
        called = {place.get("target"): place.get("image") for place in places}
        found = set()
        for arm in self._arms:
            extra = arm.start.get("extra") or {}
            digest = extra.get("debug_image_id") or extra.get("image")
            name = extra.get("debug_image") or called.get(arm.target)
            if digest:
                found.add(f"{name} ({digest})" if name else str(digest))
        return sorted(found)

    @cached_property
    def _arms(self) -> list[ArmRecord]:
        return self.folder.last_arms()

    def arms(self) -> list[ArmRecord]:
        """One record for each trial on each target: its last attempt."""
        return self._arms

    @cached_property
    def problems(self) -> list[str]:
        """Trials that are missing or not whole, a line each."""
        done = {(arm.number, arm.target): arm for arm in self._arms}
        lines = []
        for trial in trials(self.plan, self.targets):
            for target in trial.targets:
                arm = done.get((trial.number, target))
                status = arm.status if arm else "missing"
                if status != "complete":
                    reason = (arm.end or {}).get("error") if arm else None
                    where = f"trial {trial.number} ({trial.variant}, round {trial.round}, {target})"
                    lines.append(f"{where}: {status}" + (f", {reason}" if reason else ""))
        return lines

    def trials(self) -> pd.DataFrame:
        """One row for each trial on each target: number, round, group, variant, load, target, libc, attempt, status."""
        rows = [
            {
                "trial": arm.number,
                **{key: arm.start[key] for key in ("round", "group", "variant", "load", "target", "libc")},
                "attempt": arm.attempt,
                "status": arm.status,
            }
            for arm in self._arms
        ]
        return pd.DataFrame(rows)

    def decoded(self) -> Iterator[Lookups]:
        """The lookups trial by trial: what statistics use, so that a long run need not fit into memory as a frame.

        Early trials are kept, up to half a GiB: a report reads a run several times.
        """
        return self.each(lambda lookups: lookups)

    def each(self, measure: Callable[[Lookups], T]) -> Iterator[T]:
        """``measure`` of the lookups of each trial, in order; two at a time, while the caller works on an earlier one.

        numpy lets go of the interpreter for most of what it does.
        """

        def work(place: int) -> tuple[Lookups, T]:
            lookups = self._kept.get(place) or decode(self._arms[place])
            return lookups, measure(lookups)

        with ThreadPoolExecutor(max_workers=N_AT_ONCE) as pool:
            coming: deque[Future[tuple[Lookups, T]]] = deque()
            for place in range(len(self._arms) + N_AT_ONCE):
                if place < len(self._arms):
                    coming.append(pool.submit(work, place))
                if place >= N_AT_ONCE:
                    lookups, measured = coming.popleft().result()
                    self._keep(place - N_AT_ONCE, lookups)
                    yield measured

    def _keep(self, place: int, lookups: Lookups) -> None:
        """Called in the order of trials, so that it is the early ones that are kept."""
        if place not in self._kept and self._kept_bytes + lookups.n_bytes <= KEPT_BYTES:
            self._kept_bytes += lookups.n_bytes
            self._kept[place] = lookups

    def lookups(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Every measured lookup, one row each, warm-up excluded.

        Returns
        -------
        DataFrame
            ``trial`` int32, ``round`` int16, ``load`` int8; ``variant``, ``target``, ``libc``, ``name`` category (the
            name as asked); ``worker`` uint32; ``intended_s`` float64, since the trial's start; ``response_ms``,
            ``service_ms`` float64 (end - intended start, end - actual start); ``outcome`` category (answered,
            partial, negative, failed); ``error`` category (``""``, ``EAI_AGAIN``, ``abandoned``, ...); ``stall``,
            ``slow``, ``over_limit``, ``half_lost``, ``workers_exhausted`` bool; ``n_a``, ``n_aaaa`` uint16. For
            engine wire a row is a query, and ``worker`` holds its port and id: low and high 16 bits.
        """
        frames = [frame[list(columns)] if columns else frame for frame in self.frames()]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns or ()))

    def frames(self) -> Iterator[pd.DataFrame]:
        """``lookups`` trial by trial, with the same columns and categories in each: a long run need not fit."""
        categories = self._categories()
        for lookups in self.decoded():
            yield self._frame(lookups, categories)

    def _categories(self) -> dict[str, pd.CategoricalDtype[str]]:
        """What stands in columns of text, in all trials."""
        found: dict[str, set[str]] = {name: set() for name in ("variant", "target", "libc", "name", "error")}
        for lookups in self.decoded():
            start = lookups.arm.start
            found["variant"].add(start["variant"])
            found["target"].add(lookups.arm.target)
            found["libc"].add(start["libc"])
            found["name"].update(start["names"])
            found["error"].update(map(_error, np.unique(lookups.raw["outcome"]).tolist()))
        return {column: pd.CategoricalDtype(pd.Index(sorted(texts), dtype="str")) for column, texts in found.items()}

    def _frame(self, lookups: Lookups, categories: Mapping[str, pd.CategoricalDtype[str]]) -> pd.DataFrame:
        arm, raw, n = lookups.arm, lookups.raw, len(lookups.raw)
        per_name = 2 if arm.start.get("arrangement", "single") != "single" else 1
        codes, inverse = np.unique(raw["outcome"], return_inverse=True)

        def text(column: str, texts: Sequence[str], places: npt.NDArray[Any]) -> pd.Categorical[Any]:
            dtype = categories[column]
            return pd.Categorical.from_codes(dtype.categories.get_indexer(pd.Index(texts))[places], dtype=dtype)

        same = np.zeros(n, np.intp)
        return pd.DataFrame(
            {
                "trial": np.full(n, arm.number, np.int32),
                "round": np.full(n, arm.start["round"], np.int16),
                "load": np.full(n, arm.start["load"], np.int8),
                "variant": text("variant", [arm.start["variant"]], same),
                "target": text("target", [arm.target], same),
                "libc": text("libc", [arm.start["libc"]], same),
                "name": text("name", arm.start["names"], raw["name"] // per_name),
                "worker": raw["worker"],
                "intended_s": lookups.intended_s,
                "response_ms": lookups.response_ms,
                "service_ms": lookups.service_ms,
                "outcome": pd.Categorical.from_codes(lookups.outcome, dtype=pd.CategoricalDtype(list(OUTCOMES))),
                "error": text("error", [_error(code) for code in codes.tolist()], inverse),
                "stall": lookups.stall,
                "slow": lookups.service_ms >= SLOW_MS,
                "over_limit": lookups.service_ms >= self.plan.limit_ms,
                "half_lost": lookups.half_lost,
                "workers_exhausted": lookups.exhausted,
                "n_a": (raw["answers"] & 0xFFFF).astype(np.uint16),
                "n_aaaa": (raw["answers"] >> 16).astype(np.uint16),
            }
        )

    def _repr_html_(self) -> str:
        plan, listed = self.plan, self.trials()
        facts = {
            "run": self.path.name,
            "fault injected": str(plan.fault),
            "variants": ", ".join(plan.variants),
            "load": "; ".join(load.label for load in plan.loads),
            "rounds": f"{plan.rounds}, {plan.order}",
            "trials": f"{int((listed['status'] == 'complete').sum()) if len(listed) else 0} complete of {len(listed)}",
        }
        rows = "".join(f"<tr><th scope='row'>{k}</th><td>{as_html(v)}</td></tr>" for k, v in facts.items())
        return as_output(f"<table class='facts'>{rows}</table>")


def open_run(path: Path | str = "latest", results: Path | str | None = None) -> Run:
    """Open a run for reading.

    Parameters
    ----------
    path
        The folder, or a bundle of it, or ``"latest"``: the newest folder in ``results``.
    results
        Default ``results`` in the current folder, or ``$DNSLAB_RESULTS``.

    Raises
    ------
    RunNotFound
    RunInvalid
        A bundle is damaged, or holds more than a run.
    """
    if str(path) == "latest":
        return Run(RunFolder(latest_run_path(Path(results or os.environ.get("DNSLAB_RESULTS", "results")))))
    return Run(open_bundle(Path(path)) if Path(path).is_file() else RunFolder(Path(path)))
