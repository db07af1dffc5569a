"""A diagnosis on a terminal: it ends with what to run, and each command stands whole on a line of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnslab.experiment import diagnose as experiment
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.catalogue import CAUSES
from dnslab.explain.ladder import Answer, Named, Status
from dnslab.explain.mending import mending
from dnslab.explain.patched import Patched
from dnslab.plan.arms import Places
from dnslab.plan.ladder import NAME, Ladder
from dnslab.plan.model import Plan
from dnslab.plan.remedies import Workload
from dnslab.present.ladder import print_answer, print_ladder

WEB = Patched(
    Workload("deploy/web", "shop"),
    libcs=(("glibc", "2.36"),),
    again="dnslab diagnose",
    verify="dnslab verify results/x/rungs/4-libc",
)


def found(*names: str, patched: Patched = WEB) -> Answer:
    """An answer that these causes were found."""
    causes = [
        Named(name, CAUSES[name].mechanism, "likely", "title", "summary", remedy=mending(CAUSES[name], patched))
        for name in names
    ]
    status: Status = "cause" if len(names) == 1 else "two causes"
    return replace(experiment.read(SAMPLE), status=status, causes=tuple(causes))


def printed(answer: Answer, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_answer(answer)
    return capsys.readouterr().out.splitlines()


def test_it_ends_with_what_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    answer = found("slow-aaaa")
    lines = printed(answer, capsys)
    remedy = answer.causes[0].remedy
    assert remedy
    at = [lines.index(f"  {command}") for command in (*remedy.apply, remedy.fix, *remedy.commands, remedy.command)]
    assert at == sorted(at)
    assert at[-1] == len(lines) - 1
    assert lines[at[0] - 1] == "Apply no-aaaa to one workload:"
    assert lines[at[2] - 1] == "For all pods, the change belongs here:"
    assert any(line.startswith("- Names that have only IPv6 addresses") for line in lines)


def test_without_a_configuration_the_place_stands_there(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(found("tcp-blocked"), capsys)
    assert "  kubectl get networkpolicies --all-namespaces" in lines
    assert not any("dnslab fix" in line for line in lines)


def test_two_causes_have_two_remedies_and_others_none(capsys: pytest.CaptureFixture[str]) -> None:
    answer = found("tcp-blocked", "slow-aaaa")
    assert sum(line == "After the change, see whether the trouble is gone:" for line in printed(answer, capsys)) == 2
    none = replace(answer, status="none fits")
    assert not any(line.startswith("  kubectl") for line in printed(none, capsys))


def test_after_the_lab_a_cluster_is_asked_first(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        found("tcp-blocked", patched=replace(WEB, first="dnslab diagnose --backend x", again="", verify="")), capsys
    )
    first, place = (
        lines.index(f"  {command}")
        for command in ("dnslab diagnose --backend x", "kubectl get networkpolicies --all-namespaces")
    )
    assert first < place == len(lines) - 1


def test_a_dry_run_says_that_it_waits_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_ladder(Ladder(Plan(names=(NAME,)), Places(endpoints=("10.0.0.2", "10.0.0.3")), wait_s=3_600.0))
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == "waiting for trouble: at most 1 h, 0.75 queries/s of each target at each server"
