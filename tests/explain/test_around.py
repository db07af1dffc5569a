"""around: what shows beside queries: who answers, servers that end, names of the search list."""

from __future__ import annotations

import numpy as np
import pytest

from dnslab.analyse.arms import ArmTimes
from dnslab.analyse.observed import Numbers, Observed
from dnslab.explain.around import NEAR_S, Around, causes, who_answers
from dnslab.explain.engine import Word
from dnslab.explain.sign import State
from dnslab.plan.arms import Change, Places
from dnslab.store.contents import WhoAnswers


@pytest.mark.parametrize(
    ("who", "state"),
    [
        ([], None),
        ([WhoAnswers(lines=["not measured"])], None),
        ([WhoAnswers(redirected=["web-1"])], State.YES),
        ([WhoAnswers(elsewhere=True), WhoAnswers(elsewhere=True)], State.YES),
        ([WhoAnswers(elsewhere=False), WhoAnswers(elsewhere=False), WhoAnswers(elsewhere=True)], State.NO),
    ],
)
def test_who_answers(who: list[WhoAnswers], state: State | None) -> None:
    sign = who_answers(who)
    assert (sign.state if sign else None) is state


def times(lost_at_s: list[float], arm: str = "standing", length_s: float = 30.0) -> ArmTimes:
    """Ten queries a second from 1,000 s on; those sent right at these times are lost."""
    sent_s = 1_000.0 + np.arange(int(10 * length_s)) / 10
    return ArmTimes(
        arm, "10.96.0.10", sent_s, np.isin(np.rint(10 * sent_s), np.rint(10 * (1_000 + np.array(lost_at_s))))
    )


def places(*ends_s: float) -> Places:
    changes = [Change(int((1_000 + end_s) * 1e9), "10.0.0.2", came=False, pod="coredns-a on n1") for end_s in ends_s]
    return Places(("10.96.0.10",), changes=(*changes, Change(int(1_001e9), "10.0.0.9", came=True)))


def restarts(lost_at_s: list[float], *ends_s: float) -> tuple[Word | None, str]:
    found = causes(Around(times=(times(lost_at_s), times([], "a"))), places(*ends_s), None)
    assert len(found) <= 1
    claims = " ".join(sign.claim for one in found for sign in one.support.speaking_for)
    return (found[0].word if found else None), claims


def test_losses_at_the_end_of_servers_are_theirs() -> None:
    word, claims = restarts([5.0, 5.1, 15.2, 24.9], 5.5, 15.0, 25.0)
    assert word is Word.LIKELY
    assert "4 of 4 lost queries were sent within 2\N{NO-BREAK SPACE}s of a DNS server's end" in claims
    assert "10.0.0.2 (coredns-a on n1) left the Service at 00:16:45 UTC. 2 others left it later." in claims
    assert "On sockets that are kept, 4 of 300 queries were lost; on new ones, 0 of 300." in claims


def test_queries_to_a_server_that_ended_are_no_losses_of_the_service() -> None:
    dead = times([float(second) for second in range(30)])
    by_itself = ArmTimes("a", "10.0.0.2", dead.sent_s, dead.lost)
    usual = times([5.0, 5.1, 15.2, 24.9])
    (found,) = causes(Around(times=(usual, by_itself)), places(5.5, 15.0, 25.0), None)
    assert (found.cause.name, found.word) == ("dns-server-restart", Word.LIKELY)
    assert Places(endpoints=("10.0.0.2", "10.0.0.3"), changes=places(5.0).changes).stayed == ("10.0.0.3",)


def test_the_more_ends_the_surer() -> None:
    ends_s = (4.0, 20.0, 40.0, 60.0, 80.0)
    long = tuple(
        ArmTimes(one.arm, one.place, one.sent_s, one.lost)
        for one in (times([4.1, 20.1, 40.1, 60.1, 80.1], length_s=100.0), times([], "a", 100.0))
    )
    (found,) = causes(Around(times=long), places(*ends_s), None)
    assert (found.cause.name, found.word) == ("dns-server-restart", Word.SHOWN)
    assert restarts([5.3, 5.4, 5.5, 5.6, 5.7], 4.0)[0] is Word.POSSIBLE, "one burst speaks once"


def test_how_often_chance_makes_it_likely() -> None:
    """Bursts at times that have nothing to do with the ends: 1 time in 20."""
    generator = np.random.default_rng(1)
    words = []
    for _ in range(300):
        starts_s = generator.uniform(0, 29, 2)
        lost_s = [float(start_s + after_s) for start_s in starts_s for after_s in (0.0, 0.2, 0.4)]
        words.append(restarts(lost_s, *generator.uniform(0, 30, 3))[0])
    n_likely = sum(word in (Word.LIKELY, Word.SHOWN) for word in words)
    assert n_likely <= 25, n_likely
    assert words.count(Word.SHOWN) <= 3


@pytest.mark.parametrize(
    ("lost_at_s", "ends_s"),
    [([], (5.0,)), ([5.0, 5.1], ()), ([3.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0, 27.0, 29.0], (15.0,)), ([20.0], (5.0,))],
    ids=["nothing lost", "nothing ended", "lost at all times", "lost later"],
)
def test_other_losses_are_not(lost_at_s: list[float], ends_s: tuple[float, ...]) -> None:
    assert restarts(lost_at_s, *ends_s)[0] is None
    assert NEAR_S < 3.0


@pytest.mark.parametrize(
    ("n_asked", "walked_ms", "word"),
    [(1, 0.7, None), (2, 1.4, None), (4, 2.8, Word.SHOWN), (4, 1.0, Word.LIKELY), (None, 2.8, None)],
)
def test_a_search_list_that_is_walked(n_asked: int | None, walked_ms: float, word: Word | None) -> None:
    observed = Observed(numbers={"baseline": Numbers(variant="baseline", n=100, p50_ms=walked_ms)})
    found = causes(Around(name="example.org", n_asked=n_asked, full_ms=0.7), Places(), observed)
    assert [(one.cause.name, one.word) for one in found] == ([("search-list", word)] if word else [])
