"""The lab: client, node and DNS servers in Linux network namespaces of this machine.

::

    client-N ── node-N ──┬── bridge ── server-a 10.200.255.2
      probe     DNAT of  │         └── server-b 10.200.255.3
                10.96.0.10, node-local cache on 169.254.20.10

Client and node are made anew for each trial on each target, with addresses that no earlier trial had, so that no port,
TIME_WAIT, conntrack entry or cached name is carried over. The two servers live as long as the lab.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dnslab.errors import DnslabError, NotAble, UsageError
from dnslab.measure import counters, witnesses
from dnslab.measure.lab import faults, servers
from dnslab.measure.lab.faults import CLUSTER_IP
from dnslab.measure.lab.namespaces import Namespaces, environment
from dnslab.measure.probe import find_probe
from dnslab.measure.process import ProcessChannel
from dnslab.measure.protocol import Channel, Client, Expected, TargetFacts, glibc_version
from dnslab.measure.witnesses import Reading
from dnslab.plan.model import FaultPlan, Load
from dnslab.plan.resolvconf import ResolverOptions, names_tried, render
from dnslab.plan.schedule import TargetInfo
from dnslab.plan.variants import NODE_LOCAL_ADDRESS, Variant
from dnslab.sentences import machine as sentences
from dnslab.store.contents import BackendFacts

#: what the kubelet gives a pod of namespace "default"
BASELINE = ResolverOptions(
    nameservers=(CLUSTER_IP,),
    search=("default.svc.cluster.local", "svc.cluster.local", "cluster.local"),
    ndots=5,
)
#: the node's address on each link to a client: link-local, so that a client's link needs no subnet of its own
GATEWAY = "169.254.1.1"
MAX_CLIENTS = 60_000

_CLIENT = """
set -e
for file in resolv.conf nsswitch.conf hosts; do
  place=$(readlink -m /etc/$file)
  [ -e "$place" ] || { mkdir -p "$(dirname "$place")"; : >"$place"; }
  mount --bind /run/dnslab/%(name)s/$file "$place"
done
exec "$@"
"""


def known_targets() -> list[TargetInfo]:
    """The targets of a lab on this machine: glibc, and musl if its loader and its probe are installed."""
    targets = [TargetInfo("glibc", "glibc", glibc_version())] if sys.platform == "linux" else []
    if version := _musl_version():
        targets.append(TargetInfo("musl", "musl", version))
    return targets


def _musl_version() -> str:
    """The version that musl's loader prints; ``""`` if the loader or its probe is missing."""
    loader = Path(f"/lib/ld-musl-{platform.machine()}.so.1")
    try:
        find_probe("musl")
        usage = subprocess.run([loader], capture_output=True, text=True, check=False).stderr
    except (OSError, DnslabError):
        return ""
    return next((line.removeprefix("Version ") for line in usage.splitlines() if line.startswith("Version ")), "")


def expected(names: Sequence[str]) -> Mapping[str, Expected]:
    """What ``names`` resolve to in the lab's zone.

    Raises
    ------
    UsageError
        No name that is tried for one of them is in the zone.
    """
    resolved = {}
    for name in names:
        absolute = next((tried for tried in names_tried(name, BASELINE) if servers.has(tried)), None)
        if absolute is None:
            known = ", ".join(servers.ZONE)
            raise UsageError(sentences.NOT_IN_THE_LAB(name=repr(name), names=known, any_name=servers.ANY))
        resolved[name] = Expected(absolute, 1, 1)
    return resolved


