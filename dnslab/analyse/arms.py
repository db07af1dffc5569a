"""Arms of raw queries in numbers: how many were lost, late, refused or cut, for each arm, place and round.

An arm is a load of engine wire (``plan.arms``). Judges nothing, and opens no ground truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.analyse.dataset import Run
from dnslab.analyse.lookups import Lookups, error_name
from dnslab.analyse.observed import HELD_MS, LATE_MS
from dnslab.analyse.quantiles import quantiles
from dnslab.analyse.witnesses import rises_of
from dnslab.plan.arms import CONTROL, STANDING_SOCKETS, arm_of
from dnslab.plan.model import Plan
from dnslab.plan.resolvconf import parse
from dnslab.store import stream as records
from dnslab.store.witnesses import CLIENT

#: a query without an answer by then is lost: a resolver of the C library still waits, but no server is so slow
LOST_MS = 1_000.0
#: a query that is sent so much later than it was due shows that its sender had to wait, for CPU time for example
SENT_LATE_MS = 20.0
COLUMNS = (
    *(
        "arm",
        "place",
        "target",
        "round",
        "load",
        "rate_per_s",
        "n",
        "lost",
        "unanswered",
        "lost_second",
        "late",
        "held",
    ),
    *("errors", "rcodes", "truncated", "p50_ms", "p99_ms", "good_p50_ms", "error_p50_ms", "late_p10_ms", "late_p90_ms"),
    *("late_sent", "unsent", "after_late", "late_after_late", "after_lost", "lost_after_lost", "rises"),
)


def arm_frame(run: Run) -> pd.DataFrame:
    """What each arm saw, in the order of the trials.

    Returns
    -------
    DataFrame
        One row for each arm, place, target and round. Empty, with all columns, where a run has no load of engine wire.

        ``arm`` (str)
            ``a``, ``aaaa`` (single queries on new sockets), ``pair-one-socket``, ``pair-two-sockets`` (A and AAAA sent
            together), ``tcp``, ``standing`` (A on 16 sockets that are kept). ``control`` is the small load that watches
            over DNS where loads run together: A on new sockets, as ``a``.
        ``place`` (str)
            The address asked: that of the load, or else the first nameserver of resolv.conf.
        ``target`` (str), ``round``, ``load`` (int)
            As in ``Run.trials``.
        ``rate_per_s`` (float)
            Arrivals a second of the arm; a pair is one.
        ``n``
            Queries, without those that could not be sent. A pair is two.
        ``lost``
            No answer within 1 s, or refused. Over TCP that includes connections whose first packet was sent again.
        ``unanswered``
            No answer at all before the deadline; part of ``lost``.
        ``lost_second``
            Lost queries that were sent second in a pair whose first was not lost; 0 in other arms.
        ``late``
            Answered, after 150 ms or more. Answers after 1 s are part of ``lost``, too.
        ``held``
            Answered after 20 ms or more, those that were late included.
        ``after_late``, ``late_after_late``
            Of all arms that a client sent together: queries due next after one that was late or lost, and how many of
            these were late or lost themselves. They stand in the row of the first arm beside the control; 0 in others.
        ``after_lost``, ``lost_after_lost``
            Of the arm whose sockets are kept: queries next on a socket after one without an answer, and how many of
            these had none themselves. Without meaning in other arms.
        ``errors``
            Answers with an rcode other than 0. ``rcodes`` (dict of str to int) counts them by name.
        ``truncated``
            Answers with the TC bit.
        ``p50_ms``, ``p99_ms`` (float)
            From sending to the answer; ``inf`` where the level falls among unanswered queries, NaN without any.
        ``good_p50_ms``, ``error_p50_ms`` (float)
            The same of answers without an error code, and of those with one.
        ``late_p10_ms``, ``late_p90_ms`` (float)
            Of answers that were late. 8 of 10 lie between them.
        ``rises`` (dict of str to float)
            How far each witness rose, by ``PLACE.WITNESS``, in the row of the first arm beside the control, and empty
            in others. What arms sent together share is counted once.
        ``late_sent``
            Queries sent 20 ms or more after they were due.
        ``unsent``
            Queries for which no socket or no room could be had; they count nowhere else.
    """
    plan = run.plan
    rows = [dict(row) for row in run.once("arms", lambda lookups: _row(plan, lookups)) if row["arm"]]
    backend = run.environment.backend
    own = backend.name != "local" and backend.fresh_clients
    for _, together in groupby(rows, key=lambda row: (row["target"], row["round"])):
        _count_together(list(together), own)
    return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True)
class ArmTimes:
    """When the queries of one arm in one trial were sent (Unix time, s), and which of them were lost."""

    arm: str
    place: str
    sent_s: npt.NDArray[np.float64]
    lost: npt.NDArray[np.bool_]


def arm_times(run: Run) -> list[ArmTimes]:
    """Times of all raw queries; none of trials that do not say when they began."""
    found = run.once("arm times", lambda lookups: _times(run.plan, lookups))
    return [times for times in found if times.arm and len(times.sent_s)]


def _times(plan: Plan, lookups: Lookups) -> ArmTimes:
    raw, code = lookups.raw, lookups.raw["outcome"]
    end = lookups.client.end
    if end is None or end.began_realtime_ns is None:
        raw, code, began_s = raw[:0], code[:0], 0.0
    else:
        began_s = end.began_realtime_ns / 1e9
    sent = (code != records.OUTCOME_NOT_STARTED) & (code != records.OUTCOME_SOCKET)
    lost = (code < 0) | (lookups.service_ms[: len(raw)] >= LOST_MS)
    where = arm_of(plan, lookups.client.start.load), _place(plan, lookups)
    return ArmTimes(*where, began_s + raw["start_ns"][sent] / 1e9, lost[sent])


def _row(plan: Plan, lookups: Lookups) -> dict[str, Any]:
    start = lookups.client.start
    where: dict[str, Any] = {
        "arm": arm_of(plan, start.load),
        "place": _place(plan, lookups),
        "target": start.target,
        "round": start.round,
        "load": start.load,
        "rate_per_s": plan.loads[start.load].rate_per_s or 0.0,
    }
    return where if not where["arm"] else {**where, **_counts(lookups, start.arrangement != "single")}


def _place(plan: Plan, lookups: Lookups) -> str:
    """The address asked."""
    start = lookups.client.start
    nameservers = parse(start.resolv_conf).nameservers
    return plan.loads[start.load].server or (nameservers[0] if nameservers else "")


def _counts(lookups: Lookups, pairs: bool) -> dict[str, Any]:
    code = lookups.raw["outcome"]
    # A query that was refused on its way has an end after its start; one without a socket has none.
    no_socket = (code == records.OUTCOME_SOCKET) & (lookups.raw["end_ns"] == lookups.raw["start_ns"])
    unsent = (code == records.OUTCOME_NOT_STARTED) | no_socket
    raw, ms, code = lookups.raw[~unsent], lookups.service_ms[~unsent], code[~unsent]
    answered = code >= 0
    lost = ~answered | (ms >= LOST_MS)
    sent_late_ms = (raw["start_ns"] - raw["intended_ns"]).view(np.int64) / 1e6
    p50_ms, p99_ms = quantiles(np.where(answered, ms, np.inf), (0.5, 0.99))
    late_ms = ms[answered & (ms >= LATE_MS)]
    late_p10_ms, late_p90_ms = quantiles(late_ms, (0.1, 0.9))
    names, counts = np.unique(code[code > 0], return_counts=True)
    unanswered = ~answered[np.argsort(raw["start_ns"], kind="stable")]
    # Kept sockets take turns: each sends every 16th query.
    before, after = unanswered[:-STANDING_SOCKETS], unanswered[STANDING_SOCKETS:]
    return {
        "n": len(raw),
        "lost": int(lost.sum()),
        "unanswered": int((~answered).sum()),
        "lost_second": _lost_second(raw, lost) if pairs else 0,
        "late": len(late_ms),
        "held": int((answered & (ms >= HELD_MS)).sum()),
        "errors": int((code > 0).sum()),
        "rcodes": {error_name(name): n for name, n in zip(names.tolist(), counts.tolist(), strict=True)},
        "due_ns": raw["intended_ns"],
        "bad": lost | (ms >= LATE_MS),
        "truncated": int((answered & ((raw["flags"] & records.FLAG_TRUNCATED) != 0)).sum()),
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "good_p50_ms": quantiles(ms[code == 0], (0.5,))[0],
        "error_p50_ms": quantiles(ms[code > 0], (0.5,))[0],
        "late_p10_ms": late_p10_ms,
        "late_p90_ms": late_p90_ms,
        "rises": rises_of(lookups.client),
        "after_lost": int(before.sum()),
        "lost_after_lost": int((before & after).sum()),
        "late_sent": int((sent_late_ms >= SENT_LATE_MS).sum()),
        "unsent": int(unsent.sum()),
    }


def _lost_second(raw: npt.NDArray[Any], lost: npt.NDArray[np.bool_]) -> int:
    """Pairs of which the second query alone is lost. Entries of the probe's list are first and second in turn, and
    both of a pair were due at the same instant."""
    second = raw["name"] % 2 == 1
    first_came = np.unique(raw["intended_ns"][~second & ~lost])
    return int(np.isin(raw["intended_ns"][second & lost], first_came).sum())


def _count_together(rows: Sequence[dict[str, Any]], own: bool) -> None:
    """Of arms that were sent together: how often a late query follows a late one, whatever their arms, and how far
    witnesses rose. ``own`` says that each arm had a client of its own."""
    due_ns, bad = (np.concatenate([row.pop(name) for row in rows]) for name in ("due_ns", "bad"))
    bad = bad[np.argsort(due_ns, kind="stable")]
    rises: dict[str, float] = {}
    for row in rows:
        for name, rise in row["rises"].items():
            apart = own and name.startswith(f"{CLIENT}.")
            rises[name] = rises.get(name, 0.0) + rise if apart else max(rises.get(name, 0.0), rise)
        row["after_late"], row["late_after_late"], row["rises"] = 0, 0, {}
    first = next((row for row in rows if row["arm"] != CONTROL), rows[0])
    first["after_late"] = int(bad[:-1].sum())
    first["late_after_late"] = int((bad[:-1] & bad[1:]).sum())
    first["rises"] = rises
