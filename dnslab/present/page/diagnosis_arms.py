"""What each kind of raw query showed: a table with a row for each arm and address, and the rungs of the ladder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dnslab.analyse.intervals import Interval, upper_bound_when_none, wilson
from dnslab.explain.arms import ArmSeen
from dnslab.explain.ladder import Answer, RungDone
from dnslab.plan.arms import CONTROL, Places
from dnslab.plan.ladder import RUNGS
from dnslab.present.page.scales import Scale, scale_of
from dnslab.present.page.view import ArmColumn, ArmGroup, ArmRow, Arms, Cell, Chip, Item, ItemCard
from dnslab.sentences import Sentence, diagnosis as said, pictures
from dnslab.text import NBSP, below, counted, duration, estimate_with_bounds, listed, lowered, rounded


@dataclass(frozen=True)
class Count:
    """Something that may happen to a raw query: the column that counts it, the word for it in ``ArmSeen.words``, and
    its own words."""

    column: str
    word: str
    heading: Sentence
    more: Sentence
    did: Sentence

    def of(self, seen: ArmSeen) -> int:
        """How many queries of an arm."""
        return seen.counts[self.column]

    def beyond_chance(self, seen: ArmSeen) -> bool:
        """Whether there are more than chance gives."""
        return self.word in seen.words or (self.column == "lost" and seen.silent)


#: what the table has a column for, the worst first
COUNTS = (
    Count("lost", "lost", said.LOST, said.LOST_MORE, said.DID_LOST),
    Count("errors", "errors", said.ERRORS, said.ERRORS_MORE, said.DID_ERRORS),
    Count("truncated", "truncated", said.TRUNCATED, said.TRUNCATED_MORE, said.DID_TRUNCATED),
    Count("late", "late", said.LATE, said.LATE_MORE, said.DID_LATE),
)
#: by arm: a name of a few words, and how its queries differ from those of others
ARM_WORDS: Mapping[str, tuple[Sentence, Sentence]] = {
    "a": (said.SHORT_A, said.ARM_A),
    "aaaa": (said.SHORT_AAAA, said.ARM_AAAA),
    "pair-one-socket": (said.SHORT_PAIR, said.ARM_PAIR),
    "pair-two-sockets": (said.SHORT_TWO, said.ARM_TWO),
    "tcp": (said.SHORT_TCP, said.ARM_TCP),
    "standing": (said.SHORT_STANDING, said.ARM_STANDING),
}
_CHIPS: Mapping[str, tuple[Sentence, str, str]] = {
    "clean": (said.SEEN_CLEAN, "good", "check"),
    "unclear": (said.SEEN_UNCLEAR, "mute", "q"),
    "silent": (said.SEEN_SILENT, "bad", "alert"),
    "lost": (said.SEEN_LOST, "bad", "alert"),
    "errors": (said.SEEN_ERRORS, "bad", "alert"),
    "truncated": (said.SEEN_TRUNCATED, "warn", "minus"),
    "late": (said.SEEN_LATE, "warn", "minus"),
    "sent late": (said.SEEN_SENT_LATE, "warn", "minus"),
    "slow": (said.SEEN_SLOW, "warn", "minus"),
}


def arms(answer: Answer) -> Arms | None:
    """The section; None where nothing was measured."""
    if not answer.rungs:
        return None
    rows = asked(answer)
    drawn = [count for count in COUNTS if count.column == "lost" or any(map(count.of, rows))] if rows else []
    scales = [scale_for(count, rows) for count in drawn]
    columns = [
        ArmColumn(str(count.heading), str(count.more), scale.axis(f"{NBSP}%"))
        for count, scale in zip(drawn, scales, strict=True)
    ]
    groups = [
        ArmGroup(
            _title(place, rows[0].place, answer.places),
            [_row(seen, drawn, scales) for seen in rows if seen.place == place],
        )
        for place in dict.fromkeys(seen.place for seen in rows)
    ]
    return Arms(
        heading=str(said.ARMS_HEADING if rows else said.RUNGS_HEADING),
        intro=str(said.ARMS_HEAD if rows else said.RUNGS_HEAD),
        caption=str(said.ARMS_CAPTION),
        columns=columns,
        groups=groups,
        notes=list(_notes(answer.arms, drawn, scales)),
        rungs=ItemCard(str(said.RUNGS_HEADING), list(_rungs(answer))),
    )


def asked(answer: Answer) -> list[ArmSeen]:
    """The arms but for the control: by address as they were asked, and at each in one order."""
    found = [seen for seen in answer.arms if seen.arm != CONTROL]
    places, arms_in_order = list(dict.fromkeys(seen.place for seen in found)), [*ARM_WORDS]
    return sorted(found, key=lambda seen: (places.index(seen.place), arms_in_order.index(seen.arm)))


def scale_for(count: Count, rows: Sequence[ArmSeen]) -> Scale:
    """One scale for what these rows show of ``count``, in percent."""
    shares = [share_of(count, seen) for seen in rows]
    return scale_of([100 * one.estimate for one in shares], [100 * one.high for one in shares])


def share_of(count: Count, seen: ArmSeen) -> Interval:
    """The share of an arm's queries with its bounds, of independent queries; exact where there was none."""
    k, n = count.of(seen), seen.n
    if not n:
        return Interval(0.0, 0.0, 1.0)
    return Interval(k / n, *wilson(k, n)) if k else Interval(0.0, 0.0, upper_bound_when_none(n))


