"""What surrounds the targets, and what DNS servers and nodes have counted: as JSON is, and on a cluster as it runs."""

from __future__ import annotations

import contextlib
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

pytest.importorskip("kubernetes")

import kubernetes

from dnslab.measure import witnesses
from dnslab.measure.kubernetes.api.client import Client, connect
from dnslab.measure.kubernetes.counters import DnsPod, dns_counters
from dnslab.measure.kubernetes.pods.condition import image_id
from dnslab.measure.kubernetes.pods.manifest import PodSpec
from dnslab.measure.kubernetes.pods.pod_facts import read
from dnslab.measure.kubernetes.surroundings import (
    Surroundings,
    describe_node,
    describe_pod,
    surroundings,
)
from dnslab.store.contents import ClientExtra
from tests.cluster.cluster import DNS, ROOT, in_node
from tests.pods import own_pod


def test_a_node_and_a_pod() -> None:
    info = {"kernelVersion": "6.1.0", "osImage": "Debian", "containerRuntimeVersion": "containerd://2.1.0"}
    status = {
        "nodeInfo": {**info, "kubeletVersion": "v1.35.4", "architecture": "arm64"},
        "allocatable": {"cpu": "1930m"},
    }
    node = describe_node({"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}}, "status": status})
    assert node == {
        "name": "n",
        "zone": "z",
        "kernel": "6.1.0",
        "os_image": "Debian",
        "runtime": "containerd://2.1.0",
        "kubelet": "v1.35.4",
        "architecture": "arm64",
        "cpu_allocatable": "1930m",
    }
    container = {"name": "coredns", "image": "r.test/coredns:1.12.0", "resources": {"limits": {"memory": "170Mi"}}}
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [container]}, "status": {"phase": "Pending"}}
    described = describe_pod(pod, {})
    assert (described["image"], described["limits"]) == ("r.test/coredns:1.12.0", {"memory": "170Mi"})
    assert described["requests"] == {}
    assert not described["ready"]
    assert [described[key] for key in ("node", "address", "version", "restarts")] == [None] * 4


def around(pods: Any, nodes: Any) -> Surroundings:
    return Surroundings({"nodes": nodes, "dns": {"pods": pods}})


@pytest.mark.parametrize(
    ("container", "image"),
    [
        ("probe", "docker.io/library/debian@sha256:abc"),
        ("dnslab-1f", "docker.io/library/busybox@sha256:def"),
        ("gone", ""),
        ("starting", ""),
    ],
)
def test_an_image_is_known_by_its_digest(container: str, image: str) -> None:
    """A mesh has put its own container first, as the API server then lists it."""
    statuses = [
        {"name": "istio-proxy", "imageID": "docker.io/istio/proxyv2@sha256:123"},
        {"name": "starting"},
        {"name": "probe", "imageID": "docker.io/library/debian@sha256:abc"},
    ]
    beside = [{"name": "dnslab-1f", "imageID": "docker.io/library/busybox@sha256:def"}]
    pod = {"status": {"containerStatuses": statuses, "ephemeralContainerStatuses": beside}}
    assert image_id(pod, container) == image
    assert image_id({"status": {}}, container) == ""


def test_what_is_unknown_of_a_node_is_not_guessed() -> None:
    nodes = [{"name": "a", "zone": "z1"}, {"name": "b", "zone": None}]
    pods = [{"node": "a", "ready": True}, {"node": "b", "ready": False}]
    assert around(pods, nodes).node_facts("a") == {"zone": "z1", "coredns_on_node": True}
    assert around(pods, nodes).node_facts("b") == {"zone": None, "coredns_on_node": False}
    assert around(None, nodes).node_facts("a") == {"zone": "z1", "coredns_on_node": None}
    unknown = around([], None).node_facts("a")
    assert unknown == {"zone": None, "coredns_on_node": None}
    assert ClientExtra.model_validate(unknown).model_dump(exclude_unset=True) == unknown


def look_up(names: Sequence[str], address: str, tcp: bool = False) -> None:
    """Ask a server for each name from the first node."""
    code = "import sys, dns.message, dns.query\n"
    code += "for name in sys.argv[3:]:\n"
    code += "    getattr(dns.query, sys.argv[2])(dns.message.make_query(name, 'A'), sys.argv[1], timeout=5)\n"
    in_node("dlc-n1", sys.executable, "-c", code, address, "tcp" if tcp else "udp", *names)