class LabBackend:
    """A lab with one fault injected. Raises NotAble if namespaces or tools are missing."""

    name = "lab"
    opens_ahead = False

    def __init__(self, fault: FaultPlan) -> None:
        self.fault, self.values = faults.find(fault)
        self._plan = fault
        self._numbers = itertools.count(1)
        self._targets = known_targets()
        find_probe("glibc")
        self.inside = Namespaces()
        self._lock = threading.Lock()
        try:
            self._set_up()
        except BaseException:
            self.inside.close()
            raise

    def _set_up(self) -> None:
        lines = ["ip link add br0 type bridge", "ip link set br0 up"]
        for name, address in servers.ADDRESSES.items():
            lines += [
                f"ip netns add {name}",
                f"ip link add {name} type veth peer name eth0 netns {name}",
                f"ip link set {name} master br0 up",
                f"ip -n {name} link set lo up",
                f"ip -n {name} link set eth0 up",
                f"ip -n {name} addr add {address}/16 dev eth0",
                # unbound asks for so-rcvbuf with the privileged option, which a user namespace does not have
                f"ip netns exec {name} sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/accept_ra 2>/dev/null || true'",
            ]
        self.inside.run("\n".join(lines))
        servers.start_backends(self.inside, self.fault, self.values)

    def describe(self) -> BackendFacts:
        """The fault injected, and the versions of the lab's programs."""
        facts = {
            "name": self.name,
            "fault": str(self._plan),
            "fault_summary": self.fault.summary,
            "fault_emulated": self.fault.name == "race",
            "parameters": self.values,
            "unbound": _first_line(["unbound", "-V"]).replace("Version", "unbound"),
            "nft": _first_line(["nft", "--version"]),
            "rootless": os.geteuid() != 0,
            "fresh_clients": True,
            "n_ports": 65535 - 1024 + 1,
            "udp_timeout_s": self.fault.udp_timeouts_s[0],
        }
        return BackendFacts.model_validate(facts)

    def targets(self) -> Sequence[TargetInfo]:
        """glibc, and musl if this machine has it."""
        return self._targets

    def expected(self, names: Sequence[str]) -> Mapping[str, Expected]:
        """What ``names`` resolve to; see the function ``expected`` of this module."""
        return expected(names)

    def open(self, client: Client) -> LabTarget:
        """Make a new client behind a new node of its own.

        Raises
        ------
        NotAble
            The lab has no such target, or no address left.
        """
        info = next((target for target in self._targets if target.name == client.target), None)
        if info is None:
            known = ", ".join(target.name for target in self._targets)
            raise NotAble(sentences.NO_LAB_TARGET(target=repr(client.target), known=known))
        with self._lock:
            number = next(self._numbers)
        if number > MAX_CLIENTS:
            raise NotAble(sentences.TOO_MANY_CLIENTS(most=f"{MAX_CLIENTS:,}"))
        return LabTarget(self, number, info, client.variant)

    def close(self) -> None:
        """End everything that runs in the lab. May be called twice."""
        self.inside.close()


