"""The engine: what it says of recorded runs of each fault, of signs put together by hand, and what it never does."""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dnslab
from dnslab.analyse.observed import Observed
from dnslab.explain import signs
from dnslab.explain.catalogue import CAUSES, causes_of_fault
from dnslab.explain.engine import Answer, Ranking, Word, hints, nothing_left, rank
from dnslab.explain.predictions import MECHANISMS, ONE_WITNESS
from dnslab.explain.sign import Sign, State
from dnslab.plan.faults import PARAMETERS
from tests.explain.record import RECORDED

RUNS: Mapping[str, Any] = json.loads(RECORDED.read_text())
FAULTS = [name for name in RUNS if name != "none"]
#: a stub resolver keeps no socket, so lookups through it cannot show what hits sockets that are kept
NOT_BY_LOOKUPS = {"standing-flow"}


def of_run(name: str) -> Ranking:
    return rank(signs.read(Observed.from_dict(RUNS[name]["observed"])))


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in NOT_BY_LOOKUPS])
def test_the_mechanism_of_each_fault_comes_first(fault: str) -> None:
    found = of_run(fault)
    assert found.answer is Answer.FOUND
    assert found.leading is not None
    assert found.leading.mechanism.name in {cause.mechanism for cause in causes_of_fault(fault)}
    known = (Word.POSSIBLE,) if found.leading.mechanism.predicts.only_by else (Word.SHOWN, Word.LIKELY)
    assert found.leading.word in known


def test_each_fault_of_the_lab_is_recorded() -> None:
    assert set(FAULTS) == set(PARAMETERS) - {"none"}


@pytest.mark.parametrize("name", ["none", *NOT_BY_LOOKUPS])
def test_nothing_is_found_where_lookups_meet_nothing(name: str) -> None:
    found = of_run(name)
    assert (found.answer, found.found) == (Answer.NOTHING, ())


@pytest.mark.parametrize("name", RUNS)
def test_nothing_else_is_called_a_race(name: str) -> None:
    """This kernel resolves the race, so even its emulation is at most possible."""
    race = next(one for one in of_run(name).causes if one.cause.name == "conntrack-race")
    assert race.word.rank >= Word.POSSIBLE.rank
    if causes_of_fault(name) and "race" not in name:
        leading = of_run(name).leading
        assert leading is None or leading.causes[0].cause.name != "conntrack-race"


@pytest.mark.parametrize("name", [name for name in RUNS if RUNS[name]["arms"]])
def test_raw_queries_alone_tell_no_wrong_mechanism(name: str) -> None:
    """They tell fewer mechanisms than lookups do, but what is shown has to be right."""
    found = rank(signs.read(None, pd.DataFrame(RUNS[name]["arms"])))
    wanted = {cause.mechanism for cause in causes_of_fault(name)}
    wrong = [one.mechanism.name for one in found.found if one.mechanism.name not in wanted]
    assert not wrong or found.found[0].word is not Word.SHOWN


@pytest.mark.parametrize("name", [name for name in FAULTS if RUNS[name]["arms"]])
def test_lookups_and_raw_queries_together_put_the_mechanism_first(name: str) -> None:
    observed = Observed.from_dict(RUNS[name]["observed"])
    leading = rank(signs.read(observed, pd.DataFrame(RUNS[name]["arms"]))).leading
    assert leading is not None
    assert leading.mechanism.name in {cause.mechanism for cause in causes_of_fault(name)}


def made(seen: Iterable[str] = (), unknown: Iterable[str] = (), unclear: Iterable[str] = ()) -> dict[str, Sign]:
    """Signs of which these were seen; raw queries were not sent, all else was looked for and not seen."""
    states = {name: State.NOT_MEASURED if name.startswith("raw-") else State.NO for name in signs.NAMES}
    states |= dict.fromkeys(unknown, State.NOT_MEASURED) | dict.fromkeys(unclear, State.UNCLEAR)
    states |= dict.fromkeys(seen, State.YES)
    return {name: Sign(name, state, name) for name, state in states.items()}


def word_of(ranking: Ranking, name: str) -> Word:
    return next(one.word for one in ranking.causes if one.cause.name == name)


PAIR = ("stalls", "at-step", "half-lost")


def test_the_race_needs_more_than_its_mechanism() -> None:
    on_new = made([*PAIR, "kernel-resolves"])
    assert word_of(rank(on_new), "conntrack-race") is Word.POSSIBLE
    assert rank(on_new).leading.word is Word.SHOWN  # type: ignore[union-attr]
    assert word_of(rank(made(PAIR)), "conntrack-race") is Word.LIKELY
    assert word_of(rank(made([*PAIR, "insert-failed"])), "conntrack-race") is Word.SHOWN
    two_sockets_clean = made([*PAIR, "raw-pair-lost"])
    two_sockets_clean["raw-two-sockets-lost"] = Sign("raw-two-sockets-lost", State.NO)
    assert word_of(rank(two_sockets_clean), "conntrack-race") is Word.SHOWN


