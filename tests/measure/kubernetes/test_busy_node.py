"""A fault on one node while another is busy with something else: the one is named, the other left out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.explain.findings import findings_of
from dnslab.explain.soundness import examine
from tests import nodes
from tests.cli.test_cli import dnslab
from tests.cluster.cluster import kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.verify, pytest.mark.alone]

FAULTY, SOUND, BUSY = "dlc-n1", "dlc-n2", "dlc-n3"
LOOP = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "loop"},
    "spec": {
        "nodeName": BUSY,
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "loop",
                "image": "dnslab.test/glibc:1",
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", "while :; do :; done"],
            }
        ],
    },
}


@pytest.fixture
def busy(namespace: str) -> Iterator[None]:
    """A pod that takes all the CPU there is, on a node with a CPU of its own."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.fail("takes two CPUs")
    with nodes.cpus({FAULTY: "0", SOUND: "0", BUSY: "1"}):
        kubectl("-n", namespace, "apply", "-f", "-", inp=json.dumps(LOOP))
        kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/loop", "--timeout=60s")
        yield
        kubectl("-n", namespace, "delete", "pod", "loop", "--grace-period=0", "--force")


def test_a_race_on_one_node_is_named_beside_a_busy_one(busy: None, namespace: str, tmp_path: Path) -> None:
    where = ("--backend", "kubernetes", "--namespace", namespace, "--image", "dnslab.test/glibc:1", "--nodes", "3")
    what = ("--variants", "baseline,single-request-reopen", "--name", "web.any.cluster.local.")
    with nodes.race(FAULTY, per_mille=80):
        done = dnslab("run", *where, *what, "--rate", "40", "-d", "4", "--rounds", "5", cwd=tmp_path)
    assert done.returncode == 0, done
    (folder,) = tmp_path.glob("results/*-*")
    part = examine(open_run(folder))
    print([(client.name[1], round(client.idle_share, 2)) for client in part.summary.clients])
    left_out = {name for veto in part.vetoes if veto.severity == "left out" for name in veto.left_out}
    assert left_out == {BUSY}
    stalls = {(row.variant, row.target): row.stalls for row in part.summary.measured()}
    assert stalls["baseline", FAULTY] > 20
    assert stalls["baseline", SOUND] == stalls["single-request-reopen", FAULTY] == 0
    findings = findings_of(part)
    assert not findings.void
    assert FAULTY in findings.headline
    assert BUSY in findings.headline  # as left out
    assert SOUND not in findings.headline
