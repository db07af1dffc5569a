"""trial: what start.json says and what the probe is asked, from plan and facts alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dns.message
import pytest

from dnslab.errors import UsageError
from dnslab.measure.probe.job import ResolverPatch
from dnslab.measure.protocol import Expected, TargetFacts
from dnslab.measure.trial import describe, make_job
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import Trial
from dnslab.store.contents import ClientStart

CONF = "nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
EXPECTED = {"kubernetes.default": Expected("kubernetes.default.svc.cluster.local.", 1, 1)}


def facts(**changes: Any) -> TargetFacts:
    values = {"libc": "glibc", "libc_version": "2.36", "means": "file", "resolv_conf": CONF, "kernel": "Linux 6.1"}
    return TargetFacts(**{**values, **changes})


def described(variant: str, facts: TargetFacts, number: int = 1, **plan: Any) -> tuple[ClientStart, Any]:
    whole = Plan(variants=(variant,), **plan)
    trial = Trial(number, 1, 1, variant, 0, ("a",))
    about = describe(whole, trial, "a", facts, EXPECTED)
    return about, make_job(whole, trial, facts, about)


@pytest.mark.parametrize(
    ("libc", "conf", "stall_ms", "deadline_s"),
    [
        # three rounds of two 5 s waits at most for each of four names, and 1 s to spare
        ("glibc", CONF, 4500.0, 61.0),
        ("glibc", CONF.replace("ndots:5", "ndots:5 timeout:1 attempts:3"), 900.0, 13.0),
        ("glibc", CONF.replace("ndots:5", "ndots:5 use-vc"), 4500.0, 61.0),
        ("musl", CONF, 2250.0, 21.0),
    ],
)
def test_stall_and_deadline_follow_the_resolver(libc: str, conf: str, stall_ms: float, deadline_s: float) -> None:
    about, job = described("baseline", facts(libc=libc, resolv_conf=conf))
    assert (about.stall_ms, about.deadline_s, about.n_candidates) == (stall_ms, deadline_s, 4)
    assert (job.stall_ms, job.deadline_s) == (stall_ms, deadline_s)


@pytest.mark.parametrize(
    ("variant", "changes", "found", "n_asked"),
    [
        ("baseline", {}, EXPECTED["kubernetes.default"], 2),
        ("absolute", {}, EXPECTED["kubernetes.default"], 1),
        ("ndots-1", {"means": "_res"}, EXPECTED["kubernetes.default"], 3),
        ("baseline", {"libc": "musl"}, EXPECTED["kubernetes.default"], 2),
        ("baseline", {}, Expected("kubernetes.default.default.svc.cluster.local.", 0, 0, exists=False), 4),
    ],
)
def test_names_are_asked_for_until_one_is_found(
    variant: str, changes: dict[str, Any], found: Expected, n_asked: int
) -> None:
    plan, trial = Plan(variants=(variant,)), Trial(1, 1, 1, variant, 0, ("a",))
    assert describe(plan, trial, "a", facts(**changes), {"kubernetes.default": found}).n_asked == n_asked


def test_raw_queries_ask_for_the_full_name() -> None:
    """They walk no search list, so the first name that it makes would often not exist."""
    load = Load(engine="wire", rate_per_s=5, arrangement="pair-one-socket")
    about, job = described("baseline", facts(), loads=(load,))
    assert (about.names, about.n_asked, about.n_candidates) == (["kubernetes.default.svc.cluster.local."], 1, 1)
    assert [dns.message.from_wire(query).question[0].to_text() for query in job.entries] == [
        f"kubernetes.default.svc.cluster.local. IN {kind}" for kind in ("A", "AAAA")
    ]


def ports_of(variant: str = "use-vc", load: Mapping[str, Any] = {}, **keys: Any) -> tuple[str, int, int]:
    plan = Plan(
        **{
            "backend": "kubernetes",
            "cluster": ClusterPlan(existing="app=x"),
            "variants": ("baseline", "use-vc"),
            "loads": (Load(engine="wire", rate_per_s=50, **load),),
            **keys,
        }
    )
    trial = Trial(1, 1, 1, variant, 0, ("a",))
    about = describe(plan, trial, "a", facts(), EXPECTED)
    job = make_job(plan, trial, facts(), about)
    return job.ports, job.port_lane, job.n_port_lanes


def test_in_pods_engine_wire_walks_through_ports_each_variant_in_its_lane() -> None:
    assert [ports_of("baseline"), ports_of("use-vc")] == [("shared", 0, 2), ("shared", 1, 2)]
    assert ports_of(schedule="in-turn") == ("shared", 0, 1)
    assert ports_of(cluster=ClusterPlan()) == ("own", 0, 1)
    for load in ({"transport": "tcp"}, {"mode": "sticky"}, {"loop": "closed"}):
        assert ports_of(load=load) == ("kernel", 0, 0)
    assert ports_of(backend="lab", cluster=ClusterPlan()) == ("kernel", 0, 0)


def test_absolute_asks_for_what_baseline_resolved_to() -> None:
    about, job = described("absolute", facts())
    assert job.entries == (b"kubernetes.default.svc.cluster.local.",)
    assert about.n_candidates == 1


def test_only_what_the_variant_changes_is_patched_and_by_file_nothing() -> None:
    assert described("single-request", facts())[1].patch is None
    assert described("baseline", facts(means="_res"))[1].patch is None
    assert described("single-request", facts(means="_res"))[1].patch == ResolverPatch(frozenset({"single-request"}))
    assert described("timeout-1", facts(means="_res"))[1].patch == ResolverPatch(timeout_s=1, attempts=3)
    assert described("node-local", facts(means="_res"))[1].patch == ResolverPatch(nameserver=("169.254.20.10", 53))


def test_the_nameserver_of_the_run_is_patched_into_each_variant() -> None:
    here = facts(means="_res", extra={"nameserver_port": 5353})
    assert described("baseline", here)[1].patch == ResolverPatch(nameserver=("10.96.0.10", 5353))
    patch = described("single-request", here)[1].patch
    assert patch == ResolverPatch(frozenset({"single-request"}), nameserver=("10.96.0.10", 5353))


def test_each_arm_has_arrivals_of_its_own_and_the_same_each_time() -> None:
    seeds = [described("baseline", facts(), number, seed=seed)[1].seed for number in (1, 2) for seed in (1, 2**62)]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert described("baseline", facts(), 2, seed=1)[1].seed == seeds[2]


def test_the_wire_engine_needs_a_nameserver() -> None:
    with pytest.raises(UsageError, match="has no nameserver to send"):
        described("baseline", facts(resolv_conf=""), loads=(Load(engine="wire"),))
