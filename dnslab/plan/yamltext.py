"""YAML from anyone as plain data, read once: bounded in size, depth and number of values, each key once, no aliases.

Knows nothing of plans. What YAML has beyond plain data (tags, anchors) is refused: dnslab writes none.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from dnslab.errors import InvalidPlan
from dnslab.files import MIB, PLAN_BYTES, PLAN_DEPTH, PLAN_KEYS, PLAN_NODES
from dnslab.sentences import plan_errors as said

# The parser in C is some ten times as fast; PyYAML's packages have it on every usual platform.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(yaml.composer.Composer, _Parser):  # type: ignore[misc]
    """Composes nodes one by one, and stops at the first node that breaks a limit."""

    def __init__(self, text: str) -> None:
        _Parser.__init__(self, text)
        yaml.composer.Composer.__init__(self)
        self._depth = self._n_nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused("expected the value itself, saw an alias or its anchor (& or *)", event)
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag not in (None, "!"):
            raise _Refused("expected a value, saw a tag (!)", event)
        self._n_nodes += 1
        self._depth += 1
        if self._depth > PLAN_DEPTH:
            raise _Refused(f"nested deeper than {PLAN_DEPTH}", event)
        if self._n_nodes > PLAN_NODES:
            raise _Refused(f"more than {PLAN_NODES:,} values", event)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        if len(node.value) > PLAN_KEYS:
            raise _Refused(f"more than {PLAN_KEYS:,} keys side by side", node)
        lines: dict[object, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines or key.value == "<<":
                    there = f"is there twice, first in line {lines[key.value]}" if key.value in lines else "is not read"
                    raise _Refused(f"the key {key.value[:60]!r} {there}", key)
                lines[key.value] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError:  # a number of too many digits, or a date that no calendar has
            raise _Refused(f"expected a number, a date or a text, saw {str(node.value)[:40]!r}", node) from None


class _Refused(yaml.MarkedYAMLError):
    """The YAML is well formed, but breaks one of our limits."""

    def __init__(self, problem: str, where: Any) -> None:
        super().__init__(problem=problem, problem_mark=where.start_mark)


def read_yaml(text: str, source: str) -> tuple[yaml.Node | None, Any]:
    """The YAML node of a text, which knows line numbers, and the plain data that it stands for.

    Raises
    ------
    InvalidPlan
        With the line where there is one.
    """
    if len(text) > PLAN_BYTES:
        raise InvalidPlan(f"{source} is too large: expected at most {PLAN_BYTES // MIB} MiB (docs/limits.md)")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return node, None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        why = problem if isinstance(error, _Refused) else _in_words(problem, text, mark)
        raise InvalidPlan(f"{source}{line}: {why}") from None


def _in_words(problem: str, text: str, mark: Any) -> str:
    """What the parser says about a text, as a sentence for a person."""
    lines = text.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation or "tab character" in problem:
        return said.TAB()
    if "did not find expected key" in problem and mark and mark.column > len(indentation):
        return said.TRAILING(rest=repr(line[mark.column :][:40]))
    if "cannot start any token" in problem and mark and mark.column < len(line):
        return said.FIRST_CHARACTER(character=repr(line[mark.column]))
    if unclosed := re.search(r"expected ',' or '([\]}])'", problem):
        return said.UNCLOSED_LIST(bracket={"]": "[", "}": "{"}[unclosed[1]])
    sentence = next((sentence for words, sentence in _WORDS.items() if words in problem), None)
    return sentence() if sentence else said.NOT_YAML(why=problem)


#: what the parsers in C and in Python say, and what we say instead
_WORDS = {
    "sequence entries are not allowed": said.LIST_ITEM,
    "not allowed in this context": said.COLON,
    "not allowed here": said.COLON,
    "could not find expected ':'": said.NO_COLON,
    "found unexpected end of stream": said.UNCLOSED_QUOTE,
    "found unexpected document": said.UNCLOSED_QUOTE,
    "did not find expected key": said.INDENTATION,
    "did not find expected '-' indicator": said.INDENTATION,
    "expected <block end>": said.INDENTATION,
    "expected <document start>": said.INDENTATION,
    "unknown escape character": said.ESCAPE,
    "characters are not allowed": said.CONTROL_CHARACTER,
    "found another document": said.SEVERAL_DOCUMENTS,
}
