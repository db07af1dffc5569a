"""Stalled and failed lookups over the time of the run: when they happened, and in which configuration.

Times are of the run's own clock, which nobody sets, so they are the same for trials that ran side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnslab.analyse.counts import measured
from dnslab.analyse.dataset import Run
from dnslab.store.client import ClientRecord

#: a stretch is told of when it is this many times as bad as the rest, and chance alone is less likely than this
WORSE_TIMES = 3.0
BY_CHANCE = 1e-6


def stalls_per_second(run: Run) -> pd.DataFrame:
    """Stalls by the second in which their lookup was due, summed over rounds.

    Returns
    -------
    DataFrame
        ``variant``, ``target``, ``load``, ``second`` of the trial; ``n`` lookups that were due in it, and ``stalls``.
    """
    frames = []
    for lookups in run.decoded():
        start = lookups.client.start
        seconds = lookups.intended_s.astype(np.int64)
        size = int(seconds.max()) + 1 if len(seconds) else 0
        counts = np.bincount(seconds, minlength=size)
        stalls = np.bincount(seconds, weights=lookups.stall, minlength=size).astype(np.int64)
        frame = pd.DataFrame({"second": np.arange(size), "n": counts, "stalls": stalls})
        frames.append(frame.assign(variant=start.variant, target=lookups.client.target, load=start.load))
    columns = ["variant", "target", "load", "second", "n", "stalls"]
    if not frames:
        return pd.DataFrame(columns=columns)
    joined = pd.concat(frames, ignore_index=True)
    return joined.groupby(["variant", "target", "load", "second"], as_index=False, observed=True).sum()[columns]


def run_slices(run: Run) -> pd.DataFrame:
    """Lookups that stalled or failed, by when they were due since the run's start.

    Each trial is cut into equal slices of a second or more, about 60 for all rounds together.

    Returns
    -------
    DataFrame
        ``variant``, ``target``, ``load``, ``round``; ``start_s``, ``end_s`` of the slice since the run's start;
        ``n`` lookups, ``bad`` of them stalled or failed. Slices without a lookup are left out.
    """
    starts = _group_starts(run.clients())
    first_ns = min(starts.values(), default=0)
    frames = []
    for client, found in zip(run.clients(), measured(run), strict=True):
        start = client.start
        load = run.plan.loads[start.load]
        n, bad = found.slices
        width_s = load.duration_s / len(n)
        began_s = (starts[_group(client)] - first_ns) / 1e9 + load.warmup_s
        frame = pd.DataFrame({"start_s": began_s + np.arange(len(n)) * width_s, "n": n, "bad": bad})
        frame = frame.assign(end_s=frame["start_s"] + width_s)[frame["n"] > 0]
        frames.append(frame.assign(variant=start.variant, target=start.target, load=start.load, round=start.round))
    columns = ["variant", "target", "load", "round", "start_s", "end_s", "n", "bad"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _group(client: ClientRecord) -> tuple[int, int]:
    """A key of all clients that start together: the trials of a group in one attempt."""
    return client.start.group, client.attempt


def _group_starts(clients: Sequence[ClientRecord]) -> dict[tuple[int, int], int]:
    """When each group began, ns. The start instant comes right after the last of its trials was described.

    Runs of earlier versions have only the wall clock for it, which may have been set meanwhile.
    """
    run_clock = all(client.start.started_elapsed_ns is not None for client in clients)
    starts: dict[tuple[int, int], int] = {}
    for client in clients:
        started_ns = (client.start.started_elapsed_ns or 0) if run_clock else client.start.started_realtime_ns
        starts[_group(client)] = max(starts.get(_group(client), 0), started_ns)
    return starts


def pooled(slices: pd.DataFrame, load: int) -> pd.DataFrame:
    """The slices of one load in order of time, summed over targets."""
    keys = ["variant", "round", "start_s", "end_s"]
    chosen = slices[slices["load"] == load]
    added = chosen.groupby(keys, sort=False, as_index=False, observed=True)[["n", "bad"]].sum()
    return added.sort_values("start_s", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Spell:
    """A stretch of time in which a configuration was clearly worse: ``share`` of its lookups were bad in it, ``usual``
    outside.
    """

    variant: str
    start_s: float
    end_s: float
    first_round: int
    last_round: int
    share: float
    usual: float


def spells(pooled_slices: pd.DataFrame) -> list[Spell]:
    """Stretches of time in which a configuration was clearly worse, in order of variant and time.

    Takes what ``pooled`` gives.

    A stretch is slices in a row with at least half of the configuration's highest share. It is told of when it is
    three times as bad as all the rest, and more than chance makes of the rest's share.
    """
    from scipy.special import pdtrc

    worse = []
    for variant, slices in pooled_slices.groupby("variant", sort=False, observed=True):
        share = slices["bad"] / slices["n"]
        high = (share > 0) & (share >= share.max() / 2)
        stretches = (high != high.shift()).cumsum()
        for _, stretch in slices[high].groupby(stretches[high]):
            n, bad = int(stretch["n"].sum()), int(stretch["bad"].sum())
            rest_n, rest_bad = int(slices["n"].sum()) - n, int(slices["bad"].sum()) - bad
            usual = rest_bad / rest_n if rest_n else bad / n
            # One more bad lookup than was seen: from none it does not follow that there can be none.
            chance = float(pdtrc(bad - 1, n * (rest_bad + 1) / (rest_n + 1)))
            if bad / n >= WORSE_TIMES * usual and chance < BY_CHANCE:
                first, last = stretch.iloc[0], stretch.iloc[-1]
                times = (float(first["start_s"]), float(last["end_s"]), int(first["round"]), int(last["round"]))
                worse.append(Spell(str(variant), *times, bad / n, usual))
    return worse
