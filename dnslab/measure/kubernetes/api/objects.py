"""Objects of the API server as plain JSON: read, list, apply, delete. An object that does not exist is None.

Knows nothing of what the objects are for. Plain JSON because the official client's models take a core's second to read
a hundred pods, and refuse fields they do not know when an object is made. Every function raises what ``answered`` does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import kubernetes
import yaml

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, Refused, answered
from dnslab.measure.kubernetes.api.names import MANAGED_BY
from dnslab.plan.remedies import WORKLOADS

#: who owns the fields that server-side apply sets
FIELD_MANAGER = "dnslab"
#: kind -> how the official client's methods call it
_CORE = {"ServiceAccount": "service_account", "Service": "service", "ConfigMap": "config_map", "Pod": "pod"}
_APPS = {"DaemonSet": "daemon_set", "Deployment": "deployment", "StatefulSet": "stateful_set"}
_BATCH = {"Job": "job", "CronJob": "cron_job"}
_NETWORKING = {"NetworkPolicy": "network_policy"}
_DISCOVERY = {"EndpointSlice": "endpoint_slice"}
#: written by the API server, not by whoever made the object
_SERVER_FIELDS = {"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"}


def read(client: Client, kind: str, name: str, namespace: str) -> Any:
    """An object; None if there is none of that name."""
    try:
        with answered(f"read {kind} {namespace}/{name}"):
            return _call(client, "read", kind, name, namespace)
    except Refused as error:
        if error.code == 404:
            return None
        raise


def read_workload(client: Client, reference: str) -> Any:
    """The workload in the client's namespace that ``deploy/NAME``, ``sts/NAME`` or ``ds/NAME`` names.

    Raises
    ------
    UsageError
        There is no such workload.
    """
    kind, _, name = reference.partition("/")
    workload = read(client, WORKLOADS[kind.lower()], name, client.namespace)
    if workload is None:
        raise UsageError(f"no {reference} in namespace {client.namespace} of context {client.context}")
    return workload


def list_objects(client: Client, kind: str, namespace: str | None, selector: str = "") -> list[dict[str, Any]]:
    """Objects of a kind that a label selector matches, in one namespace or (None) in all."""
    api, name = _api(client, kind)
    with answered(f"list {kind}s in {namespace or 'all namespaces'}"):
        call = getattr(api, f"list_namespaced_{name}" if namespace else f"list_{name}_for_all_namespaces")
        where = (namespace,) if namespace else ()
        answer = call(*where, label_selector=selector, _preload_content=False, _request_timeout=TIMEOUT_S)
        return list(json.loads(answer.data)["items"])


def list_nodes(client: Client) -> list[dict[str, Any]]:
    """All nodes."""
    with answered("list nodes"):
        answer = client.core().list_node(_preload_content=False, _request_timeout=TIMEOUT_S)
        return list(json.loads(answer.data)["items"])


def nodes_or_refusal(client: Client) -> list[dict[str, Any]] | NotAble:
    """All nodes, or why they may not be listed."""
    try:
        return list_nodes(client)
    except NotAble as error:
        return error


def apply(client: Client, wanted: Mapping[str, Any], dry: bool = False) -> Any:
    """Apply an object on the server and return it as it then is; with ``dry``, change nothing and return it as it would
    be.
    """
    kind, metadata = wanted["kind"], wanted["metadata"]
    options: dict[str, Any] = {"field_manager": FIELD_MANAGER, "force": True}
    options |= {"_content_type": "application/apply-patch+yaml", **({"dry_run": "All"} if dry else {})}
    with answered(f"apply {kind} {metadata['namespace']}/{metadata['name']}"):
        return _call(client, "patch", kind, metadata["name"], metadata["namespace"], dict(wanted), **options)


def create(client: Client, wanted: Mapping[str, Any], namespace: str) -> None:
    """Create an object that does not exist yet."""
    kind = wanted["kind"]
    with answered(f"make {kind} {namespace}/{wanted['metadata']['name']}"):
        _call(client, "create", kind, namespace, dict(wanted))


def delete(client: Client, kind: str, name: str, namespace: str) -> None:
    """Delete an object after the objects that it owns."""
    with answered(f"delete {kind} {namespace}/{name}"):
        _call(client, "delete", kind, name, namespace, propagation_policy="Foreground")


def delete_at_once(client: Client, kind: str, name: str) -> None:
    """Delete an object of the client's namespace without a grace period. It is no error if it does not exist."""
    try:
        with answered(f"remove {kind} {client.namespace}/{name}"):
            _call(client, "delete", kind, name, client.namespace, grace_period_seconds=0)
    except Refused as error:
        if error.code != 404:
            raise


def is_ours(live: Mapping[str, Any] | None) -> bool:
    """Whether the object exists and has dnslab's label."""
    return live is not None and MANAGED_BY.items() <= (live["metadata"].get("labels") or {}).items()


def as_yaml(live: Mapping[str, Any]) -> str:
    """An object without what the API server writes into it."""
    metadata = {key: value for key, value in live["metadata"].items() if key not in _SERVER_FIELDS}
    annotations = metadata.pop("annotations", {})
    kept = {key: value for key, value in annotations.items() if not key.startswith("deprecated.")}
    metadata |= {"annotations": kept} if kept else {}
    rest = {key: value for key, value in live.items() if key not in ("status", "metadata")}
    return str(yaml.safe_dump({**rest, "metadata": metadata}))


def _api(client: Client, kind: str) -> tuple[Any, str]:
    if kind in _NETWORKING:
        return kubernetes.client.NetworkingV1Api(client.api()), _NETWORKING[kind]
    if kind in _DISCOVERY:
        return kubernetes.client.DiscoveryV1Api(client.api()), _DISCOVERY[kind]
    if kind in _BATCH:
        return kubernetes.client.BatchV1Api(client.api()), _BATCH[kind]
    return (client.core(), _CORE[kind]) if kind in _CORE else (client.apps(), _APPS[kind])


def _call(client: Client, verb: str, kind: str, *arguments: Any, **options: Any) -> Any:
    """Read to its end, or the connection stays open."""
    api, method = _api(client, kind)
    call = getattr(api, f"{verb}_namespaced_{method}")
    return json.loads(call(*arguments, _preload_content=False, _request_timeout=TIMEOUT_S, **options).data)
