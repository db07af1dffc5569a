"""A run in which one quantity takes several values, such as the rate or the target: its numbers by that quantity."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dnslab.analyse.summary import Summary
from dnslab.plan.model import Load

#: what of a load can stand on a scale, and how an axis calls it
SCALES = {"rate_per_s": "lookups/s", "workers": "workers", "duration_s": "length of a trial, s"}


@dataclass(frozen=True)
class Sweep:
    """``frame`` has a row for each variant, target and value, in the order of values.

    Columns: ``variant``, ``target``, ``value`` (where it stands on the axis), ``label`` (how it is called),
    ``stalls_share`` with ``low`` and ``high`` (as in ``Summary.by_target``), ``failed_share``, ``p99_ms`` (``inf``
    where it falls among failed lookups). ``name`` says what was swept; ``scale``, whether values are amounts of it.
    """

    name: str
    scale: bool
    frame: pd.DataFrame


def swept(summary: Summary) -> Sweep | None:
    """The quantity in which the run's loads differ, or else its targets. None with only one load and one target."""
    measured = summary.measured()
    targets = list(dict.fromkeys(row.target for row in measured))
    if len(summary.loads) > 1:
        name, scale, values = _of_loads(summary.loads)
        labels = [f"{value:g}" for value in values] if scale else list(summary.load_labels)
        indexes = [row.load for row in measured]
    elif len(targets) > 1:
        name, scale, values, labels = "target", False, [float(i) for i in range(len(targets))], targets
        indexes = [targets.index(row.target) for row in measured]
    else:
        return None
    rows = [
        {
            "value": values[index],
            "label": labels[index],
            "p99_ms": row.p99_ms,
            "target": row.target,
            "variant": row.variant,
            "stalls_share": row.stalls_share,
            "failed_share": row.failed_share,
            "low": row.bounds[0],
            "high": row.bounds[1],
        }
        for index, row in zip(indexes, measured, strict=True)
    ]
    return Sweep(name, scale, pd.DataFrame(rows).sort_values("value", kind="stable", ignore_index=True))


def _of_loads(loads: tuple[Load, ...]) -> tuple[str, bool, list[float]]:
    """The quantity in which loads differ, whether it is an amount, and its value in each load."""
    differing = [key for key in Load.model_fields if len({getattr(load, key) for load in loads}) > 1]
    if len(differing) == 1 and differing[0] in SCALES:
        return SCALES[differing[0]], True, [float(getattr(load, differing[0])) for load in loads]
    return "load", False, [float(i) for i in range(len(loads))]
