"""The node-local cache: its manifest, put on a cluster, asked, detected and taken away without a trace.

On the test cluster its image is a stand-in: what is shown is shown for the manifest and the way queries take.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.analyse.timeline import pooled, run_slices, spells
from dnslab.errors import UsageError
from dnslab.explain.validity import find_vetoes
from dnslab.measure import runner
from dnslab.measure.progress import Progress
from dnslab.plan import model as plan
from dnslab.plan.cluster import ClusterPlan
from dnslab.present.page import page
from dnslab.store.contents import NodeCache

pytest.importorskip("kubernetes")

from dnslab.measure.kubernetes.api.client import Client, connect
from dnslab.measure.kubernetes.api.objects import create, list_nodes, list_objects
from dnslab.measure.kubernetes.cluster_dns import find
from dnslab.measure.kubernetes.node_cache.detect import Detection, status
from dnslab.measure.kubernetes.node_cache.manifest import image_with_tag, node_cache_manifest
from dnslab.measure.kubernetes.node_cache.remove import remove
from dnslab.measure.kubernetes.node_cache.verify import iptables_rules, why_no_rules
from tests.cluster.cluster import kubectl, processes, restart, stop
from tests.present.test_states import words

IMAGE = "dnslab.test/coredns:1"
NETNS = sorted(Path("/run/netns").glob("dlc-n*"))


ASKING = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "asking"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["169.254.20.10"]},
        "containers": [{"name": "app", "image": "dnslab.test/glibc:1", "imagePullPolicy": "IfNotPresent"}],
    },
}


def test_what_was_detected_is_kept_as_it_is() -> None:
    detection = Detection("unknown", ("169.254.20.10",), None, ("a DaemonSet",), ("pods: forbidden",))
    kept = NodeCache.model_validate(vars(detection))
    assert kept == NodeCache.model_validate_json(kept.model_dump_json())
    assert kept.model_dump(exclude_unset=True) == json.loads(json.dumps(vars(detection)))


LABELS = {"k8s-app": "kube-dns"}


def parts(manifest: str) -> dict[str, Any]:
    return {wanted["kind"]: wanted for wanted in yaml.safe_load_all(manifest)}


def test_the_manifest() -> None:
    made = parts(
        node_cache_manifest(
            "r.test/node-cache:1",
            ["169.254.20.10", "10.96.0.10"],
            ["k8s.test", "old.test"],
            LABELS,
            stub_domains={"corp.test": ["192.0.2.1"]},
            target_ports={"UDP": 5353, "TCP": "dns-tcp"},
        )
    )
    pod = made["DaemonSet"]["spec"]["template"]["spec"]
    cache = pod["containers"][0]
    assert cache["image"] == "r.test/node-cache:1"
    assert cache["args"][:2] == ["-localip", "169.254.20.10,10.96.0.10"]
    assert (pod["hostNetwork"], pod["dnsPolicy"], pod["priorityClassName"]) == (True, "Default", "system-node-critical")
    assert cache["readinessProbe"]["httpGet"] == {"host": "169.254.20.10", "path": "/health", "port": 8080}
    assert all(wanted["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "dnslab" for wanted in made.values())
    assert made["Service"]["spec"]["selector"] == LABELS
    assert [port["targetPort"] for port in made["Service"]["spec"]["ports"]] == [5353, "dns-tcp"]
    servers = re.findall(r"(?ms)^(\S.*?) \{\n(.*?)^\}", made["ConfigMap"]["data"]["Corefile"])
    (zones, text), *servers = servers  # by what it answers there, one sees who answers
    assert zones == "node-cache.dnslab.k8s.test:53"
    assert text.count("{{ .Name }} 0 IN A 192.0.2.53") == 1
    assert "    bind 169.254.20.10 10.96.0.10\n" in text
    assert [zones for zones, _ in servers] == [
        "k8s.test:53 old.test:53",
        "in-addr.arpa:53",
        "ip6.arpa:53",
        "corp.test:53",
        ".:53",
    ]
    assert all("    bind 169.254.20.10 10.96.0.10\n" in text for _, text in servers)
    assert ["force_tcp" in text for _, text in servers] == [True, True, True, True, False]
    assert "success 9984 30\n        denial 9984 5\n" in servers[0][1]
    assert ["cache 30\n" in text for _, text in servers] == [False, True, True, True, True]
    assert ["health 169.254.20.10:8080" in text for _, text in servers] == [True, False, False, False, False]


def test_other_addresses_and_images() -> None:
    assert "health [fd00::10]:8080" in node_cache_manifest("a:1", ["fd00::10"], ["cluster.local"], LABELS)
    for wrong in (["127.0.0.1"], ["cache"], [], ["169.254.20.10", "fd00::10"]):
        with pytest.raises(UsageError):
            node_cache_manifest("a:1", wrong, ["cluster.local"], LABELS)
    assert image_with_tag("r.test:5000/node-cache") == "r.test:5000/node-cache:1.26.8"
    assert image_with_tag("r.test:5000/node-cache:1.23") == "r.test:5000/node-cache:1.23"
    assert image_with_tag("node-cache@sha256:00") == "node-cache@sha256:00"


def test_only_the_rules_of_the_cache_are_deleted() -> None:
    """As iptables-save writes them: NOTRACK is CT --notrack in newer ones."""
    saved = """\
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -j NOTRACK
-A PREROUTING -d 10.0.0.1/32 -p udp -m udp --dport 53 -j NOTRACK
-A OUTPUT -s 10.96.0.10/32 -p tcp -m tcp --sport 53 -j CT --notrack
COMMIT
*nat
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/kube-dns:dns" -j KUBE-SVC-TCOU7JCQXEZGVUNU
COMMIT
*filter
-A INPUT -d 169.254.20.10/32 -p tcp -m tcp --dport 53 -j ACCEPT
-A INPUT -d 169.254.20.10/32 -p tcp -m tcp --dport 53 -j DROP
COMMIT
"""
    rules = [" ".join(rule) for rule in iptables_rules(saved, ["169.254.20.10", "10.96.0.10"])]
    assert rules == [
        "-t raw -D PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -j NOTRACK",
        "-t raw -D OUTPUT -s 10.96.0.10/32 -p tcp -m tcp --sport 53 -j CT --notrack",
        "-t filter -D INPUT -d 169.254.20.10/32 -p tcp -m tcp --dport 53 -j ACCEPT",
    ]
    saved = "*raw\n-A OUTPUT -d fd00::a/128 -p udp -m udp --dport 53 -j NOTRACK\nCOMMIT\n"
    assert len(iptables_rules(saved, ["fd00::a"])) == 1


def test_without_iptables_no_rule_is_tried_for_long() -> None:
    """As the exec API tells of a program that is not there, and a kernel that takes no such rule."""
    asked: list[list[str]] = []

    def no_program(command: Sequence[str]) -> tuple[int, bytes]:
        asked.append(list(command))
        return 127, b"exec: iptables: not found"

    assert why_no_rules(no_program, ["169.254.20.10"]) == "exec: iptables: not found"
    assert {command[0] for command in asked} == {"iptables"}
    assert why_no_rules(lambda _: (4, b""), ["fd00::a"]) == "ip6tables ended with status 4"
    assert why_no_rules(lambda _: (0, b""), ["169.254.20.10", "fd00::a"]) == ""


# ---- on a cluster


def dnslab(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from dnslab.cli import main; main()", "node-cache", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL)


def in_node(netns: Path, *command: str) -> str:
    done = subprocess.run(
        ["nsenter", f"--net={netns}", *command], capture_output=True, text=True, timeout=10, check=False
    )
    return done.stdout


def traces() -> list[str]:
    """What a cache leaves in the nodes' network namespaces."""
    left = []
    for netns in NETNS:
        left += [f"{netns.name} interface"] if in_node(netns, "ip", "link", "show", "nodelocaldns") else []
        left += [f"{netns.name} rules"] if "-d 169.254.20.10" in in_node(netns, "iptables-save") else []
    return left


