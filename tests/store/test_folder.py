"""store: written once, whole or not at all; interrupted trials stay readable; a full disk is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dnslab.errors import RunExists, RunInvalid, RunNotFound, StorageFull
from dnslab.plan.model import Plan
from dnslab.plan.schedule import TargetInfo, Trial
from dnslab.store.client import Stream
from dnslab.store.contents import ClientStart, Environment, Target
from dnslab.store.folder import RunFolder, latest_run_path, new_run_path
from dnslab.store.writing import write_once
from tests import runs

ENVIRONMENT = Environment(kernel="Linux 6.1", targets=[Target(name="glibc", libc="glibc")])


def start(number: int, target: str) -> ClientStart:
    trial = Trial(number, 1, 1, "baseline", 0, (target,))
    return ClientStart.model_validate(runs.start(trial, TargetInfo(target, "glibc", "2.36")))


def make(path: Path) -> RunFolder:
    return RunFolder.create(path, Plan(rounds=2), ENVIRONMENT)


def test_a_run_folder_is_read_back(tmp_path: Path) -> None:
    made = make(tmp_path / "run")
    read = RunFolder(tmp_path / "run")
    assert read.plan == made.plan == Plan(rounds=2)
    assert read.environment.kernel == "Linux 6.1"
    assert read.clients() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    make(tmp_path / "run")
    before = (tmp_path / "run" / "plan.yaml").stat()
    with pytest.raises(RunExists, match="--resume"):
        make(tmp_path / "run")
    assert (tmp_path / "run" / "plan.yaml").stat() == before
    with pytest.raises(RunExists):
        write_once(tmp_path / "run" / "plan.yaml", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_trial_without_an_end_is_interrupted(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    writer = run.writer(7, "glibc")
    writer.start(start(7, "glibc"))
    stream = writer.stream()
    stream.append(b"abc")
    (client,) = run.clients()
    assert (client.number, client.attempt, client.target, client.status) == (7, 1, "glibc", "interrupted")
    assert client.stream.read_bytes() == b"abc"
    stream.close()
    writer.end({"status": "complete"})
    assert [client.status for client in run.clients()] == ["complete"]


def test_a_resume_writes_beside_the_broken_attempt(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.writer(7, "glibc").start(start(7, "glibc"))
    run.writer(7, "musl").start(start(7, "musl"))
    run.writer(7, "glibc").start(start(7, "glibc"))
    assert [(client.target, client.attempt) for client in run.clients()] == [("glibc", 1), ("glibc", 2), ("musl", 1)]
    assert (run.path / "trials" / "0007.2" / "glibc.start.json").exists()


def test_resume_refuses_another_kernel(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.add_environment(ENVIRONMENT)
    assert (run.path / "environment.2.json").exists()
    with pytest.raises(RunInvalid, match=r"kernel was 'Linux 6\.1' and is now 'Linux 7'"):
        run.add_environment(ENVIRONMENT.model_copy(update={"kernel": "Linux 7"}))


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound):
        RunFolder(tmp_path)
    with pytest.raises(RunNotFound):
        latest_run_path(tmp_path)


def test_latest(tmp_path: Path) -> None:
    for name in ("20260101T000000Z-a", "20260102T000000Z-a"):
        make(tmp_path / name)
    assert latest_run_path(tmp_path).name == "20260102T000000Z-a"
    assert new_run_path(tmp_path, "demo").name.endswith("Z-demo")


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """Of a resume's environment, too."""
    folder = make(tmp_path / "run")
    (tmp_path / "run" / "environment.2.json").write_text('{"version": 2}')
    with pytest.raises(RunInvalid, match=r"environment\.2\.json has format version 2, but this dnslab reads version 1"):
        _ = folder.environment


def test_foreign_json_is_named(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.writer(1, "glibc").start(start(1, "glibc"))
    (run.path / "trials" / "0001" / "glibc.start.json").write_text("{")
    with pytest.raises(RunInvalid, match=r"glibc\.start\.json is not JSON that dnslab writes"):
        run.clients()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.dnsr").symlink_to("/dev/full")
    stream = object.__new__(Stream)
    stream._path = tmp_path / "x.dnsr"
    stream._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(StorageFull, match=r"the disk is full at .*x.dnsr: free some space"):
        stream.append(b"x")
    stream._file.close()