def test_a_pair_from_two_sockets_tells_a_policer_from_the_race() -> None:
    found = rank(made([*PAIR, "raw-pair-lost", "raw-two-sockets-lost"]))
    assert word_of(found, "conntrack-race") is Word.RULED_OUT
    assert word_of(found, "burst-policer") is Word.LIKELY


def test_sequential_stalls_rule_the_race_out() -> None:
    assert word_of(rank(made([*PAIR, "sequential-stalls"])), "conntrack-race") is Word.RULED_OUT


def test_without_sequential_queries_the_race_is_possible() -> None:
    found = rank(made(PAIR, unknown=["sequential-stalls"]))
    assert word_of(found, "conntrack-race") is Word.POSSIBLE


def test_little_data_is_said_to_be_little() -> None:
    assert rank(made(unclear=["stalls"])).answer is Answer.INSUFFICIENT
    assert rank(made(["stalls"], unclear=["half-lost", "sequential-stalls", "no-aaaa-stalls"])).answer is (
        Answer.INSUFFICIENT
    )


def test_what_several_mechanisms_explain_alike_is_left_open() -> None:
    """Sequential queries stall, too, and nothing else was measured: loss, a rate, new flows and more make that."""
    unknown = ("no-aaaa-stalls", "tcp-stalls", "cache-stalls", "tcp-sent-again", "tcp-hangs")
    found = rank(made(["stalls", "half-lost", "sequential-stalls"], unknown=unknown))
    assert found.answer is Answer.INSUFFICIENT
    possible = {one.mechanism.name for one in found.mechanisms if one.word is Word.POSSIBLE}
    assert possible >= {"packets-lost", "lost-over-a-rate", "new-flows-lost"}
    assert "pair-second-lost" not in possible


@pytest.mark.parametrize("seen", [("half-lost",), ("half-lost", "stalls-again"), ("no-aaaa-stalls",), ("errors",)])
def test_nothing_leads_by_a_sign_that_was_not_looked_for(seen: tuple[str, ...]) -> None:
    """A comparison of two configurations over UDP, with neither TCP nor a witness: what only a witness tells is no more
    open than what TCP tells."""
    known = ("stalls", "sequential-stalls", *seen)
    found = rank(made(known, unknown=[name for name in signs.NAMES if name not in known]))
    assert (found.answer, found.found) == (Answer.INSUFFICIENT, ())


SOME_LOST = ("stalls", "half-lost", "tcp-sent-again", "raw-a-lost", "raw-pair-lost", "raw-two-sockets-lost")


def test_few_losses_of_single_packets_are_no_second_cause() -> None:
    """Where one packet of a hundred is lost, one of two is lost in most pairs."""
    few = ("sequential-stalls", "no-aaaa-stalls", "raw-aaaa-lost", "raw-standing-lost", "raw-tcp-late")
    found = rank(looked_at(made(SOME_LOST, unclear=few)))
    assert (found.answer, found.found) == (Answer.INSUFFICIENT, ())


def test_what_a_mechanism_excludes_it_does_not_make() -> None:
    """Lost packets make no median late, so that they do not excuse one for late AAAA answers alone."""
    assert "raw-a-late" not in MECHANISMS["packets-lost"].predicts.made
    lost = ("stalls", "sequential-stalls", "no-aaaa-stalls", "tcp-sent-again", "raw-tcp-late", *ALL_LOST)
    late = ("delay-all", "delay-of-aaaa", "raw-a-late", "raw-aaaa-late", "raw-pair-late")
    assert "aaaa-late" not in {one.mechanism.name for one in rank(looked_at(made((*lost, *late)))).found}


def test_answers_from_elsewhere_are_not_left_unexplained() -> None:
    """Answers that are late make a clash of flows, too: with bad checksums, both pairs explain the delays."""
    late = ("delay-all", "raw-all-late", *(f"raw-{arm}-late" for arm in ("a", "aaaa", "pair", "two-sockets", "tcp")))
    damaged = ("stalls", "half-lost", "no-aaaa-stalls", "bad-checksums", "checksums-explain", *ALL_LOST)
    without = rank(looked_at(made((*late, *damaged))))
    assert {one.mechanism.name for one in without.found} == {"all-late", "bad-checksums"}
    told = rank(looked_at(made((*late, *damaged, "wrong-address", "wrong-address-explains"))))
    assert {one.mechanism.name for one in told.found} == {"answers-from-elsewhere", "bad-checksums"}


