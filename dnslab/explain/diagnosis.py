"""The diagnosis of a run in words: its causes in order, and of all other known ones whether they are ruled out, not
seen, or not tested.

Pure: a summary and its circumstances in, words out. The engine decides; here the fault that a run injected is only
marked, because the plan names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dnslab.analyse.intervals import upper_bound_when_none
from dnslab.analyse.observed import Observed, observed_in_summary
from dnslab.analyse.summary import Row, Summary
from dnslab.explain import evidence as shown, signs as all_signs
from dnslab.explain.answers import baselines, leading_baseline, leading_others
from dnslab.explain.catalogue import Cause, causes_of_fault
from dnslab.explain.circumstances import NOT_KNOWN, Circumstances
from dnslab.explain.engine import Answer, RankedCause, RankedMechanism, Ranking, Word, rank
from dnslab.explain.errors import error_evidence, never_failed
from dnslab.explain.evidence import (
    MIN_STALLS,
    Confidence,
    Evidence,
    Explained,
    Remedy,
    Told,
    sequential_rows,
    stalls_of,
)
from dnslab.explain.of_cache import OfCache, causes_of_cache, set_apart
from dnslab.explain.sign import Sign
from dnslab.explain.waiting import waited
from dnslab.plan.backends import IN_CLUSTER
from dnslab.plan.faultplan import fault_names
from dnslab.sentences import why
from dnslab.text import all_of, counted, first_of, listed, outwards, rounded, share_with_bounds, span_of, time_ms

#: Linux sends a TCP segment again after this time at the soonest (TCP_RTO_MIN of its include/net/tcp.h)
RETRANSMITS_MS = 200.0
RACE, BUFFER = "pair-second-lost", "server-buffer-full"
#: signs whose evidence is made from the errors themselves
_SAID_FULLER = ("errors", "only-a", "only-aaaa", "fails-fast")
#: signs that say most of a cause: they come first
_TELLING = frozenset(
    {"half-lost", "one-name", "window", "from-start", "stalls-again", "bad-checksums", "wrong-address", "tcp-hangs"}
)
#: that lookups take 1 s or more, and signs of smaller delays, which then say less
_SECOND, _LESSER = "delay-second", frozenset({"delay-some", "tcp-sent-again", "delay-of-tcp"})
#: of mechanisms that are ruled out or not tested, as many are named
MOST_NAMED = 6


@dataclass(frozen=True)
class Diagnosis:
    """All causes, the best supported first; what is ruled out, what was not seen and so at most rare, and what this
    run did not test. ``ranking`` is what the engine said."""

    causes: tuple[Explained, ...] = ()
    ruled_out: tuple[Evidence, ...] = ()
    not_seen: tuple[Evidence, ...] = ()
    not_tested: tuple[Evidence, ...] = ()
    ranking: Ranking | None = None
    signs: Mapping[str, Sign] = field(default_factory=dict)
    observed: Observed | None = None

    @property
    def mechanisms(self) -> list[str]:
        """Names of the mechanisms that were found."""
        return [one.mechanism.name for one in self.ranking.found] if self.ranking else []

    @property
    def leading(self) -> Explained | None:
        """The first cause of baseline's own trouble."""
        return next((one for one in self.causes if not one.of), None)

    @property
    def lacks_room(self) -> bool:
        """Whether a server's full receive buffer is a cause."""
        return BUFFER in {cause.kind for cause in self.causes}

    def _count(self, name: str) -> int:
        numbers = self.observed.asked if self.observed else None
        return getattr(numbers, name) or 0 if numbers else 0

    @property
    def only_a(self) -> int:
        """Lookups of baseline that got only IPv4 addresses."""
        return self._count("only_a")

    @property
    def only_aaaa(self) -> int:
        """Lookups of baseline that got only IPv6 addresses."""
        return self._count("only_aaaa")


#: of a run that is void, or that verifies a patch
NO_DIAGNOSIS = Diagnosis()


def diagnose(summary: Summary, seen: Circumstances = NOT_KNOWN) -> Diagnosis:
    """What baseline's trouble points to, what is ruled out, and what this run did not test."""
    baseline = leading_baseline(summary)
    if baseline is None:
        return Diagnosis()
    observed = seen.observed or observed_in_summary(summary, baseline)
    of_cache = list(causes_of_cache(observed))
    signs = set_apart(all_signs.read(observed, seen.arms), of_cache)
    ranking = rank(signs)
    of = Told(summary, baseline, seen)
    causes = [_emulated(one, of) for one in _explained(ranking, signs, of)]
    causes += _of_cache(of_cache, of, {one.kind for one in causes})
    kinds = {name for one in causes for name in (one.kind, one.mechanism)}
    return Diagnosis(
        tuple(sorted(causes, key=lambda one: not one.emulated)),
        tuple(_ruled_out(of, kinds)),
        tuple(_not_seen(baseline)),
        tuple(_not_tested(of, kinds, ranking)),
        ranking,
        signs,
        observed,
    )


