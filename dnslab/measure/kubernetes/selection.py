"""Which existing pods and containers the value of ``dnslab run --in`` names.

Only reads from the API server. Knows nothing of what is done in a container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.names import DEFAULT_CONTAINER
from dnslab.measure.kubernetes.api.objects import list_objects, read, read_workload
from dnslab.measure.kubernetes.pods.condition import Pod, container_status, is_running, phase, why_hopeless
from dnslab.plan.remedies import WORKLOADS


def find_containers(client: Client, reference: str, container: str | None) -> list[tuple[Pod, str]]:
    """The running pods that ``reference`` names, each with the container to measure in.

    Parameters
    ----------
    reference
        ``pod/NAME``, ``deploy/NAME`` (``statefulset/``, ``daemonset/``), or a label selector as ``app=x``.
    container
        By name; default the one that a pod's annotation names, else its first.

    Raises
    ------
    UsageError
        No such pod, workload or container, or none that matches.
    NotAble
        The pod named does not run.
    """
    kind, slash, name = reference.partition("/")
    pods = [_running_pod(client, name)] if kind == "pod" and slash else _running_pods(client, reference)
    return [(pod, _container(pod, container)) for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))]


def read_pod(client: Client, name: str) -> Pod:
    """A pod as plain JSON.

    Raises
    ------
    UsageError
        There is no pod by that name.
    """
    pod: Pod | None = read(client, "Pod", name, client.namespace)
    if pod is None:
        raise UsageError(f"no pod {name!r} in namespace {client.namespace} of context {client.context}")
    return pod


def _running_pod(client: Client, name: str) -> Pod:
    pod = read_pod(client, name)
    if is_running(pod):
        return pod
    has_completed = phase(pod) in ("Succeeded", "Failed")
    reason = "" if has_completed else why_hopeless(pod)
    raise NotAble(
        f"pod {name} {'has completed' if has_completed else 'does not run'} "
        f"(phase {phase(pod)}{reason and f'; {reason}'}): choose one that runs"
    )


def _running_pods(client: Client, reference: str) -> list[Pod]:
    matching = list_objects(client, "Pod", client.namespace, _selector(client, reference))
    running: list[Pod] = [pod for pod in matching if is_running(pod)]
    if not running:
        phases = ", ".join(f"{pod['metadata']['name']} ({phase(pod)})" for pod in matching[:5])
        raise UsageError(
            f"--in {reference}: no running pod matches in namespace {client.namespace}"
            + (f", only {phases}" if phases else "")
        )
    return running


def _selector(client: Client, reference: str) -> str:
    kind, slash, _ = reference.partition("/")
    if slash and kind in WORKLOADS:
        return label_selector(read_workload(client, reference)["spec"]["selector"])
    selector = re.sub(r"^-l\s*", "", reference)
    if not re.search(r"[=!]| in | notin ", selector) and "/" in selector:
        raise UsageError(f"--in {reference}: expected pod/NAME, deploy/NAME or a label selector as app=x")
    return selector


def workload_of(pod: Pod) -> str:
    """Whose pod it is, as ``deploy/NAME``, by what owns it; ``pod/NAME`` where nothing does."""
    metadata = pod["metadata"]
    owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
    if owner is None:
        return f"pod/{metadata['name']}"
    template = (metadata.get("labels") or {}).get("pod-template-hash")
    if owner["kind"] == "ReplicaSet" and template and owner["name"].endswith(f"-{template}"):
        return f"deploy/{owner['name'].removesuffix(f'-{template}')}"
    if owner["kind"] == "Job":  # a CronJob names its jobs by their minute
        return f"job/{re.sub(r'-[0-9]{8,}$', '', owner['name'])}"
    return f"{owner['kind'].lower()}/{owner['name']}"


def label_selector(selector: Mapping[str, Any]) -> str:
    """The pod selector of a workload's JSON, as text.

    >>> label_selector({"matchLabels": {"app": "x"}, "matchExpressions": [
    ...     {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"}]})
    'app=x,tier in (a,b),!old'
    """
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or []:
        values = f"({','.join(expression.get('values') or [])})"
        forms = {
            "In": f"{expression['key']} in {values}",
            "NotIn": f"{expression['key']} notin {values}",
            "Exists": expression["key"],
            "DoesNotExist": f"!{expression['key']}",
        }
        parts.append(forms[expression["operator"]])
    return ",".join(parts)


def _container(pod: Pod, wanted: str | None) -> str:
    name, containers = pod["metadata"]["name"], [str(entry["name"]) for entry in pod["spec"]["containers"]]
    if wanted and wanted not in containers:
        raise UsageError(f"pod {name} has no container {wanted!r}: there are {', '.join(containers)}")
    annotated = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER)
    chosen = wanted or (annotated if annotated in containers else containers[0])
    status = container_status(pod, chosen)
    if status and "running" not in status["state"]:
        state: Mapping[str, Any] = next(iter(status["state"].values()), {})
        raise NotAble(f"container {chosen} of pod {name} does not run: {state.get('reason', 'no reason given')}")
    return chosen
