"""findings and validity: the words follow the evidence, and vetoes empty the headline."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import summarise
from dnslab.explain.diagnosis import Diagnosis
from dnslab.explain.evidence import Confidence
from dnslab.explain.findings import Findings, findings_of
from dnslab.explain.ranking import moves_median
from dnslab.explain.soundness import examine
from dnslab.explain.validity import find_vetoes
from dnslab.measure import runner
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load, Plan, TargetPlan
from dnslab.present.page import page
from dnslab.store.stream import FLAG_WARMUP, FLAG_WORKERS_EXHAUSTED, OUTCOME_ABANDONED
from tests.runs import rows, write_run

VARIANTS = ("baseline", "single-request", "single-request-reopen")


def run_with(path: Path, stalls: int, flagged: int, fault: str = "none", rounds: int = 3, **more: Any) -> Run:
    plan = Plan(variants=VARIANTS, rounds=rounds, loads=(Load(duration_s=1),), fault=FaultPlan.parse(fault))
    lookups = {}
    for number in range(1, rounds + 1):
        made = rows([0.5] * (100 - stalls) + [5004.0] * stalls)
        made["flags"][100 - flagged :] = 1 if flagged else 0
        lookups["baseline", "glibc", number] = made
        for name in VARIANTS[1:]:
            lookups[name, "glibc", number] = rows([0.8] * 100)
    return open_run(write_run(path / "run", plan, lookups, **more))


def found(run: Run) -> Findings:
    return findings_of(examine(run))


def plain(said: Findings) -> dict[str, str]:
    """Answers with blanks where a line may not break."""
    return {question: answer.replace("\xa0", " ") for question, answer in said.answers.items()}


def test_the_race_is_named_by_its_evidence(tmp_path: Path) -> None:
    said = found(run_with(tmp_path, 5, 5, "race:p=0.05"))
    (cause,) = said.diagnosis.causes
    assert (cause.kind, cause.confidence, cause.word) == ("conntrack-race", Confidence.LIKELY, "Emulated")
    claims = [evidence.claim for evidence in cause.evidence_for]
    assert "15 of 15 stalls lost exactly one of the two answers." in claims
    assert "None of 600 lookups stalled when A and AAAA were sent one after the other." in claims
    assert "Emulated: conntrack race. 15 of 15 stalls lost exactly one" in said.headline
    assert any(limit.noted and "emulation" in limit.sentence for limit in said.bear_in_mind)
    assert not said.void


def test_a_kernel_that_resolves_the_race_speaks_against_it(tmp_path: Path) -> None:
    """It makes the race less likely. Where the fault was injected, that is no evidence."""
    for fault, word, name in (
        ("race:p=0.05", "Emulated", "conntrack-race"),
        ("none", "Likely", "pair-second-lost"),
    ):
        run = run_with(tmp_path / fault.partition(":")[0], 5, 5, fault, start_changes={"kernel": "Linux 6.18.4"})
        (cause,) = found(run).diagnosis.causes
        assert (cause.word, cause.kind) == (word, name)
        claims = [against.claim for against in cause.evidence_against]
        assert claims == ([] if cause.emulated else ["This kernel (6.18) resolves the race by itself."])
        assert "It could be" in cause.summary or cause.emulated
    (cause,) = found(run_with(tmp_path / "old", 5, 5, start_changes={"kernel": "Linux 5.4.1"})).diagnosis.causes
    assert (cause.word, cause.evidence_against) == ("Likely", ())


def test_what_the_kernel_counted_is_seen_directly(tmp_path: Path) -> None:
    counted = ("node.conntrack.insert_failed", "node.conntrack.drop")
    before = {"counters": dict.fromkeys(counted, 0)}
    run = run_with(tmp_path, 5, 5, start_changes=before, counters=dict.fromkeys(counted, 5))
    (cause,) = found(run).diagnosis.causes
    assert cause.confidence is Confidence.SHOWN
    claims = [one.claim for one in cause.evidence_for]
    assert "The kernel of the client's node counted 15 failed inserts in the same trials." in claims


def test_a_closed_loop_on_flows_that_are_used_again_cannot_tell(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(loop="closed", workers=9, duration_s=1),))
    lookups = {("baseline", "glibc", number): rows([0.5] * 1_000) for number in (1, 2, 3)}
    path = write_run(tmp_path / "run", plan, lookups)
    environment = json.loads((path / "environment.json").read_text())
    environment["backend"] = {"fresh_clients": False, "n_ports": 28_232, "udp_timeout_s": 30}
    (path / "environment.json").chmod(0o644)
    (path / "environment.json").write_text(json.dumps(environment))
    said = found(open_run(path))
    assert said.verdict.state == "unknown"
    assert said.headline.startswith(
        "Cannot tell. None of 3,000 lookups stalled on glibc, but too few opened a new flow"
    )
    assert said.answers["Is it happening?"] == said.headline
    assert [(veto.name, veto.severity) for veto in said.vetoes if "exposure" in veto.name] == [
        ("exposure lost", "note")
    ]


@pytest.mark.parametrize(
    ("stalls", "few"),
    [([9, 0, 0, 8, 0], True), ([4, 3, 3, 4, 3], False), ([9, 30, 20, 24, 33], False), ([0] * 5, False)],
)
def test_an_interval_of_few_events_is_said_to_be_one(tmp_path: Path, stalls: list[int], few: bool) -> None:
    """Seventeen that come in two rounds are not many, seventeen spread evenly need no guess how they come."""
    plan = Plan(variants=("baseline", "use-vc"), rounds=5, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", i): rows([0.5] * (1000 - n) + [5004.0] * n) for i, n in enumerate(stalls, 1)}
    lookups |= {("use-vc", "glibc", i): rows([0.8] * 1000) for i in range(1, 6)}
    said = found(open_run(write_run(tmp_path / "run", plan, lookups)))
    line = "The stalls of baseline on glibc (17) came in bursts, and there are few of them."
    assert any(one.startswith(line) for one in said.limits) == few
    assert any("may lie above the interval" in one for one in said.limits) == few


def test_overflow_is_never_called_a_race(tmp_path: Path) -> None:
    said = found(run_with(tmp_path, 5, 0, "receive-buffer", counters={"server-a.Udp.RcvbufErrors": 30}))
    (cause,) = said.diagnosis.causes
    assert cause.kind == "server-buffer-full"
    assert "full receive buffer" in said.headline
    assert "race" not in " ".join([said.headline, *said.answers.values(), cause.name, cause.summary])
    assert [one.claim for one in cause.evidence_against] == [
        "None of 600 lookups stalled when A and AAAA were sent one after the other."
    ]
    untested = {one.claim: one.command for one in said.diagnosis.not_tested}
    assert untested["Random packet loss"] == "dnslab run --variants baseline,use-vc"


@pytest.mark.parametrize(("slowest_ms", "ruled_out"), [(199.0, True), (201.0, False)])
def test_tcp_tells_loss_from_a_full_buffer(tmp_path: Path, slowest_ms: float, ruled_out: bool) -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", n): rows([0.5] * 95 + [5004.0] * 5) for n in (1, 2, 3)}
    lookups |= {("use-vc", "glibc", n): rows([0.8] * 99 + [slowest_ms]) for n in (1, 2, 3)}
    run = write_run(tmp_path / "run", plan, lookups, counters={"server-a.Udp.RcvbufErrors": 30})
    diagnosis = found(open_run(run)).diagnosis
    assert [cause.kind for cause in diagnosis.causes] == ["server-buffer-full"]
    assert ("Random packet loss" in [one.claim for one in diagnosis.ruled_out]) is ruled_out
    assert ("Random packet loss" in [one.claim for one in diagnosis.not_tested]) is not ruled_out
    assert "Late answers" in [one.claim for one in diagnosis.ruled_out]


def test_what_would_show_the_cause_is_named(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),))
    made = rows([0.5] * 95 + [5004.0] * 5)
    made["flags"][95:] = 1
    lookups = {("baseline", "glibc", n): made for n in (1, 2, 3)} | {
        ("use-vc", "glibc", n): rows([0.8] * 100) for n in (1, 2, 3)
    }
    said = found(open_run(write_run(tmp_path / "run", plan, lookups)))
    (cause,) = said.diagnosis.causes
    assert (cause.kind, cause.confidence) == ("pair-second-lost", Confidence.POSSIBLE)
    untested = {one.claim: one.command for one in said.diagnosis.not_tested}
    assert untested["Queries one after the other"] == "dnslab run --variants baseline,single-request"
    assert "race" not in said.headline


@pytest.mark.parametrize(("ms", "moved"), [(0.5, False), (0.52, False), (0.54, True), (0.46, True)])
def test_a_small_change_of_the_median_is_no_merit(tmp_path: Path, ms: float, moved: bool) -> None:
    """Beyond chance, as every round says the same, and yet not worth a word under a twentieth of baseline's."""
    lookups = {("baseline", "glibc", n): rows([0.5] * 95 + [5004.0] * 5) for n in (1, 2, 3)}
    lookups |= {("use-vc", "glibc", n): rows([ms + n / 1e3] * 100) for n in (1, 2, 3)}
    run = open_run(write_run(tmp_path / "run", Plan(variants=("baseline", "use-vc"), rounds=3), lookups))
    summary = summarise(run)
    row, baseline = (summary.row(name, "glibc", 0) for name in ("use-vc", "baseline"))
    assert row
    assert moves_median(row, baseline) is moved
    cost = found(run).answers["What does it cost?"]
    assert ("use-vc makes it" in cost) is moved
    assert ("no change of 5 % or more shown: use-vc" in cost) is not moved


