"""A plan from the text of a plan file, where an error names the line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from dnslab import files
from dnslab.errors import InvalidPlan
from dnslab.plan.model import PLAN_VERSION, Plan
from dnslab.plan.problems import MOST, shown
from dnslab.plan.yamltext import read_yaml
from dnslab.sentences import plan_errors as said


def load(text: str | bytes, source: str = "plan") -> Plan:
    """A plan from YAML text.

    Raises
    ------
    InvalidPlan
        With all problems, each with its line.
    """
    if isinstance(text, bytes):
        text = files.text(text, Path(source), InvalidPlan)
    node, data = read_yaml(text, source)
    if not isinstance(data, dict):
        raise InvalidPlan(said.NOT_A_PLAN(source=source))
    version = data.get("version", PLAN_VERSION)
    if version != PLAN_VERSION:
        raise InvalidPlan(said.OTHER_VERSION(source=source, version=shown(version), ours=str(PLAN_VERSION)))
    try:
        return Plan.of(data)
    except InvalidPlan as error:
        lines = {problem: _line(node, problem.location) for problem in error.problems[: MOST + 1]}
        problems = sorted(error.problems[:MOST], key=lines.__getitem__)
        told = [f"{source}:{lines[problem]}: {problem}" for problem in problems]
        if n_more := len(error.problems) - len(problems):
            told.append(f"{source}: {said.AND_MORE(n=f'{n_more:,}')}")
        raise InvalidPlan(*error.problems, lines=told) from None


def _line(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """The line, counted from 1, of the deepest part of ``location`` that is in the text."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
