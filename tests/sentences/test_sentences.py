"""Each sentence renders, and is as plain as STYLE asks."""

from __future__ import annotations

import re

import pytest

from dnslab.sentences import Sentence
from dnslab.sentences.__main__ import all_sentences

SENTENCES = {f"{module}.{name}": sentence for module, name, sentence in all_sentences()}
#: words that make a reader stop, and constructions that have to be read twice
AVOID = re.compile(
    r"\b(is to|so that it may|of its own|by construction|what mends it|whom to ask|thereof|hence|wherein|nor did)\b",
    re.IGNORECASE,
)
MOST_WORDS = 28


def test_a_sentence_takes_exactly_its_values() -> None:
    sentence = Sentence("{n} failed.", n="2 lookups")
    assert sentence.example == "2 lookups failed."
    assert sentence(n="1 lookup") == "1 lookup failed."
    for values in ({}, {"m": "1"}, {"n": "1", "m": "1"}):
        with pytest.raises(TypeError):
            sentence(**values)
    with pytest.raises(TypeError):
        Sentence("{n} failed.")


def test_sentences_are_plain() -> None:
    for name, sentence in SENTENCES.items():
        text = sentence.example
        assert not AVOID.search(text), name
        assert not re.search(r"\b1 \w+[^s]s\b", text), name
        assert text == text.strip(), name
        assert "  " not in text, name
        for part in re.split(r"[.:;?!](?:\s|$)", text):
            assert len(part.split()) <= MOST_WORDS, f"{name}: {part}"
