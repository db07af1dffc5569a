"""labels: a run of pods like a workload's is told by the workload's name, whatever its pods are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import summarise
from dnslab.explain.compare import compare
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Plan, TargetPlan
from dnslab.plan.schedule import TargetInfo
from dnslab.present import share
from dnslab.present.page import page
from tests.runs import rows, write_run


def like_web(path: Path, *names: str, listed: bool = False) -> Run:
    """A recorded run of pods like deploy/web's, of which the first target stalled."""
    plan = Plan(
        backend="kubernetes",
        cluster=ClusterPlan(namespace="team-a", like="deploy/web"),
        variants=("baseline", "use-vc"),
        targets=tuple(TargetPlan(name=name) for name in names) if listed else (),
        rounds=3,
    )
    known = [TargetInfo(name, "glibc", "2.36", workload="deploy/web") for name in names]
    slow = {"baseline": rows([5004.0] * 9 + [0.5] * 91), "use-vc": rows([0.5] * 100)}
    lookups = {(variant, name, n): slow[variant] for variant in slow for name in names for n in (1, 2, 3)}
    write_run(path, plan, lookups, known=known)
    text = json.loads((path / "environment.json").read_text())
    text["backend"] |= {"name": "kubernetes", "places": [{"target": name, "node": "worker-1"} for name in names]}
    (path / "environment.json").write_text(json.dumps(text))
    return open_run(path)


@pytest.mark.parametrize("name", ["pod", "worker-1"])
def test_one_target_is_called_as_the_workload(name: str, tmp_path: Path) -> None:
    run = like_web(tmp_path / "run", name)
    assert {row.target for row in summarise(run).rows} == {"deploy/web"}
    assert set(run.lookups()["target"]) == set(run.trials()["target"]) == {"deploy/web"}
    assert [place.target for place in run.environment.backend.places or ()] == ["deploy/web"]
    assert "deploy/web (glibc 2.36)" in run.facts.lines["where"]
    assert run.problems == []
    shown = page(run)
    assert "on deploy/web" in shown
    assert f"on {name}" not in shown
    assert (tmp_path / f"run/trials/0001/{name}.dnsr").exists()


def test_several_pods_are_told_apart_by_number(tmp_path: Path) -> None:
    run = like_web(tmp_path / "run", "pod.1", "pod.2")
    assert {row.target for row in summarise(run).rows} == {"deploy/web.1", "deploy/web.2"}


@pytest.mark.parametrize(("names", "listed"), [(("worker-1", "worker-2"), False), (("pod",), True)])
def test_nodes_and_targets_of_the_plan_keep_their_names(names: tuple[str, ...], listed: bool, tmp_path: Path) -> None:
    run = like_web(tmp_path / "run", *names, listed=listed)
    assert {row.target for row in summarise(run).rows} == set(names)
    assert run.problems == []


def test_what_is_missing_is_told_by_the_workload(tmp_path: Path) -> None:
    run = like_web(tmp_path / "run", "pod")
    (tmp_path / "run/trials/0002/pod.end.json").unlink()
    (problem,) = open_run(run.path).problems
    assert "deploy/web" in problem


def test_runs_of_differently_named_pods_are_compared(tmp_path: Path) -> None:
    compared = compare(like_web(tmp_path / "a", "pod"), like_web(tmp_path / "b", "worker-1"))
    assert {(row.target, row.target_after, row.refused) for row in compared.rows} == {
        ("deploy/web", "deploy/web", None)
    }


def test_the_workload_has_a_stand_in_where_names_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = share.page(like_web(tmp_path / "run", "pod").path, tmp_path / "page.html").read_text()
    assert "deploy/web" not in text
    assert "on deploy/workload-1" in text
