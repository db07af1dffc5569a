"""Runs and files full of hostile text, shown in every way there is: what comes out is visible and has no force."""

from __future__ import annotations

import contextlib
import csv
import html
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dnslab
from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.sketches import sketches
from dnslab.analyse.summary import summarise
from dnslab.analyse.timeline import stalls_per_second
from dnslab.cli import cli, main
from dnslab.explain.closeup import follow
from dnslab.explain.compare import compare
from dnslab.explain.findings import findings_of
from dnslab.explain.gates import decide
from dnslab.explain.overview import headlines, side_by_side
from dnslab.explain.soundness import examine
from dnslab.imports.readers import load
from dnslab.imports.summary import summarise_imported
from dnslab.measure.display import _table, line
from dnslab.measure.progress import ClientProgress, Progress
from dnslab.plan.schedule import Trial
from dnslab.present.exports import csv_text, export
from dnslab.present.pictures.base import drawable, new_figure, plain_numbers, to_png
from dnslab.present.report import measured_on, render
from dnslab.present.terminal import print_summary
from tests.hostile import HOSTILE, acting, hostile_run, opened_with_hostile_names, tame_run, unseen

FORGED = "Is it happening? No"


def assert_clean(said: str) -> None:
    """Nothing in it commands a terminal, none of its lines was made by a name."""
    assert unseen(said) == set()
    assert not [one for one in said.splitlines() if one.strip().startswith(FORGED)]


@pytest.fixture
def named(tmp_path: Path) -> Run:
    """A run whose very variants and targets are called so."""
    return opened_with_hostile_names(tmp_path / "named")


