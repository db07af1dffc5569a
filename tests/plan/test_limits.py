"""limits: what is refused, by what is said of it, and which option allows it."""

from __future__ import annotations

from typing import Any

import pytest

from dnslab.errors import UsageError
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.limits import check_load, check_names, cluster_zone, fitted
from dnslab.plan.model import Limits, Load, Plan
from dnslab.plan.planfile import load
from dnslab.plan.schedule import TargetInfo

RESOLV_CONF = "search web.svc.corp.test svc.corp.test corp.test\nnameserver 10.96.0.10\noptions ndots:5\n"
TARGETS = [TargetInfo(name, "glibc") for name in ("a", "b")]


def plan(**keys: Any) -> Plan:
    return Plan(**{"backend": "kubernetes", "variants": ("baseline", "use-vc"), "rounds": 2, **keys})


CLOSED = Load(loop="closed", workers=251)
LONG = Load(rate_per_s=500, duration_s=1250, warmup_s=0)

CAPS = [
    # 2 targets x 2 variants at the same time
    (plan(loads=(Load(rate_per_s=500.5),)), r"2,002 lookups/s .* 2 targets, with 2 conf.* 2,000: .*-rate 2002$"),
    (plan(loads=(Load(rate_per_s=500.1),)), r"up to 2,000 lookups/s .*--max-rate 2001$"),
    # in turn, one variant at a time
    (plan(loads=(Load(rate_per_s=1001),), schedule="in-turn"), r"up to 2,002 lookups/s"),
    (plan(loads=(CLOSED,), schedule="side-by-side"), r"up to 1,004 closed-loop workers .*--max-workers 1004$"),
    # 500/s x 1,250 s x 4 x 2 rounds is 5 million exactly
    (plan(loads=(LONG.model_copy(update={"warmup_s": 0.5}),)), r"up to 5,002,000 lookups in total .*-total 5002000$"),
    (plan(limits=Limits(max_rate_per_s=100)), r"up to 800 lookups/s .*, but a cluster allows 100: .*--max-rate 800$"),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "says"), CAPS)
def test_more_than_allowed_is_refused(wanted: Plan, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_load(wanted, TARGETS)
    check_load(wanted.model_copy(update={"backend": "lab"}), TARGETS)
    raised = Limits(max_rate_per_s=2002, max_workers=1004, max_lookups=5_002_000)
    check_load(wanted.model_copy(update={"limits": raised}), TARGETS)


def wire(rate: float, **keys: Any) -> Load:
    return Load(engine="wire", rate_per_s=rate, arrangement="pair-one-socket", **keys)


@pytest.mark.parametrize(
    ("load_", "keys", "most"),
    [
        (wire(300), {}, 126),  # 85 % of 28,232 ports in 190 s
        (wire(100), {"schedule": "side-by-side"}, 59),
        (wire(100, duration_s=0.5), {}, 91),  # 1 s: few arrivals scatter more
        (wire(100).model_copy(update={"arrangement": "pair-two-sockets"}), {}, 63),
        (wire(999).model_copy(update={"duration_s": 60.0}), {"cluster": ClusterPlan()}, 450),
    ],
)
def test_engine_wire_is_refused_where_its_ports_do_not_suffice(load_: Load, keys: dict[str, Any], most: int) -> None:
    shared = {"cluster": ClusterPlan(existing="app=x"), "schedule": "in-turn", **keys}
    with pytest.raises(UsageError, match=rf"uses no source port twice within 180 s.* At most {most} lookups/s fit "):
        check_load(plan(loads=(load_,), **shared), TARGETS)
    for changes in ({"rate_per_s": most}, {"transport": "tcp"}, {"mode": "sticky"}):
        check_load(plan(loads=(load_.model_copy(update=changes),), **shared), TARGETS)


@pytest.mark.parametrize("one", [Load(rate_per_s=500), LONG, CLOSED.model_copy(update={"workers": 250})])
def test_as_much_as_allowed_is_not(one: Load) -> None:
    check_load(plan(loads=(one,), schedule="side-by-side"), TARGETS)


def test_a_closed_loop_of_200_on_one_pod_is_allowed() -> None:
    check_load(plan(loads=(Load(loop="closed", workers=200),)), TARGETS[:1])


@pytest.mark.parametrize(
    ("name", "absolute", "outside"),
    [
        ("web", "web.web.svc.corp.test.", False),
        ("WEB.Corp.Test.", "WEB.Corp.Test.", False),
        ("example.org", "example.org.", True),
        ("example.org", "example.org.corp.test.", False),
        ("corp.test.example.org", "corp.test.example.org.", True),
        ("notcorp.test.", "notcorp.test.", True),
        ("web.cluster.local.", "web.cluster.local.", True),
    ],
)
def test_names_outside_the_cluster_are_refused(name: str, absolute: str, outside: bool) -> None:
    wanted = plan(names=(name,))
    for allowed in (wanted.model_copy(update={"limits": Limits(allow_external=True)}), Plan(names=(name,))):
        check_names(allowed, {name: absolute}, RESOLV_CONF)
    if not outside:
        check_names(wanted, {name: absolute}, RESOLV_CONF)
        return
    with pytest.raises(UsageError, match=rf"^'{name}' is a name outside .*as {absolute}, .* corp.test\..*--allow-ext"):
        check_names(wanted, {name: absolute}, RESOLV_CONF)


def test_the_zone_is_the_search_lists() -> None:
    assert cluster_zone(RESOLV_CONF) == "corp.test"
    assert cluster_zone("search svc.svc.corp.test svc.corp.test corp.test ec2.internal\n") == "corp.test"
    assert cluster_zone("search example.org\n") == cluster_zone("") == "cluster.local"


def test_limits_are_in_a_clusters_plan() -> None:
    wanted = plan(limits=Limits(max_rate_per_s=5000, allow_external=True, abort_margin=0.5))
    assert load(wanted.to_yaml()) == wanted
    elsewhere = Plan(limits=Limits(abort_margin=0.5))
    assert load(elsewhere.to_yaml()) == elsewhere
    assert "max_" not in elsewhere.to_yaml()


def test_a_rate_that_nobody_gave_is_lowered_to_fit_and_no_other() -> None:
    six = tuple(f"v{i}" for i in range(6))
    many = {"variants": six, "custom_variants": {key: {"options": ["ndots:1"]} for key in six}}
    assert fitted(plan(**many), TARGETS).loads[0].rate_per_s == 166  # of 200: 6 variants on 2 targets, 2,000 in all
    check_load(fitted(plan(**many), TARGETS), TARGETS)
    given = plan(**many, loads=(Load(rate_per_s=200),))
    assert fitted(given, TARGETS) is given
    assert fitted(plan(), TARGETS) == plan()
    lab = plan(**many, backend="lab", limits=Limits(max_rate_per_s=10))
    assert fitted(lab, TARGETS) is lab
    small = fitted(plan(limits=Limits(max_rate_per_s=2)), TARGETS).loads[0].rate_per_s
    assert small == pytest.approx(0.5)
