"""Why it happens: the causes of a diagnosis as cards, and beside them what was not tested and what is ruled out."""

from __future__ import annotations

from collections.abc import Iterator

from dnslab.explain.catalogue import ARMS
from dnslab.explain.engine import Word
from dnslab.explain.evidence import Confidence
from dnslab.explain.ladder import Answer, Named
from dnslab.explain.predictions import MECHANISMS
from dnslab.plan.backends import IN_CLUSTER
from dnslab.present.page.view import CauseCard, Item, ItemCard, Why
from dnslab.present.page.why import N_BARS
from dnslab.sentences import diagnosis as said, why

#: causes with a card of their own, the surest first
MOST_CAUSES = 3
#: of what is possible besides, or ruled out, as many are named
MOST_NAMED = 6
#: what the leading causes are in
FOUND = ("cause", "two causes")


def diagnosis_why(answer: Answer, backend: str) -> Why:
    """The section, for a diagnosis that was made on ``backend``."""
    most = 0 if answer.status == "nothing found" else MOST_CAUSES  # without trouble, none is worth a card
    causes, others = answer.causes[:most], answer.causes[most:]
    several = len(causes) > 1
    cards = [_card(cause, rank if several else 0, backend) for rank, cause in enumerate(causes, 1)]
    heading, intro = str(said.WHY_HEADING), str(said.WHY_HEAD)
    if answer.status == "nothing found":
        heading, intro = str(said.MISSED_HEADING), str(said.MISSED_HEAD)
    elif answer.status not in FOUND:
        heading, intro = str(said.WHAT_IS_LEFT), str(said.WHAT_IS_LEFT_HEAD if causes else said.NO_CAUSE_HEAD)
    beside = [
        ItemCard(str(said.ALSO_POSSIBLE), list(_first([cause.title for cause in others], "q"))),
        ItemCard(str(said.NOT_TESTED), [Item("q", "soft", "", _sentence(text)) for text in answer.not_tested]),
        ItemCard(str(said.RULED_OUT), list(_first([said.NOT_SO(what=title) for title in ruled_out(answer)], "ban"))),
    ]
    shown = [card for card in beside if card.items]
    return Why(heading, intro, cards, shown, str(said.SEPARATE))


def ruled_out(answer: Answer) -> list[str]:
    """Titles of the mechanisms that are ruled out."""
    return [str(MECHANISMS[name].text.title) for name in answer.ruled_out if name in MECHANISMS]


def is_open(cause: Named) -> bool:
    """Whether it is a mechanism, whose cause is open."""
    return cause.mechanism in MECHANISMS and cause.title == str(MECHANISMS[cause.mechanism].text.title)


def _first(titles: list[str], icon: str) -> Iterator[Item]:
    for title in titles[:MOST_NAMED]:
        yield Item(icon, "soft", "", f"{title.rstrip('.')}.")
    if len(titles) > MOST_NAMED:
        yield Item(icon, "soft", "", said.RULED_OUT_MORE(n=f"{len(titles) - MOST_NAMED}"))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def confidence_of(cause: Named) -> Confidence:
    """How sure a cause is, for readers."""
    return Confidence.of(Word(cause.word))


def _card(cause: Named, rank: int, backend: str) -> CauseCard:
    confidence = confidence_of(cause)
    # In a cluster the experiment that separates most causes is the one that was just made.
    experiment = "" if backend in IN_CLUSTER and cause.experiment == ARMS else cause.experiment
    return CauseCard(
        rank=f"Cause {rank}" if rank else "",
        name=cause.title.rstrip("."),
        confidence=confidence.word,
        bars=[number < confidence.bars for number in range(N_BARS)],
        icon="alert",
        tone="bad" if confidence.bars > 1 else "warn",
        summary=cause.summary,
        heading=str(why.EVIDENCE_FOR),
        evidence_for=[Item("check", "good", "", claim) for claim in cause.evidence_for],
        evidence_against=[Item("minus", "warn", "", claim) for claim in cause.evidence_against],
        none_against=str(why.NONE_AGAINST),
        experiment=experiment,
    )
