"""Figures and the page: their numbers are the table's, nothing comes from outside, a failure is shown."""

from __future__ import annotations

import base64
import os
import queue
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from dnslab import notebook
from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.sketches import sketches
from dnslab.analyse.summary import summarise
from dnslab.analyse.timeline import stalls_per_second
from dnslab.errors import NotAble, RunNotFound, UsageError
from dnslab.experiment import compare
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load, Plan
from dnslab.present import report
from dnslab.present.pictures.ecdf import ecdf
from dnslab.present.pictures.times import stalls_over_time
from dnslab.store.folder import results_folder
from dnslab.text import share_text, time_ms
from tests import PROJECT
from tests.cli.test_cli import wait_for
from tests.measure.test_lab import leftovers
from tests.runs import rows, write_run

NOTEBOOKS = PROJECT / "notebooks"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    plan = Plan(
        variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),), fault=FaultPlan.parse("race:p=0.05")
    )
    lookups = {}
    for number in (1, 2, 3):
        made = rows([0.5] * 95 + [5004.0] * 5)
        made["flags"][95:] = 1
        lookups["baseline", "glibc", number] = made
        failing = rows([1.0] * 100)
        failing["outcome"][:2] = -3
        lookups["use-vc", "glibc", number] = failing
        lookups["baseline", "musl", number] = rows([0.4] * 100)
    return open_run(write_run(tmp_path / "run", plan, lookups))


def test_text_alternatives_state_the_tables_numbers(run: Run) -> None:
    summary = summarise(run)
    row, failing = summary.row("baseline", "glibc"), summary.row("use-vc", "glibc")
    assert row
    assert failing
    alt = ecdf(sketches(run), summary).alt
    assert f"baseline on glibc: {share_text(row.intervals['slow_share'])} took 1 s or longer" in alt
    assert f"slowest {time_ms(row.max_ms)}," in alt
    assert "use-vc on glibc: none took 1 s or longer" in alt
    assert f"{share_text(failing.intervals['failed_share'])} failed" in alt
    assert "baseline on glibc: 15 stalls" in stalls_over_time(stalls_per_second(run), summary).alt


def test_a_figure_is_plain_html(run: Run) -> None:
    shown = ecdf(sketches(run), summarise(run))._repr_html_()
    match = re.fullmatch(
        r"<div class='dnslab-output mathjax_ignore'><figure>"
        r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)"><figcaption><p>[^<]+</p>'
        r"<details><summary>The numbers of this picture</summary><div .+<table.+</div></details></figcaption></figure>"
        r"<style>.+</style></div>",
        shown,
    )
    assert match
    assert base64.b64decode(match[2]).startswith(b"\x89PNG")


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_place_that_cannot_be_written_to(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NotAble, match="--out"):
        report.render(run.path, tmp_path / "nowhere" / "report.html")


def test_parameters_are_checked() -> None:
    with pytest.raises(UsageError, match="parameter colour"):
        notebook.CompareParameters.check(colour="red")
    with pytest.raises(UsageError, match="parameter run"):
        notebook.CompareParameters.check(run=7)


def test_results_never_land_among_the_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DNSLAB_RESULTS", raising=False)
    (tmp_path / "notebooks").mkdir()
    for folder in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(folder)
        assert results_folder().absolute() == tmp_path / "results"


def test_latest_falls_back_to_the_labelled_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path))
    shown = compare.obtain_run("latest")
    assert shown.path == compare.SAMPLE
    assert "sample run" in capsys.readouterr().out
    assert summarise(shown).row("baseline", "glibc")
    assert shown.problems == []
    with pytest.raises(RunNotFound):
        compare.obtain_run(str(tmp_path / "x"))


@pytest.mark.lab
@pytest.mark.notebook
def test_interrupting_a_cell_ends_probe_and_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = f"cell-{os.getpid()}-{time.time_ns()}"
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path))
    manager, client = start_new_kernel(
        env={**os.environ, "DNSLAB_TEST_MARK": marker},
    )
    try:
        plan = {"variants": ["baseline"], "rounds": 1, "targets": ["glibc"], "loads": [{"duration_s": 60}]}
        request = client.execute(f"import dnslab; dnslab.obtain_run('new', {plan})")
        wait_for(tmp_path, "*/trials/0001/glibc.dnsr")
        assert len(leftovers(marker)) > 3
        time.sleep(1.5)  # past the warm-up
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=30)
        while reply["parent_header"]["msg_id"] != request:
            reply = client.get_shell_msg(timeout=30)
        assert (reply["content"]["status"], reply["content"]["ename"]) == ("error", "Interrupted")
        kernel = leftovers(marker)
        assert len(kernel) == 1, kernel
        shown = [message["msg_type"] for message in drained(client)]
        assert shown.count("display_data") == 1  # one line, renewed
        assert "update_display_data" in shown
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    run = open_run("latest", tmp_path)
    assert [client.status for client in run.clients()] == ["stopped"]
    assert len(run.lookups()) > 0


def drained(client: Any) -> list[Any]:
    """Messages the kernel has published so far."""
    messages = []
    while True:
        try:
            messages.append(client.get_iopub_msg(timeout=0.5))
        except queue.Empty:
            return messages


@pytest.mark.lab
def test_new_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path))
    plan = {"variants": ["baseline"], "rounds": 1, "targets": ["glibc"], "loads": [{"duration_s": 0.5, "warmup_s": 0}]}
    first = compare.obtain_run("new", plan)
    again = compare.obtain_run("new", plan)
    assert first.path == again.path
    assert len(list(tmp_path.iterdir())) == 1
