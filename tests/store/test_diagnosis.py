"""diagnosis: a whole diagnosis on disk, in a bundle, and redacted."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dnslab.errors import RunExists, RunInvalid, RunNotFound
from dnslab.experiment import diagnose as experiment
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.ladder import RungDone
from dnslab.plan.arms import Change, Places
from dnslab.plan.ladder import Ladder
from dnslab.present import share
from dnslab.store.bundle import open_any, open_bundle, pack
from dnslab.store.contents import read_object
from dnslab.store.diagnosis import ANSWER, ASKED, DiagnosisFolder
from dnslab.store.folder import RunFolder
from dnslab.store.writing import as_json, write_once
from tests.cli.test_cli import dnslab

POD = "coredns-7acme on acme-node-3"
PLACES = Places(
    ("10.96.7.10",),
    ("192.0.2.77", "192.0.2.78"),
    pods={"192.0.2.77": POD},
    changes=(Change(1_800_000_000_000_000_000, "192.0.2.78", came=False, pod=POD),),
)


@pytest.fixture
def made(tmp_path: Path) -> DiagnosisFolder:
    """A diagnosis whose only rung is the sample run, with its answer."""
    asked = Ladder(RunFolder(SAMPLE).plan.model_copy(update={"name": "compare"}), PLACES, asked="10.96.7.10")
    folder = DiagnosisFolder.create(tmp_path / "20261124T101500Z-acme", asked)
    rung = folder.rung(1, "libc")
    shutil.copytree(SAMPLE, rung, ignore=shutil.ignore_patterns("*.html"))
    folder.note(rung, RungDone("libc", "rungs/1-libc", 9.0, 5.0, 3.0, 1).__dict__)
    write_once(folder.path / ANSWER, as_json(experiment.read(folder.path).to_dict()))
    return DiagnosisFolder(folder.path)


def test_what_was_asked_comes_back(made: DiagnosisFolder) -> None:
    assert made.asked
    assert (made.asked.places, made.asked.asked, made.has_ended, made.n_ended) == (PLACES, "10.96.7.10", True, 1)
    assert made.asked.base.custom_variants == RunFolder(SAMPLE).plan.custom_variants
    with pytest.raises(RunExists):
        DiagnosisFolder.create(made.path, made.asked)
    (made.path / ASKED).write_text('{"version": 2}')
    with pytest.raises(RunInvalid, match=r"asked\.json does not say"):
        _ = made.asked


def test_no_diagnosis_and_no_run(made: DiagnosisFolder, tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="is not a diagnosis"):
        DiagnosisFolder(tmp_path)
    with pytest.raises(RunNotFound, match="is a diagnosis, not a run"):
        RunFolder(made.path)
    (made.path / "rungs/1-libc/plan.yaml").unlink()
    (made.path / "rungs/1-libc/plan.yaml").symlink_to(made.path / ASKED)
    with pytest.raises(RunInvalid, match="symbolic link"):
        DiagnosisFolder(made.path)


def test_what_servers_did_is_kept_with_each_rung(made: DiagnosisFolder) -> None:
    (made.path / ANSWER).unlink()
    note = made.path / "rungs/1-libc.json"
    later = replace(
        PLACES, endpoints=PLACES.endpoints[:1], changes=(*PLACES.changes, Change(2, "192.0.2.9", came=True))
    )
    note.write_text(as_json({**json.loads(note.read_text()), "places": asdict(later)}))
    assert experiment.read(made.path).places == later
    note.write_text(as_json({**json.loads(note.read_text()), "places": {"services": 1}}))
    with pytest.raises(RunInvalid, match=r"1-libc\.json: places: expected addresses"):
        experiment.read(made.path)


def test_one_that_climbs_keeps_others_out(made: DiagnosisFolder) -> None:
    with made.claimed(), pytest.raises(RunExists, match="another dnslab process"), DiagnosisFolder(made.path).claimed():
        pass


def test_a_bundle_holds_all_and_gives_the_same_answer(made: DiagnosisFolder, tmp_path: Path) -> None:
    (made.path / "report.html").write_text("derived")
    bundle = pack(made, tmp_path / "d.dnslab.zip")
    again = open_any(bundle)
    assert isinstance(again, DiagnosisFolder)
    assert again.files() == made.files()
    assert all((again.path / path).read_bytes() == (made.path / path).read_bytes() for path in made.files())
    first, other = experiment.read(made.path), experiment.read(bundle)
    assert (first.status, first.lines, first.places) == (other.status, other.lines, other.places)
    assert other.places == PLACES
    with pytest.raises(RunNotFound, match="diagnose --from"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "member",
    ["d/rungs/1-libc/evil.sh", "d/rungs/../plan.yaml", "d/plan.yaml", "d/rungs/1-libc/trials/0001/x.py", "d/wait.txt"],
)
def test_a_bundle_with_anything_else_is_refused(made: DiagnosisFolder, tmp_path: Path, member: str) -> None:
    bundle = pack(made, tmp_path / "d.dnslab.zip", "d")
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr(member, "x")
    with pytest.raises(RunInvalid, match="not a file of a run"):
        open_any(bundle)


def test_names_are_redacted_alike_in_all(made: DiagnosisFolder, tmp_path: Path) -> None:
    answer = read_object((made.path / ANSWER).read_bytes(), made.path / ANSWER)
    answer["answer"] = ["Servers asked by themselves: 192.0.2.77 clean; web-acme-7 silent.", *answer["answer"]]
    (made.path / ANSWER).write_text(as_json(answer))
    bundle = share.bundle(made.path, tmp_path / "r.dnslab.zip", redact=True)
    opened = open_any(bundle)
    assert isinstance(opened, DiagnosisFolder)
    text = "".join(
        (opened.path / path).read_text() for path in opened.files() if path.suffix in (".json", ".yaml")
    ) + " ".join(zipfile.ZipFile(bundle).namelist())
    assert not re.search(r"192\.0\.2|10\.96\.7|acme", text)
    assert opened.asked
    redacted = read_object((opened.path / ANSWER).read_bytes(), opened.path)
    where = opened.asked.places.endpoints
    assert list(where) == redacted["places"]["endpoints"]
    assert all(address.startswith("240.") for address in where)
    assert f"Servers asked by themselves: {where[0]} clean" in redacted["answer"][0]
    assert [rung["path"] for rung in redacted["rungs"]] == [rung["path"] for rung in answer["rungs"]]
    assert redacted["causes"][0]["name"] == answer["causes"][0]["name"]
    read = experiment.read(bundle)
    assert (read.status, [cause.name for cause in read.causes]) == (
        answer["status"],
        [cause["name"] for cause in answer["causes"]],
    )


def test_the_command_line_packs_and_reads(made: DiagnosisFolder, tmp_path: Path) -> None:
    packed = dnslab("bundle", str(made.path), "--redact", cwd=tmp_path)
    assert packed.returncode == 0, packed.stderr
    (bundle,) = tmp_path.glob("*redacted.dnslab.zip")
    said = dnslab("diagnose", "--from", bundle.name, "--format", "json", cwd=tmp_path)
    assert json.loads(said.stdout)["status"] == experiment.read(made.path).status
    mistaken = dnslab("summary", bundle.name, cwd=tmp_path)
    assert (mistaken.returncode, "diagnose --from" in mistaken.stderr) == (2, True)
    ended = dnslab("diagnose", "--resume", str(made.path), cwd=tmp_path)
    assert (ended.returncode, "has ended" in ended.stderr) == (2, True)
    (made.path / ANSWER).unlink()
    (made.path / ASKED).unlink()
    unknown = dnslab("diagnose", "--resume", str(made.path), cwd=tmp_path)
    assert (unknown.returncode, "does not say what was asked" in unknown.stderr) == (2, True)
