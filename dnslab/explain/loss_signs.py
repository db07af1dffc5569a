"""Signs of lost packets: stalls, which configurations are spared, what TCP does.

A reader takes the numbers of a target and of its baseline, and gives a state with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dnslab.analyse.observed import LATE_MS, Numbers, Observed
from dnslab.analyse.summary import Row
from dnslab.explain.sign import State, hit_too, most, some
from dnslab.sentences import signs as said
from dnslab.text import counted, listed, time_ms

#: variants of glibc that ask for A and AAAA one after the other
SEQUENTIAL = ("single-request", "single-request-reopen")
#: at least this share of lookups is "nearly all"
NEARLY_ALL = 0.95
#: stalls of which a part can be compared
FEW = 5
#: of lookups over TCP: as many wait for a segment that is sent again on a busy machine
SENT_AGAIN_NOISE = 0.005
#: a median over TCP from which on each answer is late by itself
SLOW_TCP_MS = 100.0

Read = tuple[State, str]
Reader = Callable[[Observed, Numbers], Read]

UNKNOWN: Read = (State.NOT_MEASURED, str(said.NO_NUMBER))


def lookups_of(numbers: Numbers) -> str:
    """``"735 lookups"``."""
    return counted(numbers.n, "lookup")


def missing(variant: str) -> Read:
    """A variant was not measured."""
    return State.NOT_MEASURED, said.NO_VARIANT(variant=variant)


def pick(state: State, yes: str, no: str, unclear: str = "") -> Read:
    """The sentence that fits ``state``."""
    return state, {State.YES: yes, State.NO: no}.get(state, unclear or yes)


def _stalls_of(numbers: Numbers) -> str:
    return counted(numbers.stalls, "stall")


def stalls(observed: Observed, baseline: Numbers) -> Read:
    """Baseline stalls."""
    state = some(baseline.stalls, baseline.n)
    values = {"lookups": lookups_of(baseline), "variant": baseline.variant}
    yes = said.STALLS(stalls=_stalls_of(baseline), **values)
    return pick(state, yes, yes if baseline.stalls else said.NO_STALLS(**values))


def at_step(observed: Observed, baseline: Numbers) -> Read:
    """Stalls end when the resolver asks again."""
    if baseline.at_step is None or not baseline.stalls:
        return UNKNOWN
    elsewhere = baseline.stalls - baseline.at_step
    return pick(
        most(baseline.at_step, baseline.stalls, 0.9),
        said.STEP(at=f"{baseline.at_step:,}", stalls=_stalls_of(baseline)),
        said.NO_STEP(n=f"{elsewhere:,}", stalls=_stalls_of(baseline)),
    )


def half_lost(observed: Observed, baseline: Numbers) -> Read:
    """Stalls lost exactly one of two answers."""
    if baseline.flagged is None:
        return State.NOT_MEASURED, said.NO_FLAG(libc=observed.libc)
    if not baseline.stalls:
        return State.NOT_MEASURED, str(said.NO_BAD)
    values = {"flagged": f"{baseline.flagged:,}", "stalls": _stalls_of(baseline)}
    state = most(baseline.flagged, baseline.stalls, 0.8)
    return pick(state, said.HALF_LOST(**values), said.FEW_HALF_LOST(**values), said.HALF_LOST(**values))


def _joint(observed: Observed, variants: Sequence[str]) -> tuple[int, int, str]:
    """Lost lookups, lookups and names of those of ``variants`` that were measured."""
    there = [observed.numbers[name] for name in variants if name in observed.numbers]
    return (
        sum(one.stalls for one in there),
        sum(one.n for one in there),
        listed([one.variant for one in there]) if there else "",
    )


def _stalls_with(*variants: str) -> Reader:
    def reader(observed: Observed, baseline: Numbers) -> Read:
        k, n, names = _joint(observed, variants)
        if not n:
            return missing(variants[0])
        base = baseline.stalls
        state = hit_too(k, n, base, baseline.n) if base else some(k, n)
        share = f"{100 * base / baseline.n:.2g} %"
        return state, said.SPARED(variant=names, seen=f"{k:,}", lookups=counted(n, "lookup"), share=share)

    return reader


def sequential_half_lost(observed: Observed, baseline: Numbers) -> Read:
    """Of stalls of single-request, which sends A first, the AAAA answer was lost."""
    one = observed.numbers.get("single-request")
    if one is None or one.flagged is None:
        return missing("single-request")
    if one.stalls < FEW:
        return State.NOT_MEASURED, str(said.NO_BAD)
    values = {"flagged": f"{one.flagged:,}", "stalls": _stalls_of(one)}
    return pick(most(one.flagged, one.stalls, 0.9), said.HALF_LOST(**values), said.FEW_HALF_LOST(**values))


def again(observed: Observed, baseline: Numbers) -> Read:
    """What is asked again is lost again."""
    if baseline.again is None or baseline.stalls < FEW:
        return (State.NOT_MEASURED, str(said.NO_BAD)) if baseline.again is not None else UNKNOWN
    claim = said.AGAIN(again=f"{baseline.again:,}", stalls=_stalls_of(baseline))
    return most(baseline.again, baseline.stalls, 0.7), claim


def always(observed: Observed, baseline: Numbers) -> Read:
    """Nearly every lookup of baseline is bad."""
    bad = baseline.stalls + (baseline.failed_early or 0)
    claim = said.ALWAYS(bad=f"{bad:,}", lookups=lookups_of(baseline), variant=baseline.variant)
    return most(bad, baseline.n, NEARLY_ALL), claim


def tcp_hangs(observed: Observed, baseline: Numbers) -> Read:
    """No lookup over TCP ends well, by silence or by a refused connection, while those of baseline do."""
    one = observed.numbers.get("use-vc")
    if one is None:
        return missing("use-vc")
    if one.hung is None:
        return UNKNOWN
    refused = one.failed if baseline.failed < baseline.n / 2 else one.failed - (one.failed_early or 0)
    gone = min(one.n, one.hung + refused)
    claim = said.HANG(seen=f"{gone:,}", lookups=lookups_of(one))
    return most(gone, one.n, NEARLY_ALL), claim


def tcp_sent_again(observed: Observed, baseline: Numbers) -> Read:
    """Lookups over TCP wait until TCP sends again."""
    one = observed.numbers.get("use-vc")
    if one is None:
        return missing("use-vc")
    if one.late is None or one.p50_ms is None:
        return UNKNOWN
    claim = said.RETRANSMIT(seen=f"{one.late:,}", lookups=lookups_of(one), least=time_ms(LATE_MS))
    if (segments := one.rises.get("client.Tcp.RetransSegs")) is not None and not segments:
        return State.NO, claim
    return (some(one.late, one.n, SENT_AGAIN_NOISE) if one.p50_ms < SLOW_TCP_MS else State.UNCLEAR), claim


def looks_like_pairs(baseline: Row) -> bool:
    """Whether stalls of glibc lost one of two answers each, and no receive buffer dropped a query."""
    if baseline.libc != "glibc" or baseline.stalls < FEW or baseline.rcvbuf_errors:
        return False
    return most(baseline.flagged_stalls, baseline.stalls, 0.8) is State.YES


READERS: Mapping[str, Reader] = {
    "stalls": stalls,
    "at-step": at_step,
    "half-lost": half_lost,
    "sequential-stalls": _stalls_with(*SEQUENTIAL),
    "sequential-half-lost": sequential_half_lost,
    "no-aaaa-stalls": _stalls_with("no-aaaa"),
    "tcp-stalls": _stalls_with("use-vc"),
    "cache-stalls": _stalls_with("node-local"),
    "stalls-again": again,
    "always": always,
    "tcp-hangs": tcp_hangs,
    "tcp-sent-again": tcp_sent_again,
}
