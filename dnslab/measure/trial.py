"""One client: the content of its start.json, and the job for its probe.

Turns plan, trial and the target's facts into plain data, and does nothing else. ``group`` carries it out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from dnslab.errors import UsageError
from dnslab.measure.probe.job import RES_OPTIONS, Job, ResolverPatch, wire_query
from dnslab.measure.protocol import Expected, TargetFacts
from dnslab.plan import ports
from dnslab.plan.model import Load, Plan
from dnslab.plan.resolvconf import (
    DNS_PORT,
    Libc,
    ResolverOptions,
    attempt_timeout_s,
    libc_of,
    names_tried,
    parse,
    parse_endpoint,
)
from dnslab.plan.schedule import Trial, deadline_s
from dnslab.plan.stalls import stall_ms
from dnslab.plan.variants import Variant
from dnslab.sentences import machine as sentences
from dnslab.store.contents import ClientExtra, ClientStart

#: what glibc takes where resolv.conf does not say (resolv.h: RES_DFLRETRY, RES_TIMEOUT; resolv.conf(5): ndots)
RES_DEFAULTS = {"ndots": 1, "timeout": 5, "attempts": 2}
#: the probe ends by itself this long after the deadline of the last lookup it may make
HARD_DEADLINE_MARGIN_S = 60.0
#: the most workers that the probe replaces because a lookup never returned
MAX_REPLACED = 2_000


def describe(
    plan: Plan, trial: Trial, target: str, facts: TargetFacts, expected: Mapping[str, Expected]
) -> ClientStart:
    """The content of start.json for ``trial`` on ``target``, without the counters.

    Parameters
    ----------
    facts
        Of ``target``.
    expected
        As ``backend.expected`` gave it for the plan's names.

    Returns
    -------
    ClientStart
        ``names`` are as the variant asks for them, one for each of the plan's, and ``expected`` are their addresses
        ``[n_a, n_aaaa]``. Engine wire asks for the full name at once, as it walks no search list. ``stall_ms`` is the
        service time from which a lookup is a stall; ``use-vc``, which has no attempt timeout, takes baseline's.
    """
    variant = plan.variant(trial.variant)
    libc = libc_of(facts.libc)
    options = _in_force(plan, trial, facts)
    asked = [variant.name_asked(name, options, expected[name].absolute) for name in plan.names]
    if plan.loads[trial.load].engine == "wire":
        asked = [expected[name].absolute for name in plan.names]
    n_candidates = max(len(names_tried(name, options, libc)) for name in asked)
    return ClientStart(
        trial=trial.number,
        round=trial.round,
        group=trial.group,
        variant=trial.variant,
        load=trial.load,
        target=target,
        engine=plan.loads[trial.load].engine,
        arrangement=plan.loads[trial.load].arrangement,
        libc=facts.libc,
        libc_version=facts.libc_version,
        means=facts.means,
        resolv_conf=facts.resolv_conf,
        kernel=facts.kernel,
        node=facts.node,
        extra=ClientExtra.model_validate(dict(facts.extra)),
        names=asked,
        expected=[[expected[name].n_a, expected[name].n_aaaa] for name in plan.names],
        asks_aaaa=variant.asks_aaaa,
        n_candidates=n_candidates,
        n_asked=max(
            n_asked(name, expected[given], options, libc) for name, given in zip(asked, plan.names, strict=True)
        ),
        attempt_timeout_s=attempt_timeout_s(options, libc),
        stall_ms=stall_ms(attempt_timeout_s(_over_udp(options), libc) or 0.0),
        deadline_s=deadline_s(plan, options, n_candidates, libc),
        started_realtime_ns=time.time_ns(),
        counters={},
    )


def n_asked(name: str, expected: Expected, options: ResolverOptions, libc: Libc) -> int:
    """How many of the names that the search list makes are asked for until one has addresses."""
    tried = names_tried(name, options, libc)
    is_found = expected.absolute in tried and (expected.n_a or expected.n_aaaa)
    return tried.index(expected.absolute) + 1 if is_found else len(tried)


def make_job(plan: Plan, trial: Trial, facts: TargetFacts, start: ClientStart) -> Job:
    """The probe's job for ``trial`` on one target.

    Parameters
    ----------
    facts
        Of the target.
    start
        As ``describe`` gave it.
    """
    load = plan.loads[trial.load]
    options = _in_force(plan, trial, facts)
    return Job(
        engine=load.engine,
        loop=load.loop,
        mode=load.mode,
        workers=load.workers,
        entries=_entries(load, start.names, options),
        rate_per_s=load.rate_per_s if load.loop != "closed" and load.rate_per_s else 0.0,
        warmup_s=load.warmup_s,
        duration_s=load.duration_s,
        deadline_s=start.deadline_s,
        hard_deadline_s=load.total_s + start.deadline_s + HARD_DEADLINE_MARGIN_S,
        limit_ms=plan.limit_ms,
        stall_ms=start.stall_ms,
        seed=_seed(plan.seed, trial.number, start.target),
        max_replaced=MAX_REPLACED,
        patch=_patch(plan.variant(trial.variant), facts) if facts.means == "_res" and load.engine == "libc" else None,
        arrangement=load.arrangement,
        transport=load.transport,
        nameserver=_asked(load, options, facts) if load.engine == "wire" else None,
        **_ports(plan, trial, load),
    )


def _ports(plan: Plan, trial: Trial, load: Load) -> dict[str, Any]:
    """Who chooses source ports: the kernel, or the probe, in its lane beside the probes of other variants."""
    if not ports.are_chosen(plan, load):
        return {}
    lane, lanes = ports.lane(plan, trial.variant, trial.load), ports.n_lanes(plan)
    return {"ports": "shared" if plan.cluster.existing else "own", "port_lane": lane, "n_port_lanes": lanes}


def _seed(seed: int, number: int, target: str) -> int:
    """A different seed for each client. Clients that all ask at the same instants would measure each other."""
    return int.from_bytes(sha256(f"{seed}/{number}/{target}".encode()).digest()[:8], "little")


def _in_force(plan: Plan, trial: Trial, facts: TargetFacts) -> ResolverOptions:
    """The resolver options that are in force for the probe.

    Where the variant is applied by file, the target's resolv.conf has it already. Where it is applied inside the
    process, the probe will add it.
    """
    options = parse(facts.resolv_conf, libc_of(facts.libc), facts.libc_version)
    return plan.variant(trial.variant).applied_to(options) if facts.means == "_res" else options


def _over_udp(options: ResolverOptions) -> ResolverOptions:
    return replace(options, flags=tuple(flag for flag in options.flags if flag != "use-vc"))


def _asked(load: Load, options: ResolverOptions, facts: TargetFacts) -> tuple[str, int]:
    return parse_endpoint(load.server) if load.server else _endpoint(options, facts)


def _endpoint(options: ResolverOptions, facts: TargetFacts) -> tuple[str, int]:
    if not options.nameservers:
        raise UsageError(str(sentences.NO_NAMESERVER))
    return options.nameservers[0], int(facts.extra.get("nameserver_port", DNS_PORT))


def _patch(variant: Variant, facts: TargetFacts) -> ResolverPatch | None:
    """What the variant changes, and the run's own nameserver. All else stays as that libc read it from the file."""
    if variant.whole is not None:
        return _patch_to(variant.whole, parse(facts.resolv_conf, libc_of(facts.libc), facts.libc_version))
    nameserver = None
    if variant.nameservers_in_its_place:
        nameserver = (variant.nameservers_in_its_place[0], DNS_PORT)
    elif "nameserver_port" in facts.extra:
        nameserver = _endpoint(parse(facts.resolv_conf), facts)
    patch = ResolverPatch(frozenset(variant.options), variant.ndots, variant.timeout_s, variant.attempts, nameserver)
    return None if patch == ResolverPatch() else patch


