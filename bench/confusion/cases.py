"""What is injected, and what is then true. Data; knows nothing of what a diagnosis says.

Strengths are such that users feel them: 1 % of lookups or more are touched, or the quantile of 99 % doubles. Where a
fault touches the pairs of baseline or TCP alone, lookups of that kind count.
"""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dnslab.explain.catalogue import CAUSES, causes_of_fault
from dnslab.measure.lab.faults import FAULTS, why_not_both
from dnslab.plan.faultplan import FaultPlan, OneFault, fault_names
from dnslab.plan.ladder import NAME

Kind = Literal["none", "learnt", "pair", "second injector", "outside"]

#: faults that a witness of the kernel or of the servers tells: the cause itself has to be named
BY_CAUSE = frozenset({"snat-clash", "checksum", "redirect", "truncation", "client-throttle"})
#: of faults that hit some names alone, those that are asked; the others are asked for ``NAME``
_LONG = (NAME, f"{'x' * 60}.any.cluster.local.")
NAMES: Mapping[str, tuple[str, ...]] = {
    "mtu": _LONG,
    "link-mtu": _LONG,
    "name-never-answers": (NAME, "mute.any.cluster.local."),
}
#: of held-out faults, where the default is not met as it is meant with the names above
HELD_OUT_STRENGTHS: Mapping[str, str] = {"link-mtu": "bytes=128"}
#: faults that the ladder does not meet: it never asks as fast as that
NOT_FELT = {"receive-buffer": "it shows at thousands of queries a second; the ladder sends a server at most 50"}

#: by fault, what it does besides: its answers are late so that a flow is forgotten meanwhile
BESIDES: Mapping[str, frozenset[str]] = {"clash-late": frozenset({"all-late"})}

#: faults that delay and lose nothing: another answers
UNFELT_BY_NATURE = frozenset({"redirect"})