def test_each_question_has_its_answer(tmp_path: Path) -> None:
    assert plain(found(run_with(tmp_path, 5, 5, "race:p=0.05"))) == {
        "Is it happening?": "Stalls found. About 1 lookup in 20 waited 5 s for an answer that normally takes 0.50 ms.",
        "How sure?": "On glibc, 5.0 % of 300 lookups stalled (95 % interval 3.1 to 8.1 %).",
        "Why?": "Conntrack race. Emulated. 15 of 15 stalls lost exactly one of the two answers. 15 of 15 stalls "
        "ended at 5 s, give or take 0.25 s.",
        "What helps?": "Both alternatives clear it on glibc in this emulation. With each of them, none of "
        "300 lookups stalled or failed. They are single-request and single-request-reopen. The fault is "
        "emulated and cannot hit configurations that avoid parallel UDP queries. Confirm on your cluster.",
        "What does it cost?": "0.3 ms slower at the median in this lab. The median lookup takes 0.50 ms with baseline. "
        "single-request makes it 0.3 ms slower (0.3 to 0.3). single-request-reopen makes it 0.3 ms slower (0.3 to "
        "0.3). The slowest 1 % become faster with single-request and single-request-reopen (p99). The lab's links "
        "add no delay, so a real network can change more.",
    }


