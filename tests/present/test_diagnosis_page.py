"""The page of a diagnosis from a folder, a bundle and a redacted copy, and in states that no kept diagnosis has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnslab.cli import cli
from dnslab.errors import RunInvalid
from dnslab.experiment.compare import SAMPLE
from dnslab.experiment.diagnose import opened
from dnslab.explain.arms import ArmSeen
from dnslab.explain.diagnosed import Diagnosed
from dnslab.explain.ladder import Answer
from dnslab.explain.waited import Waited
from dnslab.present.page import diagnosis_page
from dnslab.present.page.diagnosis_arms import COUNTS, asked, share_of
from dnslab.present.page.diagnosis_telling import telling_sentences
from tests import diagnoses
from tests.present import states
from tests.present.test_states import words


def dnslab(*arguments: object) -> str:
    done = CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False)
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return diagnoses.unpacked("cluster", tmp_path_factory.mktemp("kept"))


def test_a_folder_and_its_bundle_have_the_same_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written beside the diagnosis; that of a bundle into the current folder."""
    monkeypatch.chdir(tmp_path)
    assert dnslab("report", folder) == f"report: {folder}/report.html\n"
    assert (folder / "report.html").read_text() == diagnosis_page(opened(folder))
    dnslab("bundle", folder, "--out", "kept.dnslab.zip")
    assert dnslab("report", "kept.dnslab.zip") == f"report: {tmp_path}/cluster.html\n"
    assert words(Path("cluster.html").read_text()) == words((folder / "report.html").read_text())


def test_a_redacted_page_holds_no_name(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert "redacted: read it before you share it" in dnslab("report", folder, "--redact", "--out", out)
    text = out.read_text()
    node = json.loads(next(folder.glob("rungs/*/trials/*/*.start.json")).read_text())["node"]
    assert node
    plain = diagnosis_page(opened(folder))
    assert "10.96.0.10" in plain
    assert not [name for name in (node, "10.96.0.10", "dlc") if name in text]
    assert "Nothing found" in words(text)


def test_a_finished_run_has_the_page_of_what_it_bears() -> None:
    said = words(diagnosis_page(opened(SAMPLE)))
    assert "Trouble found, cause open" in said
    assert "6.7 % of 356 lookups stalled" in said
    assert "queries/s for each server This tells what applications feel" in said
    assert "alive: not climbed" in said
    assert "Each kind of query" not in said


def test_a_wait_is_told(folder: Path) -> None:
    found = opened(folder)
    waited = Waited(11_520, 21_600, 11_000, 5, 0, 0, 1, target="glibc", kind="failed", n_bad=5, window_s=60)
    said = words(diagnosis_page(replace(found, answer=replace(found.answer, waited=waited))))
    assert "After 3 h 12 min of waiting, 5 queries from glibc failed within 1 min" in said
    assert "Waited 3 h 12 min" in said


def test_an_answer_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = diagnoses.unpacked("cluster", tmp_path)
    written = json.loads((copy / "diagnosis.json").read_text())
    (copy / "diagnosis.json").write_text(json.dumps({**written, "seconds": "long"}))
    with pytest.raises(RunInvalid, match=r"diagnosis\.json"):
        opened(copy)


def arm(name: str, place: str, lost: int, n: int = 100, *words: str) -> ArmSeen:
    counts = dict.fromkeys(
        ("lost", "unanswered", "lost_second", "late", "errors", "truncated", "late_sent", "unsent"), 0
    )
    return ArmSeen(name, place, n, {**counts, "lost": lost, "unanswered": lost}, 1.0, 2.0, words)


def with_arms(found: Diagnosed, *arms: ArmSeen) -> Answer:
    return replace(found.answer, arms=arms)


def test_what_is_told_is_hit_most_beside_what_is_spared(folder: Path) -> None:
    found = opened(folder)
    service, server, other = "10.0.0.10", "10.0.0.2", "10.0.0.3"
    usual = [arm("a", service, 1), arm("aaaa", service, 0), arm("tcp", service, 30, 100, "lost")]
    assert telling_sentences(with_arms(found, *usual)) == [
        "Over TCP: 30 of 100 queries got no answer within 1 s, 30\xa0% (95 % interval 22 to 40\xa0%).",
        "A alone: this happened to 1 of 100.",
    ]
    places = replace(found.answer.places, endpoints=(server, other))
    by_itself = [arm("a", server, 0, 50), arm("tcp", server, 0, 50), arm("a", other, 50, 50, "silent")]
    answer = replace(with_arms(found, *usual, *by_itself), places=places)
    assert telling_sentences(answer) == [
        f"Server {other}: all 50 queries got no answer within 1 s.",
        f"Server {server}: this happened to none of 100.",
    ]
    all_hit = [arm(name, service, 20, 100, "lost") for name in ("a", "aaaa", "tcp")]
    assert telling_sentences(with_arms(found, *all_hit))[1:] == ["Every kind of query is hit."]
    assert telling_sentences(with_arms(found, arm("a", service, 1))) == []


def test_a_share_of_queries_is_wilsons(folder: Path) -> None:
    """46 of 298: 0.1178 to 0.1998 by the formula of Wilson; none of 298: 1 - 0.05 ** (1 / 298)."""
    lost = COUNTS[0]
    share = share_of(lost, arm("a", "x", 46, 298))
    assert (round(share.estimate, 4), round(share.low, 4), round(share.high, 4)) == (0.1544, 0.1178, 0.1998)
    assert round(share_of(lost, arm("a", "x", 0, 298)).high, 6) == round(1 - 0.05 ** (1 / 298), 6)
    assert [seen.arm for seen in asked(opened(folder).answer)] == [
        *("a", "aaaa", "pair-one-socket", "pair-two-sockets", "tcp", "standing")
    ]


def test_what_applications_feel_stands_on_the_first_screen(tmp_path: Path) -> None:
    """The kept diagnoses compared configurations on a busy machine, so a made-up run stands in for that rung."""
    shown = diagnoses.kept("shown", tmp_path)
    lookups = states.run_of(tmp_path / "lookups", states.failing)
    page = words(diagnosis_page(replace(shown, runs=(*shown.runs[:2], lookups))))
    first = page[: page.index("What to do now No answer")]
    assert "this happened to none of 237. Applications feel it: About 1 lookup in 15 failed" in first
    assert "Applications feel it" not in words(diagnosis_page(shown)), "what is void is not said"
