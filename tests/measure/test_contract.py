"""One contract over every backend: what the runner relies on, whoever provides it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from dnslab.measure.backends import BACKENDS
from dnslab.measure.lab.backend import LabBackend
from dnslab.measure.local import LocalBackend
from dnslab.measure.protocol import Backend, Client
from dnslab.measure.trial import describe, make_job
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load, Plan
from dnslab.plan.resolvconf import parse
from dnslab.plan.schedule import TargetInfo, Trial
from dnslab.plan.variants import find
from dnslab.store.contents import BackendFacts
from tests.measure.test_probe import talk_over
from tests.nameserver import nameserver

NAME = "web.any.cluster.local."


@pytest.fixture(
    params=[
        "local",
        pytest.param("lab", marks=pytest.mark.lab),
        pytest.param("kubernetes", marks=[pytest.mark.cluster, pytest.mark.proxy]),
    ]
)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "lab":
        with contextlib.closing(LabBackend(FaultPlan(name="none"))) as lab:
            yield lab
    elif request.param == "kubernetes":
        from dnslab.measure.kubernetes.backend import KubernetesBackend

        where = ClusterPlan(namespace=request.getfixturevalue("namespace"), images=("dnslab.test/glibc:1",))
        with contextlib.closing(KubernetesBackend(Plan(backend="kubernetes", cluster=where))) as pods:
            yield pods
    else:
        with nameserver() as server, contextlib.closing(LocalBackend(f"127.0.0.1:{server.port}")) as local:
            yield local


def first(backend: Backend) -> TargetInfo:
    return backend.targets()[0]


def opened(backend: Backend, variant: str = "baseline") -> Any:
    return backend.open(Client("0001-x", first(backend).name, find(variant), Load(), (NAME,)))


def test_it_describes_itself_as_plain_data(backend: Backend) -> None:
    described = backend.describe()
    assert described == BackendFacts.model_validate_json(described.model_dump_json())
    assert described.name == backend.name
    assert {"fresh_clients", "n_ports", "udp_timeout_s"} <= described.model_fields_set


def test_it_knows_what_names_resolve_to(backend: Backend) -> None:
    expected = backend.expected([NAME])[NAME]
    assert (expected.absolute, expected.n_a, expected.n_aaaa) == (NAME, 1, 1)


@pytest.mark.parametrize("engine", ["libc", "wire"])
@pytest.mark.parametrize("variant", ["baseline", "use-vc"])
def test_a_trial(backend: Backend, variant: str, engine: str) -> None:
    load = Load(engine=engine, rate_per_s=50, duration_s=0.5, warmup_s=0.1, workers=50)
    plan = Plan(variants=(variant,), names=(NAME,), loads=(load,))
    trial = Trial(1, 1, 1, variant, 0, (first(backend).name,))
    with contextlib.closing(opened(backend, variant)) as target:
        facts = target.facts()
        assert parse(facts.resolv_conf).nameservers
        before = dict(target.counters())
        described = describe(plan, trial, "x", facts, backend.expected([NAME]))
        rows, trailer, header = talk_over(target.start, make_job(plan, trial, facts, described))
        after = dict(target.counters())
    assert header.libc == facts.libc
    assert trailer.status == "complete"
    assert set(rows["outcome"]) == {0}
    assert all(isinstance(value, int) for value in after.values())
    assert after["client.Udp.OutDatagrams"] >= before["client.Udp.OutDatagrams"]
    assert after["machine.cpu.total_ticks"] >= before["machine.cpu.total_ticks"]


def test_closing_ends_the_probe_and_may_be_done_twice(backend: Backend) -> None:
    plan = Plan(names=(NAME,), loads=(Load(duration_s=60),))
    trial = Trial(1, 1, 1, "baseline", 0, ("x",))
    target = opened(backend)
    described = describe(plan, trial, "x", target.facts(), backend.expected([NAME]))
    channel = target.start(_encoded(plan, trial, target, described))
    assert channel.read(10.0).startswith(b"DNSR")
    began = time.monotonic()
    channel.close()
    channel.close()
    target.close()
    target.close()
    backend.close()
    backend.close()
    assert time.monotonic() - began < 5


def _encoded(plan: Plan, trial: Trial, target: Any, described: Any) -> bytes:
    from dnslab.measure.probe.job import encode

    return encode(make_job(plan, trial, target.facts(), described))


def test_a_silent_channel_times_out(backend: Backend) -> None:
    with contextlib.closing(opened(backend)) as target:
        channel = target.start(b"DNSJ")  # a job that never comes whole
        with pytest.raises(TimeoutError):
            channel.read(0.2)
        channel.close()


def test_a_probe_that_has_gone_says_so(backend: Backend) -> None:
    from dnslab.errors import ProbeFailed
    from dnslab.measure.conversation import Conversation

    with contextlib.closing(opened(backend)) as target:
        channel = target.start(b"x" * 200)
        with pytest.raises(ProbeFailed, match="not a job"):
            Conversation(channel, lambda data: None).ready()
        channel.close()


def test_every_backend_of_a_plan_has_an_entry() -> None:
    assert set(get_args(Plan.model_fields["backend"].annotation)) == set(BACKENDS)
