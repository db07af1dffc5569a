"""preflight: what can be refused is refused before anything is made, by a run and by a dry run alike."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

from dnslab.cli import main
from dnslab.errors import RunExists, UsageError
from dnslab.measure import preflight
from tests.cli.test_cli import DNSLAB, dnslab

Outcome = tuple[int, str, str]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Outcome]]:
    """The command line in this process, in an empty folder: status, stdout, stderr. No tool of the lab is found, so
    whatever gets as far as opening a lab ends with status 3."""
    handler, interval = signal.getsignal(signal.SIGTERM), sys.getswitchinterval()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.delenv("DNSLAB_RESULTS", raising=False)
    monkeypatch.setattr("dnslab.measure.lab.namespaces.TOOLS", {"no-such-tool": "no-such-package"})

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["dnslab", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    yield call
    signal.signal(signal.SIGTERM, handler)
    sys.setswitchinterval(interval)


LOCAL = ["--backend", "local", "--nameserver"]
CLUSTER = ["--backend", "kubernetes"]
LONG = "x" * 256
REFUSED: list[tuple[list[str], str]] = [
    (["--fault", "rac"], "unknown fault 'rac': did you mean 'race'?"),
    (["--fault", "race:q=1"], "the fault 'race' has no parameter 'q'; it has p"),
    (["--fault", "race:p=5"], "race:p should be 0 to 1, is 5"),
    (["--fault", "race:p=1e3"], "race:p should be 0 to 1, is 1000"),
    (["--fault", "race:p=nan"], "not of the form name:key=number"),
    (["--fault", "race:p=inf"], "not of the form name:key=number"),
    (["--fault", "race:p=-1"], "not of the form name:key=number"),
    (["--fault", "race:p=\u0663"], "not of the form name:key=number"),
    (["--fault", "race:p=0.1,p=0.2"], "gives p twice"),
    (["--fault", "race:"], "not of the form name:key=number"),
    (["--fault", "race:p=0.1,"], "not of the form name:key=number"),
    (["--fault", "none:p=1"], "the fault 'none' has no parameter 'p'"),
    (["--fault", ":p=1"], "expected a fault's name"),
    (["--fault", ""], "--fault was given an empty text"),
    (["nan.yaml"], "finite number"),
    (["negative.yaml"], "race:p should be 0 to 1, is -1"),
    (["unknown.yaml"], "unknown fault 'rac'"),
    (["--backend", "local", "--fault", "race"], "the fault 'race' needs the lab"),
    (["--backend", "local", "--fault", "none:p=1"], "the fault 'none:p=1' needs the lab"),
    ([*CLUSTER, "--fault", "race"], "the fault 'race' needs the lab"),
    ([*LOCAL, "localhost"], "ADDRESS:PORT"),
    ([*LOCAL, "999.1.1.1"], "ADDRESS:PORT"),
    ([*LOCAL, "1.2"], "ADDRESS:PORT"),
    ([*LOCAL, "127.0.0.1:99999"], "ADDRESS:PORT"),
    ([*LOCAL, "127.0.0.1:0"], "ADDRESS:PORT"),
    ([*LOCAL, "127.0.0.1:"], "ADDRESS:PORT"),
    ([*LOCAL, "127.0.0.1:\u00b2"], "ADDRESS:PORT"),
    ([*LOCAL, "\u0661.1.1.1"], "ADDRESS:PORT"),
    ([*LOCAL, ""], "--nameserver was given an empty text"),
    (["--nameserver", "127.0.0.1"], "--nameserver is for --backend local"),
    (["--target", "windows"], "no target 'windows': the targets are glibc"),
    (["--target", "glibc=nope"], "unknown variant 'nope'"),
    (["--target", "glibc=no-aaaa", "--variants", "baseline,no-aaaa", "--target", "glibc=baseline"], "only once"),
    (["--variants", ""], "--variants was given an empty text"),
    (["--variants", ","], "expected at least one variant, and each only once"),
    (["--variants", "baseline,baseline"], "expected at least one variant, and each only once"),
    (["--name", "nowhere.test."], "the lab's zone does not have 'nowhere.test.'"),
    (["--name", ""], "--name was given an empty text"),
    (["--name", "a b"], "space or control character"),
    (["--names-file", "binary"], "binary is not UTF-8 text"),
    (["--names-file", "empty"], "empty names nothing to look up"),
    (["--run-name", ""], "--run-name was given an empty text"),
    (["--run-name", "a/b"], "--run-name: expected at most 64 letters, digits and . _ -"),
    (["--out", "there"], "there already exists"),
    (["--out", "dangling"], "dangling already exists"),
    (["--out", "empty/run"], "no run folder can be made at empty/run"),
    (["--out", ""], "already exists"),
    (["--out", LONG], "File name too long"),
    (["--out", "/".join(["x" * 200] * 20)], "File name too long"),
    (["-l", "0"], "-l: expected more than 0, saw 0"),
    (["-l", "inf"], "-l: expected a finite number, saw inf"),
    (["-l", "1e300"], "-l: expected 3,600,000 or less"),
    (["-d", "nan"], "-d: expected a finite number, saw nan"),
    (["-d", "0"], "-d: expected more than 0, saw 0"),
    (["--rate", "inf"], "--rate: expected a finite number, saw inf"),
    (["--rounds", "0"], "--rounds: expected 1 or more, saw 0"),
    ([*CLUSTER, "--pods-per-node", "0"], "--pods-per-node: expected 1 or more, saw 0"),
    ([*CLUSTER, "--max-rate", "0"], "--max-rate: expected more than 0, saw 0"),
    ([*CLUSTER, "--max-rate", "inf"], "--max-rate: expected a finite number, saw inf"),
    ([*CLUSTER, "--max-total", "0"], "--max-total: expected 1 or more, saw 0"),
    ([*CLUSTER, "--namespace", ""], "--namespace was given an empty text"),
    ([*CLUSTER, "--image", ""], "--image was given an empty text"),
    ([*CLUSTER, "--in", ""], "--in was given an empty text"),
    ([*CLUSTER, "--out", "there"], "there already exists"),
]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "run"])
@pytest.mark.parametrize(("arguments", "says"), REFUSED, ids=[" ".join(case)[:40] for case, _ in REFUSED])
def test_refused(arguments: list[str], says: str, dry: list[str], command: Any, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").touch()
    (tmp_path / "there").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "nan.yaml").write_text("fault: {name: race, parameters: {p: .nan}}\n")
    (tmp_path / "negative.yaml").write_text("fault: {name: race, parameters: {p: -1}}\n")
    (tmp_path / "unknown.yaml").write_text("fault: rac\n")
    before = names(tmp_path)
    status, out, error = command("run", *arguments, *dry)
    assert (status, out, error.count("\n")) == (2, "", 1), error
    assert says in error
    assert len(error) < 1000
    assert names(tmp_path) == before


def test_results_that_are_a_file_are_refused(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path / "file"))
    for dry in ([], ["--dry-run"]):
        status, _, error = command("run", *dry)
        assert (status, error.count("\n")) == (2, 1)
        assert f"{tmp_path / 'file'} is a file" in error


def test_resume_takes_no_other_option(command: Any, tmp_path: Path) -> None:
    """--dry-run and options given as 0 were ignored, and the run was measured."""
    for more in (["--dry-run"], ["--rounds", "0"], ["--seed", "0"], ["-l", "0"], ["--allow-external"]):
        status, _, error = command("run", "--resume", str(tmp_path), *more)
        assert (status, "give no other option" in error) == (2, True), more


@pytest.mark.parametrize("rate", ["0", "-5", "nan", "inf"])
def test_a_plan_for_no_rate_is_refused(rate: str, command: Any) -> None:
    status, out, error = command("plan", "--detect", "0.1%", "--rate", rate)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert "--rate should be above 0" in error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "windows"], "no target 'windows'"),
        (["--fault", "rac"], "rac"),
        (["--fault", "race:p=5"], "0 to 1"),
    ],
)
def test_a_shell_in_the_lab_is_refused_before_there_is_a_lab(arguments: list[str], says: str, command: Any) -> None:
    status, out, error = command("lab", "shell", *arguments, "--", "true")
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert says in error


def test_small_parameters_of_a_fault_can_be_read_back(command: Any, tmp_path: Path) -> None:
    """A plan writes 0.00001 as 1e-05, which its own reader refused: such a run could not be opened again."""
    status, out, _ = command("run", "--dry-run", "--fault", "race:p=0.00001")
    assert (status, "fault: race:p=1e-05" in out) == (0, True)
    (tmp_path / "plan.yaml").write_text(out)
    assert command("run", "plan.yaml", "--dry-run") == (0, out, "")


@pytest.mark.parametrize("missing", preflight.ANALYSIS_NEEDS)
def test_what_a_report_needs_is_looked_for_first(
    missing: str, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    for more in ([], ["--dry-run"], ["--resume", str(tmp_path)]):
        status, out, error = command("run", "--report", *more)
        assert (status, out, error.count("\n")) == (3, "", 1)
        assert f"--report needs {missing}, which is missing: `pip install 'dnslab[analysis]'`" in error


def test_all_that_the_extras_install_is_looked_for() -> None:
    extras = [text for text in requires("dnslab") or () if "extra ==" in text]
    packages = {re.match(r"[\w.-]+", text)[0] for text in extras}  # type: ignore[index]
    assert packages - set(preflight.NOTEBOOKS_NEED) - {"dnslab"} == {"jupyterlab"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a folder read-only")
@pytest.mark.parametrize("dry", ["--dry-run", ""], ids=["dry run", "run"])
def test_read_only_results_are_refused(dry: str, tmp_path: Path) -> None:
    """On a mount that root cannot write to either; the nameserver would not answer, so nothing was asked."""
    script = (
        "mkdir results && mount -t tmpfs -o ro tmpfs results && "
        f'exec "$@" run --backend local --nameserver 127.0.0.1:9 {dry}'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *DNSLAB],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done
    assert "results cannot be written to: name another place with --out" in done.stderr


def test_a_place_deep_in_folders_that_are_not_there_is_fine(tmp_path: Path) -> None:
    preflight.check_new_folder(tmp_path / "a" / "b" / "c")
    preflight.check_new_folder(Path("results") / "x")
    assert not (tmp_path / "a").exists()
    with pytest.raises(RunExists):
        preflight.check_new_folder(tmp_path)
    with pytest.raises(UsageError, match="too long"):
        preflight.check_new_folder(tmp_path / ("x" * 256) / "run")


def test_a_dry_run_is_not_slower_for_it(tmp_path: Path) -> None:
    """It asks no nameserver: this one would not answer."""
    done = dnslab("run", "--dry-run", "--backend", "local", "--nameserver", "127.0.0.1:9", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
