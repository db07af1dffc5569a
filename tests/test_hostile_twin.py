"""A received plan, folder and bundle full of hostile text beside their tame twins: equal figures, and nothing run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from tests.cli.test_cli import dnslab
from tests.hostile import HOSTILE, hostile_run, tame_run, unseen

#: what of HOSTILE a plan's line of free text may hold
PRINTABLE = "".join(one for one in HOSTILE if one.isprintable())


def figures(value: Any) -> Iterator[Any]:
    """All numbers of plain data, in order."""
    if isinstance(value, dict):
        for one in value.values():
            yield from figures(one)
    elif isinstance(value, list):
        for one in value:
            yield from figures(one)
    elif not isinstance(value, str):
        yield value


def test_the_figures_are_those_of_the_tame_twin(tmp_path: Path) -> None:
    tame, hostile = tame_run(tmp_path / "tame"), hostile_run(tmp_path / "hostile")
    said = [json.loads(dnslab("summary", str(run), "--format", "json", cwd=tmp_path).stdout) for run in (tame, hostile)]
    assert said[0]["rows"] != said[1]["rows"] or said[0] != said[1]  # they do differ in their texts
    numbers = [list(figures(one["rows"])) for one in said]
    assert len(numbers[0]) > 100
    assert numbers[0] == numbers[1]


@pytest.mark.lab
@pytest.mark.notebook
def test_a_received_folder_and_its_bundle_run_nothing(tmp_path: Path) -> None:
    run = str(hostile_run(tmp_path / f"run {HOSTILE}", whole=False))
    bundle = "it.dnslab.zip"
    for command in (
        ["bundle", run, "--out", bundle],
        ["bundle", run, "--redact", "--out", "redacted.dnslab.zip"],
        ["summary", run],
        ["summary", bundle],
        ["summary", "redacted.dnslab.zip"],
        ["compare", run, bundle],
        ["export", run, "--out", "all.csv"],
        ["export", bundle, "--format", "parquet", "--out", "all.parquet"],
        ["report", bundle, "--out", "page.html"],
        ["run", "--resume", run],
        ["run", "--dry-run", f"{run}/plan.yaml"],
    ):
        done = dnslab(*command, cwd=tmp_path)
        assert done.returncode in (0, 4), done.stderr
        assert unseen(done.stdout + done.stderr) == set(), command
        assert not [line for line in done.stdout.splitlines() if line.strip().startswith("Is it happening? No")]
        # What was unpacked is gone by now: no command can go on with it.
        assert bundle not in command or "--resume" not in done.stdout
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert unseen(page) == set()
    assert "--resume" not in page
    assert not list(tmp_path.rglob("X"))


@pytest.mark.lab
def test_a_received_plan_is_run_as_its_tame_twin(tmp_path: Path) -> None:
    counts = []
    for name, text in (("tame", "one line"), ("hostile", PRINTABLE)):
        plan = {
            "variants": ["baseline", "corp"],
            "custom_variants": {"corp": {"options": ["timeout:2"], "search": ["corp.test"], "summary": text}},
            "cluster": {"context": text, "existing": text},
            "names": ["web.any.cluster.local."],
            "rounds": 1,
            "loads": [{"duration_s": 0.5, "warmup_s": 0.1}],
        }
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(plan, allow_unicode=True))
        done = dnslab("run", str(file), "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert unseen(done.stdout) == set()
        # All of it, as the command leaves out what a busy machine spoiled.
        rows = summarise(open_run(tmp_path / name)).measured()
        counts.append([(row.variant, row.target, row.n, row.failed) for row in rows])
        again = dnslab("run", "--resume", name, cwd=tmp_path)
        assert again.returncode == 0, again.stderr
    assert counts[0] == counts[1]
    assert not list(tmp_path.rglob("X"))
