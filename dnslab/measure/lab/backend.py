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
from dnslab.measure.lab.cgroups import Cgroups
from dnslab.measure.lab.fault import CLUSTER_IP
from dnslab.measure.lab.namespaces import Namespaces, environment
from dnslab.measure.lab.node import ground_truth, node_rules
from dnslab.measure.lab.rules import CAPTURE
from dnslab.measure.probe import find_probe
from dnslab.measure.process import ProcessChannel
from dnslab.measure.protocol import Channel, Client, Expected, TargetFacts, glibc_version
from dnslab.measure.witnesses import Reading
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load
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
    """A lab with faults injected. Raises NotAble if namespaces, tools or rights are missing.

    ``keeps_sockets``: some load sends raw queries on sockets that it keeps.
    """

    name = "lab"
    opens_ahead = False

    def __init__(self, fault: FaultPlan, *, keeps_sockets: bool = False) -> None:
        self.injection = faults.find(fault)
        self.udp_timeouts_s = self.injection.udp_timeouts_s(keeps_sockets)
        self._numbers = itertools.count(1)
        self._targets = known_targets()
        find_probe("glibc")
        self.cgroups = Cgroups() if any(map(self.injection.throttled, ("servers", "client"))) else None
        self._lock = threading.Lock()
        try:
            self.inside = Namespaces()
        except BaseException:
            self._close_cgroups()
            raise
        try:
            self._set_up()
        except BaseException:
            self.close()
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
        cores = self.injection.throttled("servers")
        group = self.cgroups.make("servers", cores) if self.cgroups and cores else None
        servers.start_backends(self.inside, self.injection, group)

    def describe(self) -> BackendFacts:
        """The faults injected, and the versions of the lab's programs."""
        facts = {
            "name": self.name,
            "fault": str(self.injection.plan),
            "fault_summary": self.injection.summary,
            "fault_emulated": self.injection.emulated,
            "parameters": self.injection.parameters,
            "unbound": _first_line(["unbound", "-V"]).replace("Version", "unbound"),
            "nft": _first_line(["nft", "--version"]),
            "rootless": os.geteuid() != 0,
            "fresh_clients": True,
            "n_ports": 65535 - 1024 + 1,
            "udp_timeout_s": self.udp_timeouts_s[0],
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
        self._close_cgroups()

    def _close_cgroups(self) -> None:
        if self.cgroups:
            self.cgroups.close()


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
        self._group: Path | None = None
        try:
            lab.inside.run(self._files() + self._links(), data=render(variant.applied_to(BASELINE)))
            lab.inside.run(self._node_script(), self.node, data=node_rules(lab.injection.node_rules()))
            lab.injection.at_node(lab.inside, self.node)
            if variant.node_local:
                config = servers.cache_config(self.node, lab.injection.rcvbuf)
                self._cache = servers.start_unbound(lab.inside, self.node, self.node, config)
                servers.wait_ready(lab.inside, self.node)
            self._inject()
        except BaseException:
            self.close()
            raise

    def _inject(self) -> None:
        """What the faults change in the client's namespace."""
        lab = self._lab
        if rules := lab.injection.client_rules():
            lab.inside.run(f"nft -f - <<'E'\n{rules}E\n", self.client)
            servers.start_responder(lab.inside, self.client, self.client, {"address": CAPTURE})
            servers.wait_ready(lab.inside, self.client)
        cores = lab.injection.throttled("client")
        if cores and lab.cgroups:
            self._group = lab.cgroups.make(self.client, cores)
            script = f"echo $$ >/run/dnslab/{self.client}.busy; {servers.BUSY[-1]}"
            lab.inside.start(["sh", "-c", script], self.client, self._group)

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
        """What sets up the node; its nft rules, which may be long, are read from stdin."""
        unreplied, stream = self._lab.udp_timeouts_s
        return (
            "echo 1 >/proc/sys/net/ipv4/ip_forward\n"
            "nft -f -\n"
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
        argv = ["sh", "-c", _CLIENT % {"name": self.client}, "sh", str(find_probe(self._info.libc))]
        channel = ProcessChannel(self._lab.inside.enter(argv, self.client, self._group), environment())
        self._channels.append(channel)
        channel.write(job)
        return channel

    def counters(self) -> Reading:
        """Counters of client, node, both servers (shared by all that runs at the same time), and the machine's CPUs."""
        run = self._lab.inside.run
        show = f"exec {shlex.join([str(find_probe('glibc')), '--show', *witnesses.NAMESPACE_FILES])}"
        own = witnesses.shown(run(show, self.client).encode())
        group = self._group.parent if self._group else None
        reading = witnesses.client({**own, **witnesses.here(witnesses.SHARED_FILES, group)})
        listed, _, shown = run(f"nft -j list counters\n{show}", self.node).partition("\n")
        reading.include(witnesses.read("node", witnesses.shown(shown.encode())))
        rules = counters.nft(listed)
        rules = {name: n for name, n in rules.items() if not name.startswith("did_")}  # that is ground truth
        reading["node.exposed"] = rules.pop("exposed")
        reading.include(counters.under("node.nft", rules))
        for name in servers.ADDRESSES:
            reading.include(witnesses.read(name, witnesses.shown(run(show, name).encode())))
        if self._variant.node_local:
            stats = run(f"unbound-control -s /run/dnslab/{self.node}.sock stats_noreset || true", self.node)
            reading.include(counters.under("node-local", counters.unbound(stats)))
        return reading

    def ground_truth(self) -> Mapping[str, Any] | None:
        """What the faults did: at this client and its node, and at the servers since the lab began."""
        lab = self._lab
        return ground_truth(lab.inside, lab.injection, lab.cgroups, self.client, self.node)

    def close(self) -> None:
        """Remove both namespaces and end all in them. May be called twice; does nothing after the lab has ended."""
        if self._closed:
            return
        self._closed = True
        for channel in self._channels:
            channel.hang_up()
        pidfiles = f"/run/dnslab/{self.node}.pid /run/dnslab/{self.client}.pid /run/dnslab/{self.client}.busy"
        routes = "".join(f"ip -n {s} route del {self.client_address}/32 || true\n" for s in servers.ADDRESSES)
        with contextlib.suppress(NotAble, subprocess.TimeoutExpired):  # the lab may have ended already
            self._lab.inside.run(
                f"for file in {pidfiles}; do [ ! -e $file ] || kill -9 $(cat $file) || true; done\n{routes}"
                f"ip netns del {self.client} || true\nip netns del {self.node} || true\n"
                f"rm -rf /run/dnslab/{self.client} /run/dnslab/{self.client}.* /run/dnslab/{self.node}.*\n"
            )
        if self._cache:
            self._cache.wait()


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
