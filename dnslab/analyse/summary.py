"""From lookups to figures with intervals: one row for each variant, target and load.

The round is the replicate: lookups of one trial share its minute and its faults, so intervals are over rounds, and
effects are paired by round. Failed lookups stay in every denominator, slower than any answered one.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.analyse import intervals, power
from dnslab.analyse.dataset import FAILED, PARTIAL, SLOW_MS, Lookups, Run
from dnslab.analyse.intervals import Interval, Verdict, upper_bound_when_none
from dnslab.explain import tables
from dnslab.plan.model import Load, not_applicable, wanted
from dnslab.plan.resolvconf import parse, retry_step_s
from dnslab.store import stream as records

SUMMARY_VERSION = 1
LEVELS = (0.5, 0.99, 0.999)
TIMES = ("p50_ms", "p99_ms", "p999_ms")
#: counts whose share is compared
SHARES = ("stalls", "slow", "failed")
#: later than this with an idle worker is the generator's fault (a busy 2-CPU machine wakes a thread within 1-2 ms)
LATE_MS = 10.0
#: of fewer first lookups, or later ones, a median says too little
FIRST_LOOKUPS = 20
#: how near a multiple of the resolver's step a stall ends there, as a share of the step: 0.25 s of glibc's 5 s. Asked
#: again, lost packets ended up to 5 ms after one in the lab. Of stalls spread evenly 1 in 10 would end there.
STEP_TOLERANCE = 0.05


@dataclass(frozen=True)
class Quantiles:
    """Latency quantiles, one row per group and level.

    Takes lookups with ``outcome`` (category) and ``response_ms`` (float64, >= 0). Gives the group columns, ``level``
    in (0, 1), ``response_ms`` (``inf`` where the level falls among failed lookups) and ``n``, the lookups counted.
    """

    levels: tuple[float, ...] = (0.5, 0.95, 0.99)

    def __call__(self, lookups: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
        rows = []
        for key, group in lookups.groupby(list(by), observed=True):
            values = np.where(group["outcome"] == "failed", np.inf, group["response_ms"].to_numpy())
            for level, value in zip(self.levels, quantiles(values, self.levels), strict=True):
                rows.append({**dict(zip(by, key, strict=True)), "level": level, "response_ms": value, "n": len(group)})
        return pd.DataFrame(rows, columns=[*by, "level", "response_ms", "n"])


def quantiles(values: npt.NDArray[np.float64], levels: Sequence[float]) -> list[float]:
    """Order statistics of ``values`` (``inf`` for failed): the smallest value that ``level`` of all do not exceed."""
    if not len(values):
        return [math.nan for _ in levels]
    places = [min(len(values) - 1, max(0, math.ceil(level * len(values)) - 1)) for level in levels]
    ordered = np.partition(values, sorted(set(places)))
    return [float(ordered[place]) for place in places]


@dataclass
class _Cell:
    """What is gathered of one variant on one target under one load."""

    libc: str
    rounds: dict[int, dict[str, Any]] = field(default_factory=dict)
    responses: list[npt.NDArray[np.float64]] = field(default_factory=list)
    min_ms: float = math.inf
    max_ms: float = -math.inf
    sum_ms: float = 0.0
    totals: dict[str, float] = field(default_factory=dict)
    exposed: float | None = 0.0
    #: None where any trial's resolver has no step
    stalls_at: Counter[float] | None = field(default_factory=Counter)
    step_s: float | None = None
    stall_ms: float = 0.0
    deadline_ms: float = 0.0
    n_candidates: int = 1


_Key = tuple[str, str, int]


def _gather(run: Run) -> tuple[dict[_Key, _Cell], list[dict[str, Any]]]:
    cells: dict[_Key, _Cell] = {}
    arms = []
    for trial in run.each(functools.partial(_measure, run)):
        start = trial.start
        key = (start["variant"], trial.target, start["load"])
        cell = cells.setdefault(key, _Cell(start["libc"]))
        arms.append({"variant": key[0], "target": key[1], "load": key[2], "round": start["round"], **trial.counted})
        _add(cell, trial)
    return cells, arms


@dataclass(frozen=True)
class _Trial:
    """What is measured of one trial on one target.

    ``responses`` have ``inf`` for failed lookups, ``times`` are quantiles of them, censored at the deadline,
    ``service_ms`` is least, most and sum, ``stalls_at`` the multiples of ``step_s`` at which stalls ended.
    """

    target: str
    start: Mapping[str, Any]
    end: Mapping[str, Any]
    counted: Mapping[str, float]
    responses: npt.NDArray[np.float64]
    times: Mapping[str, float]
    service_ms: tuple[float, float, float]
    n_warmup_stalls: int
    step_s: float | None
    stalls_at: list[float]


def _measure(run: Run, lookups: Lookups) -> _Trial:
    """All that a trial's lookups are needed for."""
    arm, service = lookups.arm, lookups.service_ms
    counted = {
        **_count(lookups, run.plan.limit_ms),
        "workers_lost": _workers_lost(lookups, run.plan.loads[arm.start["load"]]),
    }
    responses = _failed_slowest(lookups)
    censored = np.minimum(responses, float(arm.start["deadline_s"]) * 1e3)
    step_s = _step_s(run, lookups)
    return _Trial(
        arm.target,
        arm.start,
        arm.end or {},
        counted,
        responses,
        dict(zip(TIMES, quantiles(censored, LEVELS), strict=True)),
        (float(service.min(initial=math.inf)), float(service.max(initial=-math.inf)), float(service.sum())),
        lookups.n_warmup_stalls,
        step_s,
        [] if step_s is None else _stalls_at(lookups, step_s),
    )


