"""What a pod's status says, from statuses as a kubelet writes them."""

from __future__ import annotations

from typing import Any

import pytest

from dnslab.measure.kubernetes.pods import condition

RUNS = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
PULLS = {"waiting": {"reason": "ContainerCreating"}}
STUCK = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off\npulling"}}
KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


def pod(*states: Any, phase: str = "Running", node: str | None = "n1", **status: Any) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "restartCount": 0, "state": state} for number, state in enumerate(states)]
    spec = {"nodeName": node} if node else {}
    return {
        "metadata": {"name": "web"},
        "spec": spec,
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def unscheduled() -> dict[str, Any]:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    return pod(phase="Pending", node=None, conditions=[scheduled])


@pytest.mark.parametrize(
    ("status", "waited_s", "why"),
    [
        (pod(RUNS), 0, ""),
        (pod(PULLS, phase="Pending"), 100, ""),
        (pod(RUNS, STUCK), 0, "ImagePullBackOff: Back-off pulling"),
        (pod(KILLED), 0, "pod web: its container ended: OOMKilled"),
        (pod(phase="Failed", reason="Evicted", message="disk"), 0, "pod web failed: Evicted disk"),
        (pod(phase="Pending"), 20, ""),
        (pod(phase="Pending"), 40, "the kubelet of node n1 has not taken it up"),
        (unscheduled(), 10, ""),
        (unscheduled(), 30, "Unschedulable: 0/3 nodes"),
    ],
)
def test_why_waiting_is_in_vain(status: dict[str, Any], waited_s: float, why: str) -> None:
    assert condition.why_not_started(status, waited_s) == why


def test_a_pod_that_is_being_deleted_does_not_run() -> None:
    going = pod(RUNS)
    assert condition.is_running(going)
    assert condition.why_ended(going) == ""
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not condition.is_running(going)
    assert condition.phase(going) == "being deleted"
    assert condition.why_ended(going) == "pod web is being deleted"


def test_every_container_has_to_run() -> None:
    assert condition.all_containers_run(pod(RUNS, RUNS))
    assert not condition.all_containers_run(pod(RUNS, PULLS))
    assert not condition.all_containers_run(pod())
