"""The answer of a diagnosis: what all rungs of the ladder show together, the causes in order, and what was not tested.

Pure but for reading a run's numbers. Which fault was injected is not asked, and no answer depends on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from dnslab.analyse.dataset import Run
from dnslab.analyse.intervals import upper_bound_when_none
from dnslab.analyse.observed import Numbers, Observed, observe
from dnslab.explain.answers import leading
from dnslab.explain.arms import ArmSeen, seen_by_arm, usual_way
from dnslab.explain.around import NOTHING_ELSE, Around, causes as causes_around, who_answers
from dnslab.explain.catalogue import CAUSES, Cause
from dnslab.explain.engine import (
    Answer as Found,
    RankedCause,
    RankedMechanism,
    Ranking,
    Word,
    hints,
    nothing_left,
    rank,
)
from dnslab.explain.evidence import could_be
from dnslab.explain.mending import Mending, mending, mending_of_open
from dnslab.explain.of_cache import OfCache, causes_of_cache, set_apart
from dnslab.explain.patched import NOT_NAMED, Patched
from dnslab.explain.second import beside_cuts, calm, with_second
from dnslab.explain.sign import Sign
from dnslab.explain.signs import read
from dnslab.explain.soundness import examine
from dnslab.explain.waited import Waited
from dnslab.explain.where import hit_targets
from dnslab.plan.arms import CONTROL, Places
from dnslab.plan.ladder import LONG, Rung
from dnslab.sentences import around as beside_said, ladder as said, why
from dnslab.text import counted, duration, fewer_than, listed, outwards, rounded

if TYPE_CHECKING:
    import pandas as pd

#: the version of diagnosis.json (docs/diagnosis-format.md)
VERSION = 1
#: of the servers behind a Service: one loses queries, others are spared
ONE_PLACE = "raw-one-place"
#: mechanisms that servers which end make, too: EndpointSlices tell, where they may be read
UNSEEN = {"kept-flows-lost": "dns-server-restart"}
Status = Literal["cause", "two causes", "nothing found", "none fits", "insufficient data", "stopped"]


@dataclass(frozen=True)
class RungDone:
    """A rung that was measured: its run's folder inside that of the diagnosis, and how long it took.

    ``problem`` says why the run, and with it the ladder, ended early.
    """

    rung: str
    path: str
    seconds: float
    load_s: float
    per_server_per_s: float
    n_targets: int
    problem: str = ""

    @property
    def overhead_s(self) -> float:
        """What it took beside its load."""
        return self.seconds - self.load_s


@dataclass(frozen=True)
class Named:
    """A cause, or a mechanism whose cause is open, with how sure it is and the evidence.

    ``experiment`` is a command that separates it from others, ``""`` where there is none. ``remedy`` is None where it
    depends on which cause it is.
    """

    name: str
    mechanism: str
    word: str
    title: str
    summary: str
    evidence_for: tuple[str, ...] = ()
    evidence_against: tuple[str, ...] = ()
    experiment: str = ""
    remedy: Mending | None = None


@dataclass(frozen=True)
class Answer:
    """What a diagnosis found.

    ``lines`` are the answer in sentences, the first one first; ``following`` is the rung that would be next where the
    budget ended. ``hints``: a few more queries were bad than what was found explains. ``where`` is the line on the
    targets that are hit, where not all are.
    """

    status: Status
    lines: tuple[str, ...]
    causes: tuple[Named, ...]
    rungs: tuple[RungDone, ...]
    arms: tuple[ArmSeen, ...]
    places: Places
    seconds: float
    budget_s: float | None
    ruled_out: tuple[str, ...] = ()
    not_tested: tuple[str, ...] = ()
    following: str = ""
    trouble: bool = False
    hints: bool = False
    waited: Waited | None = None
    where: str = ""

    @property
    def n_named(self) -> int:
        """How many of ``causes`` the answer names: those that were found."""
        return {"cause": 1, "two causes": 2}.get(self.status, 0)

    @property
    def stopped_by(self) -> str:
        """Why a rung ended early, and with it the ladder; ``""`` if none did."""
        return next((rung.problem for rung in self.rungs if rung.problem), "")

    def to_dict(self) -> dict[str, Any]:
        """The content of diagnosis.json, described in docs/diagnosis-format.md."""
        return {
            "version": VERSION,
            "status": self.status,
            "answer": list(self.lines),
            "causes": [asdict(cause) for cause in self.causes],
            "ruled_out": list(self.ruled_out),
            "not_tested": list(self.not_tested),
            "next_rung": self.following or None,
            "seconds": round(self.seconds, 1),
            "budget_s": self.budget_s,
            "waited": asdict(self.waited) if self.waited else None,
            "places": asdict(self.places),
            "rungs": [{**asdict(rung), "seconds": round(rung.seconds, 1)} for rung in self.rungs],
            "arms": [seen.to_dict() for seen in self.arms],
        }


def conclude_ladder(
    done: Sequence[RungDone],
    arms: pd.DataFrame,
    libc: Run | None,
    places: Places,
    *,
    passed_s: float,
    budget_s: float | None = None,
    stopped: str = "",
    following: Rung | None = None,
    patched: Patched = NOT_NAMED,
    waited: Waited | None = None,
    around: Around = NOTHING_ELSE,
) -> Answer:
    """The answer from all rungs so far.

    Parameters
    ----------
    arms
        Raw queries of all rungs (``analyse.arms.arm_frame``).
    libc
        The run that compared configurations of the C library, if there is one.
    stopped
        Why the ladder ended early, if it did.
    following
        The rung for which the budget does not suffice.
    patched
        The workload that remedies are for.
    waited
        What a sentinel saw before the ladder was climbed.
    around
        What was seen beside queries and lookups.
    """
    by_arm = seen_by_arm(arms)
    observed = _observed(libc) or Observed(kernel=around.kernel)
    found_of_cache = list(causes_of_cache(observed))
    signs = _signs(arms, observed, places, around, found_of_cache)
    ranking = with_second(rank(signs), signs, arms, places) if len(arms) else rank(signs)
    if any(one.rung == LONG.name for one in done) and nothing_left(ranking, signs):
        ranking = replace(ranking, answer=Found.NONE_FITS)
    beside = [one for one in causes_around(around, places, observed) if one.cause.name not in _names(ranking)]
    causes = (*(_cause(one, mending(one.cause, patched)) for one in beside), *_named(ranking, patched, places))
    of_cache = list(_of_cache(found_of_cache, patched, {one.name for one in causes}))
    causes = (*causes, *of_cache) if ranking.found or beside else (*of_cache, *causes)
    sure = [one for one in beside if one.word.rank <= Word.LIKELY.rank]
    trouble = (
        bool(sure) or ranking.answer is not Found.NOTHING or any(seen.words for seen in by_arm if seen.arm != CONTROL)
    )
    trouble |= bool(of_cache)
    status = "cause" if sure or (of_cache and not ranking.found) else _status(ranking, trouble, stopped, following)
    gone = status == "nothing found" and waited is not None and waited.fired
    answer = Answer(
        status="insufficient data" if gone else status,
        lines=(),
        causes=causes,
        rungs=tuple(done),
        arms=tuple(by_arm),
        places=places,
        seconds=passed_s,
        budget_s=budget_s,
        ruled_out=tuple(_ruled_out(ranking)),
        not_tested=_not_tested(done, places, around),
        following=following.name if following else "",
        trouble=trouble,
        hints=bool(hints(ranking, signs)),
        waited=waited,
    )
    where = hit_targets(usual_way(arms), observed)
    return replace(answer, where=where, lines=tuple(_lines(answer, stopped, following, where, observed.asked)))


def _observed(libc: Run | None) -> Observed | None:
    """The numbers of the C library's lookups, on the target where they are worst."""
    if libc is None:
        return None
    summary = examine(libc).summary
    row = leading(summary)
    return observe(libc, summary, row) if row else None


