"""What may happen in the middle of a trial, done for real: finished trials are kept, the broken one says why."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dnslab.analyse.dataset import open_run
from tests import nodes
from tests.cli.test_cli import DNSLAB, dnslab
from tests.cluster import cluster
from tests.cluster.cluster import in_node, kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

SMALL = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: small}
spec:
  replicas: 0
  selector: {matchLabels: {app: small}}
  template:
    metadata: {labels: {app: small}}
    spec:
      containers:
      - name: app
        image: dnslab.test/glibc:1
        resources: {requests: {memory: 8Mi}, limits: {memory: 8Mi}}
"""


class Started:
    """A run as a process of its own, to be interfered with."""

    def __init__(self, folder: Path, namespace: str, *arguments: str) -> None:
        self.path, self.namespace, self.folder = folder / "run", namespace, folder
        usual = ["--name=web.any.cluster.local.", "--rate=50", "--variants=baseline", "--rounds=3", "-d", "6"]
        command = [*DNSLAB, "run", "--backend=kubernetes", f"--namespace={namespace}", f"--out={self.path}"]
        command += usual + (list(arguments) if any("--like" in argument for argument in arguments) else
                            ["--image=dnslab.test/glibc:1", *arguments])  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def trial(self, number: int, timeout_s: float = 60.0) -> str:
        """The pod of a trial once its lookups come in."""
        folder = self.path / "trials" / f"{number:04d}"
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            streams = [path for path in folder.glob("*.dnsr") if path.stat().st_size > 1000]
            if streams:
                start = json.loads(streams[0].with_suffix(".start.json").read_text(encoding="utf-8"))
                return str(start["extra"]["pod"])
            time.sleep(0.1)
        raise AssertionError(f"trial {number} did not begin: {self.end()}")

    def end(self, timeout_s: float = 120.0) -> str:
        """What it said at its end, on stderr."""
        try:
            return self.process.communicate(timeout=timeout_s)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def statuses(self) -> dict[int, str]:
        """The last status of each trial."""
        return {client.number: client.status for client in open_run(self.path).clients()}

    def error(self, number: int) -> str:
        """What end.json says of a broken trial."""
        client = next(client for client in open_run(self.path).clients() if client.number == number)
        return str(client.end and client.end.error)


@contextlib.contextmanager
def network_cut() -> Iterator[None]:
    """Between this machine and the API server: packets go nowhere, and nobody says so."""
    in_node("dlc-cp", "ip", "link", "set", "host", "nomaster")
    try:
        yield
    finally:
        in_node("dlc-cp", "ip", "link", "set", "host", "master", "br0")


@pytest.fixture(autouse=True)
def nothing_left(namespace: str) -> Iterator[None]:
    """Against before: no object, process, folder or network more."""
    before = nodes.traces(namespace)
    yield
    deadline = time.monotonic() + 60
    while left := nodes.traces(namespace) - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)


