"""A client's node: its nft table, and what the faults did there and elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dnslab.measure import counters
from dnslab.measure.lab import servers
from dnslab.measure.lab.cgroups import Cgroups
from dnslab.measure.lab.fault import CLUSTER_IP, counter
from dnslab.measure.lab.faults import Injection
from dnslab.measure.lab.namespaces import Namespaces
from dnslab.plan.variants import NODE_LOCAL_ADDRESS


def node_rules(faults: str) -> str:
    """The node's nft table: DNAT of the cluster IP, NOTRACK of the node-local cache, and what ``faults`` adds."""
    spread = "numgen random mod 2 map { 0 : 10.200.255.2, 1 : 10.200.255.3 }"
    dnat = "".join(
        f"    ip daddr {CLUSTER_IP} {protocol} dport 53 counter name {protocol}_flows dnat to {spread}\n"
        for protocol in ("udp", "tcp")
    )
    return (
        "table ip dnslab {\n"
        + "".join(f"  counter {name} {{ }}\n" for name in ("exposed", "udp_flows", "tcp_flows", "untracked"))
        + "  chain dnat_in {\n    type nat hook prerouting priority -100; policy accept;\n"
        + dnat
        + "  }\n  chain dnat_out {\n    type nat hook output priority -100; policy accept;\n"
        + dnat
        + "  }\n  chain notrack_in {\n    type filter hook prerouting priority -300; policy accept;\n"
        + f"    ip daddr {NODE_LOCAL_ADDRESS} counter name untracked notrack\n"
        + "  }\n  chain notrack_out {\n    type filter hook output priority -300; policy accept;\n"
        + f"    ip saddr {NODE_LOCAL_ADDRESS} counter name untracked notrack\n  }}\n"
        + faults
        + "}\n"
    )


def ground_truth(
    inside: Namespaces, injection: Injection, cgroups: Cgroups | None, client: str, node: str
) -> Mapping[str, Any] | None:
    """What the faults did to the client and node of these names, and at the servers since the lab began.

    Returns
    -------
    dict or None
        ``at_node``: packets hit there, by fault, and their sum ``dropped``. ``by_servers``: answers, by server and
        fault. Other keys are there where a fault wants them. None where nothing is injected.
    """
    if injection.is_none:
        return None
    listed = counters.nft(inside.run("nft -j list counters", node))
    at_node = {name: listed[counter(name)] for name in injection.names}
    buffers = {name: counters.snmp(inside.run("cat /proc/net/snmp", name)) for name in (*servers.ADDRESSES, node)}
    truth: dict[str, Any] = {
        "fault": str(injection.plan),
        "parameters": injection.parameters,
        "dropped": sum(at_node.values()),
        "at_node": at_node,
        "rcvbuf_errors": {name: numbers["Udp.RcvbufErrors"] for name, numbers in buffers.items()},
    }
    if injection.dead_backend:
        truth["dropped_by_dead_backend"] = counters.nft(inside.run("nft -j list counters", servers.DEAD))["dropped"]
    if injection.serving() is not None:
        truth["by_servers"] = {name: _did(inside, name) for name in servers.ADDRESSES}
    if injection.client_rules():
        truth["answered_in_client"] = _did(inside, client)
    if cgroups:
        groups = {"servers": "servers", "client": client}
        truth["throttled"] = {
            who: cgroups.throttled(group) for who, group in groups.items() if injection.throttled(who)
        }
    if elsewhere := injection.did(inside, node):
        truth["elsewhere"] = elsewhere
    if injection.pause_s:
        truth["pauses"] = int(inside.run("cat /run/dnslab/pauses 2>/dev/null || echo 0"))
    return truth


def _did(inside: Namespaces, name: str) -> dict[str, int]:
    """What the responder called ``name`` has done, by fault."""
    text = inside.run(f"cat /run/dnslab/{name}.did 2>/dev/null || echo '{{}}'")
    return {key: int(value) for key, value in json.loads(text).items()}
