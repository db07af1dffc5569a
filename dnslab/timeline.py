"""Lookups gone bad against the clock of the run: what happened in its middle, when, and to which configuration.

Times are the controller's wall clock, so trials that ran side by side share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnslab.dataset import FAILED, Lookups, Run
from dnslab.store import ArmRecord

#: how many slices all rounds of a load make together: as many points as a line of this width still shows
N_SLICES = 60
#: a stretch is told of when it is this many times as bad as the rest, and chance alone is less likely than this
WORSE_TIMES = 3.0
BY_CHANCE = 1e-6


def run_slices(run: Run) -> pd.DataFrame:
    """Lookups that stalled or failed, by when they were due since the run's start.

    Each trial is cut into equal slices of a second or more, about 60 for all rounds together.

    Returns
    -------
    DataFrame
        ``variant``, ``target``, ``load``, ``round``; ``start_s``, ``end_s`` of the slice since the run's start;
        ``n`` lookups, ``bad`` of them stalled or failed. Slices without a lookup are left out.
    """
    starts = _group_starts(run.arms())
    first_ns = min(starts.values(), default=0)
    frames = []
    for lookups in run.decoded():
        start = lookups.arm.start
        load = run.plan.loads[start["load"]]
        n_slices = max(1, min(int(load.duration_s), N_SLICES // run.plan.rounds))
        began_s = (starts[_group(lookups.arm)] - first_ns) / 1e9 + load.warmup_s
        frame = _slices(lookups, load.warmup_s, load.duration_s / n_slices, n_slices, began_s)
        named = {"variant": start["variant"], "target": lookups.arm.target, "load": start["load"]}
        frames.append(frame.assign(**named, round=start["round"]))
    columns = ["variant", "target", "load", "round", "start_s", "end_s", "n", "bad"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _group(arm: ArmRecord) -> tuple[int, int]:
    """Trials of one group start together; measured again they start together again."""
    return int(arm.start["group"]), arm.attempt


def _group_starts(arms: Sequence[ArmRecord]) -> dict[tuple[int, int], int]:
    """When each group began, ns. The start instant comes right after the last of its trials was described."""
    starts: dict[tuple[int, int], int] = {}
    for arm in arms:
        starts[_group(arm)] = max(starts.get(_group(arm), 0), int(arm.start["started_realtime_ns"]))
    return starts


def _slices(lookups: Lookups, warmup_s: float, width_s: float, n_slices: int, began_s: float) -> pd.DataFrame:
    bad = lookups.stall | (lookups.outcome == FAILED)
    # The end belongs to the last slice: a closed loop may begin a lookup right on it.
    places = ((lookups.intended_s - warmup_s) / width_s).clip(0, n_slices - 1).astype(np.int64)
    counts = np.bincount(places, minlength=n_slices)
    frame = pd.DataFrame({"start_s": began_s + np.arange(n_slices) * width_s, "n": counts})
    frame["end_s"] = frame["start_s"] + width_s
    frame["bad"] = np.bincount(places, weights=bad, minlength=n_slices).astype(np.int64)
    return frame[frame["n"] > 0]


def pooled(slices: pd.DataFrame, load: int) -> pd.DataFrame:
    """The slices of one load, in order of time, targets added up."""
    keys = ["variant", "round", "start_s", "end_s"]
    chosen = slices[slices["load"] == load]
    added = chosen.groupby(keys, sort=False, as_index=False, observed=True)[["n", "bad"]].sum()
    return added.sort_values("start_s", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Spell:
    """A stretch in which a configuration was clearly worse than else: ``share`` bad in it, ``usual`` outside."""

    variant: str
    start_s: float
    end_s: float
    first_round: int
    last_round: int
    share: float
    usual: float


def spells(pooled_slices: pd.DataFrame) -> list[Spell]:
    """Stretches in which a configuration went bad, of what ``pooled`` gives, in order of variant and time.

    A stretch is slices in a row with at least half of the configuration's highest share. It is told of when it is
    three times as bad as all the rest, and more than chance makes of the rest's share.
    """
    from scipy.special import pdtrc

    found = []
    for variant, own in pooled_slices.groupby("variant", sort=False, observed=True):
        share = own["bad"] / own["n"]
        high = (share > 0) & (share >= share.max() / 2)
        stretches = (high != high.shift()).cumsum()
        for _, stretch in own[high].groupby(stretches[high]):
            n, bad = int(stretch["n"].sum()), int(stretch["bad"].sum())
            rest_n, rest_bad = int(own["n"].sum()) - n, int(own["bad"].sum()) - bad
            usual = rest_bad / rest_n if rest_n else bad / n
            # One more bad lookup than was seen: from none it does not follow that there can be none.
            chance = float(pdtrc(bad - 1, n * (rest_bad + 1) / (rest_n + 1)))
            if bad / n >= WORSE_TIMES * usual and chance < BY_CHANCE:
                first, last = stretch.iloc[0], stretch.iloc[-1]
                times = (float(first["start_s"]), float(last["end_s"]), int(first["round"]), int(last["round"]))
                found.append(Spell(str(variant), *times, bad / n, usual))
    return found
