"""What was observed of one target: for each configuration, the numbers from which signs of causes are read.

Counts and quantiles only, so that they can be kept as a small JSON and read again. Judges nothing, and opens no ground
truth: not even the name of an injected fault is part of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dnslab.analyse.counts import STEP_TOLERANCE, step_of
from dnslab.analyse.dataset import Run
from dnslab.analyse.exposure import options_of
from dnslab.analyse.lookups import FAILED, PARTIAL, SLOW_MS, Lookups
from dnslab.analyse.summary import Row, Summary
from dnslab.analyse.witnesses import full_names, witness_frame
from dnslab.errors import UnknownVariant
from dnslab.sentences import signs as sentences
from dnslab.store import stream as records
from dnslab.store.contents import ClientStart

#: later than a healthy answer inside a cluster, and than the scheduler of a machine that is not busy
HELD_MS = 20.0
#: TCP sends again after 200 ms or more; a lookup over TCP that takes this long waited for it
LATE_MS = 150.0
#: later than its time by this: the client was not run
SENT_LATE_MS = 10.0
#: a connection's first packet is sent again after these times, s (RFC 6298: 1 s at first, then twice as long)
SYN_AGAIN_S = (1, 3, 7)
#: numbers of the client's network namespace
_SHARED = tuple(f"client.{name}" for name in ("Udp", "Tcp", "udp"))
#: names that are kept one by one
MOST_NAMES = 400


@dataclass(frozen=True, kw_only=True)
class Spans:
    """When lookups were bad, summed over trials: in each trial the span from its first bad lookup to its last. Bad are
    stalls and failures; with use-vc, lookups whose connection had to be tried again, too.

    ``n_inside`` are the lookups of these spans, ``bad_inside`` the bad ones among them; ``start_s`` and ``end_s`` are
    medians of the trials with a bad lookup, since the trial's first lookup; ``length_s`` is that of a trial.
    ``after_bad`` counts lookups right after a bad one, ``bad_after_bad`` the bad ones among them.
    """

    trials: int = 0
    trials_bad: int = 0
    n_inside: int = 0
    bad_inside: int = 0
    start_s: float = math.nan
    end_s: float = math.nan
    length_s: float = math.nan
    after_bad: int = 0
    bad_after_bad: int = 0


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """One configuration on the target, summed over its trials; None where it is not known.

    ``flagged`` are stalls with glibc's half-lost flag, ``at_step`` those that ended when the resolver asks again,
    ``again`` stalls that failed, or whose second try was lost, too. ``failed_early`` failed before a stall's time, and
    ``hung`` until the deadline. ``only_a`` and ``only_aaaa`` got addresses of one family, in less than a stall's time.
    ``held``, ``late`` and ``slow`` took ``HELD_MS``, ``LATE_MS``, 1 s or more and less than a stall. ``p05_ms`` and
    ``p50_ms`` are of lookups that were no stall, ``held_p10_ms``, ``held_p90_ms`` and ``most_held_ms`` of those held.
    ``names`` are lookups and bad ones of each name; bad is a stall, a failure or 1 s and more.
    """

    variant: str
    n: int
    stalls: int = 0
    failed: int = 0
    flagged: int | None = None
    at_step: int | None = None
    again: int | None = None
    failed_early: int | None = None
    hung: int | None = None
    only_a: int | None = None
    only_aaaa: int | None = None
    held: int | None = None
    late: int | None = None
    slow: int | None = None
    sent_late: int | None = None
    p05_ms: float | None = None
    p50_ms: float | None = None
    held_p10_ms: float | None = None
    held_p90_ms: float | None = None
    most_held_ms: float | None = None
    names: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    bad: Spans | None = None
    held_when: Spans | None = None
    #: how far each witness rose in its trials, by ``PLACE.WITNESS``, with ``@ADDRESS`` for a socket
    rises: Mapping[str, float] = field(default_factory=dict)
    #: addresses of the nameservers that it asks
    asks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Observed:
    """All configurations of one target under the first load.

    ``subject`` is the configuration whose trouble is asked about. ``unread`` says of witnesses why they were not
    read. ``targets`` are lookups, and bad ones among them, of baseline on each target of the run.
    """

    target: str = ""
    libc: str = "glibc"
    kernel: str = ""
    subject: str = "baseline"
    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    targets: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> Numbers | None:
        """Those of the configuration that is asked about; None where it was not measured."""
        return self.numbers.get(self.subject)

    def about(self, variant: str) -> Observed:
        """The same of ``variant`` alone, as if the workload had it."""
        return replace(self, subject=variant, numbers={variant: self.numbers[variant]}, targets={})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``from_dict`` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Observed:
        """The same from plain data."""
        numbers = {}
        for variant, values in data["numbers"].items():
            spans = {name: Spans(**values[name]) for name in ("bad", "held_when") if values.get(name)}
            numbers[variant] = Numbers(**{**values, **spans, "asks": tuple(values.get("asks", ()))})
        return cls(**{**data, "numbers": numbers})


def observed_in_summary(summary: Summary, baseline: Row) -> Observed:
    """What a summary alone holds of the target of ``baseline``, the row that is asked about; all else is not known."""
    rows = [row for row in summary.measured(load=0) if row.target == baseline.target and row.n]
    return Observed(
        target=baseline.target,
        libc=baseline.libc,
        subject=baseline.variant,
        numbers={row.variant: _of_row(row) for row in rows},
        targets={
            row.target: (row.n, min(row.n, row.stalls + row.failed))
            for row in summary.measured(load=0)
            if row.variant == "baseline" and row.n
        },
    )


def _of_row(row: Row) -> Numbers:
    return Numbers(
        variant=row.variant,
        n=row.n,
        stalls=row.stalls,
        failed=row.failed,
        flagged=row.flagged_stalls if row.libc == "glibc" else None,
        at_step=sum(row.stalls_at.values()) if row.stalls_at is not None else None,
        failed_early=row.failed if not row.stalls else None,
        slow=max(0, row.slow - row.stalls),
        rises={"servers.Udp.RcvbufErrors": float(row.rcvbuf_errors)},
    )


def observe(run: Run, summary: Summary, baseline: Row) -> Observed:
    """All that ``run``, whose summary this is, holds of the target of ``baseline`` under the first load."""
    here = [client for client in run.clients() if client.target == baseline.target and client.start.load == 0]
    names = {client.name for client in here}
    part = run.without([client.name for client in run.clients() if client.name not in names])
    parts: dict[str, list[_Part]] = {}
    for one in part.once("observed", lambda lookups: _part(lookups, step_of(run, lookups))):
        parts.setdefault(one.variant, []).append(one)
    rises, unread = _witnesses(part)
    plain = observed_in_summary(summary, baseline)
    asked = {client.start.variant: _asks(part, client.start) for client in here}
    kernels = [client.start.kernel for client in here if client.start.kernel]
    return replace(
        plain,
        kernel=kernels[0] if kernels else "",
        numbers={
            variant: replace(_numbers(variant, of_variant, rises.get(variant, {})), asks=asked[variant])
            for variant, of_variant in parts.items()
            if sum(one.n for one in of_variant)
        },
        unread=unread,
    )


def _asks(run: Run, start: ClientStart) -> tuple[str, ...]:
    """Addresses that a client asks; none where its plan does not know its configuration."""
    try:
        return tuple(options_of(run, start).nameservers)
    except UnknownVariant:
        return ()


@dataclass(frozen=True)
class _Part:
    """What is kept of one trial."""

    variant: str
    n: int
    counts: Mapping[str, int]
    not_stalled_ms: npt.NDArray[np.float64]
    flagged: bool
    names: Mapping[str, tuple[int, int]]
    bad: Spans
    held: Spans


def _part(lookups: Lookups, step_s: float | None) -> _Part:
    start, service, outcome = lookups.client.start, lookups.service_ms, lookups.outcome
    stall, failed, code = lookups.stall, outcome == FAILED, lookups.raw["outcome"]
    hung = np.isin(code, (records.OUTCOME_ABANDONED, records.OUTCOME_NO_ANSWER))
    partial = (outcome == PARTIAL) & ~stall
    no_a = (lookups.raw["answers"] & 0xFFFF) == 0
    quick = ~stall & ~hung
    bad = stall | failed | (service >= SLOW_MS)
    counts = {
        "stalls": stall,
        "failed": failed,
        "flagged": stall & lookups.half_lost,
        "failed_early": failed & quick,
        "hung": hung,
        "only_a": partial & ~no_a,
        "only_aaaa": partial & no_a,
        "held": quick & (service >= HELD_MS),
        "late": quick & (service >= LATE_MS),
        "slow": quick & (service >= SLOW_MS),
        "sent_late": lookups.response_ms - service >= SENT_LATE_MS,
    }
    if step_s is not None:
        steps = service / 1e3 / step_s
        counts["at_step"] = stall & ~hung & (np.abs(steps - np.rint(steps)) <= STEP_TOLERANCE)
        counts["again"] = stall & (failed | (steps >= 2 - STEP_TOLERANCE))
    gone = stall | failed | (_resent(service) if start.variant == "use-vc" else False)
    order = np.argsort(lookups.intended_s, kind="stable")
    due_s = lookups.intended_s[order]
    return _Part(
        start.variant,
        len(service),
        {name: int(mask.sum()) for name, mask in counts.items()},
        service[quick],
        start.libc == "glibc",
        _by_name(lookups, bad),
        _spans(due_s, gone[order]),
        _spans(due_s, (service >= HELD_MS)[order]),
    )


def _resent(service_ms: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Lookups over TCP that ended right after a connection's first packet is sent again. A server that is paused makes
    lookups late by any time."""
    resent = np.zeros(len(service_ms), dtype=bool)
    for at_s in SYN_AGAIN_S:
        resent |= np.abs(service_ms / 1e3 - at_s) <= STEP_TOLERANCE * at_s
    return resent


