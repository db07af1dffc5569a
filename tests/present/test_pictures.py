"""Figures: each has its numbers in a table, equal to the summary's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dnslab.analyse.costs import costs
from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.rounds import latencies, usual
from dnslab.analyse.sketches import sketches
from dnslab.analyse.summary import summarise
from dnslab.analyse.timeline import N_LANES, N_TIMES, run_slices, stall_marks, stalls_per_second
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.present.pictures.base import MAX_CURVES, Figure, Remark, new_figure, wrapped
from dnslab.present.pictures.curve_labels import CELL, name_curves
from dnslab.present.pictures.ecdf import ecdf
from dnslab.present.pictures.effects import cost_of_remedies, effects_against_baseline
from dnslab.present.pictures.panels import latency_by_round, stall_raster
from dnslab.present.pictures.targets import stalls_by_target
from dnslab.present.pictures.times import over_the_run, stalls_over_time
from dnslab.text import milliseconds, percent
from tests.runs import GLIBC, MUSL, rows, write_run


def made(
    path: Path, lookups: dict[tuple[Any, ...], Any], rounds: int = 3, known: Any = (GLIBC, MUSL), **load: Any
) -> Run:
    """A run of a load of 100/s with these lookups; one trial a second of 100 lookups."""
    plan = Plan(
        variants=tuple(dict.fromkeys(key[0] for key in lookups)),
        rounds=rounds,
        loads=(Load.model_validate({"rate_per_s": 100, "duration_s": 1, "warmup_s": 0, **load}),),
    )
    return open_run(write_run(path, plan, lookups, known=known))


def raced(path: Path) -> Run:
    """Baseline stalls in 5 % on glibc and 3 % on musl, use-vc fails in 2 %."""
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in (1, 2, 3):
        lookups["baseline", "glibc", number] = rows([0.5] * 95 + [5004.0] * 5)
        failing = rows([1.0] * 100)
        failing["outcome"][:2] = -3
        lookups["use-vc", "glibc", number] = failing
        lookups["baseline", "musl", number] = rows([0.4] * 97 + [2504.0] * 3)
    return made(path, lookups)


def lines(figure: Any) -> list[dict[str, str]]:
    assert isinstance(figure, Figure)
    return figure.table.frame.to_dict("records")  # type: ignore[return-value]


def test_the_quantiles_of_a_curve_are_the_summarys(tmp_path: Path) -> None:
    run = raced(tmp_path / "run")
    summary = summarise(run)
    shown = lines(ecdf(sketches(run), summary))
    assert [(line["configuration"], line["target"]) for line in shown] == [
        ("baseline", "glibc"),
        ("baseline", "musl"),
        ("use-vc", "glibc"),
    ]
    for line in shown:
        row = summary.row(line["configuration"], line["target"])
        assert row
        for column, key in (("p50, ms", "p50_ms"), ("p99, ms", "p99_ms"), ("p99.9, ms", "p999_ms")):
            assert line[column] == milliseconds(getattr(row, key))
        assert line["failed"] == percent(row.failed_share)
    assert [line["p99, ms"] for line in shown] == ["5,004", "2,504", "failed"]


def test_quantiles_hold_for_many_different_lookups(tmp_path: Path) -> None:
    run = made(tmp_path / "run", {("baseline", "glibc", n): rows([i + 1.0 for i in range(20_000)]) for n in (1, 2, 3)})
    (line,) = lines(ecdf(sketches(run), summarise(run)))
    found = [line[f"{name}, ms"] for name in ("p50", "p90", "p99", "p99.9", "p99.99")]
    assert found == ["10,000", "18,000", "19,800", "19,980", "19,998"]
    assert line["slowest answered, ms"] == "20,000"


def test_a_long_trial_has_ten_lines(tmp_path: Path) -> None:
    """25 s, in which seconds 3 to 5 stall whole."""
    stalled = [5004.0 if 300 <= i < 600 else 0.5 for i in range(2_500)]
    run = made(tmp_path / "run", {("baseline", "glibc", n): rows(stalled) for n in (1, 2, 3)}, duration_s=25)
    shown = lines(stalls_over_time(stalls_per_second(run), summarise(run)))
    assert [line["second"] for line in shown] == [
        "0 to 3",
        "3 to 6",
        *(f"{i} to {i + 3}" for i in range(6, 24, 3)),
        "24 to 25",
    ]
    assert [line["baseline"] for line in shown] == ["0", "100 %", *["0"] * 7]


def test_rounds_have_their_shares_and_times(tmp_path: Path) -> None:
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in range(1, 13):
        lookups["baseline", "glibc", number] = rows([0.5] * 98 + [5004.0] * 2)
        if number < 9:
            lookups["use-vc", "glibc", number] = rows([0.5] * 100, outcome=-3 if number == 4 else 0)
    shown = lines(over_the_run(run_slices(made(tmp_path / "run", lookups, rounds=12))))
    assert shown[1] == {"round": "3 to 4 (from 0:40)", "baseline": "2 %", "use-vc": "50 %"}
    assert shown[-1] == {"round": "11 to 12 (from 3:20)", "baseline": "2 %", "use-vc": ""}
    assert len(shown) == 6


def test_targets_have_the_bounds_that_are_drawn(tmp_path: Path) -> None:
    summary = summarise(raced(tmp_path / "run"))
    shown = lines(stalls_by_target(summary))
    interval = summary.measured()[0].intervals["stalls_share"]
    assert shown[0] == {
        "target": "glibc",
        "configuration": "baseline",
        "stalled": "5 %",
        "from": percent(interval.low),
        "to": percent(interval.high),
        "failed": "0",
    }
    assert shown[1]["failed"] == "2 %"


def test_effects_carry_interval_and_verdict(tmp_path: Path) -> None:
    """Of nine rounds, so that verdicts can be given."""
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in range(1, 10):
        lookups["baseline", "glibc", number] = rows([0.5 + number / 100] * 90 + [5004.0] * 10)
        lookups["use-vc", "glibc", number] = rows([1.5 + number / 100] * 100)
        lookups["single-request", "glibc", number] = rows([0.5 + number / 100] * 90 + [5004.0] * 10)
    summary = summarise(made(tmp_path / "run", lookups, rounds=9))
    figure = effects_against_baseline(summary)
    shown = {(line["measure"].split(",")[0], line["configuration"]): line for line in lines(figure)}
    assert len(shown) == 6
    assert shown["p50 of response time", "use-vc"]["against baseline (95 %)"] == "+1 (+1 to +1)"
    assert shown["p50 of response time", "use-vc"]["verdict"] == "higher"
    share = shown["share at or over 1 s", "use-vc"]
    assert share["against baseline (95 %)"].startswith("-10 (-")
    assert share["verdict"] == "lower"
    assert shown["share at or over 1 s", "single-request"]["against baseline (95 %)"].startswith("0 (")
    assert shown["share at or over 1 s", "single-request"]["verdict"] == "no difference shown"
    assert isinstance(figure, Figure)
    assert "use-vc: share at or over 1 s -10 (" in figure.alt
    assert "p50 of response time +1 (+1 to +1) ms, higher" in figure.alt


def test_of_many_effects_the_largest_are_drawn(tmp_path: Path) -> None:
    nodes = [TargetInfo(f"node-{number:02d}", "glibc", "2.36") for number in range(14)]
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in (1, 2, 3):
        for i, node in enumerate(nodes):
            lookups["baseline", node.name, number] = rows([0.5] * 100)
            lookups["use-vc", node.name, number] = rows([2000.0] * i + [0.5 + i / 100] * (100 - i))
    run = made(tmp_path / "run", lookups, known=nodes)
    for figure in (
        effects_against_baseline(summarise(run)),
        cost_of_remedies(costs(run, summarise(run)), summarise(run)),
    ):
        assert isinstance(figure, Figure)
        assert " 6 more are not drawn" in figure.caption
        assert "node-13" in figure.alt
    assert "node-01" not in effects_against_baseline(summarise(run)).alt  # type: ignore[union-attr]


def test_the_cost_says_what_was_not_counted(tmp_path: Path) -> None:
    run = raced(tmp_path / "run")
    figure = cost_of_remedies(costs(run, summarise(run)), summarise(run))
    assert [line["asked of the servers, a lookup"] for line in lines(figure)] == ["not counted"] * 2
    assert [line["p50 against baseline, ms (95 %)"] for line in lines(figure)] == ["", "+0.5 (+0.5 to +0.5)"]
    assert isinstance(figure, Figure)
    assert "use-vc: p50 +0.5 (+0.5 to +0.5) ms, asked of the servers for each lookup not counted" in figure.alt


def test_without_a_comparison_there_is_a_remark(tmp_path: Path) -> None:
    alone = made(tmp_path / "alone", {("baseline", "glibc", 1): rows([0.5] * 10)}, rounds=1)
    lookups = {(name, "glibc", 1): rows([0.5] * 10) for name in ("baseline", "use-vc")}
    closed = made(tmp_path / "closed", lookups, rounds=1, loop="closed", rate_per_s=None)
    for run, says in ((alone, "Nothing was measured beside baseline"), (closed, "A closed loop")):
        summary = summarise(run)
        for shown in (effects_against_baseline(summary), cost_of_remedies(costs(run, summary), summary)):
            assert isinstance(shown, Remark)
            assert says in shown.text


def test_too_few_rounds_have_no_bounds(tmp_path: Path) -> None:
    lookups = {(name, "glibc", 1): rows([0.5] * 10) for name in ("baseline", "use-vc")}
    shown = lines(effects_against_baseline(summarise(made(tmp_path / "run", lookups, rounds=1))))
    assert [(line["against baseline (95 %)"], line["verdict"]) for line in shown] == [("0", "too few rounds")] * 3


def test_a_raster_tells_all_at_once_from_one_by_one(tmp_path: Path) -> None:
    """Of baseline ten workers stall at one instant of the second round, of use-vc ten over two seconds."""
    burst = rows([0.5] * 100 + [5004.0] * 10 + [0.5] * 90, worker=range(200))
    burst["intended_ns"][100:110] = burst["intended_ns"][100]
    spread = rows([5004.0 if i % 20 == 0 else 0.5 for i in range(200)], worker=range(200))
    spread["outcome"][:3] = -3
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in (1, 2):
        lookups["baseline", "glibc", number] = burst if number == 2 else rows([0.5] * 200)
        lookups["use-vc", "glibc", number] = spread
        lookups["single-request", "glibc", number] = rows([0.5] * 200)
    run = made(tmp_path / "run", lookups, rounds=2, duration_s=2, workers=200)
    marks = stall_marks(run)
    own = marks[marks["variant"] == "baseline"]
    assert own["stalls"].tolist() == [4, 4, 2]  # workers 100 to 109, four to a cell
    assert own["worker"].tolist() == [101.5, 105.5, 109.5]
    assert own["at_s"].tolist() == [own["width_s"].iloc[0] * (N_TIMES / 2 + 0.5)] * 3
    figure = stall_raster(marks, summarise(run))
    first, second = lines(figure)
    assert (first["configuration"], first["stalls"], first["failed"]) == ("use-vc", "20", "6")
    assert (second["configuration"], second["stalls"], second["failed"]) == ("baseline", "10", "0")
    assert first["most stalls at once"] == "1 in 8.33 ms"
    assert second["most stalls at once"] == "10 in 8.33 ms"
    assert isinstance(figure, Figure)
    assert figure.caption.endswith("Without a mark: single-request.")


def test_a_million_stalls_make_a_small_picture(tmp_path: Path) -> None:
    n = 500_000
    stalling = rows([5004.0] * n, worker=[i * 7 % 1000 for i in range(n)])
    stalling["intended_ns"] = stalling["start_ns"] = [i * 2_000 for i in range(n)]
    stalling["end_ns"] = stalling["start_ns"] + 5_004_000_000
    lookups = {("baseline", "glibc", number): stalling for number in (1, 2)}
    run = made(tmp_path / "run", lookups, rounds=2, workers=1000)
    marks = stall_marks(run)
    assert marks["stalls"].sum() == 2 * n
    assert len(marks) <= N_TIMES * N_LANES
    figure = stall_raster(marks, summarise(run))
    assert isinstance(figure, Figure)
    assert len(figure.png) < 300_000
    assert lines(figure)[0]["stalls"] == "1,000,000"


def test_no_stall_no_raster(tmp_path: Path) -> None:
    quiet = made(tmp_path / "quiet", {("baseline", "glibc", 1): rows([0.5] * 10)}, rounds=1)
    plain = made(tmp_path / "plain", {("baseline", "glibc", 1): rows([5004.0] * 10)}, rounds=1, engine="wire")
    for run, says in ((quiet, "Nothing stalled or failed"), (plain, "without workers")):
        shown = stall_raster(stall_marks(run), summarise(run))
        assert isinstance(shown, Remark)
        assert says in shown.text


def test_a_lone_bad_round_is_named(tmp_path: Path) -> None:
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in range(1, 6):
        lookups["baseline", "glibc", number] = rows([1.0] * 97 + [300.0 if number == 4 else 3.0] * 3)
        lookups["use-vc", "glibc", number] = rows([2.0] * 100)
    summary = summarise(made(tmp_path / "run", lookups, rounds=5))
    figure = latency_by_round(summary)
    first, second = lines(figure)
    assert (first["highest p99, ms"], first["in round"]) == ("300", "4")
    assert first["p50 of a usual round, ms (95 %)"] == "1 (1 to 1)"
    assert second["p99 of a usual round, ms (95 %)"] == "2 (2 to 2)"
    assert isinstance(figure, Figure)
    assert "highest 300 ms in round 4" in figure.alt
    own = latencies(summary)
    assert own[own["variant"] == "baseline"]["p99_ms"].tolist() == [3.0, 3.0, 3.0, 300.0, 3.0]


def test_a_usual_round_is_a_factor_not_a_sum() -> None:
    """1, 10 and 100: by hand, 10 times or through the exponential of t(2) = 4.3027 standard errors of the logarithm."""
    found = usual(pd.Series([1.0, 10.0, 100.0]))
    half = 4.3027 * math.log(10) / math.sqrt(3)
    assert found.estimate == pytest.approx(10)
    assert (found.low, found.high) == pytest.approx((10 * math.exp(-half), 10 * math.exp(half)), rel=1e-3)
    assert math.isnan(usual(pd.Series([1.0, 2.0])).low)


def test_failed_rounds_count_at_the_deadline(tmp_path: Path) -> None:
    lookups = {("baseline", "glibc", number): rows([0.5] * 10, outcome=-3) for number in (1, 2, 3)}
    (line,) = lines(latency_by_round(summarise(made(tmp_path / "run", lookups))))
    assert line["highest p99, ms"] == "16,000"


def test_one_round_is_not_followed(tmp_path: Path) -> None:
    run = made(tmp_path / "run", {("baseline", "glibc", 1): rows([0.5] * 10)}, rounds=1)
    shown = latency_by_round(summarise(run))
    assert isinstance(shown, Remark)
    assert "one round only" in shown.text


def named(curves: dict[str, tuple[list[float], list[float]]]) -> Any:
    """Axes with these curves, named."""
    figure = new_figure(5)
    axes = figure.subplots()
    drawn = [line for name, points in curves.items() for line in axes.plot(*points, label=name)]
    name_curves(figure, axes, drawn)
    figure.draw_without_rendering()
    return axes


def test_names_stand_free_and_near_their_curve() -> None:
    """Two curves that share all but their last third, and one far off: by what is drawn, not by where it was put."""
    curves = {
        "upper": ([0.0, 2.0, 3.0], [5.0, 5.0, 9.0]),
        "lower": ([0.0, 2.0, 3.0], [5.0, 5.0, 2.0]),
        "a name that is rather long (glibc)": ([0.0, 3.0], [0.0, 0.0]),
    }
    axes = named(curves)
    assert axes.figure.legends == []
    boxes = {text.get_text().replace("\n", " "): text.get_window_extent() for text in axes.texts}
    assert set(boxes) == set(curves)
    for name, box in boxes.items():
        assert not any(box.overlaps(other) for key, other in boxes.items() if key != name)
        assert axes.get_window_extent().padded(1).containsx(box.x0)
        assert axes.get_window_extent().padded(1).containsx(box.x1)
        drawn = {
            key: axes.transData.transform(list(zip(*dense(points), strict=True))) for key, points in curves.items()
        }
        assert not any(box.contains(*dot) for dots in drawn.values() for dot in dots)
        away = {key: min(distance(box, dot) for dot in dots) for key, dots in drawn.items()}
        assert away[name] == min(away.values())
        assert away[name] < 10 * CELL


def dense(points: tuple[list[float], list[float]]) -> tuple[Any, Any]:
    at = np.linspace(points[0][0], points[0][-1], 400)
    return at, np.interp(at, *points)


def distance(box: Any, dot: Any) -> float:
    return math.hypot(max(box.x0 - dot[0], 0, dot[0] - box.x1), max(box.y0 - dot[1], 0, dot[1] - box.y1))


def test_where_names_find_no_place_there_is_a_legend() -> None:
    """A line that goes to and fro all over the axes."""
    at = [i / 200 for i in range(201)]
    curves = {"to and fro": (at, [float(i % 2) for i in range(201)]), "through": ([0.0, 1.0], [0.5, 0.5])}
    axes = named(curves)
    assert not axes.texts
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(curves)


def test_nothing_to_name() -> None:
    assert named({}).figure.legends == []


def test_what_never_stalls_is_told_and_not_drawn(tmp_path: Path) -> None:
    """Alternatives and tables keep it."""
    run = raced(tmp_path / "run")
    figure = stalls_over_time(stalls_per_second(run), summarise(run))
    assert "use-vc on glibc: 0 stalls" in figure.alt
    assert [line["use-vc (glibc)"] for line in lines(figure)] == ["0"]


def test_long_names_break_where_they_are_read() -> None:
    assert wrapped("node-local+single-request-reopen (glibc)", 22) == "node-local+\nsingle-request-reopen\n(glibc)"
    assert wrapped("use-vc (glibc)", 22) == "use-vc (glibc)"
    assert wrapped("no difference shown", 13) == "no difference\nshown"


def test_of_many_curves_the_worst_are_drawn(tmp_path: Path) -> None:
    nodes = [TargetInfo(f"node-{number:02d}", "glibc", "2.36") for number in range(14)]
    lookups = {("baseline", node.name, 1): rows([0.5] * (100 - i) + [5004.0 + i] * i) for i, node in enumerate(nodes)}
    run = made(tmp_path / "run", lookups, rounds=1, known=nodes)
    for figure in (ecdf(sketches(run), summarise(run)), stalls_over_time(stalls_per_second(run), summarise(run))):
        assert f" {14 - MAX_CURVES} more curves are not drawn: the worst are." in figure.caption
        assert "node-13" in figure.table.frame.to_string()
        assert "node-03" not in figure.table.frame.to_string()


def test_every_figure_of_runs_with_little_to_show(tmp_path: Path) -> None:
    """Every lookup failed; one configuration did; nothing was measured at all."""
    failed, fine = rows([0.5] * 10, outcome=-3), rows([0.5] * 10)
    lost = made(tmp_path / "lost", {("baseline", "glibc", number): failed for number in (1, 2, 3)})
    lookups = {("baseline", "glibc", number): failed for number in (1, 2, 3)}
    half = made(tmp_path / "half", lookups | {("use-vc", "glibc", number): fine for number in (1, 2, 3)})
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    empty = open_run(write_run(tmp_path / "empty", plan, {}))
    for run in (lost, half, empty):
        summary = summarise(run)
        shown = [
            ecdf(sketches(run), summary),
            effects_against_baseline(summary),
            cost_of_remedies(costs(run, summary), summary),
            latency_by_round(summary),
            stalls_over_time(stalls_per_second(run), summary),
            stall_raster(stall_marks(run), summary),
            over_the_run(run_slices(run)),
            stalls_by_target(summary),
        ]
        assert all(one._repr_html_() for one in shown)
    assert "without a curve: baseline on glibc." in ecdf(sketches(half), summarise(half)).caption
    assert "use-vc (glibc)" not in ecdf(sketches(half), summarise(half)).caption
    (line,) = lines(stall_raster(stall_marks(half), summarise(half)))
    assert (line["stalls"], line["failed"]) == ("0", "30")


def test_long_targets_are_short_in_pictures() -> None:
    """What tells pods apart stays: their own name, and that of their node."""
    name = "use-vc (web-6f7c@ip-10-0-12-17.eu-central-1.compute.internal)"
    assert wrapped(name, 22) == "use-vc\n(web-6f7c\n@ip-10-0-12-17)"
    assert wrapped("baseline (debian@10.0.12.17)", 22) == "baseline\n(debian@10.0.12.17)"
    assert wrapped("checkout-service-7d4b9c6f5d-x2x7p", 22) == "checkout-se…6f5d-x2x7p"
