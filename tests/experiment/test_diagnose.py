"""diagnose: the ladder in the lab end to end, its document, and what finished runs can bear."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest

from dnslab.experiment import diagnose as experiment
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.ladder import VERSION, Answer
from dnslab.plan import ladder, sentinel
from dnslab.plan.ladder import NAME, VARIANTS
from dnslab.plan.model import Plan
from dnslab.store.folder import RunFolder
from tests.cli.test_cli import DNSLAB, dnslab
from tests.nameserver import Nameserver, nameserver
from tests.runs import rows, write_run


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
    answer = diagnosed("one-dead-backend", tmp_path, 44.0)
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


@pytest.mark.parametrize("variant", ["baseline", "node-local"])
def test_a_finished_run_without_raw_queries_speaks_of_its_lookups(tmp_path: Path, variant: str) -> None:
    plan = Plan.of({"variants": [variant], "rounds": 3, "loads": [{"loop": "closed", "workers": 8, "duration_s": 2.0}]})
    made = {(variant, "glibc", number): rows([0.4] * 500) for number in (1, 2, 3)}
    answer = experiment.read(write_run(tmp_path / "run", plan, made))
    found = (
        f"Nothing found: of 1,500 lookups with {variant}, fewer than 1 lookup in 500 stalled or failed, from 1 target."
    )
    assert (answer.status, answer.lines[0].replace("\N{NO-BREAK SPACE}", " ")) == ("nothing found", found)
    assert answer.rungs[0].per_server_per_s == 500.0, "A and AAAA of 250 lookups a second, as measured"


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


ANY = "web.any.cluster.local."
CLI = ("diagnose", "--budget", "60s", "--out", "d")


def ladder_at(rung: str, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """A diagnosis in a process of its own, which has just begun to send the queries of this rung."""
    process = subprocess.Popen([*DNSLAB, *arguments], cwd=cwd, text=True, stdout=PIPE, stderr=PIPE)
    until_s = time.monotonic() + 60
    while not list((cwd / "d/rungs").glob(f"*-{rung}/trials/*/*.dnsr")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until_s
        time.sleep(0.05)
    return process


@pytest.mark.lab
def test_a_diagnosis_that_was_killed_goes_on_where_it_stood(tmp_path: Path) -> None:
    killed = ladder_at("arms", *CLI, "--budget", "27s", cwd=tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    folder = tmp_path / "d"
    assert not (folder / "diagnosis.json").exists()
    alive = {path: path.read_bytes() for path in (folder / "rungs").glob("1-alive/**/*") if path.is_file()}
    assert alive
    resumed = dnslab("diagnose", "--resume", "d", "--format", "json", cwd=tmp_path)
    assert resumed.returncode in (0, 4), resumed.stderr  # the budget may end before the last rung
    answer = json.loads(resumed.stdout)
    assert answer == json.loads((folder / "diagnosis.json").read_text())
    assert [rung["rung"] for rung in answer["rungs"]][:2] == ["alive", "arms"]
    assert answer["status"] in ("nothing found", "insufficient data")
    assert {seen["seen"] for seen in answer["arms"]} == {"clean"}
    assert all(path.read_bytes() == data for path, data in alive.items())
    assert "rung 1," not in resumed.stderr
    assert experiment.read(folder).to_dict()["arms"] == answer["arms"]


@pytest.mark.probe
def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    with nameserver() as server:
        where = ("--backend", "local", "--nameserver", f"127.0.0.1:{server.port}", "--name", ANY)
        process = ladder_at("alive", *CLI, "--budget", "12s", *where, cwd=tmp_path)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors.splitlines()[-1] == (
            "interrupted after 0 rungs, which are kept; go on with `dnslab diagnose --resume d`"
        )
        resumed = dnslab("diagnose", "--resume", "d", cwd=tmp_path)
        assert "rung 1, alive" in resumed.stderr
    ended = json.loads((tmp_path / "d/diagnosis.json").read_text())
    assert (ended["rungs"][0]["rung"], ended["rungs"][0]["problem"]) == ("alive", "")


@pytest.mark.lab
@pytest.mark.usefixtures("short")
def test_a_wait_sees_a_fault_that_begins_later_and_climbs(tmp_path: Path) -> None:
    plan = base("loss:p=0.6,from=10s", ("baseline",))
    folder, answer = experiment.diagnose(experiment.prepare(plan, 12.0, wait_s=120.0), tmp_path / "d")
    waited = answer.waited
    assert waited
    assert waited.fired
    assert (waited.target, waited.kind) == ("glibc", "failed")
    assert 10.0 < waited.seconds < 60.0
    assert waited.n_bad >= min(alarm.least for alarm in sentinel.alarms(120.0, 1))
    assert answer.lines[0].startswith("After ")
    assert "so the ladder was climbed" in answer.lines[0]
    # Its clients are new, so that the fault begins 10 s after their first query, too: by then each rung has ended.
    assert answer.rungs[0].rung == "alive"
    assert answer.status == "insufficient data"
    assert json.loads((folder / "diagnosis.json").read_text())["waited"]["kind"] == "failed"
    again = experiment.read(folder)
    assert (again.waited, again.lines[0]) == (waited, answer.lines[0])
    assert sum(path.stat().st_size for path in (folder / "wait").rglob("*") if path.is_file()) < 500_000


def here(server: Nameserver) -> Plan:
    """Asks a nameserver on loopback."""
    where = {"backend": "local", "nameserver": f"127.0.0.1:{server.port}", "names": [ANY], "variants": ["baseline"]}
    return Plan.of(where)


@pytest.mark.probe
@pytest.mark.usefixtures("short")
def test_a_wait_climbs_when_there_is_trouble_and_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentinel, "ARMS", (("a", 0.5), ("tcp", 2.0)))  # so that it takes seconds
    with nameserver() as server:
        asked = experiment.prepare(here(server), 24.0, wait_s=120.0)
        threading.Timer(6.0, lambda: setattr(server, "tcp_answers", False)).start()
        folder, answer = experiment.diagnose(asked, tmp_path / "d")
    assert answer.waited
    assert (answer.waited.target, answer.waited.kind) == ("here", "failed")
    assert 3.0 < answer.waited.seconds < 60.0
    assert "so the ladder was climbed" in answer.lines[0]
    assert [rung.rung for rung in answer.rungs][:2] == ["alive", "arms"]
    assert answer.causes[0].mechanism == "tcp-silent"
    assert answer.causes[0].remedy
    assert answer.causes[0].remedy.commands == ("kubectl get networkpolicies --all-namespaces",)
    assert experiment.read(folder).causes == answer.causes


@pytest.mark.probe
def test_a_wait_in_which_nothing_happens_ends_with_a_bound(tmp_path: Path) -> None:
    with nameserver() as server:
        folder, answer = experiment.diagnose(experiment.prepare(here(server), wait_s=12.0), tmp_path / "d")
    assert (answer.status, [rung.rung for rung in answer.rungs]) == ("nothing found", ["wait"])
    assert "fewer than 1 query in" in answer.lines[0]
    assert "12 s of load" in answer.lines[0]
    assert answer.waited
    assert not answer.waited.fired
    assert 12 <= answer.waited.n <= 20
    assert not list(folder.glob("rungs/*"))
    assert experiment.read(folder).lines == answer.lines
