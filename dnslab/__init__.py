"""Settle which DNS resolver configuration stalls, how often and why: by measuring every lookup.

The few names that notebooks use are here; each is imported when it is first asked for, so that measuring needs no
pandas and reading no lab.
"""

from __future__ import annotations

import importlib

_HOME = {
    "BeforeAfterParameters": "notebook",
    "CompareParameters": "notebook",
    "ExploreParameters": "notebook",
    "MatrixParameters": "notebook",
    "Plan": "plan",
    "compare": "comparison",
    "conclude": "findings",
    "cost_of_remedies": "plots",
    "costs": "costs",
    "ecdf": "plots",
    "effects_against_baseline": "plots",
    "find_vetoes": "validity",
    "follow": "closeup",
    "headlines": "overview",
    "latency_by_round": "plots",
    "measured_on": "report",
    "obtain_run": "notebook",
    "obtain_runs": "notebook",
    "open_run": "dataset",
    "over_the_run": "plots",
    "render": "report",
    "run": "notebook",
    "run_slices": "timeline",
    "side_by_side": "overview",
    "sketches": "stats",
    "stall_marks": "timeline",
    "stall_raster": "plots",
    "stalls_by_target": "plots",
    "stalls_over_time": "plots",
    "stalls_per_second": "stats",
    "summarise": "stats",
    "sweep": "plots",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
