"""The measure of a diagnosis: its cases, its figures with bounds, and that reading a recording asks for no truth."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.confusion import cases, reading, score
from bench.confusion.__main__ import KINDS, N_NOTHING, tasks
from bench.confusion.cases import NOTHING, Case
from bench.confusion.page import _cases, _figures, _matrix, _pairs, _values, _wrong
from bench.confusion.priors import PRIORS, value
from bench.confusion.reading import Named, Said
from bench.confusion.score import Scored, bounds, felt, figures, is_exact, is_true, runs_needed, told_alone, upper_bound
from dnslab.explain.catalogue import CAUSES
from dnslab.explain.predictions import MECHANISMS
from dnslab.measure.lab.faults import FAULTS, find

RACE = Named("conntrack-race", "pair-second-lost", "shown")
PAIR = Named("pair-second-lost", "pair-second-lost", "shown")
LOSS = Named("packet-loss", "packets-lost", "likely")


def scored(case: Case, status: str, *named: Named, repetition: int = 1) -> Scored:
    return Scored(case, repetition, Said(status, named, seconds=80.0, load=(1.0, 2.0)))


def test_every_mechanism_has_one_kind() -> None:
    listed = [name for mechanisms in cases.CLASSES.values() for name in mechanisms]
    assert sorted(listed) == sorted(MECHANISMS)


def test_every_fault_is_a_case_or_said_to_be_none() -> None:
    assert set(cases.LISTED) | set(cases.NOT_FELT) == set(FAULTS) - {"none"}
    assert not set(cases.LISTED) & set(cases.NOT_FELT)
    assert set(FAULTS) >= cases.BY_CAUSE


@pytest.mark.parametrize("seed", [None, 1, 2, 77])
def test_every_case_can_be_injected_and_has_a_truth(seed: int | None) -> None:
    chosen = cases.listed() if seed is None else cases.drawn(seed)
    assert len({case.fault for case in chosen}) == len(chosen)
    for case in chosen:
        injection = find(cases.parsed(case.fault))
        assert [truth.fault for truth in case.truths] == injection.names
        assert (len(case.truths) == 2) == (case.kind == "pair")
        for truth in case.truths:
            assert truth.mechanisms <= set(MECHANISMS)
            assert truth.causes <= set(CAUSES)
            assert truth.mechanisms
    assert sum(case.kind == "pair" for case in chosen) >= 15


def test_held_out_faults_have_a_truth() -> None:
    held_out = importlib.import_module("bench.held_out")
    held_out.register()
    try:
        chosen = list(cases.held_out())
        for case in chosen:
            assert find(cases.parsed(case.fault)).names == [case.truths[0].fault]
    finally:
        held_out.unregister()
    assert sum(case.kind == "second injector" for case in chosen) >= 8
    assert sum(case.kind == "outside" for case in chosen) >= 6
    for case in chosen:
        assert case.truths[0].mechanisms <= set(MECHANISMS)
        assert case.truths[0].outside == (case.kind == "outside")
    assert not {case.fault for case in chosen} & set(FAULTS)


@pytest.mark.parametrize("seed", [None, 5])
def test_halves_of_pairs_are_recorded_alone(seed: int | None) -> None:
    chosen = cases.listed() if seed is None else cases.drawn(seed)
    alone = {case.fault for case in chosen if case.kind == "learnt"}
    assert {half for case in chosen if case.kind == "pair" for half in score.halves(case)} <= alone


def test_a_seed_draws_the_same_again_and_another_draws_others() -> None:
    assert cases.drawn(3) == cases.drawn(3)
    assert cases.drawn(3) != cases.drawn(4)
    assert {case.fault for case in cases.drawn(3)} != {case.fault for case in cases.listed()}


def test_what_is_drawn_lies_where_a_user_feels_it() -> None:
    for case in cases.drawn(8):
        for part in cases.parsed(case.fault).parts:
            for key, (low, high) in cases.DRAWN.get(part.name, {}).items():
                assert low * 0.95 <= part.parameters[key] <= high * 1.05


def test_repetitions_are_other_recordings_of_the_same_cases() -> None:
    chosen = list(tasks([cases.learnt("race:p=0.3")], KINDS, 2))
    assert len(chosen) == 2 * (1 + N_NOTHING)
    assert len({task.path for task in chosen}) == len(chosen)


def test_truth_is_told_by_mechanism_unless_a_witness_tells_the_cause() -> None:
    outage, clash = cases.truth_of("outage"), cases.truth_of("snat-clash")
    restart = Named("dns-server-restart", "all-lost-for-a-time", "likely")
    assert is_exact(restart, outage)
    full = Named("conntrack-table-full", "new-flows-lost", "likely")
    assert is_true(full, clash)
    assert not is_exact(full, clash)
    assert is_exact(Named("snat-port-clash", "new-flows-lost", "shown"), clash)


def test_what_a_fault_does_besides_is_not_wrong_and_not_the_answer() -> None:
    slow = Named("slow-server", "all-late", "likely")
    run = scored(cases.learnt("clash-late:p=0.3"), "cause", slow)
    assert (run.wrong("likely"), run.right_first) == ([], False)
    both = scored(cases.pair("clash-late:p=0.3+loss:p=0.04"), "two causes", slow, LOSS)
    assert (both.wrong("likely"), both.both) == ([], False)
    assert scored(cases.learnt("race:p=0.3"), "cause", slow).wrong("likely") == [slow]


RUNS: Sequence[Scored] = (
    scored(NOTHING, "nothing found"),
    scored(NOTHING, "cause", LOSS, repetition=2),
    scored(cases.learnt("race:p=0.3"), "cause", PAIR),
    scored(cases.learnt("race:p=0.3"), "insufficient data", repetition=2),
    scored(cases.learnt("race:p=0.3"), "cause", PAIR, repetition=3),
    scored(cases.learnt("loss:p=0.04"), "cause", RACE),
    scored(cases.learnt("loss:p=0.04"), "two causes", LOSS, replace(PAIR, word="likely"), repetition=2),
    scored(cases.learnt("loss:p=0.04"), "cause", LOSS, repetition=3),
    scored(cases.pair("race:p=0.3+loss:p=0.04"), "two causes", replace(PAIR, word="likely"), LOSS),
    scored(cases.pair("race:p=0.3+loss:p=0.04"), "cause", LOSS, repetition=2),
    scored(Case("odd", "outside", (cases.Truth("odd", frozenset({"errors"})),)), "none fits"),
    scored(Case("odd", "outside", (cases.Truth("odd", frozenset({"errors"})),)), "nothing found", repetition=2),
)


def test_the_figures_of_made_up_runs() -> None:
    found = {figure.name: (figure.k, figure.n) for figure in figures(RUNS)}
    assert found == {
        "a wrong cause is called shown": (1, 12),
        "a wrong cause is called likely": (2, 12),
        "known faults: the true one comes first": (4, 6),
        "known faults: the right kind comes first": (4, 6),
        "... recorded after the rules: the true one comes first": (4, 6),
        "... recorded after the rules: the right kind comes first": (4, 6),
        "outside the catalogue: none fits, or the right kind": (1, 2),
        "pairs whose halves are told alone: both are named": (1, 2),
        "one fault: two causes are named": (1, 6),
        "nothing injected: nothing is found": (1, 2),
        "no race: a race is called shown or likely": (1, 7),
    }


def test_a_pair_counts_where_both_halves_are_told_alone() -> None:
    assert len(told_alone(RUNS)) == 2
    without = [one for one in RUNS if one.case.fault != "loss:p=0.04"]
    assert told_alone(without) == []


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1)]
)
def test_bounds_are_those_of_tables(k: int, n: int, low: float, high: float) -> None:
    """The same as in the tables of Clopper and Pearson."""
    assert bounds(k, n) == pytest.approx((low, high), abs=1e-4)


def test_how_many_runs_a_bound_takes() -> None:
    for wrong in (0, 1, 3):
        n = runs_needed(wrong, 0.01)
        assert upper_bound(wrong, n) <= 0.01 < upper_bound(wrong, n - 1)
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))  # none of n: the rule of three, exactly


def test_predictive_values_weigh_what_is_out_there() -> None:
    """By hand: half healthy; of these half are called cause wrongly. Of race 2 of 3 are named, of loss 3 of 3."""
    half, mostly_healthy = (
        value(prior, RUNS, lambda one: one.said.first is not None, lambda one: one.right_first) for prior in PRIORS[:2]
    )
    assert half.given == pytest.approx(0.5 * 0.5 + 0.25 * 2 / 3 + 0.25)
    assert half.true == pytest.approx((0.25 * 2 / 3 + 0.25 * 2 / 3) / half.given)
    assert mostly_healthy.true < half.true


@pytest.mark.parametrize(
    ("fault", "most_touched", "p99_ms", "counts"),
    [
        ("slow-answer:ms=60", 0.0, 25.0, True),
        ("slow-answer:ms=60", 0.0, 15.0, False),
        ("tcp-workers:n=2,ms=60", 0.02, 9.0, True),
        ("tcp-workers:n=2,ms=60", 0.001, float("nan"), True),
        ("redirect", 0.0, 9.0, True),
    ],
    ids=["p99 doubles", "not felt", "over TCP alone", "ended before lookups", "who answers"],
)
def test_a_run_counts_where_the_fault_was_felt(fault: str, most_touched: float, p99_ms: float, counts: bool) -> None:
    """Whatever was said of it."""
    healthy = [
        replace(one, said=replace(one.said, most_touched=0.0, p99_ms=10.0))
        for one in (scored(NOTHING, "nothing found", repetition=n) for n in range(1, 4))
    ]
    run = scored(cases.learnt(fault), "nothing found")
    run = replace(run, said=replace(run.said, most_touched=most_touched, p99_ms=p99_ms))
    assert felt([*healthy, run]) == [*healthy, *([run] if counts else [])]


def test_the_page_shows_what_was_wrong() -> None:
    text = "\n".join([*_figures(RUNS), *_matrix(RUNS), *_pairs(RUNS), *_values(RUNS), *_wrong(RUNS), *_cases(RUNS)])
    assert "| `loss:p=0.04` | 1 | conntrack-race shown |" in text
    assert "| 1 of 12 | 8.3 % | 0.2 % to 38.5 % | <= 1 % (bound) | **no** |" in text
    assert "more runs are" in text
    assert "Of these pairs, 1 has" in text


def test_reading_a_recording_asks_for_no_truth() -> None:
    """Nothing there knows a case, a plan's fault, or a file of ground truth."""
    tree = ast.parse(inspect.getsource(reading))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names
    }
    assert not attributes & {"fault", "faults", "truths", "case"}
    assert not imported & {"Case", "Truth", "cases", "RunFolder"}
    assert "ground-truth" not in inspect.getsource(reading)
