"""Arms of raw queries in numbers: how many were lost, late, refused or cut, for each arm, place and round.

An arm is a load of engine wire (``plan.arms``). Judges nothing, and opens no ground truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
#: a stretch without any answer over UDP has as many queries at least, of as many arms, and lasts as long, s
SILENT_QUERIES, SILENT_ARMS, SILENT_S = 10, 3, 0.2
#: by chance, if queries are lost as often as they are outside, at most this share of trials has one
SILENT_CHANCE = 1e-4
#: a pause of the servers has as many queries at least, of which this share was answered, whatever is lost besides; of
#: these, this share had to wait until its end
PAUSED_QUERIES, PAUSED_SHARE, WAITED_SHARE = 5, 0.3, 0.7
#: an answer that is earlier did not wait for a TCP segment that was sent again (TCP_RTO_MIN of Linux is 200 ms)
UNSENT_AGAIN_MS = 190.0
#: the share of answers that are the quickest
QUICK = 0.05
#: queries of a kept socket from which on it is told whether all of them are lost
PER_SOCKET = 3
#: stretches: from and to, ns of the trial
Stretches = list[tuple[int, int]]
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
        "short",
    ),
    *("errors", "rcodes", "truncated", "p50_ms", "p99_ms", "good_p50_ms", "error_p50_ms", "answered_p99_ms"),
    *("held_p10_ms", "held_p90_ms", "late_p10_ms", "late_p90_ms"),
    *("late_sent", "unsent", "after_late", "late_after_late", "lost_first", "kept", "kept_silent", "kept_chance"),
    *("silent_from_s", "silent_s", "length_s", "calm", "beyond", "rises"),
    *("pauses", "paused_from_s", "paused_s", "running"),
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
        ``lost_second``, ``lost_first``
            Queries without any answer that were sent second in a pair whose first was answered, and the other way
            round; 0 in other arms.
        ``late``
            Answered, after 150 ms or more. Answers after 1 s are part of ``lost``, too.
        ``held``
            Answered after 20 ms or more, those that were late included.
        ``short``
            Held, but answered within 190 ms: before Linux sends a TCP segment again.
        ``after_late``, ``late_after_late``
            Of all arms over UDP that a client sent together: queries due next after one that was lost, or late beyond
            what is usual (see ``beyond``), and how many of these were so themselves. They stand in the row of the first
            arm beside the control; 0 in others.
        ``kept``, ``kept_silent``, ``kept_chance``
            Of the arm whose sockets are kept: sockets with 3 queries or more, those of them that got no answer at all,
            and how many of these chance gives (float) if each query is lost as often as those of the others. 0 in other
            arms.
        ``silent_from_s``, ``silent_s``, ``length_s`` (float)
            The longest stretch in which no query over UDP was answered, of whatever arm: when it began, how long it
            lasted, and how long the trial was, from the first query due to the last, s. They stand in the row of the
            first arm beside the control. NaN where there is no stretch of 0.2 s that chance would not give, and in
            other rows.
        ``calm`` (dict)
            The counts and times of this row again, by column, without queries due in such stretches, or under way in
            them; empty where there is none.
        ``pauses``
            Stretches of 0.2 s or more at whose end all queries over UDP were answered that were due in them, of
            whatever arm, but for those that were lost. They stand in the row of the first arm beside the control; 0
            in others. ``paused_from_s``, ``paused_s`` (float): when the longest one began and how long it lasted;
            else NaN.
        ``running`` (dict)
            As ``calm``, without queries under way in stretches of either kind.
        ``beyond`` (dict)
            ``lost``, and the counts and times of late answers, again, by column, of what answers took longer than
            usual: than the quickest 5 % of those to the same type of query. Empty where these took less than 20 ms.
        ``errors``
            Answers with an rcode other than 0. ``rcodes`` (dict of str to int) counts them by name.
        ``truncated``
            Answers with the TC bit.
        ``p50_ms``, ``p99_ms`` (float)
            From sending to the answer; ``inf`` where the level falls among unanswered queries, NaN without any.
        ``good_p50_ms``, ``error_p50_ms`` (float)
            The same of answers without an error code, and of those with one.
        ``answered_p99_ms`` (float)
            The same of all answers, whatever was lost besides.
        ``held_p10_ms``, ``held_p90_ms``, ``late_p10_ms``, ``late_p90_ms`` (float)
            Of answers that took 20 ms or more, and of those that were late. 8 of 10 lie between them.
        ``rises`` (dict of str to float)
            How far each witness rose, by ``PLACE.WITNESS``, in the row of the first arm beside the control, and empty
            in others. What arms sent together share is counted once.
        ``late_sent``
            Queries sent 20 ms or more after they were due.
        ``unsent``
            Queries for which no socket or no room could be had; they count nowhere else.
    """
    plan = run.plan
    every = [dict(row) for row in run.once("arms", lambda lookups: _row(plan, lookups))]
    rows = [row for row in every if row["arm"]]
    backend = run.environment.backend
    own = backend.name != "local" and backend.fresh_clients
    left_out: dict[str, dict[tuple[str, int], Stretches]] = {"calm": {}, "running": {}}
    for trial, together in groupby(rows, key=lambda row: (row["target"], row["round"])):
        for name, stretches in _count_together(list(together), own).items():
            if stretches:
                left_out[name][trial] = stretches
    for name, of_trials in left_out.items():
        if name == "running" and of_trials == left_out["calm"]:  # no pause: it is counted already
            for row in rows:
                row[name] = row["calm"]
        elif of_trials:
            for row, rest in zip(every, run.each(partial(_outside, plan, of_trials)), strict=True):
                if rest:
                    row[name] = {**rest, **row[name]}
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
    return where if not where["arm"] else {**where, **_counts(lookups, where["arm"], [])}