def _signs(
    arms: pd.DataFrame, observed: Observed, places: Places, around: Around, of_cache: Collection[OfCache]
) -> dict[str, Sign]:
    """What all numbers show; nothing of an injected fault is among them."""
    signs = read(observed, usual_way(arms)) if len(arms) else read(observed, None)
    if signs["raw-window"].yes:
        signs |= beside_cuts(usual_way(arms))
    servers = arms[arms["place"].isin(places.stayed) & (arms["arm"] != CONTROL)] if len(arms) else arms
    if len(servers):
        # What all servers lose at some time tells nothing of one of them.
        signs[ONE_PLACE] = read(None, calm(servers) if signs["raw-window"].yes else servers)[ONE_PLACE]
    who = who_answers(around.who)
    signs = set_apart(signs, of_cache)
    return signs if who is None else {**signs, who.name: who}


def _names(ranking: Ranking) -> set[str]:
    """Causes that the engine names by itself."""
    return {one.cause.name for one in ranking.causes if one.word.rank <= Word.LIKELY.rank}


def _named(ranking: Ranking, patched: Patched, places: Places) -> Iterator[Named]:
    """What was found, the surest first, then what is possible besides; nothing where no trouble was seen."""
    if ranking.answer is Found.NOTHING:
        return
    found = {one.mechanism.name for one in ranking.found}
    others = [_less_sure(one) if found else one for one in ranking.mechanisms if one.mechanism.name not in found]
    for one in (*ranking.found, *others):
        if one.word.rank > Word.POSSIBLE.rank:
            continue
        sure = [cause for cause in one.causes if cause.word.rank <= Word.LIKELY.rank]
        if sure and places.missing and one.mechanism.name in UNSEEN:
            yield _either(one, sure, CAUSES[UNSEEN[one.mechanism.name]])
            continue
        for cause in sure:
            yield _cause(cause, mending(cause.cause, patched))
        if not sure:
            yield _mechanism(one, mending_of_open(one, patched))