class LabTarget:
    """A client namespace and its node namespace."""

    def __init__(self, lab: LabBackend, number: int, info: TargetInfo, variant: Variant) -> None:
        self._lab, self._info, self._variant = lab, info, variant
        self.client, self.node = f"client-{number}", f"node-{number}"
        self._number = number
        high, low = divmod(number, 250)
        self.client_address, self._uplink = f"10.201.{high}.{low + 1}", f"10.200.{high}.{low + 1}"
        self._closed = False
        self._channels: list[ProcessChannel] = []
        self._cache: subprocess.Popen[bytes] | None = None
        try:
            lab.inside.run(self._files() + self._links(), data=render(variant.applied_to(BASELINE)))
            lab.inside.run(self._node_script(), self.node)
            if variant.node_local:
                config = servers.cache_config(self.node, servers.rcvbuf(lab.fault, lab.values))
                self._cache = servers.start_unbound(lab.inside, self.node, self.node, config)
                servers.wait_ready(lab.inside, self.node)
        except BaseException:
            self.close()
            raise

    def _links(self) -> str:
        n, client, node, address, uplink = self._number, self.client, self.node, self.client_address, self._uplink
        # The cache's own queries to the cluster IP need a route before DNAT in the output hook changes their way.
        local = f"addr add {NODE_LOCAL_ADDRESS}/32 dev lo\nroute add {CLUSTER_IP}/32 dev uplink\n"
        local = local if self._variant.node_local else ""
        routes = "".join(f"ip -n {server} route add {address}/32 via {uplink}\n" for server in servers.ADDRESSES)
        return (
            f"ip netns add {node}\nip netns add {client}\n"
            f"ip link add u{n} type veth peer name uplink netns {node}\nip link set u{n} master br0 up\n"
            f"ip link add c{n} netns {node} type veth peer name eth0 netns {client}\n"
            f"ip -n {node} -batch - <<'E'\nlink set c{n} name c\nlink set lo up\nlink set uplink up\nlink set c up\n"
            f"addr add {uplink}/16 dev uplink\naddr add {GATEWAY}/32 dev c\nroute add {address}/32 dev c\n{local}E\n"
            f"ip -n {client} -batch - <<'E'\nlink set lo up\nlink set eth0 up\naddr add {address}/32 dev eth0\n"
            f"route add {GATEWAY}/32 dev eth0\nroute add default via {GATEWAY}\nE\n"
            f"{routes}"
            f"ip netns exec {client} sh -c 'echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range'\n"
        )

    def _files(self) -> str:
        """The client's files; resolv.conf, which a plan decides on, is read from stdin."""
        folder = f"/run/dnslab/{self.client}"
        return (
            f"mkdir {folder}\ncat >{folder}/resolv.conf\n"
            f"echo 'hosts: files dns' >{folder}/nsswitch.conf\necho '127.0.0.1 localhost' >{folder}/hosts\n"
        )

    def _node_script(self) -> str:
        unreplied, stream = self._lab.fault.udp_timeouts_s
        return (
            "echo 1 >/proc/sys/net/ipv4/ip_forward\n"
            f"nft -f - <<'E'\n{node_rules(self._lab.fault.nft(self._lab.values))}E\n"
            f"echo {unreplied} >/proc/sys/net/netfilter/nf_conntrack_udp_timeout\n"
            f"echo {stream} >/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream\n"
        )

    def facts(self) -> TargetFacts:
        """Facts read inside the client."""
        return TargetFacts(
            libc=self._info.libc,
            libc_version=self._info.libc_version,
            means="file",
            resolv_conf=self._lab.inside.run(f"cat /run/dnslab/{self.client}/resolv.conf"),
            kernel=f"{platform.system()} {platform.release()}",
            node=self.node,
            extra={"address": self.client_address, "fresh": True, "cache": "started empty, filled by the warm-up"},
        )

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` in the client, with its resolv.conf."""
        script = _CLIENT % {"name": self.client}
        return self._lab.inside.enter(["sh", "-c", script, "sh", *argv], self.client)

    def start(self, job: bytes) -> Channel:
        """Start the probe for the target's libc."""
        channel = ProcessChannel(self.command([str(find_probe(self._info.libc))]), environment())
        self._channels.append(channel)
        channel.write(job)
        return channel

    def counters(self) -> Reading:
        """Counters of client, node, both servers (shared by all that runs at the same time), and the machine's CPUs."""
        run = self._lab.inside.run
        show = f"exec {shlex.join([str(find_probe('glibc')), '--show', *witnesses.NAMESPACE_FILES])}"
        own = witnesses.shown(run(show, self.client).encode())
        reading = witnesses.client({**own, **witnesses.here(witnesses.SHARED_FILES)})
        listed, _, shown = run(f"nft -j list counters\n{show}", self.node).partition("\n")
        reading.include(witnesses.read("node", witnesses.shown(shown.encode())))
        rules = counters.nft(listed)
        rules.pop("dropped", None)  # what a fault did is ground truth, not a measurement
        reading["node.exposed"] = rules.pop("exposed")
        reading.include(counters.under("node.nft", rules))
        for name in servers.ADDRESSES:
            reading.include(witnesses.read(name, witnesses.shown(run(show, name).encode())))
        if self._variant.node_local:
            stats = run(f"unbound-control -s /run/dnslab/{self.node}.sock stats_noreset || true", self.node)
            reading.include(counters.under("node-local", counters.unbound(stats)))
        return reading

    def ground_truth(self) -> Mapping[str, Any] | None:
        """What the fault did: packets dropped at this client's node, and at the servers since the lab began."""
        if self._lab.fault.name == "none":
            return None
        run = self._lab.inside.run
        node = counters.nft(run("nft -j list counters", self.node))
        buffers = {name: counters.snmp(run("cat /proc/net/snmp", name)) for name in (*servers.ADDRESSES, self.node)}
        truth = {
            "fault": self._lab.fault.name,
            "parameters": self._lab.values,
            "dropped": node["dropped"],
            "rcvbuf_errors": {name: numbers["Udp.RcvbufErrors"] for name, numbers in buffers.items()},
        }
        if self._lab.fault.dead_backend:
            dead = counters.nft(run("nft -j list counters", servers.DEAD))
            truth["dropped_by_dead_backend"] = dead["dropped"]
        return truth

    def close(self) -> None:
        """Remove both namespaces and end all in them. May be called twice; does nothing after the lab has ended."""
        if self._closed:
            return
        self._closed = True
        for channel in self._channels:
            channel.hang_up()
        pidfile = f"/run/dnslab/{self.node}.pid"
        routes = "".join(f"ip -n {s} route del {self.client_address}/32 || true\n" for s in servers.ADDRESSES)
        with contextlib.suppress(NotAble, subprocess.TimeoutExpired):  # the lab may have ended already
            self._lab.inside.run(
                f"[ ! -e {pidfile} ] || kill -9 $(cat {pidfile}) || true\n{routes}"
                f"ip netns del {self.client} || true\nip netns del {self.node} || true\n"
                f"rm -rf /run/dnslab/{self.client} /run/dnslab/{self.node}.*\n"
            )
        if self._cache:
            self._cache.wait()


def node_rules(fault: str) -> str:
    """The node's nft table: DNAT of the cluster IP, NOTRACK of the node-local cache, and a fault's chains."""
    spread = "numgen random mod 2 map { 0 : 10.200.255.2, 1 : 10.200.255.3 }"
    dnat = "".join(
        f"    ip daddr {CLUSTER_IP} {protocol} dport 53 counter name {protocol}_flows dnat to {spread}\n"
        for protocol in ("udp", "tcp")
    )
    return (
        "table ip dnslab {\n"
        + "".join(f"  counter {name} {{ }}\n" for name in ("exposed", "dropped", "udp_flows", "tcp_flows", "untracked"))
        + "  chain dnat_in {\n    type nat hook prerouting priority -100; policy accept;\n"
        + dnat
        + "  }\n  chain dnat_out {\n    type nat hook output priority -100; policy accept;\n"
        + dnat
        + "  }\n  chain notrack_in {\n    type filter hook prerouting priority -300; policy accept;\n"
        + f"    ip daddr {NODE_LOCAL_ADDRESS} counter name untracked notrack\n"
        + "  }\n  chain notrack_out {\n    type filter hook output priority -300; policy accept;\n"
        + f"    ip saddr {NODE_LOCAL_ADDRESS} counter name untracked notrack\n  }}\n"
        + fault
        + "}\n"
    )


def shell(fault: FaultPlan, variant: Variant, target: str, command: Sequence[str]) -> int:
    """Run a shell, or ``command``, in a new client of a new lab, and return its exit status.

    Raises
    ------
    UsageError
        The lab has no such target.
    """
    known = [info.name for info in known_targets()]
    if target not in known:
        raise UsageError(sentences.NO_LAB_TARGET(target=repr(target), known=", ".join(known)))
    backend = LabBackend(fault)
    try:
        client = backend.open(Client("shell", target, variant, Load(), ()))
        argv = list(command) or [os.environ.get("SHELL") or shutil.which("sh") or "/bin/sh"]
        return subprocess.call(client.command(argv), env=environment())
    finally:
        backend.close()


def _first_line(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env=environment(), check=False)
    return (done.stdout.splitlines() or [""])[0]
