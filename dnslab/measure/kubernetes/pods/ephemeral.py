"""An ephemeral container in an existing pod whose image has no shell: create it, wait for it, end it.

It shares the pod's network and resolv.conf; its libc is its own image's. Kubernetes cannot remove one: it stays in the
pod's list as ended, and ends by itself when nobody ends it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from dnslab.errors import NotAble
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, answered
from dnslab.measure.kubernetes.api.objects import read
from dnslab.measure.kubernetes.pods.condition import container_status, hopeless_words, image_id, one_line
from dnslab.measure.kubernetes.pods.lifecycle import READY_TIMEOUT_S

NAME_PREFIX = "dnslab-"
#: what a shell session in it runs on leaving: its first process is the shell of ``manifest``, which waits
END = "kill 1"


def manifest(name: str, image: str, lifetime_s: int) -> dict[str, Any]:
    """The container as it is patched into the pod. It meets the restricted pod security standard.

    Without ``targetContainerName``: nothing of the other container's processes is needed, and with a process
    namespace of its own the first process is one that may be ended.
    """
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", f"trap 'exit 0' TERM; sleep {lifetime_s} & wait"],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def may_be_ended(pod: Mapping[str, Any]) -> bool:
    """Whether process 1 in the container is its own process. It is not if the pod shares one process namespace."""
    return not (pod["spec"].get("shareProcessNamespace") or pod["spec"].get("hostPID"))


def attach(client: Client, pod: str, image: str, lifetime_s: int) -> tuple[str, str]:
    """Add the container to the pod and wait until it runs.

    Returns
    -------
    tuple of str
        The container's name, and its image with the digest.

    Raises
    ------
    NotAble
        It is not admitted, or does not start: in the API server's or the kubelet's words.
    """
    name = NAME_PREFIX + secrets.token_hex(4)
    body = {"spec": {"ephemeralContainers": [manifest(name, image, lifetime_s)]}}
    with answered(f"add an ephemeral container to pod {pod}"):
        answer = client.core().patch_namespaced_pod_ephemeralcontainers(
            pod, client.namespace, body, _preload_content=False, _request_timeout=TIMEOUT_S
        )
        _ = answer.data  # read to its end, or the connection stays open
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline_s:
        live = read(client, "Pod", pod, client.namespace)
        if live is None:
            raise NotAble(f"pod {pod} was deleted before its ephemeral container ({image}) ran")
        state = container_status(live, name).get("state") or {}
        if "running" in state:
            return name, image_id(live, name)
        ended = state.get("terminated") or {}
        problem = one_line(f"{ended.get('reason', '')}: {ended.get('message', '')}") if ended else hopeless_words(state)
        if problem:
            problem = problem.strip(": ")
            raise NotAble(f"the ephemeral container ({image}) in pod {pod} does not start: {problem}")
        time.sleep(0.3)
    raise NotAble(f"the ephemeral container ({image}) in pod {pod} does not run after {READY_TIMEOUT_S:g} s")
