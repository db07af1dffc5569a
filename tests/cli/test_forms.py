"""What commands print: a summary that fits a screen, JSON that is exact and keeps its keys, help that is whole."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, strategies as st

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.intervals import Interval
from dnslab.analyse.summary import Row, summarise
from dnslab.cli import cli
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.findings import conclude, findings_of
from dnslab.explain.overview import headlines
from dnslab.explain.ranking import Word
from dnslab.explain.soundness import examine
from dnslab.explain.tables import stalled
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.plan.variants import BUILT_IN, USUAL
from dnslab.present import documents
from dnslab.present.page import page
from dnslab.present.page.context import share_cell
from dnslab.present.page.scales import scale_of
from dnslab.present.terminal import HEADINGS, print_summary
from dnslab.text import plain
from tests import PROJECT
from tests.cli.test_cli import DNSLAB
from tests.explain.test_verification import measured
from tests.present import states
from tests.runs import rows, write_run

GOLDEN = PROJECT / "tests/golden/runs"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def said(*arguments: str) -> str:
    return CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=False).output


def on_a_terminal(*arguments: str, columns: int = 100, **environment: str) -> str:
    """What a command prints on a pseudo-terminal of 30 lines."""
    here, there = pty.openpty()
    try:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        env |= {"COLUMNS": str(columns), "LINES": "30", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        subprocess.run([*DNSLAB, *arguments], stdin=there, stdout=there, env=env, check=True, timeout=60)
        os.close(there)
        there = -1
        told = b""
        while True:
            try:
                told += os.read(here, 65_536)
            except OSError:  # all is read
                return told.decode().replace("\r\n", "\n")
    finally:
        os.close(here)
        if there >= 0:
            os.close(there)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six variants on two nodes with two C libraries each, of which musl ignores four variants."""
    targets = [
        TargetInfo(f"{libc}@worker-{node}.eu-central-1", libc, "2.36" if libc == "glibc" else "1.2.3")
        for libc in ("glibc", "musl")
        for node in (1, 2)
    ]
    lookups: dict[tuple[Any, ...], Any] = {}
    for target in targets:
        for variant in USUAL:
            slow = [5004.0] * 4 if variant == "baseline" else []
            if target.libc == "glibc" or variant in ("baseline", "node-local"):
                for number in range(1, 10):
                    lookups[variant, target.name, number] = rows(slow + [0.5] * (200 - len(slow)))
    plan = Plan(variants=USUAL, rounds=9, loads=(Load(),))
    return write_run(tmp_path_factory.mktemp("runs") / "cluster", plan, lookups, known=targets)


@pytest.mark.parametrize("columns", [80, 100])
def test_a_summary_fits_a_screen(cluster: Path, columns: int) -> None:
    for run in (SAMPLE, cluster, *(GOLDEN / name for name in ("lab", "local", "cluster", "void"))):
        lines = ESCAPE.sub("", on_a_terminal("summary", str(run), columns=columns)).splitlines()
        assert len(lines) < 30, run
        # A command to copy is as long as the run's path.
        assert all(len(line) <= columns for line in lines if str(run) not in line), run
        assert tuple(re.split(r" {2,}", lines[0].strip())) == HEADINGS
        part = examine(open_run(run))
        answer = " ".join(findings_of(part).headline.split())
        assert " ".join(" ".join(lines).split()).endswith(answer)


def test_a_cause_is_as_sure_on_the_terminal_as_on_the_page(tmp_path: Path) -> None:
    """What a node's kernel counted is not in the summary, and yet all that conclude know it."""
    run = states.counted(tmp_path / "found", states.stalling, "node.conntrack.insert_failed", ("baseline",), 17)
    word = "Shown: conntrack race."
    assert "Conntrack race</h3>" in page(run)
    assert "Shown</span>" in page(run)
    assert word in " ".join(said("summary", str(run.path)).split())
    found = json.loads(said("summary", str(run.path), "--format", "json"))["findings"]
    assert word in found["headline"]
    assert [cause["confidence"] for cause in found["causes"]] == ["Shown"]
    assert word in headlines([run]).to_text()


