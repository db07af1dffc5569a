"""Mistakes in a cluster: each ends soon, with one line that says why, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslab.measure.kubernetes.api.client import connect
from tests.cli.test_cli import DNSLAB, dnslab
from tests.cluster.cluster import kubectl, sh
from tests.measure.kubernetes.test_existing import NAME, READ_ONLY, files, until
from tests.measure.kubernetes.test_safety import objects
from tests.nodes import apply
from tests.pods import fresh_namespace

pytestmark = pytest.mark.cluster

GLIBC = "--image=dnslab.test/glibc:1"
#: no registry answers there, and its node knows at once
NOWHERE = "127.0.0.1:1/none:1"
WITHIN_S = 60.0


def refused(namespace: str, folder: Path, *arguments: str, status: int, says: str) -> None:
    """A run that ends with ``status`` and one line that ``says`` it, and has changed nothing."""
    before = objects(namespace)
    where = ["--backend=kubernetes", f"--namespace={namespace}", "--out=out", f"--name={NAME}"]
    began_s = time.monotonic()
    done = dnslab("run", *where, "--variants=baseline", "-d", "1", "--rounds=1", *arguments, cwd=folder)
    assert time.monotonic() - began_s < WITHIN_S
    assert done.returncode == status, done
    assert re.fullmatch(r"error: .*\n", done.stderr), done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert objects(namespace) == before
    assert not list(folder.iterdir())


# In pods that are there.


def pod(
    name: str, volumes: tuple[str, ...] = (), image: str = "dnslab.test/glibc:1", **container: Any
) -> dict[str, Any]:
    """A pod with an emptyDir at each of ``volumes``."""
    named = {path.strip("/"): path for path in volumes}
    app = {
        "name": "app",
        "image": image,
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in named.items()],
        **container,
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [app],
        "volumes": [{"name": volume, "emptyDir": {}} for volume in named],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


#: the shell that an exec finds has the personality of a 32-bit machine: ``uname -m`` is the kernel's own word
OTHER_MACHINE = (
    "printf '#!/bin/sh\\nexec linux32 /bin/sh\\n' >/scratch/sh; chmod 755 /scratch/sh; exec sleep 2147483647"
)
OTHERS = [
    pod("shell-less", image="dnslab.test/distroless:1"),
    pod("sealed", securityContext=READ_ONLY),
    pod("noexec", volumes=("/scratch", "/tmp"), securityContext=READ_ONLY),
    pod(
        "other-machine",
        volumes=("/scratch",),
        command=["sh", "-c", OTHER_MACHINE],
        env=[{"name": "PATH", "value": "/scratch:/bin"}],
    ),
    pod("stuck", image=NOWHERE),
    pod("crashing", command=["false"]),
]
RUNNING = [f"pod/{name}" for name in ("shell-less", "sealed", "noexec", "other-machine")]


@pytest.fixture(scope="module")
def others(cluster: None) -> Iterator[str]:
    """The namespace of pods in each of which something is in the way."""
    with fresh_namespace() as client:
        done = apply(client.namespace, yaml.safe_dump_all(OTHERS))
        assert done.returncode == 0, done
        here = ("-n", client.namespace)
        kubectl(*here, "wait", "--for=condition=Ready", *RUNNING, "--timeout=60s")
        remount_noexec(client.namespace, "noexec", "/scratch", "/tmp")
        why = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
        for name, words in (("stuck", "ErrImagePull ImagePullBackOff"), ("crashing", "CrashLoopBackOff")):
            assert until(
                lambda name=name, words=words: kubectl(*here, "get", "pod", name, "-o", why) in words.split(), 60
            )
        yield client.namespace


def remount_noexec(namespace: str, name: str, *places: str) -> None:
    """As an administrator may have it: the API has no way to ask for it. In the container's mount namespace."""
    container_id = kubectl(
        "-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.containerStatuses[0].containerID}"
    )
    (pid, *_) = pids(container_id.removeprefix("containerd://"))
    for path in places:
        sh(
            "nsenter",
            f"--mount=/proc/{pid}/ns/mnt",
            "/bin/busybox",
            "mount",
            "-o",
            "remount,bind,noexec",
            "none",
            path,
        )
    assert (Path(f"/proc/{pid}/mounts").read_text().count("noexec")) >= len(places)


