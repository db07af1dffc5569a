"""A plan from the text of a plan file, where an error names the line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from dnslab import files
from dnslab.errors import InvalidPlan
from dnslab.plan.model import PLAN_VERSION, Plan
from dnslab.plan.yamltext import read_yaml


def load(text: str | bytes, source: str = "plan") -> Plan:
    """A plan from YAML text.

    Raises
    ------
    InvalidPlan
        With the line of the offending key.
    """
    if isinstance(text, bytes):
        text = files.text(text, Path(source), InvalidPlan)
    node, data = read_yaml(text, source)
    if not isinstance(data, dict):
        raise InvalidPlan(f"{source}: expected keys and values, as `dnslab run --dry-run` prints them")
    version = data.get("version", PLAN_VERSION)
    if version != PLAN_VERSION:
        raise InvalidPlan(f"{source}: the plan has format version {version}, this dnslab reads version {PLAN_VERSION}")
    try:
        return Plan.model_validate(data).check()
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(part if str(part).isprintable() else ascii(part) for part in map(str, first["loc"]))
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise InvalidPlan(f"{source} line {_line(node, first['loc'])}: {key or 'plan'}: {reason}") from error


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
