"""diagnose on a real cluster: each cause that is put there is named first, and by whose rights.

The rungs that decide are measured; which rungs follow from what was seen is tested without a cluster. docs/cluster.md
has the times and the words of whole ladders.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import kube_config

from dnslab.experiment import diagnose as experiment
from dnslab.explain.ladder import Answer
from dnslab.measure.kubernetes.rights import cluster_role_yaml
from dnslab.plan import ladder
from dnslab.plan.ladder import ALIVE, FEW, LIBC, MORE, NAME, PLACE, VARIANTS, Rung
from dnslab.plan.model import Plan
from dnslab.sentences.terminal import APPLY_FOR_DIAGNOSE
from tests import nodes
from tests.cluster.cluster import kubectl
from tests.measure.kubernetes.test_cluster_variety import EVERYWHERE, SECOND, process_in, redirected
from tests.measure.kubernetes.test_rights import RBAC_WITHIN_S, Account
from tests.pods import fresh_namespace

pytestmark = [pytest.mark.cluster, pytest.mark.verify, pytest.mark.alone]

GLIBC = "dnslab.test/glibc:1"
BUDGET_S = 300.0
DIAGNOSE = ("diagnose", "--backend", "kubernetes", "--image", GLIBC, "--dry-run")
APP = f"""
apiVersion: v1
kind: Pod
metadata: {{name: app}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: app, image: "{GLIBC}", imagePullPolicy: Never, command: [sleep, "86400"]}}]
"""


class Engineer:
    """Somebody with the printed Role, in a namespace with a pod ``app``; ``asks`` runs some rungs of a diagnosis."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace, self._folder = namespace, folder
        self.account = Account(namespace, folder)
        self.account.doctor_says([])
        assert nodes.apply(namespace, APP).returncode == 0
        kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/app", "--timeout=60s")
        self._n = 0

    def asks(self, *rungs: Rung, name: str = NAME, **cluster: Any) -> Answer:
        base = Plan.of(
            {
                "backend": "kubernetes",
                "names": [name],
                "variants": VARIANTS,
                "cluster": {"namespace": self.namespace, **(cluster or {"images": [GLIBC]})},
                "limits": {"allow_external": True},
            }
        )
        self._n += 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ladder, "_order", lambda seen: rungs)
            # The official client looks at $KUBECONFIG once, when it is imported.
            patch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(self.account.kubeconfig))
            began_s = time.monotonic()
            path = self._folder / f"diagnosis-{self._n}"
            _, answer = experiment.diagnose(experiment.prepare(base, BUDGET_S), path)
        print(f"{time.monotonic() - began_s:.0f} s", *answer.lines, sep="\n")
        assert not answer.following
        return answer


@pytest.fixture(scope="module")
def engineer(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engineer]:
    with fresh_namespace() as client:
        yield Engineer(client.namespace, tmp_path_factory.mktemp("engineer"))


@pytest.fixture(scope="module")
def with_second_role(engineer: Engineer) -> Iterator[Engineer]:
    """With the Role that the dry run prints for whoever lacks it. Tests without it come first."""
    printed = engineer.account.dnslab(*DIAGNOSE).stdout.partition(str(APPLY_FOR_DIAGNOSE))[2]
    assert {part["metadata"]["namespace"] for part in yaml.safe_load_all(printed) if part} == {"kube-system"}
    kubectl("apply", "-f", "-", inp=printed)
    try:
        deadline_s = time.monotonic() + RBAC_WITHIN_S
        while "servers asked by themselves: 10.244." not in (done := engineer.account.dnslab(*DIAGNOSE)).stdout:
            assert time.monotonic() < deadline_s, done
            time.sleep(0.5)
        assert str(APPLY_FOR_DIAGNOSE) not in done.stdout
        yield engineer
    finally:
        kubectl("delete", "-f", "-", inp=printed)


@pytest.fixture
def every_node(engineer: Engineer) -> Iterator[None]:
    """With the optional right to choose nodes."""
    parts = [
        part
        for part in yaml.safe_load_all(cluster_role_yaml(engineer.namespace))
        if "nodes" in str(part["metadata"]["name"])
    ]
    text = yaml.safe_dump_all(parts)
    kubectl("apply", "-f", "-", inp=text)
    try:
        yield
    finally:
        kubectl("delete", "-f", "-", inp=text)


def first(answer: Answer) -> tuple[str, str]:
    """Status and the name that stands first."""
    return answer.status, answer.causes[0].name if answer.causes else ""


def said(answer: Answer) -> str:
    return " ".join(answer.lines).replace("\N{NO-BREAK SPACE}", " ")


@contextlib.contextmanager
def one_server_dead() -> Iterator[str]:
    """Port 53 of one CoreDNS drops all; it stays ready. The address of its pod."""
    (pid, *_) = nodes.coredns_pids()
    with nodes.dropped_by([pid], nodes.BOTH_TRANSPORTS):
        yield nodes.address_of(pid)


