"""A pod's status in the kubelet's words: whether the pod runs, why it does not, why it never will.

Pure: takes a pod as plain JSON. Knows nothing of who made the pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Pod = Mapping[str, Any]

#: how long the scheduler may find no node before its own words are given
UNSCHEDULABLE_S = 20.0
#: a kubelet that is alive says something of a pod that is its own within seconds
UNATTENDED_S = 30.0
#: reasons from which a waiting container does not recover (kubelet images/types.go, container/sync_result.go)
HOPELESS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
}


def one_line(text: str) -> str:
    """``text`` with each run of white space as one space."""
    return " ".join(text.split())


def is_running(pod: Pod) -> bool:
    """Whether the pod runs and is not being deleted."""
    return pod["status"].get("phase") == "Running" and not _is_being_deleted(pod)


def phase(pod: Pod) -> str:
    """The pod's phase, ``being deleted`` while it is."""
    return "being deleted" if _is_being_deleted(pod) else str(pod["status"].get("phase"))


def _is_being_deleted(pod: Pod) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def all_containers_run(pod: Pod) -> bool:
    """Whether the kubelet says of each container that it runs."""
    statuses = pod["status"].get("containerStatuses") or []
    return bool(statuses) and all("running" in status["state"] for status in statuses)


def is_ready(pod: Pod) -> bool:
    """Whether the pod's condition Ready holds."""
    conditions = pod["status"].get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def why_not_started(pod: Pod, waited_s: float) -> str:
    """Why waiting for the pod any longer is useless after ``waited_s`` seconds; ``""`` if it may still start."""
    problem = why_hopeless(pod) or why_ended(pod)
    if problem:
        return problem
    node = pod["spec"].get("nodeName")
    if node and waited_s > UNATTENDED_S and not pod["status"].get("containerStatuses"):
        return f"the kubelet of node {node} has not taken it up"
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and waited_s > UNSCHEDULABLE_S:
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""


def why_hopeless(pod: Pod) -> str:
    """Why a container of the pod will not start, as one line in the kubelet's words; ``""`` if all still may."""
    reasons = (hopeless_words(status["state"]) for status in pod["status"].get("containerStatuses") or [])
    return next(filter(None, reasons), "")


def hopeless_words(state: Mapping[str, Any]) -> str:
    """The kubelet's reason and message if a container in this state will not start; ``""`` if it still may."""
    waiting = state.get("waiting") or {}
    if waiting.get("reason") not in HOPELESS:
        return ""
    return one_line(f"{waiting['reason']}: {waiting.get('message', '')}")


def why_ended(pod: Pod) -> str:
    """Why a pod no longer runs, in the words of its status; ``""`` if it runs."""
    name, status = pod["metadata"]["name"], pod["status"]
    for container in status.get("containerStatuses") or []:
        ended = container["state"].get("terminated") or {}
        if ended:
            return f"pod {name}: its container ended: {ended.get('reason', '')} {ended.get('message', '')}".rstrip()
    if _is_being_deleted(pod):
        return f"pod {name} is being deleted"
    if status.get("phase") == "Failed":
        return f"pod {name} failed: {status.get('reason', '')} {status.get('message', '')}".rstrip()
    return ""


def restarts(pod: Pod) -> dict[str, tuple[int, str]]:
    """How often each container was restarted, and why it was the last time."""
    return {
        status["name"]: (
            status["restartCount"],
            (status.get("lastState", {}).get("terminated") or {}).get("reason", ""),
        )
        for status in pod["status"].get("containerStatuses") or []
    }


def image_id(pod: Pod, container: str) -> str:
    """The image with digest that a container runs, as the kubelet reports it; ``""`` if it reports none.

    By the container's name: a mesh may have put containers of its own before it.
    """
    return str(container_status(pod, container).get("imageID") or "")


def container_status(pod: Pod, container: str) -> Mapping[str, Any]:
    """The status of a container, ephemeral ones included; empty until the kubelet reports one."""
    status = pod["status"]
    statuses = [*(status.get("containerStatuses") or []), *(status.get("ephemeralContainerStatuses") or [])]
    return next((entry for entry in statuses if entry["name"] == container), {})