#: as they are listed: two or three strengths of each fault
LISTED: Mapping[str, Sequence[str]] = {
    "race": ("p=0.02", "p=0.08", "p=0.3"),
    "loss": ("p=0.01", "p=0.04", "p=0.15"),
    "tcp-blocked": ("",),
    "outage": ("from=1,for=1", "from=1,for=3", "from=2,for=2"),
    "policy-late": ("for=1", "for=2", "for=4"),
    "pps-cap": ("rate=5", "rate=8", "rate=12"),
    "burst-cap": ("p=0.05", "p=0.15", "p=0.5"),
    "snat-clash": ("ports=10", "ports=13", "ports=16"),
    "table-full": ("flows=20", "flows=24", "flows=28"),
    "stuck-port": ("p=0.04", "p=0.1", "p=0.3"),
    # a flow of the ladder is asked every 1.3 s, and this fault forgets one that is idle for as long as its age
    "standing-flow": ("age=1.5", "age=2", "age=4"),
    "mtu": ("bytes=128",),
    "checksum": ("p=0.02", "p=0.08", "p=0.3"),
    "clash-late": ("p=0.1", "p=0.3", "p=0.6"),
    # with 100,000 rules, too few lookups are late to be felt; with 40 ms a query over TCP, none is
    "rule-length": ("rules=200000", "rules=300000"),
    "redirect": ("",),
    "slow-answer": ("ms=60", "ms=250", "ms=1200"),
    "slow-aaaa": ("ms=60", "ms=250", "ms=1200"),
    "one-dead-backend": ("",),
    "rcode": ("p=0.02", "p=0.1,code=5", "p=0.4", "p=0.1,type=1", "p=0.1,type=28"),
    "aaaa-rcode": ("code=2", "code=4", "code=5"),
    "truncation": ("p=0.05", "p=0.3", "p=1"),
    "refused-over-n": ("n=2,ms=100", "n=3,ms=100", "n=4,ms=200"),
    "upstream-one-dead": ("p=0.05,ms=2000", "p=0.2,ms=1000", "p=0.5,ms=2000"),
    "tcp-workers": ("n=1,ms=60", "n=1,ms=80", "n=2,ms=150"),
    "name-never-answers": ("",),
    "pause": ("ms=300,every=3", "ms=800,every=4", "ms=1500,every=6"),
    "server-throttle": ("cpu=0.05", "cpu=0.1", "cpu=0.2"),
    "client-throttle": ("cpu=0.05", "cpu=0.1"),
}
#: parameters that a seed draws, log-uniformly: lowest and highest that a user feels; whole numbers where both are
DRAWN: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "race": {"p": (0.01, 0.5)},
    "loss": {"p": (0.005, 0.2)},
    "outage": {"from": (0.5, 2.0), "for": (0.5, 3.0)},
    "policy-late": {"for": (0.5, 4.0)},
    "pps-cap": {"rate": (4, 13)},
    "burst-cap": {"p": (0.02, 0.6)},
    "snat-clash": {"ports": (10, 16)},
    "table-full": {"flows": (18, 29)},
    "stuck-port": {"p": (0.02, 0.3)},
    "standing-flow": {"age": (1.5, 6.0)},
    "checksum": {"p": (0.01, 0.4)},
    "clash-late": {"p": (0.05, 0.8)},
    "rule-length": {"rules": (150_000, 400_000)},
    "slow-answer": {"ms": (30, 2_000)},
    "slow-aaaa": {"ms": (30, 2_000)},
    "rcode": {"p": (0.01, 0.5)},
    "truncation": {"p": (0.01, 1.0)},
    "refused-over-n": {"n": (1, 4), "ms": (80, 300)},
    "upstream-one-dead": {"p": (0.02, 0.5), "ms": (400, 2_500)},
    "tcp-workers": {"n": (1, 2), "ms": (120, 200)},
    "pause": {"ms": (200, 2_000), "every": (2.0, 8.0)},
    "server-throttle": {"cpu": (0.03, 0.2)},
    "client-throttle": {"cpu": (0.03, 0.15)},
}
#: parameters that a seed chooses
CHOSEN: Mapping[str, Mapping[str, Sequence[float]]] = {
    "rcode": {"code": (2, 4, 5), "type": (0, 1, 28)},
    "aaaa-rcode": {"code": (2, 4, 5)},
}
#: two at once, each half at a strength that is recorded alone, too
PAIRS: Sequence[str] = (
    "race:p=0.3+loss:p=0.04",
    "race:p=0.3+one-dead-backend",
    "race:p=0.3+slow-aaaa:ms=250",
    "race:p=0.3+rcode:p=0.4",
    "race:p=0.3+tcp-blocked",
    "race:p=0.3+pause:ms=300,every=3",
    "loss:p=0.15+rcode:p=0.1,type=28",
    "loss:p=0.04+slow-answer:ms=250",
    "loss:p=0.04+tcp-blocked",
    "one-dead-backend+slow-answer:ms=250",
    "slow-aaaa:ms=250+rcode:p=0.1,type=1",
    "outage:from=1,for=1+rcode:p=0.4",
    "truncation:p=1+tcp-blocked",
    "checksum:p=0.3+slow-answer:ms=250",
    "server-throttle:cpu=0.1+tcp-blocked",
    "snat-clash:ports=10+aaaa-rcode:code=4",
)
N_DRAWN, N_PAIRS = 2, 15
#: faults that are drawn for no pair
NOT_PAIRED = ("mtu", "name-never-answers", "redirect", "rule-length")

#: kinds of trouble, by mechanism: what an answer is worth that has the wrong mechanism but the right kind
CLASSES: Mapping[str, tuple[str, ...]] = {
    "pairs": ("pair-second-lost",),
    "answers from elsewhere": ("answers-from-elsewhere", "answers-not-taken"),
    "flows": ("new-flows-lost", "some-ports-lost", "kept-flows-lost", "new-flows-slow"),
    "any packet": ("packets-lost", "lost-over-a-rate", "bad-checksums", "buffer-full", "large-answers-lost"),
    "for a time": ("all-lost-for-a-time", "all-lost-at-first", "pauses"),
    "one server or name": ("one-server-silent", "one-name-silent", "udp-silent"),
    "one family": ("aaaa-lost", "aaaa-late", "aaaa-errors"),
    "TCP": ("tcp-silent", "tcp-late", "truncated"),
    "errors": ("errors", "errors-when-busy", "cache-fails"),
    "delay": ("all-late", "some-late", "held-up", "client-held-up"),
    "who answers": ("answered-elsewhere",),
}


def class_of(mechanism: str) -> str:
    """The kind of trouble that a mechanism makes."""
    return next(name for name, mechanisms in CLASSES.items() if mechanism in mechanisms)


@dataclass(frozen=True)
class Truth:
    """What is true of one fault: any of ``causes`` by name, working by one of ``mechanisms``.

    ``besides`` are mechanisms that are true of it, too, but are not the answer. ``by_cause``: the cause itself has to
    be named. Of a fault ``outside`` the catalogue, ``mechanisms`` describe what lookups suffer: an answer may name one,
    but no cause of it is shown.
    """

    fault: str
    mechanisms: frozenset[str]
    causes: frozenset[str] = frozenset()
    by_cause: bool = False
    outside: bool = False
    besides: frozenset[str] = frozenset()

    @property
    def classes(self) -> set[str]:
        """The kinds of trouble that its mechanisms make."""
        return {class_of(mechanism) for mechanism in self.mechanisms}


