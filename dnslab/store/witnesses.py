"""Witnesses: numbers of the kernel that are read before and after each trial. One entry here adds one.

Knows what each is called, where it stands and how two readings are subtracted. Reads no file and judges nothing. A file
that no other witness stands in needs a parser, too: ``measure.witnesses.PARSERS``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

#: what a witness belongs to: a network namespace (of the client, a node, a server), the client's cgroup, or the machine
Scope = Literal["namespace", "cgroup", "machine"]
CLIENT, MACHINE = "client", "machine"
#: where witnesses are read: the client; its machine; its node; the lab's servers; a cluster's servers
PLACES = (CLIENT, MACHINE, "node", "server-a", "server-b", "coredns")
#: why a witness that is counted for each socket of a DNS server is missing where no server is
NO_SOCKET = "no socket on port 53"

SNMP, SNMP6, NETSTAT = "/proc/net/snmp", "/proc/net/snmp6", "/proc/net/netstat"
UDP, UDP6, SOFTNET = "/proc/net/udp", "/proc/net/udp6", "/proc/net/softnet_stat"
CONNTRACK = "/proc/net/stat/nf_conntrack"
CONNTRACK_COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"
CONNTRACK_MAX = "/proc/sys/net/netfilter/nf_conntrack_max"
#: of the container that reads them, with cgroup version 2 and 1
CPU_STAT, CPU_STAT_V1 = "/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"
CPU_PRESSURE, MACHINE_PRESSURE = "/sys/fs/cgroup/cpu.pressure", "/proc/pressure/cpu"


@dataclass(frozen=True)
class Witness:
    """One number of the kernel.

    Parameters
    ----------
    name
        Within its place: ``TcpExt.TCPTimeouts`` of the client is stored as ``client.TcpExt.TCPTimeouts``. One that is
        counted for each socket has the socket's address behind it: ``node.udp.53.drops@169.254.20.10``.
    unit
        Of the number, or of what it is a share of.
    files
        Where it stands. Of several files the first that holds it counts.
    scope
        What it belongs to.
    share_of
        The number that it is a share of. Without one it only rises, and its rise during a trial counts.
    same
        The number that stays the same until what is counted begins anew at 0, if there is one. Any fall says so too.
    by_socket
        Whether it is counted for each socket.
    """

    name: str
    unit: str
    files: tuple[str, ...]
    scope: Scope = "namespace"
    share_of: str = ""
    same: str = ""
    by_socket: bool = False


def _of(file: str, unit: str, *names: str) -> Iterator[Witness]:
    return (Witness(name, unit, (file,)) for name in names)


_CGROUP_FILES = (CPU_STAT, CPU_STAT_V1)

WITNESSES: tuple[Witness, ...] = (
    *_of(SNMP, "datagrams", "Udp.OutDatagrams", "Udp.InDatagrams", "Udp.NoPorts", "Udp.InErrors", "Udp.RcvbufErrors"),
    *_of(SNMP, "datagrams", "Udp.SndbufErrors", "Udp.InCsumErrors", "Udp.MemErrors"),
    *_of(SNMP6, "datagrams", "Udp6.OutDatagrams", "Udp6.InDatagrams", "Udp6.NoPorts", "Udp6.InErrors"),
    *_of(SNMP6, "datagrams", "Udp6.RcvbufErrors", "Udp6.SndbufErrors", "Udp6.InCsumErrors", "Udp6.MemErrors"),
    *_of(SNMP, "connections", "Tcp.ActiveOpens", "Tcp.AttemptFails", "Tcp.EstabResets"),
    *_of(SNMP, "segments", "Tcp.RetransSegs"),
    *_of(NETSTAT, "segments", "TcpExt.TCPSynRetrans", "TcpExt.TCPLostRetransmit", "TcpExt.TCPBacklogDrop"),
    *_of(NETSTAT, "timeouts", "TcpExt.TCPTimeouts"),
    *_of(NETSTAT, "segments", "TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPReqQFullDrop"),
    *_of(NETSTAT, "connections", "TcpExt.TCPAbortOnTimeout", "TcpExt.TCPTimeWaitOverflow"),
    *_of(NETSTAT, "packets", "TcpExt.IPReversePathFilter"),
    Witness("udp.53.drops", "datagrams", (UDP,), same="udp.53.inodes", by_socket=True),
    Witness("udp6.53.drops", "datagrams", (UDP6,), same="udp6.53.inodes", by_socket=True),
    # of all sockets that are open now: one that was closed took its drops with it, RcvbufErrors keeps them
    Witness("udp.drops", "datagrams", (UDP,), same="udp.inodes"),
    Witness("udp6.drops", "datagrams", (UDP6,), same="udp6.inodes"),
    *_of(CONNTRACK, "packets", "conntrack.insert_failed", "conntrack.drop", "conntrack.clashres"),
    *_of(CONNTRACK, "packets", "conntrack.invalid", "conntrack.chainlength"),
    *_of(CONNTRACK, "flows", "conntrack.early_drop"),
    *_of(CONNTRACK, "searches", "conntrack.search_restart"),
    Witness("conntrack.count", "flows", (CONNTRACK_COUNT,), share_of="conntrack.max"),
    Witness("cpu.periods", "periods", _CGROUP_FILES, "cgroup"),
    Witness("cpu.throttled_periods", "periods", _CGROUP_FILES, "cgroup"),
    Witness("cpu.throttled_us", "us", _CGROUP_FILES, "cgroup"),
    Witness("pressure.cpu.some_us", "us", (CPU_PRESSURE,), "cgroup"),
    Witness("pressure.cpu.some_us", "us", (MACHINE_PRESSURE,), "machine"),
    Witness("softnet.drops", "packets", (SOFTNET,), "machine"),
    Witness("softnet.time_squeeze", "times", (SOFTNET,), "machine"),
)


@cache
def at(place: str) -> Mapping[str, Witness]:
    """The witnesses of a place, by name."""
    scopes = {CLIENT: ("namespace", "cgroup"), MACHINE: ("machine",)}.get(place, ("namespace",))
    return {witness.name: witness for witness in WITNESSES if witness.scope in scopes}


@cache
def files_of(scope: Scope) -> tuple[str, ...]:
    """The files in which the witnesses of ``scope`` stand, each once."""
    return tuple(dict.fromkeys(path for witness in WITNESSES if witness.scope == scope for path in witness.files))