def _cause(ranked: RankedCause, remedy: Mending) -> Named:
    cause = ranked.cause
    return Named(
        name=cause.name,
        mechanism=cause.mechanism,
        word=ranked.word.value,
        title=str(cause.text.title),
        summary=str(cause.text.summary),
        evidence_for=_claims(ranked.support.speaking_for),
        evidence_against=_claims(ranked.support.against),
        experiment=cause.command,
        remedy=remedy,
    )


def _of_cache(found: Iterable[OfCache], patched: Patched, known: Collection[str]) -> Iterator[Named]:
    """What stalls a configuration that asks a cache, and that one alone."""
    for one in found:
        if one.cause.cause.name not in known:
            named = _cause(one.cause, mending(one.cause.cause, patched))
            yield replace(named, summary=why.OF_ONE(variant=one.variant, summary=named.summary))


def _mechanism(ranked: RankedMechanism, remedy: Mending | None) -> Named:
    return Named(
        name=ranked.mechanism.name,
        mechanism=ranked.mechanism.name,
        word=ranked.word.value,
        title=str(ranked.mechanism.text.title),
        summary=could_be(ranked),
        evidence_for=_claims(ranked.support.speaking_for),
        evidence_against=_claims(ranked.support.against),
        experiment=ranked.possible[0].command if ranked.possible else "",
        remedy=remedy,
    )


def _less_sure(one: RankedMechanism) -> RankedMechanism:
    """What explains all that was seen, too, beside what explains it best, is possible at most."""
    if one.word.rank > Word.POSSIBLE.rank:
        return one
    words = (max(cause.word, Word.POSSIBLE, key=lambda word: word.rank) for cause in one.causes)
    causes = (
        replace(cause, support=replace(cause.support, word=word)) for cause, word in zip(one.causes, words, strict=True)
    )
    return replace(one, support=replace(one.support, word=Word.POSSIBLE), causes=tuple(causes))


def _either(one: RankedMechanism, sure: Sequence[RankedCause], unseen: Cause) -> Named:
    """A mechanism whose cause would be told by what could not be read."""
    titles = [f"“{cause.text.title}”" for cause in (*(cause.cause for cause in sure), unseen)]
    summary = f"{one.mechanism.text.summary} {why.COULD_BE(causes=listed(titles, 'or'))}"
    return replace(_mechanism(one, None), summary=summary)


def _ruled_out(ranking: Ranking) -> Iterator[str]:
    """Mechanisms that are ruled out. Of two causes, each is so by itself, but not beside the other."""
    found = {one.mechanism.name for one in ranking.found}
    for one in ranking.mechanisms:
        if one.word is Word.RULED_OUT and one.mechanism.name not in found:
            yield one.mechanism.name


def _claims(signs: Iterable[Sign]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sign.claim for sign in signs if sign.claim))


def _status(ranking: Ranking, trouble: bool, stopped: str, following: Rung | None) -> Status:
    if ranking.answer is Found.TWO:
        return "two causes"
    if ranking.leading and ranking.leading.word.rank <= Word.LIKELY.rank:
        return "cause"
    if stopped:
        return "stopped"
    if following or ranking.found or ranking.answer is Found.INSUFFICIENT:
        return "insufficient data"
    return "none fits" if trouble else "nothing found"


def _lines(answer: Answer, stopped: str, following: Rung | None, where: str, lookups: Numbers | None) -> list[str]:
    lines = []
    fired = answer.waited is not None and answer.waited.fired
    if answer.waited and fired:
        lines.append(answer.waited.line)
    if answer.waited and answer.waited.problem:
        lines.append(said.NOT_WHOLE(why=_short(answer.waited.problem)))
    if stopped:
        lines.append(said.STOPPED(why=_short(stopped)))
    lines += _seen(answer.arms, answer.places)
    lines += [where] if where else []
    if answer.status in ("cause", "two causes"):
        lines += _first(answer)
    elif answer.status == "none fits":
        lines.append(str(said.NONE_FITS))
    elif fired and not answer.trouble and not following:
        lines.append(str(said.GONE))
    elif answer.status == "insufficient data" and not following:
        lines.append(str(said.TOO_LITTLE))
    if not answer.trouble:
        lines += _nothing(answer, lookups)
    elif answer.places.missing and any(seen.words for seen in answer.arms if not seen.arm.startswith("pair")):
        lines.append(beside_said.NOT_ASKED(why=answer.places.missing.rstrip(".")))
    if following:
        lines.append(said.NEXT(rung=following.name, separates=str(following.separates)))
    return lines


