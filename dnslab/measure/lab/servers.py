"""The lab's DNS servers: their configuration, the zone they serve, how they are started, and when they are ready.

unbound cannot answer late or wrongly, so such faults use ``responder`` instead.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from dnslab.errors import NotAble
from dnslab.measure.lab.fault import CLUSTER_IP
from dnslab.measure.lab.faults import Injection
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
READY_TIMEOUT_S = 15.0
RESPONDER = Path(__file__).with_name("responder.py")

#: a process that uses all the CPU it gets
BUSY = ("sh", "-c", "while :; do :; done")

#: before a server that will be stopped: nsenter, which starts it, would stop itself when its child is stopped
_APART = ("sh", "-c", '"$@" & wait', "sh")

# Counts its pauses in a file: that is ground truth.
_PAUSES = """
cd /run/dnslab
every=$1 length=$2; shift 2
n=0
while sleep "$every"; do
  for name; do kill -STOP "$(cat $name.pid)"; done
  sleep "$length"
  for name; do kill -CONT "$(cat $name.pid)"; done
  n=$((n + 1)); echo $n >pauses
done
"""

# ioctl SIOCETHTOOL with ETHTOOL_STXCSUM 0: the kernel then computes checksums itself (linux/ethtool.h, linux/sockios.h)
_NO_OFFLOAD = """
import ctypes, fcntl, socket, struct
value = ctypes.create_string_buffer(struct.pack("II", 0x17, 0))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8946, struct.pack("16sP16x", b"eth0", ctypes.addressof(value)))
"""

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


def start_unbound(
    inside: Namespaces, namespace: str, name: str, config: str, group: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start unbound with ``config`` in ``namespace``, in the cgroup ``group`` if given."""
    path = f"/run/dnslab/{name}.conf"
    inside.run(f"cat >{path}", data=config)
    return inside.start([*_APART, "unbound", "-d", "-c", path], namespace, group)


def start_responder(
    inside: Namespaces,
    namespace: str,
    name: str,
    settings: dict[str, object],
    *,
    group: Path | None = None,
    program: Path = RESPONDER,
) -> subprocess.Popen[bytes]:
    """Start ``program`` with ``settings`` in ``namespace``; ``name`` is that of its files."""
    files = {"did": f"/run/dnslab/{name}.did", "pidfile": f"/run/dnslab/{name}.pid"}
    return inside.start(
        [*_APART, sys.executable, "-S", str(program), json.dumps({**settings, **files})], namespace, group
    )


def start_backends(inside: Namespaces, injection: Injection, group: Path | None = None) -> None:
    """Start both servers behind the cluster IP, as the faults want them, and wait until they answer.

    With ``group``, a cgroup that limits them, a busy process shares it.
    """
    settings = injection.serving()
    for name in ADDRESSES:
        if injection.checksums:
            inside.run(f"exec {sys.executable} -S -", name, data=_NO_OFFLOAD)
        if settings is not None:
            wanted = {"rcvbuf": injection.rcvbuf, **settings}
            start_responder(inside, name, name, wanted, group=group, program=injection.program or RESPONDER)
        else:
            config = injection.unbound(name, backend_config(name, injection.rcvbuf))
            start_unbound(inside, name, name, config, group)
    for name in ADDRESSES:
        wait_ready(inside, name)
    for name in ADDRESSES:
        injection.at_server(inside, name)
    if group:
        inside.start(BUSY, DEAD, group)
    if injection.dead_backend:
        drop = "type filter hook input priority 0; policy accept;\n th dport 53 counter name dropped drop"
        inside.run(
            f"nft -f - <<'E'\ntable ip dnslab {{\n counter dropped {{ }}\n chain dead {{\n {drop}\n }}\n}}\nE\n", DEAD
        )
    if injection.pause_s:
        every_s, pause_s = injection.pause_s
        inside.start(["sh", "-c", _PAUSES, "sh", f"{every_s:g}", f"{pause_s:g}", *ADDRESSES], DEAD)


def wait_ready(inside: Namespaces, namespace: str) -> None:
    """Wait until a UDP and a TCP socket are bound to port 53 in ``namespace``; NotAble after a few seconds."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        text = inside.run("cat /proc/net/udp; echo; cat /proc/net/tcp", namespace)
        if all(":0035 " in part for part in text.split("\n\n")):
            return
        time.sleep(0.02)
    raise NotAble(sentences.SERVER_NOT_READY(namespace=namespace, time=f"{READY_TIMEOUT_S:g} s"))