def share_cell(count: Count, seen: ArmSeen, scale: Scale, name: str) -> Cell:
    """A share as the table, and the picture beside the verdict, show it."""
    share, k = share_of(count, seen), count.of(seen)
    percents = 100 * share.estimate, 100 * share.low, 100 * share.high
    if not k:
        mark = scale.mark(*percents, "good", f"{name}: none of {seen.n:,}, {below(share.high)}")
        return Cell(mark, "none", f"of {seen.n:,}", f"({below(share.high)})", "good")
    tone = "bad" if count.beyond_chance(seen) else "soft"
    value, bounds = estimate_with_bounds(share, 100)
    mark = scale.mark(*percents, tone, f"{name}: {value} % ({bounds}), {k:,} of {seen.n:,}")
    return Cell(mark, f"{value}{NBSP}%", f"({bounds})", f"{k:,} of {seen.n:,}", tone)


def short_name(arm: str) -> str:
    """What an arm is called in a sentence or beside a mark."""
    return str(ARM_WORDS[arm][0]) if arm in ARM_WORDS else arm


def _row(seen: ArmSeen, drawn: Sequence[Count], scales: Sequence[Scale]) -> ArmRow:
    name = short_name(seen.arm)
    cells = [
        share_cell(count, seen, scale, f"{name} at {seen.place}, {lowered(str(count.heading))}")
        for count, scale in zip(drawn, scales, strict=True)
    ]
    words = seen.words or (seen.word,)
    chips = [Chip(str(text), tone, icon) for text, tone, icon in (_CHIPS[word] for word in words)]
    return ArmRow(name, str(ARM_WORDS[seen.arm][1]) if seen.arm in ARM_WORDS else "", cells, chips)


def _title(place: str, usual: str, places: Places) -> str:
    if place == usual:
        return said.USUAL_WAY(address=place)
    if place in places.endpoints:
        return said.ENDPOINT(address=places.titled(place))
    return (said.SERVICE if place in places.services else said.OTHER_PLACE)(address=place)


def _notes(rows: Sequence[ArmSeen], drawn: Sequence[Count], scales: Sequence[Scale]) -> Iterator[str]:
    if any(not count.of(seen) for count in drawn for seen in rows):
        yield str(said.ARM_OPEN_DOT)
    if any(scale.log for scale in scales):
        yield str(pictures.LOG_AXIS)
    missing = [str(count.heading) for count in COUNTS if count not in drawn]
    if rows and missing:
        what = listed([missing[0], *map(lowered, missing[1:])])
        yield said.NONE_OF_ELSE(what=what, n=counted(sum(seen.n for seen in rows), "query", "queries"))


def _rungs(answer: Answer) -> Iterator[Item]:
    done = {rung.rung: rung for rung in answer.rungs}
    separates = {rung.name: str(rung.separates) for rung in RUNGS}
    for name, rung in done.items():
        tells = said.RUNG_TELLS(separates=separates[name]) if name in separates else ""
        problem = said.RUNG_STOPPED(why=first_sentence(rung.problem)) if rung.problem else ""
        icon, tone = ("x", "bad") if problem else ("check", "good")
        yield Item(icon, tone, _climbed(rung), " ".join(filter(None, [tells, problem])))
    for name in (name for name in separates if name not in done):
        follows = name == answer.following
        title = (said.RUNG_NEXT if follows else said.RUNG_NOT)(name=name)
        ended = answer.following or any(rung.problem for rung in answer.rungs) or not answer.seconds
        why = "" if follows else str(said.RUNG_NOT_REACHED if ended else said.RUNG_NOT_NEEDED)
        yield Item("ring", "soft", title, f"{said.RUNG_TELLS(separates=separates[name])} {why}".strip())


def _climbed(rung: RungDone) -> str:
    rate = rounded(rung.per_server_per_s, 2)
    if rung.seconds == rung.load_s:  # a finished run: only its load is known
        return said.RUNG_TITLE_READ(name=rung.rung, rate=rate)
    return said.RUNG_TITLE(name=rung.rung, time=duration(rung.seconds), rate=rate)


def first_sentence(text: str) -> str:
    """The first sentence of an error, without its end."""
    return text.partition(". ")[0].rstrip(".")
