"""soundness: what is bad is left out and named, what is good is answered without it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dnslab.analyse.dataset import open_run
from dnslab.cli import cli
from dnslab.errors import RunInvalid
from dnslab.explain.answers import leading_baseline
from dnslab.explain.findings import Findings, conclude
from dnslab.explain.gates import Gate, Gated, decide
from dnslab.explain.loss_signs import looks_like_pairs
from dnslab.explain.overview import headlines
from dnslab.explain.soundness import Examined, examine
from dnslab.explain.veto import Veto
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.present.report import render
from dnslab.present.terminal import print_summary
from dnslab.store.stream import FLAG_WORKERS_EXHAUSTED
from tests.runs import rows, write_run

VARIANTS = ("baseline", "single-request", "use-vc")
NODES = [TargetInfo(f"node-{number}", "glibc", "2.36") for number in (1, 2, 3)]
SOUND = rows([0.5] * 100)
#: 5 of 100 stall, and after each glibc had one answer of two
RACE = rows([0.5] * 95 + [5004.0] * 5, flags=[0] * 95 + [1] * 5)
BUSY = {"machine.cpu.idle_ticks": 50}
THROTTLED = {"client.cpu.periods": 100, "client.cpu.throttled_periods": 40}

Where = Callable[[str, str, int], bool]


@dataclass(frozen=True)
class Said:
    """The sound part of a run, and what is said of it."""

    path: Path
    part: Examined
    findings: Findings

    @property
    def left_out(self) -> list[str]:
        return [veto.reason for veto in self.part.vetoes if veto.left_out]

    def veto(self, name: str) -> Veto:
        (veto,) = (veto for veto in self.part.vetoes if veto.name == name)
        return veto

    def rounds(self, variant: str, target: str, load: int = 0) -> list[int]:
        row = self.part.summary.row(variant, target, load)
        return [numbers.round for numbers in row.by_round] if row else []

    def gate(self, *gates: str, variant: str = "baseline") -> Gated:
        return decide(self.part.summary, self.part.vetoes, [Gate.parse(text) for text in gates], variant)


def measured(
    path: Path,
    records: Callable[[str, str, int], Any] = lambda variant, node, number: SOUND,
    counters: Callable[[str, str, int], Mapping[str, int]] = lambda variant, node, number: {},
    **plan: Any,
) -> Said:
    """A run of three configurations on three nodes; a client for which ``records`` gives None was not measured."""
    whole = Plan(**{"variants": VARIANTS, "rounds": 5, "loads": (Load(duration_s=1),), **plan})
    lookups = {
        (variant, node.name, number): made
        for variant in whole.variants
        for node in NODES
        for number in range(1, whole.rounds + 1)
        if (made := records(variant, node.name, number)) is not None
    }
    return said(write_run(path / "run", whole, lookups, known=NODES, counters_of=counters))


def said(path: Path) -> Said:
    part = examine(open_run(path))
    return Said(path, part, conclude(part.summary, part.vetoes))


def race_on(*nodes: str) -> Callable[[str, str, int], Any]:
    return lambda variant, node, number: RACE if variant == "baseline" and node in nodes else SOUND


def busy_at(where: Where, counters: Mapping[str, int] = BUSY) -> Callable[[str, str, int], Mapping[str, int]]:
    return lambda variant, node, number: counters if where(variant, node, number) else {}


def a_race_beside_a_busy_node(path: Path) -> Said:
    """Node 1 races; node 3 is busy in 9 of its 15 trials."""
    return measured(path, race_on("node-1"), busy_at(lambda variant, node, number: node == "node-3" and number <= 3))


def test_a_race_on_one_node_is_found_beside_a_busy_one(tmp_path: Path) -> None:
    run = a_race_beside_a_busy_node(tmp_path)
    assert not run.findings.void
    assert run.left_out == ["node-3 (CPU saturated in 9 of its 15 trials)."]
    headline = run.findings.headline
    assert "On node-1 (the worst of 2 targets with glibc), 5.0 % of 500 lookups stalled" in headline
    assert "Likely: conntrack race" in headline
    assert headline.endswith(" Left out: node-3 (CPU saturated in 9 of its 15 trials).")
    assert {row.target for row in run.part.summary.measured()} == {"node-1", "node-2"}
    assert {client.target for client in run.part.run.clients()} == {"node-1", "node-2"}
    assert set(run.part.run.lookups()["target"].unique()) == {"node-1", "node-2"}
    assert "Left out: node-3 (CPU saturated" in run.findings.answers["How sure?"]
    assert "Noted" not in run.findings.answers["How sure?"]
    assert "Baseline was bad on 1 of 2 targets: node-1 5.0\xa0%." in run.findings.evidence


def test_the_figures_of_what_is_left_are_those_of_a_run_without_the_rest(tmp_path: Path) -> None:
    run = a_race_beside_a_busy_node(tmp_path / "busy")
    without = measured(
        tmp_path / "without",
        lambda variant, node, number: race_on("node-1")(variant, node, number) if node != "node-3" else None,
    )
    kept, other = ({row.key: row for row in one.part.summary.measured()} for one in (run, without))
    assert kept.keys() == other.keys()
    assert all(repr(kept[key]) == repr(other[key]) for key in kept)  # repr, because NaN differs from NaN


def test_one_busy_trial_leaves_out_its_round_on_its_node(tmp_path: Path) -> None:
    """For all configurations, so that they are compared over the same rounds."""
    where: Where = lambda variant, node, number: (variant, node, number) == ("use-vc", "node-2", 4)  # noqa: E731
    run = measured(tmp_path, race_on("node-1"), busy_at(where))
    assert run.left_out == ["round 4 on node-2 (CPU saturated in 1 of the 15 trials there)."]
    for variant in VARIANTS:
        assert run.rounds(variant, "node-2") == [1, 2, 3, 5]
        assert run.rounds(variant, "node-1") == [1, 2, 3, 4, 5]
    assert "race" in run.findings.headline


@pytest.mark.parametrize(
    ("rounds", "busy", "left"),
    [
        (5, (2,), [1, 3, 4, 5]),
        (5, (2, 4), [1, 3, 5]),
        (5, (1, 2, 4), []),  # two are left, and it takes three
        (8, (1, 2, 3, 4), [5, 6, 7, 8]),
        (8, (1, 2, 3, 4, 5), []),  # three of eight are under half
        (3, (2,), []),
    ],
)
def test_three_rounds_and_half_of_them_have_to_be_left(
    tmp_path: Path, rounds: int, busy: tuple[int, ...], left: list[int]
) -> None:
    where: Where = lambda variant, node, number: node == "node-2" and number in busy  # noqa: E731
    run = measured(tmp_path, counters=busy_at(where), rounds=rounds)
    assert run.rounds("baseline", "node-2") == run.rounds("use-vc", "node-2") == left
    assert run.rounds("baseline", "node-1") == list(range(1, rounds + 1))
    place = f"round{'s' if len(busy) > 1 else ''} " if left else "node-2 ("
    assert run.left_out[0].startswith(place)
    assert not run.findings.void


def test_a_busy_round_on_all_nodes_leaves_the_others(tmp_path: Path) -> None:
    run = measured(tmp_path, race_on("node-1"), busy_at(lambda variant, node, number: number == 5))
    assert run.left_out == [
        "round 5 on node-1, round 5 on node-2, round 5 on node-3 (CPU saturated in 9 of the 45 trials there)."
    ]
    assert not run.findings.void
    assert {numbers.round for row in run.part.summary.measured() for numbers in row.by_round} == {1, 2, 3, 4}


def test_a_run_that_was_busy_everywhere_is_void(tmp_path: Path) -> None:
    run = measured(tmp_path, counters=lambda variant, node, number: BUSY)
    assert run.findings.void
    assert run.findings.headline == (
        "Cannot tell: this run is void. CPU saturated: The CPU was more than 90 % busy in 45 of 45 trials."
    )
    assert run.left_out == []
    assert len(run.part.summary.clients) == 45


def test_a_void_run_is_shown_whole_although_a_part_had_been_left_out_first(tmp_path: Path) -> None:
    """What is left of it, seen alone, is void as well."""
    n_workers_out = rows([0.5] * 100, flags=FLAG_WORKERS_EXHAUSTED)
    run = measured(
        tmp_path,
        lambda variant, node, number: n_workers_out if node != "node-3" else SOUND,
        busy_at(lambda variant, node, number: node == "node-3"),
    )
    assert run.findings.void
    assert {veto.name for veto in run.part.vetoes if veto.severity == "void"} == {"CPU saturated", "workers exhausted"}
    assert len(run.part.summary.clients) == 45


def test_unmistakable_stalls_are_kept_on_a_busy_node(tmp_path: Path) -> None:
    """All three nodes were busy: the race on node 1 is kept and marked, the others are void."""
    run = measured(tmp_path, race_on("node-1"), lambda variant, node, number: BUSY)
    assert run.left_out == ["node-2, node-3 (CPU saturated in 30 of their 30 trials)."]
    assert "Likely: conntrack race" in run.findings.headline
    (note,) = (veto for veto in run.part.vetoes if veto.severity == "note")
    assert note.seen.startswith("Kept, although CPU was short in 15 of 15 trials: node-1.")
    assert note.advice == "Trust the stalls and their cause. Do not read latency or cost from it."
    assert run.findings.answers["How sure?"].endswith("Noted: CPU saturated.")


@pytest.mark.parametrize(
    "change",
    [
        {"baseline": rows([0.5] * 95 + [5004.0] * 5)},  # unflagged
        {"baseline": rows([0.5] * 95 + [6000.0] * 5, flags=[0] * 95 + [1] * 5)},  # not at the resolver's steps
        {"baseline": rows([0.5] * 99 + [5004.0], flags=[0] * 99 + [1])},  # five in all
        {"single-request": RACE},  # sequential queries stall as well
        {"schedule": "in-turn"},  # not at the same time
        {"counters": {"server-a.Udp.RcvbufErrors": 40}},  # a full receive buffer, which load explains
    ],
)
def test_what_load_may_explain_is_not_kept(tmp_path: Path, change: dict[str, Any]) -> None:
    def records(variant: str, node: str, number: int) -> Any:
        return change.get(variant, RACE if variant == "baseline" else SOUND)

    more = {"schedule": change["schedule"]} if "schedule" in change else {}
    run = measured(tmp_path, records, lambda *client: {**BUSY, **change.get("counters", {})}, **more)
    assert run.findings.void
    assert "race" not in run.findings.headline


def test_a_pod_throttled_by_its_own_limit_is_told_from_a_busy_machine(tmp_path: Path) -> None:
    run = measured(tmp_path, race_on("node-1"), busy_at(lambda variant, node, number: node == "node-2", THROTTLED))
    assert run.left_out == ["node-2 (pod throttled in 15 of its 15 trials)."]
    assert run.veto("pod throttled").advice.startswith("Raise the pod's CPU limit")
    everywhere = measured(tmp_path / "all", counters=lambda variant, node, number: THROTTLED).findings.headline
    assert "Pod throttled: The pod reached its own CPU limit in 45 of 45 trials." in everywhere
    assert "CPU saturated" not in everywhere
    little = {**THROTTLED, "client.cpu.throttled_periods": 5}
    assert measured(tmp_path / "little", counters=lambda variant, node, number: little).part.vetoes == ()


@pytest.mark.parametrize(
    ("backend", "advice"),
    [
        ("lab", "Lower --rate, or stop other work on this machine."),
        ("kubernetes", "Find out what else keeps the node busy, or lower --rate."),
    ],
)
def test_a_busy_node_of_a_cluster_has_other_work(tmp_path: Path, backend: str, advice: str) -> None:
    run = measured(tmp_path, counters=busy_at(lambda variant, node, number: node == "node-2"), backend=backend)
    assert run.veto("CPU saturated").advice == advice


def test_a_late_generator_in_a_throttled_pod_is_not_told_to_free_cpus(tmp_path: Path) -> None:
    late = rows([0.5] * 100)
    late["intended_ns"][50:] -= 20_000_000

    def records(variant: str, node: str, number: int) -> Any:
        return late if node == "node-2" else SOUND

    throttled = measured(tmp_path / "t", records, busy_at(lambda variant, node, number: node == "node-2", THROTTLED))
    assert throttled.veto("generator too slow").advice.startswith("Raise the pod's CPU limit")
    assert measured(tmp_path / "b", records).veto("generator too slow").advice.startswith("Lower --rate, or stop")


@pytest.mark.parametrize(("service_ms", "more_workers"), [(0.5, True), (400.0, False)])
def test_more_workers_are_advised_where_servers_answered_in_time(
    tmp_path: Path, service_ms: float, more_workers: bool
) -> None:
    """Stalls fill the workers in one case, and slow servers in the other."""
    made = rows([service_ms] * 95 + [5004.0] * 5, flags=[0] * 50 + [FLAG_WORKERS_EXHAUSTED] * 50)
    run = measured(tmp_path, lambda variant, node, number: made if node == "node-2" else SOUND)
    advice = run.veto("workers exhausted").advice
    assert ("Use more workers (-c)" in advice) == more_workers
    assert ("did not answer in time" in advice) != more_workers


def test_an_outage_of_one_round_leaves_out_the_node(tmp_path: Path) -> None:
    """To leave out the bad round alone would show the node as sound."""
    made = rows([0.5] * 100, flags=FLAG_WORKERS_EXHAUSTED)
    run = measured(tmp_path, lambda variant, node, number: made if (node, number) == ("node-2", 3) else SOUND)
    assert {row.target for row in run.part.summary.measured()} == {"node-1", "node-3"}
    assert run.left_out[0].startswith("node-2 (workers exhausted: 20 % of baseline lookups on node-2 found no free")


def test_a_variant_out_of_ports_leaves_the_others(tmp_path: Path) -> None:
    where: Where = lambda variant, node, number: variant == "use-vc" and node == "node-2"  # noqa: E731
    run = measured(tmp_path, race_on("node-2"), busy_at(where, {"client.TCP.tw": 60_000}))
    assert run.left_out[0].startswith("use-vc on node-2 (ports limited: 93 % of the 64,512 ports")
    assert run.rounds("use-vc", "node-2") == []
    assert run.rounds("single-request", "node-2") == run.rounds("use-vc", "node-1") == [1, 2, 3, 4, 5]
    baseline = leading_baseline(run.part.summary)
    assert baseline is not None
    assert looks_like_pairs(baseline)


def test_trials_missing_on_one_node_leave_out_its_rounds(tmp_path: Path) -> None:
    run = measured(tmp_path / "one", lambda variant, node, number: None if (node, number) == ("node-2", 5) else SOUND)
    assert run.left_out == ["round 5 on node-2 (trials missing in 3 of the 15 trials there)."]
    assert "--resume" in run.veto("trials missing").advice
    assert run.part.run.problems == []
    everywhere = measured(tmp_path / "all", lambda variant, node, number: None if number == 5 else SOUND)
    assert everywhere.findings.void
    assert everywhere.findings.headline.startswith("Cannot tell: this run is void. Trials missing")


def test_loads_are_judged_one_by_one(tmp_path: Path) -> None:
    loads = (Load(rate_per_s=100, duration_s=1), Load(rate_per_s=900, duration_s=1))
    late = rows([0.5] * 100)
    late["intended_ns"][50:] -= 20_000_000
    plan = Plan(variants=("baseline",), rounds=3, loads=loads)
    lookups = {
        ("baseline", node.name, number, load): late if load else SOUND
        for node in NODES
        for number in (1, 2, 3)
        for load in (0, 1)
    }
    run = said(write_run(tmp_path / "run", plan, lookups, known=NODES))
    assert run.left_out == [
        "node-1 under 900/s (poisson), node-2 under 900/s (poisson), node-3 under 900/s (poisson) "
        "(generator too slow in 9 of their 9 trials)."
    ]
    assert run.rounds("baseline", "node-1") == [1, 2, 3]
    assert run.rounds("baseline", "node-1", 1) == []


def test_a_busy_closed_loop_is_noted_beside_a_sound_open_one(tmp_path: Path) -> None:
    loads = (Load(rate_per_s=100, duration_s=1), Load(loop="closed", workers=2, duration_s=1))
    plan = Plan(variants=("baseline",), rounds=3, loads=loads)
    lookups = {
        ("baseline", "node-1", number, load): rows([0.5 + load] * 100) for number in (1, 2, 3) for load in (0, 1)
    }
    path = write_run(tmp_path / "run", plan, lookups, known=NODES)
    for file in path.glob("trials/*/node-1.end.json"):
        if json.loads(file.with_name("node-1.start.json").read_text())["load"] == 1:
            end = json.loads(file.read_text())
            file.write_text(json.dumps({**end, "counters": {**end["counters"], **BUSY}}))
    run = said(path)
    assert [(veto.name, veto.severity) for veto in run.part.vetoes] == [("CPU saturated", "note")]
    assert len(run.part.summary.clients) == 6


def test_a_gate_is_decided_on_what_is_left_and_says_so(tmp_path: Path) -> None:
    run = measured(tmp_path, counters=busy_at(lambda variant, node, number: node == "node-3"))
    gated = run.gate("slow_share<8%")
    assert [(one.row.target, one.word) for one in gated.decisions] == [("node-1", "passes"), ("node-2", "passes")]
    assert gated.status == 0
    assert gated.to_text().startswith("Left out: node-3 (CPU saturated in 15 of its 15 trials).\n\n")
    assert "\n\nLeft out: node-3 (CPU saturated in 15 of its 15 trials).\n\n| measure |" in gated.to_markdown()
    done = CliRunner().invoke(cli, ["gate", str(run.path), "--gate", "slow_share<8%"], standalone_mode=False)
    assert done.return_value == 0
    assert done.output.startswith("Left out: node-3 (CPU")


def test_a_gate_fails_on_what_is_left(tmp_path: Path) -> None:
    assert a_race_beside_a_busy_node(tmp_path).gate("slow_share<1%").status == 1


def test_a_gate_of_a_void_run_is_undecided(tmp_path: Path) -> None:
    gated = measured(tmp_path, counters=lambda variant, node, number: BUSY).gate("slow_share<8%")
    assert {(one.word, one.why) for one in gated.decisions} == {("undecided", "the run is void (CPU saturated)")}
    assert gated.status == 4


def test_a_gate_does_not_pass_where_an_outage_was_left_out(tmp_path: Path) -> None:
    made = rows([400.0] * 100, flags=FLAG_WORKERS_EXHAUSTED)
    gated = measured(tmp_path, lambda variant, node, number: made if node == "node-2" else SOUND).gate("slow_share<8%")
    assert {one.word for one in gated.decisions} == {"passes"}
    assert gated.status == 4
    assert "There was an outage in what was left out, so the result as a whole is undecided." in gated.to_text()


def test_a_gate_on_a_variant_of_which_nothing_is_left(tmp_path: Path) -> None:
    run = measured(tmp_path, counters=busy_at(lambda variant, *_: variant == "use-vc", {"client.TCP.tw": 60_000}))
    assert run.gate("slow_share<8%").status == 0
    with pytest.raises(
        RunInvalid, match=r"all lookups of use-vc were left out\. Left out: use-vc on node-1"
    ) as refused:
        run.gate("slow_share<8%", variant="use-vc")
    assert refused.value.status == 4


def test_terminal_json_and_overview_name_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_race_beside_a_busy_node(tmp_path)
    print_summary(run.part.summary, run.findings)
    text = " ".join(capsys.readouterr().out.split())
    assert text.count("eft out: node-3 (CPU saturated in 9 of its 15 trials).") == 2
    assert (
        "left out: node-3 (CPU saturated in 9 of its 15 trials). Lower --rate, or stop other work on this machine."
        in text
    )
    (veto,) = json.loads(json.dumps(run.findings.to_dict()))["vetoes"]
    assert (veto["name"], veto["severity"], veto["left_out"]) == ("CPU saturated", "left out", ["node-3"])
    assert veto["seen"] == "CPU saturated in 9 of its 15 trials."
    overview = headlines([open_run(run.path)]).frame.iloc[0].to_dict()
    assert any("Left out: node-3 (CPU saturated" in str(cell) for cell in overview.values())


@pytest.mark.notebook
def test_the_page_answers_without_what_was_left_out_and_names_it(tmp_path: Path) -> None:
    page = html.unescape(render(a_race_beside_a_busy_node(tmp_path).path).read_text(encoding="utf-8"))
    text = re.sub("<.*?>", "", page)
    assert "node-3: CPU saturated in 9 of its 15 trials. Lower --rate, or stop other work on this machine." in text
    assert "Conntrack race Likely" in " ".join(text.split())
    assert "Cannot tell" not in text
    assert not re.search("<td[^>]*>node-3|<th[^>]*>node-3", page)
