"""What a tired user types: each mistake ends in one clear line that says what to do, and changes nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from dnslab.plan.model import Load, Plan
from tests.cli.test_cli import dnslab
from tests.runs import rows, write_run

#: arguments, exit status, what is said; `RUN` is a run in `results`
MISTAKES = [
    ("summary nowhere", 2, "there is no nowhere: name a run folder, a bundle or `latest`"),
    ("report RUN", 2, "there is no RUN: name a run folder, a bundle or `latest`: did you mean 'results/RUN'?"),
    (
        "gate results/RUM",
        2,
        "there is no results/RUM: name a run folder, a bundle or `latest`: did you mean 'results",
    ),
    ("summary results", 2, "results holds runs: name one of them, such as results/RUN"),
    ("summary folder", 2, "folder is not a run folder: it has no plan.yaml"),
    (
        "summary results/RUN/plan.yaml",
        2,
        "results/RUN/plan.yaml is neither a run folder nor a complete bundle (.dnslab.zip): did you mean 'results/RUN",
    ),
    ("summary empty.yaml", 2, "empty.yaml is neither a run folder nor a complete bundle (.dnslab.zip)"),
    ("run --resume empty.yaml", 2, "empty.yaml is not a run folder: it has no plan.yaml"),
    ("run --resume nowhere", 2, "--resume: there is no file nowhere"),
    ("bundle results/RUN --out folder", 2, "folder already exists: name another place with --out"),
    (
        "export results/RUN --out folder",
        2,
        "folder already exists, and dnslab does not overwrite files",
    ),
    ("export results/RUN --out no/file", 2, "no is not a folder: make it, or name another file"),
    ("export results/RUN", 2, "Missing option '--out'. See `dnslab export --help`."),
    ("report results/RUN --out folder", 2, "folder is a folder: name a file with --out"),
    ("report results/RUN --out no/page.html", 3, "no cannot be written to: name another place with --out"),
    ("compare results/RUN", 2, "Missing argument 'AFTER...'. See `dnslab compare --help`."),
    ("compare results/RUN results/RUN", 2, "results/RUN and results/RUN are the same run: name two runs to compare"),
    ("compare latest results/RUN/", 2, "latest and results/RUN/ are the same run: name two runs to compare"),
    (
        "verify",
        2,
        "RUN was not measured in a cluster, so there is no workload to verify: name a run of "
        "`dnslab run --backend kubernetes --like deploy/NAME`",
    ),
    ("verify --like", 2, "Option '--like' requires an argument. See `dnslab verify --help`."),
    ("run nowhere.yaml", 2, "PLAN_FILE: there is no file nowhere.yaml"),
    ("run results/RUN", 2, "PLAN_FILE: expected a file, saw the folder results/RUN; a run goes on with --resume"),
    ("run empty.yaml", 2, "empty.yaml: expected keys with their values, as `dnslab run --dry-run` prints them"),
    ("run tabs.yaml", 2, "tabs.yaml:2: not YAML: this line begins with a tab; YAML is indented with spaces"),
    ("run --round 3", 2, "No such option '--round': did you mean '--rounds'? See `dnslab run --help`."),
    ("run --rounds", 2, "Option '--rounds' requires an argument. See `dnslab run --help`."),
    ("run one.yaml two.yaml", 2, "Got unexpected extra argument (two.yaml). See `dnslab run --help`."),
    ("sumary", 2, "No such command 'sumary': did you mean 'summary'? See `dnslab --help`."),
    ("gate results/RUN --gate p99", 2, "--gate: expected a limit like 'slow_share<0.1%' or 'p99<=100ms', saw 'p99'."),
    ("fix --variant use-cv", 2, "unknown variant 'use-cv': did you mean 'use-vc'?"),
    ("lab shell --variant use-cv", 2, "unknown variant 'use-cv': did you mean 'use-vc'?"),
    ("import dnsperf nowhere.txt", 2, "nowhere.txt: no such file or directory"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tired") / "results"
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    return write_run(folder / "RUN", plan, {("baseline", "glibc", n): rows([0.5] * 20) for n in (1, 2, 3)}).parent


@pytest.fixture
def place(results: Path, tmp_path: Path) -> Path:
    shutil.copytree(results, tmp_path / "results")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "one.yaml").write_text("rounds: 3\n")
    (tmp_path / "tabs.yaml").write_text("rounds: 3\n\tname: x\n")
    return tmp_path


@pytest.mark.parametrize(("arguments", "status", "says"), MISTAKES, ids=[mistake[0] for mistake in MISTAKES])
def test_mistakes(arguments: str, status: int, says: str, place: Path) -> None:
    before = sorted(place.rglob("*"))
    done = dnslab(*arguments.split(), cwd=place)
    assert done.stderr.startswith(f"error: {says}")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1)
    assert sorted(place.rglob("*")) == before


def test_a_run_that_still_goes_on_says_so(place: Path) -> None:
    run = place / "results/RUN"
    (run / "trials/0003/glibc.end.json").unlink()
    resume = "Complete the run with `dnslab run --resume results/RUN`."
    waiting = "This run is still being measured. Wait until it has ended."
    lock = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = " ".join(dnslab("summary", "results/RUN", cwd=place).stdout.split())
        assert waiting in said
        assert resume not in said
    finally:
        os.close(lock)
    said = " ".join(dnslab("summary", "results/RUN", cwd=place).stdout.split())
    assert resume in said
    assert waiting not in said
