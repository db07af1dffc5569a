"""Which nodes a node-local cache is looked at on. A node that is not ready is named, and holds up no other."""

from __future__ import annotations

from dataclasses import dataclass

from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.names import MACHINES
from dnslab.measure.kubernetes.api.objects import list_nodes
from dnslab.measure.kubernetes.pods.condition import is_ready


@dataclass(frozen=True)
class Nodes:
    """Nodes that pods start on now: name, and machine as ``uname -m`` prints it. Then names of those not ready."""

    ready: tuple[tuple[str, str], ...]
    not_ready: tuple[str, ...]


def nodes_now(client: Client) -> Nodes:
    """All nodes for which there is a probe.

    Raises
    ------
    NotAble
        Nodes may not be listed.
    """
    ready, not_ready = [], []
    for node in list_nodes(client):
        name, architecture = node["metadata"]["name"], node["status"]["nodeInfo"]["architecture"]
        if not is_ready(node):
            not_ready.append(name)
        elif architecture in MACHINES:
            ready.append((name, MACHINES[architecture]))
    return Nodes(tuple(ready), tuple(not_ready))
