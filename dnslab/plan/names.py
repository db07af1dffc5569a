"""Names in a plan: those to look up, and those of variants and faults. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from dnslab.errors import Problem, UsageError
from dnslab.plan import faults, variants
from dnslab.plan.problems import Location
from dnslab.plan.resolvconf import check_name
from dnslab.sentences import plan_errors as said
from dnslab.text import nearest


class _Fault(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, float]: ...


class _Faults(Protocol):
    @property
    def parts(self) -> Sequence[_Fault]: ...


class _Target(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def variants(self) -> Sequence[str] | None: ...


class Names(Protocol):
    """What ``model.Plan`` has of names."""

    @property
    def backend(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def expect(self) -> Iterable[str]: ...
    @property
    def variants(self) -> Sequence[str]: ...
    @property
    def custom_variants(self) -> Iterable[str]: ...
    @property
    def targets(self) -> Sequence[_Target]: ...
    @property
    def fault(self) -> _Faults: ...


def unknown(plan: Names, left_out: Collection[Location] = ()) -> Iterator[Problem]:
    """A problem for each name of ``plan`` that cannot be looked up or is not known.

    ``left_out`` are the places that are wrong in the plan's text and missing in ``plan``: nothing follows from that.
    """
    for index, name in enumerate(plan.names):
        try:
            check_name(name)
        except UsageError as error:
            yield Problem(("names", index), str(error))
    looked_up = frozenset(plan.names)
    for name in plan.expect if ("names",) not in left_out else ():
        if name not in looked_up:
            yield Problem(("expect", name), said.NOT_LOOKED_UP(name=repr(name[:80])))
    if ("custom_variants",) not in left_out:
        yield from _unknown_variants(plan, left_out)
    if plan.backend == "lab":
        for part in plan.fault.parts:
            for text in faults.problems(part.name, part.parameters):
                yield Problem(("fault",), text)


def _unknown_variants(plan: Names, left_out: Collection[Location]) -> Iterator[Problem]:
    own = [str(place[1]) for place in left_out if place[0] == "custom_variants"]
    known = dict.fromkeys([*variants.BUILT_IN, *plan.custom_variants, *own])
    here = None if ("variants",) in left_out else frozenset(plan.variants)
    named: list[tuple[Location, str, str]] = [(("variants", i), "", name) for i, name in enumerate(plan.variants)]
    for i, target in enumerate(plan.targets):
        named += [(("targets", i, "variants", j), target.name, name) for j, name in enumerate(target.variants or ())]
    for location, of_target, name in named:
        if name not in known:
            yield Problem(location, said.UNKNOWN_VARIANT(name=repr(name), hint=nearest(name, known)))
        elif of_target and here is not None and name not in here:
            yield Problem(location, said.NOT_IN_PLAN(target=repr(of_target), name=repr(name)))
