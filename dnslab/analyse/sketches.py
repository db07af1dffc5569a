"""Distributions of response times in few points, for drawing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.analyse.counts import measured
from dnslab.analyse.dataset import Run
from dnslab.store.client import Key

#: the levels that a table of a sketch can name
NAMED_LEVELS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
SKETCH_LEVELS = np.unique(
    np.concatenate(
        [np.linspace(0.0, 0.99, 500, endpoint=False), 1 - np.logspace(-2, -6, 300), [*NAMED_LEVELS.values()]]
    )
)


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
    for client, found in zip(run.clients(), measured(run), strict=True):
        pooled.setdefault(client.key, []).append(found.responses_ms)
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
