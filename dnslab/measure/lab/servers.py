"""The lab's DNS servers: their configuration, the zone they serve, how they are started, and when they are ready.

unbound cannot answer late, so slow faults use ``responder`` instead.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from dnslab.errors import NotAble
from dnslab.measure.lab.faults import AMPLE_RCVBUF, CLUSTER_IP, Fault
from dnslab.measure.lab.namespaces import Namespaces
from dnslab.plan.variants import NODE_LOCAL_ADDRESS
from dnslab.sentences import machine as sentences

ADDRESSES = {"server-a": "10.200.255.2", "server-b": "10.200.255.3"}
#: the server that drops everything, where a fault wants a dead one
DEAD = "server-b"
#: names with an address of each family; every name under ANY has one too
ZONE = ("kubernetes.default.svc.cluster.local.", "web.default.svc.cluster.local.")
ANY = "any.cluster.local."
#: as the usual Corefile has it: 30 s positive, 5 s negative
TTL_S, NEGATIVE_TTL_S = 30, 5
READY_TIMEOUT_S = 5.0

_COMMON = """
server:
  directory: "/run/dnslab"
  chroot: ""
  username: ""
  pidfile: "/run/dnslab/{name}.pid"
  use-syslog: no
  logfile: ""
  verbosity: 0
  do-daemonize: no
  num-threads: 1
  do-ip6: no
  interface: {address}
  access-control: 0.0.0.0/0 allow
  module-config: "iterator"
  so-rcvbuf: {rcvbuf}
  incoming-num-tcp: 2000
  outgoing-num-tcp: 10
  minimal-responses: yes
  hide-identity: yes
"""


def has(name: str) -> bool:
    """Whether the zone has an address of each family for ``name`` (absolute); it answers all other names NXDOMAIN."""
    return name.lower() in ZONE or name.lower().endswith(f".{ANY}")


def backend_config(name: str, rcvbuf: int) -> str:
    """unbound.conf of a server behind the cluster IP: local data only, nothing is ever forwarded."""
    soa = f'local-data: ". {NEGATIVE_TTL_S} IN SOA ns. hostmaster. 1 3600 600 86400 {NEGATIVE_TTL_S}"'
    lines = ['local-zone: "." static', soa]
    for owner in (*ZONE, ANY):
        if owner == ANY:
            lines.append(f'local-zone: "{owner}" redirect')
        lines.append(f'local-data: "{owner} {TTL_S} IN A 10.96.0.1"')
        lines.append(f'local-data: "{owner} {TTL_S} IN AAAA fd00:10:96::1"')
    body = _COMMON.format(name=name, address="0.0.0.0", rcvbuf=rcvbuf)
    return body + "".join(f"  {line}\n" for line in lines)


def rcvbuf(fault: Fault, values: Mapping[str, float]) -> int:
    """SO_RCVBUF of every server, the node-local cache included."""
    return round(values["bytes"]) if fault.name == "receive-buffer" else AMPLE_RCVBUF


def cache_config(name: str, rcvbuf: int) -> str:
    """unbound.conf of the node-local cache: asks the cluster IP over TCP, keeps answers as the usual Corefile does."""
    return (
        _COMMON.format(name=name, address=NODE_LOCAL_ADDRESS, rcvbuf=rcvbuf)
        + f"  cache-max-ttl: {TTL_S}\n  cache-max-negative-ttl: {NEGATIVE_TTL_S}\n"
        # The usual cache is CoreDNS, whose forward plugin waits 2 s for an answer (readTimeout). unbound would give up
        # an upstream query after a small multiple of the usual round trip.
        + "  infra-cache-min-rtt: 2000\n"
        + '  local-zone: "local." nodefault\n  do-not-query-localhost: no\n'
        + f'forward-zone:\n  name: "."\n  forward-addr: {CLUSTER_IP}\n  forward-tcp-upstream: yes\n'
        + f"remote-control:\n  control-enable: yes\n  control-interface: /run/dnslab/{name}.sock\n"
        + "  control-use-cert: no\n"
    )


def start_unbound(inside: Namespaces, namespace: str, name: str, config: str) -> subprocess.Popen[bytes]:
    """Start unbound with ``config`` in ``namespace``."""
    path = f"/run/dnslab/{name}.conf"
    inside.run(f"cat >{path}", data=config)
    return inside.start(["unbound", "-d", "-c", path], namespace)


def start_backends(inside: Namespaces, fault: Fault, values: Mapping[str, float]) -> None:
    """Start both servers behind the cluster IP, as the fault wants them, and wait until they answer."""
    delays = {"slow-answer": ("ms", "ms"), "slow-aaaa": (None, "ms")}.get(fault.name)
    for name in ADDRESSES:
        if delays:
            a_ms, aaaa_ms = (values[key] if key else 0.0 for key in delays)
            script = str(Path(__file__).with_name("responder.py"))
            inside.start([sys.executable, "-S", script, str(a_ms), str(aaaa_ms)], name)
        else:
            start_unbound(inside, name, name, backend_config(name, rcvbuf(fault, values)))
    for name in ADDRESSES:
        wait_ready(inside, name)
    if fault.dead_backend:
        drop = "type filter hook input priority 0; policy accept;\n th dport 53 counter name dropped drop"
        inside.run(
            f"nft -f - <<'E'\ntable ip dnslab {{\n counter dropped {{ }}\n chain dead {{\n {drop}\n }}\n}}\nE\n", DEAD
        )


def wait_ready(inside: Namespaces, namespace: str) -> None:
    """Wait until a UDP and a TCP socket are bound to port 53 in ``namespace``; NotAble after a few seconds."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        text = inside.run("cat /proc/net/udp; echo; cat /proc/net/tcp", namespace)
        if all(":0035 " in part for part in text.split("\n\n")):
            return
        time.sleep(0.02)
    raise NotAble(sentences.SERVER_NOT_READY(namespace=namespace, time=f"{READY_TIMEOUT_S:g} s"))
