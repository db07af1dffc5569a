"""The ladder of a diagnosis as data: its rungs, the plan of each, and which rung follows from what was seen.

Pure. A rung is a plan whose arms differ in one point. Knows nothing of how a plan is carried out or judged.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dnslab.plan import ports
from dnslab.plan.arms import ARMS, Arm, Places, arm_load, queries_per_s
from dnslab.plan.model import Load, Plan
from dnslab.sentences import Sentence, ladder as said

#: the longest that a diagnosis takes, unless another time is asked for
BUDGET_S = 180.0
#: queries a second that each server gets at most, unless more is asked for
MOST_PER_S = 50.0
#: arrivals a second of each arm at first, and at most later
START_PER_S, ARM_MOST_PER_S = 5.0, 25.0
#: arrivals a second of the control, which watches over DNS beside the other arms
CONTROL_PER_S = 2.0
#: and at most this part of all queries that a server gets
CONTROL_SHARE = 0.2
#: for an answer to a query, s: a first packet over TCP is sent again after 1 s, and answered then
DEADLINE_S = 2.5
#: a cluster may have many servers: as many are asked one by one
MOST_ENDPOINTS = 6
#: full, so that a query is a query: the search list is a matter of configuration
NAME = "kubernetes.default.svc.cluster.local."
#: a lookup that lost a packet takes longer: so much is reckoned with for each round
STALL_S = 10.0
#: lookups that may be in flight: enough while half of them stall
LEAST_WORKERS, MOST_WORKERS = 100, 1_000
#: configurations of the C library, by what each leaves out
VARIANTS = ("baseline", "use-vc", "single-request", "single-request-reopen", "no-aaaa", "node-local")

#: what asks a cluster, after a diagnosis in the lab
IN_CLUSTER = "dnslab diagnose --backend kubernetes --namespace NAMESPACE --like deploy/NAME"


@dataclass(frozen=True)
class Rung:
    """One step of the ladder.

    ``arms`` are sent together, each at ``per_s`` arrivals a second or fewer, for ``load_s`` in each of ``rounds``; a
    rung without arms compares configurations of the C library. ``separates`` says what it tells apart.
    """

    name: str
    separates: Sentence
    load_s: float
    rounds: int = 1
    arms: tuple[Arm, ...] = ()
    per_s: float = START_PER_S
    each_place: bool = False


ALIVE = Rung("alive", said.SEPARATES_ALIVE, 3.0, arms=("a", "tcp"), per_s=1.5)
FEW = Rung("arms", said.SEPARATES_ARMS, 6.0, arms=tuple(ARMS))
MORE = Rung("more", said.SEPARATES_MORE, 10.0, arms=tuple(ARMS), per_s=ARM_MOST_PER_S)
LIBC = Rung("libc", said.SEPARATES_LIBC, 5.0, rounds=3, per_s=ARM_MOST_PER_S)
PLACE = Rung("place", said.SEPARATES_PLACE, 8.0, arms=("a", "tcp", "standing"), per_s=ARM_MOST_PER_S, each_place=True)
LONG = Rung("long", said.SEPARATES_LONG, 40.0, arms=tuple(ARMS), per_s=6.0)
RUNGS = (ALIVE, FEW, MORE, LIBC, PLACE, LONG)


@dataclass(frozen=True)
class Seen:
    """What the rungs so far showed.

    ``dead``: no query was answered, by whatever arm. ``trouble``: something was lost, late or refused beyond chance;
    ``everywhere``: single queries on new sockets and on kept ones alike. ``too_little``: lookups or queries were bad,
    and too few to tell why.
    """

    dead: bool = False
    trouble: bool = False
    everywhere: bool = False
    too_little: bool = False


def next_rung(done: Collection[str], seen: Seen, by_place: bool = True) -> Rung | None:
    """The rung that evidence asks for next; None when the ladder has ended.

    ``by_place`` says whether DNS can be asked at other addresses than usual.
    """
    left_out = {*done} if by_place else {*done, PLACE.name}
    return next((rung for rung in _order(seen) if rung.name not in left_out), None)


def _order(seen: Seen) -> Sequence[Rung]:
    if seen.dead:  # more queries would get no answer either
        return (ALIVE, PLACE)
    # Where one cause is shown, a second may hide behind it: all rungs are climbed.
    at_last = (LONG,) if seen.too_little else ()
    if seen.everywhere:
        return (ALIVE, FEW, PLACE, MORE, LIBC, *at_last)
    if seen.trouble:
        return (ALIVE, FEW, MORE, LIBC, PLACE, *at_last)
    return (ALIVE, FEW, MORE, LIBC, *at_last)


def plan_of(
    rung: Rung,
    base: Plan,
    places: Places,
    most_per_s: float = MOST_PER_S,
    asked: str = "",
    *,
    n_targets: int = 1,
) -> Plan:
    """The plan of ``rung``.

    Parameters
    ----------
    base
        Says where and what: backend, cluster, targets, names, fault, limits.
    places
        Where DNS can be asked. Unknown servers count as one.
    most_per_s
        Queries a second that each server may get. Where more than usual may be asked, rungs at a high rate ask more in
        proportion: what shows at a rate alone, such as a full buffer, is met in no other way.
    asked
        The address of the first nameserver of resolv.conf, where it is known, which is not asked twice.
    n_targets
        From how many targets the servers are asked at the same time.
    """
    if rung.per_s == ARM_MOST_PER_S:
        rung = replace(rung, per_s=rung.per_s * max(1.0, most_per_s / MOST_PER_S))
    most_per_s /= n_targets
    variants = ("baseline",) if rung.arms else base.variants
    if rung.arms:
        loads = _arm_loads(rung, places, most_per_s, asked)
    else:
        rate_per_s = _rate(most_per_s * _n_servers(places) / (2 * len(variants)), rung)
        workers = min(MOST_WORKERS, max(LEAST_WORKERS, math.ceil(rate_per_s * STALL_S / 2)))
        loads = (Load(rate_per_s=rate_per_s, duration_s=rung.load_s, warmup_s=0.0, workers=workers),)
    changes = {
        "name": rung.name,
        "loads": [load.model_dump(exclude_unset=True) for load in loads],
        "variants": variants,
        "schedule": "together" if rung.arms else "side-by-side",
        "rounds": rung.rounds,
        "deadline_s": DEADLINE_S if rung.arms else None,
    }
    return _with_ports(Plan.of({**base.model_dump(), **changes}))


def _with_ports(plan: Plan) -> Plan:
    """The same at a rate for which the source ports of each pod suffice; all arms keep one rate."""
    fits = min(ports.most_per_s(plan, load) for load in plan.loads)
    if fits == math.inf:
        return plan
    most = float(math.floor(fits)) if fits >= 1 else fits
    loads = [load.model_copy(update={"rate_per_s": min(load.rate_per_s or most, most)}) for load in plan.loads]
    return plan.model_copy(update={"loads": tuple(loads)})


def base_plan(
    backend: str,
    names: Sequence[str] = (),
    targets: Sequence[str] = (),
    *,
    fault: Sequence[str] | str = "none",
    nameserver: str | None = None,
    cluster: Mapping[str, Any] = {},
    allow_external: bool = False,
) -> Plan:
    """The plan that says where and what a diagnosis asks; each rung adds its loads.

    Raises
    ------
    InvalidPlan
        With all that is wrong.
    """
    return Plan.of(
        {
            "backend": backend,
            "nameserver": nameserver,
            "names": names or (NAME,),
            "fault": fault,
            "targets": targets or (("glibc",) if backend == "lab" else ()),
            "variants": VARIANTS if backend != "local" else VARIANTS[:-1],
            "cluster": cluster,
            "limits": {"allow_external": allow_external},
        }
    )


def _n_servers(places: Places) -> int:
    return max(1, len(places.endpoints))


def _arm_loads(rung: Rung, places: Places, most_per_s: float, asked: str) -> tuple[Load, ...]:
    control = arm_load("a", min(CONTROL_PER_S, CONTROL_SHARE * most_per_s), rung.load_s)
    others = (*places.services, *places.endpoints[:MOST_ENDPOINTS]) if rung.each_place else ()
    servers = (None, *(address for address in others if address != asked))
    once = sum(queries_per_s(arm_load(arm, 1.0, rung.load_s)) for arm in rung.arms)
    # Asked by itself, a server gets all queries of its arms, beside its part of those to the Service.
    n_shared = sum(server not in places.endpoints for server in servers)
    parts = n_shared / _n_servers(places) + (n_shared < len(servers))
    rate_per_s = _rate((most_per_s - queries_per_s(control)) / (once * parts), rung)
    return (control, *(arm_load(arm, rate_per_s, rung.load_s, server) for server in servers for arm in rung.arms))


def _rate(fits_per_s: float, rung: Rung) -> float:
    """A rate that fits, in whole arrivals a second where it is 1 or more."""
    rate_per_s = min(rung.per_s, fits_per_s)
    return float(math.floor(rate_per_s)) if rate_per_s >= 1 else rate_per_s


def per_server_per_s(plan: Plan, places: Places, n_targets: int = 1) -> float:
    """Queries a second that the busiest server gets from ``plan``, where its servers share what a Service gets."""
    return n_targets * _from_one_target(plan, places)


def _from_one_target(plan: Plan, places: Places) -> float:
    if any(load.engine == "libc" for load in plan.loads):
        return sum(map(queries_per_s, plan.loads)) * len(plan.variants) / _n_servers(places)
    by_itself, shared = dict.fromkeys(places.endpoints, 0.0), 0.0
    for load in plan.loads:
        if load.server in by_itself:
            by_itself[load.server] += queries_per_s(load)
        else:
            shared += queries_per_s(load)
    return shared / _n_servers(places) + max(by_itself.values(), default=0.0)


@dataclass(frozen=True)
class Ladder:
    """What a diagnosis is asked to do: where and what (``base``), where DNS can be asked, for how long, and how many
    queries a second each server gets at most. ``asked`` is the first nameserver of resolv.conf, where it is known;
    ``n_targets`` ask at the same time; ``wait_s``, for how long a sentinel waits for trouble first."""

    base: Plan
    places: Places
    budget_s: float = BUDGET_S
    most_per_s: float = MOST_PER_S
    asked: str = ""
    wait_s: float = 0.0
    n_targets: int = 1

    @property
    def by_place(self) -> bool:
        """Whether there are other addresses to ask than the first nameserver's."""
        return bool({*self.places.services, *self.places.endpoints} - {self.asked})

    def plan_of(self, rung: Rung) -> Plan:
        """The plan of ``rung``; see the function ``plan_of``."""
        return plan_of(rung, self.base, self.places, self.most_per_s, self.asked, n_targets=self.n_targets)

    def per_server_per_s(self, plan: Plan) -> float:
        """Queries a second that the busiest server gets from ``plan``."""
        return per_server_per_s(plan, self.places, self.n_targets)

    @property
    def command(self) -> str:
        """The command that asks for the same diagnosis."""
        base, cluster, words = self.base, self.base.cluster, ["dnslab", "diagnose"]
        usual_targets = ("glibc",) if base.backend == "lab" else ()
        targets = tuple(target.name for target in base.targets)
        faults = [str(fault) for fault in base.fault.parts if fault.name != "none"]
        options: dict[str, Sequence[str | None]] = {
            "--backend": [base.backend if base.backend != "lab" else None],
            "--nameserver": [base.nameserver],
            "--target": targets if targets != usual_targets else (),
            "--name": base.names if base.names != (NAME,) else (),
            "--fault": faults,
            "--budget": [f"{self.budget_s:g}s" if self.budget_s != BUDGET_S else None],
            "--load": [f"{self.most_per_s:g}" if self.most_per_s != MOST_PER_S else None],
            "--wait": [f"{self.wait_s:g}s" if self.wait_s else None],
            "--context": [cluster.context],
            "--namespace": [cluster.namespace],
            "--image": cluster.images,
            "--like": [cluster.like],
            "--nodes": [cluster.nodes if cluster.nodes != "1" else None],
            "--in": [cluster.existing],
            "--container": [cluster.container],
            "--ephemeral-container": [cluster.debug_image],
        }
        words += [word for option, values in options.items() for value in values if value for word in (option, value)]
        flags = {"--node-counters": cluster.node_counters, "--allow-external": base.limits.allow_external}
        return shlex.join([*words, *(flag for flag, given in flags.items() if given)])
