"""counters: kernel texts as they are, to numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnslab.measure import counters


def test_snmp() -> None:
    text = "Udp: InDatagrams NoPorts RcvbufErrors\nUdp: 7 1 3\nIp: Forwarding InReceives\nIp: 1 -2\n"
    assert counters.snmp(text) == {"Udp.InDatagrams": 7, "Udp.NoPorts": 1, "Udp.RcvbufErrors": 3}
    assert counters.snmp(text, ["Ip"]) == {"Ip.Forwarding": 1, "Ip.InReceives": -2}


def test_sockstat() -> None:
    assert counters.sockstat("sockets: used 9\nTCP: inuse 1 orphan 0 tw 28168\n") == {
        "sockets.used": 9,
        "TCP.inuse": 1,
        "TCP.orphan": 0,
        "TCP.tw": 28168,
    }


def test_conntrack_sums_over_cpus_but_not_entries() -> None:
    text = "entries  clashres insert_failed drop\n"
    text += "0000000a 00000001 00000010 00000002\n0000000a 00000002 00000000 00000001\n"
    assert counters.conntrack(text) == {"entries": 10, "clashres": 3, "insert_failed": 16, "drop": 3}
    assert counters.conntrack("") == {}


def test_nft() -> None:
    text = (
        '{"nftables": [{"metainfo": {}}, {"counter": {"family": "ip", "name": "exposed", "packets": 5, "bytes": 300}}]}'
    )
    assert counters.nft(text) == {"exposed": 5}
    assert counters.nft("") == {}


def test_unbound() -> None:
    text = "thread0.num.queries=3\ntotal.num.queries=3\ntotal.num.cachehits=2\ntotal.recursion.time.avg=0.001\n"
    assert counters.unbound(text) == {"num.queries": 3, "num.cachehits": 2}


def test_cpu() -> None:
    assert counters.cpu("cpu  10 0 5 80 5 0 0 0 0 0\ncpu0 1 1\n") == {"total_ticks": 100, "idle_ticks": 85}
    assert counters.cpu("") == {}


def test_only_cpus_that_the_client_may_use_count() -> None:
    stat = "cpu 130 0 5 85 0 0 0 0 0 0\ncpu0 10 0 5 80 5 0 0 0 0 0\ncpu1 100 0 0 0 0 0 0 0 0 0\n"
    allowed = counters.cpus_allowed("Name:\tprobe\nCpus_allowed:\t1\nCpus_allowed_list:\t0,2-3\n")
    assert counters.cpu(stat, allowed) == {"total_ticks": 100, "idle_ticks": 85}
    assert counters.cpus_allowed("Cpus_allowed_list:\tnonsense\n") is None
    own = counters.cpus_allowed(Path("/proc/self/status").read_text())
    assert own == frozenset(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (
            "usage_usec 90\nuser_usec 60\nsystem_usec 30\nnr_periods 50\nnr_throttled 20\nthrottled_usec 1500\n",
            {"cpu.periods": 50, "cpu.throttled_periods": 20, "cpu.throttled_us": 1500},
        ),
        (  # version 1
            "nr_periods 50\nnr_throttled 20\nthrottled_time 1500999\n",
            {"cpu.periods": 50, "cpu.throttled_periods": 20, "cpu.throttled_us": 1500},
        ),
        ("usage_usec 90\nuser_usec 60\nsystem_usec 30\n", {}),  # the root of version 2
        ("", {}),
    ],
)
def test_throttling(text: str, numbers: dict[str, int]) -> None:
    assert counters.throttling(text) == numbers


def test_snmp6() -> None:
    text = "Ip6InReceives \t5\nUdp6InDatagrams \t7\nUdp6RcvbufErrors\t3\n"
    text += "Udp6NoPorts\nUdpLite6InErrors 9\nUdp6MemErrors x\n"
    assert counters.snmp6(text) == {"Udp6.InDatagrams": 7, "Udp6.RcvbufErrors": 3}


HEADER = "sl  local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref pointer drops\n"
SOCKET = (
    "{sl}: {local} 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 {inode} 2 0000000000000000 {drops}\n"
)


def test_sockets_by_the_address_of_those_on_port_53() -> None:
    text = HEADER + "".join(
        SOCKET.format(sl=sl, local=local, inode=inode, drops=drops)
        for sl, (local, inode, drops) in enumerate(
            [
                ("0A14FEA9:0035", 100, 40),
                ("0A14FEA9:0035", 200, 2),
                ("0A00600A:0035", 300, 1),
                ("0100007F:8235", 400, 5),
            ]
        )
    )
    assert counters.sockets(text, "udp") == {
        "udp.drops": 48,
        "udp.inodes": 1000,
        "udp.53.drops@169.254.20.10": 42,
        "udp.53.inodes@169.254.20.10": 300,
        "udp.53.drops@10.96.0.10": 1,
        "udp.53.inodes@10.96.0.10": 300,
    }


def test_sockets_of_ipv6() -> None:
    wildcard, loopback = "0" * 32, "00000000000000000000000001000000"
    text = HEADER + SOCKET.format(sl=1, local=f"{wildcard}:0035", inode=7, drops=81)
    text += SOCKET.format(sl=2, local=f"{loopback}:0035", inode=8, drops=1)
    found = counters.sockets(text, "udp6")
    assert (found["udp6.53.drops@::"], found["udp6.53.drops@::1"]) == (81, 1)
    assert found["udp6.drops"] == 82


@pytest.mark.parametrize(
    "line",
    [
        "  1: 0A14FEA9:0035 00000000:0000 07 00000000:0000\n",  # cut short
        SOCKET.format(sl=1, local="0A14FEA9", inode=7, drops=1),
        SOCKET.format(sl=1, local="0A14FEA90A14FEA9:0035", inode=7, drops=1),  # neither family
        SOCKET.format(sl=1, local="zzFE14A9:0035", inode=7, drops=1),
        SOCKET.format(sl=1, local="0A14FEA9:0035", inode="?", drops=1),
        SOCKET.format(sl=1, local="0A14FEA9:0035", inode=7, drops="9" * 40),
        SOCKET.format(sl=1, local="0A14FEA9:0035", inode=7, drops="1 2"),
        "\n",
    ],
)
def test_a_damaged_line_of_a_socket_counts_nothing(line: str) -> None:
    good = SOCKET.format(sl=2, local="0100007F:0035", inode=5, drops=3)
    assert counters.sockets(HEADER + line + good, "udp") == counters.sockets(HEADER + good, "udp")


def test_drops_are_no_signed_number() -> None:
    found = counters.sockets(HEADER + SOCKET.format(sl=1, local="0100007F:0035", inode=5, drops=-1), "udp")
    assert found["udp.53.drops@127.0.0.1"] == 2**32 - 1


def test_sockets_where_the_kernel_counts_no_drops_or_has_none() -> None:
    assert counters.sockets("", "udp") == {}
    assert counters.sockets(HEADER.replace(" drops", ""), "udp") == {}
    assert counters.sockets(HEADER, "udp") == {"udp.drops": 0, "udp.inodes": 0}


def test_softnet_sums_over_cpus() -> None:
    text = "2788604b 00000001 00000058 00000000\n2709dfdb 00000010 0000008c 00000000\n"
    assert counters.softnet(text) == {"softnet.drops": 17, "softnet.time_squeeze": 228}
    assert counters.softnet("") == {}
    assert counters.softnet("2788604b 00000001\n-0000001 00000000 00000000\nx y z\n00000000 00000002 00000003\n") == {
        "softnet.drops": 2,
        "softnet.time_squeeze": 3,
    }


def test_pressure() -> None:
    full = "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    some = "some avg10=11.19 avg60=14.44 avg300=18.74 total=20925757431\n"
    assert counters.pressure(some + full) == {"pressure.cpu.some_us": 20925757431}
    for text in ("", full, some.replace("total=", "total=-"), some.replace("2092", "x"), "some total"):
        assert counters.pressure(text) == {}


def test_number() -> None:
    assert counters.number("262144\n", "conntrack.max") == {"conntrack.max": 262144}
    assert counters.number("many\n", "conntrack.max") == {}


@pytest.mark.parametrize(
    "parser", [counters.snmp, counters.snmp6, counters.sockstat, counters.conntrack, counters.throttling]
)
def test_hostile_texts_give_no_number_and_no_error(parser: Callable[[str], dict[str, int]]) -> None:
    damaged = [
        "Udp: A B",
        "Udp: 1 x",
        "Udp:",
        "TCP: inuse",
        "TCP: inuse -",
        "Udp6InErrors\t--1",
        "entries drop",
        "0g -1",
    ]
    damaged += ["nr_periods", "nr_periods x", "nr_throttled 1 2", "\x00\ufffd", ":", " ", "9" * 5000]
    found = parser("\n".join(damaged))
    assert all(isinstance(number, int) for number in found.values())
    assert set(found) <= {"Udp.A", "A", "B"}


def test_a_row_of_conntrack_that_is_short_takes_no_other_with_it() -> None:
    text = "entries  clashres insert_failed drop\n00000003 00000001 00000010\n00000003 00000001 00000010 00000002\nx\n"
    assert counters.conntrack(text) == {"entries": 3, "clashres": 2, "insert_failed": 32, "drop": 2}
