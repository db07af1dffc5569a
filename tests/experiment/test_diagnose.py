"""diagnose: the ladder in the lab end to end, its document, and what finished runs can bear."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dnslab.experiment import diagnose as experiment
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.ladder import VERSION, Answer
from dnslab.plan import ladder
from dnslab.plan.ladder import NAME, VARIANTS
from dnslab.plan.model import Plan
from dnslab.store.folder import RunFolder


def base(fault: str, variants: tuple[str, ...] = VARIANTS) -> Plan:
    return Plan.of({"fault": fault, "targets": ["glibc"], "variants": variants, "names": [NAME]})


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rungs of a few seconds."""
    monkeypatch.setattr(ladder, "ALIVE", replace(ladder.ALIVE, load_s=2.0))
    monkeypatch.setattr(ladder, "FEW", replace(ladder.FEW, load_s=3.0))
    monkeypatch.setattr(ladder, "MORE", replace(ladder.MORE, load_s=3.0))
    monkeypatch.setattr(ladder, "LIBC", replace(ladder.LIBC, load_s=1.0))
    monkeypatch.setattr(ladder, "PLACE", replace(ladder.PLACE, load_s=3.0))


def diagnosed(fault: str, path: Path, budget_s: float = 60.0, **changes: tuple[str, ...]) -> Answer:
    """The answer, after what holds for every diagnosis was checked."""
    folder, answer = experiment.diagnose(experiment.prepare(base(fault, **changes), budget_s), path / "diagnosis")
    written = json.loads((folder / "diagnosis.json").read_text())
    assert written == json.loads(json.dumps(answer.to_dict()))
    assert written["version"] == VERSION
    for rung in written["rungs"]:
        assert RunFolder(folder / rung["path"]).plan.name == rung["rung"]
        assert rung["per_server_per_s"] <= 50
    again = experiment.read(folder)
    assert (again.arms, again.causes, again.trouble) == (answer.arms, answer.causes, answer.trouble)
    return answer


def words(answer: Answer) -> dict[tuple[str, str], str]:
    return {(seen.arm, seen.place): seen.word for seen in answer.arms}


@pytest.mark.lab
@pytest.mark.usefixtures("short")
def test_a_healthy_lab_ends_with_a_bound_and_what_was_not_tested(tmp_path: Path) -> None:
    answer = diagnosed("none", tmp_path, variants=("baseline",))
    assert answer.status == "nothing found"
    assert [rung.rung for rung in answer.rungs] == ["alive", "arms", "more", "libc"]
    assert set(words(answer).values()) == {"clean"}
    first, second = answer.lines
    assert "fewer than 1 query in" in first
    assert second.startswith("Not tested: ")
    assert not answer.causes


@pytest.mark.lab
@pytest.mark.usefixtures("short")
def test_a_budget_ends_the_ladder_with_the_rung_that_would_be_next(tmp_path: Path) -> None:
    answer = diagnosed("race:p=0.8", tmp_path, 20.0)
    seen = words(answer)
    assert seen["pair-one-socket", "10.96.0.10"] == "lost"
    assert {seen[arm, "10.96.0.10"] for arm in ("a", "aaaa", "pair-two-sockets", "tcp", "standing")} == {"clean"}
    pair = next(one for one in answer.arms if one.arm == "pair-one-socket")
    assert pair.counts["lost_second"] == pair.counts["lost"]
    assert answer.causes[0].mechanism == "pair-second-lost"
    if answer.following:
        assert "The next rung would be" in " ".join(answer.lines)


@pytest.mark.lab
@pytest.mark.usefixtures("short")
def test_blocked_tcp_is_silent_and_nothing_else_is(tmp_path: Path) -> None:
    answer = diagnosed("tcp-blocked", tmp_path, 20.0)
    seen = words(answer)
    assert seen.pop(("tcp", "10.96.0.10")) == "silent"
    assert {word for (arm, place), word in seen.items() if place == "10.96.0.10"} == {"clean"}
    assert answer.causes[0].mechanism == "tcp-silent"
    assert not any("race" in cause.name for cause in answer.causes)


@pytest.mark.lab
@pytest.mark.usefixtures("short")
def test_a_dead_server_is_found_by_asking_each_by_itself(tmp_path: Path) -> None:
    answer = diagnosed("one-dead-backend", tmp_path, 34.0)
    assert [rung.rung for rung in answer.rungs][:3] == ["alive", "arms", "place"]
    at = {
        place: {word for (_, where), word in words(answer).items() if where == place}
        for place in answer.places.endpoints
    }
    assert sorted(map(sorted, at.values())) == [["clean"], ["silent"]]
    assert any("Servers asked by themselves" in line for line in answer.lines)
    assert (answer.status, answer.causes[0].name) == ("cause", "dead-endpoint")


def test_a_finished_run_bears_an_answer_and_names_the_rung_to_add() -> None:
    answer = experiment.read(SAMPLE)
    assert [rung.rung for rung in answer.rungs] == ["libc"]
    assert (answer.arms, answer.seconds, answer.budget_s) == ((), 0.0, None)
    assert answer.following == "alive"


def test_the_fault_of_a_run_is_no_evidence(tmp_path: Path) -> None:
    """The same run under another fault's name has the same answer."""
    import shutil

    copy = tmp_path / SAMPLE.name
    shutil.copytree(SAMPLE, copy)
    fault = str(RunFolder(SAMPLE).plan.fault)
    assert fault != "none"
    for path in (copy / "plan.yaml", copy / "environment.json"):
        path.write_text(path.read_text().replace(fault, "slow-answer"))
    assert str(RunFolder(copy).plan.fault) == "slow-answer"
    for truth in copy.rglob("*.ground-truth.json"):
        truth.unlink()
    answer, other = experiment.read(SAMPLE), experiment.read(copy)
    assert answer.causes
    assert (answer.causes, answer.lines, answer.status) == (other.causes, other.lines, other.status)
