"""The plan of a run, as data.

Pure. A plan is YAML on disk and a model here, which checks each text as what it is. Knows nothing of how a plan is
carried out.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from dnslab.errors import InvalidPlan, Problem, UsageError
from dnslab.plan import names, variants
from dnslab.plan.backends import IN_CLUSTER, BackendName
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.fields import (
    Address,
    Domain,
    Endpoint,
    Line,
    Name,
    Option,
    ResolvConf,
    RunName,
)
from dnslab.plan.flows import Order
from dnslab.plan.problems import Location, Model, follows, leave_out, raise_any, twice
from dnslab.plan.resolvconf import VALUED, parse, read_option, values_of
from dnslab.plan.variants import Variant
from dnslab.sentences import notebook, plan_errors as said
from dnslab.text import Facts, as_html_lines, as_output, counted, duration, first_of

PLAN_VERSION = 1
#: variants, loads and names that are named one by one
MOST_NAMED = 4
DEFAULT_RATE_PER_S = 200.0

# Far above what anybody compares or reads (docs/limits.md): the cost of a plan stays in proportion to its size.
MAX_VARIANTS = 1_000
MAX_LOADS = 100
MAX_TARGETS = 10_000
#: an index of two bytes in a lookup's record (``name`` in the probe's format.h)
MAX_NAMES = 65_535
#: trials of a run, counted on each target: a thousand targets, six variants and nine rounds are 54,000
MAX_CLIENTS = 200_000
#: lookups a second that a plan may ask of one target; more than one machine sends
MOST_PER_S = 1_000_000


class Load(Model):
    """What one trial asks of each target.

    ``loop`` is ``"closed"`` (each of ``workers`` starts its next lookup when the last returned), ``"poisson"`` or
    ``"fixed"`` (open loops: arrivals by schedule at ``rate_per_s``, ``workers`` being the most that may be in flight).
    ``rate_per_s`` is 200 by default, or less where the run's limits ask for less. ``mode`` ``"fresh"`` clears glibc's
    half-lost state before each lookup, ``"sticky"`` keeps it for the thread's life.

    Only of engine wire: ``arrangement``, ``transport``, ``record_type`` (which a single query asks for, A by default; a
    pair asks for both), and ``server``, which is asked in place of the first nameserver of resolv.conf. Its sockets
    are ``workers`` in mode sticky, and new ones in mode fresh.
    """

    engine: Literal["libc", "wire"] = "libc"
    loop: Literal["closed", "poisson", "fixed"] = "poisson"
    mode: Literal["fresh", "sticky"] = "fresh"
    workers: Annotated[int, Field(ge=1, le=20_000)] = 200
    rate_per_s: Annotated[float, Field(gt=0, le=MOST_PER_S)] | None = Field(
        default_factory=lambda load: None if load.get("loop") == "closed" else DEFAULT_RATE_PER_S
    )
    duration_s: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    warmup_s: Annotated[float, Field(ge=0, le=3_600)] = 0.5
    arrangement: Literal["single", "pair-one-socket", "pair-two-sockets"] = "single"
    transport: Literal["udp", "tcp"] = "udp"
    record_type: Literal["A", "AAAA"] | None = None
    server: Endpoint | None = None

    @model_validator(mode="before")
    @classmethod
    def _rate_fits_loop(cls, data: Any) -> Any:
        """An open loop has a rate, a closed one none. A rate that nobody gave stays unset."""
        if not isinstance(data, dict) or (data.get("rate_per_s") is not None and data.get("loop") != "closed"):
            return data
        return {key: value for key, value in data.items() if key != "rate_per_s"}

    @model_validator(mode="after")
    def _fits_engine(self) -> Self:
        raise_any(self._problems())
        return self

    def _problems(self) -> Iterator[Problem]:
        if self.record_type is not None and (self.engine != "wire" or self.arrangement != "single"):
            yield Problem(("record_type",), said.TYPE_OF_SINGLE())
        if self.server is not None and self.engine != "wire":
            yield Problem(("server",), said.SERVER_OF_WIRE())

    @property
    def has_own_rate(self) -> bool:
        """Whether somebody gave a rate. If not, a run may lower it to fit its limits."""
        return self.loop == "closed" or "rate_per_s" in self.model_fields_set

    def lowered_to(self, rate_per_s: float) -> Load:
        """The load at no more than ``rate_per_s``, rounded down; it is still a rate that nobody gave."""
        rate_per_s = float(math.floor(rate_per_s)) if rate_per_s >= 1 else rate_per_s
        lower = self.model_copy(update={"rate_per_s": min(rate_per_s, self.rate_per_s or rate_per_s)})
        lower.model_fields_set.discard("rate_per_s")
        return lower

    @property
    def total_s(self) -> float:
        """How long the load takes, warm-up included."""
        return self.warmup_s + self.duration_s

    @property
    def label(self) -> str:
        """A few words: ``"200/s (poisson)"``, ``"closed loop, 50 workers"``."""
        if self.loop == "closed":
            return f"closed loop, {self.workers} workers"
        return f"{self.rate_per_s:g}/s ({self.loop})"


class TargetPlan(Model):
    """A target by name; ``variants`` limits which of the plan's variants it runs (default all)."""

    name: Name
    variants: tuple[Name, ...] | None = None


