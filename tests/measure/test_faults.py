"""Every fault does to every variant what its row of expected outcomes says, seen in a real run of each."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from scipy.stats import binom

from dnslab.analyse.dataset import open_run
from dnslab.analyse.lookups import Lookups
from dnslab.errors import UsageError
from dnslab.measure import runner
from dnslab.measure.lab.__main__ import page
from dnslab.measure.lab.backend import LabBackend
from dnslab.measure.lab.fault import ARM_OUTCOMES, ARMS, OUTCOMES, VARIANTS, ArmOutcome, Outcome
from dnslab.measure.lab.faults import FAULTS, PAIRS, find
from dnslab.measure.lab.rules import CAPTURE
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Limits, Load, Plan, TargetPlan
from dnslab.plan.variants import BUILT_IN, DIRECT
from tests import PROJECT
from tests.cli.test_cli import dnslab
from tests.measure import arms
from tests.measure.test_probe import talk_over
from tests.present.test_states import words

pytestmark = pytest.mark.lab

DEFAULT = Load(rate_per_s=20, duration_s=2, workers=100)
#: of variants: enough to be sure of some, few enough to stay quick
LOADS = {
    "race": ("race:p=0.3", Load(rate_per_s=60, duration_s=3, workers=120)),
    "loss": ("loss:p=0.05", Load(rate_per_s=60, duration_s=3, workers=120)),
    "receive-buffer": ("receive-buffer", Load(loop="closed", workers=200, duration_s=4)),
    "one-dead-backend": ("one-dead-backend", DEFAULT),
    "tcp-blocked": ("tcp-blocked", Load(rate_per_s=20, duration_s=1, workers=60)),
    "outage": ("outage:from=0.7s,for=0.8s", DEFAULT),
    "policy-late": ("policy-late:for=1s", DEFAULT),
    "pps-cap": ("pps-cap:rate=15", Load(rate_per_s=30, duration_s=2, workers=100)),
    "burst-cap": ("burst-cap:p=0.3", Load(rate_per_s=60, duration_s=2, workers=120)),
    "snat-clash": ("snat-clash:ports=4", Load(rate_per_s=30, duration_s=2, workers=100)),
    "table-full": ("table-full:flows=10", Load(rate_per_s=30, duration_s=2, workers=100)),
    "stuck-port": ("stuck-port:p=0.2", DEFAULT),
    "mtu": ("mtu:bytes=128", DEFAULT),
    "checksum": ("checksum:p=0.2", DEFAULT),
    "clash-late": ("clash-late:p=0.6", Load(rate_per_s=20, duration_s=2, workers=120)),
    "rcode": ("rcode:p=0.5", DEFAULT),  # no-aaaa fails only where both servers answer so
    "pause": ("pause:every=0.7,ms=300", Load(rate_per_s=40, duration_s=3, workers=100)),
    "client-throttle": (
        "client-throttle:cpu=0.05",
        Load(rate_per_s=40, duration_s=4, workers=100),
    ),  # there are a dozen, on the CPUs of one machine
    "upstream-one-dead": ("upstream-one-dead:ms=1200", DEFAULT),
    "tcp-workers": ("tcp-workers:n=1", DEFAULT),
}
#: under loss glibc may wait three times for one lookup, and only then tells that one of a pair was lost
DEADLINES_S = {"loss": 16.5, "checksum": 16.5, "burst-cap": 16.5, "tcp-blocked": 6.0}
#: of arms, where the defaults are not met within two seconds at 60 queries/s
STRENGTHS = {
    "race": "race:p=0.3",
    "loss": "loss:p=0.1",
    "outage": "outage:from=0.5s,for=0.5s",
    "policy-late": "policy-late:for=0.5s",
    "pps-cap": "pps-cap:rate=30",
    "burst-cap": "burst-cap:p=0.5",
    "table-full": "table-full:flows=30",
    "stuck-port": "stuck-port:p=0.2",
    "mtu": "mtu:bytes=128",
    "checksum": "checksum:p=0.2",
    "clash-late": "clash-late:p=0.6",
    "rcode": "rcode:p=0.2",
    "slow-answer": "slow-answer:ms=700",
    "slow-aaaa": "slow-aaaa:ms=700",
    "upstream-one-dead": "upstream-one-dead:ms=600",
    "pause": "pause:every=0.7,ms=300",
    "tcp-workers": "tcp-workers:n=1,ms=30",
    "client-throttle": "client-throttle:cpu=0.05",
}
#: names of which some are hit, where a fault depends on the name
NAMES = {
    "mtu": tuple(f"{'x' * (60 if i % 2 else 1)}{i:02}.any.cluster.local." for i in range(50)),
    "name-never-answers": tuple(f"q{i}.{'mute' if i % 4 == 1 else 'web'}.any.cluster.local." for i in range(50)),
}


def holds(outcome: str, lookups: Lookups, delay_ms: float) -> bool:
    service, failed, partial = lookups.service_ms, lookups.outcome == 3, lookups.outcome == 1
    n_stalls = int(lookups.stall.sum())
    flagged = float(lookups.half_lost[lookups.stall].mean()) if n_stalls else 0.0
    # Of two stalls one may well carry the flag: what counts is that no more than half of them do, within chance.
    few_flagged = binom.sf(round(flagged * n_stalls) - 1, n_stalls, 0.5) > 0.001
    outcomes = {
        "clean": not (service >= 1000).any() and not failed.any() and not partial.any(),
        "stalls": n_stalls >= 3 and flagged >= 0.8,
        "lost": n_stalls >= 1,
        "retransmit": (service >= 150).sum() >= 3 and lookups.stall.mean() < 0.05 and not failed.any(),
        "no stall": not n_stalls and not failed.any(),
        "overflow": n_stalls <= dropped_at_receive_buffers(lookups) and few_flagged,
        "slow": bool(((service >= delay_ms) & (service < 1.5 * delay_ms)).all()) and not failed.any(),
        "slower": bool((service >= 2 * delay_ms).all()) and not failed.any(),
        "some slow": (service >= delay_ms / 2).sum() >= 3 and (service < delay_ms / 2).any() and not failed.any(),
        "held up": (service >= 20).sum() >= 3 and not failed.any(),
        "partial": bool(partial.all()) and not n_stalls,
        "errors": (failed | partial).sum() >= 3 and not n_stalls,
        "fails": bool(failed.all()),
        "varies": True,
        "hangs": bool((lookups.raw["outcome"] == -32768).all()),
    }
    return bool(outcomes[outcome])


def dropped_at_receive_buffers(lookups: Lookups) -> int:
    before, after = lookups.client.start.counters, lookups.client.counters_after
    return sum(after[name] - before[name] for name in before if "RcvbufErrors" in name and "client" not in name)


def done_by(truth: Mapping[str, Any]) -> int:
    """How often the faults did something, by what they recorded: packets, answers, pauses, periods."""
    by_servers = [truth.get("answered_in_client", {}), *truth.get("by_servers", {}).values()]
    answers = sum(count for did in by_servers for name, count in did.items() if name != "answered")
    return int(
        truth["dropped"]
        + sum(truth["rcvbuf_errors"].values())
        + truth.get("dropped_by_dead_backend", 0)
        + answers
        + sum(truth.get("answered_in_client", {}).values())
        + sum(truth.get("throttled", {}).values())
        + truth.get("pauses", 0)
    )


#: each takes half a minute, nearly all of it waiting for lost answers, and the arms tell them apart already
LONG = (
    "checksum", "burst-cap", "clash-late", "mtu", "name-never-answers", "outage", "policy-late", "pps-cap",
    "snat-clash", "stuck-port", "table-full",
)  # fmt: skip
#: each variant in turn, a minute in all; how many answers a full buffer loses depends on the CPU that is left
ALONE = "receive-buffer"
AT_ONCE = 4


def lookups_of(name: str, folder: Path) -> dict[str, Lookups]:
    """A run of every variant under the fault ``name``: lookups by key of ``Fault.expected``."""
    text, load = LOADS.get(name, (name, DEFAULT))
    plan = Plan(
        fault=FaultPlan.parse(text),
        variants=tuple(name for name in BUILT_IN if name != DIRECT),  # which is a cluster's
        targets=(TargetPlan(name="glibc"), TargetPlan(name="musl", variants=("baseline",))),
        loads=(load,),
        # A name of its own for each lookup of the slow faults: the node-local cache has nothing to answer them from.
        names=NAMES.get(name, tuple(f"q{i}.any.cluster.local." for i in range(200))),
        rounds=1,
        deadline_s=DEADLINES_S.get(name, 11.0),
        # Some faults fail half of all lookups: by chance too few of the 48 before the run, and it would end at once.
        limits=Limits(abort_margin=1.0),
    )
    run = open_run(runner.run(plan, folder / name))
    return {"musl" if trial.client.target == "musl" else trial.client.start.variant: trial for trial in run.decoded()}


def unexpected(name: str, of_variants: Mapping[str, Lookups]) -> dict[str, Any]:
    """What a run under the fault ``name`` shows that ``FAULTS`` does not say, by variant."""
    fault, plan = FAULTS[name], FaultPlan.parse(LOADS.get(name, (name,))[0])
    assert of_variants.keys() == fault.expected.keys() == set(VARIANTS)
    delay_ms = fault.values(plan).get("ms", 0.0)
    wrong: dict[str, Any] = {
        variant: (
            outcome,
            np.round(np.sort(of_variants[variant].service_ms)[-5:], 1).tolist(),
            of_variants[variant].codes,
        )
        for variant, outcome in fault.expected.items()
        if not holds(outcome, of_variants[variant], delay_ms)
    }
    told = [of.client.stream.with_name(f"{of.client.target}.ground-truth.json") for of in of_variants.values()]
    truths = [json.loads(path.read_text()) for path in told if path.exists()]
    if {truth["fault"] for truth in truths} != ({str(plan)} if name != "none" else set()):
        wrong["recorded"] = truths
    # A stub resolver keeps no socket, so that what hits old flows never hits it.
    if (sum(map(done_by, truths)) > 0) != (name not in ("none", "standing-flow")):
        wrong["done"] = truths
    return wrong


#: how long a quota holds a client up depends on the CPU that is left
QUOTA = "client-throttle"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.alone] * (name == QUOTA)) for name in FAULTS if name not in (*LONG, ALONE)],
)
def test_expected_outcomes(name: str, tmp_path: Path) -> None:
    assert unexpected(name, lookups_of(name, tmp_path)) == {}


@pytest.mark.verify
def test_expected_outcomes_that_take_long(tmp_path: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = dict(zip(LONG, pool.map(lambda name: lookups_of(name, tmp_path), LONG), strict=True))
    wrong = {name: unexpected(name, of_variants) for name, of_variants in seen.items()}
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.verify
@pytest.mark.alone
def test_expected_outcomes_of_full_buffers(tmp_path: Path) -> None:
    seen = lookups_of(ALONE, tmp_path)
    assert unexpected(ALONE, seen) == {}
    assert any(lookups.stall.any() for lookups in seen.values())


#: on a busy machine queries that should be alone leave in bursts, too
BURSTS = "burst-cap"


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.alone] * (name == BURSTS)) for name in FAULTS])
def test_expected_arms(name: str) -> None:
    """Raw queries: what place, type, number of sockets and transport do under each fault."""
    fault, plan = FAULTS[name], FaultPlan.parse(STRENGTHS.get(name, name))
    assert set(fault.arms) == set(ARMS)
    with contextlib.closing(LabBackend(plan)) as lab:
        seen = arms.measured(lab, NAMES.get(name, arms.NAMES))
    for arm, of_arm in seen.items():
        print(f"{arm}: {fault.arms[arm]}: {of_arm}")
    delay_ms = fault.values(plan).get("ms", 0.0)
    wrong = {
        arm: (fault.arms[arm], str(of_arm))
        for arm, of_arm in seen.items()
        if not arms.holds(fault.arms[arm], of_arm, delay_ms)
    }
    assert not wrong
    # At the rate of this test no receive buffer overflows.
    assert any(done_by(of_arm.truth) for of_arm in seen.values() if of_arm.truth) == (
        name not in ("none", "receive-buffer")
    )


def happened(truth: Mapping[str, Any], name: str) -> bool:
    """Whether the fault ``name``, of those that were injected, is on record."""
    fault = FAULTS[name]
    if fault.serving:
        counted = {"slow-answer": "delayed", "slow-aaaa": "delayed", "aaaa-rcode": "rcode"}.get(name, name)
        return any(did.get(counted) for did in truth["by_servers"].values())
    if fault.throttles:
        return bool(truth["throttled"][fault.throttles])
    special = {"one-dead-backend": "dropped_by_dead_backend", "pause": "pauses"}.get(name)
    return bool(truth[special] if special else truth["at_node"][name])


@pytest.mark.parametrize("text", PAIRS)
def test_two_at_once(text: str) -> None:
    """Both are on record, and no arm is clean in which either alone would not be."""
    injection = find(FaultPlan.parse(text))
    with contextlib.closing(LabBackend(injection.plan)) as lab:
        seen = arms.measured(lab)
    for name in injection.names:
        assert any(happened(of_arm.truth, name) for of_arm in seen.values()), name
    for arm, of_arm in seen.items():
        print(f"{arm}: {of_arm}")
        if any(fault.arms[arm] not in ("clean", "varies") for fault, _ in injection.faults):
            assert not arms.holds("clean", of_arm, 0) or (of_arm.ms >= 20).any(), arm
        if all(fault.arms[arm] == "clean" for fault, _ in injection.faults):
            assert arms.holds("clean", of_arm, 0), arm


@pytest.mark.parametrize("text", ["loss:p=1", "rcode:p=1", "slow-answer:ms=300"])
def test_a_fault_begins_and_ends_in_mid_trial(text: str) -> None:
    with arms.one_client(f"{text},from=0.6,for=0.6") as target:
        rows, _, _ = talk_over(target.start, arms.job("a", arms.NAMES, 60.0, 2.0, 2.5))
    at_s = (rows["start_ns"] - rows["start_ns"].min()) / 1e9
    hit = (rows["outcome"] != 0) | (rows["end_ns"] - rows["start_ns"] >= 300_000_000)
    # Each server counts from the first query that it gets.
    inside, outside = (at_s >= 0.8) & (at_s < 1.1), (at_s < 0.5) | (at_s >= 1.4)
    assert inside.sum() >= 15 <= outside.sum()
    assert hit[inside].all()
    assert not hit[outside].any()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("race+race:p=0.1", "race and race cannot be injected together: it is the same fault twice"),
        ("none+race", "none means that nothing is injected"),
        ("slow-answer+slow-aaaa", "both decide when servers answer"),
        ("rcode+truncation", "both decide what servers answer"),
        ("race+clash-late", "both decide which pairs are hit"),
        ("loss+redirect", "with redirect no query leaves the client"),
    ],
)
def test_what_cannot_be_combined(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        find(FaultPlan.parse(text))


def test_a_run_says_all_its_faults(tmp_path: Path) -> None:
    """On the terminal, on its page and as JSON; an option for each fault is the same as one text."""
    each, joined = ["--fault", "race:p=0.3", "--fault", "rcode:p=0.2"], ["--fault", "race:p=0.3+rcode:p=0.2"]
    plans = {dnslab("run", "--dry-run", *faults, cwd=tmp_path).stdout for faults in (each, joined)}
    assert len(plans) == 1
    assert "fault: race:p=0.3+rcode:p=0.2\n" in plans.pop()
    load = ["--rate", "20", "-d", "1", "--rounds", "1", "--variants", "baseline,use-vc", "--target", "glibc"]
    dnslab("run", *each, *load, "--name=web.any.cluster.local.", "--out", "run", "--report", cwd=tmp_path)
    page_text = words((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    table, data = (dnslab("summary", "run", f"--format={form}", cwd=tmp_path).stdout for form in ("table", "json"))
    assert json.loads(data)["fault"] == "race:p=0.3+rcode:p=0.2"
    assert "Emulated fault: race:p=0.3+rcode:p=0.2" in " ".join(table.split())
    assert "race:p=0.3+rcode:p=0.2" in page_text
    assert f"{FAULTS['race'].summary}; and {FAULTS['rcode'].summary}" in page_text


def test_redirect_and_a_throttled_client_can_be_combined() -> None:
    assert find(FaultPlan.parse("redirect+client-throttle")).names == ["redirect", "client-throttle"]


@pytest.fixture(scope="module")
def usual_counters() -> frozenset[str]:
    with arms.one_client("none") as target:
        return frozenset(target.counters())


@pytest.mark.parametrize("name", FAULTS)
def test_least_and_most_of_each_parameter_can_be_injected(name: str, usual_counters: frozenset[str]) -> None:
    """And the names of counters, which a run shows, do not tell what is injected."""
    for end in ("low", "high"):
        values = {
            key: (min if end == "low" else max)(parameter.choices or (getattr(parameter, end),))
            for key, parameter in FAULTS[name].parameters.items()
        }
        with arms.one_client(str(FaultPlan(name=name, parameters=values))) as target:
            assert (target.ground_truth() is None) == (name == "none")
            told = target.counters().keys() ^ usual_counters
            # A server in the client's namespace is what a mesh has there, too: its socket is a real witness.
            assert {one.partition("@")[2] for one in told} == ({CAPTURE} if name == "redirect" else set())


def test_the_page_of_faults_is_up_to_date() -> None:
    assert (PROJECT / "docs" / "faults.md").read_text() == "\n".join(page()) + "\n"
    assert len(set(PAIRS)) >= 15
    assert OUTCOMES.keys() == set(get_args(Outcome))
    assert ARM_OUTCOMES.keys() == set(get_args(ArmOutcome))
