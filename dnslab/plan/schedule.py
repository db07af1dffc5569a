"""A plan's trials in order, and the load that they put on DNS.

Pure. The same plan with the same seed gives the same trials each time. Knows nothing of how a trial is run.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dnslab.errors import InvalidPlan
from dnslab.plan import variants
from dnslab.plan.model import MAX_CLIENTS, Plan
from dnslab.plan.resolvconf import Libc, ResolverOptions, lookup_failure_s, names_tried
from dnslab.plan.variants import Means, Variant

#: by how much the probe's deadline exceeds the resolver's longest wait: a shorter deadline would cut stalls
DEADLINE_MARGIN_S = 1.0


@dataclass(frozen=True)
class TargetInfo:
    """What is known of a target before any trial, to decide which variants apply.

    ``workload`` is whose pod it is (``deploy/NAME``), since a rollout gives pods new names; ``""`` where nobody's.
    ``no_cache`` is why a variant that asks a node-local cache has nothing to ask; ``""`` where one answers.
    """

    name: str
    libc: Libc
    libc_version: str = ""
    means: Means = "file"
    workload: str = ""
    no_cache: str = ""


@dataclass(frozen=True)
class Trial:
    """One variant-load pair in one round. Trials of equal ``group`` run at the same time.

    ``targets`` are those on which the variant applies; ``number`` counts from 1 in the order of execution.
    """

    number: int
    round: int
    group: int
    variant: str
    load: int
    targets: tuple[str, ...]


def wanted(plan: Plan) -> Callable[[str, str], bool]:
    """Return a function that says whether the plan wants a variant on a target. A plan without targets wants all."""
    chosen = {target.name: None if target.variants is None else frozenset(target.variants) for target in plan.targets}

    def is_wanted(target: str, variant: str) -> bool:
        only = chosen.get(target)
        return not chosen or (target in chosen and (only is None or variant in only))

    return is_wanted


def applicable_targets(plan: Plan, targets: Sequence[TargetInfo]) -> Mapping[str, tuple[str, ...]]:
    """By variant, the targets that the plan asks for and whose C library follows the variant."""
    is_wanted = wanted(plan)
    names_of = {}
    for variant in map(plan.variant, plan.variants):
        names_of[variant.name] = tuple(
            target.name
            for target in targets
            if is_wanted(target.name, variant.name)
            if _not_applicable(variant, target) is None
        )
    return names_of


def not_applicable(plan: Plan, targets: Sequence[TargetInfo]) -> Mapping[tuple[str, str], str]:
    """By variant and target, why a pair is left out: the C library ignores it, or no cache answers."""
    reasons = {}
    for name in plan.variants:
        variant = plan.variant(name)
        for target in targets:
            if reason := _not_applicable(variant, target):
                reasons[name, target.name] = reason
    return reasons


def _not_applicable(variant: Variant, target: TargetInfo) -> str | None:
    if variant.node_local and target.no_cache:
        return target.no_cache
    return variants.not_applicable(variant, target.libc, target.libc_version, target.means)


def trials(plan: Plan, targets: Sequence[TargetInfo]) -> list[Trial]:
    """The plan's trials in order.

    Side by side: a group is all variants of one load in one round. Together: it is a whole round. In turn: each trial
    is a group; within a block of as many rounds as there are pairs, each pair stands once in each place (a cyclic Latin
    square with rows and columns shuffled by the seed), so that a drift cannot favour one variant.

    Raises
    ------
    InvalidPlan
        On so many targets these are more than ``MAX_CLIENTS``.
    """
    n_clients = plan.n_trials * len(targets)
    if n_clients > MAX_CLIENTS:
        raise InvalidPlan(
            f"expected at most {MAX_CLIENTS:,} trials, counted on each target, saw {n_clients:,}: ask for less"
        )
    chosen = applicable_targets(plan, targets)
    pairs = [(name, i, chosen[name]) for i in range(len(plan.loads)) for name in plan.variants if chosen[name]]
    rows = _in_turn(plan, pairs) if plan.order == "in-turn" else _side_by_side(plan, pairs)
    return [
        Trial(number, round_, group, variant, load_, chosen)
        for number, (round_, group, (variant, load_, chosen)) in enumerate(rows, 1)
    ]


_Pair = tuple[str, int, tuple[str, ...]]


def _side_by_side(plan: Plan, pairs: Sequence[_Pair]) -> list[tuple[int, int, _Pair]]:
    rows = []
    loads = [range(len(plan.loads))] if plan.order == "together" else [[i] for i in range(len(plan.loads))]
    in_order = itertools.product(range(1, plan.rounds + 1), loads)
    for group, (round_, at_once) in enumerate(in_order, 1):
        rows += [(round_, group, pair) for pair in pairs if pair[1] in at_once]
    return rows


def _in_turn(plan: Plan, pairs: Sequence[_Pair]) -> list[tuple[int, int, _Pair]]:
    generator = random.Random(plan.seed)
    rows: list[tuple[int, int, _Pair]] = []
    n = len(pairs)
    for round_ in range(1, plan.rounds + 1):
        index = (round_ - 1) % n if n else 0
        if index == 0:
            shifts, columns = generator.sample(range(n), n), generator.sample(list(pairs), n)
        for position in range(n):
            rows.append((round_, len(rows) + 1, columns[(position + shifts[index]) % n]))
    return rows


def in_groups(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials that run at the same time, group by group."""
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.group, []).append(trial)
    return list(groups.values())