def _short(why: str) -> str:
    """The first sentence of an error, without its full stop."""
    return why.partition(". ")[0].rstrip(".")


def _first(answer: Answer) -> Iterator[str]:
    if answer.n_named > 1:
        yield str(said.TWO)
    for cause in answer.causes[: answer.n_named]:
        yield said.FIRST(word=cause.word.capitalize(), title=cause.title.rstrip("."), summary=cause.summary)
        if cause.remedy:
            yield said.REMEDY(remedy=cause.remedy.change.rstrip("."))
            yield cause.remedy.detail


def _seen(arms: Sequence[ArmSeen], places: Places) -> Iterator[str]:
    """What raw queries showed on the usual way, and at each server by itself where that differs."""
    asked = [seen for seen in arms if seen.arm != CONTROL]
    here = [seen for seen in asked if seen.place == asked[0].place]
    if any(seen.words for seen in here):
        arms_of: dict[str, list[str]] = {}
        for seen in here:
            arms_of.setdefault(seen.word, []).append(seen.arm)
        yield said.SEEN(arms="; ".join(f"{word}: {', '.join(names)}" for word, names in arms_of.items()))
    at_place: dict[str, list[ArmSeen]] = {}
    gone = {*places.endpoints} - {*places.stayed}
    for seen in (one for one in asked[len(here) :] if one.place not in gone):
        at_place.setdefault(seen.place, []).append(seen)
    if at_place and any(seen.words for seen in asked):
        yield said.SEEN_AT(places="; ".join(f"{places.titled(at)} {_at(of)}" for at, of in at_place.items()))


def _at(seen: Sequence[ArmSeen]) -> str:
    """What a server showed: a word where all arms agree, else the arms that are not clean, with their words."""
    words = {one.word for one in seen}
    return (
        words.pop() if len(words) == 1 else ", ".join(f"{one.arm} {one.word}" for one in seen if one.words) or "unclear"
    )


def _nothing(answer: Answer, lookups: Numbers | None) -> list[str]:
    n = sum(seen.n for seen in answer.arms)
    lost = sum(seen.counts["lost"] for seen in answer.arms)
    if not n and lookups:
        return [_nothing_of_lookups(answer, lookups), said.NOT_TESTED(what=listed(list(answer.not_tested)))]
    rate = max((rung.per_server_per_s for rung in answer.rungs), default=0.0)
    share = fewer_than(upper_bound_when_none(n), "query") if n and not lost else f"{lost:,} of {n:,}"
    return [
        said.NOTHING(
            queries=counted(n, "query", "queries"),
            share=share,
            time=duration(sum(rung.load_s for rung in answer.rungs)),
            rate=rounded(outwards(rate), 2),
            targets=counted(max((rung.n_targets for rung in answer.rungs), default=0), "target"),
        ),
        said.NOT_TESTED(what=listed(list(answer.not_tested))),
    ]


def _nothing_of_lookups(answer: Answer, lookups: Numbers) -> str:
    """What a run of the C library's lookups alone says where nothing was found."""
    bad = lookups.stalls + lookups.failed
    share = fewer_than(upper_bound_when_none(lookups.n)) if not bad else f"{bad:,}"
    targets = counted(max((rung.n_targets for rung in answer.rungs), default=0), "target")
    return said.NOTHING_OF_LOOKUPS(
        lookups=counted(lookups.n, "lookup"), variant=lookups.variant, share=share, targets=targets
    )


def _not_tested(done: Sequence[RungDone], places: Places, around: Around) -> tuple[str, ...]:
    names = {rung.rung for rung in done}
    rate = max((rung.per_server_per_s for rung in done), default=0.0)
    untested = [said.UNTESTED_RATE(rate=rounded(rate, 2)), str(said.UNTESTED_SIZE), str(said.UNTESTED_OUTSIDE)]
    if "libc" not in names:
        untested.append(str(said.UNTESTED_LIBC))
    if "place" not in names:
        untested.append(str(said.UNTESTED_PLACES))
    elif places.missing:
        untested.append(said.MISSING_PLACES(why=places.missing.rstrip(".")))
    if around.who and who_answers(around.who) is None:
        untested.append(str(beside_said.UNTESTED_WHO))
    return (*untested, str(said.UNTESTED_TIMES))