def test_without_a_stall_the_answer_is_a_bound(tmp_path: Path) -> None:
    said = found(run_with(tmp_path, 0, 0))
    assert said.verdict.state == "none"
    # 1 - 0.05 ** (1 / 300) is 0.994 %
    bound = "If stalls happen here at all, they hit fewer than 1 lookup in 100."
    assert f"None of 300 lookups stalled or failed. {bound}" in said.headline
    assert said.answers["What helps?"] == "Nothing to fix. Baseline did not stall or fail."
    assert "Why?" not in said.answers


def compared(path: Path, **variants: Any) -> dict[str, str]:
    """Answers of a run in which these had the same records in each of three rounds; baseline stalls in 5 %."""
    made = {
        "baseline": rows([0.5] * 95 + [5004.0] * 5),
        **{key.replace("_", "-"): one for key, one in variants.items()},
    }
    plan = Plan(variants=tuple(made), rounds=3, loads=(Load(duration_s=1),))
    lookups = {(name, "glibc", n): one for name, one in made.items() for n in (1, 2, 3)}
    return dict(found(open_run(write_run(path / "run", plan, lookups))).answers)


def test_what_helps_goes_by_the_verdicts(tmp_path: Path) -> None:
    failing = rows([0.5] * 100)
    failing["outcome"][:20] = -3
    answers = compared(
        tmp_path,
        use_vc=rows([0.5] * 99 + [5004.0]),
        no_aaaa=rows([0.5] * 94 + [5004.0] * 6),
        node_local=failing,
        single_request=rows([0.5] * 60 + [5004.0] * 40),
    )
    assert answers["What helps?"] == (
        "use-vc helps, but not fully. Better in stalls or in failures, worse in the other: node-local. No improvement "
        "shown with no-aaaa. Worse than baseline: single-request."
    )
    assert answers["What does it cost?"].endswith(
        "The slowest 1 % become faster with use-vc (p99). The lab's links add no delay, so a real network can change "
        "more. For the median, no change of 5 % or more shown: use-vc."
    )


