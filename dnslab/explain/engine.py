"""The engine: from signs to a ranked list of mechanisms and causes. Pure: nothing but signs and catalogue goes in.

How sure a mechanism is, by these rules:

- *ruled out*: a sign that it needs was looked for and not seen, a sign that it excludes was seen, or a trouble was seen
  that it does not make;
- *not tested*: none of the signs that it needs was seen, and none was looked for in vain;
- *possible*: some of these signs were seen, others are open;
- *likely*: all signs that it needs were seen that the C library's lookups can show, or all that raw queries can show
  (of up to half of their arms, too few bad queries to tell by themselves), and what it excludes was not seen there;
  where one sign alone tells it from others, that one was seen;
- *shown*: as likely, no other mechanism is left that is likely or possible, and it is one that lookups show directly
  (``Mechanism.direct``), or a kernel's counter shows it, or raw queries do and nothing that it needs is open.

A cause is never surer than its mechanism allows: *ruled out* and *not tested* as above, by its own predictions and
those of its mechanism; *likely* if all of them hold, and no other cause of the mechanism does as well; else *possible*;
*shown* only if, beyond that, a kernel's counter or raw queries show it (``Cause.shown_by``).

If no mechanism is likely by itself, pairs are tried in which one may make the trouble that the other does not: the
answer is then "two causes", each at most likely. If none is left at all, the answer is "none of these fits".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import combinations

from dnslab.explain.catalogue import CAUSES, Cause
from dnslab.explain.predictions import HIDDEN, MECHANISMS, ONE_WITNESS, TOGETHER, Mechanism, Predictions
from dnslab.explain.sign import Sign, State
from dnslab.explain.signs import troubles

#: what ends the names of signs of bad raw queries
_BAD = ("-lost", "-errors", "-truncated")
#: signs that describe a trouble which few mechanisms make
TELLING = ("wrong-address", "wrong-address-explains")
#: signs without which something is wrong but too little was seen of it
_TOO_FEW = ("stalls", "errors", "raw-a-lost", "raw-aaaa-lost", "raw-pair-lost", "raw-tcp-lost")


class Word(Enum):
    """How sure something is, the surest first."""

    SHOWN = "shown"
    LIKELY = "likely"
    POSSIBLE = "possible"
    NOT_TESTED = "not tested"
    RULED_OUT = "ruled out"

    @property
    def rank(self) -> int:
        """0 for the surest."""
        return list(Word).index(self)


class Answer(Enum):
    """What a ranking says as a whole."""

    FOUND = "found"
    TWO = "two causes"
    NOTHING = "nothing found"
    INSUFFICIENT = "insufficient data"
    NONE_FITS = "none of these fits"


@dataclass(frozen=True)
class Support:
    """The signs that speak for something, those against it, and needed ones that are open. Of those
    needed, ``n_seen`` were seen as they have to be, and ``n_met`` were seen, or not seen, as they have to be."""

    speaking_for: tuple[Sign, ...] = ()
    against: tuple[Sign, ...] = ()
    open: tuple[Sign, ...] = ()
    word: Word = Word.NOT_TESTED
    n_seen: int = 0
    n_met: int = 0

    @property
    def order(self) -> tuple[int, int, int, int, int]:
        """A key: the surest first, then what most of its needed signs were seen of, then what fewest are open of."""
        n_open = sum(not sign.name.startswith("raw-") for sign in self.open)
        return self.word.rank, -self.n_seen, n_open, -self.n_met, len(self.against)


@dataclass(frozen=True)
class RankedCause:
    """A cause, how sure it is, and why."""

    cause: Cause
    support: Support

    @property
    def word(self) -> Word:
        """How sure it is."""
        return self.support.word


@dataclass(frozen=True)
class RankedMechanism:
    """A mechanism, how sure it is, why, and its causes in order."""

    mechanism: Mechanism
    support: Support
    causes: tuple[RankedCause, ...]

    @property
    def word(self) -> Word:
        """How sure it is."""
        return self.support.word

    @property
    def possible(self) -> list[Cause]:
        """Its causes that are possible, and no surer."""
        return [ranked.cause for ranked in self.causes if ranked.word is Word.POSSIBLE]


@dataclass(frozen=True)
class Ranking:
    """The answer: what is there (``found``: one mechanism, or two), and all mechanisms in order.

    ``unexplained`` are signs of trouble that nothing in the catalogue makes.
    """

    answer: Answer
    found: tuple[RankedMechanism, ...]
    mechanisms: tuple[RankedMechanism, ...]
    unexplained: tuple[Sign, ...] = ()

    @property
    def causes(self) -> list[RankedCause]:
        """All causes: those of what was found first, then the others, each in order."""
        there = {one.mechanism.name for one in self.found}
        rest = [one for one in self.mechanisms if one.mechanism.name not in there]
        return [cause for one in (*self.found, *rest) for cause in one.causes]

    @property
    def leading(self) -> RankedMechanism | None:
        """The best mechanism that was found."""
        return self.found[0] if self.found else None


def rank(signs: Mapping[str, Sign], hidden: Collection[str] = ()) -> Ranking:
    """Rank all mechanisms and causes by what ``signs`` (``signs.read``) say. Those that are ``hidden`` need not be
    seen."""
    seen = troubles(signs)
    alone = [_mechanism(one, signs, seen, hidden=hidden) for one in MECHANISMS.values()]
    ordered = tuple(sorted(alone, key=lambda one: one.support.order))
    if not seen:
        return _nothing(signs, ordered)
    left = [one for one in ordered if one.word.rank <= Word.POSSIBLE.rank]  # the first of all, as the order has them so
    told = bool(left) and not _open(left)
    # What is possible at most may be two; but without raw queries, two explain nearly anything.
    sure = told and (
        left[0].word is not Word.POSSIBLE or not any(signs[name].yes for name in signs if name.startswith("raw-"))
    )
    pair = () if sure else _pair(signs, seen)
    if pair:
        return Ranking(Answer.TWO, pair, ordered)
    if told:
        first = _shown(left[0]) if len(left) == 1 else left[0]
        return Ranking(Answer.FOUND, (first,), (first, *ordered[1:]))
    if left:
        return Ranking(Answer.INSUFFICIENT, (), ordered, tuple(seen))
    unclear = {name for name, sign in signs.items() if sign.state is State.UNCLEAR}
    open_signs = any(name.endswith("-stalls") or name in _TOO_FEW for name in unclear)
    return Ranking(Answer.INSUFFICIENT if open_signs else Answer.NONE_FITS, (), ordered, tuple(seen))


def nothing_left(ranking: Ranking, signs: Mapping[str, Sign]) -> bool:
    """Whether no mechanism is possible any more of what raw queries surely show, so that more of the lookups that are
    too few to tell would change nothing."""
    told = all(signs[name].state in (State.YES, State.NO) for name in _TOO_FEW if name.startswith("raw-"))
    ruled_out = all(one.word.rank > Word.POSSIBLE.rank for one in ranking.mechanisms)
    return ranking.answer is Answer.INSUFFICIENT and told and ruled_out


def hints(ranking: Ranking, signs: Mapping[str, Sign]) -> list[Sign]:
    """Signs of raw queries that were bad, or of which of a pair was lost, too few to tell, and that nothing of what was
    found makes: a second cause may be behind them."""
    made = {name for one in ranking.found for name in one.mechanism.predicts.made}
    raw = [sign for sign in signs.values() if sign.name.startswith("raw-") and sign.name.endswith((*_BAD, "-second"))]
    return [sign for sign in raw if sign.state is State.UNCLEAR and sign.name not in made]


def beside(mechanism: str, signs: Mapping[str, Sign]) -> RankedMechanism:
    """A mechanism by name, as it would be if something else made all trouble that it does not make."""
    return _mechanism(MECHANISMS[mechanism], signs, troubles(signs), excused=signs)


def _open(left: Sequence[RankedMechanism]) -> bool:
    """Whether too little is known of the first of ``left``: a sign that it needs is unclear, fewer than two were seen,
    or the next has as much for it."""
    one = left[0]
    if one.word is not Word.POSSIBLE:
        return False
    if any(other.support.order[:3] == one.support.order[:3] for other in left[1:]):
        return True
    unclear = any(sign.state is State.UNCLEAR for sign in one.support.open)
    return unclear or sum(sign.yes for sign in one.support.speaking_for) < 2


def _nothing(signs: Mapping[str, Sign], ordered: tuple[RankedMechanism, ...]) -> Ranking:
    """No trouble was seen; where a few bad lookups were, they are too few to tell."""
    few = any(signs[name].state is State.UNCLEAR for name in _TOO_FEW)
    return Ranking(Answer.INSUFFICIENT if few else Answer.NOTHING, (), ordered)


def _shown(one: RankedMechanism) -> RankedMechanism:
    """The only one that is left is shown, if it is likely."""
    raw = any(sign.name.startswith("raw-") and sign.yes for sign in one.support.speaking_for)
    counted = any(cause.word is Word.SHOWN for cause in one.causes)
    if one.word is not Word.LIKELY or not (one.mechanism.direct or counted or (raw and not one.support.open)):
        return one
    return replace(one, support=replace(one.support, word=Word.SHOWN))


def _mechanism(
    mechanism: Mechanism,
    signs: Mapping[str, Sign],
    seen: Sequence[Sign],
    excused: Iterable[str] = (),
    hidden: Iterable[str] = (),
) -> RankedMechanism:
    """A mechanism with its causes; something else makes the signs of trouble that are ``excused``, and hides others."""
    excused, hidden = frozenset(excused), frozenset(hidden)
    own = [cause for cause in CAUSES.values() if cause.mechanism == mechanism.name]
    supports = [(cause, _support(cause.predicts.without(hidden), signs, seen, excused)) for cause in own]
    support = _support(mechanism.predicts.without(hidden), signs, seen, excused)
    best = min((one for _, one in supports), key=lambda one: one.order, default=support)
    if not mechanism.predicts.must or best.word.rank > Word.POSSIBLE.rank >= support.word.rank:
        support = best  # what a mechanism does shows in its causes alone, or none of them is left
    causes = [
        RankedCause(cause, replace(one, word=_word_of_cause(cause, one, support, supports, signs)))
        for cause, one in supports
    ]
    return RankedMechanism(mechanism, support, tuple(sorted(causes, key=lambda one: one.support.order)))


def _word_of_cause(
    cause: Cause,
    support: Support,
    of_mechanism: Support,
    all_of_it: Sequence[tuple[Cause, Support]],
    signs: Mapping[str, Sign],
) -> Word:
    if support.word.rank > Word.POSSIBLE.rank:
        return support.word
    own_open = any(not _holds(name, signs) for name in cause.adds.must)
    if of_mechanism.word.rank > Word.LIKELY.rank or support.word is Word.POSSIBLE or own_open:
        return Word.POSSIBLE
    if any(all(_holds(name, signs) for name in group) for group in cause.shown_by):
        return Word.SHOWN
    rivals = [
        other
        for other, one in all_of_it
        if other is not cause and one.word is Word.LIKELY and all(_holds(name, signs) for name in other.adds.must)
    ]
    n_own = len(cause.adds.must)
    return Word.POSSIBLE if any(len(other.adds.must) >= n_own for other in rivals) else Word.LIKELY


def _holds(name: str, signs: Mapping[str, Sign]) -> bool:
    """Whether a sign was seen; of one with ``!``, whether it was looked for and not seen."""
    return signs[name[1:]].no if name.startswith("!") else signs[name].yes


def _sign(name: str, signs: Mapping[str, Sign]) -> Sign:
    return signs[name.removeprefix("!")]


def _support(
    predicts: Predictions, signs: Mapping[str, Sign], seen: Sequence[Sign], excused: frozenset[str]
) -> Support:
    """What ``signs`` say of these predictions."""
    broken = [name for name in (*predicts.must, *predicts.only_by) if _broken(name, signs, excused)]
    never = [signs[name] for name in predicts.never if name not in excused]
    known = {name.removeprefix("!") for name in (*predicts.must, *predicts.may, *predicts.never, *excused)}
    strange = [sign for sign in seen if sign.name not in known]
    met = [_sign(name, signs) for name in (*predicts.must, *predicts.only_by) if _holds(name, signs)]
    against = [*(_sign(name, signs) for name in broken), *(sign for sign in never if sign.yes), *strange]
    doubts = [_sign(name, signs) for name in predicts.unlikely if _holds(name, signs) and name not in excused]
    n_seen = sum(_holds(name, signs) for name in predicts.must if not name.startswith("!"))
    spared = [sign for sign in never if sign.no and met]
    needed = dict.fromkeys((*predicts.must, *predicts.only_by))
    left = [_sign(name, signs) for name in needed if name not in broken and not _holds(name, signs)]
    word = Word.RULED_OUT if against else _word(predicts.must, signs, excused)
    if word is Word.LIKELY and (doubts or _undecided(predicts, signs)):
        word = Word.POSSIBLE
    return Support((*met, *spared), (*against, *doubts), tuple(left), word, n_seen, len(met))


def _undecided(predicts: Predictions, signs: Mapping[str, Sign]) -> bool:
    """Whether a sign is missing without which it is possible at most."""
    deciding = [signs[name].state for name in predicts.decided_by]
    unclear = State.UNCLEAR in deciding and State.YES not in deciding
    return unclear or not all(_holds(name, signs) for name in predicts.only_by)


def _broken(name: str, signs: Mapping[str, Sign], excused: frozenset[str]) -> bool:
    """Whether a sign that has to be seen was looked for and not seen, or the other way round."""
    if name.startswith("!"):
        return signs[name[1:]].yes and name[1:] not in excused
    return signs[name].no


def _word(must: Sequence[str], signs: Mapping[str, Sign], excused: frozenset[str]) -> Word:
    """How sure something is that nothing speaks against."""
    if not any(signs[name].yes for name in must if not name.startswith("!")):
        return Word.NOT_TESTED
    for raw in (False, True):
        part = [name for name in must if name.removeprefix("!").startswith("raw-") is raw]
        open_ = [name for name in part if not (_holds(name, signs) or name[1:] in excused)]
        seen = [name for name in part if not name.startswith("!") and signs[name].yes]
        # Where most arms are surely bad, a few bad queries of another are no chance.
        bad = [name for name in open_ if name.endswith(_BAD) and not name.startswith("!")]
        few = [name for name in bad if signs[name].state is State.UNCLEAR]
        if seen and (not open_ or (raw and few == open_ and len(few) <= len(seen))):
            return Word.LIKELY
    return Word.POSSIBLE


def _not_seen(names: Iterable[str], signs: Mapping[str, Sign]) -> list[str]:
    """Those of ``names`` that were looked for and not surely seen."""
    return [name for name in names if signs[name].state in (State.NO, State.UNCLEAR)]


def _predicted(predicts: Predictions, signs: Mapping[str, Sign]) -> set[str]:
    """What was seen of that by which it shows."""
    names = (*predicts.must, *predicts.only_by, *predicts.beside)
    return {name for name in names if not name.startswith("!") and signs[name].yes}


def _unasked(mechanism: Mechanism, signs: Mapping[str, Sign]) -> bool:
    """Whether it is told by a witness that was not read: then it explains nearly anything that another leaves."""
    return any(signs[name].state is State.NOT_MEASURED for name in mechanism.predicts.must if name in TELLING)


def _pair(signs: Mapping[str, Sign], seen: Sequence[Sign]) -> tuple[RankedMechanism, ...]:
    """The two mechanisms that together explain all that was seen, each with a sign that only it makes; or none."""
    best: tuple[tuple[int, int, int], tuple[RankedMechanism, ...]] | None = None
    for one, other in combinations(MECHANISMS.values(), 2):
        if {one.name, other.name} == ONE_WITNESS or any(_unasked(each, signs) for each in (one, other)):
            continue
        both = TOGETHER.get(frozenset({one.name, other.name}), ())
        made = [frozenset(each.predicts.made) for each in (one, other)]
        predicted = [_predicted(each.predicts, signs) for each in (one, other)]
        if not all(names - others for names, others in zip(predicted, reversed(made), strict=True)):
            continue
        pair = tuple(
            _mechanism(each, signs, seen, (*of_other, *both), _not_seen(HIDDEN.get(hiding.name, ()), signs))
            for each, hiding, of_other in ((one, other, made[1]), (other, one, made[0]))
        )
        if any(each.word.rank > Word.LIKELY.rank for each in pair):
            continue
        # What only describes a trouble speaks for the one of them alone that has to show it.
        told = {
            name
            for names, other_one in zip(predicted, (other, one), strict=True)
            for name in names
            if signs[name] in seen or name not in other_one.predicts.may
        }
        # An answer from another address is of no trouble by itself, but few mechanisms make one.
        strange = sum(signs[name].yes and name not in made[0] | made[1] for name in TELLING)
        size = (strange, -len(told), -sum(len(each.support.speaking_for) for each in pair))
        if best is None or size < best[0]:
            best = size, pair
    return best[1] if best else ()