def _outside(plan: Plan, of_trials: Mapping[tuple[str, int], Stretches], lookups: Lookups) -> dict[str, Any]:
    """What ``_row`` counts, without queries under way in the trial's stretches, by target and round."""
    start = lookups.client.start
    stretches, arm = of_trials.get((start.target, start.round)), arm_of(plan, start.load)
    if not stretches or not arm:
        return {}
    counts = _counts(lookups, arm, stretches)
    return {name: value for name, value in counts.items() if name in COLUMNS and name != "rises"}


def _place(plan: Plan, lookups: Lookups) -> str:
    """The address asked."""
    start = lookups.client.start
    nameservers = parse(start.resolv_conf).nameservers
    return plan.loads[start.load].server or (nameservers[0] if nameservers else "")


def _counts(lookups: Lookups, arm: str, left_out: Stretches) -> dict[str, Any]:
    code = lookups.raw["outcome"]
    # A query that was refused on its way has an end after its start; one without a socket has none.
    no_socket = (code == records.OUTCOME_SOCKET) & (lookups.raw["end_ns"] == lookups.raw["start_ns"])
    unsent = (code == records.OUTCOME_NOT_STARTED) | no_socket
    counted = ~unsent & ~_in_flight(lookups.raw, left_out)
    # Kept sockets take turns.
    sockets = np.argsort(np.argsort(lookups.raw["start_ns"][~unsent], kind="stable")) % STANDING_SOCKETS
    sockets = sockets[counted[~unsent]]
    raw, ms, code = lookups.raw[counted], lookups.service_ms[counted], code[counted]
    answered = code >= 0
    sent_late_ms = (raw["start_ns"] - raw["intended_ns"]).view(np.int64) / 1e6
    beyond_ms = ms - _usual_ms(raw, ms, answered)
    delayed = bool((beyond_ms < ms).any())
    names, counts = np.unique(code[code > 0], return_counts=True)
    return {
        "n": len(raw),
        "unanswered": int((~answered).sum()),
        "lost_second": _lost_alone(raw, ~answered, 1) if arm.startswith("pair") else 0,
        "lost_first": _lost_alone(raw, ~answered, 0) if arm.startswith("pair") else 0,
        **_delays(ms, answered, code),
        "beyond": _delays(beyond_ms, answered, code) if delayed else {},
        "errors": int((code > 0).sum()),
        "rcodes": {error_name(name): n for name, n in zip(names.tolist(), counts.tolist(), strict=True)},
        "due_ns": raw["intended_ns"],
        "bad": ~answered | (beyond_ms >= LATE_MS),
        "gone": ~answered,
        "held_up": answered & (beyond_ms >= HELD_MS),
        "came_ns": raw["end_ns"].astype(np.int64) - ((ms - beyond_ms) * 1e6).astype(np.int64),
        "truncated": int((answered & ((raw["flags"] & records.FLAG_TRUNCATED) != 0)).sum()),
        "rises": rises_of(lookups.client),
        **_kept(~answered, sockets, arm == "standing"),
        "late_sent": int((sent_late_ms >= SENT_LATE_MS).sum()),
        "unsent": int(unsent.sum()),
    }