def pids(container: str) -> list[int]:
    """Processes of a container on any node."""
    numbers = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if container in path.read_text():
                numbers.append(int(path.parent.name))
    return numbers


IN_OTHERS: dict[str, tuple[list[str], int, str]] = {
    "no such workload": (["--in=deploy/nowhere"], 2, "no deploy/nowhere in namespace"),
    "no shell": (
        ["--in=pod/shell-less"],
        3,
        "container app of pod shell-less has no shell.*--ephemeral-container IMAGE",
    ),
    "nothing writable": (["--in=pod/sealed"], 3, "no place to run the probe from: /tmp, .*read-only or noexec"),
    "noexec": (["--in=pod/noexec"], 3, "no place to run the probe from: /scratch, .*read-only or noexec"),
    "other machine": (["--in=pod/other-machine"], 3, "other-machine runs on i686: there are probes for x86_64 and"),
    "not started": (["--in=pod/stuck"], 3, "pod stuck does not run .phase Pending; (ErrImage|ImagePullBack).*none:1"),
    "crashing": (["--in=pod/crashing"], 3, "container app of pod crashing does not run: (Error|CrashLoopBackOff)"),
    "no shell in it": (
        ["--in=pod/sealed", "--ephemeral-container=dnslab.test/static:1"],
        3,
        'does not start: (Start|RunContainer)Error: .*exec: "sh": executable',
    ),
}


@pytest.mark.parametrize("case", IN_OTHERS)
def test_in_pods_that_are_there(case: str, others: str, tmp_path: Path) -> None:
    arguments, status, says = IN_OTHERS[case]
    refused(others, tmp_path, *arguments, status=status, says=says)
    name = arguments[0].removeprefix("--in=pod/")
    if f"pod/{name}" in RUNNING[1:]:
        assert files(others, name) == []


# Own pods.

QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
LIMITS = {"type": "Container", "max": {"memory": "64Mi"}, "default": {"memory": "64Mi"}}
LIMIT_RANGE = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": [LIMITS]}}
OWN: dict[str, tuple[Mapping[str, Any] | None, list[str], int, str]] = {
    "no such image": (None, [f"--image={NOWHERE}"], 3, "does not start: (ErrImage|ImagePullBack).*none:1"),
    "no such workload": (None, ["--like=deploy/nowhere"], 2, "no deploy/nowhere in namespace"),
    "no such node": (None, [GLIBC, "--nodes=nowhere"], 2, "no node 'nowhere': ready for pods are dlc-n1, "),
    "no pods at all": ({**QUOTA, "spec": {"hard": {"pods": "0"}}}, [GLIBC], 3, "cannot make pod .*exceeded quota: few"),
    "one pod": ({**QUOTA, "spec": {"hard": {"pods": "1"}}}, [GLIBC], 3, "exceeded quota: few, .*used: pods=1"),
    "too large": (LIMIT_RANGE, [GLIBC], 3, "cannot make pod .*maximum memory usage per Container is 64Mi"),
}  # fmt: skip


@pytest.mark.parametrize("case", OWN)
def test_own_pods(case: str, namespace: str, tmp_path: Path) -> None:
    manifest, arguments, status, says = OWN[case]
    if manifest:
        assert apply(namespace, yaml.safe_dump(manifest)).returncode == 0
    if manifest and manifest["kind"] == "ResourceQuota":
        counted = f"--for=jsonpath={{.status.hard.pods}}={manifest['spec']['hard']['pods']}"
        kubectl("-n", namespace, "wait", counted, "resourcequota/few", "--timeout=30s")
    refused(namespace, tmp_path, *arguments, status=status, says=says)