def _failed_slowest(lookups: Lookups) -> npt.NDArray[np.float64]:
    """Response times, ms, ``inf`` of failed lookups."""
    failed = lookups.outcome == FAILED
    return np.where(failed, np.inf, lookups.response_ms) if failed.any() else lookups.response_ms


def _count(lookups: Lookups, limit_ms: float) -> dict[str, float]:
    """Counts of one trial on one target, and what its validity rests on."""
    service, failed = lookups.service_ms, lookups.outcome == FAILED
    stall, flagged, exhausted = lookups.stall, lookups.half_lost, lookups.exhausted
    lateness_ms = lookups.response_ms - service
    start, end = lookups.arm.start["counters"], (lookups.arm.end or {}).get("counters") or {}
    trailer = (lookups.arm.end or {}).get("trailer") or {}
    ticks = _delta(start, end, "machine.cpu.total_ticks")
    dropped = sum(
        _delta(start, end, name) or 0 for name in start if name.endswith(".Udp.RcvbufErrors") and "client" not in name
    )
    started = ~(exhausted | (lookups.raw["outcome"] == -32765))
    elapsed_s = (float(lookups.intended_s.max() - lookups.intended_s.min()) if len(service) else 0.0) or math.nan
    return {
        "n": len(service),
        "failed": int(failed.sum()),
        "partial": int((lookups.outcome == PARTIAL).sum()),
        "stalls": int(stall.sum()),
        "flagged_stalls": int((stall & flagged).sum()),
        "flagged": int(flagged.sum()),
        "slow": int((service >= SLOW_MS).sum()),
        "over_limit": int((service >= limit_ms).sum()),
        "exhausted": int(exhausted.sum()),
        "late": int((started & (lateness_ms > LATE_MS)).sum()),
        "lookups_per_s": len(service) / elapsed_s,
        "idle_share": (_delta(start, end, "machine.cpu.idle_ticks") or 0) / ticks if ticks else math.nan,
        "rcvbuf_errors": dropped,
        "time_wait": end.get("client.TCP.tw", 0),
        "blocked_ns": trailer.get("blocked_ns", 0),
        "abandoned": trailer.get("n_abandoned", 0),
        "clock_error_ms": ((lookups.arm.end or {}).get("clock") or {}).get("error_ns", 0) / 1e6,
        **_settling(lookups),
        **_warmth(lookups),
        "standstill_s": lookups.standstill_s,
        "complete": int(lookups.arm.status == "complete"),
    }


