"""Signs: tests against rates, never exactly zero; and "not measured" wherever a number is not there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import scipy.stats

from dnslab.analyse.observed import Numbers, Observed, Spans
from dnslab.explain import signs
from dnslab.explain.sign import ALPHA, State, hit_too, most, some

N = 6_000


def numbers(variant: str = "baseline", **changes: Any) -> Numbers:
    usual = {
        "stalls": 0,
        "failed": 0,
        "flagged": 0,
        "at_step": 0,
        "again": 0,
        "failed_early": 0,
        "hung": 0,
        "only_a": 0,
    }
    usual |= {"only_aaaa": 0, "held": 0, "late": 0, "slow": 0, "sent_late": 0}
    quantiles = {"p05_ms": 0.2, "p50_ms": 0.4, "most_held_ms": 5.0}
    return Numbers(**{"variant": variant, "n": N, **usual, **quantiles, **changes})


def observed(*others: Numbers, **changes: Any) -> Observed:
    found = {one.variant: one for one in (numbers(**changes), *others)}
    return Observed(target="glibc", numbers=found)


def state(of: Observed | None, name: str) -> State:
    return signs.read(of)[name].state


STALLING: dict[str, Any] = {"stalls": 53, "flagged": 53, "at_step": 53}


def test_three_stray_stalls_do_not_hide_that_sequential_queries_are_spared() -> None:
    run = observed(numbers("single-request-reopen", n=5_983, stalls=3), **STALLING)
    assert state(run, "half-lost") is State.YES
    assert state(run, "sequential-stalls") is State.NO


@pytest.mark.parametrize(("stalls", "said"), [(0, State.NO), (3, State.NO), (15, State.UNCLEAR), (50, State.YES)])
def test_a_variant_is_spared_hit_too_or_neither(stalls: int, said: State) -> None:
    assert state(observed(numbers("no-aaaa", stalls=stalls), **STALLING), "no-aaaa-stalls") is said


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("server-a.Udp.RcvbufErrors", "server-buffer"),
        ("client.Udp.RcvbufErrors", "client-buffer"),
        ("client.Udp.NoPorts", "wrong-address"),
        ("client.Udp.InCsumErrors", "bad-checksums"),
        ("node.conntrack.early_drop", "table-full"),
    ],
)
def test_few_drops_among_very_many_lookups_explain_as_few_stalls(key: str, name: str) -> None:
    """A closed loop at full speed: half a million lookups, 138 stalls, 270 drops."""
    assert state(observed(n=476_204, stalls=138, rises={key: 270.0}), name) is State.YES
    assert state(observed(n=476_204, stalls=138, rises={key: 20.0}), name) in (State.NO, State.UNCLEAR)
    assert state(observed(n=476_204, rises={key: 270.0}), name) is State.NO


def test_trouble_of_a_variant_alone_is_seen() -> None:
    hanging = numbers("use-vc", n=700, stalls=700, hung=700, failed=700)
    run = observed(hanging)
    assert (state(run, "stalls"), state(run, "tcp-stalls"), state(run, "tcp-hangs")) == (State.NO, State.YES, State.YES)


def test_some_is_a_test_against_the_noise() -> None:
    assert (some(0, N), some(1, N), some(5, N)) == (State.NO, State.UNCLEAR, State.YES)
    # of a million, a hundred are the noise itself
    assert (some(90, 1_000_000), some(200, 1_000_000)) == (State.NO, State.YES)
    k = next(k for k in range(1, 99) if some(k, 1_000, 0.01) is State.YES)
    chances = [float(scipy.stats.binom.sf(below, 1_000, 0.01)) for below in (k - 2, k - 1)]
    assert chances[0] >= ALPHA > chances[1]
    assert some(3, 0) is State.NOT_MEASURED


def test_most_and_hit_too_leave_small_counts_open() -> None:
    assert [most(k, n, 0.8) for k, n in ((53, 53), (9, 10), (2, 2), (5, 10), (2, 70))] == [
        State.YES, State.YES, State.UNCLEAR, State.UNCLEAR, State.NO,
    ]  # fmt: skip
    assert hit_too(0, 300, 5, 300) is State.UNCLEAR
    assert hit_too(0, 300, 0, 300) is State.NOT_MEASURED


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"failed_early": 60, "failed": 60}, "errors"),
        ({"only_aaaa": 60}, "errors"),
        ({"only_aaaa": 60}, "only-aaaa"),
        ({"only_a": N}, "always-only-a"),
        ({"held": N, "p05_ms": 200.0, "p50_ms": 201.0}, "delay-all"),
        ({"held": 300, "most_held_ms": 800.0}, "delay-some"),
        ({"held": 300, "held_p10_ms": 1_200.0, "held_p90_ms": 1_210.0, "slow": 300}, "delay-constant"),
        ({"held": 300, "most_held_ms": 90.0}, "delay-short"),
        ({"sent_late": 3_000}, "sent-late"),
        ({"slow": 60}, "delay-second"),
        ({**STALLING, "again": 50}, "stalls-again"),
        ({"stalls": N}, "always"),
        ({"rises": {"client.Udp.InCsumErrors": 40.0}}, "bad-checksums"),
        ({"rises": {"client.Udp.NoPorts": 40.0}}, "wrong-address"),
        ({"rises": {"client.Udp.RcvbufErrors": 40.0}}, "client-buffer"),
        ({**STALLING, "rises": {"server-a.Udp.RcvbufErrors": 60.0}}, "server-buffer"),
        ({"rises": {"node.conntrack.count": 0.99}}, "table-full"),
        ({"rises": {"node.conntrack.early_drop": 40.0}}, "table-full"),
        ({"rises": {"client.cpu.periods": 200.0, "client.cpu.throttled_periods": 90.0}}, "throttled"),
        ({"rises": {"server-a.Udp.InDatagrams": 3.0, "server-b.Udp.InDatagrams": 0.0}}, "servers-idle"),
        ({"rises": {"client.Tcp.ActiveOpens": 5_000.0}}, "tcp-after-udp"),
        ({"names": {"a.": (3_000, 2_990), "b.": (3_000, 2)}, "stalls": 2_992}, "one-name"),
    ],
)
def test_what_was_seen_is_seen_and_else_not(changes: dict[str, Any], name: str) -> None:
    assert state(observed(**changes), name) is State.YES
    assert state(observed(), name) in (State.NO, State.NOT_MEASURED)


def test_failed_inserts_count_only_with_drops_and_enough_of_both() -> None:
    def of(failed: float, dropped: float) -> State:
        rises = {"node.conntrack.insert_failed": failed, "node.conntrack.drop": dropped}
        return state(observed(**STALLING, rises=rises), "insert-failed")

    assert (of(53, 53), of(53, 0), of(3, 3)) == (State.YES, State.NO, State.UNCLEAR)
    assert state(observed(**STALLING, rises={"node.conntrack.insert_failed": 53.0}), "insert-failed") is (
        State.NOT_MEASURED
    )


def test_delays_of_a_client_that_is_late_itself_are_unclear() -> None:
    assert state(observed(held=300, sent_late=400), "delay-some") is State.UNCLEAR
    assert state(observed(held=300, sent_late=10), "delay-some") is State.YES


@pytest.mark.parametrize(
    ("when", "window", "from_start"),
    [
        (
            Spans(trials=3, trials_bad=3, n_inside=270, bad_inside=265, start_s=1.0, end_s=2.5, length_s=4.0),
            "yes",
            "no",
        ),
        (
            Spans(trials=3, trials_bad=3, n_inside=270, bad_inside=265, start_s=0.0, end_s=1.5, length_s=4.0),
            "yes",
            "yes",
        ),
        (Spans(trials=3, trials_bad=3, n_inside=500, bad_inside=53, start_s=0.5, end_s=3.5, length_s=4.0), "no", "no"),
        (Spans(trials=3, trials_bad=3, n_inside=15, bad_inside=15, start_s=0.9, end_s=0.95, length_s=4.0), "no", "no"),
    ],
)
def test_a_window_is_dense_and_an_outage_is_long(when: Spans, window: str, from_start: str) -> None:
    run = observed(stalls=when.bad_inside, bad=when)
    assert (state(run, "window").value, state(run, "from-start").value) == (window, from_start)


def test_one_target_of_several() -> None:
    run = replace(observed(**STALLING), targets={"glibc@a": (N, 53), "glibc@b": (N, 0)})
    assert state(run, "one-target") is State.YES
    assert state(replace(run, targets={"glibc@a": (N, 53), "glibc@b": (N, 49)}), "one-target") is State.NO


@pytest.mark.parametrize(("kernel", "said"), [("Linux 6.18.4", "yes"), ("Linux 5.4.0-150", "no"), ("", "not measured")])
def test_the_kernel(kernel: str, said: str) -> None:
    assert state(replace(observed(), kernel=kernel), "kernel-resolves").value == said


def test_what_is_not_there_is_not_measured_with_its_reason() -> None:
    for sign in signs.read(None).values():
        assert sign.state is State.NOT_MEASURED
        assert sign.claim
    run = replace(observed(), unread={"client.Udp.InCsumErrors": "permission denied"})
    sign = signs.read(run)["bad-checksums"]
    assert sign.state is State.NOT_MEASURED
    assert "permission denied" in sign.claim
    musl = observed(**{**STALLING, "flagged": None})
    assert state(musl, "half-lost") is State.NOT_MEASURED


def test_the_kernel_is_known_without_lookups_of_baseline() -> None:
    found = signs.read(Observed(kernel="Linux 6.18.4"), arms(pair_one_socket=20))
    assert {name for name, sign in found.items() if sign.yes} == {"raw-pair-lost", "raw-pair-more", "kernel-resolves"}


def arms(**lost: int) -> pd.DataFrame:
    rows = [
        {"arm": arm, "place": "10.96.0.10", "round": 1, "n": 400, "late": 0, "errors": 0, "truncated": 0}
        | {"lost": lost.get(arm.replace("-", "_"), 0), "p50_ms": 0.4, "p99_ms": 2.0, "late_sent": 0}
        for arm in ("a", "aaaa", "pair-one-socket", "pair-two-sockets", "tcp", "standing")
    ]
    return pd.DataFrame(rows)


def test_raw_queries() -> None:
    found = signs.read(None, arms(pair_one_socket=20, a=1))
    assert {name for name, sign in found.items() if sign.yes} == {"raw-pair-lost", "raw-pair-more", "raw-pairs-more"}
    assert found["raw-a-lost"].state is State.UNCLEAR
    assert found["raw-two-sockets-lost"].state is State.NO
    assert found["raw-a-second-lost"].state is State.NOT_MEASURED
    assert found["raw-one-place"].state is State.NOT_MEASURED
    assert found["stalls"].state is State.NOT_MEASURED


@pytest.mark.parametrize(
    ("lost", "pairs", "standing"),
    [
        ({"a": 40, "aaaa": 40, "pair_one_socket": 40, "pair_two_sockets": 40, "standing": 40}, State.NO, State.NO),
        ({"a": 40, "aaaa": 40, "pair_one_socket": 90, "pair_two_sockets": 90, "standing": 40}, State.YES, State.NO),
        ({"a": 40, "aaaa": 40, "pair_one_socket": 40, "pair_two_sockets": 40, "standing": 120}, State.NO, State.YES),
        ({"pair_one_socket": 90, "standing": 120}, State.NOT_MEASURED, State.NOT_MEASURED),
    ],
    ids=["all alike", "pairs", "kept sockets", "nothing to compare with"],
)
def test_what_one_kind_of_query_loses_beyond_what_all_lose(lost: dict[str, int], pairs: State, standing: State) -> None:
    found = signs.read(None, arms(**lost))
    assert (found["raw-pairs-more"].state, found["raw-standing-more"].state) == (pairs, standing)


def test_only_rungs_with_both_kinds_of_queries_are_compared() -> None:
    """A rung without pairs met an outage."""
    both, alone = arms(a=4, pair_one_socket=4, pair_two_sockets=4), arms(a=300)
    alone = alone[alone["arm"].isin(["a", "tcp", "standing"])].assign(rate_per_s=10.0)
    found = signs.read(None, pd.concat([both.assign(rate_per_s=5.0), alone]))
    assert found["raw-pairs-more"].claim.endswith("1 % of those sent in pairs were lost, and 0 % of single ones.")


@pytest.mark.parametrize(("a", "seen"), [((2, 250), State.YES), ((100, 120), State.NO)], ids=["more", "as many"])
def test_loss_that_grows_with_the_rate_shows_in_single_queries_too(a: tuple[int, int], seen: State) -> None:
    """Where pairs are lost at any rate."""
    low, high = (
        arms(a=n, aaaa=n, pair_one_socket=300, pair_two_sockets=300).assign(rate_per_s=rate)
        for n, rate in zip(a, (5.0, 12.0), strict=True)
    )
    assert signs.read(None, pd.concat([low, high]))["raw-lost-grows"].state is seen


@pytest.mark.parametrize(("bad", "seen"), [(53, State.YES), (70, State.YES), (5, State.NO)])
def test_bad_checksums_explain_as_many_stalls_as_they_are(bad: int, seen: State) -> None:
    run = observed(**STALLING, rises={"client.Udp.InCsumErrors": float(bad)})
    assert state(run, "checksums-explain") is seen


def test_a_cut_that_other_losses_hide_shows_over_tcp() -> None:
    """UDP stalls all the time, TCP only while all is cut."""
    spread = Spans(trials=3, trials_bad=3, n_inside=600, bad_inside=90, start_s=0.1, end_s=4.9, length_s=5.0)
    cut = Spans(trials=3, trials_bad=3, n_inside=90, bad_inside=88, start_s=1.0, end_s=2.4, length_s=5.0)
    assert state(observed(**STALLING, bad=spread), "window") is State.NO
    both = observed(numbers("use-vc", bad=cut), **STALLING, bad=spread)
    assert (state(both, "window"), state(both, "from-start")) == (State.YES, State.NO)


def test_a_stretch_of_raw_queries_is_a_window_whatever_lookups_show() -> None:
    """Lookups over TCP show when a connection could begin again, and kept sockets lose what all lose for a time."""
    cut = Spans(trials=3, trials_bad=3, n_inside=90, bad_inside=88, start_s=1.0, end_s=2.4, length_s=5.0)
    run = observed(numbers("use-vc", bad=cut), **STALLING, bad=cut)
    raw = arms(a=100, aaaa=100, standing=2).assign(
        unanswered=lambda frame: frame["lost"], silent_s=math.nan, length_s=10.0
    )
    assert [signs.read(run, raw)[name].state for name in ("window", "from-start")] == [State.NO, State.NO]
    silent = raw.assign(silent_from_s=0.1, silent_s=1.2, length_s=10.0)
    assert [signs.read(run, silent)[name].state for name in ("window", "from-start")] == [State.YES, State.YES]


def test_what_kept_sockets_lose_more_at_a_low_rate_shows_there() -> None:
    """A flow that is forgotten while it is idle is lost at a low rate alone."""
    low = arms(n=100, a=10, aaaa=10, standing=60).assign(rate_per_s=5.0)
    high = arms(n=1_000, a=100, aaaa=100, standing=100).assign(rate_per_s=25.0)
    assert signs.read(None, pd.concat([low, high]))["raw-standing-more"].state is State.YES
    assert signs.read(None, high)["raw-standing-more"].state is State.NO


def test_delays_that_are_only_the_longest_of_many_are_not_alike() -> None:
    late = {"late_p10_ms": 150.0, "late_p90_ms": 190.0}
    frame = arms().assign(late=[5, 5, 5, 5, 5, 5], **late)
    assert signs.read(None, frame.assign(held=5))["raw-late-constant"].state is State.YES
    assert signs.read(None, frame.assign(held=200))["raw-late-constant"].state is State.NO


@pytest.mark.parametrize(("stalls", "lost", "seen"), [(0, 8, State.YES), (0, 80, State.NO), (0, 0, State.NO)])
def test_lookups_stall_where_raw_queries_are_lost_unless_too_many_are_spared(
    stalls: int, lost: int, seen: State
) -> None:
    """Of 124 lookups, none stalls by chance where 1 % of queries are lost; where 10 % are, it is not chance."""
    run = observed(n=124, stalls=stalls)
    raw = arms(n=400, a=lost, aaaa=lost).assign(unanswered=lambda frame: frame["lost"])
    assert signs.read(run, raw)["stalls"].state is seen


def test_where_few_are_late_shorter_delays_tell_whether_they_are_alike() -> None:
    frame = arms().assign(late=0, late_p10_ms=math.nan, late_p90_ms=math.nan, held=20, held_p10_ms=78.0)
    assert signs.read(None, frame.assign(held_p90_ms=81.0))["raw-late-constant"].state is State.YES
    assert signs.read(None, frame.assign(held_p90_ms=131.0))["raw-late-constant"].state is State.NO


def test_answers_that_came_late_are_not_lost_where_it_is_known() -> None:
    frame = arms(a=400).assign(unanswered=0, late=400)
    found = signs.read(None, frame)
    assert (found["raw-a-lost"].state, found["raw-a-late"].state) == (State.NO, State.YES)


def test_one_place_of_two() -> None:
    bad, good = arms(a=390, aaaa=380).assign(place="10.0.0.1"), arms().assign(place="10.0.0.2")
    assert signs.read(None, pd.concat([bad, good]))["raw-one-place"].state is State.YES
    assert signs.read(None, pd.concat([bad, bad.assign(place="10.0.0.2")]))["raw-one-place"].state is State.NO
    over_tcp = arms(tcp=390).assign(place="10.0.0.1")
    assert signs.read(None, pd.concat([over_tcp, good]))["raw-one-place"].state is State.NO


def test_numbers_come_back_from_json_as_they_were() -> None:
    run = observed(numbers("use-vc"), **STALLING, bad=Spans(trials=3), names={"a.": (3, 1)})
    again = Observed.from_dict(run.to_dict())
    assert again == run