@dataclass(frozen=True)
class Case:
    """What is injected, as text of a plan, what is true of it, and which names are asked."""

    fault: str
    kind: Kind
    truths: tuple[Truth, ...] = ()
    names: tuple[str, ...] = (NAME,)


NOTHING = Case("none", "none")


def learnt(fault: str) -> Case:
    """A fault of the lab by itself."""
    return Case(fault, "learnt", (truth_of(fault),), names_of(fault))


def pair(fault: str) -> Case:
    """Two faults of the lab at once."""
    truths = tuple(map(truth_of, fault.split("+")))
    return Case(fault, "pair", truths, names_of(fault))


def truth_of(fault: str) -> Truth:
    """What the catalogue says that a fault of the lab imitates."""
    name = fault.partition(":")[0]
    causes = {cause.name: cause.mechanism for cause in causes_of_fault(name)}
    if fault.startswith("rcode:") and "type=28" in fault:  # then it is as true that AAAA alone is answered with errors
        causes |= {cause.name: cause.mechanism for cause in causes_of_fault("aaaa-rcode")}
    besides = BESIDES.get(name, frozenset())
    return Truth(name, frozenset(causes.values()), frozenset(causes), by_cause=name in BY_CAUSE, besides=besides)


def names_of(fault: str) -> tuple[str, ...]:
    """The names to ask for, so that a fault of a few names is met."""
    return next((NAMES[name] for name in fault_names(fault) if name in NAMES), (NAME,))


def listed() -> list[Case]:
    """The cases as they are listed: each fault, then pairs."""
    texts = (f"{name}:{strength}".rstrip(":") for name, of_it in LISTED.items() for strength in of_it)
    return [*map(learnt, texts), *map(pair, PAIRS)]


def drawn(seed: int) -> list[Case]:
    """Cases of other strengths, and other pairs, that ``seed`` draws."""
    draw = random.Random(seed)
    texts = [text for name in LISTED for text in dict.fromkeys(_strength(name, draw) for _ in range(N_DRAWN))]
    halves = [text for text in texts if not text.startswith(NOT_PAIRED)]
    pairs = [f"{one}+{other}" for one in halves for other in halves if one < other and possible(one, other)]
    chosen: dict[frozenset[str], str] = {}
    for text in draw.sample(pairs, len(pairs)):
        chosen.setdefault(frozenset(fault_names(text)), text)
    return [*map(learnt, texts), *map(pair, list(chosen.values())[:N_PAIRS])]


def _strength(name: str, draw: random.Random) -> str:
    values = {key: _between(*ends, draw) for key, ends in DRAWN.get(name, {}).items()}
    values |= {key: draw.choice(options) for key, options in CHOSEN.get(name, {}).items()}
    if name == "mtu":
        values = {"bytes": 128.0}
    return str(OneFault(name=name, parameters=values))


def _between(low: float, high: float, draw: random.Random) -> float:
    value = math.exp(draw.uniform(math.log(low), math.log(high)))
    whole = isinstance(low, int) and isinstance(high, int)
    return float(round(value)) if whole else float(f"{value:.2g}")


def possible(one: str, other: str) -> bool:
    """Whether two faults can be injected together, and are two causes: of the same mechanism they would be one."""
    names = [text.partition(":")[0] for text in (one, other)]
    shared = truth_of(one).mechanisms & truth_of(other).mechanisms
    return not shared and not why_not_both(FAULTS[names[0]], FAULTS[names[1]])


def held_out() -> Iterator[Case]:
    """Faults that nobody had seen when the rules were written (``bench.held_out``), at the strengths that they have
    there."""
    for one in importlib.import_module("bench.held_out").HELD_OUT:
        name, truth = one.fault.name, one.truth
        fault = f"{name}:{HELD_OUT_STRENGTHS[name]}" if name in HELD_OUT_STRENGTHS else name
        causes = frozenset(filter(None, (truth.cause, *truth.also)))
        mechanisms = frozenset((*truth.mechanisms, *(CAUSES[cause].mechanism for cause in causes)))
        kind: Kind = "second injector" if causes else "outside"
        yield Case(fault, kind, (Truth(name, mechanisms, causes, outside=not causes),), names_of(fault))


def parsed(fault: str) -> FaultPlan:
    """The faults of a case as a plan has them."""
    return FaultPlan.parse(fault)