def _explained(ranking: Ranking, signs: Mapping[str, Sign], of: Told) -> Iterator[Explained]:
    for one in ranking.found:
        yield _of_mechanism(one, signs, of)
    if ranking.found or (of.baseline.is_clean and not of.baseline.slow and ranking.answer is Answer.NOTHING):
        return
    summary = _too_little(ranking) if ranking.answer is Answer.INSUFFICIENT else str(why.NOT_SHOWN_IS)
    unexplained = [signs[_SECOND], *ranking.unexplained] if signs[_SECOND].yes else ranking.unexplained
    told = [sign for sign in unexplained if not (signs[_SECOND].yes and sign.name in _LESSER)]
    evidence = [*shown.at_steps(of.baseline), *error_evidence(of), *shown.told(told, of)]
    if of.baseline.is_clean and not evidence:
        return
    yield Explained("", str(why.NOT_SHOWN), Confidence.NOT_SHOWN, summary, tuple(evidence))


def _of_cache(found: Iterable[OfCache], of: Told, known: Collection[str]) -> Iterator[Explained]:
    """What stalls a configuration that asks a cache, and that one alone."""
    for one in found:
        row = of.summary.row(one.variant, of.baseline.target, of.baseline.load)
        if row and one.cause.cause.name not in known:
            explained = _of_mechanism(one.mechanism, one.signs, replace(of, baseline=row))
            yield replace(explained, of=one.variant, summary=why.OF_ONE(variant=one.variant, summary=explained.summary))


def _too_little(ranking: Ranking) -> str:
    """Which causes fit, where what was measured does not tell them apart."""
    left = [one for one in ranking.mechanisms if one.word.rank <= Word.POSSIBLE.rank]
    titles = [f"“{one.mechanism.text.title}”" for one in left]
    if len(left) == 1:
        return why.TOO_LITTLE_ONE(cause=str(left[0].mechanism.text.title))
    return why.TOO_LITTLE(causes=first_of(titles, MOST_NAMED)) if len(titles) > 1 else str(why.TOO_LITTLE_SEEN)


def _of_mechanism(one: RankedMechanism, signs: Mapping[str, Sign], of: Told) -> Explained:
    """The cause, where one is at least likely; else the mechanism, with the causes that are possible."""
    lead = _lead(one, signs)
    support = lead.support if lead else one.support
    telling = sorted(support.speaking_for, key=lambda sign: sign.name not in _TELLING)
    counted = [signs[name] for group in (lead.cause.shown_by if lead else ()) for name in group if name in signs]
    evidence = [
        *shown.told([sign for sign in counted if sign.yes and sign not in support.speaking_for], of),
        *shown.told([sign for sign in telling if sign.yes and sign.name not in _SAID_FULLER], of),
        *(shown.at_steps(of.baseline) if "stalls" in one.mechanism.predicts.must else ()),
        *(error_evidence(of) if "errors" in one.mechanism.predicts.must else ()),
        *(never_failed(of, cached=True) if of.baseline.failed else ()),
        *shown.told([sign for sign in support.speaking_for if sign.no and sign.name.endswith("-stalls")], of),
        *(shown.exposed(of.baseline) if one.mechanism.name == RACE else ()),
    ]
    found = tuple(dict.fromkeys(evidence))
    doubts = [
        *support.against,
        *(sign for cause in one.causes for sign in cause.support.against if not lead and cause.word is Word.POSSIBLE),
    ]
    against = tuple(
        dict.fromkeys([*shown.told(doubts, of), *(never_failed(of, cached=False) if of.baseline.failed else ())])
    )
    if lead:
        text, summary = lead.cause.text, _summary(lead.cause, of)
        return Explained(
            lead.cause.name, str(text.title), Confidence.of(lead.word), summary, found, against,
            mechanism=one.mechanism.name, remedy=_remedy(lead.cause),
        )  # fmt: skip
    return Explained(
        one.mechanism.name, str(one.mechanism.text.title), Confidence.of(one.word), shown.could_be(one), found, against,
        mechanism=one.mechanism.name,
    )  # fmt: skip


def _lead(one: RankedMechanism, signs: Mapping[str, Sign]) -> RankedCause | None:
    """The cause that is at least likely, or the only possible one of which all that is its own was seen."""
    for cause in one.causes:
        own = cause.cause.adds.must
        if cause.word.rank <= Word.LIKELY.rank:
            return cause
        if cause.word is Word.POSSIBLE and own and all(signs[name].yes for name in own):
            return cause
    return None


def _summary(cause: Cause, of: Told) -> str:
    """What happens, and how long the resolver waits for what is lost."""
    if "stalls" not in cause.predicts.must or not of.baseline.stalls:
        return str(cause.text.summary)
    return f"{cause.text.summary} {_waits(of)}"


def _waits(of: Told) -> str:
    return why.WAITS(libc=of.baseline.libc, waited=waited(of.baseline))