def _by_name(lookups: Lookups, bad: npt.NDArray[np.bool_]) -> dict[str, tuple[int, int]]:
    start = lookups.client.start
    index = lookups.raw["name"] // start.entries_per_name
    n, n_bad = (np.bincount(index[mask], minlength=len(start.names)) for mask in (slice(None), bad))
    worst = np.argsort(-n_bad, kind="stable")[:MOST_NAMES]
    return {start.names[i]: (int(n[i]), int(n_bad[i])) for i in worst if n[i]}


def _spans(due_s: npt.NDArray[np.float64], bad: npt.NDArray[np.bool_]) -> Spans:
    """``due_s`` in order of time."""
    if not len(due_s):
        return Spans()
    length_s = float(due_s[-1] - due_s[0])
    at = np.flatnonzero(bad)
    if not len(at):
        return Spans(trials=1, length_s=length_s)
    first, last = int(at[0]), int(at[-1])
    return Spans(
        trials=1,
        trials_bad=1,
        n_inside=last - first + 1,
        bad_inside=len(at),
        start_s=float(due_s[first] - due_s[0]),
        end_s=float(due_s[last] - due_s[0]),
        length_s=length_s,
        after_bad=int(bad[:-1].sum()),
        bad_after_bad=int((bad[:-1] & bad[1:]).sum()),
    )


