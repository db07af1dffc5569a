"""Which targets of two runs are the same: by C library, name, workload or node. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MatchedBy:
    """A target, and what finds its match in another run."""

    name: str
    libc: str
    workload: str = ""
    node: str | None = None


def match_targets(
    before: Sequence[MatchedBy], after: Sequence[MatchedBy]
) -> tuple[dict[str, str], tuple[list[str], list[str]]]:
    """Match the targets of two runs: by C library if each run has only one target with it, else by name, else by
    workload and C library, since a rollout gives pods new names: those on one node first, then in order.

    Gives the later target for each earlier one, and the targets of each run that have no match.

    >>> before = [MatchedBy("pod-1", "glibc"), MatchedBy("a", "musl"), MatchedBy("b", "musl")]
    >>> match_targets(before, [MatchedBy("pod-7", "glibc"), MatchedBy("b", "musl")])
    ({'pod-1': 'pod-7', 'b': 'b'}, (['a'], []))
    """
    matched: dict[str, str] = {}

    def match(alike: Callable[[MatchedBy, MatchedBy], bool]) -> None:
        for earlier in before:
            free = [later for later in after if later.name not in matched.values()]
            found = next((later for later in free if alike(earlier, later)), None)
            if earlier.name not in matched and found:
                matched[earlier.name] = found.name

    def replicas(earlier: MatchedBy, later: MatchedBy) -> bool:
        return bool(earlier.workload) and (earlier.workload, earlier.libc) == (later.workload, later.libc)

    for libc in dict.fromkeys(target.libc for target in before):
        ones, others = ([target.name for target in side if target.libc == libc] for side in (before, after))
        if len(ones) == len(others) == 1:
            matched[ones[0]] = others[0]
    match(lambda earlier, later: later.name == earlier.name)
    match(lambda earlier, later: replicas(earlier, later) and later.node == earlier.node is not None)
    match(replicas)
    alone = (
        [target.name for target in before if target.name not in matched],
        [target.name for target in after if target.name not in matched.values()],
    )
    return matched, alone