def _emulated(one: Explained, of: Told) -> Explained:
    """The same, marked if the run injected it. That a kernel has no race of its own is then no evidence."""
    causes = [cause for name in fault_names(of.summary.fault) for cause in causes_of_fault(name)]
    injected = next((cause for cause in causes if cause.mechanism == one.mechanism), None)
    if injected is None:
        return one
    against = () if one.mechanism == RACE else one.evidence_against
    named = one if one.kind == injected.name else _renamed(one, injected, of)
    return replace(named, emulated=True, evidence_against=against)


def _renamed(one: Explained, cause: Cause, of: Told) -> Explained:
    """A mechanism that the run injected, by the name of the cause that the fault imitates."""
    title, summary = str(cause.text.title), _summary(cause, of)
    return replace(one, kind=cause.name, name=title, summary=summary, remedy=_remedy(cause))


def _remedy(cause: Cause) -> Remedy:
    text = cause.text
    return Remedy(str(text.change), str(text.where), str(text.cost), str(text.watch), cause.command)


def _ruled_out(of: Told, kinds: set[str]) -> Iterator[Evidence]:
    summary, baseline, seen = of.summary, of.baseline, of.seen
    sequential = sequential_rows(summary, baseline)
    if seen.buffers_counted and not any(row.rcvbuf_errors for row in summary.measured(load=0)):
        yield Evidence(str(why.BUFFER), str(why.NO_BUFFER))
    if baseline.is_clean and not baseline.slow:
        return
    if RACE in kinds and sequential:
        same = [row for row in leading_others(summary) if not row.variant.startswith("node-local")]
        if same and all(row.is_clean and not row.slow for row in same):
            slowest = time_ms(max(row.max_ms for row in same))
            yield Evidence(str(why.SLOW_SERVER), why.NO_SLOW_SERVER(slowest=slowest))
        n = sum(row.n for row in sequential)
        lookups, share = counted(n, "lookup"), _at_most(n)
        yield Evidence(str(why.PACKET_LOSS), why.NO_PACKET_LOSS(lookups=lookups, share=share))
    if BUFFER in kinds:
        few = f"only {baseline.flagged_stalls:,}" if baseline.flagged_stalls else "none"
        counts = {"flagged": few, "stalls": stalls_of(baseline)}
        stalled = any(row.stalls for row in sequential)
        by_flags = why.NOT_RACE_BY_FLAGS(**{**counts, "flagged": few.capitalize()})
        yield Evidence(str(why.RACE_ALONE), why.NOT_RACE(**counts) if stalled else by_flags)
        yield from _no_loss_over_tcp(summary, baseline)
        if baseline.slow == baseline.stalls:
            yield Evidence(
                str(why.LATE_ANSWERS), why.NONE_LATE(libc=baseline.libc, length=span_of(baseline.stall_ms / 1e3))
            )
    if RACE not in kinds and BUFFER not in kinds and baseline.stalls and (share := _sequential_share(sequential)):
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


def _race_not_told(summary: Summary, baseline: Row, kinds: set[str]) -> Iterator[Evidence]:
    """Why the race is neither a cause nor ruled out, where it is so."""
    if kinds & {RACE, BUFFER}:
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


def _not_tested(of: Told, kinds: set[str], ranking: Ranking) -> Iterator[Evidence]:
    summary, baseline, seen = of.summary, of.baseline, of.seen
    yield from _race_not_told(summary, baseline, kinds)
    if baseline.is_clean and not baseline.slow and not ranking.found:
        if ranking.answer is Answer.INSUFFICIENT:
            yield from _experiments(ranking, kinds)
        return
    if BUFFER in kinds:
        yield from _beside_a_full_buffer(summary, baseline)
    yield from _experiments(ranking, kinds)
    if not sequential_rows(summary, baseline) and baseline.libc == "glibc":
        yield Evidence(str(why.SEQUENTIAL_UNTESTED), command=str(why.SEQUENTIAL_TELL))
    if not seen.buffers_counted:
        yield Evidence(str(why.BUFFER_UNTESTED), str(why.BUFFER_UNTESTED_MORE))
    if seen.insert_failed is None or summary.backend == "lab":
        yield Evidence(str(why.TABLE_FULL), command=str(why.TABLE_FULL_TELL))
    if not seen.external:
        yield Evidence(str(why.UPSTREAM), command=str(why.UPSTREAM_TELL))


def _experiments(ranking: Ranking, kinds: set[str]) -> Iterator[Evidence]:
    """What would tell the cause from the next ones of its mechanism; where none was found, from all that are left."""
    others = [one for one in ranking.mechanisms if one.word is Word.POSSIBLE and one.mechanism.name != RACE]
    left = ranking.found or others  # of the race, _race_not_told speaks
    possible = [cause for one in left for cause in one.possible if cause.name not in kinds]
    for cause in possible[:MOST_NAMED]:
        yield Evidence(str(cause.text.title), why.WOULD_SEE(tells=str(cause.text.tells)), cause.command)