class CustomVariant(Model):
    """A variant of the user's own: resolv.conf options, nameservers, a search list; or all of it as a file's text.

    ``resolv_conf`` takes the place of all that the target has.
    """

    options: tuple[Option, ...] = ()
    nameservers: tuple[Address, ...] = ()
    search: tuple[Domain, ...] | None = None
    resolv_conf: ResolvConf | None = None
    summary: Line = ""

    @model_validator(mode="after")
    def _parts_or_whole(self) -> Self:
        if self.resolv_conf is not None and (self.options or self.nameservers or self.search is not None):
            raise_any(iter([Problem(("resolv_conf",), said.WHOLE_FILE())]))
        return self

    def variant(self, name: str) -> Variant:
        """The same as a ``Variant``."""
        if self.resolv_conf is not None:
            return Variant(name, self.summary or "a resolv.conf of the plan", whole=parse(self.resolv_conf))
        parsed = [read_option(option) for option in self.options]
        flags = tuple(dict.fromkeys(flag for option in parsed for flag in option.flags))
        return Variant(
            name,
            self.summary or "from the plan",
            flags,
            libcs=frozenset({"glibc"}) if flags else frozenset({"glibc", "musl"}),
            **{VALUED[name]: value for option in parsed for name, value in values_of(option).items()},  # type: ignore[arg-type]
            nameservers=self.nameservers,
            search=self.search,
        )


class Limits(Model):
    """Limits of what a run may do to DNS that others use too.

    The first three hold in clusters: paced lookups a second and workers of closed loops over all targets and variants
    that run at the same time, and paced lookups in all. ``allow_external`` allows names outside the cluster's domain.
    ``abort_margin`` holds everywhere: by how much the share of failed lookups may exceed the one before the run; at 1
    nothing aborts.
    """

    max_rate_per_s: Annotated[float, Field(gt=0)] = 2_000.0
    max_workers: Annotated[int, Field(ge=1)] = 1_000
    max_lookups: Annotated[int, Field(ge=1)] = 5_000_000
    allow_external: bool = False
    abort_margin: Annotated[float, Field(gt=0, le=1)] = 0.2


#: what a lookup may suffer, as the counts of a summary are named; over the limit are those of ``Plan.limit_ms`` or more
Trouble = Literal["stalls", "failed", "slow", "partial", "over_limit"]


class Earlier(Model):
    """What an earlier run found, that this one verifies: its name, the trouble, and how many of baseline's lookups had
    it."""

    run: Line
    trouble: Trouble
    count: Annotated[int, Field(ge=1)]
    n: Annotated[int, Field(ge=1)]


