"""model: YAML both ways, errors with their line."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dnslab.errors import InvalidPlan, UsageError
from dnslab.plan.faultplan import FaultPlan, fault_names
from dnslab.plan.model import Load, Plan, TargetPlan
from dnslab.plan.planfile import load
from dnslab.plan.schedule import TargetInfo
from dnslab.plan.variants import BUILT_IN

GLIBC = TargetInfo("glibc", "glibc", "2.36")
MUSL = TargetInfo("musl", "musl", "1.2.3")

PLANS = st.builds(
    Plan,
    variants=st.lists(st.sampled_from(sorted(BUILT_IN)), min_size=1, max_size=6, unique=True).map(tuple),
    rounds=st.integers(1, 7),
    schedule=st.none() | st.sampled_from(["side-by-side", "in-turn"]),
    loads=st.lists(
        st.sampled_from([Load(), Load(loop="closed", workers=50, rate_per_s=None)]), min_size=1, max_size=2
    ).map(tuple),
    seed=st.integers(0, 2**40),
    fault=st.sampled_from([FaultPlan(name="none"), FaultPlan(name="race", parameters={"p": 0.05})]),
)


@given(PLANS)
def test_yaml_is_read_back(plan: Plan) -> None:
    assert load(plan.to_yaml()) == plan


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rounds: 3\nfolder: x\n", "my.yaml:2: folder: unknown key"),
        (
            "name: a\nloads:\n- workers: 5\n  rats: 3\n",
            "my.yaml:4: loads.0.rats: unknown key: did you mean 'rate_per_s'?",
        ),
        ("loads:\n- workers: 0\n", "my.yaml:2: loads.0.workers: expected 1 or more, saw 0"),
        ("variants: [baseline, baseline]\n", "each only once"),
        ("rounds: [\n", "not YAML"),
        ("- a\n", "expected keys with their values"),
        ("version: 7\n", "version 7"),
        ("custom_variants:\n  mine:\n    options: [fly]\n", "my.yaml:3: custom_variants.mine.options"),
        ("fault: race:p=lots\n", "name:key=number"),
    ],
)
def test_a_bad_plan_is_named_with_its_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(text, "my.yaml")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (Plan(variants=("basline",)), "variants.0: unknown variant 'basline': did you mean 'baseline'?"),
        (Plan(names=("a..b",)), "names.0: the name 'a..b' has an empty label"),
        (
            Plan(variants=("baseline",), targets=(TargetPlan(name="x", variants=("use-vc",)),)),
            "targets.0.variants.0: target 'x' has the variant 'use-vc', which the plan does not",
        ),
    ],
)
def test_check(plan: Plan, says: str) -> None:
    with pytest.raises(InvalidPlan) as caught:
        plan.check()
    assert says in str(caught.value)


def test_custom_variant() -> None:
    plan = load("variants: [baseline, mine]\ncustom_variants:\n  mine: {options: [use-vc, 'timeout:2']}\n")
    mine = plan.variant("mine")
    assert (mine.options, mine.timeout_s, mine.libcs) == (("use-vc",), 2, frozenset({"glibc"}))


@given(st.text(max_size=30))
def test_faults_text_never_crashes(text: str) -> None:
    try:
        fault = FaultPlan.parse(text)
    except UsageError:
        return
    assert FaultPlan.parse(str(fault)).parameters.keys() == fault.parameters.keys()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fault: race:p=0.05\n", "race:p=0.05"),
        ("fault: race:p=0.05+slow-aaaa\n", "race:p=0.05+slow-aaaa"),
        ("fault: [race:p=1e-05, 'outage:from=10s,for=3s']\n", "race:p=1e-05+outage:from=10,for=3"),
        ("fault: race:p=1e+0+loss\n", "race:p=1+loss"),
        ("fault: {name: race, parameters: {p: 1}}\n", "race:p=1"),
    ],
)
def test_several_faults_are_one_text(text: str, shown: str) -> None:
    plan = load(text)
    assert str(plan.fault) == shown
    assert load(plan.to_yaml()).fault == FaultPlan.parse(shown)
    assert fault_names(shown) == [part.name for part in plan.fault.parts]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("race:p=0.1s", "p is no time in s"),
        ("outage:for=3ms", "name:key=number"),
        ("race++loss", "name"),
        ("race+", "name"),
        ("+".join(["race"] * 5), "at most 4 faults"),
    ],
)
def test_faults_that_cannot_be_read(text: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        FaultPlan.parse(text)
