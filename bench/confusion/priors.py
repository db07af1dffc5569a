"""What an answer is worth in the field: predictive values for stated shares of what is there. Pure.

No survey says how often each cause is met, so the shares are assumptions, and each has a name that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.confusion.score import Scored

#: weight of a cause, by fault; those that are not listed share what is left alike
OFTEN: Mapping[str, float] = {
    "slow-answer": 0.15,
    "server-throttle": 0.12,
    "loss": 0.10,
    "rcode": 0.10,
    "one-dead-backend": 0.08,
    "race": 0.05,
}


@dataclass(frozen=True)
class Prior:
    """An assumption: ``nothing`` is the share of diagnoses where nothing is wrong, ``weights`` are of faults among the
    others."""

    name: str
    nothing: float
    weights: Mapping[str, float]

    def weight(self, fault: str, faults: Sequence[str]) -> float:
        """The share of diagnoses in which ``fault`` is there, of all ``faults``."""
        rest = [name for name in faults if name not in self.weights]
        there = sum(self.weights.get(name, 0.0) for name in faults)
        each = max(0.0, 1 - there) / len(rest) if rest else 0.0
        total = there + each * len(rest)
        return (1 - self.nothing) * self.weights.get(fault, each) / total if total else 0.0


PRIORS = (
    Prior("half are healthy, all causes alike", 0.5, {}),
    Prior("nine in ten are healthy, all causes alike", 0.9, {}),
    Prior("half are healthy, some causes more often", 0.5, OFTEN),
)


@dataclass(frozen=True)
class Value:
    """How often an answer is true where it is given (``true``), and how often it is given (``given``)."""

    true: float
    given: float


def value(
    prior: Prior, scored: Iterable[Scored], given: Callable[[Scored], bool], true: Callable[[Scored], bool]
) -> Value:
    """The predictive value of an answer, from runs of single faults and of none; each fault's runs count alike."""
    by_fault: dict[str, list[Scored]] = {}
    for one in scored:
        if one.case.kind in ("learnt", "none"):
            by_fault.setdefault(one.case.fault.partition(":")[0], []).append(one)
    faults = [name for name in by_fault if name != "none"]
    n_given = n_true = 0.0
    for name, runs in by_fault.items():
        weight = prior.nothing if name == "none" else prior.weight(name, faults)
        n_given += weight * sum(map(given, runs)) / len(runs)
        n_true += weight * sum(given(one) and true(one) for one in runs) / len(runs)
    return Value(n_true / n_given if n_given else float("nan"), n_given)
