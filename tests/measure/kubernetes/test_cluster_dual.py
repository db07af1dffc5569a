"""A cluster with IPv4 and IPv6 whose pods ask DNS at its IPv6 address: `make test-cluster-dual`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.lookups import read_stream
from dnslab.analyse.summary import summarise
from dnslab.measure import runner
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.cluster_dns import find
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Load, Plan
from tests import nodes
from tests.cli.test_cli import dnslab
from tests.cluster.cluster import DNS, DNS_IPV6, in_node, kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.dual]

GLIBC, CACHE = "dnslab.test/glibc:1", "dnslab.test/coredns:1"
#: of a node-local cache
ADDRESS = "fd00::a"
NODES = ("dlc-n1", "dlc-n2")


def measured(path: Path, namespace: str, **plan: Any) -> Run:
    usual: dict[str, Any] = {
        "variants": ("baseline",),
        "loads": (Load(rate_per_s=20, duration_s=1),),
        "names": ("kubernetes.default",),
        "rounds": 1,
        "cluster": ClusterPlan(namespace=namespace, images=(GLIBC,), nodes="2"),
    }
    run = open_run(runner.run(Plan(backend="kubernetes", **{**usual, **plan}), path / "run"))
    assert {client.status for client in run.clients()} == {"complete"}
    return run


def test_dns_is_found_at_both_addresses_and_who_answers_is_measured(namespace: str, tmp_path: Path) -> None:
    run = measured(tmp_path, namespace)
    assert not any(row.failed for row in summarise(run).measured())
    text = run.clients()[0].start.resolv_conf
    assert f"nameserver {DNS_IPV6}\n" in text
    dns = find(connect(), text)
    assert (dns.nameserver, dns.addresses, dns.zones) == (DNS_IPV6, (DNS, DNS_IPV6), ("cluster.local",))
    backend = run.environment.backend
    assert backend.surroundings.model_dump()["dns"]["service"]["cluster_ips"] == [DNS, DNS_IPV6]
    assert backend.who_answers.lines == [
        "who answers: nothing does at 2001:db8::53, where no server is: port 53 as such is not redirected (measured)",
        f"who answers at {DNS_IPV6}: the cluster's DNS: of 20 answers, coredns counted 20 questions (measured)",
    ]


@pytest.mark.alone
def test_a_race_over_ipv6_is_found_on_its_node(namespace: str, tmp_path: Path) -> None:
    variants = ("baseline", "single-request", "use-vc")
    load = Load(rate_per_s=50, duration_s=8)
    with nodes.race(NODES[0], per_mille=50, dns=DNS_IPV6):
        run = measured(tmp_path, namespace, variants=variants, loads=(load,), names=("web.any.cluster.local.",))
        dropped = nodes.dropped(NODES[0], "ip6")
    stalls = {}
    for client in run.clients():
        raw, problem = read_stream(client.stream)
        assert not problem
        n_stalls = int(((raw["end_ns"] - raw["start_ns"]) / 1e6 >= client.start.stall_ms).sum())
        stalls[client.start.variant, client.start.node] = n_stalls
    print(stalls, dropped)
    assert {key for key, n in stalls.items() if n} == {("baseline", NODES[0])}
    # By pod: those that were asked before the trial met the race, too, and asked far less.
    assert stalls["baseline", NODES[0]] == max(dropped.values()) >= 5


def test_a_patch_names_a_server_that_answers(namespace: str, tmp_path: Path) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": GLIBC, "imagePullPolicy": "Never"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    assert nodes.apply(namespace, yaml.safe_dump(web)).returncode == 0
    done = dnslab("fix", "--variant=root-first", "--workload=deploy/web", f"--namespace={namespace}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert DNS in done.stdout
    assert f"DNS of the cluster: {DNS}, {DNS_IPV6}, Service kube-system/kube-dns (by its name)" in done.stdout


def test_doctor_sees_what_a_run_needs(namespace: str, tmp_path: Path) -> None:
    done = dnslab("doctor", "--backend=kubernetes", f"--namespace={namespace}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"DNS of the cluster: {DNS}, {DNS_IPV6}" in done.stdout


@pytest.fixture
def no_cache_after(tmp_path: Path) -> Iterator[None]:
    yield
    dnslab("node-cache", "remove", "--yes", "--image", CACHE, "--address", ADDRESS, cwd=tmp_path)


@pytest.mark.alone
@pytest.mark.usefixtures("no_cache_after")
def test_a_cache_at_an_ipv6_address(namespace: str, tmp_path: Path) -> None:
    """Found, measured and removed with its rules, which are those of ip6tables."""
    done = dnslab("node-cache", "install", "--image", CACHE, "--address", ADDRESS, "--yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f": the cache answers on {ADDRESS} and its rules are set") == len(NODES)
    assert all(f"-d {ADDRESS}/128" in in_node(node, "ip6tables-save") for node in NODES)
    run = measured(tmp_path, namespace, variants=("baseline", "node-local"))
    assert not any(row.failed for row in summarise(run).measured())
    exposed = {(row.variant, row.target): row.exposed_modelled for row in summarise(run).measured()}
    assert all((exposed[key] == 0) == (key[0] == "node-local") for key in exposed), exposed
    asked = {client.start.variant: client.start.resolv_conf for client in run.clients()}
    assert f"nameserver {ADDRESS}\n" in asked["node-local"]
    assert f"nameserver {DNS_IPV6}\n" in asked["baseline"]
    removed = dnslab("node-cache", "remove", "--yes", cwd=tmp_path)
    assert removed.returncode == 0, removed.stderr
    assert not any(ADDRESS in in_node(node, "ip6tables-save") for node in NODES)
    assert kubectl("-n", "kube-system", "get", "daemonsets", "-o", "name") == ""
