"""Each sentence renders, and is as plain as STYLE asks."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import dnslab
from dnslab.sentences import Sentence
from dnslab.sentences.__main__ import all_sentences

SENTENCES = {f"{module}.{name}": sentence for module, name, sentence in all_sentences()}
#: words that make a reader stop, and constructions that have to be read twice
AVOID = re.compile(
    r"\b(is to|so that it may|of its own|by construction|what mends it|whom to ask|thereof|hence|wherein|nor did)\b",
    re.IGNORECASE,
)
MOST_WORDS = 28
FIVE_WORDS = re.compile(r"\b[A-Za-z']+( [a-z']+){4}")


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
        assert not re.search(r"(?<![\d.,:])1 \w+[^s]s\b", text), name
        assert text == text.strip(), name
        assert "  " not in text, name
        for part in re.split(r"[.:;?!](?:\s|$)", text):
            assert len(part.split()) <= MOST_WORDS, f"{name}: {part}"


def test_no_sentence_is_dead() -> None:
    """Each is named somewhere outside its module, or by another sentence of it."""
    package = Path(dnslab.__file__).parent
    used: Counter[str] = Counter()
    for path in package.rglob("*.py"):
        if "sentences" not in path.relative_to(package).parts or path.name == "__main__.py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                used.update(_names(node))
    dead = [name for name in SENTENCES if name.split(".")[1] not in used]
    assert not dead


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.ImportFrom):
        return [alias.name for alias in node.names]
    return [node.id] if isinstance(node, ast.Name) else []


#: modules that decide what is said, and hold no sentence of their own
DECIDING = (
    *(f"explain/{name}.py" for name in ("validity", "veto", "soundness", "steadiness", "node_cache", "verification")),
    *(f"explain/{name}.py" for name in ("gates", "comparison")),
    *(f"plan/{name}.py" for name in ("remedies", "limits", "variants")),
    *(f"measure/{name}.py" for name in ("health", "doctor", "preflight", "asking", "runner", "group", "trial")),
    *(f"store/{name}.py" for name in ("folder", "bundle", "writing")),
    "files.py",
)


@pytest.mark.parametrize("module", DECIDING)
def test_what_decides_holds_no_sentences(module: str) -> None:
    """No text in it, docstrings apart, has five words in a row."""
    tree = ast.parse((Path(dnslab.__file__).parent / module).read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings
    ]
    assert [text for text in texts if FIVE_WORDS.search(text)] == []
