"""tables: golden text, as people read it."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from dnslab.analyse.intervals import Interval, Verdict
from dnslab.analyse.summary import NotApplicable, Row, Summary
from dnslab.explain.comparison import MEASURES, ComparedRow, between_runs
from dnslab.explain.tables import against_baseline, by_configuration, side_by_side
from dnslab.plan.model import Load
from dnslab.text import Table, milliseconds, percent, plain

ROW = Row(
    variant="baseline", target="glibc", load=0, libc="glibc", rounds=9, n=8893, failed=0, partial=2, stalls=587,
    flagged_stalls=587, slow=587, over_limit=587, exhausted=0, late=0, rcvbuf_errors=0, stalls_share=0.066,
    slow_share=0.066, failed_share=0.0, partial_share=0.0, over_limit_share=0.066, min_ms=0.179, avg_ms=331.4,
    max_ms=5008.0, p50_ms=0.416, p99_ms=5005.2, p999_ms=math.inf, stall_step_s=5.0,
    stalls_at={"5": 580, "10": 5}, stalls_elsewhere=2,
    stall_ms=4500.0, deadline_ms=16_000.0, exposed_counted=13007, exposed_modelled=None, exposed_share=None,
    flagged_share=1.0, stalls_upper=None, stalls_upper_rounds=None, spread=1.0, lookups_per_s=198.4,
    intervals={
        **dict.fromkeys(("stalls_share", "slow_share"), Interval(0.066, 0.06, 0.0717)),
        "failed_share": Interval(0.0, 0.0, 0.0),
    }, effects={}, verdicts={}, by_round=[],
)  # fmt: skip


def summary_of(*rows: Row | NotApplicable, n_loads: int = 1) -> Summary:
    loads = tuple(Load(rate_per_s=100.0 * (i + 1)) for i in range(n_loads))
    return Summary("run", "none", "lab", loads, rows, (), 9, 4900.0)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0"), (0.0172, "1.7 %"), (1.0, "100 %"), (0.9996, "99.96 %"), (0.0000123, "0.0012 %"), (math.nan, "")],
)
def test_percent(share: float, text: str) -> None:
    assert plain(percent(share)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.2134, "0.21"), (7.25, "7.2"), (5012.3, "5,012"), (math.inf, "failed"), (math.nan, "")]
)
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_by_configuration() -> None:
    clean = replace(
        ROW,
        variant="use-vc",
        stalls=0,
        stalls_share=0.0,
        stalls_upper=0.000334,
        exposed_counted=None,
        exposed_modelled=8800.4,
        flagged_share=None,
        stalls_at=None,
        stalls_elsewhere=None,
    )
    ignored = NotApplicable("use-vc", "musl", 0, "musl", "musl ignores use-vc")
    table = by_configuration(summary_of(ROW, clean, ignored))
    first, second, third = table.frame.to_dict("records")
    assert plain(first["stalled (95 %)"]) == "6.6 % (6.0 to 7.2)"
    assert plain(first["≥ 1 s"]) == "6.6 %"
    assert (first["flagged"], first["p99.9 ms"], first["≥ 4900 ms"], first["exposed"]) == (
        percent(1.0),
        "failed",
        "587",
        "13,007",
    )
    assert (plain(second["stalled (95 %)"]), second["flagged"]) == ("none (below 0.04 %)", "")
    assert (first["stalls at"], second["stalls at"]) == ("5 s 580, 10 s 5, else 2", "")
    assert second["exposed"] == "8,800 (model)"
    assert third["exposed"] == "not applicable: musl ignores use-vc"
    assert "class='reason'" in table._repr_html_()
    narrow = table.to_text(80).splitlines()
    assert max(map(len, narrow)) <= 82  # pandas ends a wrapped line with two characters
    assert sum(line.startswith("baseline") for line in narrow) > 1  # each part has the names


def test_against_baseline() -> None:
    changes = {
        "slow_share": Interval(-0.066, -0.0717, -0.0604),
        "failed_share": Interval(0.0, 0.0, 0.0),
        "p50_ms": Interval(0.246, 0.237, 0.256),
        "p99_ms": Interval(-5003.0, math.nan, math.nan),
        "p999_ms": Interval(0.0, -1.0, 1.0),
    }
    verdicts = {"slow_share": Verdict("no difference shown", 0.0123, 0.2)}
    compared = replace(ROW, variant="use-vc", effects=changes, verdicts=verdicts)
    (row,) = against_baseline(summary_of(ROW, compared, n_loads=2)).frame.to_dict("records")
    assert row == {
        "configuration": "use-vc",
        "target": "glibc",
        "load": "100/s (poisson)",
        "≥ 1 s": "not shown: lower by itself, not sure among all that are compared",
        "≥ 1 s, points": "−6.6 (−7.2 to −6.0)",
        "failed, points": "0 (0 to 0)",
        "p50 ms": "+0.25 (+0.24 to +0.26)",
        "p99 ms": "−5,000",
        "p99.9 ms": "0 (−1.0 to +1.0)",
    }
    assert against_baseline(summary_of(ROW))._repr_html_() == ""


def test_rounding_noise_is_nothing() -> None:
    effect = Interval(-3e-16, -3e-16, 3e-16)
    effects = dict.fromkeys((key for _, key in MEASURES), effect)
    verdicts = dict.fromkeys(effects, Verdict("no difference shown", 3e-16, 1.0))
    row = ComparedRow("after", "glibc", None, ROW, ROW, effects, verdicts)
    frame = between_runs([row], ["a"], several=False).frame
    assert set(frame["change (95 %), points or ms"]) == {"0 (0 to 0)"}
    assert set(frame["verdict"]) == {"no difference over 0 points shown", "no difference over 0 ms shown"}


def test_side_by_side() -> None:
    """A configuration's rows below each other; what only one run has stays, with empty cells."""
    one = pd.DataFrame({"configuration": ["a", "b"], "target": "glibc", "≥ 4900 ms": ["1", "2"], "exposed": ["", "7"]})
    two = pd.DataFrame({"configuration": ["c", "a"], "target": "glibc", "≥ 5000 ms": ["3", "4"], "exposed": ["8", ""]})
    table = side_by_side({"before": Table(one, "figures"), "after": Table(two, "figures")})
    assert list(table.frame) == ["configuration", "run", "target", "≥ 4900 ms", "≥ 5000 ms", "exposed"]
    assert table.frame.to_numpy().tolist() == [
        ["a", "before", "glibc", "1", "", ""],
        ["a", "after", "glibc", "", "4", ""],
        ["b", "before", "glibc", "2", "", "7"],
        ["c", "after", "glibc", "", "3", "8"],
    ]
