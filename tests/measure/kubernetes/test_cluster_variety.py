"""Clusters that are not as the test cluster comes: a second DNS, a dedicated pool, a namespace with quotas."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import summarise
from dnslab.errors import UsageError
from dnslab.explain.findings import conclude
from dnslab.explain.validity import find_vetoes
from dnslab.measure import runner
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.cluster_dns import find
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Load, Plan
from tests.cluster.cluster import DNS, kubectl, processes, sh
from tests.nodes import apply, pods_left

pytestmark = pytest.mark.cluster

GLIBC = "dnslab.test/glibc:1"


def measured(path: Path, variants: tuple[str, ...] = ("baseline",), **cluster: Any) -> Run:
    a_plan = Plan(
        backend="kubernetes",
        cluster=ClusterPlan(**cluster),
        variants=variants,
        loads=(Load(rate_per_s=20, duration_s=1),),
        names=("kubernetes.default",),
        rounds=1,
    )
    return open_run(runner.run(a_plan, path / "run"))


def answered(run: Run) -> None:
    """All clients came to their end, and no lookup failed."""
    assert {client.status for client in run.clients()} == {"complete"}
    assert all(row.n and not row.failed for row in summarise(run).measured())


# A second DNS: another zone, another name of the Service, and pods that listen on another port.

SECOND = """
apiVersion: v1
kind: ConfigMap
metadata: {name: names}
data:
  Corefile: |
    .:1053 {
        kubernetes corp.test cluster.local
        ready
    }