def test_without_the_second_role_a_dead_servers_class_is_named_and_what_is_missing(engineer: Engineer) -> None:
    with one_server_dead():
        answer = engineer.asks(FEW, replace(LIBC, rounds=1), existing="pod/app")
    assert answer.places.missing
    assert answer.causes[0].mechanism == "one-server-silent"
    assert "Which DNS server it is, was not tested" in said(answer)
    assert 'cannot list resource "services"' in said(answer)


@pytest.mark.usefixtures("every_node")
def test_a_race_on_one_of_three_nodes_is_named_with_its_node(engineer: Engineer) -> None:
    with nodes.race("dlc-n2", per_mille=800):
        answer = engineer.asks(replace(MORE, load_s=15.0), images=[GLIBC], nodes="all")
    assert answer.causes[0].mechanism == "pair-second-lost"
    assert answer.causes[0].name != "conntrack-race", "this kernel resolves it"
    assert "Hit: dlc-n2, " in said(answer)
    assert "Spared: dlc-n1, dlc-n3, 0 of " in said(answer)
    assert max(rung.per_server_per_s for rung in answer.rungs) <= ladder.MOST_PER_S


def test_a_redirect_in_the_pods_namespace_is_named(engineer: Engineer) -> None:
    role = ["--clusterrole=system:coredns", f"--serviceaccount={engineer.namespace}:default"]
    kubectl("create", "clusterrolebinding", engineer.namespace, *role)
    try:
        assert (
            nodes.apply(engineer.namespace, SECOND.replace("corp.test cluster.local", "cluster.local")).returncode == 0
        )
        kubectl("-n", engineer.namespace, "wait", "--for=condition=Ready", "pod/names", "--timeout=60s")
        server = kubectl("-n", engineer.namespace, "get", "pod", "names", "-o", "jsonpath={.status.podIP}") + ":1053"
        inside = ["nsenter", "-t", process_in("app", engineer.namespace), "-n"]
        with redirected(inside, hook="output", whose=EVERYWHERE, where=EVERYWHERE, server=server):
            answer = engineer.asks(ALIVE, existing="pod/app")
    finally:
        kubectl("-n", engineer.namespace, "delete", "pod,service,configmap", "names", "--ignore-not-found")
        kubectl("delete", "clusterrolebinding", engineer.namespace)
    assert first(answer) == ("cause", "dns-captured")
    assert "port 53 of app is redirected" in " ".join(answer.causes[0].evidence_for)


def test_throttled_servers_are_named_under_a_load_that_others_make_and_not_without(engineer: Engineer) -> None:
    """One after the other: the limit is the same."""
    with nodes.cpu_limited(nodes.coredns_pids(), 0.1):
        with nodes.asked_by_others("dlc-n3", 40):
            answer = engineer.asks(LIBC, existing="pod/app")
        quiet = engineer.asks(LIBC, existing="pod/app")
    assert first(answer) == ("cause", "server-cpu-limit")
    assert quiet.status == "nothing found"


def test_an_outside_name_that_walks_the_search_list_is_named(engineer: Engineer) -> None:
    answer = engineer.asks(FEW, replace(LIBC, rounds=1), name="example.test", existing="pod/app")
    assert first(answer) == ("cause", "search-list")
    assert "A lookup of example.test asks for 4 names until one is found." in answer.causes[0].evidence_for
    assert {seen.word for seen in answer.arms} == {"clean"}, "raw queries ask for the full name"


def test_with_the_second_role_the_dead_server_is_named(with_second_role: Engineer) -> None:
    with one_server_dead() as address:
        answer = with_second_role.asks(PLACE)
    assert first(answer) == ("cause", "dead-endpoint")
    assert address in answer.places.endpoints
    assert f"{address} ({answer.places.pods[address]}) silent" in said(answer)


def test_blocked_tcp_is_named_with_its_place(with_second_role: Engineer) -> None:
    with nodes.dropped_by(nodes.coredns_pids(), nodes.TCP):
        answer = with_second_role.asks(PLACE)
    assert answer.causes[0].name == "tcp-blocked"
    at = {(seen.arm, seen.place): seen.word for seen in answer.arms}
    for place in ("10.96.0.10", *answer.places.endpoints):
        assert at["tcp", place] == "silent"
        assert at["a", place] == "clean"


def test_servers_deleted_under_standing_flows_are_named(with_second_role: Engineer) -> None:
    with nodes.coredns_deleted(every_s=8):
        answer = with_second_role.asks(replace(MORE, load_s=25.0))
    assert answer.causes[0].name == "dns-server-restart"
    assert "left the Service at" in " ".join(answer.causes[0].evidence_for)
    lost = {seen.arm: seen.counts["lost"] for seen in answer.arms}
    assert lost["standing"] > lost["a"]