def ours(client: Client) -> list[str]:
    """What is left in kube-system with dnslab's label."""
    kinds = ("ConfigMap", "Service", "ServiceAccount", "Pod", "DaemonSet")
    items = (
        item
        for kind in kinds
        for item in list_objects(client, kind, "kube-system", "app.kubernetes.io/managed-by=dnslab")
    )
    return [item["metadata"]["name"] for item in items]


def killed_in_one(client: Client) -> None:
    """Delete the cache's pods: on the first node it is stopped by then, so that it cannot end in order."""
    for pid in processes():
        with contextlib.suppress(OSError):
            is_cache = Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/bin/sh\0/node-cache\0")
            if is_cache and f"/{NETNS[0].name}/" in Path(f"/proc/{pid}/cgroup").read_text():
                os.kill(pid, signal.SIGSTOP)
    client.apps().delete_namespaced_daemon_set("node-local-dns", "kube-system", propagation_policy="Orphan")
    client.core().delete_collection_namespaced_pod(
        "kube-system", label_selector="k8s-app=node-local-dns", grace_period_seconds=5
    )


@pytest.fixture
def client(cluster: None) -> Client:
    return connect()


@pytest.fixture
def no_cache_after(client: Client) -> Iterator[None]:
    yield
    for _ in remove(client, IMAGE, ["169.254.20.10"]):
        pass