def copied(run: str) -> str:
    """The same run at another place."""
    return str(shutil.copytree(run, Path(run).parent / "again"))


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "summary": lambda run: ["summary", run],
    "summary as csv": lambda run: ["summary", run, "--format", "csv"],
    "summary as json": lambda run: ["summary", run, "--format", "json"],
    "compare": lambda run: ["compare", run, copied(run)],
    "compare as markdown": lambda run: ["compare", run, copied(run), "--format", "markdown"],
    "gate": lambda run: ["gate", run],
    "gate as markdown": lambda run: ["gate", run, "--format", "markdown"],
    "export": lambda run: ["export", run, "--out", "all.csv"],
    "dry run": lambda run: ["run", "--dry-run", f"{run}/plan.yaml"],
}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "not whole"])
@pytest.mark.parametrize("name", COMMANDS)
def test_commands_show_it(
    name: str, whole: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = hostile_run(tmp_path / f"run {HOSTILE}", whole)
    cli(COMMANDS[name](str(run)), standalone_mode=False)
    said = capsys.readouterr()
    assert said.out
    assert_clean(said.out)
    assert_clean(said.err)
    if name == "summary as json":
        assert json.loads(said.out)["run"] == run.name
    assert {path.name for path in tmp_path.iterdir()} <= {run.name, "all.csv", "again"}


def test_an_error_is_one_clean_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["summary", f"{tmp_path}/{HOSTILE}"], [HOSTILE], ["gate", "--gate", HOSTILE]):
        for debug in ([], ["--debug"]):
            monkeypatch.setattr("sys.argv", ["dnslab", *debug, *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 2
            said = capsys.readouterr()
            assert said.out == ""
            assert unseen(said.err) == set()
            if not debug:
                assert_clean(said.err)
                assert said.err.count("\n") == 1


def test_a_summary_shows_hostile_names(named: Run, capsys: pytest.CaptureFixture[str]) -> None:
    part = examine(named)
    figures, found = part.summary, findings_of(part)
    print_summary(figures, found)
    assert_clean(capsys.readouterr().out)
    compared = compare(named, named)
    gated = decide(figures, variant=figures.rows[-1].variant)
    for text in (compared.to_text(80), compared.to_markdown(), gated.to_text(80), gated.to_markdown()):
        assert_clean(text)
    for row in (*compared.to_markdown().splitlines(), *gated.to_markdown().splitlines()):
        assert "<img" not in row.replace(r"\<img", "")
        if row.startswith("| "):
            cells = re.split(r"(?<!\\)(?:\\\\)*\|", row)
            assert len(cells) in (len("measure target"), 8, 9, 10)


def _shown(named: Run) -> dict[str, Any]:
    part = examine(named)
    summary, findings = part.summary, findings_of(part)
    return {
        "findings": findings,
        "evidence": findings.evidence,
        "limits": findings.limits,
        "summary": dnslab.by_configuration(summary),
        "effects": dnslab.against_baseline(summary),
        "plan": named.plan,
        "run": named,
        "numbers": summary,
        "closeup": follow(named),
        "comparison": compare(named, named),
        "headlines": headlines([named, named]),
        "side by side": side_by_side([named, named]),
        "ecdf": dnslab.ecdf(sketches(named), summary),
        "stalls_over_time": dnslab.stalls_over_time(stalls_per_second(named), summary),
        "sweep": dnslab.sweep(summary),
    }


def test_what_shows_itself_as_html_shows_hostile_names(named: Run) -> None:
    parts = {name: shown._repr_html_() for name, shown in _shown(named).items()}
    parts["measured on"] = measured_on(named)
    for name, part in parts.items():
        assert unseen(part) == set(), name
        assert acting(part) == [], name
        # Outside of these JupyterLab sets what is between two dollars as a formula.
        assert part.startswith("<div class='dnslab-output mathjax_ignore'>"), name
    whole = dnslab.page(named)._repr_html_()  # which has a look of its own
    assert unseen(whole) == set()
    assert whole.startswith("<div class='mathjax_ignore'>")
    said = html.unescape(" ".join(parts.values()))
    assert r"\nIs it happening? No\r'" in said
    assert r"\x1b[31m\x9b31m\x07 \u202eton" in said


@pytest.mark.notebook
def test_a_page_shows_it(tmp_path: Path) -> None:
    run = hostile_run(tmp_path / f"run {HOSTILE}")
    page = render(run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert unseen(page) == set()
    assert acting(page) == []
    assert f"run {visible_of_hostile()}</title>" in html.unescape(page)
    assert not (tmp_path / "X").exists()


def visible_of_hostile() -> str:
    """``HOSTILE`` written another way."""
    return repr(HOSTILE.replace("'", "\0").replace("\\", "\1"))[1:-1].replace(r"\x00", "'").replace(r"\x01", "\\")


@pytest.mark.parametrize("name", [r"$\foo{$", r"$\frac{1}{2}$", "名前", "a\nb", "\u202eton", "a\x07", "_hidden", "🐧"])
def test_a_picture_draws_names_as_they_are(name: str) -> None:
    figure = new_figure(2)
    axes = figure.subplots()
    axes.set_title(drawable(name))
    axes.set_yticks([0], [drawable(name)])
    assert to_png(figure).startswith(b"\x89PNG")


def test_ticks_within_a_decade_are_no_formulas() -> None:
    figure = new_figure(3)
    axes = figure.subplots()
    axes.plot([0, 1], [2, 3])
    axes.set_yscale("log")
    plain_numbers(axes.yaxis, lambda value: f"{value:g}")
    figure.draw_without_rendering()
    texts = [text.get_text() for text in axes.get_yticklabels(which="both")]
    assert any(texts)
    assert not [text for text in texts if "$" in text]


def test_progress_is_no_markup() -> None:
    from rich.console import Console

    trial = Trial(number=1, round=1, group=1, variant=f"[red]x[/nonsense]{HOSTILE}", load=0, targets=("glibc",))
    progress = Progress(n_trials=1, running=[ClientProgress(trial, f"[bold]{HOSTILE}")])
    console = Console(file=io.StringIO(), width=400, force_terminal=False)
    console.print(_table(progress))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert_clean(said)
    assert "[red]x[/nonsense]" in said
    assert "[bold]" in said
    assert HOSTILE in line(progress)  # exact, until it is shown


def test_imported_names_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hostile.csv"
    name = f"=x{HOSTILE}".replace("\n", "").replace("\r", "")  # a cell that goes on in the next line is refused
    frame = pd.DataFrame({"variant": [name, "-tame"] * 6, "ms": [1.0, 2.0] * 6, "round": [1, 1, 2, 2, 3, 3] * 2})
    frame.to_csv(file, index=False)
    columns = "--columns=latency_ms=ms,variant=variant,round=round"
    for form in ("table", "csv", "json"):
        cli(["import", "csv", str(file), columns, "--format", form], standalone_mode=False)
        said = capsys.readouterr().out
        assert_clean(said)
        if form == "json":
            assert {row["variant"] for row in json.loads(said)["rows"]} == {name, "-tame"}
    found = summarise_imported(load("csv", [(None, file)], columns={"latency_ms": "ms", "variant": "variant"}))
    assert not unseen(found._repr_html_())


def test_a_csv_holds_no_formula(named: Run, tmp_path: Path) -> None:
    export(named, tmp_path / "all.csv")
    for text in ((tmp_path / "all.csv").read_bytes().decode(), csv_text(summarise(named).to_frame())):
        assert_clean(text)
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) == 1
        started = {cell[0] for row in rows[1:] for cell in row if cell}
        assert "'" in started
        assert not started & set("=+@")
        negative = [cell for row in rows[1:] for cell in row if cell.startswith("-")]
        for cell in negative:
            with contextlib.suppress(ValueError):
                float(cell)
                continue
            pytest.fail(cell)
    export(named, tmp_path / "all.parquet", "parquet")
    exact = pd.read_parquet(tmp_path / "all.parquet")
    assert f"=corp{HOSTILE}" in set(exact["variant"])


def test_a_csv_of_tame_text_is_as_pandas_writes_it(tmp_path: Path) -> None:
    run = open_run(tame_run(tmp_path / "tame"))
    export(run, tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text() == run.lookups().to_csv(index=False)
    frame = summarise(run).to_frame()
    assert csv_text(frame) == frame.to_csv(index=False)