@pytest.mark.cluster
def test_surroundings_are_what_the_machine_says(cluster: None) -> None:
    known = surroundings(connect())
    facts = json.loads(json.dumps(known.facts))
    print(json.dumps(facts, indent=1))
    dns = facts["dns"]
    assert facts["server_version"] == in_node("dlc-n1", ROOT / "bin/kubelet", "--version").split()[-1]
    assert {node["kernel"] for node in facts["nodes"]} == {platform.release()}
    assert {node["kubelet"] for node in facts["nodes"]} == {facts["server_version"]}
    assert {"dlc-n1", "dlc-n2"} <= {node["name"] for node in facts["nodes"]}
    assert dns["service"]["name"] == "kube-dns"
    assert dns["service"]["cluster_ips"] == [DNS]
    assert {(53, "UDP"), (53, "TCP")} <= {(port["port"], port["protocol"]) for port in dns["service"]["ports"]}
    assert [(deployment["name"], deployment["replicas"]) for deployment in dns["deployments"]] == [("coredns", 2)]
    version = in_node("dlc-n1", ROOT / "bin/coredns", "-version").split()[0].removeprefix("CoreDNS-")
    assert [pod["version"] for pod in dns["pods"]] == [version] * 2
    assert all(pod["ready"] and pod["image"] == "dnslab.test/coredns:1" for pod in dns["pods"])
    assert dns["zone"] == "cluster.local"
    assert dns["corefile"][0]["settings"]["cache"] == ["30"]
    assert "ttl 30" in dns["corefile"][0]["settings"]["kubernetes"]
    # kube-proxy has its configuration from a file here: its mode cannot be known, and is not taken for the default
    assert facts["kube_proxy_mode"] == "unknown"
    assert facts["denied"] == [
        "kube-proxy's mode (looked at the ConfigMaps kube-proxy, kube-proxy-config in kube-system); Kubernetes "
        f"{facts['server_version']} defaults to iptables"
    ]
    nodes = {pod["node"] for pod in dns["pods"]}
    for node in facts["nodes"]:
        assert known.node_facts(node["name"]) == {"zone": node["zone"], "coredns_on_node": node["name"] in nodes}


@pytest.mark.cluster
@pytest.mark.proxy
def test_coredns_counts_what_it_was_asked(cluster: None) -> None:
    client = connect()
    around = surroundings(client)
    pods = [pod for pod in around.dns_pods if pod.kind == "coredns"]
    dns_pod = around.facts["dns"]["pods"][0]
    before, denied = dns_counters(client, pods)
    assert denied == ()
    n_names = 20
    token = f"n{time.time_ns()}"
    look_up([f"{token}-{i}.any.cluster.local" for i in range(n_names)], dns_pod["address"])
    look_up([f"{token}-{i}.default.svc.cluster.local" for i in range(n_names)], dns_pod["address"], tcp=True)
    after, _ = dns_counters(client, pods)
    moved = {name: after[name] - before[name] for name in after}
    print({name: n for name, n in moved.items() if n})
    for prefix in (f"coredns.{dns_pod['name']}", "coredns"):
        assert moved[f"{prefix}.requests_udp"] >= n_names
        assert moved[f"{prefix}.requests_tcp"] >= n_names
        assert moved[f"{prefix}.requests"] >= moved[f"{prefix}.requests_udp"] + moved[f"{prefix}.requests_tcp"]
        assert moved[f"{prefix}.responses_noerror"] >= n_names
        assert moved[f"{prefix}.responses_nxdomain"] >= n_names
        assert moved[f"{prefix}.cache_misses"] >= 2 * n_names
    assert after["coredns.requests"] == sum(after[f"coredns.{pod.name}.requests"] for pod in pods)
    assert time.time() - 1e7 < after[f"coredns.{dns_pod['name']}.started_s"] < time.time()
    assert moved[f"coredns.{dns_pod['name']}.started_s"] == 0
    assert "coredns.started_s" not in after


@pytest.mark.cluster
def test_no_total_when_a_server_does_not_answer(cluster: None) -> None:
    client = connect()
    (dns_pod, *_) = surroundings(client).dns_pods
    numbers, denied = dns_counters(client, [dns_pod, DnsPod("coredns", "kube-system", "gone", 9153)])
    assert f"coredns.{dns_pod.name}.requests" in numbers
    assert "coredns.requests" not in numbers
    (line,) = denied
    assert line.startswith("coredns metrics: 1 of 2 pods gave none: cannot read metrics of pod gone: ")
    assert "not found" in line


@contextlib.contextmanager
def node_cache(client: Client) -> Iterator[DnsPod]:
    """A CoreDNS that serves its metrics where the node-local cache does."""
    template = 'template IN A . {\n answer "{{ .Name }} 30 IN A 192.0.2.1"\n}'
    corefile = f".:1053 {{\n{template}\nprometheus :9253\ncache 30\n}}\n"
    core, name = client.core(), "cache"
    core.create_namespaced_config_map(client.namespace, {"metadata": {"name": name}, "data": {"Corefile": corefile}})
    container = {
        "name": "node-cache",
        "image": "dnslab.test/coredns:1",
        "imagePullPolicy": "Never",
        "command": ["/bin/coredns", "-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": name}}]}
    core.create_namespaced_pod(client.namespace, {"metadata": {"name": name}, "spec": spec})
    yield DnsPod("node-local", client.namespace, name, 9253)
    core.delete_namespaced_pod(name, client.namespace, grace_period_seconds=0)


