"""The faults that a plan names, as text and as data.

Pure. The lab knows which faults exist, what their parameters are, and which can be injected together.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from dnslab.errors import UsageError
from dnslab.plan.fields import Name
from dnslab.plan.problems import Model
from dnslab.sentences import plan_errors as said

#: faults of one lab
MAX_FAULTS = 4
#: parameters of faults that are times in seconds
SECONDS = ("from", "for", "every", "age")


def fault_names(text: str) -> list[str]:
    """Names of the faults in ``text``, written as ``str`` of a plan writes them; any text will do."""
    return [part.partition(":")[0] for part in _parts(text)]


def _parts(text: str) -> list[str]:
    return re.split(r"\+(?=[a-z])", text)


class OneFault(Model):
    """A fault by name with its parameters, written as ``race:p=0.05``. The backend knows which faults exist."""

    name: Name
    parameters: dict[Name, float] = Field(default_factory=dict)

    def __str__(self) -> str:
        values = ",".join(f"{key}={value:.12g}" for key, value in self.parameters.items())
        return f"{self.name}:{values}" if values else self.name


class FaultPlan(OneFault):
    """A fault, and others to inject with it, all in one text joined by ``+``.

    Times may have their unit, as in ``outage:from=10s,for=3s``.
    """

    also: Annotated[tuple[OneFault, ...], Field(max_length=MAX_FAULTS - 1)] = ()

    @property
    def parts(self) -> tuple[OneFault, ...]:
        """Each fault by itself."""
        return (OneFault(name=self.name, parameters=self.parameters), *self.also)

    @classmethod
    def parse(cls, *texts: str) -> FaultPlan:
        """From texts ``name`` or ``name:key=value,key=value``, several joined by ``+``; UsageError for other forms."""
        first, *others = (_one(part) for text in texts for part in _parts(text))
        if len(others) >= MAX_FAULTS:
            raise UsageError(said.TOO_MANY_FAULTS(most=str(MAX_FAULTS), n=str(len(others) + 1)))
        return cls(name=first.name, parameters=first.parameters, also=tuple(others))

    def __str__(self) -> str:
        return "+".join([super().__str__(), *map(str, self.also)])


def _one(text: str) -> OneFault:
    name, colon, rest = text.partition(":")
    parameters: dict[str, float] = {}
    for part in rest.split(",") if colon else ():
        number = r"(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:e[-+]?[0-9]{1,2})?"
        match = re.fullmatch(rf"([a-z_]+)=({number})((?<=[0-9.])s)?", part)
        if not match:
            raise UsageError(said.FAULT_FORM(text=repr(text[:80])))
        key, value, unit = match.groups()
        if unit and key not in SECONDS:
            raise UsageError(said.FAULT_NO_TIME(text=repr(text[:80]), key=key))
        if key in parameters:
            raise UsageError(said.FAULT_TWICE(text=repr(text[:80]), key=key))
        parameters[key] = float(value)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise UsageError(said.FAULT_NAME(text=repr(name[:80])))
    return OneFault(name=name, parameters=parameters)
