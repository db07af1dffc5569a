"""Figures: each has its numbers in a table, equal to the summary's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.sketches import sketches
from dnslab.analyse.summary import summarise
from dnslab.analyse.timeline import stalls_per_second
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.present.pictures.base import MAX_CURVES, Figure, new_figure, wrapped
from dnslab.present.pictures.curve_labels import CELL, name_curves
from dnslab.present.pictures.ecdf import ecdf
from dnslab.present.pictures.times import stalls_over_time
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
    assert [line["baseline"] for line in shown] == ["0", percent(1.0), *["0"] * 7]


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
        assert f"{14 - MAX_CURVES} curves with fewer stalls are not." in figure.caption
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
            stalls_over_time(stalls_per_second(run), summary),
        ]
        assert all(one._repr_html_() for one in shown)
    assert "Every lookup failed with baseline on glibc" in ecdf(sketches(half), summarise(half)).caption
    assert "use-vc (glibc)" not in ecdf(sketches(half), summarise(half)).caption


def test_long_targets_are_short_in_pictures() -> None:
    """What tells pods apart stays: their own name, and that of their node."""
    name = "use-vc (web-6f7c@ip-10-0-12-17.eu-central-1.compute.internal)"
    assert wrapped(name, 22) == "use-vc\n(web-6f7c\n@ip-10-0-12-17)"
    assert wrapped("baseline (debian@10.0.12.17)", 22) == "baseline\n(debian@10.0.12.17)"
    assert wrapped("checkout-service-7d4b9c6f5d-x2x7p", 22) == "checkout-se…6f5d-x2x7p"
