"""The form of what is said of a cause."""

from __future__ import annotations

from dataclasses import dataclass

from dnslab.sentences import Sentence


@dataclass(frozen=True)
class CauseText:
    """A title, what happens, what tells it from look-alikes; and the remedy: what to change, where, its cost, and what
    to watch afterwards."""

    title: Sentence
    summary: Sentence
    tells: Sentence
    change: Sentence
    where: Sentence
    cost: Sentence
    watch: Sentence


def text_of(*texts: str) -> CauseText:
    """The texts of a cause, in the order of ``CauseText``."""
    return CauseText(*map(Sentence, texts))
