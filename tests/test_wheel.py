"""The wheel as it would be published: six probes made by zig, notebooks inside, and an installation without extras."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests import PROJECT

pytestmark = [pytest.mark.verify, pytest.mark.lab]

UV = Path(sys.executable).with_name("uv")
#: program -> ELF machine (EM_X86_64, EM_AARCH64) and the loader it asks for
PROBES = {
    "x86_64-glibc": (62, b"/lib64/ld-linux-x86-64.so.2"),
    "x86_64-musl": (62, b"/lib/ld-musl-x86_64.so.1"),
    "x86_64-static": (62, None),
    "aarch64-glibc": (183, b"/lib/ld-linux-aarch64.so.1"),
    "aarch64-musl": (183, b"/lib/ld-musl-aarch64.so.1"),
    "aarch64-static": (183, None),
}


def run(argv: Sequence[str | Path], cwd: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run([UV, "build", "--wheel", "--quiet", "--no-build-isolation", "--out-dir", folder, PROJECT], PROJECT)
    (found,) = folder.glob("*.whl")
    return found


def test_an_isolated_build_asks_for_what_is_here() -> None:
    """What the wheel is built with here is what `pip install` of the source builds it with."""
    requires = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    for requirement in map(Requirement, requires):
        assert version(requirement.name) in requirement.specifier


def test_it_runs_anywhere_and_holds_the_notebooks(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    notebooks = {f"dnslab/notebooks/{path.name}" for path in (PROJECT / "notebooks").glob("*.ipynb")}
    assert "dnslab/notebooks/compare.ipynb" in notebooks <= set(names)
    assert "dnslab/sample/plan.yaml" in names
    assert {name.removeprefix("dnslab/measure/probe/bin/probe-") for name in names if "/bin/probe-" in name} == set(
        PROBES
    )


@pytest.mark.parametrize("name", PROBES)
def test_each_probe_is_what_its_name_says(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo(f"dnslab/measure/probe/bin/probe-{name}")
        data = archive.read(info)
    machine, loader = PROBES[name]
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[18:20], "little") == machine
    assert (loader or b"/lib/ld-") in data if loader else b"/lib/ld-" not in data
    assert len(data) < 200_000
    assert info.external_attr >> 16 & 0o111 == 0o111
    versions = [(int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", data)]
    assert bool(versions) == name.endswith("glibc")
    assert max(versions, default=(2, 17)) <= (2, 17)


def test_the_core_measures_and_names_what_reading_lacks(wheel: Path, tmp_path: Path) -> None:
    """Without extras: its probes work, a run in the lab is whole, and only then pandas is asked for."""
    run([UV, "venv", "--quiet", "--python", sys.executable, "venv"], tmp_path)
    run([UV, "pip", "install", "--quiet", "--python", "venv/bin/python", wheel], tmp_path)
    dnslab = tmp_path / "venv" / "bin" / "dnslab"
    probes = next((tmp_path / "venv").glob("lib/python*/site-packages/dnslab/measure/probe/bin"))
    for libc in ("glibc", "musl", "static"):
        said = run([probes / f"probe-{platform.machine()}-{libc}", "--self-test"], tmp_path).stdout
        assert "engine wire: 50 queries answered" in said
    run([dnslab, "run", "-d", "1", "--rounds", "1", "--out", "run"], tmp_path)
    assert "pip install 'dnslab[" in run([dnslab, "summary", "run"], tmp_path, status=3).stderr
    assert len(list(tmp_path.glob("run/trials/*/*.end.json"))) == 8
