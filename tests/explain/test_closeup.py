"""One lookup told: against the row that the frame has of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.errors import RunInvalid
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.closeup import follow
from dnslab.plan.model import Load, Plan
from dnslab.text import milliseconds
from tests.runs import rows, write_run

PLAN = Plan(variants=("baseline",), rounds=1, loads=(Load(duration_s=1),))


def test_the_first_stall(tmp_path: Path) -> None:
    made = rows([0.5, 7.0, 5004.0, 6000.0], worker=9)
    made["flags"][2] = 1
    made["start_ns"][2:] += 2_000_000
    made["end_ns"][2:] += 2_000_000
    counters = {"node.conntrack.insert_failed": 3, "client.Udp.InDatagrams": 1_234, "client.Udp.NoPorts": 0}
    before = {"node.conntrack.insert_failed": 0, "client.Udp.InDatagrams": 0, "client.Udp.NoPorts": 0}
    before |= {"machine.cpu.total_ticks": 0, "server-a.Udp.RcvbufErrors": 0}
    changes = {"counters": before, "attempt_timeout_s": 5.0}
    path = write_run(tmp_path / "run", PLAN, {("baseline", "glibc", 1): made}, counters, start_changes=changes)
    seen = follow(open_run(path))
    assert seen.sentences == (
        "web.any.cluster.local. was due 0.020 s after the start of trial 1 (baseline on glibc, round 1).",
        "Worker 9 began 2.0 ms later.",
        "The resolver returned after 5,004 ms: answered, with 1 A and 1 AAAA.",
        "It asks again after 5 s without an answer. 4.5 s or more count as a stall, so this is a stall.",
        "The probe noted: half lost: one of two parallel answers came, and glibc asked again one after the other.",
    )
    assert seen.counters.frame.to_numpy().tolist() == [
        ["node.conntrack.insert_failed", "0", "3", "+3"],
        ["server-a.Udp.RcvbufErrors", "0", "0", "0"],
        ["client.Udp.InDatagrams", "0", "1,234", "+1,234"],
    ]
    assert "<li>Worker 9 began 2.0 ms later.</li>" in seen._repr_html_()


def test_without_a_stall_the_slowest(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", PLAN, {("baseline", "glibc", 1): rows([0.5, 30.0, 2.0])})
    told = follow(open_run(path)).sentences
    assert told[0].startswith("Nothing stalled in this run, so this is its slowest lookup: web.")
    assert "after 30 ms" in told[2]
    assert told[3].endswith("so this is no stall.")
    assert told[4] == "The probe noted: nothing."


def test_nothing_to_follow(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", PLAN, {("baseline", "glibc", 1): rows([])})
    with pytest.raises(RunInvalid, match="nothing was measured"):
        follow(open_run(path))


def test_of_the_sample() -> None:
    run = open_run(SAMPLE)
    lookups = run.lookups()
    row = lookups[lookups["stall"]].iloc[0]
    told = " ".join(follow(run).sentences)
    assert f"after the start of trial {row['trial']} ({row['variant']} on {row['target']}" in told
    assert f"returned after {milliseconds(row['service_ms'])} ms" in told
    assert ("half lost" in told) == row["half_lost"]
