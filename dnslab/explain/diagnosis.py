"""The diagnosis of a run: its causes in order, and of all other known ones whether they are ruled out, not seen, or not
tested.

Pure: a summary and its circumstances in, words out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dnslab.analyse.intervals import upper_bound_when_none
from dnslab.analyse.summary import Row, Summary
from dnslab.explain.answers import baselines, leading_baseline, leading_others
from dnslab.explain.causes import (
    MIN_STALLS,
    NOT_KNOWN,
    Cause,
    Circumstances,
    Evidence,
    Kind,
    causes_of,
    sequential_rows,
    stalls_of,
)
from dnslab.plan.backends import IN_CLUSTER
from dnslab.plan.faultplan import fault_names
from dnslab.sentences import why
from dnslab.text import all_of, counted, listed, outwards, rounded, share_with_bounds, span_of, time_ms

#: Linux sends a TCP segment again after this time at the soonest (TCP_RTO_MIN of its include/net/tcp.h)
RETRANSMITS_MS = 200.0
#: what each fault of the lab makes, by its name
_EMULATES = {
    "race": {Kind.RACE, Kind.HALF_LOST},
    "receive-buffer": {Kind.RECEIVE_BUFFER},
    "slow-answer": {Kind.SLOW},
    "slow-aaaa": {Kind.SLOW},
}


@dataclass(frozen=True)
class Diagnosis:
    """All causes, the best supported first; what is ruled out, what was not seen and so at most rare, and what this
    run did not test."""

    causes: tuple[Cause, ...] = ()
    ruled_out: tuple[Evidence, ...] = ()
    not_seen: tuple[Evidence, ...] = ()
    not_tested: tuple[Evidence, ...] = ()


def diagnose(summary: Summary, seen: Circumstances = NOT_KNOWN) -> Diagnosis:
    """What baseline's trouble points to, what is ruled out, and what this run did not test."""
    baseline = leading_baseline(summary)
    if baseline is None:
        return Diagnosis()
    causes = causes_of(summary, baseline, seen)
    return Diagnosis(
        tuple(_emulated(cause, summary.fault) for cause in causes),
        tuple(_ruled_out(summary, baseline, causes, seen)),
        tuple(_not_seen(baseline)),
        tuple(_not_tested(summary, baseline, causes, seen)),
    )


def _emulated(cause: Cause, fault: str) -> Cause:
    """The cause, marked if the run injected it. That a kernel has no race of its own is then no evidence."""
    if not any(cause.kind in _EMULATES.get(name, ()) for name in fault_names(fault)):
        return cause
    against = () if cause.kind is Kind.RACE else cause.evidence_against
    return replace(cause, emulated=True, evidence_against=against)


def _ruled_out(summary: Summary, baseline: Row, causes: Sequence[Cause], seen: Circumstances) -> Iterator[Evidence]:
    kinds = {cause.kind for cause in causes}
    sequential = sequential_rows(summary, baseline)
    if seen.buffers_counted and not any(row.rcvbuf_errors for row in summary.measured(load=0)):
        yield Evidence(str(why.BUFFER), str(why.NO_BUFFER))
    if baseline.is_clean and not baseline.slow:
        return
    if Kind.RACE in kinds:
        same = [row for row in leading_others(summary) if not row.variant.startswith("node-local")]
        if same and all(row.is_clean and not row.slow for row in same):
            slowest = time_ms(max(row.max_ms for row in same))
            yield Evidence(str(why.SLOW_SERVER), why.NO_SLOW_SERVER(slowest=slowest))
        n = sum(row.n for row in sequential)
        lookups, share = counted(n, "lookup"), _at_most(n)
        yield Evidence(str(why.PACKET_LOSS), why.NO_PACKET_LOSS(lookups=lookups, share=share))
    if Kind.RECEIVE_BUFFER in kinds:
        few = f"only {baseline.flagged_stalls:,}" if baseline.flagged_stalls else "none"
        counts = {"flagged": few, "stalls": stalls_of(baseline)}
        stalled = any(row.stalls for row in sequential)
        by_flags = why.NOT_RACE_BY_FLAGS(**{**counts, "flagged": few.capitalize()})
        yield Evidence(str(why.RACE_ALONE), why.NOT_RACE(**counts) if stalled else by_flags)
        yield from _no_loss_over_tcp(summary, baseline)
        if baseline.slow == baseline.stalls:
            yield Evidence(str(why.SLOW_CAUSE), why.NONE_LATE(length=span_of(baseline.stall_ms / 1e3)))
    if Kind.NOT_SHOWN in kinds and (share := _sequential_share(sequential)):
        yield Evidence(str(why.RACE_ALONE), why.NOT_RACE_SEQUENTIAL(share=share))
    rounds = [numbers.stalls / numbers.n for numbers in baseline.by_round if numbers.n]
    if len(rounds) > 2 and min(rounds) > 0:
        least, most = (f"{100 * share:.2g} %" for share in (min(rounds), max(rounds)))
        yield Evidence(str(why.ONE_MOMENT), why.NOT_ONE_MOMENT(least=least, most=most))
    targets = baselines(summary)
    if len(targets) > 1 and all(row.stalls for row in targets):
        libcs = list(dict.fromkeys(row.libc for row in targets))
        if summary.backend in IN_CLUSTER:
            yield Evidence(str(why.ONE_NODE), why.NOT_ONE_NODE(all=all_of(len(targets), "target")))
        elif len(libcs) > 1:
            yield Evidence(str(why.ONE_LIBC), why.NOT_ONE_LIBC(libcs=listed(libcs)))