def test_a_stall_of_another_length_is_no_help(tmp_path: Path) -> None:
    """What waits 1 s rather than 5 s has as many lookups of 1 s or more."""
    answers = compared(tmp_path, timeout_1=rows([0.5] * 95 + [1001.0] * 5))
    assert (
        answers["What helps?"]
        == "Nothing tested clears it. Fewer stalls, but as many lookups of 1 s or longer: timeout-1."
    )


def test_what_stands_beside_the_figures_stands_in_how_sure(tmp_path: Path) -> None:
    answers = found(run_with(tmp_path, 5, 5, rounds=2)).answers
    assert answers["How sure?"] == "Too few rounds for an interval: 2 rounds, and it takes 3. Noted: too few rounds."
    assert answers["What helps?"] == "Not compared: too few rounds. A comparison takes 3 rounds of both."


def test_a_void_run_answers_nothing(tmp_path: Path) -> None:
    run = run_with(tmp_path, 5, 5)
    run.clients()[0].stream.with_name("glibc.end.json").unlink()
    said = found(open_run(run.path))
    assert said.answers == {}
    shown = said._repr_html_()
    expected = "<p class='headline'>Cannot tell: this run is void.</p><ul class='vetoes'>"
    assert shown.startswith(f"<div class='dnslab-output mathjax_ignore'>{expected}")
    assert "%" not in re.sub("(?s)<style>.*?</style>", "", shown)


@pytest.mark.parametrize(("flagged", "dropped"), [(0, 0), (5, 7), (3, 0)])
def test_no_cause_without_evidence(tmp_path: Path, flagged: int, dropped: int) -> None:
    said = found(run_with(tmp_path, 5, flagged, counters={"server-a.Udp.RcvbufErrors": dropped}))
    assert "cause is not shown" in said.headline


@pytest.mark.parametrize(
    ("exposed", "said"),
    [
        (98, "Only a pair of queries on a new flow can meet the race. Of 294 such pairs, 15 stalled (5.1 %)."),
        (None, "Only a pair of queries on a new flow can meet the race. Of 299 such pairs, 15 stalled (5.0 %)."),
    ],
)
def test_the_race_is_put_against_what_it_can_hit(tmp_path: Path, exposed: int | None, said: str) -> None:
    evidence = found(run_with(tmp_path, 5, 5, exposed=exposed)).evidence
    assert any(line.startswith(said) for line in evidence)
    assert any("a model of port reuse" in line for line in evidence) == (exposed is None)
    assert any("warm-up is part of both" in line for line in evidence) == (exposed is not None)
    overflow = {"server-a.Udp.RcvbufErrors": 30}
    other = found(run_with(tmp_path / "other", 5, 0, exposed=exposed, counters=overflow)).evidence
    assert not any("meet the race" in line for line in other)


def test_when_stalls_ended_is_said(tmp_path: Path) -> None:
    def ended(run: Run) -> list[str]:
        return [one.replace("\xa0", " ") for one in found(run).evidence if " ended at " in one]

    assert ended(run_with(tmp_path, 5, 5)) == [
        "15 of 15 stalls ended at 5 s, give or take 0.25 s. That is when glibc asks again after a lost packet. By "
        "chance, about 10 % would end there."
    ]
    lost = rows([0.5] * 80 + [5001.0] * 16 + [10_002.0, 15_003.0, 20_004.0, 6000.0])
    (line,) = ended(one_variant(tmp_path / "mixed", lost))
    assert line.startswith("57 of 60 stalls ended at 5 s, 10 s and 15 s, give or take 0.25 s.")
    (line,) = ended(one_variant(tmp_path / "slow", rows([0.5] * 90 + [6000.0] * 10)))
    assert line == "30 of 30 stalls ended at no multiple of 5 s. They waited for a slow answer, not for a lost packet."
    assert not ended(one_variant(tmp_path / "few", rows([0.5] * 99 + [5000.0])))