def _numbers(variant: str, parts: Sequence[_Part], rises: Mapping[str, float]) -> Numbers:
    counts: Counter[str] = Counter()
    names: dict[str, tuple[int, int]] = {}
    for part in parts:
        counts.update(part.counts)
        for name, (n, bad) in part.names.items():
            before = names.get(name, (0, 0))
            names[name] = (before[0] + n, before[1] + bad)
    known = {name for part in parts for name in part.counts}
    quick_ms = np.concatenate([part.not_stalled_ms for part in parts])
    p05, p50 = np.quantile(quick_ms, (0.05, 0.5)).tolist() if len(quick_ms) else [None] * 2
    held_ms = quick_ms[quick_ms >= HELD_MS]
    held = np.quantile(held_ms, (0.1, 0.9, 1.0)).tolist() if len(held_ms) else [None] * 3
    values: dict[str, Any] = {name: counts[name] for name in known}
    if not all(part.flagged for part in parts):
        values["flagged"] = None
    return Numbers(
        variant=variant,
        n=sum(part.n for part in parts),
        **values,
        p05_ms=p05,
        p50_ms=p50,
        held_p10_ms=held[0],
        held_p90_ms=held[1],
        most_held_ms=held[2],
        names=names,
        bad=_joined(part.bad for part in parts),
        held_when=_joined(part.held for part in parts),
        rises=rises,
    )


def _joined(parts: Iterable[Spans]) -> Spans:
    """Counts are summed, times are medians."""
    spans = list(parts)
    sums: dict[str, Any] = {
        name: sum(getattr(one, name) for one in spans)
        for name in ("trials", "trials_bad", "n_inside", "bad_inside", "after_bad", "bad_after_bad")
    }
    medians: dict[str, Any] = {}
    for name in ("start_s", "end_s", "length_s"):
        known = [value for one in spans if math.isfinite(value := getattr(one, name))]
        medians[name] = float(np.median(known)) if known else math.nan
    return Spans(**sums, **medians)


def _witnesses(run: Run) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """By variant, how far each witness rose; and why others were not read."""
    frame = witness_frame(run)
    rises: dict[str, dict[str, float]] = {}
    unread: dict[str, str] = {}
    columns = (frame[name] for name in ("variant", "change", "after", "unit", "state", "reason"))
    for key, variant, change, after, unit, state, reason in zip(full_names(frame), *columns, strict=True):
        if state == "missing":
            unread.setdefault(key, reason)
        elif state == "counted":
            of_variant = rises.setdefault(variant, {})
            if unit == "share of max":
                of_variant[key] = max(of_variant.get(key, 0.0), after)
            else:
                of_variant[key] = of_variant.get(key, 0.0) + change
        else:
            unread[key] = state
    backend = run.environment.backend
    if (backend.name == "local" or not backend.fresh_clients) and run.plan.order != "in-turn":
        # Clients in one network namespace: what one of them does is counted for all.
        for of_variant in rises.values():
            for key in [key for key in of_variant if key.startswith(_SHARED)]:
                del of_variant[key]
                unread[key] = str(sentences.SHARED_NAMESPACE)
    counted = {key for of_variant in rises.values() for key in of_variant}
    return rises, {key: reason for key, reason in unread.items() if key not in counted}