---
apiVersion: v1
kind: Pod
metadata: {name: names, labels: {app: names}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: coredns
    image: dnslab.test/coredns:1
    imagePullPolicy: Never
    args: ["-conf", "/etc/coredns/Corefile"]
    readinessProbe: {httpGet: {path: /ready, port: 8181}, periodSeconds: 1}
    volumeMounts: [{name: config, mountPath: /etc/coredns}]
  volumes: [{name: config, configMap: {name: names}}]
---
apiVersion: v1
kind: Service
metadata: {name: names}
spec:
  selector: {app: names}
  ports:
  - {name: dns, port: 53, targetPort: 1053, protocol: UDP}
  - {name: dns-tcp, port: 53, targetPort: 1053, protocol: TCP}
"""


@pytest.fixture
def second_dns(namespace: str) -> Iterator[str]:
    """The address of the Service of a second DNS."""
    role = ["--clusterrole=system:coredns", f"--serviceaccount={namespace}:default"]
    kubectl("create", "clusterrolebinding", namespace, *role)
    try:
        assert apply(namespace, SECOND).returncode == 0
        kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/names", "--timeout=60s")
        yield kubectl("-n", namespace, "get", "service", "names", "-o", "jsonpath={.spec.clusterIP}")
    finally:
        kubectl("delete", "clusterrolebinding", namespace)


@pytest.mark.proxy
def test_a_second_dns_is_found_by_what_pods_ask(second_dns: str, namespace: str, tmp_path: Path) -> None:
    asks = {"nameservers": [second_dns], "searches": [f"{namespace}.svc.corp.test", "svc.corp.test", "corp.test"]}
    container = {"name": "app", "image": GLIBC, "imagePullPolicy": "Never"}
    spec: dict[str, Any] = {"dnsPolicy": "None", "dnsConfig": {**asks, "options": [{"name": "ndots", "value": "5"}]}}
    spec |= {"terminationGracePeriodSeconds": 0, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": spec}
    assert apply(namespace, yaml.safe_dump(pod)).returncode == 0
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/app", "--timeout=60s")
    run = measured(tmp_path, namespace=namespace, existing="pod/app")
    answered(run)
    (client,) = run.clients()
    assert f"nameserver {second_dns}\n" in client.start.resolv_conf
    dns = find(connect(), client.start.resolv_conf)
    assert (dns.addresses, dns.zones) == ((second_dns,), ("corp.test", "cluster.local"))
    assert f"Service {namespace}/names (a pod's resolv.conf names it)" in dns.seen[0]


# DNS that is redirected, as by a mesh: in the pod's own network namespace, or on its node.

#: port 53 of all packets from {whose} to {where} goes to another server, before kube-proxy's rules
REDIRECT = """
table ip mesh {{
  chain to_another {{
    type nat hook {hook} priority -110; policy accept;
    ip saddr {whose} ip daddr {where} udp dport 53 dnat to {server}
    ip saddr {whose} ip daddr {where} tcp dport 53 dnat to {server}
  }}
}}
"""
EVERYWHERE, AT_DNS = "0.0.0.0/0", DNS
REDIRECTED = "something does at 192.0.2.53, where no server is: port 53 of app is redirected, whatever the nameserver"


def process_in(pod: str, namespace: str) -> str:
    """Any process of the pod's containers, as seen from here."""
    uid = kubectl("-n", namespace, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    return next(str(pid) for pid in processes() if f"/pod{uid}/" in Path(f"/proc/{pid}/cgroup").read_text())


@contextlib.contextmanager
def redirected(inside: list[str], **rule: str) -> Iterator[None]:
    """``inside`` enters the network namespace in which the rule is set."""
    sh(*inside, "nft", "-f", "-", inp=REDIRECT.format(**rule))
    try:
        yield
    finally:
        sh(*inside, "nft", "delete", "table", "ip", "mesh")


@pytest.fixture
def second_pod(second_dns: str, namespace: str) -> str:
    """Address and port of the second DNS's pod."""
    return kubectl("-n", namespace, "get", "pod", "names", "-o", "jsonpath={.status.podIP}") + ":1053"


@pytest.mark.parametrize("where", [EVERYWHERE, AT_DNS, ""])
def test_who_answers_an_existing_pod_is_measured(where: str, second_pod: str, namespace: str, tmp_path: Path) -> None:
    container = {"name": "app", "image": GLIBC, "imagePullPolicy": "Never"}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": spec}
    assert apply(namespace, yaml.safe_dump(pod)).returncode == 0
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/app", "--timeout=60s")
    inside = ["nsenter", "-t", process_in("app", namespace), "-n"]
    with contextlib.ExitStack() as stack:
        if where:
            stack.enter_context(redirected(inside, hook="output", whose=EVERYWHERE, where=where, server=second_pod))
        run = measured(tmp_path, namespace=namespace, existing="pod/app")
    answered(run)
    who = run.environment.backend.who_answers
    assert (who.redirected, who.elsewhere) == (["app"] if where == EVERYWHERE else [], bool(where))
    port, counted = who.lines
    assert (REDIRECTED in port) == (where == EVERYWHERE)
    assert counted == (
        f"who answers at {DNS}: another than the cluster's DNS: of 20 answers, coredns counted 0 questions (measured)"
        if where
        else f"who answers at {DNS}: the cluster's DNS: of 20 answers, coredns counted 20 questions (measured)"
    )
    notes = [veto for veto in find_vetoes(run, summarise(run)) if veto.name == "another server answers"]
    assert len(notes) == bool(where)


@pytest.mark.proxy
@pytest.mark.alone
def test_who_answers_own_pods_is_measured_on_each_node(second_pod: str, namespace: str, tmp_path: Path) -> None:
    """And no cache is taken to be where a redirect answers."""
    inside = ["nsenter", "--net=/run/netns/dlc-n2"]
    variants = ("baseline", "node-local")
    with redirected(inside, hook="prerouting", whose="10.244.2.0/24", where=EVERYWHERE, server=second_pod):
        run = measured(tmp_path, variants, namespace=namespace, images=(GLIBC,), nodes="all")
    answered(run)
    who = run.environment.backend.who_answers
    assert (who.redirected, who.elsewhere) == (["dlc-n2"], False)
    reasons = {target.name: target.no_cache for target in run.environment.targets}
    assert reasons["dlc-n1"] == "no node-local cache answers at 169.254.20.10"
    assert (
        reasons["dlc-n2"]
        == "another server answers at 169.254.20.10: all DNS here is redirected to it, so no cache can be asked"
    )
    assert {client.start.variant for client in run.clients()} == {"baseline"}


def test_a_run_looks_for_dns_once(namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And lists nodes for the targets' names, then for their pods."""
    asked: Counter[str] = Counter()
    for name in ("list_node", "list_service_for_all_namespaces"):
        real = getattr(kubernetes.client.CoreV1Api, name)

        def counting(self: Any, *args: Any, name: str = name, real: Any = real, **keys: Any) -> Any:
            asked[name] += 1
            return real(self, *args, **keys)

        monkeypatch.setattr(kubernetes.client.CoreV1Api, name, counting)
    measured(tmp_path, namespace=namespace, images=(GLIBC,))
    assert asked == {"list_node": 2, "list_service_for_all_namespaces": 1}


# A dedicated pool.


@pytest.fixture
def pool() -> Iterator[str]:
    """A node with a taint and a label that only pods of the pool ask for."""
    kubectl("taint", "node", "dlc-n3", "pool=own:NoSchedule")
    kubectl("label", "node", "dlc-n3", "pool=own")
    try:
        yield "dlc-n3"
    finally:
        kubectl("label", "node", "dlc-n3", "pool-")
        kubectl("taint", "node", "dlc-n3", "pool:NoSchedule-")


@pytest.mark.alone
def test_like_a_workload_of_a_dedicated_pool(pool: str, namespace: str, tmp_path: Path) -> None:
    term = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["own"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "affinity": {"nodeAffinity": required},
            "tolerations": [{"key": "pool", "operator": "Equal", "value": "own", "effect": "NoSchedule"}],
            "containers": [{"name": "app", "image": GLIBC}],
        },
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    assert apply(namespace, yaml.safe_dump(web)).returncode == 0
    run = measured(tmp_path, namespace=namespace, like="deploy/web", nodes="all")
    answered(run)
    assert {client.start.node for client in run.clients()} == {pool}
    others = measured(tmp_path / "others", namespace=namespace, images=(GLIBC,), nodes="all")
    assert {client.start.node for client in others.clients()} == {"dlc-n1", "dlc-n2"}
    with pytest.raises(UsageError, match="--nodes 2: 1 nodes are ready for pods"):
        measured(tmp_path / "refused", namespace=namespace, like="deploy/web", nodes="2")


# The node's network, where the namespace admits it and where it does not.


@pytest.mark.parametrize("standard", ["privileged", "baseline", "restricted"])
def test_like_a_workload_in_the_nodes_network(standard: str, namespace: str, tmp_path: Path) -> None:
    kubectl("label", "namespace", namespace, f"pod-security.kubernetes.io/enforce={standard}")
    container = {"name": "app", "image": GLIBC, "imagePullPolicy": "Never"}
    spec: dict[str, Any] = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet", "containers": [container]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    of_web = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": of_web}
    assert apply(namespace, yaml.safe_dump(web)).returncode == 0
    run = measured(tmp_path, namespace=namespace, like="deploy/web")
    answered(run)
    (client,) = run.clients()
    if standard == "privileged":
        assert client.start.extra.address.startswith("172.30.0.")
        assert run.environment.backend.not_copied == []
        return
    assert client.start.extra.address.startswith("10.244.")
    (line,) = run.environment.backend.not_copied
    assert line.startswith("the node's network (hostNetwork): ")
    assert f'violates PodSecurity "{standard}:latest": host namespaces (hostNetwork=true)' in line
    assert any(line in str(limit) for limit in conclude(summarise(run), []).limits)


# A namespace with a quota for every resource, and a LimitRange that gives what a pod does not ask for.

SHARED = """
apiVersion: v1
kind: LimitRange
metadata: {name: usual}
spec:
  limits:
  - {type: Container, default: {cpu: "1", memory: 256Mi}, defaultRequest: {cpu: 50m, memory: 64Mi}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: shared}
spec:
  hard: {pods: "3", requests.cpu: 500m, requests.memory: 512Mi, limits.cpu: "3", limits.memory: 512Mi}
"""


def test_a_run_fits_into_a_quota_for_everything(namespace: str, tmp_path: Path) -> None:
    assert apply(namespace, SHARED).returncode == 0
    kubectl("-n", namespace, "wait", "--for=jsonpath={.status.hard.pods}=3", "resourcequota/shared", "--timeout=30s")
    run = measured(tmp_path, namespace=namespace, images=(GLIBC,))
    answered(run)
    assert pods_left(namespace) == []
    used = kubectl("-n", namespace, "get", "resourcequota", "shared", "-o", "jsonpath={.status.used}")
    assert re.search(r'"limits.cpu":"\d', used)
