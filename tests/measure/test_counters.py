"""counters: kernel texts as they are, to numbers."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from dnslab.measure import counters
from dnslab.measure.probe import BIN


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
    status = "Name:\tprobe\nCpus_allowed:\t1\nCpus_allowed_list:\t0,2-3\n"
    of_client = counters.client({"/proc/stat": stat, "/proc/self/status": status})
    assert of_client == {"machine.cpu.total_ticks": 100, "machine.cpu.idle_ticks": 85}
    assert counters.cpus_allowed("Cpus_allowed_list:\tnonsense\n") is None
    own = counters.cpus_allowed(Path("/proc/self/status").read_text())
    assert own == frozenset(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (
            "usage_usec 90\nuser_usec 60\nsystem_usec 30\nnr_periods 50\nnr_throttled 20\nthrottled_usec 1500\n",
            {"periods": 50, "throttled_periods": 20, "throttled_us": 1500},
        ),
        (  # version 1
            "nr_periods 50\nnr_throttled 20\nthrottled_time 1500999\n",
            {"periods": 50, "throttled_periods": 20, "throttled_us": 1500},
        ),
        ("usage_usec 90\nuser_usec 60\nsystem_usec 30\n", {}),  # the root of version 2
        ("", {}),
    ],
)
def test_throttling(text: str, numbers: dict[str, int]) -> None:
    assert counters.throttling(text) == numbers


def test_a_clients_counters_are_its_own_and_its_machines() -> None:
    texts = {
        "/proc/net/snmp": "Udp: InDatagrams\nUdp: 7\n",
        "/proc/net/sockstat": None,
        "/proc/self/status": None,
        "/proc/stat": "cpu  10 0 5 80 5 0 0 0 0 0\n",
        "/sys/fs/cgroup/cpu.stat": None,
        "/sys/fs/cgroup/cpu/cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 3000\n",
    }
    assert set(texts) == set(counters.CLIENT_FILES)
    assert counters.client(texts) == {
        "client.Udp.InDatagrams": 7,
        "client.cpu.periods": 5,
        "client.cpu.throttled_periods": 2,
        "client.cpu.throttled_us": 3,
        "machine.cpu.total_ticks": 100,
        "machine.cpu.idle_ticks": 85,
    }


NODE = {
    "/proc/net/stat/nf_conntrack": "entries  clashres insert_failed drop\n0000000a 00000001 00000010 00000002\n",
    "/proc/net/snmp": "Udp: InDatagrams RcvbufErrors\nUdp: 7 3\n",
    "/proc/sys/net/netfilter/nf_conntrack_count": "10\n",
    "/proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
    "/proc/sys/net/netfilter/nf_conntrack_udp_timeout": "30\n",
    "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream": "120\n",
}


def test_node() -> None:
    assert set(NODE) == set(counters.NODE_FILES)
    assert counters.node(NODE) == {
        "node.Udp.InDatagrams": 7,
        "node.Udp.RcvbufErrors": 3,
        "node.conntrack.entries": 10,
        "node.conntrack.clashres": 1,
        "node.conntrack.insert_failed": 16,
        "node.conntrack.drop": 2,
        "node.conntrack.count": 10,
        "node.conntrack.max": 262144,
        "node.conntrack.udp_timeout_s": 30,
        "node.conntrack.udp_timeout_stream_s": 120,
    }


def test_what_of_a_node_cannot_be_read_is_left_out() -> None:
    assert counters.node({}) == {}
    assert counters.node(dict.fromkeys(NODE, None)) == {}
    assert counters.node({**dict.fromkeys(NODE, None), "/proc/sys/net/netfilter/nf_conntrack_max": "8\n"}) == {
        "node.conntrack.max": 8
    }


def test_shown() -> None:
    data = b"/a b 6\nx 3\n\xc3\xa4/nope -1\n/empty 0\n/c 1\nz"
    assert counters.shown(data) == {"/a b": "x 3\nä", "/nope": None, "/empty": "", "/c": "z"}
    assert counters.shown(b"") == {}
    for broken in (data[:-1], data[:9], data[:5], b"sh: not found\n", b"\n"):
        with pytest.raises(ValueError, match=r"expected|invalid literal"):
            counters.shown(broken)


@pytest.mark.probe
def test_shown_by_the_probe(tmp_path: Path) -> None:
    text = tmp_path / "a file"
    text.write_text("one\ntwo", encoding="ascii")
    paths = ["/proc/sys/kernel/osrelease", str(tmp_path / "nope"), str(text)]
    program = BIN / f"probe-{platform.machine()}-static"
    data = subprocess.run([program, "--show", *paths], capture_output=True, check=True).stdout
    assert list(counters.shown(data).items()) == [
        (paths[0], f"{platform.release()}\n"),
        (paths[1], None),
        (paths[2], "one\ntwo"),
    ]
