"""What stalls a configuration that asks a node-local cache, beside what ails the one that is asked about: the troubles
of the cache itself, where a kernel counted them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from dnslab.analyse.observed import Observed
from dnslab.explain.engine import RankedCause, RankedMechanism, Word, rank
from dnslab.explain.sign import Sign, State
from dnslab.explain.signs import read

#: that lookups stall with a node-local cache
SIGN = "cache-stalls"
#: names of configurations that ask the cache begin with it
NODE_LOCAL = "node-local"


@dataclass(frozen=True)
class OfCache:
    """A cause that is shown for ``variant`` alone, with its mechanism, and the signs that were read."""

    variant: str
    cause: RankedCause
    mechanism: RankedMechanism
    signs: Mapping[str, Sign]


def set_apart(signs: Mapping[str, Sign], found: Collection[OfCache]) -> dict[str, Sign]:
    """``signs`` of the configuration that is asked about, without the trouble that the cache has by itself."""
    apart = {SIGN: replace(signs[SIGN], state=State.NOT_MEASURED)} if found else {}
    return {**signs, **apart}


def causes_of_cache(observed: Observed) -> Iterator[OfCache]:
    """Each cause once, for the configuration with the most stalls."""
    others = [one for name, one in observed.numbers.items() if name.startswith(NODE_LOCAL) and name != observed.subject]
    stalling, named = [one for one in others if one.stalls], set()
    for one in sorted(stalling, key=lambda numbers: -numbers.stalls):
        signs = read(observed.about(one.variant))
        for mechanism in rank(signs).found:
            for cause in mechanism.causes:
                if cause.word is Word.SHOWN and cause.cause.group == "cache" and cause.cause.name not in named:
                    named.add(cause.cause.name)
                    yield OfCache(one.variant, cause, mechanism, signs)