@pytest.mark.parametrize(
    ("made", "state", "title"),
    [
        (rows([0.5] * 95 + [5004.0] * 5), "stalls", "Stalls found"),
        (rows([0.5] * 95 + [1200.0] * 5), "slow", "Slow lookups, no stalls"),
        (rows([0.5] * 100, outcome=[-3] * 5 + [0] * 95), "failing", "Lookups fail"),
        (rows([16_000.0] * 100, outcome=-3), "failing", "Lookups fail"),
        (rows([0.5] * 100), "none", "No stalls seen"),
        (rows([]), "unknown", "Cannot tell"),
    ],
)
def test_the_state_follows_from_baseline(tmp_path: Path, made: Any, state: str, title: str) -> None:
    verdict = found(one_variant(tmp_path, made)).verdict
    assert (verdict.state, verdict.title) == (state, title)
    assert verdict.strong in verdict.lead


def test_errors_say_where_to_look(tmp_path: Path) -> None:
    (cause, *_) = found(one_variant(tmp_path, rows([0.5] * 100, outcome=[-3] * 5 + [0] * 95))).diagnosis.causes
    assert cause.kind == "server-errors"
    assert [one.claim for one in cause.evidence_for] == [
        "15 lookups: all servers said that they cannot answer, for example with SERVFAIL (EAI_AGAIN)."
    ]


def test_the_race_is_ruled_out_not_seen_or_not_told(tmp_path: Path) -> None:
    """Whatever the state, the page says where the race stands."""

    def said(name: str, made: Any, target: str = "glibc", **more: Any) -> Diagnosis:
        plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
        lookups = {("baseline", target, n): made for n in (1, 2, 3)}
        return found(open_run(write_run(tmp_path / name, plan, lookups, **more))).diagnosis

    failing, late = rows([0.5] * 100, outcome=[-3] * 5 + [0] * 95), rows([0.5] * 95 + [1200.0] * 5)
    for name, made in (("failing", failing), ("slow", late), ("none", rows([0.5] * 100))):
        race = [one.detail for one in said(name, made, exposed=100).not_seen if one.claim == "Conntrack race"]
        assert race == ["If it is there, it hits at most 1 % of the 300 pairs that could meet it."], name
        assert "Conntrack race" not in [one.claim for one in said(f"{name} 2", made, exposed=100).ruled_out]
    some = rows([0.5] * 90 + [5004.0] * 10, flags=[0] * 94 + [1] * 6)
    for name, target, made, why in (
        ("some", "glibc", some, "Neither shown nor ruled out: 18 of 30 stalls lost exactly one"),
        ("few", "glibc", rows([0.5] * 99 + [5004.0]), "3 stalls on glibc: too few to tell."),
        ("musl", "musl", rows([0.5] * 90 + [2504.0] * 10), "musl does not tell which"),
    ):
        told = [one.detail for one in said(name, made, target=target).not_tested if one.claim == "Conntrack race"]
        assert len(told) == 1, name
        assert told[0].startswith(why)
    overflow = run_with(tmp_path / "overflow", 5, 0, counters={"server-a.Udp.RcvbufErrors": 30})
    assert "Conntrack race" not in [one.claim for one in found(overflow).diagnosis.not_tested]