@pytest.mark.cluster
def test_a_node_local_cache_is_counted_apart(namespace: str) -> None:
    client = connect(namespace=namespace)
    with node_cache(client) as cache:
        deadline_s = time.monotonic() + 60
        while not (answer := dns_counters(client, [cache]))[0]:
            assert time.monotonic() < deadline_s, answer[1]
            time.sleep(0.5)
        address = client.core().read_namespaced_pod(cache.name, namespace).status.pod_ip
        code = "import sys, dns.message, dns.query\n"
        code += "for _ in range(5): dns.query.udp(dns.message.make_query('a.test', 'A'), sys.argv[1], 5, port=1053)"
        in_node("dlc-n1", sys.executable, "-c", code, address)
        numbers, denied = dns_counters(client, [cache])
    assert denied == ()
    assert all(name.startswith("node-local.") for name in numbers)
    counted = ("requests_udp", "requests_tcp", "cache_misses", "cache_hits", "responses_noerror")
    assert [numbers[f"node-local.cache.{name}"] for name in counted] == [5, 0, 1, 4, 5]
    assert [numbers[f"node-local.{name}"] for name in counted] == [5, 0, 1, 4, 5]


def without_rights(client: Client) -> Client:
    """A client as a new ServiceAccount that may do nothing."""
    core = client.core()
    core.create_namespaced_service_account(client.namespace, {"metadata": {"name": "nobody"}})
    made = core.create_namespaced_service_account_token("nobody", client.namespace, {"spec": {}})
    configuration = kubernetes.client.Configuration()
    configuration.host, configuration.ssl_ca_cert = client.configuration.host, client.configuration.ssl_ca_cert
    configuration.api_key = {"BearerToken": f"Bearer {made.status.token}"}
    configuration.retries = False
    server = client.server.replace("//", "//nobody:secret@")
    return Client(client.context, client.namespace, server, configuration)


@pytest.mark.cluster
def test_without_rights_every_part_is_denied_and_none_guessed(namespace: str) -> None:
    client = connect(namespace=namespace)
    known = surroundings(client)
    nobody = without_rights(client)
    of_nobody = surroundings(nobody)
    print("\n".join(of_nobody.facts["denied"]))
    assert "secret" not in json.dumps(of_nobody.facts)
    assert of_nobody.facts["server"] == client.server
    assert of_nobody.facts["nodes"] is None
    assert not any(of_nobody.facts["dns"].values())
    assert of_nobody.facts["kube_proxy_mode"] == "unknown"
    assert of_nobody.dns_pods == ()
    assert of_nobody.node_facts("dlc-n1") == {"zone": None, "coredns_on_node": None}
    for resource in ("nodes", "pods", "services", "configmaps"):
        assert any(f"{resource} " in line and "forbidden" in line for line in of_nobody.facts["denied"]), resource
    assert any("kube-system/kube-proxy" in line for line in of_nobody.facts["denied"])
    assert all("\n" not in line for line in of_nobody.facts["denied"])
    known_not = [line.partition(" (")[0] for line in of_nobody.facts["denied"] if "forbidden" not in line]
    assert "the Service of the cluster's DNS" in known_not
    numbers, denied = dns_counters(nobody, known.dns_pods[:2])
    assert numbers == {}
    (line,) = denied
    assert line.startswith("coredns metrics: 2 of 2 pods gave none: ")
    assert "forbidden" in line


@pytest.mark.cluster
@pytest.mark.proxy
def test_a_pod_reads_its_nodes_counters(namespace: str) -> None:
    client = connect(namespace=namespace)
    spec = PodSpec(image="dnslab.test/glibc:1", node="dlc-n1", host_network=True)
    with own_pod(client, spec) as pod:
        before = witnesses.read("node", read(pod.run, pod.program, witnesses.NAMESPACE_FILES))
        look_up(["web.any.cluster.local"] * 10, DNS)
        after = witnesses.read("node", read(pod.run, pod.program, witnesses.NAMESPACE_FILES))
    print({name: number for name, number in after.items() if "conntrack" in name})
    for name in ("count", "max", "udp_timeout", "udp_timeout_stream"):
        setting = int(in_node("dlc-n1", "cat", f"/proc/sys/net/netfilter/nf_conntrack_{name}"))
        number = after[f"node.conntrack.{name}{'_s' if 'timeout' in name else ''}"]
        assert number == setting or name == "count"
    assert {"node.conntrack.insert_failed", "node.conntrack.drop", "node.conntrack.clashres"} <= set(after)
    assert after["node.Udp.OutDatagrams"] - before["node.Udp.OutDatagrams"] >= 10
    assert after["node.Udp.InDatagrams"] - before["node.Udp.InDatagrams"] >= 10