def test_which_of_a_pair_is_lost_hints_at_a_second_cause_when_too_few_tell() -> None:
    lost = ("stalls", "sequential-stalls", "no-aaaa-stalls", "bad-checksums", "checksums-explain", *ALL_LOST)
    few = looked_at(made(lost, unclear=["raw-pair-second"]))
    assert [sign.name for sign in hints(rank(few), few)] == ["raw-pair-second"]


def test_two_causes_are_both_named() -> None:
    found = rank(made([*PAIR, "errors", "only-a", "only-aaaa", "fails-fast"]))
    assert found.answer is Answer.TWO
    assert {one.mechanism.name for one in found.found} == {"pair-second-lost", "errors"}
    assert all(one.word is not Word.SHOWN for one in found.found)


TCP_SILENT = ("tcp-stalls", "tcp-hangs", "raw-tcp-lost", "raw-tcp-always")


def test_what_two_causes_make_together_is_told() -> None:
    """Answers that are cut and TCP that is blocked: then every lookup fails, which neither does by itself."""
    all_fail = ("stalls", "sequential-stalls", "no-aaaa-stalls", "stalls-again", "always")
    cut = ("tcp-after-udp", "raw-any-truncated", "raw-pair-truncated")
    found = rank(looked_at(made([*all_fail, *TCP_SILENT, *cut])))
    assert found.answer is Answer.TWO
    assert {one.mechanism.name for one in found.found} == {"truncated", "tcp-silent"}


def test_what_one_cause_hides_of_another_is_not_asked_for() -> None:
    """Loss shows over TCP by packets that are sent again; where TCP is blocked, it cannot."""
    lost = [f"raw-{arm}-lost" for arm in ("a", "aaaa", "pair", "two-sockets", "standing")]
    stalling = ("stalls", "sequential-stalls", "no-aaaa-stalls", "cache-stalls")
    found = rank(looked_at(made([*stalling, *TCP_SILENT, *lost])))
    assert found.answer is Answer.TWO
    assert {one.mechanism.name for one in found.found} == {"packets-lost", "tcp-silent"}


LOST = ("stalls", "sequential-stalls", "no-aaaa-stalls", "cache-stalls", "at-step")
ALL_LOST = tuple(f"raw-{arm}-lost" for arm in ("a", "aaaa", "pair", "two-sockets", "standing"))
CUT = (*LOST, *ALL_LOST, "window", "tcp-sent-again", "raw-tcp-late", "delay-of-tcp")


@pytest.mark.parametrize(
    ("seen", "both"),
    [
        ((*CUT, "raw-standing-more"), {"all-lost-for-a-time", "kept-flows-lost"}),
        ((*CUT, "raw-pairs-more"), {"all-lost-for-a-time", "pair-second-lost"}),
        ((*LOST, *ALL_LOST, "bad-checksums", "raw-kept-same"), {"bad-checksums", "some-ports-lost"}),
    ],
    ids=["kept flows", "pairs", "ports"],
)
def test_a_second_loss_is_told_by_what_it_adds(seen: tuple[str, ...], both: set[str]) -> None:
    """What all lose says nothing of a second cause; what some lose beyond that does."""
    found = rank(looked_at(made(seen)))
    assert found.answer is Answer.TWO
    assert {one.mechanism.name for one in found.found} == both


ARM_NAMES = ("a", "aaaa", "pair", "two-sockets", "tcp", "standing")
SENT_LATE = ("sent-late", "throttled", *(f"raw-{arm}-sent-late" for arm in ARM_NAMES))
BY_LOSS = ("stalls", "sequential-stalls", "no-aaaa-stalls", "tcp-sent-again", "raw-tcp-late", *ALL_LOST)
CLASH = ("stalls", "half-lost", "wrong-address", "raw-pair-lost", "delay-all", "raw-all-late")
ALL_ARE_LATE = tuple(f"raw-{arm}-late" for arm in ARM_NAMES)


@pytest.mark.parametrize(
    ("seen", "both"),
    [
        ((*SENT_LATE, "delay-some", "delay-short", "raw-held-up", "raw-some-held"), {"client-held-up", "held-up"}),
        ((*BY_LOSS, "delay-some", "delay-short", "raw-some-held"), {"packets-lost", "held-up"}),
        ((*BY_LOSS, "delay-of-tcp", "raw-tcp-short"), {"packets-lost", "tcp-late"}),
        ((*BY_LOSS, "delay-some", "delays-together", "raw-paused"), {"packets-lost", "pauses"}),
        ((*CLASH, *ALL_ARE_LATE, "raw-two-sockets-lost"), {"answers-from-elsewhere", "pair-second-lost"}),
        ((*CLASH, *ALL_ARE_LATE, *SENT_LATE, "raw-held-up"), {"answers-from-elsewhere", "client-held-up"}),
        (
            ("errors", "only-a", "raw-aaaa-errors", "delay-all", "raw-all-late", "raw-a-late", "raw-tcp-late"),
            {"aaaa-errors", "all-late"},
        ),
        ((*LOST, *ALL_LOST, *TCP_SILENT, "stalls-again", "raw-one-place"), {"one-server-silent", "tcp-silent"}),
    ],
    ids=["CPU limits", "loss, CPU limit", "loss, TCP", "loss, pauses", "clash, pairs", "clash, client", "AAAA", "TCP"],
)
def test_what_one_cause_cannot_make_tells_the_other(seen: tuple[str, ...], both: set[str]) -> None:
    found = rank(looked_at(made(seen)))
    assert found.answer is Answer.TWO
    assert {one.mechanism.name for one in found.found} == both


