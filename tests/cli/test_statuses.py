"""Exit statuses: each documented one is reached through the real command line, and none says what is not so."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dnslab import cli, errors, files
from dnslab.analyse import lookups
from dnslab.plan import model as plan
from dnslab.plan.model import Load, Plan
from dnslab.store import bundle as bundles
from tests import PROJECT
from tests.cli.test_cli import DNSLAB, QUICK, dnslab
from tests.runs import rows, write_run

STATED = {0, 1, 2, 3, 4, 5, 130}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that breaks a limit: a lookup in ten takes 5 s."""
    asked = Plan(variants=("baseline",), rounds=9, loads=(Load(warmup_s=0.5),))
    made = rows(([1.0] * 9 + [5_000.0]) * 100)
    return write_run(
        tmp_path_factory.mktemp("gated") / "run", asked, {("baseline", "glibc", r): made for r in range(1, 10)}
    )


def damaged(run: Path, to: Path) -> Path:
    shutil.copytree(run, to)
    path = to / "trials/0001/glibc.start.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["stall_ms"]
    path.write_text(json.dumps(data), encoding="utf-8")
    return to


def test_the_stated_ones_are_those_of_the_errors() -> None:
    stated = {int(number) for number in re.findall(r"(?:^|, |: )(\d+) ", cli.EPILOG)}
    raised = {getattr(kind, "status", 0) for kind in vars(errors).values()} - {0}
    assert stated == STATED == raised | {0, 1, errors.DEFECT}


def test_0_done(run: Path, tmp_path: Path) -> None:
    assert dnslab("summary", str(run), cwd=tmp_path).returncode == 0
    assert dnslab("gate", str(run), "--gate", "failed_share<=50%", cwd=tmp_path).returncode == 0


