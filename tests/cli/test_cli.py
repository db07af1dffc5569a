"""The command line: one line and the stated status for each mistake, nothing half-made, and the run side for real."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from dnslab.analyse.dataset import open_run
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.findings import findings_of
from dnslab.explain.soundness import examine
from dnslab.store.stream import frame
from dnslab.text import plain
from tests.measure.test_lab import gone_within
from tests.nameserver import nameserver

DNSLAB = [sys.executable, "-c", "from dnslab.cli import main; main()"]
NAME = "--name=web.any.cluster.local."
QUICK = ["-d", "1", "--rounds", "1", NAME]


def dnslab(*arguments: str, cwd: Path, timeout_s: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(
        [*DNSLAB, *arguments], capture_output=True, text=True, cwd=cwd, env=env, timeout=timeout_s, check=False
    )


MISTAKES = [
    (["run", "--variants", "baseline,single-reqest"], 2, "did you mean 'single-request'"),
    (["run", "--name", "a..b"], 2, "empty label"),
    (["run", "--name", "a" * 64 + ".test"], 2, "label of 64 bytes"),
    (["run", "-c", "0"], 2, "-c: expected 1 or more, saw 0"),
    (["run", "--rounds", "0"], 2, "--rounds: expected 1 or more, saw 0"),
    (["run", "--rate", "-3"], 2, "--rate: expected more than 0, saw -3"),
    (["run", "--fault", "rase:p=0.1"], 2, "did you mean 'race'"),
    (["run", "--fault", "race:p=7"], 2, "race:p should be 0 to 1"),
    (["run", "--fault", "race:often"], 2, "name:key=number"),
    (["run", "--fault", "slow-answer", "--fault", "slow-aaaa"], 2, "both decide when servers answer"),
    (["run", "--name", "nowhere.test."], 2, "zone does not have 'nowhere.test.'"),
    (["run", "--target", "windows"], 2, "no target 'windows'"),
    (["run", "--backend", "local", "--fault", "race"], 2, "needs the lab"),
    (["run", "--backend", "local", "--nameserver", "example.org"], 2, "ADDRESS"),
    (["run", "--colour"], 2, "No such option"),
    (["run", "nothing.yaml"], 2, "PLAN_FILE: there is no file nothing.yaml"),
    (["run", "bad.yaml"], 2, "bad.yaml:2: folder: unknown key"),
    (["run", "--names-file", "names.txt"], 2, "names.txt:2: expected `name A`"),
    (["run", "--out", "there"], 2, "already exists"),
    (["run", "--resume", "there"], 2, "no plan.yaml"),
    (["summary"], 2, "no run in results"),
    (["summary", "there"], 2, "there is not a run folder"),
    (["report", "nowhere"], 2, "there is no nowhere: name a run folder"),
    (["frobnicate"], 2, "No such command"),
]


@pytest.mark.lab
@pytest.mark.parametrize(("arguments", "status", "says"), MISTAKES, ids=[" ".join(m[0])[:40] for m in MISTAKES])
def test_mistakes(arguments: list[str], status: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("rounds: 3\nfolder: x\n")
    (tmp_path / "names.txt").write_text("web.any.cluster.local. A\nweb.any.cluster.local. MX\n")
    (tmp_path / "there").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = dnslab(*arguments, cwd=tmp_path)
    assert done.returncode == status, done
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_missing_tools_and_rights_are_status_3(tmp_path: Path) -> None:
    done = dnslab("run", cwd=tmp_path, PATH="/nonexistent")
    # /usr/sbin and /sbin are always looked at, so only some of the tools are missing on a machine that has them there.
    assert done.returncode == 3
    assert "apt-get install" in done.stderr
    assert not (tmp_path / "results").exists()


def test_help_is_quick_and_complete(tmp_path: Path) -> None:
    done = dnslab("--help", cwd=tmp_path)
    for command in ("doctor", "run", "summary", "report", "lab", "variants"):
        assert command in done.stdout
    assert "Exit status" in done.stdout
    assert dnslab("run", "--help", cwd=tmp_path).returncode == 0


def test_variants_are_listed(tmp_path: Path) -> None:
    assert "not applicable: musl ignores use-vc" in dnslab("variants", "--libc", "musl", cwd=tmp_path).stdout


def test_dry_run_prints_a_plan_that_can_be_given_back(tmp_path: Path) -> None:
    done = dnslab(
        "run",
        "--dry-run",
        "--fault",
        "race:p=0.05",
        "--fault",
        "outage:for=3s",
        "--rounds",
        "2",
        "--variants",
        "baseline,use-vc",
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["fault"] == "race:p=0.05+outage:for=3"
    assert "# not applicable: use-vc on musl: musl ignores use-vc" in done.stdout
    (tmp_path / "plan.yaml").write_text(done.stdout)
    again = dnslab("run", "plan.yaml", "--dry-run", cwd=tmp_path)
    assert yaml.safe_load(again.stdout) == yaml.safe_load(done.stdout)
    assert not (tmp_path / "results").exists()


def test_a_local_run_and_its_summary(tmp_path: Path) -> None:
    with nameserver() as server:
        where = ["--backend", "local", "--nameserver", f"127.0.0.1:{server.port}"]
        done = dnslab(
            "run", *where, *QUICK, "--rate", "50", "--variants", "baseline,use-vc", "--out", "out", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        closed = dnslab("run", *where, *QUICK, "-c", "2", "--variants", "baseline", "--out", "closed", cwd=tmp_path)
        assert closed.returncode == 0, closed.stderr
    assert done.stdout == "run: out\n"
    frame = open_run(tmp_path / "out").lookups()
    assert set(frame["outcome"]) == {"answered"}
    assert {transport for transport, _, _ in server.queries} == {"udp", "tcp"}
    data = json.loads(dnslab("summary", "out", "--format", "json", cwd=tmp_path).stdout)
    assert [row["variant"] for row in data["rows"]] == ["baseline", "use-vc"]
    assert data["findings"]["vetoes"][-1]["name"] == "too few rounds"
    assert isinstance(data["findings"]["void"], bool)
    assert data["rows"][0]["n"] == int((frame["variant"] == "baseline").sum())
    assert "baseline" in dnslab("summary", "out", cwd=tmp_path).stdout
    assert dnslab("summary", "out", "--format", "csv", cwd=tmp_path).stdout.startswith("variant,")
    assert (
        json.loads(dnslab("summary", "closed", "--format", "json", cwd=tmp_path).stdout)["rows"][0]["effects"] is None
    )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-1], "the stream ends without its trailer"),
        (lambda data: b"GIF89a" + data[6:], "expected a stream that begins with b'DNSR'"),
        (lambda data: frame(b"DNSR", 0, b"\x09\0" + data[18:88]), "format version 9, but this dnslab reads version 1"),
    ],
    ids=["truncated", "foreign", "newer"],
)
def test_damaged_raw_bytes_are_one_line_and_status_4(tmp_path: Path, damage: Any, says: str) -> None:
    shutil.copytree(SAMPLE, tmp_path / "run")
    raw = tmp_path / "run" / "trials" / "0003" / "glibc.dnsr"
    raw.write_bytes(damage(raw.read_bytes()))
    done = dnslab("summary", "run", cwd=tmp_path)
    assert done.returncode == 4
    assert f"0003/glibc.dnsr: {says}" in done.stderr.replace("the stream has format", "format")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("plan.yaml", ("version: 1", "version: 2"), "plan.yaml: the plan has format version 2, this dnslab reads"),
        (
            "environment.json",
            ('"version": 1', '"version": 2'),
            "environment.json has format version 2, but this dnslab",
        ),
    ],
)
def test_a_run_of_a_newer_dnslab_is_one_line(tmp_path: Path, file: str, change: tuple[str, str], says: str) -> None:
    """Of the records' own version test_damaged_raw_bytes tells."""
    shutil.copytree(SAMPLE, tmp_path / "run")
    text = (tmp_path / "run" / file).read_text(encoding="utf-8")
    (tmp_path / "run" / file).write_text(text.replace(*change), encoding="utf-8")
    for command in ("summary", "report"):
        done = dnslab(command, "run", cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
        assert says in done.stderr


@pytest.mark.notebook
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a folder read-only")
def test_a_report_of_a_read_only_run(tmp_path: Path) -> None:
    """On a mount that root cannot write to either."""
    shutil.copytree(SAMPLE, tmp_path / "run")

    def read_only(command: str) -> subprocess.CompletedProcess[str]:
        script = (
            f"mount --bind run run && mount -o remount,ro,bind run && {' '.join(map(shlex.quote, DNSLAB))} {command}"
        )
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = read_only("report run")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done
    assert "run cannot be written to: name another place with --out" in done.stderr
    done = read_only("report run --out page.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "page.html").exists()
    assert (tmp_path / "lookups.parquet").exists()


@pytest.mark.notebook
def test_report_leaves_page_and_lookups(tmp_path: Path) -> None:
    done = dnslab("report", str(SAMPLE), "--out", "page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("report: ")
    assert (tmp_path / "page.html").exists()
    assert len(pd.read_parquet(tmp_path / "lookups.parquet")) == len(open_run(SAMPLE).lookups()) > 2000


def test_a_run_with_a_report_ends_with_the_answer(tmp_path: Path) -> None:
    nobody = ("--backend", "local", "--nameserver", "127.0.0.1:1", "--name", "a.test.", "--expect", "a.test.=10.0.0.1")
    done = dnslab("run", *nobody, "-d", "1", "--rounds", "1", "--variants", "baseline", "--report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *_, run, report, answer = done.stdout.splitlines()
    sound = examine(open_run(tmp_path / run.removeprefix("run: ")))
    assert report.startswith("report: ")
    assert answer == plain(findings_of(sound).headline)


def start(tmp_path: Path, *arguments: str, marker: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "DNSLAB_TEST_MARK": marker}
    return subprocess.Popen(
        [*DNSLAB, "run", *arguments],
        cwd=tmp_path,
        text=True,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(path: Path, pattern: str, n: int = 1) -> None:
    deadline = time.monotonic() + 30
    while len(list(path.glob(pattern))) < n:
        assert time.monotonic() < deadline, f"no {pattern}"
        time.sleep(0.02)


@pytest.mark.lab
def test_ctrl_c_keeps_what_was_measured_and_resume_goes_on(tmp_path: Path) -> None:
    marker = f"ctrl-c-{os.getpid()}-{time.time_ns()}"
    process = start(
        tmp_path,
        "-d",
        "2",
        "--rounds",
        "3",
        NAME,
        "--variants",
        "baseline,use-vc",
        "--target",
        "glibc",
        "--out",
        "out",
        marker=marker,
    )
    wait_for(tmp_path, "out/trials/0003/glibc.dnsr")
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted after 2 of 6 trials; all is kept" in error.splitlines()[-1]
    assert gone_within(marker, 3.0)
    run = open_run(tmp_path / "out")
    statuses = [client.status for client in run.clients()]
    assert statuses == ["complete", "complete", "stopped", "stopped"]
    assert len(run.lookups()) > 100
    done = dnslab("run", "--resume", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / "out")
    assert [client.status for client in run.clients()] == ["complete"] * 6
    assert [client.attempt for client in run.clients()] == [1, 1, 2, 2, 1, 1]
    assert run.problems == []


@pytest.mark.lab
@pytest.mark.parametrize("seed", range(3))
def test_kill_9_at_any_instant(tmp_path: Path, seed: int) -> None:
    """What the verify tier does ten times; the folder opens up to the last block, the lab is gone in 3 s."""
    kill_at((0.3, 1.2, 3.0)[seed], tmp_path)


def kill_at(delay_s: float, tmp_path: Path) -> None:
    marker = f"kill-{os.getpid()}-{time.time_ns()}"
    process = start(
        tmp_path, "-d", "2", "--rounds", "3", NAME, "--variants", "baseline,node-local", "--out", "out", marker=marker
    )
    time.sleep(delay_s)
    process.kill()
    process.communicate()
    assert gone_within(marker, 3.0)
    if (tmp_path / "out").exists():
        run = open_run(tmp_path / "out")
        assert run.problems
        assert len(run.lookups()) >= 0
        for client in run.clients():
            assert client.status in ("complete", "interrupted")


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_stops_the_run_and_keeps_what_it_has(tmp_path: Path) -> None:
    """On a disk of 3 MB in a mount namespace of its own."""
    script = (
        'mount -t tmpfs -o size=3m tmpfs . && cd "$PWD" && '
        f"{sys.executable} -c 'from dnslab.cli import main; main()' run -d 3 --rounds 3 {NAME} -c 20 "
        "--variants baseline --target glibc --out out; "
        "status=$?; cp -r out ../kept; exit $status"
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=disk, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 4, done.stderr
    assert "the disk is full" in done.stderr.splitlines()[-1]
    run = open_run(tmp_path / "kept")
    assert len(run.lookups()) > 100
    assert run.problems


@pytest.mark.lab
def test_doctor(tmp_path: Path) -> None:
    done = dnslab("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "targets: glibc" in done.stdout


def test_doctor_of_this_machines_resolver(tmp_path: Path) -> None:
    done = dnslab("doctor", "--backend", "local", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "targets: here" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", ["lab", "local"])
@pytest.mark.parametrize("trouble", ["files", "folder"])
def test_doctor_finds_what_a_run_would_end_with(trouble: str, backend: str, tmp_path: Path) -> None:
    """In the same words: too few open files are allowed, or a file stands where results go."""
    if trouble == "folder":
        (tmp_path / "results").write_text("")
    most = "100" if trouble == "files" else "4096"
    doctor, run = (
        subprocess.run(
            ["prlimit", f"--nofile={most}:{most}", *DNSLAB, command, "--backend", backend],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        for command in ("doctor", "run")
    )
    said = run.stderr.splitlines()[-1].removeprefix("error: ")
    assert (doctor.returncode, run.returncode > 0) == (3, True)
    assert f"MISSING  {'open files' if trouble == 'files' else 'results folder'}: " in doctor.stdout
    assert said in doctor.stdout.replace("<UTC time>-compare", said.partition("results/")[2].partition(":")[0])


@pytest.mark.lab
def test_lab_shell_runs_in_a_client(tmp_path: Path) -> None:
    done = dnslab("lab", "shell", "--variant", "use-vc", "--", "cat", "/etc/resolv.conf", cwd=tmp_path)
    assert "options ndots:5 use-vc" in done.stdout
    assert dnslab("lab", "shell", "--", "sh", "-c", "exit 7", cwd=tmp_path).returncode == 7
    assert "race" in dnslab("lab", "faults", cwd=tmp_path).stdout


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give up a capability")
def test_no_permission_for_namespaces_is_one_line(tmp_path: Path) -> None:
    """As root without CAP_SYS_ADMIN, as in a container."""
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", *DNSLAB, "run"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 3, done
    assert "no permission for namespaces" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()
