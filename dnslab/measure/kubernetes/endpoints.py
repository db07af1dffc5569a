"""The addresses at which a cluster's DNS can be asked: its Service, and each server behind it.

Only reads. What may not be read is named as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dnslab.errors import NotAble
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.api.objects import list_objects
from dnslab.measure.kubernetes.cluster_dns import cluster_ips, find_service
from dnslab.plan.arms import Places
from dnslab.plan.model import Plan
from dnslab.sentences import machine as sentences

#: names the Service of an EndpointSlice (kubernetes.io/docs/concepts/services-networking/endpoint-slices)
SERVICE_LABEL = "kubernetes.io/service-name"


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
        label = f"{SERVICE_LABEL}={service['metadata']['name']}"
        slices = list_objects(client, "EndpointSlice", service["metadata"]["namespace"], label)
    except NotAble as error:
        return Places(cluster_ips(service), missing=str(error))
    return Places(cluster_ips(service), tuple(ready_addresses(slices)))


def ready_addresses(slices: Sequence[Mapping[str, Any]]) -> list[str]:
    """Addresses of endpoints that are ready, each once and in order; a slice without a state counts as ready."""
    endpoints = [endpoint for item in slices for endpoint in item.get("endpoints") or ()]
    ready = [one for one in endpoints if (one.get("conditions") or {}).get("ready") is not False]
    return sorted({str(address) for one in ready for address in one.get("addresses") or ()})
