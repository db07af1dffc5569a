"""Settle which DNS resolver configuration stalls, how often and why: by measuring every lookup.

The few names that notebooks use are here; each is imported when it is first asked for, so that measuring needs no
pandas and reading no lab.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnslab.analyse.costs import costs as costs
    from dnslab.analyse.dataset import open_run as open_run
    from dnslab.analyse.sketches import sketches as sketches
    from dnslab.analyse.summary import summarise as summarise
    from dnslab.analyse.timeline import run_slices as run_slices, stalls_per_second as stalls_per_second
    from dnslab.experiment.compare import (
        obtain_run as obtain_run,
        obtain_runs as obtain_runs,
        resume as resume,
        run as run,
    )
    from dnslab.experiment.diagnosed import obtain_diagnosis as obtain_diagnosis
    from dnslab.experiment.verify import obtain_verification as obtain_verification, verify as verify
    from dnslab.explain.closeup import follow as follow
    from dnslab.explain.compare import compare as compare
    from dnslab.explain.findings import findings_of as findings_of
    from dnslab.explain.overview import headlines as headlines, side_by_side as side_by_side
    from dnslab.explain.soundness import examine as examine
    from dnslab.explain.tables import against_baseline as against_baseline, by_configuration as by_configuration
    from dnslab.notebook import (
        BeforeAfterParameters as BeforeAfterParameters,
        CompareParameters as CompareParameters,
        DiagnoseParameters as DiagnoseParameters,
        ExploreParameters as ExploreParameters,
        MatrixParameters as MatrixParameters,
        VerifyParameters as VerifyParameters,
    )
    from dnslab.plan.model import Plan as Plan
    from dnslab.present.page import diagnosis_page as diagnosis_page, page as page
    from dnslab.present.pictures.ecdf import ecdf as ecdf
    from dnslab.present.pictures.sweep import sweep as sweep
    from dnslab.present.pictures.times import stalls_over_time as stalls_over_time
    from dnslab.present.report import measured_on as measured_on, render as render

#: where each name is
_HOME = {
    "against_baseline": "explain.tables",
    "by_configuration": "explain.tables",
    "BeforeAfterParameters": "notebook",
    "CompareParameters": "notebook",
    "DiagnoseParameters": "notebook",
    "ExploreParameters": "notebook",
    "MatrixParameters": "notebook",
    "Plan": "plan.model",
    "VerifyParameters": "notebook",
    "compare": "explain.compare",
    "costs": "analyse.costs",
    "diagnosis_page": "present.page",
    "ecdf": "present.pictures.ecdf",
    "examine": "explain.soundness",
    "findings_of": "explain.findings",
    "follow": "explain.closeup",
    "headlines": "explain.overview",
    "measured_on": "present.report",
    "obtain_diagnosis": "experiment.diagnosed",
    "obtain_run": "experiment.compare",
    "obtain_runs": "experiment.compare",
    "obtain_verification": "experiment.verify",
    "open_run": "analyse.dataset",
    "page": "present.page",
    "render": "present.report",
    "resume": "experiment.compare",
    "run": "experiment.compare",
    "run_slices": "analyse.timeline",
    "side_by_side": "explain.overview",
    "sketches": "analyse.sketches",
    "stalls_over_time": "present.pictures.times",
    "stalls_per_second": "analyse.timeline",
    "summarise": "analyse.summary",
    "sweep": "present.pictures.sweep",
    "verify": "experiment.verify",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
