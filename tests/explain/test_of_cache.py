"""The cache's own trouble: told from its socket, for the configuration that asks it, and for no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from dnslab.analyse.observed import Numbers, Observed
from dnslab.explain.engine import Answer, Word, rank
from dnslab.explain.of_cache import causes_of_cache, set_apart
from dnslab.explain.sign import State
from dnslab.explain.signs import read
from tests.explain.test_signs import numbers

CACHE, SERVICE = "169.254.20.10", "10.96.0.10"
#: of a closed loop: few stalls among many lookups, each of which lost both its queries
FULL: dict[str, Any] = {
    "n": 80_486,
    "stalls": 31,
    "flagged": 0,
    "at_step": 31,
    "rises": {f"node.udp.53.drops@{CACHE}": 62.0},
    "asks": (CACHE,),
}


def of_two(baseline: Numbers, cached: Numbers) -> Observed:
    return Observed(target="glibc", numbers={one.variant: one for one in (baseline, cached)})


@pytest.mark.parametrize("variant", ["node-local", "node-local+single-request-reopen"])
def test_a_full_socket_is_named_for_the_configuration_that_asks_it(variant: str) -> None:
    observed = of_two(numbers(asks=(SERVICE,)), numbers(variant, **FULL))
    (found,) = causes_of_cache(observed)
    assert (found.variant, found.cause.cause.name, found.cause.word) == (variant, "cache-buffer-full", Word.SHOWN)
    assert any(f"in trials of {variant}" in sign.claim for sign in found.cause.support.speaking_for)
    assert rank(set_apart(read(observed), [found])).answer is Answer.NOTHING, "baseline is well"


@pytest.mark.parametrize(
    "changes",
    [
        {"rises": {f"node.udp.53.drops@{SERVICE}": 62.0}},
        {"rises": {f"node.udp.53.drops@{CACHE}": 3.0}},
        {"rises": {"node.Udp.RcvbufErrors": 62.0}},
        {"stalls": 0, "at_step": 0},
    ],
    ids=["another socket", "too few", "any socket of the node", "no stall"],
)
def test_what_its_socket_does_not_explain_is_not_named(changes: dict[str, Any]) -> None:
    observed = of_two(numbers(asks=(SERVICE,)), numbers("node-local", **{**FULL, **changes}))
    assert list(causes_of_cache(observed)) == []


def test_a_workload_that_asks_the_cache_by_itself_is_told_so() -> None:
    """Many clusters give the cache's address to every pod."""
    found = rank(read(Observed(target="glibc", numbers={"baseline": numbers(**FULL)})))
    assert found.answer is Answer.FOUND
    assert (found.causes[0].cause.name, found.causes[0].word) == ("cache-buffer-full", Word.SHOWN)


def test_the_cache_is_no_cause_for_who_does_not_ask_it() -> None:
    """Others fill its socket meanwhile."""
    stalling = numbers(**{**FULL, "asks": (SERVICE,)})
    signs = read(Observed(target="glibc", numbers={"baseline": stalling}))
    assert signs["cache-buffer"].state is State.NO
    cause = next(one for one in rank(signs).causes if one.cause.name == "cache-buffer-full")
    assert cause.word is Word.RULED_OUT


@pytest.mark.parametrize(("place", "seen"), [(CACHE, State.YES), (SERVICE, State.NO)])
def test_beside_raw_queries_the_socket_counts_where_they_were_sent(place: str, seen: State) -> None:
    row = {"arm": "a", "place": place, "target": "pod", "round": 1, "n": 400, "late": 0, "errors": 0, "truncated": 0}
    arms = pd.DataFrame([{**row, "lost": 40, "late_sent": 0, "rises": FULL["rises"]}])
    assert read(None, arms)["cache-buffer"].state is seen


def test_without_baseline_another_configuration_is_what_is_asked_about() -> None:
    observed = Observed(subject="node-local", numbers={"node-local": numbers("node-local", **FULL)})
    found = rank(read(observed))
    assert (found.causes[0].cause.name, found.causes[0].word) == ("cache-buffer-full", Word.SHOWN)
    assert list(causes_of_cache(observed)) == [], "it is told already"
    assert Observed.from_dict(observed.to_dict()) == observed
    assert replace(observed, subject="baseline").asked is None
