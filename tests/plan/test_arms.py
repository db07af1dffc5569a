"""arms: loads of raw queries, by the names of arms, and how they run together."""

from __future__ import annotations

import pytest

from dnslab.errors import InvalidPlan
from dnslab.plan import flows, ports
from dnslab.plan.arms import ARMS, STANDING_SOCKETS, arm_load, arm_of, queries_per_s
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Load, Plan
from dnslab.plan.planfile import load as read_plan
from dnslab.plan.schedule import TargetInfo, forecast, trials

GLIBC = TargetInfo("glibc", "glibc", "2.36")
LOADS = (arm_load("a", 1, 4), *(arm_load(arm, 5, 4) for arm in ARMS))


def together(**changes: object) -> Plan:
    given = {"loads": LOADS, "variants": ("baseline",), "rounds": 2, "schedule": "together", **changes}
    return Plan.of(given)


def test_each_arm_has_its_name_and_the_first_watches() -> None:
    plan = together()
    assert [arm_of(plan, index) for index in range(len(LOADS))] == ["control", *ARMS]
    apart = plan.model_copy(update={"schedule": "side-by-side"})
    assert arm_of(apart, 0) == "a"
    assert arm_of(Plan(), 0) == ""


def test_standing_keeps_sockets_enough_and_a_pair_is_two_queries() -> None:
    assert arm_load("standing", 5, 4).workers == STANDING_SOCKETS >= 16
    assert [queries_per_s(load) for load in LOADS] == [1, 5, 5, 10, 10, 5, 5]


def test_all_loads_of_a_round_run_at_the_same_time() -> None:
    plan = together()
    listed = trials(plan, [GLIBC])
    assert [trial.group for trial in listed] == [1] * 7 + [2] * 7
    assert [trial.load for trial in listed] == list(range(7)) * 2
    expected = forecast(plan, [GLIBC])
    assert (expected.n_groups, expected.load_s, expected.peak_lookups_per_s) == (2, 8.0, 31.0)
    assert "takes: 8 s" in str(plan) or "8 s" in str(plan.facts.lines["takes"])


def test_a_plan_with_arms_is_read_back_and_others_do_not_show_the_new_keys() -> None:
    plan = together(loads=(*LOADS, arm_load("a", 5, 4, "10.0.0.7:5353")))
    assert read_plan(plan.to_yaml(), "plan") == plan
    assert "record_type" not in Plan().to_yaml()
    assert "server" not in Plan(loads=(Load(),)).to_yaml().replace("nameserver", "")


@pytest.mark.parametrize(
    ("load", "problem"),
    [
        ({"engine": "wire", "arrangement": "pair-one-socket", "record_type": "AAAA"}, "a pair asks for A and AAAA"),
        ({"record_type": "AAAA"}, "record_type is for single queries"),
        ({"server": "10.0.0.7"}, "server is for engine wire"),
        ({"engine": "wire", "server": "web"}, "expected a nameserver"),
    ],
)
def test_what_does_not_go_together_is_refused(load: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidPlan, match=problem):
        Plan.of({"loads": [load]})


def test_closed_loops_do_not_run_together() -> None:
    with pytest.raises(InvalidPlan, match="loads that run together need rates"):
        together(loads=(Load(loop="closed"),))


def test_in_an_existing_pod_each_probe_has_ports_of_its_own() -> None:
    plan = together(backend="kubernetes", cluster=ClusterPlan(existing="pod/web"))
    lanes = [ports.lane(plan, "baseline", index) for index in range(len(LOADS))]
    assert lanes == list(range(ports.n_lanes(plan)))
    assert flows.shared_sockets_per_s([[1.0], [2.0, 3.0]], "together") == 6.0
    assert flows.shared_sockets_per_s([[1.0], [2.0, 3.0]], "side-by-side") == 5.0