def _workers_lost(lookups: Lookups, load: Load) -> int:
    """Workers given up with their lookups before the load was over, and not replaced: it went on with fewer."""
    end_ns = np.concatenate(
        [one["end_ns"][one["outcome"] == records.OUTCOME_ABANDONED] for one in (lookups.warmup, lookups.raw)]
    )
    if lookups.arm.status == "stopped":  # the load was over when it was stopped
        return 0
    to_replace = int((end_ns < (load.warmup_s + load.duration_s) * 1e9).sum())
    replaced = ((lookups.arm.end or {}).get("trailer") or {}).get("n_replaced", to_replace)
    return max(0, to_replace - int(replaced))


def _settling(lookups: Lookups) -> dict[str, float]:
    """Median response time in the first fifth of a trial, and in its second half."""
    when = lookups.intended_s
    if not len(when):
        return {"early_ms": math.nan, "late_ms": math.nan}
    first_s, span_s = float(when.min()), float(when.max() - when.min())
    early, late = when <= first_s + span_s / 5, when >= first_s + span_s / 2  # both, of a single lookup
    return {
        name: float(np.median(lookups.response_ms[chosen])) for name, chosen in (("early_ms", early), ("late_ms", late))
    }


def _warmth(lookups: Lookups) -> dict[str, float]:
    """Share of lookups that were a name's first after the warm-up; median service time of these, and of all others."""
    raw, service = lookups.raw, lookups.service_ms
    first = np.zeros(len(raw), np.bool_)
    if len(lookups.arm.start["names"]) >= FIRST_LOOKUPS:
        order = np.argsort(raw["start_ns"], kind="stable")
        first[order[np.unique(raw["name"][order], return_index=True)[1]]] = True
    if min(first.sum(), (~first).sum()) < FIRST_LOOKUPS:
        return dict.fromkeys(("first_share", "first_ms", "again_ms"), math.nan)
    return {
        "first_share": float(first.mean()),
        "first_ms": float(np.median(service[first])),
        "again_ms": float(np.median(service[~first])),
    }


def _delta(start: Mapping[str, int], end: Mapping[str, int], name: str) -> int | None:
    return end[name] - start[name] if name in start and name in end else None


_SUMMED = (
    "n",
    "failed",
    "partial",
    "stalls",
    "flagged_stalls",
    "slow",
    "over_limit",
    "exhausted",
    "late",
    "rcvbuf_errors",
)


def _add(cell: _Cell, trial: _Trial) -> None:
    start, counted = trial.start, trial.counted
    for name in _SUMMED:
        cell.totals[name] = cell.totals.get(name, 0) + counted[name]
    counted_exposed = trial.end.get("exposed_counted")
    cell.exposed = None if counted_exposed is None or cell.exposed is None else cell.exposed + counted_exposed
    cell.n_candidates = int(start.get("n_candidates", 1))
    cell.stall_ms, cell.deadline_ms = float(start["stall_ms"]), max(cell.deadline_ms, float(start["deadline_s"]) * 1e3)
    cell.responses.append(trial.responses)
    least, most, total = trial.service_ms
    cell.min_ms, cell.max_ms, cell.sum_ms = min(cell.min_ms, least), max(cell.max_ms, most), cell.sum_ms + total
    cell.step_s = trial.step_s
    if trial.step_s is None:
        cell.stalls_at = None
    elif cell.stalls_at is not None:
        cell.stalls_at.update(trial.stalls_at)
    if counted["n"] and counted["complete"]:
        kept: dict[str, Any] = {name: counted[name] for name in ("n", *SHARES, "lookups_per_s")}
        kept |= {"exposed": counted_exposed, "exposed_stalls": counted["stalls"] + trial.n_warmup_stalls}
        cell.rounds[int(start["round"])] = {**kept, **trial.times}


def _step_s(run: Run, lookups: Lookups) -> float | None:
    """At whose multiples the resolver of this trial asks again; engine wire asks once."""
    start = lookups.arm.start
    if start["engine"] == "wire":
        return None
    options = run.plan.variant(start["variant"]).applied_to(parse(start["resolv_conf"]))
    return retry_step_s(options, "glibc" if start["libc"] == "glibc" else "musl")


