"""Quantiles of latency, in which a failed lookup is slower than any answered one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.analyse.dataset import Run
from dnslab.store.client import Key

#: the levels of a summary, and what they are called there
LEVELS = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
#: the levels that a table of a sketch can name
NAMED_LEVELS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
SKETCH_LEVELS = np.unique(
    np.concatenate(
        [np.linspace(0.0, 0.99, 500, endpoint=False), 1 - np.logspace(-2, -6, 300), [*NAMED_LEVELS.values()]]
    )
)


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
    """The smallest of ``values`` that a share ``level`` of them do not exceed, for each of ``levels``.

    ``values`` hold ``inf`` for failed lookups. Without any value each quantile is NaN.
    """
    if not len(values):
        return [math.nan for _ in levels]
    ranks = [min(len(values) - 1, max(0, math.ceil(level * len(values)) - 1)) for level in levels]
    ordered = np.partition(values, sorted(set(ranks)))
    return [float(ordered[rank]) for rank in ranks]


def sketches(run: Run) -> pd.DataFrame:
    """The distribution of response times of each variant, target and load, in few points for drawing.

    Returns
    -------
    DataFrame
        ``variant``, ``target``, ``load``; ``level`` in (0, 1], 500 points up to p99, 300 log-spaced ones up to
        p99.9999, and ``NAMED_LEVELS``; ``response_ms`` at that level; ``answered_share``. Levels that fall among
        failed lookups are left out, so a curve ends at the answered share.
    """
    pooled: dict[Key, list[npt.NDArray[np.float64]]] = {}
    for lookups in run.decoded():
        pooled.setdefault(lookups.client.key, []).append(lookups.failed_slowest_ms)
    frames = []
    for (variant, target, load), parts in pooled.items():
        values = np.sort(np.concatenate(parts))
        if len(values):
            frames.append(_sketch(values).assign(variant=variant, target=target, load=load))
    columns = ["variant", "target", "load", "level", "response_ms", "answered_share"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _sketch(ordered: npt.NDArray[np.float64]) -> pd.DataFrame:
    ranks = np.clip(np.ceil(SKETCH_LEVELS * len(ordered)).astype(int) - 1, 0, len(ordered) - 1)
    frame = pd.DataFrame(
        {"level": np.append(SKETCH_LEVELS, 1.0), "response_ms": np.append(ordered[ranks], ordered[-1])}
    )
    answered: pd.DataFrame = frame[np.isfinite(frame["response_ms"])]
    return answered.assign(answered_share=float(np.isfinite(ordered).mean()))