def test_colour_is_for_terminals(cluster: Path) -> None:
    assert ESCAPE.search(on_a_terminal("summary", str(SAMPLE)))
    assert not ESCAPE.search(on_a_terminal("summary", str(SAMPLE), NO_COLOR="1"))
    assert not ESCAPE.search(on_a_terminal("summary", str(SAMPLE), TERM="dumb"))
    assert not ESCAPE.search(said("summary", str(SAMPLE)))
    assert ESCAPE.sub("", on_a_terminal("summary", str(SAMPLE))) == said("summary", str(SAMPLE))


def test_wide_shows_all_columns() -> None:
    wide = said("summary", str(SAMPLE), "--wide")
    for heading in ("lookups", "flagged", "stalls at", "partial", "p99.9 ms", "exposed", "≥ 1 s, points"):
        assert heading in wide
        assert heading not in said("summary", str(SAMPLE)).splitlines()[0]


def test_rows_that_do_not_fit_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = [TargetInfo(f"node-{i}", "glibc", "2.36") for i in range(20)]
    lookups = {("baseline", one.name, n): rows([0.5] * 50) for one in targets for n in (1, 2, 3)}
    lookups |= {("baseline", "node-7", n): rows([5004.0] * 9 + [0.5] * 41) for n in (1, 2, 3)}
    run = write_run(tmp_path / "run", Plan(variants=("baseline",), rounds=3), lookups, known=targets)
    summary = summarise(open_run(run))
    print_summary(summary, conclude(summary, ()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["baseline", "node-7"]
    assert "8 more rows not shown." in lines


def test_shares_are_rounded_to_what_their_intervals_bear(cluster: Path) -> None:
    row = summarise(open_run(SAMPLE)).row("baseline", "glibc")
    assert row
    assert plain(stalled(row)) == "6.7 % (4.6 to 9.8)"
    clean = summarise(open_run(SAMPLE)).row("use-vc", "glibc")
    assert clean
    assert plain(stalled(clean)) == "none (below 0.9 %)"  # 0.882 %


@pytest.fixture(scope="module")
def stalling() -> Row:
    row = summarise(open_run(SAMPLE)).row("baseline", "glibc")
    assert row
    return row


@given(ends=st.lists(st.floats(1e-6, 1), min_size=3, max_size=3))
def test_terminal_and_page_give_the_same_digits(stalling: Row, ends: list[float]) -> None:
    low, estimate, high = sorted(ends)
    row = replace(stalling, intervals={**stalling.intervals, "stalls_share": Interval(estimate, low, high)})
    cell = share_cell(row, "stalls", scale_of([100 * estimate], [100 * high]), "baseline")
    assert stalled(row) == f"{cell.value} {cell.rest}"


@pytest.mark.parametrize("run", [SAMPLE, GOLDEN / "lab"], ids=lambda run: run.name)
def test_terminal_and_page_use_the_same_words(run: Path) -> None:
    """Of a void run the page has no such table."""
    printed = said("summary", str(run)).splitlines()[1 : 1 + len(summarise(open_run(run)).measured())]
    words = {re.split(r" {2,}", line)[-1] for line in printed}
    assert words <= {str(word) for word in Word}
    opened = open_run(run)
    sound = examine(opened)
    if findings_of(sound).void:  # the page of a void run judges no configuration
        assert words == {str(Word.VOID)}
    else:
        shown = page(opened)
        assert all(word in shown for word in words), words


def test_a_gate_as_json_says_what_it_decided() -> None:
    data = json.loads(said("gate", str(SAMPLE), "--format", "json"))
    assert list(data) == ["version", "run", "status", "loads", "void", "left_out", "outage", "decisions"]
    assert data["status"] == 1
    assert [(one["measure"], one["target"], one["verdict"]) for one in data["decisions"]] == [
        (measure, target, verdict)
        for measure, verdict in (("failed_share", "undecided"), ("p50", "passes"), ("p99", "fails"))
        for target in ("glibc", "musl")
    ]
    decision = data["decisions"][0]
    assert list(decision) == [
        *("measure", "limit", "strict", "variant", "target", "load", "libc", "verdict", "why", "interval")
    ]
    n = open_run(SAMPLE).lookups().query("variant == 'baseline' and target == 'glibc'").shape[0]
    assert decision["interval"]["high"] == pytest.approx(1 - 0.05 ** (1 / n))  # none of n


def test_a_comparison_as_json_has_both_sides(tmp_path: Path) -> None:
    again = shutil.copytree(GOLDEN / "lab", tmp_path / "lab")
    data = json.loads(said("compare", str(GOLDEN / "lab"), str(again), "--format", "json"))
    keys = ["version", "runs", "status", "loads", "void", "refused", "unmatched", "differences", "rows"]
    assert (list(data), data["status"], data["runs"]) == (keys, 0, ["lab", "lab"])
    for row in data["rows"]:
        assert row["before"] == row["after"]
        assert row["effects"]["stalls_share"]["estimate"] == 0
        assert row["verdicts"]["slow_share"]["word"] == "no difference shown"
    nothing = json.loads(said("compare", str(GOLDEN / "lab"), str(GOLDEN / "void"), "--format", "json"))
    assert nothing["status"] == 4
    assert nothing["void"][0].startswith('Cannot tell: run "after" is void.')
    assert all(row["effects"] is None and row["refused"] for row in nothing["rows"])


def test_variants_as_json() -> None:
    data = json.loads(said("variants", "--format", "json", "--libc", "musl"))
    assert [one["name"] for one in data["variants"]] == list(BUILT_IN)
    reasons = {one["name"]: one["not_applicable"] for one in data["variants"]}
    assert reasons["use-vc"] == "musl ignores use-vc"
    assert reasons["node-local"] is None


def test_doctor_as_json() -> None:
    data = json.loads(said("doctor", "--backend", "local", "--format", "json"))
    assert list(data) == ["version", "backend", "ok", "checks"]
    assert data["ok"] == all(one["ok"] or not one["needed"] for one in data["checks"])
    assert {tuple(one) for one in data["checks"]} == {("what", "ok", "needed", "detail")}


def test_a_verification_as_json(tmp_path: Path) -> None:
    summary = measured(tmp_path / "run", [0] * 3, [20, 21, 19])
    data = documents.verification(summary, conclude(summary, ()), 0, "run")
    (answer,) = json.loads(json.dumps(data, allow_nan=False))["answers"]
    assert (answer["word"], answer["now"]["count"], answer["before"]["count"]) == ("gone", 0, 60)


def test_each_key_is_documented() -> None:
    text = (PROJECT / "docs/summary.md").read_text(encoding="utf-8")
    found = [
        json.loads(said("gate", str(SAMPLE), "--format", "json")),
        json.loads(said("compare", str(GOLDEN / "lab"), str(GOLDEN / "local"), "--format", "json")),
        json.loads(said("variants", "--format", "json")),
        json.loads(said("doctor", "--backend", "local", "--format", "json")),
    ]
    for data in found:
        (entry, *_) = next(data[key] for key in ("decisions", "rows", "variants", "checks") if key in data)
        for key in (*data, *entry):
            assert f"`{key}`" in text, key


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_lookups_go_to_stdout(form: str) -> None:
    done = subprocess.run(
        [*DNSLAB, "export", str(SAMPLE), "--out", "-", "--format", form], capture_output=True, check=True, cwd=PROJECT
    )
    assert done.stderr == b""
    n = len(open_run(SAMPLE).lookups())
    if form == "csv":
        assert len(list(csv.DictReader(io.StringIO(done.stdout.decode())))) == n
    else:
        assert len(pd.read_parquet(io.BytesIO(done.stdout))) == n


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_help_is_whole_at_80_columns(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = said(*command, "--help")
    assert max(map(len, text.splitlines())) <= 80
    for line in text.partition("Commands:")[2].splitlines():
        assert not line.endswith("..."), line
    assert "TEXT" not in text
    assert "INTEGER" not in text
    found: Any = cli
    for name in command:
        found = found.commands[name]
    for option in found.params:
        assert isinstance(option, click.Argument) or option.help or option.name in ("form", "help"), option.name


@pytest.mark.parametrize("command", ["", "lab", "manifests", "node-cache"])
def test_a_bare_command_prints_its_help(command: str) -> None:
    done = subprocess.run([*DNSLAB, *command.split()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: dnslab {command} ".replace("  ", " "))
    assert "Commands:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("run --rate fast", "error: --rate: expected a number, saw 'fast'"),
        ("run --rounds 1.5", "error: --rounds: expected a whole number, saw '1.5'"),
        ("run --backend labs", "error: --backend: expected lab, local or kubernetes, saw 'labs': did you mean 'lab'?"),
        (
            "run --rate -5 --rounds 0 --variants baseline,use-cv --fault rase",
            "error: --rate: expected more than 0, saw -5\n"
            "error: --rounds: expected 1 or more, saw 0\n"
            "error: --variants: unknown variant 'use-cv': did you mean 'use-vc'?\n"
            "error: --fault: unknown fault 'rase': did you mean 'race'?",
        ),
        (
            "run plan.yaml",
            "error: plan.yaml:1: rounds: expected 1 or more, saw 0\n"
            "error: plan.yaml:2: varants: unknown key: did you mean 'variants'?",
        ),
        ("run --target glibc=use-cv", "error: --target: unknown variant 'use-cv': did you mean 'use-vc'?"),
        (
            "run --backend kubernetes --max-rate -1 --pods-per-node 0",
            "error: --pods-per-node: expected 1 or more, saw 0\nerror: --max-rate: expected more than 0, saw -1",
        ),
    ],
)
def test_mistakes_are_told_by_the_option_that_made_them(arguments: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("rounds: 0\nvarants: [a]\n", encoding="utf-8")
    done = subprocess.run([*DNSLAB, *arguments.split()], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{says}\n")


def test_verify_names_the_cluster_before_the_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What measures is replaced: the order of the steps counts, and that stdout holds JSON alone."""
    measured(tmp_path / "verified", [0] * 3, [20, 21, 19])
    plan = open_run(tmp_path / "verified").plan
    steps: list[str] = []
    monkeypatch.setattr("dnslab.experiment.verify.plan_of", lambda before, workload: plan)
    monkeypatch.setattr("dnslab.measure.runner.check", lambda *arguments: steps.append("checked"))
    monkeypatch.setattr("dnslab.cli.verify.name_cluster", lambda plan, err: steps.append(f"named, {err}"))

    def measure(*arguments: Any, **more: Any) -> Run:
        steps.append("measured")
        return open_run(tmp_path / "verified")

    monkeypatch.setattr("dnslab.experiment.verify.measure", measure)
    for form, on_stderr in (("json", True), ("table", False)):
        steps.clear()
        done = CliRunner().invoke(cli, ["verify", str(SAMPLE), "--format", form], standalone_mode=False)
        assert done.exception is None
        assert done.return_value == 0
        assert steps == ["checked", f"named, {on_stderr}", "measured"]
        assert (f"run: {tmp_path / 'verified'}" in done.stderr) == on_stderr
        if form == "json":
            data = json.loads(done.stdout)
            assert (data["status"], data["answers"][0]["word"]) == (0, "gone")
            assert data["verifies"] == {"run": "the-first", "trouble": "stalls", "count": 40, "n": 1000}
        else:
            assert done.stdout.rstrip().splitlines()[-1].strip()