def eventually(holds: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def probes() -> list[int]:
    """Probes that a job was given to, in whatever pod."""
    numbers = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            argv = path.read_bytes().split(b"\0")
            if argv[0].startswith(b"/dnslab/probe-") and argv[1:2] == [b""]:
                numbers.append(int(path.parent.name))
    return numbers


def resumed(run: Started) -> None:
    """--resume measures what is missing."""
    done = dnslab("run", "--resume", str(run.path), cwd=run.folder)
    assert done.returncode == 0, done.stderr
    assert set(run.statuses().values()) == {"complete"}


def test_the_target_pod_is_deleted(namespace: str, tmp_path: Path) -> None:
    run = Started(tmp_path, namespace)
    pod = run.trial(2)
    began = time.monotonic()
    kubectl("-n", namespace, "delete", "pod", pod, "--grace-period=0", "--force")
    output = run.end()
    assert time.monotonic() - began < 60
    assert run.process.returncode == 4, output
    assert run.statuses() == {1: "complete", 2: "failed", 3: "complete"}
    assert f"pod {pod} was deleted" in run.error(2)
    resumed(run)


def test_the_container_runs_out_of_memory(namespace: str, tmp_path: Path) -> None:
    assert nodes.apply(namespace, SMALL).returncode == 0
    run = Started(tmp_path, namespace, "--like=deploy/small", "-c", "2000", "--rounds=1")
    output = run.end()
    assert run.process.returncode in (3, 4), output
    assert "out of memory" in output or "OOMKilled" in output, output
    assert output.strip().count("error:") == 1
    kubectl("-n", namespace, "delete", "deployment", "small")


@pytest.mark.verify
def test_ten_seconds_without_network_are_survived(namespace: str, tmp_path: Path) -> None:
    run = Started(tmp_path, namespace, "-d", "18", "--rounds=1")
    run.trial(1)
    with network_cut():
        time.sleep(10)
    output = run.end()
    assert run.process.returncode == 0, output
    (lookups,) = open_run(run.path).decoded()
    assert len(lookups.raw) > 0.8 * 50 * 18


@pytest.mark.verify
def test_dnslab_itself_is_killed(namespace: str, tmp_path: Path) -> None:
    run = Started(tmp_path, namespace)
    run.trial(2)
    assert probes()
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.communicate()
    eventually(lambda: not probes(), 5)
    assert nodes.pods_left(namespace)
    clean(run)
    resumed(run)


@pytest.mark.verify
def test_a_nodes_kubelet_is_killed(namespace: str, tmp_path: Path) -> None:
    """The exec goes through it, and the pod made ahead cannot be reached either: the run ends."""
    run = Started(tmp_path, namespace, "--nodes=dlc-n3")
    run.trial(2)
    began = time.monotonic()
    cluster.stop("dlc-n3-kubelet")
    try:
        output = run.end()
        assert time.monotonic() - began < 60
    finally:
        cluster.restart("dlc-n3-kubelet")
    assert run.process.returncode == 4, output
    assert "--resume" in output
    assert run.statuses()[1] == "complete"
    assert run.statuses()[2] == "failed"
    assert "as it does when the kubelet or its connection is gone" in run.error(2)
    # Its node was never seen to be gone: that it is Ready says nothing.
    healthy = ("get", "--raw", "/api/v1/nodes/dlc-n3/proxy/healthz")
    eventually(lambda: kubectl(*healthy, check=False) == "ok", 60)
    eventually(lambda: kubectl("get", "node", "dlc-n3", "-o", "jsonpath={.spec.taints}") == "", 60)


@pytest.mark.verify
def test_the_api_server_is_restarted(namespace: str, tmp_path: Path) -> None:
    """Execs end with it; the next trial waits until it is back."""
    run = Started(tmp_path, namespace)
    run.trial(2)
    began = time.monotonic()
    cluster.stop("kube-apiserver")
    time.sleep(1)
    cluster.restart("kube-apiserver")
    output = run.end()
    assert time.monotonic() - began < 60
    assert run.process.returncode == 4, output
    assert run.statuses()[1] == "complete"
    assert run.statuses()[2] == "failed"
    assert "the connection to pod" in run.error(2)
    resumed(run)


@pytest.mark.verify
def test_a_minute_without_network_voids_the_trial(namespace: str, tmp_path: Path) -> None:
    """Silence of 30 s is taken for the end; what cannot be removed then is named with its remedy."""
    run = Started(tmp_path, namespace, "-d", "20")
    run.trial(2)
    began = time.monotonic()
    with network_cut():
        output = run.end()
        assert time.monotonic() - began < 60
        time.sleep(max(0.0, 45 - (time.monotonic() - began)))
    assert run.process.returncode == 4, output
    assert output.strip().count("error:") == 1
    assert "--resume" in output
    assert "`dnslab clean` removes them" in output
    assert run.statuses() == {1: "complete", 2: "failed"}
    assert " for 30 s" in run.error(2)
    clean(run)


def clean(run: Started) -> None:
    done = dnslab("clean", f"--namespace={run.namespace}", "--yes", cwd=run.folder)
    assert done.returncode == 0, done.stderr
    eventually(lambda: nodes.pods_left(run.namespace) == [])


def test_the_disk_here_is_full(namespace: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)], check=True)
    try:
        run = Started(disk, namespace, "--rate=400", "--rounds=9")
        output = run.end()
        assert run.process.returncode == 4
        assert "the disk is full" in output
        assert 1 in run.statuses()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_ctrl_c_leaves_nothing(namespace: str, tmp_path: Path) -> None:
    run = Started(tmp_path, namespace)
    run.trial(2)
    run.process.send_signal(signal.SIGINT)
    output = run.end()
    assert run.process.returncode == 130, output
    assert run.statuses()[1] == "complete"
