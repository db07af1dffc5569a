"""tables: golden text, as people read it."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from dnslab.analyse.intervals import Interval, Verdict
from dnslab.explain.tables import MEASURES, Table, changes, effects, figures, milliseconds, percent, side_by_side

ROW: dict[str, Any] = {
    "variant": "baseline", "target": "glibc", "load": 0, "not_applicable": None, "n": 8893, "stalls": 587,
    "stalls_share": 0.066, "stalls_upper": None, "flagged_share": 1.0, "slow_share": 0.066, "failed": 0, "partial": 2,
    "p50_ms": 0.416, "p99_ms": 5005.2, "p999_ms": math.inf, "min_ms": 0.179, "avg_ms": 331.4, "max_ms": 5008.0,
    "over_limit": 587, "lookups_per_s": 198.4, "exposed_counted": 13007, "exposed_modelled": None, "effects": None,
    "intervals": {"stalls_share": Interval(0.066, 0.06, 0.0717)}, "stalls_at": {"5": 580, "10": 5},
    "stalls_elsewhere": 2,
}  # fmt: skip


@pytest.mark.parametrize(("share", "text"), [(0.0, "0"), (0.0172, "1.72 %"), (1.0, "100 %"), (math.nan, "")])
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.2134, "0.213"), (5012.3, "5,012"), (math.inf, "failed"), (math.nan, "")]
)
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_figures() -> None:
    clean = {
        **ROW,
        "variant": "use-vc",
        "stalls": 0,
        "stalls_share": 0.0,
        "stalls_upper": 0.000334,
        "exposed_counted": None,
    }
    clean |= {"exposed_modelled": 8800.4, "flagged_share": None, "stalls_at": None, "stalls_elsewhere": None}
    ignored = {
        "variant": "use-vc",
        "target": "musl",
        "load": 0,
        "not_applicable": "musl ignores use-vc",
        "effects": None,
    }
    table = figures([ROW, clean, ignored], ["200/s (poisson)"], 4900.0)
    first, second, third = table.frame.to_dict("records")
    assert first["stalled (95 %)"] == "6.6 % (6 to 7.2)"
    assert (first["flagged"], first["p99.9 ms"], first["≥ 4900 ms"], first["exposed"]) == (
        "100 %",
        "failed",
        "587",
        "13,007",
    )
    assert (second["stalled (95 %)"], second["flagged"]) == ("0 (< 0.0334 %)", "")
    assert (first["stalls at"], second["stalls at"]) == ("5 s 580, 10 s 5, else 2", "")
    assert second["exposed"] == "8,800 (model)"
    assert third["exposed"] == "not applicable: musl ignores use-vc"
    assert "class='reason'" in table._repr_html_()
    narrow = table.to_text(80).splitlines()
    assert max(map(len, narrow)) <= 82  # pandas ends a wrapped line with two characters
    assert sum(line.startswith("baseline") for line in narrow) > 1  # each part has the names


def test_effects() -> None:
    changes = {
        "slow_share": Interval(-0.066, -0.0717, -0.0604),
        "failed_share": Interval(0.0, 0.0, 0.0),
        "p50_ms": Interval(0.246, 0.237, 0.256),
        "p99_ms": Interval(-5003.0, math.nan, math.nan),
        "p999_ms": Interval(0.0, -1.0, 1.0),
    }
    said = {"slow_share": Verdict("no difference shown", 0.0123, 0.2)}
    (row,) = effects(
        [ROW, {**ROW, "variant": "use-vc", "effects": changes, "verdicts": said}], ["a", "b"]
    ).frame.to_dict("records")
    assert row == {
        "configuration": "use-vc",
        "target": "glibc",
        "load": "a",
        "≥ 1 s": "no difference over 1.2 points shown",
        "≥ 1 s, points": "-6.6 (-7.17 to -6.04)",
        "failed, points": "0 (+0 to +0)",
        "p50 ms": "+0.246 (+0.237 to +0.256)",
        "p99 ms": "-5,003",
        "p99.9 ms": "0 (-1 to +1)",
    }
    assert effects([ROW], ["a"])._repr_html_() == ""


def test_rounding_noise_is_nothing() -> None:
    effect = Interval(-3e-16, -3e-16, 3e-16)
    told = dict.fromkeys((key for _, key in MEASURES), effect)
    verdict = dict.fromkeys(told, Verdict("no difference shown", 3e-16, 1.0))
    side = {**ROW, "failed_share": 0.0}
    row = {**side, "before": side, "after": side, "effects": told, "verdicts": verdict}
    frame = changes([row], ["a"], several=False).frame
    assert set(frame["change (95 %), points or ms"]) == {"0 (+0 to +0)"}
    assert set(frame["verdict"]) == {"no difference over 0 points shown", "no difference over 0 ms shown"}


def test_figures_side_by_side() -> None:
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
