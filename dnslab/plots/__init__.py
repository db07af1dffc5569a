"""Figures: from frame to figure. Each carries a text alternative that states its main number."""

from dnslab.plots.base import Figure, Remark
from dnslab.plots.panels import latency_by_round, stall_raster
from dnslab.plots.remedies import cost_of_remedies, effects_against_baseline
from dnslab.plots.sweeps import sweep
from dnslab.plots.tails import ecdf
from dnslab.plots.targets import stalls_by_target
from dnslab.plots.times import over_the_run, stalls_over_time

__all__ = [
    "Figure",
    "Remark",
    "cost_of_remedies",
    "ecdf",
    "effects_against_baseline",
    "latency_by_round",
    "over_the_run",
    "stall_raster",
    "stalls_by_target",
    "stalls_over_time",
    "sweep",
]