def test_1_a_limit_is_broken(run: Path, tmp_path: Path) -> None:
    done = dnslab("gate", str(run), "--gate", "slow_share<0.1%", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "fails" in done.stdout


def test_2_usage(tmp_path: Path) -> None:
    done = dnslab("summary", "nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no nowhere")


def test_3_not_able(run: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(
            [*DNSLAB, "summary", str(run)], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False
        )
    assert (done.returncode, done.stderr) == (3, "error: no space left on device\n")


def test_3_too_little_memory(run: Path, tmp_path: Path) -> None:
    code = (
        "from dnslab import cli\nfrom dnslab.analyse import summary\n"
        "def full(run): raise MemoryError\nsummary.summarise = full\ncli.main()"
    )
    done = subprocess.run(
        [DNSLAB[0], "-c", code, "summary", str(run)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 3
    assert done.stderr == "error: there is too little free memory: free some of it\n"


@pytest.mark.parametrize("command", ["summary", "gate", "report", "export --out x.csv", "bundle --redact"])
def test_4_a_damaged_run(run: Path, tmp_path: Path, command: str) -> None:
    broken = damaged(run, tmp_path / "broken")
    name, *more = command.split()
    if name == "bundle":  # reads no key of it
        (broken / "trials/0001/glibc.start.json").write_text("{")
    done = dnslab(name, str(broken), *more, cwd=tmp_path)
    assert done.returncode == 4, done
    assert done.stderr.count("\n") == 1
    assert "glibc.start.json" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]


def test_4_compared_with_a_damaged_run(run: Path, tmp_path: Path) -> None:
    done = dnslab("compare", str(run), str(damaged(run, tmp_path / "broken")), cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)


DEFECT = "from dnslab import cli\nfrom dnslab.analyse import summary\nsummary.summarise = None\ncli.main()"


@pytest.mark.parametrize("debug", [False, True])
def test_5_a_defect(run: Path, tmp_path: Path, debug: bool) -> None:
    """A part that is missing stands for whatever nobody foresaw; a gate on it is no broken limit."""
    arguments = [*(["--debug"] if debug else []), "gate", str(run)]
    done = subprocess.run(
        [DNSLAB[0], "-c", DEFECT, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 5
    *traceback, line = done.stderr.splitlines()
    assert line.startswith("error: a defect of dnslab, please report it with what `dnslab --debug` shows: TypeError")
    assert bool(traceback) == debug


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_130_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    """While it waits for a names file that nobody writes."""
    os.mkfifo(tmp_path / "names")
    arguments = ["run", "--backend", "local", "--names-file", "names", *QUICK]
    process = subprocess.Popen([*DNSLAB, *arguments], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        with open(tmp_path / "names", "w", encoding="ascii"):  # returns once it is read from
            time.sleep(0.2)
            process.send_signal(number)
            _, said = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, said.strip()) == (130, "interrupted")


PRINTS = (
    *("--help", "variants", "run --dry-run", "summary RUN --format json", "import csv FILE --columns latency_ms=ms"),
    *("export RUN --out OUT", "bundle RUN --out OUT"),
)
STATUSES = {**dict.fromkeys(PRINTS, 0), "gate RUN --gate slow_share<0.1%": 1, "nonsense": 2}


@pytest.mark.lab
@pytest.mark.parametrize(("command", "status"), STATUSES.items(), ids=STATUSES)
def test_a_closed_pipe_is_no_verdict(run: Path, tmp_path: Path, command: str, status: int) -> None:
    """The status is what it is when somebody reads, and nothing is said of the pipe."""
    (tmp_path / "file.csv").write_text("ms\n" + "1\n" * 100)
    names = {"RUN": str(run), "FILE": "file.csv", "OUT": "out"}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        arguments = [*DNSLAB, *(names.get(word, word) for word in command.split())]
        done = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    finally:
        os.close(writer)
    assert done.returncode == status
    assert done.stderr.startswith("error: No such command") if status == 2 else not done.stderr


def test_both_ends_closed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([*DNSLAB, "summary", "nowhere"], stdout=writer, stderr=writer, cwd=tmp_path, check=False)
    finally:
        os.close(writer)
    assert done.returncode == 2


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EMFILE, errno.EIO])
def test_what_the_system_refuses_is_no_defect(number: int) -> None:
    message, status = cli._line_and_status(OSError(number, os.strerror(number), "some/where"))
    assert (message, status) == (f"error: some/where: {os.strerror(number).lower()}", 3)
    assert cli._line_and_status(OSError(errno.EPIPE, "broken pipe"))[1] == 5


def test_the_limits_are_those_of_the_documentation() -> None:
    text = (PROJECT / "docs/limits.md").read_text(encoding="utf-8")
    for row in (
        f"`plan.yaml`, a file of names | {files.PLAN_BYTES >> 20} MiB, {files.PLAN_NODES:,} values, "
        f"{files.PLAN_KEYS:,} keys side by side, nested {files.PLAN_DEPTH} deep |",
        f"variants of its own | {plan.MAX_VARIANTS:,} each |",
        f"loads; targets | {plan.MAX_LOADS}; {plan.MAX_TARGETS:,} |",
        f"trials, counted on each target | {plan.MAX_CLIENTS:,} |",
        f"`environment.json` | {files.ENVIRONMENT_BYTES >> 20} MiB |",
        f"`start.json` | {files.START_BYTES >> 20} MiB |",
        f"`ground-truth.json`, and the JSON files of a diagnosis | {files.END_BYTES >> 20} MiB |",
        f"lists and objects among them | {files.JSON_VALUES:,}; {files.JSON_CONTAINERS:,}, nested 200 deep |",
        f"times in it are at most {lookups.LONGEST_S:,.0f} s |",
        f"unpacked | {bundles.MAX_BYTES >> 30} GiB, {bundles.MAX_FILES:,} files; "
        f"over {bundles.FREE_BYTES >> 20} MiB at most {bundles.MAX_RATIO} times its own size |",
        f"{files.IMPORT_BYTES >> 20} MiB; a CSV also {files.IMPORT_ROWS:,} rows, {files.IMPORT_COLUMNS:,} columns, "
        f"{files.IMPORT_LINE_BYTES >> 10} KiB a line |",
        f"an import in all | {files.IMPORT_VARIANTS:,} variants, {files.IMPORT_ROUNDS:,} rounds |",
    ):
        assert row in text, row
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == STATED
