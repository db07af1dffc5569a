"""What runs, plans, summaries and comparisons say of themselves, in Python and in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dnslab
from dnslab.analyse.dataset import open_run
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.verification import verify
from dnslab.plan.model import Load, Plan
from dnslab.text import Facts
from tests.explain.test_verification import measured
from tests.runs import rows, write_run


def line(shown: object, name: str) -> str:
    """The text of one line of what ``shown`` says of itself."""
    found = [text for text in repr(shown).splitlines() if text.strip().startswith(f"{name} ")]
    return found[0].split(maxsplit=1)[1] if found else ""


def test_a_run_says_what_it_is() -> None:
    run = open_run(SAMPLE)
    assert repr(run).startswith("Run sample\n")
    assert line(run, "load") == "60/s (poisson), 2 s for each trial"
    assert line(run, "where") == "lab: glibc 2.36, musl 1.2.3"
    assert line(run, "when").startswith("25 November 2026, 03:09 UTC, dnslab ")
    n_lookups = sum(client.end.trailer.n_records for client in run.clients() if client.end)
    assert line(run, "size").startswith(f"21 trials, {n_lookups:,} lookups with warm-up, ")
    assert line(run, "state") == "complete"


def test_a_run_that_lacks_trials_says_how_to_go_on(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    run = write_run(tmp_path / 'a "run"', plan, {("baseline", "glibc", number): rows([0.5]) for number in (1, 2, 3)})
    next(run.glob("trials/*/glibc.end.json")).unlink()
    said = line(open_run(run), "state")
    assert said.startswith("1 of 3 trials missing or incomplete. `run = dnslab.resume(")
    call = said.split("`")[1].removeprefix("run = dnslab.resume(").removesuffix(")")
    assert eval(call) == str(run)  # a literal that stands for the path


def test_a_run_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Plan(variants=("baseline",), rounds=1), {("baseline", "glibc", 1): rows([0.5])})
    (run / "environment.json").write_text("{", encoding="utf-8")
    assert line(open_run(run), "state").startswith("cannot be read: ")


def test_a_plan_says_how_long_it_takes() -> None:
    loads = (Load(duration_s=10, warmup_s=0.5),)
    assert line(Plan(loads=loads), "takes").startswith("1 min 35 s at least")
    in_turn = Plan(loads=loads, schedule="in-turn", variants=("baseline", "use-vc"))
    assert line(in_turn, "takes").startswith("3 min 9 s at least")
    assert "<pre>version: 1" in in_turn._repr_html_()


def test_a_summary_counts() -> None:
    summary = dnslab.summarise(open_run(SAMPLE))
    row: Any = summary.row("baseline", "glibc")
    assert f"baseline on glibc: {row.stalls} of {row.n} lookups stalled" in line(summary, "stalls")
    assert line(summary, "size").startswith(f"{sum(each.n for each in summary.measured()):,} lookups, ")


def test_a_comparison_counts() -> None:
    run = open_run(SAMPLE)
    compared = dnslab.compare(run, run)
    assert repr(compared).startswith("Changes from sample to sample\n")
    assert line(compared, "what") == "7 configurations compared, 0 refused"
    assert line(compared, "verdicts") == "0 lower, 0 higher, 42 not shown to differ"


def test_a_verification_says_the_answer(tmp_path: Path) -> None:
    measured(tmp_path / "run", [0, 0, 0], [40, 41, 39])
    (answer,) = verify(dnslab.summarise(open_run(tmp_path / "run")))
    assert repr(answer).startswith("gone (glibc)\n")
    assert line(answer, "now") == "none of 1,500 lookups"


@pytest.mark.parametrize("text", ["<b>", "\x1b[31m", "two\nlines", "\u202e"])
def test_text_from_outside_is_text(text: str) -> None:
    facts = Facts(f"Run {text}", {"what": text})
    assert len(str(facts).splitlines()) == 2
    assert text not in facts._repr_html_()