@pytest.mark.cluster
@pytest.mark.proxy
@pytest.mark.usefixtures("no_cache_after")
@pytest.mark.alone
def test_install_status_remove(client: Client, namespace: str) -> None:
    """The whole way, by the commands. The cache ends in order on two nodes and is killed on the third.

    There it leaves its interface and its rules, which remove takes away, though the image has no ``ip``.
    """
    if not NETNS:
        pytest.skip("looks into the nodes' network namespaces, which this cluster does not have here")
    assert status(client).state == "absent"
    done = dnslab("install", "--image", IMAGE)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "without a terminal, add --yes" in done.stderr
    assert "+kind: DaemonSet" in done.stdout
    assert status(client).state == "absent"

    n_nodes = len(list_nodes(client))
    done = dnslab("install", "--image", IMAGE, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"cluster: {client}\n")
    answers = r"^(dlc-n\d): the cache answers on 169.254.20.10 and its rules are set, after \d+ s; kubernetes.default"
    assert sorted(re.findall(answers, done.stdout, re.MULTILINE)) == [netns.name for netns in NETNS]
    assert "this in CoreDNS's Corefile no longer holds:\n  template IN A any.cluster.local (in .:53)\n" in done.stdout
    assert len(traces()) == 2 * n_nodes

    output = dnslab("status").stdout
    assert "DNS of the cluster: 10.96.0.10, Service kube-system/kube-dns (by its name)\n" in output
    assert "zones: cluster.local (the Corefile's plugin kubernetes)\n" in output
    assert "node-local cache: detected on 169.254.20.10, not on the cluster IP" in output
    assert f"DaemonSet kube-system/node-local-dns ({IMAGE}) on 169.254.20.10: ready, {n_nodes} of {n_nodes}" in output
    assert status(client, node=list_nodes(client)[0]["metadata"]["name"]).state == "detected"
    assert status(client, node="elsewhere").state == "absent"
    again = dnslab("install", "--image", IMAGE)  # nothing to change, nothing to ask
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stdout

    create(client, ASKING, namespace)
    killed_in_one(client)
    gone = dnslab("remove", "--yes")
    assert gone.returncode == 0, gone.stderr
    (said,) = re.findall(r"^dlc-n1: removed interface nodelocaldns, (.*)$", gone.stdout, re.MULTILINE)
    assert said.count("rule -t ") == 12
    assert "dlc-n2: no nodelocaldns, no rules\n" in gone.stdout
    assert f"pods whose dnsConfig names it, and which will have no DNS: {namespace}/asking\n" in gone.stdout
    assert traces() == []
    assert status(client).state == "absent"
    assert ours(client) == []
    assert "there is no node-local cache of dnslab's" in dnslab("remove", "--yes").stdout