def test_what_never_failed_speaks_against_the_servers(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline", "use-vc", "node-local"), rounds=3, loads=(Load(duration_s=1),))
    made = dict.fromkeys(plan.variants, rows([0.5] * 100))
    made["baseline"] = rows([0.5] * 100, outcome=[-3] * 20 + [0] * 80)
    lookups = {(name, "glibc", n): one for name, one in made.items() for n in (1, 2, 3)}
    (cause, *_) = found(open_run(write_run(tmp_path / "run", plan, lookups))).diagnosis.causes
    assert [one.claim for one in cause.evidence_against] == ["With use-vc, none of 300 lookups failed."]
    assert "With node-local, none of 300 lookups failed." in [one.claim for one in cause.evidence_for]


def test_missing_trials_void(tmp_path: Path) -> None:
    run = run_with(tmp_path, 5, 5)
    run.clients()[0].stream.with_name("glibc.end.json").unlink()
    said = found(open_run(run.path))
    assert said.void
    assert said.headline.startswith("Cannot tell: this run is void.")
    assert "--resume" in said.vetoes[0].advice


def test_the_report_of_a_void_run_says_so_and_names_no_cause(tmp_path: Path) -> None:
    run = run_with(tmp_path, 5, 5)
    run.clients()[0].stream.with_name("glibc.end.json").unlink()
    text = re.sub("<.*?>", "", html.unescape(page(open_run(run.path)).partition("<body>")[2]))
    assert "Cannot tell: run void" in text
    assert "Trial 1 (baseline, round 1, glibc) was interrupted." in text
    assert "onntrack race" not in text


def names(run: Run) -> set[tuple[str, str]]:
    return {(veto.name, veto.severity) for veto in find_vetoes(run, summarise(run))}


def test_a_sound_run_has_no_veto(tmp_path: Path) -> None:
    assert names(run_with(tmp_path, 5, 5)) == set()


def test_few_rounds_are_noted(tmp_path: Path) -> None:
    assert names(run_with(tmp_path, 5, 5, rounds=2)) == {("too few rounds", "note")}


def test_busy_cpu_voids(tmp_path: Path) -> None:
    assert ("CPU saturated", "void") in names(run_with(tmp_path, 5, 5, counters={"machine.cpu.idle_ticks": 50}))


@pytest.mark.parametrize(("time_wait", "void"), [(20_000, False), (30_000, True), (60_000, True)])
def test_time_wait_voids(tmp_path: Path, time_wait: int, void: bool) -> None:
    found = names(run_with(tmp_path, 5, 5, counters={"client.TCP.tw": time_wait}))
    assert (("ports limited", "void") in found) == void


def test_a_closed_loop_out_of_ports_keeps_its_headline(tmp_path: Path) -> None:
    load = Load(loop="closed", workers=2, duration_s=1)
    plan = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(load,))
    made = rows([0.5] * 99 + [5004.0])
    lookups = {(name, "glibc", n): made for name in plan.variants for n in (1, 2, 3)}
    run = open_run(write_run(tmp_path / "run", plan, lookups, counters={"client.TCP.tw": 60_000}))
    assert ("ports limited", "note") in names(run)
    said = found(run)
    assert not said.void
    assert "a worker that waits sends nothing" in said.headline
    assert "Noted: ports limited" in said.answers["How sure?"]
    assert said.answers["What helps?"] == (
        "Not compared: closed loop. A worker that waits sends nothing. Measure with --rate to compare."
    )
    assert said.answers["What does it cost?"] == "Not compared."


def one_variant(path: Path, made: Any) -> Run:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    return open_run(write_run(path / "run", plan, {("baseline", "glibc", n): made for n in (1, 2, 3)}))


def test_a_late_generator_voids(tmp_path: Path) -> None:
    made = rows([0.5] * 100)
    made["intended_ns"][50:] -= 20_000_000
    assert ("generator too slow", "void") in names(one_variant(tmp_path, made))


def test_one_trouble_in_many_rows_is_one_veto(tmp_path: Path) -> None:
    """The worst row tells of it."""
    late, later = rows([0.5] * 100), rows([0.5] * 100)
    late["intended_ns"][90:] -= 20_000_000
    later["intended_ns"][50:] -= 20_000_000
    plan = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", n): late for n in (1, 2, 3)} | {("use-vc", "glibc", n): later for n in (1, 2, 3)}
    run = open_run(write_run(tmp_path / "run", plan, lookups))
    (veto,) = (one for one in find_vetoes(run, summarise(run)) if one.name == "generator too slow")
    assert veto.seen == ("50 % of use-vc lookups on glibc started more than 10 ms late. That happened 1 more time.")
    assert found(run).headline.count("Generator too slow") == 1


def test_lateness_with_all_workers_inside_is_another_thing(tmp_path: Path) -> None:
    made = rows([0.5] * 100)
    made["intended_ns"][50:] -= 20_000_000
    made["flags"][50:] = FLAG_WORKERS_EXHAUSTED
    found_names = names(one_variant(tmp_path, made))
    assert ("workers exhausted", "void") in found_names
    assert ("generator too slow", "void") not in found_names


