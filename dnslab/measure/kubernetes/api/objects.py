"""Objects of the API server as plain JSON: read, list, apply, delete. What is not there is None.

Knows nothing of what the objects are for. Plain JSON because the official client's models take a core's second to read
a hundred pods, and refuse fields they do not know when one is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from dnslab.errors import UsageError
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, Refused, answered
from dnslab.measure.kubernetes.pods.lifecycle import MACHINES, MANAGED_BY

#: who owns the fields that server-side apply sets
FIELD_MANAGER = "dnslab"
_CORE = {"ServiceAccount": "service_account", "Service": "service", "ConfigMap": "config_map", "Pod": "pod"}
#: how a workload is named on the command line -> its kind
WORKLOADS = {
    **dict.fromkeys(("deploy", "deployment"), "Deployment"),
    **dict.fromkeys(("sts", "statefulset"), "StatefulSet"),
    **dict.fromkeys(("ds", "daemonset"), "DaemonSet"),
}
_APPS = {"DaemonSet": "daemon_set", "Deployment": "deployment", "StatefulSet": "stateful_set"}
#: written by the API server, not by whoever made the object
_NOISE = {"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"}


def read(client: Client, kind: str, name: str, namespace: str) -> Any:
    """An object, None where there is none by that name."""
    try:
        with answered(f"read {kind} {namespace}/{name}"):
            return _call(client, "read", kind, name, namespace)
    except Refused as error:
        if error.code == 404:
            return None
        raise


def read_workload(client: Client, reference: str) -> Any:
    """The workload that ``deploy/NAME`` or the like names in the client's namespace; UsageError where none is there."""
    kind, _, name = reference.partition("/")
    found = read(client, WORKLOADS[kind.lower()], name, client.namespace)
    if found is None:
        raise UsageError(f"no {reference} in namespace {client.namespace} of context {client.context}")
    return found


def listed(client: Client, kind: str, namespace: str | None, selector: str = "") -> list[dict[str, Any]]:
    """Objects of a kind in a namespace (None: in all) by label selector."""
    api, name = _api(client, kind)
    with answered(f"list {kind}s in {namespace or 'all namespaces'}"):
        call = getattr(api, f"list_namespaced_{name}" if namespace else f"list_{name}_for_all_namespaces")
        where = (namespace,) if namespace else ()
        answer = call(*where, label_selector=selector, _preload_content=False, _request_timeout=TIMEOUT_S)
        return list(json.loads(answer.data)["items"])


def apply(client: Client, wanted: Mapping[str, Any], dry: bool = False) -> Any:
    """Server-side apply: the object as it is, or with ``dry`` as it would be, afterwards."""
    kind, metadata = wanted["kind"], wanted["metadata"]
    more: dict[str, Any] = {"field_manager": FIELD_MANAGER, "force": True}
    more |= {"_content_type": "application/apply-patch+yaml", **({"dry_run": "All"} if dry else {})}
    with answered(f"apply {kind} {metadata['namespace']}/{metadata['name']}"):
        return _call(client, "patch", kind, metadata["name"], metadata["namespace"], dict(wanted), **more)


def create(client: Client, wanted: Mapping[str, Any], namespace: str) -> None:
    """Make an object that is not there."""
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    api, called = _api(client, kind)
    with answered(f"make {kind} {namespace}/{name}"):
        getattr(api, f"create_namespaced_{called}")(
            namespace, dict(wanted), _preload_content=False, _request_timeout=TIMEOUT_S
        )


def delete(client: Client, kind: str, name: str, namespace: str) -> None:
    """Delete an object, and what it owns first."""
    with answered(f"delete {kind} {namespace}/{name}"):
        _call(client, "delete", kind, name, namespace, propagation_policy="Foreground")


def nodes(client: Client) -> list[tuple[str, str]]:
    """Name and machine (as ``uname -m`` names it) of each node that there is a probe for."""
    with answered("list nodes"):
        answer = client.core().list_node(_preload_content=False, _request_timeout=TIMEOUT_S)
    found = json.loads(answer.data)["items"]
    kinds = [(one["metadata"]["name"], one["status"]["nodeInfo"]["architecture"]) for one in found]
    return [(name, MACHINES[kind]) for name, kind in kinds if kind in MACHINES]


def is_ours(found: Mapping[str, Any] | None) -> bool:
    """Whether it is there and labelled as dnslab's."""
    return found is not None and MANAGED_BY.items() <= (found["metadata"].get("labels") or {}).items()


def as_yaml(found: Mapping[str, Any]) -> str:
    """An object without what the API server writes into it."""
    metadata = {key: value for key, value in found["metadata"].items() if key not in _NOISE}
    noted = {key: value for key, value in metadata.pop("annotations", {}).items() if not key.startswith("deprecated.")}
    metadata |= {"annotations": noted} if noted else {}
    kept = {key: value for key, value in found.items() if key not in ("status", "metadata")}
    return str(yaml.safe_dump({**kept, "metadata": metadata}))


def _api(client: Client, kind: str) -> tuple[Any, str]:
    return (client.core(), _CORE[kind]) if kind in _CORE else (client.apps(), _APPS[kind])


def _call(client: Client, verb: str, kind: str, name: str, namespace: str, *body: Any, **more: Any) -> Any:
    api, called = _api(client, kind)
    call = getattr(api, f"{verb}_namespaced_{called}")
    return json.loads(call(name, namespace, *body, _preload_content=False, _request_timeout=TIMEOUT_S, **more).data)