@pytest.mark.cluster
@pytest.mark.usefixtures("no_cache_after")
@pytest.mark.verify
@pytest.mark.alone
def test_killed_during_a_run_the_report_says_when(client: Client, namespace: str, tmp_path: Path) -> None:
    done = dnslab("install", "--image", IMAGE, "--yes")
    assert done.returncode == 0, done.stderr
    a_plan = plan.Plan(
        backend="kubernetes",
        cluster=ClusterPlan(namespace=namespace, images=("dnslab.test/glibc:1",)),
        variants=("baseline", "node-local"),
        loads=(plan.Load(rate_per_s=40, duration_s=3),),
        names=("kubernetes.default",),
        rounds=4,
        deadline_s=1.0,
    )
    killed_ns: list[int] = []

    def kill_in_round_three(progress: Progress) -> None:
        if killed_ns or progress.n_done < 4 or not any(client.heartbeat for client in progress.running):
            return
        client.apps().delete_namespaced_daemon_set("node-local-dns", "kube-system")
        client.core().delete_collection_namespaced_pod(
            "kube-system", label_selector="k8s-app=node-local-dns", grace_period_seconds=0
        )
        killed_ns.append(time.time_ns())

    run = open_run(runner.run(a_plan, tmp_path / "run", on_progress=kill_in_round_three))
    slices = run_slices(run)
    (spell,) = spells(pooled(slices, 0))
    began_s = min(client.start.started_realtime_ns for client in run.clients()) / 1e9
    assert (spell.variant, spell.first_round, spell.last_round) == ("node-local", 3, 4)
    assert abs(began_s + spell.start_s - killed_ns[0] / 1e9) < 3
    assert spell.share > 0.9
    assert "node-local went bad from" in words(page(run))