def deadline_s(plan: Plan, options: ResolverOptions, n_candidates: int, libc: Libc = "glibc") -> float:
    """How long the probe waits for a lookup, s: the plan's own time, or longer than the resolver itself ever waits.

    Parameters
    ----------
    options
        In force for the lookup.
    n_candidates
        How many full names the resolver may try.
    """
    return plan.deadline_s or lookup_failure_s(options, n_candidates, libc) + DEADLINE_MARGIN_S


def longest_deadline_s(plan: Plan, options: ResolverOptions) -> float:
    """The longest deadline, s, of any variant where the targets' resolv.conf has ``options``."""
    names = {(name.count("."), name[-1]): name for name in plan.names}.values()  # which of them counts, no more
    in_force = [plan.variant(name).applied_to(options) for name in plan.variants]
    return max(deadline_s(plan, each, max(len(names_tried(name, each)) for name in names)) for each in in_force)


def count_clients(trials: Iterable[Trial]) -> int:
    """The number of clients: each trial has one on each of its targets."""
    return sum(len(trial.targets) for trial in trials)


@dataclass(frozen=True)
class Forecast:
    """What a plan will do: its trials, how they are grouped, and the load on DNS.

    ``load_s`` is how long all loads last together, one group after another. ``peak_lookups_per_s`` and
    ``peak_workers`` are of the group with the most of either, over all targets; the first is None for closed loops,
    whose rate is a result. ``not_applicable`` gives a reason by variant and target.
    """

    trials: tuple[Trial, ...]
    n_groups: int
    load_s: float
    peak_lookups_per_s: float | None
    peak_workers: int
    n_paced_lookups: int
    not_applicable: Mapping[tuple[str, str], str]


def forecast(plan: Plan, targets: Sequence[TargetInfo]) -> Forecast:
    """Forecast what ``plan`` will do on ``targets``."""
    in_order = trials(plan, targets)
    # Closed loops and paced loads never share a group: side by side it is of one load, in turn of one trial, and
    # together all loads are paced.
    groups = [[(plan.loads[trial.load], len(trial.targets)) for trial in group] for group in in_groups(in_order)]
    rates = [sum((load.rate_per_s or 0.0) * n for load, n in group) for group in groups]
    workers = [sum(load.workers * n for load, n in group if load.loop == "closed") for group in groups]
    lengths_s = [max(load.total_s for load, _ in group) for group in groups]
    return Forecast(
        tuple(in_order),
        len(groups),
        sum(lengths_s),
        max(rates, default=0.0) or None,
        max(workers, default=0),
        round(sum(rate * seconds for rate, seconds in zip(rates, lengths_s, strict=True))),
        not_applicable(plan, targets),
    )
