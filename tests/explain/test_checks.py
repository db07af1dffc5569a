"""The checks of a run that no other module tests, and the form of what each says."""

from __future__ import annotations

import json
from pathlib import Path

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.explain.validity import find_vetoes
from dnslab.plan.model import Load, Plan
from tests.runs import rows, write_run


def test_names_whose_answers_differed_before_the_run_are_noted(tmp_path: Path) -> None:
    plan = Plan(names=("a.test.", "b.test.", "c.test."), variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", number): rows([0.5] * 100) for number in (1, 2, 3)}
    path = write_run(tmp_path / "run", plan, lookups)
    environment = path / "environment.json"
    content = json.loads(environment.read_text())
    environment.chmod(0o644)
    environment.write_text(json.dumps({**content, "differing": [0, 2, 99]}))
    run = open_run(path)
    (veto,) = find_vetoes(run, summarise(run))
    assert (veto.name, veto.severity) == ("answers differed", "note")
    assert veto.seen.startswith("Before the run, not all answers for a.test., c.test. were the same")
    assert "--expect" in veto.advice