@pytest.mark.cluster
@pytest.mark.usefixtures("no_cache_after")
@pytest.mark.verify
@pytest.mark.alone
def test_an_image_that_is_not_to_be_had(client: Client) -> None:
    done = dnslab("install", "--image", "dnslab.test/nothing:1", "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert re.search(r"the cache does not start on \S+: (ErrImagePull|ImagePullBackOff)", done.stderr)
    assert status(client).state == "unknown"
    gone = dnslab("remove", "--yes")  # what that image left on a node, only an image that starts there can tell
    assert (gone.returncode, gone.stderr.count("\n")) == (3, 1)
    assert "not known to be clean: " in gone.stderr
    assert ours(client) == []


@pytest.mark.cluster
@pytest.mark.proxy
@pytest.mark.usefixtures("no_cache_after")
@pytest.mark.alone
def test_on_the_cluster_ip_it_is_waited_for_until_the_cache_answers(client: Client) -> None:
    """Before its rules are set, kube-proxy sends what is asked there to CoreDNS, which answers too."""
    done = dnslab("install", "--image", IMAGE, "--address", "169.254.20.10,10.96.0.10", "--yes")
    assert done.returncode == 0, done.stderr
    for address in ("169.254.20.10", "10.96.0.10"):
        assert done.stdout.count(f": the cache answers on {address} and its rules are set") == len(list_nodes(client))
    detection = status(client)
    assert (detection.owns_cluster_ip, detection.addresses) == (True, ("169.254.20.10", "10.96.0.10"))
    gone = dnslab("remove", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert traces() == []


@contextlib.contextmanager
def tables_of_another(netns: Path) -> Iterator[None]:
    """The node's table ``ip raw`` is a program's own, for as long as it runs: iptables may change nothing in it."""
    command = ["nsenter", f"--net={netns}", "nft", "-i"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdin
        # a table that iptables left there cannot be taken over
        owner.stdin.write("add table ip raw\ndelete table ip raw\nadd table ip raw { flags owner; }\n")
        owner.stdin.flush()
        deadline_s = time.monotonic() + 10
        while "table ip raw" not in in_node(netns, "nft", "list", "tables"):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        yield


@pytest.mark.cluster
@pytest.mark.usefixtures("no_cache_after")
@pytest.mark.alone
def test_a_node_that_takes_no_iptables_is_named_at_once(client: Client) -> None:
    if not NETNS:
        pytest.skip("looks into the nodes' network namespaces, which this cluster does not have here")
    node = NETNS[1]
    with tables_of_another(node):
        done = dnslab("install", "--image", IMAGE, "--yes")
        ended_s = time.monotonic()
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert f"the cache can set no rules on {node.name}: iptables v" in done.stderr
    assert "Operation not permitted" in done.stderr
    assert "`dnslab node-cache remove` removes the cache" in done.stderr
    (created,) = (
        item["metadata"]["creationTimestamp"]
        for item in list_objects(client, "DaemonSet", "kube-system")
        if item["metadata"]["name"] == "node-local-dns"
    )
    waited_s = time.time() - (time.monotonic() - ended_s) - datetime.datetime.fromisoformat(created).timestamp()
    assert waited_s < 30
    gone = dnslab("remove", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert traces() == []
    assert all("DNSLAB-TRY" not in in_node(netns, "iptables-save") for netns in NETNS)


@pytest.fixture
def lost_node(client: Client) -> Iterator[str]:
    """A node whose kubelet is gone, as the API server knows at once: by itself it would after a minute."""
    core, name = client.core(), "dlc-n3"
    stop(f"{name}-kubelet")
    gone = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "no kubelet"}
    core.patch_node_status(name, {"status": {"conditions": [gone]}})
    try:
        yield name
    finally:
        restart(f"{name}-kubelet")
        kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=60s")


@pytest.mark.cluster
@pytest.mark.verify
@pytest.mark.alone
def test_a_node_that_is_not_ready_is_named_and_holds_up_no_other(client: Client, lost_node: str) -> None:
    done = dnslab("install", "--image", IMAGE, "--yes")
    try:
        assert done.returncode == 0, done.stderr
        assert f"{lost_node}: it is not ready, so nothing is known of the cache there\n" in done.stdout
        assert done.stdout.count(": the cache answers on 169.254.20.10") == 2
    finally:
        gone = dnslab("remove", "--yes")
    assert (gone.returncode, gone.stderr.count("\n")) == (3, 1)
    assert f"not known to be clean: {lost_node}; look there" in gone.stderr
    assert f"{lost_node}: it is not ready, so it was not looked at\n" in gone.stdout
    assert gone.stdout.count(": no nodelocaldns, no rules\n") == 2


def daemon_set(name: str, *arguments: str) -> dict[str, Any]:
    """As kubespray labels one; its pods only sleep, for detection reads what is configured and whether it is ready."""
    labels = {"k8s-app": "nodelocaldns"}
    container = {
        "name": "node-cache",
        "image": "dnslab.test/glibc:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", "sleep 600", "sh", *arguments],
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


@pytest.mark.cluster
@pytest.mark.alone
def test_a_cache_of_others_is_told_and_left_alone(client: Client, namespace: str) -> None:
    """One that owns the cluster IP makes the baseline node-local."""
    wait_for(client, "absent")
    create(client, daemon_set("nodelocaldns", "-localip", "169.254.25.10,10.96.0.10"), namespace)
    detection = wait_for(client, "detected")
    assert detection.addresses == ("169.254.25.10", "10.96.0.10")
    assert detection.owns_cluster_ip is True
    assert "the baseline is node-local already" in detection.lines[0]
    assert detection.evidence[0].startswith(f"DaemonSet {namespace}/nodelocaldns")
    refused = dnslab("install", "--image", IMAGE, "--yes")
    assert refused.returncode == 2
    assert f"there already is a node-local cache, DaemonSet {namespace}/nodelocaldns" in refused.stderr


@pytest.mark.cluster
@pytest.mark.alone
def test_a_baseline_that_is_node_local_is_labelled(client: Client, namespace: str, tmp_path: Path) -> None:
    """And compared with what asks CoreDNS past the cache, by the Service that the cache asks."""
    wait_for(client, "absent")
    a_plan = plan.Plan(
        backend="kubernetes",
        cluster=ClusterPlan(namespace=namespace, images=("dnslab.test/glibc:1",)),
        variants=("baseline", "cluster-dns-direct"),
        loads=(plan.Load(rate_per_s=20, duration_s=2),),
        names=("kubernetes.default",),
        rounds=1,
    )
    with pytest.raises(UsageError, match="kube-system/kube-dns-upstream, which comes with a node-local cache"):
        runner.run(a_plan, tmp_path / "none")
    create(client, daemon_set("nodelocaldns", "-localip", "169.254.25.10,10.96.0.10"), namespace)
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    service = {"metadata": {"name": "kube-dns-upstream"}, "spec": {"selector": {"k8s-app": "kube-dns"}, "ports": ports}}
    made = client.core().create_namespaced_service("kube-system", service)
    try:
        wait_for(client, "detected")
        run = open_run(runner.run(a_plan, tmp_path / "run"))
    finally:
        client.core().delete_namespaced_service("kube-dns-upstream", "kube-system")
    assert [client.status for client in run.clients()] == ["complete", "complete"]
    summary = summarise(run)
    notes = [veto for veto in find_vetoes(run, summary) if veto.name == "baseline is node-local already"]
    assert f"DaemonSet {namespace}/nodelocaldns" in notes[0].seen
    resolv_confs = {client.start.variant: client.start.resolv_conf for client in run.clients()}
    assert f"nameserver {made.spec.cluster_ip}\n" in resolv_confs["cluster-dns-direct"]
    assert "nameserver 10.96.0.10\n" in resolv_confs["baseline"]
    direct = summary.row("cluster-dns-direct")
    assert direct
    assert direct.failed == 0


def wait_for(client: Client, state: str) -> Detection:
    deadline_s = time.monotonic() + 60
    while (detection := status(client)).state != state:
        assert time.monotonic() < deadline_s, detection
        time.sleep(0.5)
    return detection


@pytest.mark.cluster
def test_what_is_denied_is_unknown(client: Client, namespace: str) -> None:
    """A service account without rights: nothing is guessed, each denial is a line."""
    core = client.core()
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "nobody"}})
    token = core.create_namespaced_service_account_token("nobody", namespace, {"spec": {"expirationSeconds": 600}})
    configuration = connect().configuration
    configuration.refresh_api_key_hook = None  # it would bring the kubeconfig's token back
    configuration.api_key = {"authorization": f"Bearer {token.status.token}"}
    nobody = dataclasses.replace(client, configuration=configuration)
    dns = find(nobody)
    assert (dns.addresses, dns.zones, dns.proxy_mode) == ((), (), "")
    assert [line.partition(":")[0] for line in dns.not_seen[:3]] == [
        "cannot list Services in kube-system",
        "cannot list Services in openshift-dns",
        "cannot list Services in all namespaces",
    ]
    assert "cannot read ConfigMap kube-system/kube-proxy" in " ".join(dns.not_seen)
    blind = status(nobody)
    assert blind.state == "unknown"
    assert [line.partition(":")[0] for line in blind.unknown] == [
        "cannot list CiliumLocalRedirectPolicies",
        "cannot list DaemonSets in all namespaces",
    ]
    detection = status(nobody, resolv_conf="nameserver 169.254.25.10\n")
    assert (detection.state, detection.addresses, detection.owns_cluster_ip) == ("detected", ("169.254.25.10",), None)
    assert status(nobody, resolv_conf="nameserver 169.254.169.253\n").state == "unknown"  # a cloud's own resolver
