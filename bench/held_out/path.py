"""Held-out faults on the way from client to server: queues, filters and links, made by other means than the lab's own.

Each is a ``Fault`` of the lab. Filters are of iptables and of tc's classic BPF, queues of tc, links of the kernel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from dnslab.measure import counters
from dnslab.measure.lab import servers
from dnslab.measure.lab.fault import CLUSTER_IP, Fault, Values, counter
from dnslab.measure.lab.namespaces import Namespaces

#: an address of the servers' network that no machine has, with a link address that nobody takes
NOBODY = "10.200.255.9"
NEIGHBOUR = f"ip neigh replace {NOBODY} lladdr 02:00:00:00:00:09 dev {{device}} nud permanent\n"
_IN = "type filter hook prerouting priority -310; policy accept;"
_BETWEEN = "type filter hook forward priority 0; policy accept;"
_NEW = "type filter hook prerouting priority -110; policy accept;"
#: before the cluster IP is translated
_NAT = "type nat hook prerouting priority -101; policy accept;"

Instruction = tuple[int, int, int, int]
#: classic BPF (linux/bpf_common.h): load a half-word or a byte, the length; arithmetic; jumps; return
_HALF, _BYTE, _LENGTH, _HALF_AT_X, _SUB, _AND, _TO_X, _EQUAL, _RETURN = 40, 48, 128, 72, 20, 84, 7, 21, 6
_MATCH, _PASS = (_RETURN, 0, 0, 0xFFFFFFFF), (_RETURN, 0, 0, 0)


def bytecode(tests: Sequence[Instruction]) -> str:
    """``tests`` of a UDP query to port 53, as tc takes them; they jump to the two ends, of which the first matches."""
    n = 6 + len(tests)
    to_port_53 = [
        (_HALF, 0, 0, 12), (_EQUAL, 0, n - 1, 0x0800), (_BYTE, 0, 0, 23), (_EQUAL, 0, n - 3, 17),
        (_HALF, 0, 0, 36), (_EQUAL, 0, n - 5, 53),
    ]  # fmt: skip
    code = [*to_port_53, *tests, _MATCH, _PASS]
    return f"{len(code)}," + ",".join(" ".join(map(str, instruction)) for instruction in code)


#: the question's type stands at the end of a query, or before an OPT record of 11 bytes
_ASKS_AAAA: Sequence[Instruction] = (
    (_LENGTH, 0, 0, 0), (_SUB, 0, 0, 4), (_TO_X, 0, 0, 0), (_HALF_AT_X, 0, 0, 0), (_EQUAL, 5, 0, 28),
    (_LENGTH, 0, 0, 0), (_SUB, 0, 0, 15), (_TO_X, 0, 0, 0), (_HALF_AT_X, 0, 0, 0), (_EQUAL, 0, 1, 28),
)  # fmt: skip


def _id_ends_in_zeros(bits: float) -> Sequence[Instruction]:
    return ((_HALF, 0, 0, 42), (_AND, 0, 0, (1 << round(bits)) - 1), (_EQUAL, 0, 1, 0))


def _into_a_sink(tests: Callable[[Values], Sequence[Instruction]]) -> Callable[[Namespaces, str, Values], None]:
    """Give a node a filter that sends queries of clients into a link that leads nowhere."""

    def at_node(inside: Namespaces, node: str, values: Values) -> None:
        inside.run(
            "ip link add sink type veth peer name sunk\n"
            "ip link set sink addrgenmode none up\nip link set sunk addrgenmode none up\n"
            "tc qdisc add dev c ingress\n"
            f"tc filter add dev c ingress protocol all prio 1 bpf bytecode '{bytecode(tests(values))}' flowid 1:1 "
            "action mirred egress redirect dev sink\n",
            node,
        )

    return at_node


def _sunk(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
    return {"dropped": _packets(inside.run("tc -s filter show dev c ingress", node), r"Sent \d+ bytes (\d+) pkt")}


def _packets(text: str, pattern: str) -> int:
    return sum(map(int, re.findall(pattern, text, re.MULTILINE)))


def _iptables(chain: str, *rules: str, before: str = "") -> Callable[[Namespaces, str, Values], None]:
    """Give a node ``rules`` of iptables in ``chain``, a table and a chain, each of which drops a share ``p``."""

    def at_node(inside: Namespaces, node: str, values: Values) -> None:
        share = f"-m statistic --mode random --probability {values['p']:.9f} -j DROP"
        table, name = chain.split()
        inside.run(before + "".join(f"iptables-nft -t {table} -A {name} {rule} {share}\n" for rule in rules), node)

    return at_node


def _dropped_in(chain: str) -> Callable[[Namespaces, str, Values], Mapping[str, int]]:
    table, name = chain.split()

    def did(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
        shown = inside.run(f"iptables-nft -t {table} -L {name} -nvx", node)
        return {"dropped": _packets(shown, r"^ *(\d+) +\d+ DROP")}

    return did


def _chain(name: str, hook: str, *rules: str) -> str:
    return f"  chain {name} {{\n    {hook}\n" + "".join(f"    {rule}\n" for rule in rules) + "  }\n"


def _reject(fault: str, protocol: str, how: str) -> Callable[[Values], str]:
    def rules(values: Values) -> str:
        name = fault.replace("-", "_")
        match = f'iifname "c" ct original ip daddr {CLUSTER_IP} {protocol} dport 53'
        return _chain(name, _BETWEEN, f"{match} counter name {counter(fault)} reject with {how}")

    return rules


def _bounded_map(values: Values) -> str:
    """A map of flows that is full: a flow that is not in it, and finds no room in it, is dropped."""
    flow = "ip saddr . meta l4proto . th sport"
    query = f'iifname "c" ip daddr {CLUSTER_IP} th dport 53'
    life_ms = round(values["life"] * 1000)
    return (
        f"  set flow_map {{ typeof {flow}; size {round(values['flows'])}; flags dynamic,timeout; "
        f"timeout {life_ms}ms; }}\n"
        + _chain(
            "map_full",
            _NEW,
            f"{query} {flow} @flow_map accept",
            f"{query} add @flow_map {{ {flow} }} accept",
            f"{query} counter name {counter('map-full')} drop",
        )
    )


def _nat_to_nobody(values: Values) -> str:
    mask, hit = round(values["one_of"]) - 1, f"counter name {counter('nat-to-nobody')} dnat to {NOBODY}"
    return _chain(
        "nat_to_nobody", _NAT, f'iifname "c" ip daddr {CLUSTER_IP} udp dport 53 udp sport & {mask} == 3 {hit}'
    )


def _know_nobody(inside: Namespaces, node: str, values: Values) -> None:
    inside.run(NEIGHBOUR.format(device="uplink"), node)


def _mtu(values: Values) -> int:
    # The end of a veth that receives drops what is over the device's MTU and 4 bytes for a VLAN.
    return round(values["bytes"]) - 4


def _clamp(values: Values) -> str:
    """TCP fits through the link, as it does where a CNI knows its MTU."""
    size = _mtu(values) - 40
    return _chain("clamp", _BETWEEN, f"tcp flags & syn == syn tcp option maxseg size set {size}")


def _narrow_link(inside: Namespaces, server: str, values: Values) -> None:
    inside.run(f"ip link set {server} mtu {_mtu(values)}")


def _too_large(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
    links = (json.loads(inside.run(f"ip -json -statistics link show {server}")) for server in servers.ADDRESSES)
    return {"dropped_at_servers": sum(link["stats64"]["rx"]["dropped"] for (link,) in links)}


def _idle_first(values: Values) -> str:
    ms = round(values["idle"] * 1000)
    query = 'iifname "c" udp dport 53 ip saddr'
    return (f"  set warm {{ type ipv4_addr; size 16; flags dynamic,timeout; timeout {ms}ms; }}\n") + _chain(
        "idle_first",
        _IN,
        f"{query} != @warm add @warm {{ ip saddr }} counter name {counter('idle-first')} drop",
        f"{query} @warm update @warm {{ ip saddr }}",
    )


def _shaped(inside: Namespaces, node: str, values: Values) -> None:
    inside.run(
        f"tc qdisc add dev uplink root tbf rate {round(values['bits'])}bit burst 1600 limit {round(values['queue'])}\n",
        node,
    )


def _over_the_queue(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
    return {"dropped": _packets(inside.run("tc -s qdisc show dev uplink", node), r"\(dropped (\d+),")}


RACE, LOSS = "mangle FORWARD", "raw PREROUTING"
_SECOND = (
    f"-i c -p udp --dport 53 -m conntrack --ctstate NEW --ctorigdst {CLUSTER_IP} "
    "-m connbytes --connbytes 2:2 --connbytes-dir original --connbytes-mode packets"
)

PATH_FAULTS: Sequence[Fault] = (
    Fault(
        "loss-statistic",
        "iptables drops packets at random between client and servers, both ways, UDP and TCP",
        at_node=_iptables(
            LOSS,
            *(f"-i c -p {protocol} --dport 53" for protocol in ("udp", "tcp")),
            *(f"-i uplink -p {protocol} --sport 53" for protocol in ("udp", "tcp")),
        ),
        did=_dropped_in(LOSS),
    ),
    Fault(
        "race-connbytes",
        "iptables drops the second packet of a flow that is not answered yet",
        emulated=True,
        at_node=_iptables(RACE, _SECOND, before="echo 1 >/proc/sys/net/netfilter/nf_conntrack_acct\n"),
        did=_dropped_in(RACE),
    ),
    Fault(
        "map-full",
        "a map of flows with few places drops what would open another flow",
        emulated=True,
        rules=_bounded_map,
    ),
    Fault(
        "nat-to-nobody",
        "UDP flows from some source ports are translated to a server that does not exist",
        late=True,
        rules=_nat_to_nobody,
        at_node=_know_nobody,
    ),
    Fault(
        "link-mtu",
        "the links of both servers carry small packets only, and drop others without a word",
        rules=_clamp,
        at_server=_narrow_link,
        did=_too_large,
    ),
    Fault(
        "shaped-link",
        "a token bucket with a short queue shapes what leaves the client's node",
        late=True,
        at_node=_shaped,
        did=_over_the_queue,
    ),
    Fault(
        "tcp-reset",
        "the client's TCP to the cluster IP is answered by a reset",
        rules=_reject("tcp-reset", "tcp", "tcp reset"),
    ),
    Fault(
        "udp-rejected",
        "the client's UDP to the cluster IP is rejected by an ICMP message",
        rules=_reject("udp-rejected", "udp", "icmp admin-prohibited"),
    ),
    Fault(
        "aaaa-filter",
        "a filter takes out the client's queries for AAAA over UDP",
        at_node=_into_a_sink(lambda v: _ASKS_AAAA),
        did=_sunk,
    ),
    Fault(
        "id-drop",
        "a filter takes out the client's UDP queries whose id ends in some zero bits",
        at_node=_into_a_sink(lambda v: _id_ends_in_zeros(v["bits"])),
        did=_sunk,
    ),
    Fault(
        "idle-first",
        "drops a client's first UDP query after a time without any",
        rules=_idle_first,
    ),
)


def server_counters(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
    """Sum over both servers of the counter ``cut`` of a table that a fault made there."""
    listed = (counters.nft(inside.run("nft -j list counters", server)) for server in servers.ADDRESSES)
    return {"dropped": sum(one["cut"] for one in listed)}
