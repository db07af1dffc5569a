"""counters: kernel texts as they are, to numbers."""

from __future__ import annotations

from dnslab import counters


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
