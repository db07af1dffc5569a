"""A cluster in which every text is hostile: commands only print, what they print is quoted, and nothing is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Plan
from dnslab.store.contents import Environment
from dnslab.store.folder import RunFolder
from tests.apiserver import serving
from tests.cli.test_cli import dnslab

pytest.importorskip("kubernetes")


def hostile(marker: Path) -> str:
    """What a shell, a page, a terminal or a reader could take for something else."""
    return (
        f"x'\"$(touch {marker})`touch {marker}`;touch {marker}\n\x1b[31m\x07\u202e<img src=x onerror=alert(1)>$\\foo{{$"
    )


def objects(text: str) -> list[dict[str, Any]]:
    """Each text that people may choose in such an object is ``text``; names that the API server checks are honest."""
    dns = {"k8s-app": "kube-dns"}
    node_cache = {"k8s-app": "node-local-dns"}
    corefile = f"{text}:53 {{\n  kubernetes k8s.test {text} in-addr.arpa\n  bind {text}\n}}\n"
    pod = {
        "containers": [{"name": "app", "image": text, "args": ["-localip", f"169.254.20.10,{text}"]}],
        "dnsConfig": {"searches": [text], "options": [{"name": text, "value": text}], "nameservers": [text]},
        "volumes": [{"name": "c", "configMap": {"name": "coredns"}}],
        "nodeName": "n1",
        "nodeSelector": {text: text},
        "tolerations": [{"key": text}],
    }

    def workload(kind: str, name: str, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
        return {
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": {text: text}},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
            "status": {"readyReplicas": 1, "numberReady": 1, "desiredNumberScheduled": 1},
        }

    named = {"metadata": {"name": "coredns", "namespace": "kube-system", "labels": dns}}
    proxy = {"name": "kube-proxy", "namespace": "kube-system"}
    fields = ("bootID", "containerRuntimeVersion", "kubeProxyVersion", "kubeletVersion", "machineID", "systemUUID")
    node = dict.fromkeys((*fields, "kernelVersion", "osImage"), text)
    node |= {"architecture": "amd64", "operatingSystem": "linux"}
    return [
        {
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": dns},
            "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 53, "name": text}], "selector": dns},
        },
        {"kind": "ConfigMap", **named, "data": {"Corefile": corefile}},
        {"kind": "ConfigMap", "metadata": proxy, "data": {"config.conf": f"mode: {text!r}"}},
        {"kind": "Pod", **named, "spec": pod, "status": {"phase": "Running", "podIP": "10.0.0.9", "reason": text}},
        workload("Deployment", "coredns", "kube-system", dns),
        workload("DaemonSet", "node-local-dns", "kube-system", node_cache),
        workload("Deployment", "web", "shop", {"app": "web"}),
        {
            "kind": "Node",
            "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": text}},
            "spec": {},
            "status": {"nodeInfo": node, "conditions": [{"type": "Ready", "status": "True", "reason": text}]},
        },
    ]


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cluster")
    with serving(objects(hostile(folder / "X")), folder) as path:
        yield path
        assert not (folder / "X").exists()


COMMANDS = [
    ["fix", "--variant", "node-local", "--workload", "deploy/web"],
    ["fix", "--variant", "single-request-reopen", "--workload", "deploy/web"],
    ["fix", "--variant", "ndots-1", "--workload", "deploy/web", "--libc", "musl"],
    ["node-cache", "status"],
    ["node-cache", "render", "--image", "r.test/node-cache:1"],
    ["node-cache", "render"],
    ["doctor", "--backend", "kubernetes"],
    ["run", "--backend", "kubernetes", "--like", "deploy/web", "--dry-run"],
    ["run", "--backend", "kubernetes", "--in", "deploy/web", "--dry-run"],
    ["clean"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_printed_is_clean(command: list[str], kubeconfig: Path, tmp_path: Path) -> None:
    done = dnslab(*command, cwd=tmp_path, KUBECONFIG=str(kubeconfig))
    assert done.returncode in (0, 2, 3), done.stderr
    assert done.returncode == 0 or len(done.stderr.splitlines()) == 1, done.stderr
    for line in (done.stdout + done.stderr).splitlines():
        assert line.isprintable(), line


def test_a_resumed_run_names_the_cluster_before_it_loads_it(kubeconfig: Path, tmp_path: Path) -> None:
    """A received folder says where it measures: whoever resumes it sees that first."""
    plan = Plan(backend="kubernetes", variants=("baseline",), cluster=ClusterPlan(namespace="team-a"))
    RunFolder.create(tmp_path / "received", plan, Environment(kernel="Linux", targets=[]))
    done = dnslab("run", "--resume", "received", cwd=tmp_path, KUBECONFIG=str(kubeconfig))
    assert done.stdout.startswith("cluster: context stand-in, namespace team-a, http://127.0.0.1:")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert "this stand-in only reads" in done.stderr


def test_a_printed_command_gives_kubectl_its_words_and_runs_nothing(kubeconfig: Path, tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\nprintf "%s\\n" "$#" >>"$0.log"\n')
    kubectl.chmod(0o755)
    for variant in ("node-local", "single-request-reopen"):
        arguments = ("fix", "--variant", variant, "--workload", "deploy/web")
        lines = dnslab(*arguments, cwd=tmp_path, KUBECONFIG=str(kubeconfig)).stdout.splitlines()
        printed = [line for line in lines if line.startswith("kubectl ")]
        assert len(printed) >= 2
        for line in printed:
            subprocess.run(
                ["sh", "-c", line], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True
            )
    counts = set((tmp_path / "kubectl.log").read_text().split())
    assert counts == {"10"}  # --context C -n N patch deploy/web --type strategic -p JSON