def _no_loss_over_tcp(summary: Summary, baseline: Row) -> Iterator[Evidence]:
    """That packets are not lost at random, as TCP on the same path lost none. Full buffers of sockets spare it."""
    row = summary.row("use-vc", baseline.target, baseline.load)
    if row and row.n and not row.failed and row.max_ms < RETRANSMITS_MS:
        said = why.NO_LOSS_OVER_TCP(lookups=counted(row.n, "lookup"), name=row.variant, share=_at_most(row.n))
        yield Evidence(str(why.PACKET_LOSS), said)


def _beside_a_full_buffer(summary: Summary, baseline: Row) -> Iterator[Evidence]:
    """What may add to a full buffer, or lie behind it."""
    if not any(_no_loss_over_tcp(summary, baseline)):
        tell = "" if summary.row("use-vc", baseline.target, baseline.load) else str(why.LOSS_BESIDE_TELL)
        yield Evidence(str(why.PACKET_LOSS), str(why.LOSS_BESIDE), tell)
    if summary.backend in IN_CLUSTER:
        yield Evidence(str(why.SLOW_SERVER), str(why.SERVER_CPU), str(why.SERVER_CPU_TELL))


def _sequential_share(sequential: Sequence[Row]) -> str:
    """The share of sequential queries that stalled; ``""`` if too few did."""
    stalled = [row for row in sequential if row.stalls >= MIN_STALLS]
    return share_with_bounds(stalled[0].intervals["stalls_share"]) if stalled else ""


def _at_most(n: float) -> str:
    """The largest share that none of ``n`` leaves open."""
    return f"{rounded(100 * outwards(upper_bound_when_none(n)), 1)} %"


def _pairs(baseline: Row) -> int:
    """Pairs of queries that could meet the race, counted or by the model."""
    return round(baseline.exposed_counted or baseline.exposed_modelled or 0)


def _not_seen(baseline: Row) -> Iterator[Evidence]:
    """Causes of stalls where baseline had none: they are at most rare."""
    if baseline.stalls or not baseline.n:
        return
    pairs = _pairs(baseline)
    if pairs and not sum(numbers.exposed_stalls for numbers in baseline.by_round):
        yield Evidence(str(why.RACE), why.NOT_SEEN_RACE(share=_at_most(pairs), pairs=counted(pairs, "pair")))
    if not baseline.is_clean or baseline.slow:
        yield Evidence(str(why.PACKET_LOSS), why.NOT_SEEN_LOSS(share=_at_most(baseline.n)))


def _race_not_told(summary: Summary, baseline: Row, causes: Sequence[Cause]) -> Iterator[Evidence]:
    """Why the race is neither a cause nor ruled out, where it is so."""
    named = {cause.kind for cause in causes} & {Kind.RACE, Kind.HALF_LOST, Kind.RECEIVE_BUFFER}
    if named:
        return
    if not baseline.stalls:
        if not _pairs(baseline):
            yield Evidence(str(why.RACE), str(why.RACE_NOT_MET))
    elif baseline.stalls < MIN_STALLS:
        yield Evidence(str(why.RACE), why.RACE_FEW(stalls=stalls_of(baseline), target=baseline.target))
    elif _sequential_share(sequential_rows(summary, baseline)):
        return
    elif baseline.libc != "glibc":
        yield Evidence(str(why.RACE), why.RACE_OTHER_LIBC(libc=baseline.libc))
    else:
        flagged = f"{baseline.flagged_stalls:,}"
        yield Evidence(str(why.RACE), why.RACE_UNCLEAR(flagged=flagged, stalls=stalls_of(baseline)))


def _not_tested(summary: Summary, baseline: Row, causes: Sequence[Cause], seen: Circumstances) -> Iterator[Evidence]:
    yield from _race_not_told(summary, baseline, causes)
    if baseline.is_clean and not baseline.slow:
        return
    if Kind.RECEIVE_BUFFER in {cause.kind for cause in causes}:
        yield from _beside_a_full_buffer(summary, baseline)
    if not sequential_rows(summary, baseline) and baseline.libc == "glibc":
        yield Evidence(str(why.SEQUENTIAL_UNTESTED), command=str(why.SEQUENTIAL_TELL))
    if not seen.buffers_counted:
        yield Evidence(str(why.BUFFER_UNTESTED), str(why.BUFFER_UNTESTED_MORE))
    if seen.insert_failed is None or summary.backend == "lab":
        yield Evidence(str(why.TABLE_FULL), command=str(why.TABLE_FULL_TELL))
    if not seen.external:
        yield Evidence(str(why.UPSTREAM), command=str(why.UPSTREAM_TELL))
