"""problems: all of them at once, each at its line, in words that are ours."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic_core.core_schema import ErrorType

from dnslab import notebook
from dnslab.errors import DnslabError, InvalidPlan
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load, Plan
from dnslab.plan.planfile import load
from dnslab.plan.problems import KNOWN_KINDS, MOST, in_words
from tests.fuzz import plans

TEXT = """\
name: a
rounds: 0
backend: labs
fault: rase:p=0.1
variants: [baseline, use-cv, use-vc]
targets: [glibc, {name: musl, variants: [timeout-1, basline]}]
names: [a..b, web.test]
expect: {x.test: [10.0.0.1]}
loads:
- rats: 3
  workers: 0
- duration_s: fast
custom_variants:
  mine: {options: [fly]}
cluster: {like: deploy/x, images: [a], contxt: a}
7: 8
limit_ms: .inf
"""
TOLD = """\
my.yaml:2: rounds: expected 1 or more, saw 0
my.yaml:3: backend: expected lab, local or kubernetes, saw 'labs': did you mean 'lab'?
my.yaml:4: fault: unknown fault 'rase': did you mean 'race'?
my.yaml:5: variants.1: unknown variant 'use-cv': did you mean 'use-vc'?
my.yaml:6: targets.1.variants.0: target 'musl' has the variant 'timeout-1', which the plan does not: add it to variants
my.yaml:6: targets.1.variants.1: unknown variant 'basline': did you mean 'baseline'?
my.yaml:7: names.0: the name 'a..b' has an empty label: remove the doubled or leading dot
my.yaml:8: expect.x.test: the plan does not look up 'x.test': add it to names
my.yaml:10: loads.0.rats: unknown key: did you mean 'rate_per_s'?
my.yaml:11: loads.0.workers: expected 1 or more, saw 0
my.yaml:12: loads.1.duration_s: expected a number, saw 'fast'
my.yaml:14: custom_variants.mine.options.0: 'fly' is not a resolv.conf option
my.yaml:15: cluster.contxt: unknown key: did you mean 'context'?
my.yaml:15: cluster.like: like (--like) takes the workload's image: remove either like or images (--image)
my.yaml:16: 7: expected a text as the key, saw 7
my.yaml:17: limit_ms: expected a finite number, saw inf
"""


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidPlan) as caught:
        load(text, "my.yaml")
    return list(caught.value.lines)


def test_all_problems_at_once() -> None:
    assert problems(TEXT) == TOLD.splitlines()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "custom_variants: 5\nvariants: [mine]\n",
            ["my.yaml:1: custom_variants: expected keys with their values, saw 5"],
        ),
        (
            "custom_variants: {mine: 5}\nvariants: [mine]\n",
            ["my.yaml:1: custom_variants.mine: expected keys with their values, saw 5"],
        ),
        ("names: 5\nexpect: {a.test: [10.0.0.1]}\n", ["my.yaml:1: names: expected a list, saw 5"]),
        (
            "variants: 7\ntargets: [{name: glibc, variants: [ndots-1]}]\n",
            ["my.yaml:1: variants: expected a list, saw 7"],
        ),
        ("loads: [{workers: x}]\n", ["my.yaml:1: loads.0.workers: expected a whole number, saw 'x'"]),
        (
            "cluster: {existing: 5, debug_image: a}\n",
            ["my.yaml:1: cluster.existing: expected a text, saw 5"],
        ),
    ],
)
def test_what_only_follows_is_not_told(text: str, told: list[str]) -> None:
    assert problems(text) == told


def test_of_many_problems_the_first_are_told() -> None:
    told = problems("".join(f"key{i}: 1\n" for i in range(100)))
    assert len(told) == MOST + 1
    assert told[0] == "my.yaml:1: key0: unknown key; known are " + ", ".join(Plan.model_fields)
    assert told[-1] == "my.yaml: and 80 more problems"


def test_whoever_makes_a_plan_in_python_reads_the_same_words() -> None:
    for make, says in (
        (lambda: Plan(rounds=0), "rounds: expected 1 or more, saw 0"),
        (lambda: Load(rate_per_s=-5), "rate_per_s: expected more than 0, saw -5"),
        (lambda: FaultPlan(name="a b"), "name: expected at most 253 letters"),
        (lambda: Plan.model_validate({"loads": []}), "loads: expected 1 or more items, saw 0"),
        (
            lambda: Plan.of({"rounds": 0, "seed": -1}),
            "rounds: expected 1 or more, saw 0; seed: expected 0 or more, saw -1",
        ),
    ):
        with pytest.raises(InvalidPlan) as caught:
            make()
        assert str(caught.value).startswith(says)


#: the kinds of mistake that a core schema of each type may report, by pydantic-core's source
KINDS = {
    "str": {"string_type", "string_sub_type", "string_unicode"},
    "int": {"int_type", "int_parsing", "int_from_float", "int_parsing_size", "finite_number"},
    "float": {"float_type", "float_parsing", "finite_number"},
    "bool": {"bool_type", "bool_parsing"},
    "literal": {"literal_error"},
    "tuple": {"tuple_type"},
    "list": {"list_type"},
    "dict": {"dict_type", "mapping_type"},
    "model": {"model_type", "model_attributes_type"},
    "model-fields": {"extra_forbidden", "missing", "invalid_key", "model_type", "dict_type"},
    "function-after": {"value_error"},
    "function-before": {"value_error"},
    **{
        kind: set()
        for kind in ("model-field", "default", "nullable", "definitions", "definition-ref", "any", "no-info")
    },
}
LIMITS = {
    "gt": "greater_than",
    "ge": "greater_than_equal",
    "lt": "less_than",
    "le": "less_than_equal",
    "max_length": "too_long",
    "min_length": "too_short",
}


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for key, value in schema.items():
            if key not in ("metadata", "serialization", "default"):
                yield from schemas(value)
    elif isinstance(schema, (list, tuple)):
        for value in schema:
            yield from schemas(value)


def kinds(model: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for schema in schemas(model.__pydantic_core_schema__):
        found |= KINDS[schema["type"]]
        for limit, kind in LIMITS.items():
            if schema.get(limit) is not None:
                found.add(f"string_{kind}" if schema["type"] == "str" else kind)
    return found


PARAMETERS = (
    notebook.CompareParameters,
    notebook.BeforeAfterParameters,
    notebook.VerifyParameters,
    notebook.ExploreParameters,
    notebook.MatrixParameters,
)


@pytest.mark.parametrize("model", [Plan, *PARAMETERS], ids=lambda model: model.__name__)
def test_there_are_words_for_each_kind_of_mistake(model: type[BaseModel]) -> None:
    assert kinds(model) <= KNOWN_KINDS


PYDANTICS = re.compile(
    r"[Ii]nput|[Vv]alid |validation|[Vv]alue error|pydantic|Undefined|unable|parse|instance|[Tt]uple|dictionary|Extra",
)


def test_no_kind_of_mistake_is_told_in_other_words() -> None:
    """Also those that no plan reports today."""
    context = {"gt": 1, "ge": 1, "lt": 1, "le": 1, "max_length": 1, "min_length": 1, "expected": "'a' or 'b'"}
    for kind in set(get_args(ErrorType)) - {"value_error"}:
        told = in_words({"type": kind, "loc": ("x",), "input": "y", "ctx": context}, Plan)
        assert not PYDANTICS.search(told), told


@pytest.mark.parametrize("seed", range(8))
def test_no_plan_is_refused_in_other_words(seed: int) -> None:
    """200 damaged plans for each seed."""
    rng = random.Random(seed)
    refused = 0
    for _ in range(200):
        lines: tuple[str, ...] = ()
        try:
            load(plans.text(rng), "my.yaml")
        except InvalidPlan as error:
            lines = error.lines
        refused += bool(lines)
        for line in lines:
            assert line.startswith("my.yaml"), line
            if "not YAML: " in line:  # what comes then are the parser's words
                continue
            assert not PYDANTICS.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", line.partition(": ")[2])), line
    assert refused > 50


def test_a_plan_of_a_run_folder_is_told_in_one_line(tmp_path: Path) -> None:
    from dnslab.store.folder import RunFolder

    (tmp_path / "plan.yaml").write_text(TEXT, encoding="utf-8")
    with pytest.raises(DnslabError) as caught:
        _ = RunFolder(tmp_path).plan
    assert str(caught.value).startswith(f"{tmp_path / 'plan.yaml'}:2: rounds: expected 1 or more, saw 0; ")
    assert "\n" not in str(caught.value)