def _delays(ms: npt.NDArray[np.float64], answered: npt.NDArray[np.bool_], code: npt.NDArray[Any]) -> dict[str, Any]:
    """What is told of how long answers took."""
    p50_ms, p99_ms = quantiles(np.where(answered, ms, np.inf), (0.5, 0.99))
    held_ms = ms[answered & (ms >= HELD_MS)]
    held_p10_ms, held_p90_ms = quantiles(held_ms, (0.1, 0.9))
    late_ms = held_ms[held_ms >= LATE_MS]
    late_p10_ms, late_p90_ms = quantiles(late_ms, (0.1, 0.9))
    return {
        "lost": int((~answered | (ms >= LOST_MS)).sum()),
        "late": len(late_ms),
        "held": len(held_ms),
        "short": int((held_ms < UNSENT_AGAIN_MS).sum()),
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "good_p50_ms": quantiles(ms[code == 0], (0.5,))[0],
        "error_p50_ms": quantiles(ms[code > 0], (0.5,))[0],
        "answered_p99_ms": quantiles(ms[answered], (0.99,))[0],
        "held_p10_ms": held_p10_ms,
        "held_p90_ms": held_p90_ms,
        "late_p10_ms": late_p10_ms,
        "late_p90_ms": late_p90_ms,
    }