def _stalls_at(lookups: Lookups, step_s: float) -> list[float]:
    """At which multiples of the step stalls ended; those that the probe gave up ended at no step of the resolver."""
    ended = lookups.stall & (lookups.raw["outcome"] != records.OUTCOME_ABANDONED)
    steps = lookups.service_ms[ended] / 1e3 / step_s
    nearest = np.rint(steps)
    at: list[float] = np.round(nearest[np.abs(steps - nearest) <= STEP_TOLERANCE] * step_s, 3).tolist()
    return at


@dataclass(frozen=True)
class Summary:
    """Figures of a run. ``rows`` are documented in docs/summary.md; ``arms`` has an entry for each trial and target."""

    run: str
    fault: str
    backend: str
    closed_loops: frozenset[int]
    loads: tuple[Load, ...]
    rows: tuple[Mapping[str, Any], ...]
    arms: tuple[Mapping[str, Any], ...]
    n_rounds: int
    limit_ms: float

    @property
    def load_labels(self) -> tuple[str, ...]:
        """Each load in a few words."""
        return tuple(load.label for load in self.loads)

    def row(self, variant: str, target: str | None = None, load: int = 0) -> Mapping[str, Any] | None:
        """The row of a variant that was measured, on ``target`` (default: the first that has it); None without one."""
        for row in self.rows:
            wanted = row["variant"] == variant and row["load"] == load and target in (None, row["target"])
            if wanted and row["not_applicable"] is None:
                return row
        return None

    @property
    def spread(self) -> float:
        """How much more than independent lookups rounds differ: the most of any baseline, 1 at least."""
        found = [row["spread"] for row in self.rows if row["not_applicable"] is None and row["variant"] == "baseline"]
        return max(found, default=1.0)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a frame; a nested effect becomes columns ``effect_<name>``, ``..._low``, ``..._high``."""
        flat = []
        for row in self.rows:
            plain = {key: value for key, value in row.items() if key not in _NESTED}
            for group, prefix in (("intervals", ""), ("effects", "effect_")):
                for name, interval in (row[group] or {}).items():
                    plain |= {f"{prefix}{name}_low": interval.low, f"{prefix}{name}_high": interval.high}
                    if prefix:
                        plain[f"{prefix}{name}"] = interval.estimate
            plain |= {f"stalls_at_{step}_s": n for step, n in (row.get("stalls_at") or {}).items()}
            plain |= {f"verdict_{name}": verdict.word for name, verdict in (row["verdicts"] or {}).items()}
            flat.append(plain)
        return pd.DataFrame(flat)

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON, described in docs/summary.md; what is not finite is None, or ``"failed"``."""
        rows = [_jsonable(row) for row in self.rows]
        head = {"version": SUMMARY_VERSION, "run": self.run, "backend": self.backend, "fault": self.fault}
        return {**head, "rounds": self.n_rounds, "limit_ms": self.limit_ms, "rows": rows}

    @property
    def figures(self) -> tables.Table:
        """The rows for people."""
        return tables.figures(self.rows, self.load_labels, self.limit_ms)

    @property
    def effects(self) -> tables.Table:
        """For people: what each configuration changes against baseline, paired by round."""
        return tables.effects(self.rows, self.load_labels)

    def by_target(self, load: int = 0) -> pd.DataFrame:
        """Shares of one load target by target, the target with the highest share first.

        Returns
        -------
        DataFrame
            ``target``, ``variant`` (on every target in the plan's order), ``stalls_share`` with its bounds ``low`` and
            ``high`` (over rounds, NaN with too few; without a stall 0 and the exact bound), ``failed_share``.
        """
        measured = [row for row in self.rows if row["load"] == load and row["not_applicable"] is None]
        frame = pd.DataFrame([bounded(row) for row in measured], columns=_BY_TARGET)
        worst = frame[["stalls_share", "failed_share"]].max(axis=1).groupby(frame["target"]).max()
        return frame.sort_values("target", key=lambda names: -names.map(worst), kind="stable", ignore_index=True)

    def _repr_html_(self) -> str:
        return self.figures._repr_html_()


_NESTED = ("by_round", "effects", "intervals", "stalls_at", "verdicts")
_BY_TARGET = ["target", "variant", "stalls_share", "low", "high", "failed_share"]


def bounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's shares, with the bounds ``low`` and ``high`` of ``stalls_share``: see ``Summary.by_target``."""
    interval = row["intervals"]["stalls_share"]
    none = row["stalls_upper"] is not None
    low, high = (0.0, row["stalls_upper"]) if none else (interval.low, interval.high)
    return {**{name: row[name] for name in _BY_TARGET if name in row}, "low": low, "high": high}


def _jsonable(value: Any) -> Any:
    if isinstance(value, (Interval, Verdict)):
        return {key: _jsonable(item) for key, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "failed" if value > 0 else None
    return value


def summarise(run: Run) -> Summary:
    """All figures of ``run``, in one pass over its raw bytes."""
    cells, arms = _gather(run)
    closed = frozenset(i for i, load in enumerate(run.plan.loads) if load.loop == "closed")
    left_out, is_wanted = not_applicable(run.plan, run.targets), wanted(run.plan)
    rows: list[dict[str, Any]] = []
    for load in range(len(run.plan.loads)):
        for target in run.targets:
            baseline = cells.get(("baseline", target.name, load))
            for variant in run.plan.variants:
                key = (variant, target.name, load)
                cell = cells.get(key)
                if cell is not None:
                    # A closed loop has no effects: once workers hang together, it counts workers, not faults.
                    compared = load not in closed and variant != "baseline"
                    effects = _effects(cell, baseline) if compared and baseline else None
                    rows.append(_row(key, cells, effects, run))
                elif (variant, target.name) in left_out and is_wanted(target.name, variant):
                    rows.append(_empty_row(key, target.libc, left_out[variant, target.name]))
    judge(rows)
    return Summary(
        run.path.name,
        str(run.plan.fault),
        run.plan.backend,
        closed,
        run.plan.loads,
        tuple(rows),
        tuple(arms),
        run.plan.rounds,
        run.plan.limit_ms,
    )


def judge(rows: Sequence[dict[str, Any]]) -> None:
    """Give ``rows`` with ``effects`` their ``verdicts``: all of one measure under one load are a family.

    Rows without a ``load`` are of one; an effect that is None has no verdict.
    """
    for load in {row.get("load") for row in rows}:
        compared = [row for row in rows if row.get("load") == load and row["effects"]]
        for row in compared:
            row["verdicts"] = {}
        for name in compared[0]["effects"] if compared else ():
            family = [row for row in compared if row["effects"][name] is not None]
            found = intervals.verdicts([row["effects"][name] for row in family])
            for row, verdict in zip(family, found, strict=True):
                row["verdicts"][name] = verdict


def _row(key: _Key, cells: Mapping[_Key, _Cell], effects: Mapping[str, Interval] | None, run: Run) -> dict[str, Any]:
    cell = cells[key]
    total = cell.totals
    n = int(total["n"])
    p50, p99, p999 = quantiles(np.concatenate(cell.responses), LEVELS)
    rounds = [{"round": number, **cell.rounds[number]} for number in sorted(cell.rounds)]
    modelled = _exposed_modelled(run, key, cells, n) if cell.exposed is None else None
    if cell.exposed is None:
        for one in rounds:  # the model is of lookups without the warm-up
            one |= {"exposed": None if modelled is None else modelled * one["n"] / n, "exposed_stalls": one["stalls"]}
    exposed_share = _exposed_share(rounds)
    return {
        "variant": key[0],
        "target": key[1],
        "load": key[2],
        "libc": cell.libc,
        "not_applicable": None,
        "rounds": len(rounds),
        "n": n,
        **{name: int(total[name]) for name in _SUMMED if name != "n"},
        **{f"{name}_share": total[name] / n if n else math.nan for name in ("stalls", "slow", "failed", "partial")},
        "min_ms": cell.min_ms if n else math.nan,
        "avg_ms": cell.sum_ms / n if n else math.nan,
        "max_ms": cell.max_ms if n else math.nan,
        "p50_ms": p50,
        "p99_ms": p99,
        "p999_ms": p999,
        **_at_steps(cell),
        "stall_ms": cell.stall_ms,
        "deadline_ms": cell.deadline_ms,
        "exposed_counted": None if cell.exposed is None else int(cell.exposed),
        "exposed_modelled": modelled,
        "exposed_share": exposed_share.estimate if math.isfinite(exposed_share.estimate) else None,
        "flagged_share": _flagged_share(cell),
        "stalls_upper": upper_bound_when_none(n) if n and not total["stalls"] else None,
        "stalls_upper_rounds": upper_bound_when_none(len(rounds)) if rounds and not total["stalls"] else None,
        "spread": power.spread_of(*_columns(rounds, "stalls", "n")),
        "lookups_per_s": float(np.mean([r["lookups_per_s"] for r in rounds])) if rounds else math.nan,
        "intervals": {
            **{f"{name}_share": intervals.share(*_columns(rounds, name, "n")) for name in SHARES},
            "exposed_share": exposed_share,
            "lookups_per_s": intervals.mean([one["lookups_per_s"] for one in rounds], floor=0.0),
        },
        "effects": effects,
        "verdicts": None,
        "by_round": rounds,
    }


def _at_steps(cell: _Cell) -> dict[str, Any]:
    if cell.stalls_at is None:
        return dict.fromkeys(("stall_step_s", "stalls_at", "stalls_elsewhere"))
    return {
        "stall_step_s": cell.step_s,
        "stalls_at": {f"{step:g}": cell.stalls_at[step] for step in sorted(cell.stalls_at)},
        "stalls_elsewhere": int(cell.totals["stalls"]) - cell.stalls_at.total(),
    }


def _exposed_share(rounds: Sequence[Mapping[str, Any]]) -> Interval:
    """Stalls as a share of what was exposed; none where nothing was, and where more stalled than were exposed."""
    stalls, exposed = _columns(rounds, "exposed_stalls", "exposed")
    if None in exposed or sum(stalls) > sum(exposed):
        return Interval(math.nan, math.nan, math.nan)
    return intervals.share(stalls, exposed)


def _flagged_share(cell: _Cell) -> float | None:
    """None without a stall, and where the C library does not tell: only glibc does."""
    if cell.libc != "glibc" or not cell.totals["stalls"]:
        return None
    return cell.totals["flagged_stalls"] / cell.totals["stalls"]


def _empty_row(key: _Key, libc: str, reason: str) -> dict[str, Any]:
    names = {"variant": key[0], "target": key[1], "load": key[2], "libc": libc, "not_applicable": reason}
    return {**names, "intervals": None, "effects": None, "verdicts": None}


def _effects(cell: _Cell, baseline: _Cell) -> dict[str, Interval]:
    """Differences from baseline, paired by round; quantiles are of latency censored at the common deadline."""
    common = sorted(cell.rounds.keys() & baseline.rounds.keys())
    ours, theirs = [[one.rounds[number] for number in common] for one in (cell, baseline)]
    effects = {}
    for name in SHARES:
        columns = (*_columns(ours, name, "n"), *_columns(theirs, name, "n"))
        effects[f"{name}_share"] = intervals.difference(*columns)
    deadline_ms = min(cell.deadline_ms, baseline.deadline_ms)
    for name in TIMES:
        pairs = zip(*_columns(ours, name), *_columns(theirs, name), strict=True)
        effects[name] = intervals.mean([min(one, deadline_ms) - min(other, deadline_ms) for one, other in pairs])
    return effects


def _columns(rounds: Sequence[Mapping[str, Any]], *names: str) -> list[list[float]]:
    return [[one[name] for one in rounds] for name in names]


def _exposed_modelled(run: Run, key: _Key, cells: Mapping[_Key, _Cell], n: int) -> float | None:
    """Lookups whose first socket opens a new flow, once entries have had their life: n exp(-r T / P).

    Source ports are random, so a socket meets no live entry with that probability; r counts sockets/s from one
    address, T is an entry's life, P the number of ports. 0 where no pair is ever in flight, None for a closed loop,
    whose rate is a result.
    """
    backend = run.environment.get("backend", {})
    life_s, ports = backend.get("udp_timeout_s"), backend.get("n_ports")
    if not run.plan.variant(key[0]).sends_pairs:
        return 0.0
    if run.plan.loads[key[2]].rate_per_s is None or not life_s or not ports:
        return None
    return n * math.exp(-_sockets_per_s(run, key, cells) * life_s / ports)


def _sockets_per_s(run: Run, key: _Key, cells: Mapping[_Key, _Cell]) -> float:
    """UDP sockets a second from the address that ``key`` has: its own, or those of all that share it.

    Where clients are not fresh, all variants and loads of a target leave from one address: side by side they add up,
    in turn the busiest may have come just before.
    """
    if run.environment.get("backend", {}).get("fresh_clients", True):
        return _own_sockets_per_s(run, key, cells[key])
    shared: dict[int, list[float]] = {}
    for one, cell in cells.items():
        if one[1] == key[1]:
            shared.setdefault(one[2], []).append(_own_sockets_per_s(run, one, cell))
    together = sum if run.plan.order == "side-by-side" else max
    return max(together(rates) for rates in shared.values())


def _own_sockets_per_s(run: Run, key: _Key, cell: _Cell) -> float:
    """One a search candidate, two where A and AAAA have one each; TCP and another nameserver are other flows."""
    variant, rate = run.plan.variant(key[0]), run.plan.loads[key[2]].rate_per_s
    if rate is None or "use-vc" in variant.options or variant.node_local:
        return 0.0
    return rate * cell.n_candidates * (2 if "single-request-reopen" in variant.options else 1)


#: levels that a table of a sketch can name
NAMED_LEVELS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
SKETCH_LEVELS = np.unique(
    np.concatenate(
        [np.linspace(0.0, 0.99, 500, endpoint=False), 1 - np.logspace(-2, -6, 300), [*NAMED_LEVELS.values()]]
    )
)


def sketches(run: Run) -> pd.DataFrame:
    """Quantile sketches for drawing: ``variant``, ``target``, ``load``, ``level``, ``response_ms``.

    500 points up to p99 and 300, log-spaced, up to p99.9999, with ``NAMED_LEVELS`` among them, failed lookups slowest;
    levels among them are left out, so a curve ends at the answered share.
    """
    pooled: dict[_Key, list[npt.NDArray[np.float64]]] = {}
    for lookups in run.decoded():
        key = (lookups.arm.start["variant"], lookups.arm.target, lookups.arm.start["load"])
        pooled.setdefault(key, []).append(_failed_slowest(lookups))
    frames = []
    for (variant, target, load), parts in pooled.items():
        values = np.sort(np.concatenate(parts))
        if not len(values):
            continue
        places = np.clip(np.ceil(SKETCH_LEVELS * len(values)).astype(int) - 1, 0, len(values) - 1)
        frame = pd.DataFrame({"level": SKETCH_LEVELS, "response_ms": values[places]})
        top = pd.DataFrame({"level": [1.0], "response_ms": [values[-1]]})
        frame = pd.concat([frame, top], ignore_index=True)
        answered = float(np.isfinite(values).mean())
        frame = frame[np.isfinite(frame["response_ms"])]
        frames.append(frame.assign(variant=variant, target=target, load=load, answered_share=answered))
    columns = ["variant", "target", "load", "level", "response_ms", "answered_share"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def stalls_per_second(run: Run) -> pd.DataFrame:
    """Stalls by the second their lookup was due, summed over rounds: ``variant``, ``target``, ``load``, ``second``,
    ``n``, ``stalls``."""
    frames = []
    for lookups in run.decoded():
        start = lookups.arm.start
        seconds = lookups.intended_s.astype(np.int64)
        size = int(seconds.max()) + 1 if len(seconds) else 0
        counts = np.bincount(seconds, minlength=size)
        stalls = np.bincount(seconds, weights=lookups.stall, minlength=size).astype(np.int64)
        frame = pd.DataFrame({"second": np.arange(size), "n": counts, "stalls": stalls})
        frames.append(frame.assign(variant=start["variant"], target=lookups.arm.target, load=start["load"]))
    columns = ["variant", "target", "load", "second", "n", "stalls"]
    if not frames:
        return pd.DataFrame(columns=columns)
    joined = pd.concat(frames, ignore_index=True)
    return joined.groupby(["variant", "target", "load", "second"], as_index=False, observed=True).sum()[columns]
