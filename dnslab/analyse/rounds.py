"""Latency of each round, to see whether a result holds in all rounds or comes from only one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dnslab.analyse import intervals
from dnslab.analyse.intervals import Interval
from dnslab.analyse.summary import Summary

#: a quantile of 0 has no logarithm; no lookup is answered in less
LEAST_MS = 1e-3
COLUMNS = ["variant", "target", "round", "p50_ms", "p99_ms"]


def latencies(summary: Summary, load: int = 0) -> pd.DataFrame:
    """Quantiles of each round under one load, in the order of the summary.

    Returns
    -------
    DataFrame
        ``variant``, ``target``, ``round``, ``p50_ms``, ``p99_ms``: of response time, failed lookups at the deadline.
    """
    rows = [
        (row.variant, row.target, numbers.round, numbers.p50_ms, numbers.p99_ms)
        for row in summary.measured(load)
        for numbers in row.by_round
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def usual(values: pd.Series[float]) -> Interval:
    """Geometric mean of ``values``, one for each round, with its 95 % t interval.

    With fewer than three rounds it has no bounds.

    It is the mean of logarithms, because latencies differ by factors: one round that is a thousand times as slow would
    dominate the arithmetic mean.
    """
    mean = intervals.mean(np.log(np.maximum(values.to_numpy(dtype=float), LEAST_MS)))
    return Interval(*(math.exp(bound) for bound in (mean.estimate, mean.low, mean.high)))