@pytest.fixture
def no_exec(namespace: str) -> Iterator[str]:
    """A namespace in which a policy of the cluster forbids every exec."""
    match = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/exec"], "operations": ["CONNECT"]}
        ],
    }
    rules = [{"expression": "false", "message": "no exec here: ask the platform team"}]
    version, named = "admissionregistration.k8s.io/v1", {"metadata": {"name": namespace}}
    policy = {"matchConstraints": match, "validations": rules, "failurePolicy": "Fail"}
    binding = {"policyName": namespace, "validationActions": ["Deny"]}
    text = yaml.safe_dump_all(
        [
            {"apiVersion": version, "kind": "ValidatingAdmissionPolicy", **named, "spec": policy},
            {"apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", **named, "spec": binding},
        ]
    )
    kubectl("apply", "-f", "-", inp=text)
    try:
        yield namespace
    finally:
        kubectl("delete", "-f", "-", inp=text)


def test_a_policy_that_forbids_exec(no_exec: str, tmp_path: Path) -> None:
    refused(no_exec, tmp_path, GLIBC, status=3, says="cannot exec in pod .*no exec here: ask the platform team")


@pytest.mark.alone
def test_a_cordoned_node(namespace: str, tmp_path: Path) -> None:
    kubectl("cordon", "dlc-n3")
    try:
        refused(
            namespace, tmp_path, GLIBC, "--nodes=dlc-n3", status=3, says="node dlc-n3 .*: it is cordoned; ready are"
        )
    finally:
        kubectl("uncordon", "dlc-n3")


@pytest.mark.alone
def test_a_node_of_another_machine(namespace: str, tmp_path: Path) -> None:
    """A node without a kubelet, which tells of itself what it is: cordoned, so that nobody else takes it for one."""
    name = f"other-{namespace}"
    info = {"operatingSystem": "linux", "architecture": "s390x"}
    strings = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion")
    node_info = {**dict.fromkeys((*strings, "kubeletVersion", "kubeProxyVersion"), ""), **info}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
    core = connect().core()
    core.create_node({"metadata": {"name": name}, "spec": {"unschedulable": True}})
    try:
        core.patch_node_status(name, {"status": {"nodeInfo": node_info, "conditions": [ready]}})
        says = f"node {name} .*: it is linux/s390x, there are probes for linux/amd64 and linux/arm64"
        refused(namespace, tmp_path, GLIBC, f"--nodes={name}", status=3, says=says)
    finally:
        core.delete_node(name)


# What asks before it does something.


def test_the_answer_on_a_terminal_counts(namespace: str, tmp_path: Path) -> None:
    labels = {"app.kubernetes.io/managed-by": "dnslab", "dnslab/run": "0badf00d"}
    left = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "left", "labels": labels}}
    assert apply(namespace, yaml.safe_dump(left)).returncode == 0
    before = objects(namespace)
    for answer in ("n\n", "\n", "\x03"):  # the last is Ctrl-C
        assert on_terminal(tmp_path, answer, "clean", f"--namespace={namespace}") == (130, "nothing was changed")
        assert objects(namespace) == before
    assert on_terminal(tmp_path, "y\n", "clean", f"--namespace={namespace}") == (0, "removed: 1 object")
    assert len(objects(namespace)) == len(before) - 1


def on_terminal(folder: Path, answer: str, *arguments: str) -> tuple[int, str]:
    """Exit status and last line of dnslab on a terminal of its own, on which its question is given ``answer``."""
    ours, its = os.openpty()
    output = ""
    with open(ours, "rb", buffering=0) as terminal:
        # A session of its own: the terminal becomes its controlling one, from which Ctrl-C comes.
        command = ["setsid", "--ctty", *DNSLAB, *arguments]
        process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, cwd=folder)
        os.close(its)
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while data := terminal.read(1 << 16):
                output += data.decode()
                if output.endswith("[y/N]: "):
                    time.sleep(0.3)  # as a person does: Python loses a Ctrl-C between its prompt and its read
                    os.write(ours, answer.encode())
        status = process.wait(WITHIN_S)
    assert "Traceback" not in output
    return status, output.split("\r\n")[-2]
