"""ladder: which rung follows from what was seen, and how much each asks of a server."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from dnslab.plan import ports
from dnslab.plan.arms import ARMS, Places, arm_of, queries_per_s
from dnslab.plan.ladder import (
    ALIVE,
    ARM_MOST_PER_S,
    FEW,
    MOST_ENDPOINTS,
    MOST_PER_S,
    NAME,
    PLACE,
    RUNGS,
    START_PER_S,
    VARIANTS,
    Ladder,
    Seen,
    base_plan,
    next_rung,
    per_server_per_s,
    plan_of,
)
from dnslab.plan.model import Plan

BASE = Plan(variants=VARIANTS, names=(NAME,))
ONE = Places()
TWO = Places(("10.96.0.10",), ("10.0.0.2", "10.0.0.3"))
MANY = Places((), tuple(f"10.0.0.{n}" for n in range(1, 40)))


def climbed(*seen: Seen) -> list[str]:
    """Names of the rungs where each rung showed what stands at its place; the last holds from there on."""
    done: list[str] = []
    for shown in itertools.chain(seen, itertools.repeat(seen[-1])):
        rung = next_rung(done, shown if done else Seen())
        if rung is None:
            return done
        done.append(rung.name)
    raise AssertionError


def test_where_nothing_is_seen_more_is_asked_and_then_the_library() -> None:
    assert climbed(Seen()) == ["alive", "arms", "more", "libc"]


def test_trouble_of_some_arms_is_looked_at_from_all_sides() -> None:
    assert climbed(Seen(), Seen(), Seen(trouble=True)) == ["alive", "arms", "more", "libc", "place"]


def test_what_hits_all_is_looked_for_at_each_server_first() -> None:
    shown = Seen(trouble=True, everywhere=True)
    assert climbed(Seen(), Seen(), shown) == ["alive", "arms", "place", "more", "libc"]


def test_who_allows_more_is_asked_more_but_at_first() -> None:
    usual, more = ({rung.name: plan_of(rung, BASE, TWO, most) for rung in RUNGS} for most in (50.0, 1_000.0))
    for name in ("alive", "arms", "long"):
        assert more[name].loads[1:] == usual[name].loads[1:]
    for name in ("more", "libc", "place"):
        assert per_server_per_s(more[name], TWO) > 15 * per_server_per_s(usual[name], TWO)


def test_where_too_little_was_seen_the_arms_run_once_more_for_longer() -> None:
    little = Seen(trouble=True, too_little=True)
    assert climbed(Seen(), little) == ["alive", "arms", "more", "libc", "place", "long"]
    assert climbed(Seen(), Seen(too_little=True)) == ["alive", "arms", "more", "libc", "long"]
    assert climbed(Seen(), little, little, Seen(trouble=True)) == ["alive", "arms", "more", "libc", "place"]


def test_a_dead_server_is_asked_no_more() -> None:
    assert climbed(Seen(), Seen(dead=True, trouble=True)) == ["alive", "place"]


def test_with_trouble_all_rungs_are_climbed_since_a_second_cause_may_hide() -> None:
    assert climbed(Seen(), Seen(trouble=True)) == ["alive", "arms", "more", "libc", "place"]
    # One server of several may be dead.
    assert climbed(Seen(), Seen(trouble=True, everywhere=True)) == ["alive", "arms", "place", "more", "libc"]


@pytest.mark.parametrize("places", [ONE, TWO, MANY], ids=["one", "two", "many"])
@pytest.mark.parametrize("most_per_s", [5.0, 50.0, 400.0])
def test_no_server_gets_more_than_the_most(places: Places, most_per_s: float) -> None:
    for rung in RUNGS:
        plan = plan_of(rung, BASE, places, most_per_s)
        assert per_server_per_s(plan, places) <= most_per_s + 1e-9, rung.name
        usual = ARM_MOST_PER_S * max(1.0, most_per_s / MOST_PER_S)
        assert all((load.rate_per_s or 0) <= usual for load in plan.loads)
        shared, alone = 0.0, dict.fromkeys(places.endpoints, 0.0)  # counted another way
        for load in plan.loads:
            n = queries_per_s(load) if load.engine == "wire" else 2 * (load.rate_per_s or 0) * len(plan.variants)
            if load.server in alone:
                alone[load.server] += n
            else:
                shared += n
        worst = shared / max(1, len(places.endpoints)) + max(alone.values(), default=0.0)
        assert worst == pytest.approx(per_server_per_s(plan, places))


@pytest.mark.parametrize("n_targets", [1, 3, 40])
def test_many_targets_together_ask_no_more(n_targets: int) -> None:
    for rung in RUNGS:
        plan = plan_of(rung, BASE, TWO, n_targets=n_targets)
        assert 0 < per_server_per_s(plan, TWO, n_targets) <= MOST_PER_S + 1e-9, rung.name
        assert per_server_per_s(plan, TWO, n_targets) == pytest.approx(n_targets * per_server_per_s(plan, TWO))


@pytest.mark.parametrize("places", [ONE, TWO, MANY], ids=["one", "two", "many"])
@pytest.mark.parametrize("where", [{"existing": "pod/app"}, {"images": ["glibc"]}], ids=["in a pod", "own pods"])
@pytest.mark.parametrize("most_per_s", [50.0, 1_000.0])
def test_each_rung_has_source_ports_enough(places: Places, where: dict[str, Any], most_per_s: float) -> None:
    base = base_plan("kubernetes", cluster={"namespace": "n", **where})
    for rung in RUNGS:
        plan = plan_of(rung, base, places, most_per_s)
        ports.check(plan)
        if rung.arms:
            assert len({load.rate_per_s for load in plan.loads[1:]}) == 1, "arms differ in one thing, not in the rate"


def test_without_other_addresses_no_place_is_asked() -> None:
    trouble = Seen(trouble=True, everywhere=True)
    assert next_rung(["alive", "arms"], trouble) is PLACE
    assert next_rung(["alive", "arms"], trouble, by_place=False) is not PLACE
    assert Ladder(BASE, TWO, asked="10.96.0.10").by_place
    assert not Ladder(BASE, Places(("10.96.0.10",)), asked="10.96.0.10").by_place
    assert not Ladder(BASE, Places()).by_place


def test_it_begins_with_five_a_second() -> None:
    assert sum(map(queries_per_s, plan_of(ALIVE, BASE, ONE).loads)) <= 5
    loads = plan_of(FEW, BASE, TWO).loads
    assert {load.rate_per_s for load in loads[1:]} == {START_PER_S}


def test_arms_of_a_rung_run_together_and_differ_in_one_point() -> None:
    plan = plan_of(FEW, BASE, TWO)
    assert plan.order == "together"
    assert [arm_of(plan, index) for index in range(len(plan.loads))] == ["control", *ARMS]
    usual = plan.loads[1].model_dump()
    for load in plan.loads[2:]:
        changed = {key for key, value in load.model_dump().items() if value != usual[key]}
        assert len(changed) == 1, changed


def test_each_server_is_asked_by_itself_and_none_twice() -> None:
    plan = Ladder(BASE, TWO, asked="10.96.0.10").plan_of(PLACE)
    assert list(dict.fromkeys(load.server for load in plan.loads)) == [None, "10.0.0.2", "10.0.0.3"]
    behind_a_cache = Ladder(BASE, TWO, asked="169.254.20.10").plan_of(PLACE)
    assert {load.server for load in behind_a_cache.loads} == {None, "10.96.0.10", "10.0.0.2", "10.0.0.3"}
    assert len({load.server for load in plan_of(PLACE, BASE, MANY).loads}) == 1 + MOST_ENDPOINTS