@pytest.mark.parametrize("last", [0, 10])
def test_lost_exposure_voids(tmp_path: Path, last: int) -> None:
    run = one_variant(tmp_path, rows([0.5] * 100))
    for client, exposed in zip(run.clients(), (90, 80, last), strict=True):
        path = client.stream.with_name("glibc.end.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "exposed_counted": exposed}))
    assert ("exposure lost", "void") in names(open_run(run.path))


def test_the_headline_speaks_of_the_target_that_is_worst(tmp_path: Path) -> None:
    """A cause may be one node's own; musl comes after glibc, on which every configuration applies."""
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    good, bad = rows([0.5] * 100), rows([0.5] * 95 + [5004.0] * 5)
    lookups = {("baseline", "glibc", n): good for n in (1, 2, 3)} | {("baseline", "musl", n): bad for n in (1, 2, 3)}
    said = found(open_run(write_run(tmp_path / "one", plan, lookups)))
    assert "On musl, 5.0 % of 300 lookups stalled" in said.headline
    assert "Baseline was bad on 1 of 2 targets: musl 5.0\xa0%." in said.evidence
    worse = rows([0.5] * 90 + [5004.0] * 10)
    both = lookups | {("baseline", "musl", n): worse for n in (1, 2, 3)} | {("baseline", "glibc", 1): bad}
    said = found(open_run(write_run(tmp_path / "two", plan, both)))
    assert "On glibc, 2 % of 300 lookups stalled" in said.headline
    assert "Baseline was bad on 2 of 2 targets: musl 10\xa0%, glibc 2\xa0%." in said.evidence


@pytest.mark.parametrize(
    ("veto", "severity", "change"),
    [
        ("clocks uncertain", "note", {"clock": {"error_ns": 80_000_000}}),
        ("lookups given up", "note", {"trailer": {"n_records": 100, "blocked_ns": 0, "n_abandoned": 2}}),
    ],
)
def test_what_an_end_says(tmp_path: Path, veto: str, severity: str, change: dict[str, Any]) -> None:
    run = one_variant(tmp_path, rows([0.5] * 100))
    assert veto not in {name for name, _ in names(run)}
    path = run.clients()[1].stream.with_name("glibc.end.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert (veto, severity) in names(open_run(run.path))


@pytest.mark.parametrize(("replaced", "lost"), [(2, 1), (3, 0)])
def test_workers_that_were_not_replaced_void(tmp_path: Path, replaced: int, lost: int) -> None:
    """Three were given up before the load was over (1.5 s with the warm-up), one of them in the warm-up; one after."""
    made = rows([0.5] * 96 + [300.0] * 4)
    made["outcome"][96:] = OUTCOME_ABANDONED
    made["start_ns"][96:] = made["intended_ns"][96:] = [1e8, 5e8, 1.1e9, 1.4e9]
    made["end_ns"][96:] = made["start_ns"][96:] + 300_000_000
    made["flags"][96] = FLAG_WARMUP
    run = one_variant(tmp_path, made)
    path = run.clients()[1].stream.with_name("glibc.end.json")
    for client in run.clients():
        end = client.stream.with_name("glibc.end.json")
        told = json.loads(end.read_text())
        n_replaced = replaced if end == path else 3
        end.write_text(json.dumps({**told, "trailer": {**told["trailer"], "n_abandoned": 4, "n_replaced": n_replaced}}))
    run = open_run(run.path)
    vetoes = {veto.name: veto for veto in find_vetoes(run, summarise(run))}
    assert ("workers lost" in vetoes) == bool(lost)
    if lost:
        assert vetoes["workers lost"].severity == "void"
        assert vetoes["workers lost"].seen.startswith("1 worker got stuck in the resolver")
        assert found(run).headline.startswith("Cannot tell: this run is void. Workers lost: 1 worker got")


def test_a_client_that_changed_voids(tmp_path: Path) -> None:
    run = one_variant(tmp_path, rows([0.5] * 100))
    path = run.clients()[2].stream.with_name("glibc.start.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "libc_version": "2.41"}))
    assert ("mixed clients", "void") in names(open_run(run.path))


@pytest.mark.parametrize(("early_ms", "noted"), [(1.0, False), (2.0, True)])
def test_a_slow_beginning_is_noted(tmp_path: Path, early_ms: float, noted: bool) -> None:
    found_names = names(one_variant(tmp_path, rows([early_ms] * 20 + [0.9] * 80)))
    assert (("warm-up not settled", "note") in found_names) == noted


@pytest.mark.parametrize(("per_round", "noted"), [([5, 5, 6, 5, 4, 5, 5], False), ([2, 4, 6, 8, 10, 12, 14], True)])
def test_a_drift_is_noted(tmp_path: Path, per_round: list[int], noted: bool) -> None:
    plan = Plan(variants=("baseline",), rounds=len(per_round), loads=(Load(duration_s=1),))
    lookups = {
        ("baseline", "glibc", number): rows([0.5] * (100 - stalls) + [5004.0] * stalls)
        for number, stalls in enumerate(per_round, 1)
    }
    run = open_run(write_run(tmp_path / "run", plan, lookups))
    assert (("drift over the run", "note") in names(run)) == noted


def by_name(first_ms: float, again_ms: float, n_first: int, n_again: int) -> Any:
    """Lookups of ``n_first`` names, each once, then of the same names again."""
    made = rows([first_ms] * n_first + [again_ms] * n_again)
    made["name"] = np.arange(n_first + n_again) % n_first
    return made


WARM = by_name(0.5, 0.5, 30, 70)


@pytest.mark.parametrize(
    ("base", "other", "severity"),
    [
        (WARM, by_name(0.8, 0.4, 30, 70), "note"),  # colder than baseline's
        (by_name(0.8, 0.4, 30, 70), WARM, "note"),  # warmer
        (WARM, by_name(0.8, 0.4, 60, 40), "void"),  # so that its median is that of an empty cache
        (WARM, by_name(0.5, 0.4, 30, 70), None),
        (by_name(0.8, 0.4, 30, 70), by_name(0.7, 0.3, 30, 70), None),  # both cold
        (WARM, by_name(0.8, 0.4, 10, 90), None),  # too few names to say
        (WARM, by_name(0.8, 0.4, 90, 10), None),  # too few asked again
    ],
)
def test_caches_that_were_not_equally_warm(tmp_path: Path, base: Any, other: Any, severity: str | None) -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", n): base for n in (1, 2, 3)} | {("use-vc", "glibc", n): other for n in (1, 2, 3)}
    many = {"names": [f"n{i}.any.cluster.local." for i in range(100)], "expected": [[1, 1]] * 100}
    run = open_run(write_run(tmp_path / "run", plan, lookups, start_changes=many))
    assert dict(names(run)).get("cache warmth unequal") == severity


def test_one_round_with_a_cold_cache_is_chance(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=5, loads=(Load(duration_s=1),))
    lookups = {(variant, "glibc", n): WARM for variant in plan.variants for n in range(1, 6)}
    lookups["use-vc", "glibc", 2] = by_name(50.0, 0.4, 30, 70)
    many = {"names": [f"n{i}.any.cluster.local." for i in range(30)], "expected": [[1, 1]] * 30}
    run = open_run(write_run(tmp_path / "run", plan, lookups, start_changes=many))
    assert "cache warmth unequal" not in dict(names(run))


@pytest.mark.verify
@pytest.mark.alone
@pytest.mark.lab
@pytest.mark.parametrize(("warmup_s", "noted"), [(0.0, True), (0.6, False)])
def test_a_node_local_cache_has_to_be_warm(tmp_path: Path, warmup_s: float, noted: bool) -> None:
    """The cache of each trial is new: what the warm-up did not ask for, it asks its upstream, over TCP."""
    load = Load(rate_per_s=200, duration_s=0.6, warmup_s=warmup_s)
    plan = Plan(
        names=tuple(f"n{i}.any.cluster.local." for i in range(40)),
        targets=(TargetPlan(name="glibc"),),
        variants=("baseline", "node-local"),
        rounds=9,
        loads=(load,),
    )
    run = open_run(runner.run(plan, tmp_path / "run"))
    summary = summarise(run)
    print([(client.variant, client.warmth) for client in summary.clients])
    assert ("cache warmth unequal" in {veto.name for veto in find_vetoes(run, summary)}) == noted