def _usual_ms(
    raw: npt.NDArray[Any], ms: npt.NDArray[np.float64], answered: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """What an answer to each query takes at least where all of its type are late; else 0."""
    usual_ms = np.zeros(len(ms))
    of_aaaa = (raw["flags"] & records.FLAG_AAAA) != 0
    for of_type in (of_aaaa, ~of_aaaa):
        (quick_ms,) = quantiles(ms[answered & of_type], (QUICK,))
        if quick_ms >= HELD_MS:
            usual_ms[of_type] = quick_ms
    return usual_ms


def _in_flight(raw: npt.NDArray[Any], stretches: Stretches) -> npt.NDArray[np.bool_]:
    """Queries that were due in such a stretch, or before it and answered after it began."""
    until_ns = np.where(raw["outcome"] < 0, raw["intended_ns"], raw["end_ns"])
    return _overlap(raw["intended_ns"], until_ns, stretches)


def _overlap(from_ns: npt.NDArray[Any], until_ns: npt.NDArray[Any], stretches: Stretches) -> npt.NDArray[np.bool_]:
    inside = np.zeros(len(from_ns), dtype=bool)
    for begin, end in stretches:
        inside |= (from_ns <= end) & (until_ns >= begin)
    return inside


def _kept(gone: npt.NDArray[np.bool_], sockets: npt.NDArray[np.intp], kept: bool) -> dict[str, float]:
    """How many sockets that are ``kept`` got no answer at all."""
    of_sockets = [gone[sockets == i] for i in range(STANDING_SOCKETS)] if kept else []
    known = [one for one in of_sockets if len(one) >= PER_SOCKET]
    others = [one for one in known if not one.all()]
    share = float(np.concatenate(others).mean()) if others else 1.0
    return {
        "kept": len(known),
        "kept_silent": len(known) - len(others),
        "kept_chance": sum(share ** len(one) for one in known),
    }


def _lost_alone(raw: npt.NDArray[Any], gone: npt.NDArray[np.bool_], which: int) -> int:
    """Pairs of which the first query alone has no answer (``which`` 0), or the second (1). Entries of the probe's list
    are first and second in turn, and both of a pair were due at the same instant."""
    one = raw["name"] % 2 == which
    other_came = np.unique(raw["intended_ns"][~one & ~gone])
    return int(np.isin(raw["intended_ns"][one & gone], other_came).sum())


def _count_together(rows: Sequence[dict[str, Any]], own: bool) -> dict[str, Stretches]:
    """Of arms that were sent together: how often a late query follows a late one, whatever their arms, how far
    witnesses rose, and in which stretches no query over UDP was answered (they are left out of ``calm``) or answers had
    to wait (of ``running``). ``own`` says that each arm had a client of its own."""
    over_udp = [row for row in rows if row["arm"] not in ("tcp", CONTROL)]
    silent, paused = _silent(over_udp), _paused(over_udp)
    # A pause that is too long for the deadline loses queries, too.
    left_out = {"calm": silent, "running": [*paused, *silent]}
    udp = [row for row in rows if row["arm"] != "tcp"] or rows
    due_ns, bad = (np.concatenate([row[name] for row in udp]) for name in ("due_ns", "bad"))
    order = np.argsort(due_ns, kind="stable")
    due_ns, bad = due_ns[order], bad[order]
    rises: dict[str, float] = {}
    for row in rows:
        for name, rise in row["rises"].items():
            apart = own and name.startswith(f"{CLIENT}.")
            rises[name] = rises.get(name, 0.0) + rise if apart else max(rises.get(name, 0.0), rise)
        row["after_late"], row["late_after_late"], row["rises"] = 0, 0, {}
        row["calm"], row["running"], row["pauses"] = {}, {}, 0
        for name in ("due_ns", "bad", "gone", "held_up", "came_ns"):
            del row[name]
    first = next((row for row in rows if row["arm"] != CONTROL), rows[0])
    first.update(_in_a_row(bad))
    first["rises"] = rises
    first["pauses"] = len(paused)
    for what, stretches in (("silent", silent), ("paused", paused)):
        if stretches:
            begin, end = max(stretches, key=lambda one: one[1] - one[0])
            first[f"{what}_from_s"] = (begin - int(due_ns[0])) / 1e9
            first[f"{what}_s"] = (end - begin) / 1e9
            first["length_s"] = int(due_ns[-1] - due_ns[0]) / 1e9
    for name, stretches in left_out.items():
        if stretches:
            first[name] = _in_a_row(bad[~_overlap(due_ns, due_ns, stretches)])
    return left_out


def _in_a_row(bad: npt.NDArray[np.bool_]) -> dict[str, int]:
    return {"after_late": int(bad[:-1].sum()), "late_after_late": int((bad[:-1] & bad[1:]).sum())}


def _paused(rows: Sequence[Mapping[str, Any]]) -> Stretches:
    """Stretches in which all queries of ``rows`` had to wait or were lost, and most of those that waited did so until
    the end, but for stretches that chance gives."""
    found = []
    for due_ns, came_ns, held_up in _in_a_stretch(rows, ("held_up", "gone"), PAUSED_QUERIES):
        waited = came_ns[held_up] >= due_ns[-1]
        if len(waited) >= PAUSED_SHARE * len(due_ns) and waited.mean() >= WAITED_SHARE:
            found.append((int(due_ns[0]), int(due_ns[-1])))
    return found


def _silent(rows: Sequence[Mapping[str, Any]]) -> Stretches:
    """Stretches in which no query of ``rows`` was answered, but for those that chance gives."""
    return [(int(due_ns[0]), int(due_ns[-1])) for due_ns, *_ in _in_a_stretch(rows, ("gone",), SILENT_QUERIES)]


def _in_a_stretch(
    rows: Sequence[Mapping[str, Any]], bad_names: Sequence[str], least: int
) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """Queries of ``rows``, as they were due, of which ``least`` or more in a row were bad: when they were due, when
    they were answered, and which were held up."""
    if not rows:
        return
    arms = np.repeat(np.arange(len(rows)), [len(row["due_ns"]) for row in rows])
    due_ns, came_ns, held_up = (
        np.concatenate([row[name] for row in rows]) for name in ("due_ns", "came_ns", "held_up")
    )
    bad = np.logical_or.reduce([np.concatenate([row[name] for row in rows]) for name in bad_names])
    order = np.argsort(due_ns, kind="stable")
    arms, due_ns, came_ns, held_up, bad = (of_each[order] for of_each in (arms, due_ns, came_ns, held_up, bad))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], bad.view(np.int8), [0]))))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        n, there = end - begin, slice(begin, end)
        of_others = (int(bad.sum()) - n) / max(1, len(bad) - n)
        if (
            n >= least
            and int(due_ns[end - 1] - due_ns[begin]) >= SILENT_S * 1e9
            and len(set(arms[there].tolist())) >= SILENT_ARMS
            and len(bad) * of_others**n < SILENT_CHANCE
        ):
            yield due_ns[there], came_ns[there], held_up[there]
