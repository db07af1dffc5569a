"""`dnslab clean`: what killed runs left goes, and nothing else."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from dnslab.errors import ProbeFailed
from dnslab.measure.kubernetes import cleanup as clean
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.pods import resolv_conf as edit
from dnslab.measure.kubernetes.pods.shell import Shell
from dnslab.plan.variants import find
from tests.cli.test_cli import dnslab
from tests.cluster.cluster import kubectl
from tests.measure.kubernetes.test_existing import NAME, files, killed, make_pod, resolv_conf, until
from tests.nodes import pods_left

pytestmark = pytest.mark.cluster


def test_what_a_killed_run_left_goes_and_a_foreign_pod_stays(namespace: str, tmp_path: Path) -> None:
    make_pod(namespace, "foreign")
    make_pod(namespace, "helper", pod={"restartPolicy": "Never"}, command=["true"])
    kubectl("-n", namespace, "label", "pod", "helper", "app.kubernetes.io/managed-by=dnslab")
    where = ["--backend=kubernetes", f"--namespace={namespace}", "--image=dnslab.test/glibc:1", f"--name={NAME}"]
    with killed(tmp_path, "run", *where, "--variants=baseline", "-d", "60", "--rate=5"):
        assert until(lambda: len(pods_left(namespace)) >= 3, 30)
    left = clean.find(connect(namespace=namespace))
    assert {entry.kind for entry in left} == {"Pod", "ConfigMap"}
    (run_id,) = {entry.run for entry in left}
    here = [f"--namespace={namespace}"]
    done = dnslab("clean", *here, "--run=00000000", "--yes", cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "nothing to remove")
    done = dnslab("clean", *here, cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing was changed" in done.stderr
    assert f"run {run_id} may still be running" in done.stdout
    assert len(clean.find(connect(namespace=namespace))) == len(left)
    done = dnslab("clean", *here, f"--run={run_id}", "--yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"removed: {len(left)} objects" in done.stdout
    for entry in left:
        assert entry.name in done.stdout
    assert until(lambda: pods_left(namespace) == ["pod/helper"])
    assert "foreign" in kubectl("-n", namespace, "get", "pods", "-o", "name")
    assert dnslab("clean", *here, "--yes", cwd=tmp_path).stdout.endswith("nothing to remove\n")


def test_a_pod_left_edited_is_mended(namespace: str, tmp_path: Path) -> None:
    """What is left when container and session are killed at once: the shell had no time to put anything back."""
    make_pod(namespace, "web")
    before = resolv_conf(namespace, "web")
    client = connect(namespace=namespace)
    with contextlib.closing(Shell(client, "web", "app")) as shell:
        edit.begin(shell, before, find("timeout-1"))
        with pytest.raises(ProbeFailed, match="ended"):
            shell.ask("printf x >/tmp/.dnslab-0badf00d; kill -9 $$")
    assert resolv_conf(namespace, "web") != before
    here = [f"--namespace={namespace}", "--in=app=web", "--yes"]
    done = dnslab("clean", *here, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "in pod web, container app: /etc/resolv.conf, edited: the original goes back, /tmp/.dnslab-0badf00d"
        in done.stdout
    )
    assert resolv_conf(namespace, "web") == before
    assert files(namespace, "web") == []
    assert dnslab("clean", *here, cwd=tmp_path).stdout.endswith("nothing to remove\n")