def _patch_to(whole: ResolverOptions, now: ResolverOptions) -> ResolverPatch | None:
    """What makes a process that read ``now`` resolve by ``whole``; None where they are equal.

    Raises
    ------
    UsageError
        A running process cannot be given it.
    """
    if whole.search != now.search:
        raise UsageError(str(sentences.SEARCH_DIFFERS))
    same_servers = whole.nameservers == now.nameservers
    if not same_servers and len(whole.nameservers) != 1:
        raise UsageError(str(sentences.NAMESERVERS_DIFFER))
    if whole == now:
        return None
    return ResolverPatch(
        frozenset(whole.flags) & RES_OPTIONS.keys(),
        RES_DEFAULTS["ndots"] if whole.ndots is None else whole.ndots,
        RES_DEFAULTS["timeout"] if whole.timeout_s is None else whole.timeout_s,
        RES_DEFAULTS["attempts"] if whole.attempts is None else whole.attempts,
        None if same_servers else (whole.nameservers[0], DNS_PORT),
        clears=True,
    )


def _entries(load: Load, names: Sequence[str], options: ResolverOptions) -> tuple[bytes, ...]:
    if load.engine == "libc":
        return tuple(name.encode("ascii") for name in names)
    absolute = [names_tried(name, options)[0] for name in names]
    if load.arrangement == "single":
        return tuple(wire_query(name, load.record_type or "A") for name in absolute)
    return tuple(wire_query(name, rdtype) for name in absolute for rdtype in ("A", "AAAA"))