class Plan(Model):
    """What a run will do.

    ``schedule`` ``"side-by-side"`` runs all variants of a round at the same time, each in a client of its own;
    ``"in-turn"`` one at a time, in seeded Latin-square order; ``"together"`` runs all loads of a round at the same time
    as well, so that loads can be compared, and aborts by the first load alone. Default: side by side for paced loads,
    in turn for closed loops. ``limit_ms`` only sets which lookups count as over limit. ``deadline_s`` replaces the
    deadline of a lookup, which by default is longer than the resolver itself ever waits. ``expect`` gives addresses
    that names should resolve to; for others it is what is answered when the run begins. ``verifies`` is of a run that
    measures a patched workload (``baseline``) beside its old configuration (``variants.BEFORE``).
    """

    version: Literal[1] = 1
    name: RunName = "compare"
    backend: BackendName = "lab"
    cluster: ClusterPlan = ClusterPlan()
    nameserver: Endpoint | None = None
    fault: FaultPlan = FaultPlan(name="none")
    targets: Annotated[tuple[TargetPlan, ...], Field(max_length=MAX_TARGETS)] = ()
    variants: Annotated[tuple[Name, ...], Field(max_length=MAX_VARIANTS)] = variants.USUAL
    custom_variants: dict[Name, CustomVariant] = Field(default_factory=dict, max_length=MAX_VARIANTS)
    loads: Annotated[tuple[Load, ...], Field(min_length=1, max_length=MAX_LOADS)] = (Load(),)
    names: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_NAMES)] = ("kubernetes.default",)
    expect: dict[str, tuple[Address, ...]] = Field(default_factory=dict, max_length=MAX_NAMES)
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 9
    schedule: Order | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    limit_ms: Annotated[float, Field(gt=0, le=3_600_000)] = 4_900.0
    deadline_s: Annotated[float, Field(gt=0, le=3_600)] | None = None
    limits: Limits = Limits()
    verifies: Earlier | None = None

    @field_validator("fault", mode="before")
    @classmethod
    def _fault_from_text(cls, value: object) -> object:
        try:
            texts = [value] if isinstance(value, str) else value
            if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
                return FaultPlan.parse(*texts)
            return value
        except UsageError as error:
            raise ValueError(str(error)) from error

    @field_validator("targets", mode="before")
    @classmethod
    def _targets_from_text(cls, value: object) -> object:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return tuple({"name": item} if isinstance(item, str) else item for item in value)
        return value

    @model_validator(mode="after")
    def _holds(self) -> Self:
        raise_any(self._problems())
        return self

    def _problems(self) -> Iterator[Problem]:
        """What does not go together."""
        name = twice(self.variants)
        if name or not self.variants:
            end = f"; {name!r} is there twice" if name else ""
            yield Problem(("variants",), said.VARIANTS_ONCE(twice=end))
        if name := twice([target.name for target in self.targets]):
            yield Problem(("targets",), said.TARGETS_ONCE(name=repr(name)))
        if self.schedule == "together" and any(load.loop == "closed" for load in self.loads):
            yield Problem(("schedule",), said.TOGETHER_IS_PACED())
        if self.n_trials > MAX_CLIENTS:
            yield Problem(("rounds",), said.TOO_MANY_TRIALS(n=f"{self.n_trials:,}", limit=f"{MAX_CLIENTS:,}"))

    @classmethod
    def of(cls, data: Mapping[Any, Any]) -> Plan:
        """The plan that plain data says, checked as by ``check``.

        Raises
        ------
        InvalidPlan
            With all problems: what holds is checked although something else does not.
        """
        problems: list[Problem] = []
        left_out: set[Location] = set()
        rest = copy.deepcopy(dict(data))
        while True:
            try:
                plan = cls.model_validate(rest)
            except InvalidPlan as error:
                problems += [problem for problem in error.problems if not follows(problem, left_out)]
                n_left_out, places = leave_out(rest, error.problems)
                if not n_left_out:
                    raise InvalidPlan(*problems) from None
                left_out |= places
            else:
                break
        if problems := [*problems, *names.unknown(plan, left_out)]:
            raise InvalidPlan(*problems)
        return plan

    def check(self) -> Plan:
        """Check names, variants and the lab's fault, and give the plan itself.

        Raises
        ------
        InvalidPlan
            With all problems.
        """
        if problems := list(names.unknown(self)):
            raise InvalidPlan(*problems)
        return self

    def variant(self, name: str) -> Variant:
        """The variant called ``name``, the plan's own first."""
        custom = self.custom_variants.get(name)
        if custom is not None:
            return custom.variant(name)
        found = variants.find(name, self.custom_variants)
        moved = found.node_local and self.cluster.node_local
        return replace(found, nameservers=(moved,), summary=f"nameserver {moved}") if moved else found

    @property
    def outline(self) -> dict[str, str]:
        """What is measured, a line for each name."""
        rounds, variants = counted(self.rounds, "round"), first_of(self.variants, MOST_NAMED)
        loads = [notebook.LOAD(load=load.label, seconds=f"{load.duration_s:g}") for load in self.loads]
        injected = self.fault.name != "none"
        return {
            "what": notebook.TRIALS(rounds=rounds, variants=variants) + f", {self.order}",
            "load": "; ".join(loads[:MOST_NAMED])
            + (f" and {len(loads) - MOST_NAMED} more" if loads[MOST_NAMED:] else ""),
            "names": first_of(self.names, MOST_NAMED),
            "fault": notebook.INJECTED(fault=str(self.fault)) if injected else "",
        }

    @property
    def load_s(self) -> float:
        """How long lookups or queries are sent in all, s."""
        one_after_another = max if self.order == "together" else sum
        in_turn = len(self.variants) if self.order == "in-turn" else 1
        return one_after_another(load.total_s for load in self.loads) * self.rounds * in_turn

    @property
    def facts(self) -> Facts:
        """What the plan measures, where, and how long that takes at least."""
        targets = first_of([target.name for target in self.targets], MOST_NAMED) if self.targets else ""
        lines = {
            **self.outline,
            "where": notebook.PLACE(backend=self.backend, where=targets) if targets else self.backend,
            "takes": notebook.PLAN_TIME(time=duration(self.load_s)),
            "state": notebook.PLAN_STATE(),
        }
        return Facts(notebook.PLAN(name=self.name), lines)

    def __repr__(self) -> str:
        return str(self.facts)

    def _repr_html_(self) -> str:
        yaml_text = f"<details><summary>The plan as YAML</summary><pre>{as_html_lines(self.to_yaml())}</pre></details>"
        return as_output(f"<div class='card'>{self.facts.to_html()}{yaml_text}</div>")

    @property
    def cache_addresses(self) -> frozenset[str]:
        """Where the plan's variants ask a node-local cache."""
        asked = [variant for variant in map(self.variant, self.variants) if variant.node_local]
        return frozenset(address for variant in asked for address in variant.nameservers_in_its_place)

    @property
    def in_cluster(self) -> bool:
        """Whether the plan loads a cluster's DNS, which others use too."""
        return self.backend in IN_CLUSTER

    @property
    def n_trials(self) -> int:
        """The number of trials on one target that follows all variants."""
        return len(self.variants) * len(self.loads) * self.rounds

    @property
    def order(self) -> Order:
        """The schedule, with its default filled in."""
        if self.schedule:
            return self.schedule
        return "in-turn" if any(load.loop == "closed" for load in self.loads) else "side-by-side"

    def to_yaml(self) -> str:
        """YAML text that ``planfile.load`` reads back to an equal plan."""
        data = self.model_dump(mode="json", exclude_none=True)
        if not self.in_cluster:  # what says nothing elsewhere is left out, unless somebody wrote it
            usual = Limits().model_dump()
            margin = "abort_margin"
            data["limits"] = {
                key: value for key, value in data["limits"].items() if key == margin or value != usual[key]
            }
            if self.cluster == ClusterPlan():
                del data["cluster"]
        data["fault"] = str(self.fault)
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
