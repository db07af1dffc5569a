"""What is wrong with data that should be a plan, in our own words.

pydantic finds the place and the kind of a mistake; none of its words reach a person. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from dnslab.errors import InvalidPlan, Problem
from dnslab.sentences import Sentence, plan_errors as said
from dnslab.text import nearest, one_of

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _Metaclass
else:
    _Metaclass = type(BaseModel)

#: problems that are told one by one
MOST = 20
#: characters of a value that are shown
_SHOWN = 80
_KEY = "[key]"
#: errors that only follow from others
_FOLLOWS = "default_factory_not_called"

Location = tuple[int | str, ...]


class Inconsistent(ValueError):
    """Values of a model that do not go together; ``problems`` has one for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = tuple(problems)


def raise_any(problems: Iterator[Problem]) -> None:
    """Raise ``Inconsistent`` if there are any."""
    if found := list(problems):
        raise Inconsistent(found)


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """All problems that pydantic found in data for ``model``, in our words."""
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        if detail["type"] == _FOLLOWS:
            continue
        location = tuple(part for part in detail["loc"] if part != _KEY)
        reason = detail.get("ctx", {}).get("error")
        if isinstance(reason, Inconsistent):
            found += [Problem((*location, *problem.location), problem.text) for problem in reason.problems]
        elif detail["type"] == "value_error":
            found.append(Problem(location, str(reason)))
        else:
            found.append(Problem(location, in_words(detail, model), detail["type"] == "extra_forbidden"))
    # A list of which one item is wrong has, as a whole, too few: that tells nothing more.
    deeper = {problem.location[:depth] for problem in found for depth in range(len(problem.location))}
    return list(dict.fromkeys(problem for problem in found if not problem.location or problem.location not in deeper))


def in_words(detail: Any, model: type[BaseModel] | None = None) -> str:
    """What is wrong with one value: a sentence for a person.

    Parameters
    ----------
    detail
        One of ``ValidationError.errors()``.
    model
        What the data is for: its keys are suggested for an unknown one.
    """
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _model_at(model, detail["loc"][:-1]).model_fields if model else {}
        return said.UNKNOWN_KEY(hint=nearest(str(detail["loc"][-1]), known))
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
        hint = nearest(value, names, or_all=False) if isinstance(value, str) else ""
        return said.ONE_OF(names=one_of(names), value=shown(value), hint=hint)
    if kind in _LENGTHS:
        sentence, limit = _LENGTHS[kind]
        return sentence(limit=shown(context[limit]), value=shown(_length(context, value)))
    if kind in _RANGES:
        sentence, limit = _RANGES[kind]
        return sentence(limit=shown(context[limit]), value=shown(value))
    sentence = _KINDS.get(kind, said.OTHER)
    return sentence() if sentence is said.MISSING else sentence(value=shown(value))


_RANGES: Mapping[str, tuple[Sentence, str]] = {
    "greater_than": (said.ABOVE, "gt"),
    "greater_than_equal": (said.AT_LEAST, "ge"),
    "less_than": (said.BELOW, "lt"),
    "less_than_equal": (said.AT_MOST, "le"),
}
_LENGTHS: Mapping[str, tuple[Sentence, str]] = {
    "too_long": (said.TOO_MANY, "max_length"),
    "too_short": (said.TOO_FEW, "min_length"),
    "string_too_long": (said.TOO_LONG, "max_length"),
}
_KINDS: Mapping[str, Sentence] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), said.WHOLE_NUMBER),
    **dict.fromkeys(("float_type", "float_parsing"), said.NUMBER),
    "finite_number": said.FINITE,
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), said.TEXT),
    **dict.fromkeys(("bool_type", "bool_parsing"), said.YES_OR_NO),
    **dict.fromkeys(("list_type", "tuple_type"), said.LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), said.KEYS),
    "invalid_key": said.KEY_NOT_TEXT,
    "missing": said.MISSING,
}
#: the kinds of mistake for which there are words; any other has ``OTHER``
KNOWN_KINDS = frozenset({"extra_forbidden", "literal_error", "value_error", *_RANGES, *_LENGTHS, *_KINDS})


def leave_out(data: dict[Any, Any], problems: Iterable[Problem]) -> tuple[int, set[Location]]:
    """Take out of ``data`` the innermost key on the way to each problem.

    Returns
    -------
    tuple
        How many keys were taken out, and the places of those that a plan has.
    """
    n = 0
    places: set[Location] = set()
    for problem in problems:
        node: Any = data
        found: tuple[dict[Any, Any], Any, Location] | None = None
        for depth, part in enumerate(problem.location):
            if isinstance(node, dict) and part in node:
                found = node, part, problem.location[: depth + 1]
            elif not (isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(node)):
                break
            node = node[part]
        if found:
            del found[0][found[1]]
            n += 1
            if not problem.of_unknown_key:
                places.add(found[2])
    return n, places


def follows(problem: Problem, left_out: Iterable[Location]) -> bool:
    """Whether a problem may be there only because a key beside it was left out."""
    beside = problem.location[:-1]
    return bool(beside) and any(place[:-1] == beside for place in left_out)


def twice(names: Iterable[str]) -> str:
    """The first of ``names`` that is there twice; ``""`` if none is."""
    return next((name for name, n in Counter(names).items() if n > 1), "")


def shown(value: object) -> str:
    """What stood there, in at most some 80 characters."""
    if isinstance(value, (Mapping, BaseModel)):
        return "keys with their values"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "a list" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return _number(value)
    text = value if isinstance(value, str) else str(value)
    cut = text[:_SHOWN] + ("..." if len(text) > _SHOWN else "")
    return repr(cut) if isinstance(value, str) else cut


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**30 else "a number of over 30 digits"
    return f"{value:,.12g}"


def _length(context: Mapping[str, Any], value: object) -> object:
    actual = context.get("actual_length")
    return actual if isinstance(actual, int) else len(value) if hasattr(value, "__len__") else "more"


def _model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel]:
    """The innermost model on the way to ``location``."""
    for part in location:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        model = (field and _model_in(field.annotation)) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


class _Spoken(_Metaclass):
    """Whoever makes a model from values gets InvalidPlan, with all problems in our words, and not pydantic's error."""

    def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise InvalidPlan(*problems_of(error, cls)) from None  # type: ignore[arg-type]


class Model(BaseModel, metaclass=_Spoken):
    """A part of a plan: frozen, without keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Self:
        """As pydantic's, with InvalidPlan as its error."""
        try:
            return super().model_validate(obj, **how)
        except ValidationError as error:
            raise InvalidPlan(*problems_of(error, cls)) from None
