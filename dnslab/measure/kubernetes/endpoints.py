"""The addresses at which a cluster's DNS can be asked: its Service, and each server behind it, and how these change.

Only reads. What may not be read is named as missing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dnslab.errors import NotAble
from dnslab.measure.kubernetes.api.client import Client, connect
from dnslab.measure.kubernetes.api.objects import list_objects
from dnslab.measure.kubernetes.cluster_dns import cluster_ips, find_service
from dnslab.plan.arms import Change, Places
from dnslab.plan.model import Plan
from dnslab.sentences import machine as sentences

#: names the Service of an EndpointSlice (kubernetes.io/docs/concepts/services-networking/endpoint-slices)
SERVICE_LABEL = "kubernetes.io/service-name"
#: between two looks at the endpoints
LOOK_S = 1.0


def places(plan: Plan) -> Places:
    """Where the cluster's DNS can be asked.

    Raises
    ------
    NotAble
        There is no way to the cluster.
    """
    client = connect(plan.cluster.context, plan.cluster.namespace)
    service, not_seen = find_service(client)
    if service is None:
        return Places(missing=sentences.NO_DNS_SERVICE(why=not_seen[0]))
    try:
        pods = ready_endpoints(_slices(client, service))
    except NotAble as error:
        return Places(cluster_ips(service), missing=str(error))
    return Places(cluster_ips(service), tuple(pods), pods={address: pod for address, pod in pods.items() if pod})


@contextlib.contextmanager
def watched(plan: Plan) -> Iterator[Callable[[], tuple[Change, ...]]]:
    """Look at the endpoints of the cluster's DNS about once a second, and give what changed until now.

    Nothing changes where they may not be read, and while the API server does not answer.
    """
    client = connect(plan.cluster.context, plan.cluster.namespace)
    service, _ = find_service(client)
    changes: list[Change] = []
    if service is None:
        yield lambda: ()
        return
    ended = threading.Event()

    def look() -> None:
        before: dict[str, str] | None = None
        while True:
            with contextlib.suppress(NotAble):
                now = ready_endpoints(_slices(client, service))
                changes.extend(_changes(before, now, time.time_ns()) if before is not None else ())
                before = now
            if ended.wait(LOOK_S):
                return

    thread = threading.Thread(target=look, name="endpoints", daemon=True)
    thread.start()
    try:
        yield lambda: tuple(changes)
    finally:
        ended.set()
        thread.join()


def _slices(client: Client, service: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    label = f"{SERVICE_LABEL}={service['metadata']['name']}"
    return list_objects(client, "EndpointSlice", service["metadata"]["namespace"], label)


def _changes(before: Mapping[str, str], now: Mapping[str, str], at_ns: int) -> Iterator[Change]:
    for address, pod in before.items():
        if address not in now:
            yield Change(at_ns, address, came=False, pod=pod)
    for address, pod in now.items():
        if address not in before:
            yield Change(at_ns, address, came=True, pod=pod)


def ready_endpoints(slices: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Endpoints that are ready, by address and in its order, with pod and node where the slice names them.

    An endpoint without a state counts as ready.
    """
    endpoints = [endpoint for item in slices for endpoint in item.get("endpoints") or ()]
    ready = [one for one in endpoints if (one.get("conditions") or {}).get("ready") is not False]
    return dict(sorted((str(address), _pod(one)) for one in ready for address in one.get("addresses") or ()))


def _pod(endpoint: Mapping[str, Any]) -> str:
    """``"coredns-5d78c9869d-x2x9k on node-1"``, as far as the endpoint says so."""
    target, node = (endpoint.get("targetRef") or {}).get("name", ""), endpoint.get("nodeName") or ""
    return f"{target} on {node}" if target and node else str(target)