def test_what_one_witness_shows_is_one_cause() -> None:
    """Answers from another address are told by one counter: it shows no second cause of them."""
    lost = ("sequential-stalls", "no-aaaa-stalls", *ALL_LOST, "raw-pair-second", "wrong-address-explains")
    found = rank(looked_at(made((*CLASH, *ALL_ARE_LATE, *lost), unclear=("half-lost", "raw-kept-same"))))
    assert {one.mechanism.name for one in found.found} != ONE_WITNESS


def test_where_raw_queries_leave_nothing_more_lookups_change_nothing() -> None:
    """Single queries over UDP are lost at any rate, and no packet of TCP: no known cause does that."""
    lost = ("stalls", "sequential-stalls", "half-lost", *ALL_LOST)
    seen = looked_at(made(lost, unclear=("no-aaaa-stalls", "tcp-stalls", "cache-stalls")))
    found = rank(seen)
    assert (found.answer, found.found) == (Answer.INSUFFICIENT, ())
    assert nothing_left(found, seen)
    few = {**seen, "raw-pair-lost": Sign("raw-pair-lost", State.UNCLEAR)}
    assert not nothing_left(rank(few), few)
    assert not nothing_left(rank(looked_at(made(BY_LOSS))), looked_at(made(BY_LOSS)))


def test_a_limit_on_the_rate_takes_no_first_query_of_a_pair() -> None:
    limited = ("stalls", "sequential-stalls", *ALL_LOST, "raw-lost-grows")
    first = {one.mechanism.name for one in rank(looked_at(made(limited))).found}
    assert first == {"lost-over-a-rate"}
    assert not rank(looked_at(made((*limited, "raw-pair-first")))).found


def test_what_explains_all_hides_no_second_cause() -> None:
    found = rank(looked_at(made(CUT)))
    assert (found.answer, [one.mechanism.name for one in found.found]) == (Answer.FOUND, ["all-lost-for-a-time"])


def looked_at(signs_: dict[str, Sign]) -> dict[str, Sign]:
    """The same after raw queries were sent: what was not seen of them was looked for."""
    missing = [name for name, sign in signs_.items() if sign.state is State.NOT_MEASURED]
    return {**signs_, **{name: Sign(name, State.NO, name) for name in missing}}


def test_what_nothing_makes_fits_none() -> None:
    found = rank(made(["bad-checksums", "servers-idle", "throttled", "tcp-hangs", "new-flows-slow"]))
    assert found.answer is Answer.NONE_FITS
    assert {sign.name for sign in found.unexplained} >= {"bad-checksums", "servers-idle"}


def test_what_was_not_measured_rules_nothing_out() -> None:
    nothing_known = {name: Sign(name, State.NOT_MEASURED) for name in signs.NAMES}
    found = rank(nothing_known)
    assert found.answer is Answer.NOTHING
    assert {one.word for one in found.causes} == {Word.NOT_TESTED}


def test_any_signs_give_one_answer() -> None:
    """However signs fall: no error, and what is named is never ruled out."""
    draw = random.Random(4)
    for _ in range(300):
        drawn = {name: Sign(name, draw.choice(list(State))) for name in signs.NAMES}
        found = rank(drawn)
        assert len(found.mechanisms) == len(MECHANISMS)
        assert len(found.causes) == len(CAUSES)
        assert all(one.word.rank <= Word.POSSIBLE.rank for one in found.found)


#: modules that must not know what was injected
BLIND = ("engine", "sign", "signs", "loss_signs", "delay_signs", "counter_signs", "arm_signs", "predictions")


@pytest.mark.parametrize("module", [*(f"explain/{name}.py" for name in BLIND), "analyse/observed.py"])
def test_ground_truth_never_reaches_the_engine(module: str) -> None:
    """Nothing in these modules reads a plan's fault, a catalogue entry's faults, or a file of ground truth."""
    tree = ast.parse((Path(dnslab.__file__).parent / module).read_text(encoding="utf-8"))
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not read & {"fault", "faults", "parts"}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    docs = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
    }
    assert not [text for text in texts if "truth" in text and text not in docs]


def test_what_is_recorded_has_no_fault() -> None:
    assert all("fault" not in json.dumps(one["observed"]) for one in RUNS.values())
