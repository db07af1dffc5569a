"""`make test` and `.ci/run` on a small project: no failure is lost, and a test that had to be repeated is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import PROJECT

SETTINGS = "[pytest]\nmarkers =\n    alone\n    verify\n"

#: each fails once for each file of its name
TESTS = """
import pathlib
import pytest

def check(name):
    path = pathlib.Path(name)
    if path.exists():
        path.unlink()
        pytest.fail(name)

def test_side():
    check("side")

@pytest.mark.alone
def test_alone():
    check("alone")
"""

#: more tests than `.ci/run` will ever expect
ENOUGH = 1_000_000

MAKEFILE = f"""
PYTEST := {sys.executable} -m pytest -p xdist.plugin --basetemp=.cache/tests

setup check test-cluster test-cluster-iptables test-cluster-dual verify verify-cluster:
	@echo "{ENOUGH} passed"; echo "lab tests passed: {ENOUGH}, cluster tests passed: {ENOUGH}"

test:
	@$(MAKE) -f {PROJECT}/Makefile -o setup test N_WORKERS=1 "PYTEST=$(PYTEST)"
	@$(MAKE) setup
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_small.py").write_text(TESTS)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    for name in (".ci/run", "tools/ran_enough.sh"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / ".cache" / "tmp").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def run(project: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    # A make that runs this test hands down its variables, and pytest those of this worker.
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "PYTEST"))}
    environment = kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # each costs time
    return subprocess.run(argv, cwd=project, env=environment, text=True, capture_output=True, timeout=120, check=False)


def test_what_passes_only_when_repeated_is_named(project: Path) -> None:
    for name in ("side", "alone"):
        (project / name).touch()
    done = run(project, "bash", ".ci/run")
    assert done.returncode == 0, done
    end = done.stdout.splitlines()[-2:]
    assert end == [f"passed only when repeated: test_small.py::test_{name}" for name in ("alone", "side")]
    assert " s: make test: what failed, once more\n" in done.stdout  # and how long that took


@pytest.mark.parametrize("name", ["side", "alone"])
def test_what_fails_again_stops_a_landing(project: Path, name: str) -> None:
    (project / "test_small.py").write_text(TESTS.replace("path.unlink()", "pass"))
    (project / name).touch()
    done = run(project, "bash", ".ci/run")
    assert done.returncode == 2, done
    assert done.stdout.count(f"FAILED test_small.py::test_{name} - ") == 2
    assert done.stdout.count("1 passed") == 1  # the other part ran, once
    assert "passed only when repeated" not in done.stdout
    assert "make verify" not in done.stdout
