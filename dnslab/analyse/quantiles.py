"""Quantiles of latency, in which a failed lookup is slower than any answered one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

#: the levels of a summary, and what they are called there
LEVELS = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}


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
