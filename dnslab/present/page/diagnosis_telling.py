"""The number that carries the answer of a diagnosis: what was hit most, beside what was spared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dnslab.explain.arms import ArmSeen
from dnslab.explain.ladder import Answer
from dnslab.explain.sign import SPARED
from dnslab.present.page.diagnosis_arms import (
    COUNTS,
    Count,
    asked,
    scale_for,
    share_cell,
    share_of,
    short_name,
)
from dnslab.present.page.hero import STRIP_PX
from dnslab.present.page.view import Strip, StripRow
from dnslab.sentences import diagnosis as said
from dnslab.text import NBSP, counted, estimate_with_bounds, time_ms

#: by arm, the one that differs from it in the point that tells most
_PARTNER: Mapping[str, str] = {
    "pair-one-socket": "pair-two-sockets",
    "pair-two-sockets": "pair-one-socket",
    "tcp": "a",
    "aaaa": "a",
    "a": "aaaa",
    "standing": "a",
}


@dataclass(frozen=True)
class _Telling:
    """What happened most (``count``), to which rows, of which the first was hit most. A row is an arm on the usual way,
    or with ``by_place`` a server with all of its arms."""

    count: Count
    rows: Sequence[ArmSeen]
    by_place: bool

    @property
    def worst(self) -> ArmSeen:
        return max(self.rows, key=lambda seen: share_of(self.count, seen).estimate)

    @property
    def beside(self) -> ArmSeen | None:
        """One that was spared: the partner of the worst, or else the least hit one."""
        most = SPARED * share_of(self.count, self.worst).estimate
        spared = [
            seen
            for seen in self.rows
            if not self.count.beyond_chance(seen) and share_of(self.count, seen).estimate <= most
        ]
        partner = [seen for seen in spared if seen.arm == _PARTNER.get(self.worst.arm)]
        return next(iter(partner), None) or min(
            spared, key=lambda seen: share_of(self.count, seen).estimate, default=None
        )

    def name(self, seen: ArmSeen) -> str:
        return said.SERVER(address=seen.place) if self.by_place else short_name(seen.arm)


def telling_sentences(answer: Answer) -> list[str]:
    """What was hit most with its share, and what was spared; none where nothing was hit. Of two causes each has a
    number, where they show in different ones."""
    found = list(_tellings(answer))[: 2 if answer.status == "two causes" else 1]
    if not found:
        return [said.MEDIAN(median=time_ms(slow.p50_ms)) for slow in _slow(answer)[:1]]
    return [sentence for telling in found for sentence in _sentences(telling)]


def _sentences(telling: _Telling) -> Iterator[str]:
    worst, other = telling.worst, telling.beside
    k, n = telling.count.of(worst), counted(worst.n, "query", "queries")
    did, arm = str(telling.count.did), telling.name(worst)
    if k == worst.n:
        yield said.NUMBER_ALL(arm=arm, n=n, what=did)
    else:
        value, bounds = estimate_with_bounds(share_of(telling.count, worst), 100)
        share, between = f"{value}{NBSP}%", f"{bounds}{NBSP}%"
        yield said.NUMBER(arm=arm, bad=f"{k:,}", n=n, what=did, share=share, bounds=between)
    if other is not None:
        spared = telling.count.of(other)
        yield said.BESIDE(arm=telling.name(other), bad=f"{spared:,}" if spared else "none", n=f"{other.n:,}")
    elif not telling.by_place and all(map(telling.count.beyond_chance, telling.rows)):
        yield str(said.EVERY_KIND)


def strip(answer: Answer) -> Strip | None:
    """The small picture: what happened, to each kind of query or to each server."""
    telling = _telling(answer)
    rows = _here(answer)
    if telling is None and not rows:
        return None
    count = telling.count if telling else COUNTS[0]
    drawn = list(telling.rows if telling else rows)
    scale = scale_for(count, drawn)
    lines = list(_lines(count, drawn, telling.by_place if telling else False, answer))
    return Strip(said.STRIP(what=str(count.heading)), scale.axis(f"{NBSP}%", narrowest_px=STRIP_PX), lines)


def _lines(count: Count, drawn: Sequence[ArmSeen], by_place: bool, answer: Answer) -> Iterator[StripRow]:
    scale = scale_for(count, drawn)
    for seen in drawn:
        name = said.SERVER(address=seen.place) if by_place else short_name(seen.arm)
        cell = share_cell(count, seen, scale, name)
        bounds = (cell.rest if count.of(seen) else cell.note).strip("()")
        yield StripRow(name, "", cell.mark, cell.value, bounds, cell.tone)


def _here(answer: Answer) -> list[ArmSeen]:
    """The arms on the way of an application."""
    rows = asked(answer)
    return [seen for seen in rows if seen.place == rows[0].place]


def _slow(answer: Answer) -> list[ArmSeen]:
    return [seen for seen in _here(answer) if "slow" in seen.words]


def _telling(answer: Answer) -> _Telling | None:
    return next(_tellings(answer), None)


def _tellings(answer: Answer) -> Iterator[_Telling]:
    """The best first: one server of several, then what happened on the usual way, the worst first."""
    servers, here = _servers(answer), _here(answer)
    for count in COUNTS:
        if any(hit := [count.beyond_chance(seen) for seen in servers]) and not all(hit):
            yield _Telling(count, servers, True)
            return
    for count in COUNTS:
        if any(map(count.beyond_chance, here)):
            yield _Telling(count, here, False)


def _servers(answer: Answer) -> list[ArmSeen]:
    """Each server that was asked by itself, with all of its arms added up."""
    found = []
    for address in answer.places.endpoints:
        own = [seen for seen in asked(answer) if seen.place == address]
        if own:
            counts = {name: sum(seen.counts[name] for seen in own) for name in own[0].counts}
            words = tuple(dict.fromkeys(word for seen in own for word in seen.words))
            slowest = max(seen.p50_ms for seen in own), max(seen.p99_ms for seen in own)
            found.append(ArmSeen("", address, sum(seen.n for seen in own), counts, *slowest, words))
    return found
