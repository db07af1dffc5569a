"""Faults on the way from client to server: rules of nft in the node's namespace, and in the client's.

Rules act on IPv4, which is all that the lab has. Where ``from`` and ``for`` are given, the time is counted from the
first DNS packet of each client: every trial has new clients, so each trial meets the fault anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from dnslab.measure.lab.fault import (
    CACHED,
    CLUSTER_IP,
    PAIRED,
    Fault,
    Values,
    counter,
    expect,
    expect_arms,
)

_DNS = "meta l4proto { tcp, udp }"
#: before conntrack, and after all of it
_IN = "type filter hook prerouting priority -310; policy accept;"
_OUT = "type filter hook postrouting priority 310; policy accept;"
#: between conntrack and DNAT
_NEW = "type filter hook prerouting priority -110; policy accept;"
#: where the client's redirected queries are answered: the client itself
CAPTURE = "127.0.0.1"
#: rules in the chain that rule-length jumps to, and jumps to it in another
_BLOCK = 200


def chance(share: float) -> str:
    """The nft condition that holds for ``share`` of packets."""
    return _below("numgen random mod 1000000", share)


def _below(number: str, share: float) -> str:
    """Whether ``number``, an nft expression of 0 to 999,999, is in the lowest ``share``; nft takes no limit of 0."""
    limit = round(share * 1_000_000)
    if 0 < limit < 1_000_000:
        return f"{number} < {limit}"
    return "" if limit else "meta length 0"


def _drop(fault: str) -> str:
    return f"counter name {counter(fault)} drop"


def _both_ways(fault: str, values: Values, rules: Sequence[str]) -> str:
    """Chains that send DNS packets between client and node through ``rules``, while ``from`` and ``for`` say so."""
    name = fault.replace("-", "_")
    begins, lasts = (round(values.get(key, 0.0) * 1000) for key in ("from", "for"))
    sets = f"  set {name}_seen {{ type ipv4_addr; size 16; flags dynamic; }}\n"
    noted, guard = f"add @{name}_seen {{ ip saddr }}", f"{{way}} @{name}_seen"
    for kind, ms in (("before", begins), ("until", begins + lasts if lasts else 0)):
        if ms:
            sets += f"  set {name}_{kind} {{ type ipv4_addr; size 16; flags dynamic,timeout; }}\n"
            noted += f" add @{name}_{kind} {{ ip saddr timeout {ms // 1000}s{ms % 1000}ms }}"
            guard += f" {{way}} {'!= ' if kind == 'before' else ''}@{name}_{kind}"
    body = "".join(f"    {rule}\n" for rule in rules)
    queries, answers = guard.replace("{way}", "ip saddr"), guard.replace("{way}", "ip daddr")
    return (
        f"{sets}  chain {name} {{\n{body}  }}\n"
        f"  chain {name}_in {{\n    {_IN}\n"
        f'    iifname "c" {_DNS} th dport 53 ip saddr != @{name}_seen {noted}\n'
        f'    iifname "c" {_DNS} th dport 53 {queries} jump {name}\n  }}\n'
        f"  chain {name}_out {{\n    {_OUT}\n"
        f'    oifname "c" {_DNS} th sport 53 {answers} jump {name}\n  }}\n'
    )


def _chain(name: str, hook: str, *rules: str) -> str:
    return f"  chain {name} {{\n    {hook}\n" + "".join(f"    {rule}\n" for rule in rules) + "  }\n"


def _clash_late(values: Values) -> str:
    """Stateless NAT for the second query of a pair, whose answer is translated back for 1 s only."""
    flow = "ip saddr . udp sport"
    hit = f"{flow} @clash_first {flow} != @clash_second add @clash_second {{ {flow} }} {chance(values['p'])}"
    return (
        "".join(
            f"  set clash_{name} {{ typeof {flow}; size 65535; flags dynamic,timeout; timeout {life}; }}\n"
            for name, life in (("first", "20s"), ("second", "20s"), ("fresh", "1s"))
        )
        + "  chain clash_turn {\n"
        + f"    add @clash_fresh {{ {flow} }}\n"
        + f"    counter name {counter('clash-late')} notrack ip daddr set numgen random mod 2 map "
        + "{ 0 : 10.200.255.2, 1 : 10.200.255.3 } accept\n  }\n"
        + _chain(
            "clash_in",
            _IN,
            f'iifname "c" ip daddr {CLUSTER_IP} udp dport 53 {hit} jump clash_turn',
            f'iifname "c" ip daddr {CLUSTER_IP} udp dport 53 {flow} != @clash_first add @clash_first {{ {flow} }}',
        )
        # The answer to the query above belongs to no flow, unless the pair's first query went to the same server: it
        # leaves with the server's own address once the second is over, as a fixed entry's would.
        + _chain(
            "clash_back",
            _OUT,
            f'oifname "c" ip saddr {{ 10.200.255.2, 10.200.255.3 }} udp sport 53 '
            f"ip daddr . udp dport @clash_fresh ip saddr set {CLUSTER_IP}",
            'oifname "c" udp sport 53 delete @clash_first { ip daddr . udp dport }',
        )
    )


def _long_rules(values: Values) -> str:
    """Rules that a new flow passes without a match, as it does with many Services before DNS.

    Few chains, passed again and again: without root, the kernel takes no more than some thousand rules at once.
    """
    block = "".join(f"    ip daddr 10.97.0.{i} drop\n" for i in range(_BLOCK))
    large, small = divmod(round(values["rules"] / _BLOCK), _BLOCK)
    every = "    jump rules_many\n" * large + "    jump rules_block\n" * small
    count = f"counter name {counter('rule-length')}"
    rule = f'iifname "c" ip daddr {CLUSTER_IP} th dport 53 ct state new {count} jump rules_all'
    many = "    jump rules_block\n" * _BLOCK
    chains = {"rules_block": block, "rules_many": many, "rules_all": every}
    text = "".join(f"  chain {name} {{\n{body}  }}\n" for name, body in chains.items())
    return text + _chain("rules_in", _NEW, rule)


def _redirect(values: Values) -> str:
    rules = "".join(
        f"    {protocol} dport 53 ip daddr != 127.0.0.0/8 counter name {counter('redirect')} dnat to {CAPTURE}\n"
        for protocol in ("udp", "tcp")
    )
    return (
        f"table ip dnslab {{\n  counter {counter('redirect')} {{ }}\n"
        f"  chain capture {{\n    type nat hook output priority -100; policy accept;\n{rules}  }}\n}}\n"
    )


def _to_cluster_ip(fault: str, hook: str, condition: str, protocol: str = "udp") -> str:
    name = fault.replace("-", "_")
    return _chain(name, hook, f'iifname "c" ip daddr {CLUSTER_IP} {protocol} dport 53 {condition} {_drop(fault)}')


def _snat(values: Values) -> str:
    ports = f"1024-{1023 + round(values['ports'])}"
    rule = f'oifname "uplink" ip daddr 10.200.255.0/24 udp dport 53 counter name {counter("snat-clash")}'
    hook = "type nat hook postrouting priority 100; policy accept;"
    return _chain("snat_clash", hook, f"{rule} masquerade to :{ports}")


def _standing_flow(values: Values) -> str:
    """Drops what is not young. A port that is used again later is a new flow: a flow is forgotten when it is idle."""
    flow, query = "ip saddr . udp sport", f'iifname "c" ip daddr {CLUSTER_IP} udp dport 53'
    age_ms = round(values["age"] * 1000)
    return "".join(
        f"  set flow_{name} {{ typeof {flow}; size 65535; flags dynamic,timeout; }}\n" for name in ("seen", "young")
    ) + _chain(
        "standing_flow",
        _IN,
        f"{query} {flow} != @flow_seen add @flow_young {{ {flow} timeout {age_ms}ms }}",
        f"{query} update @flow_seen {{ {flow} timeout {max(age_ms, 1000)}ms }}",
        f"{query} {flow} != @flow_young {_drop('standing-flow')}",
    )


RULE_FAULTS: Sequence[Fault] = (
    Fault(
        "race",
        "drops the second packet of a pair that opens a new flow, as kernels before 5.6 did",
        note="Imitated: this kernel resolves the race, so `insert_failed` stays flat here. On a kernel that drops, "
        "`insert_failed` and `drop` both rise by one for each packet.",
        emulated=True,
        pair_rule=lambda v: f"{chance(v['p'])} {_drop('race')}",
        takes=frozenset({"which pairs are hit"}),
        expected=expect("clean", paired=dict.fromkeys(PAIRED, "stalls"), musl="lost"),
        arms=expect_arms("clean", pair_one_socket="lost"),
    ),
    Fault(
        "loss",
        "drops packets at random between client and node, both ways, UDP and TCP",
        rules=lambda v: _both_ways("loss", v, [f"{chance(v['p'])} {_drop('loss')}"]),
        expected=expect(
            "lost", paired=dict.fromkeys((*PAIRED, "node-local"), "stalls"), use_vc="retransmit", musl="lost"
        ),
        arms=expect_arms("lost", tcp="late"),
    ),
    Fault(
        "tcp-blocked",
        "drops a client's TCP to the cluster IP without a word, as a network policy may",
        rules=lambda v: _to_cluster_ip("tcp-blocked", _IN, "", "tcp"),
        expected=expect("clean", use_vc="hangs"),
        arms=expect_arms("clean", tcp="silent"),
    ),
    Fault(
        "outage",
        "drops every packet between client and DNS for some seconds",
        rules=lambda v: _both_ways("outage", v, [_drop("outage")]),
        expected=expect("lost", use_vc="retransmit"),
        arms=expect_arms("lost", tcp="late"),
    ),
    Fault(
        "policy-late",
        "drops every DNS packet of a new client for its first seconds, as a policy that is programmed late does",
        note="The age of a client is counted from its first query. A pod's would be counted from its start.",
        rules=lambda v: _both_ways("policy-late", v, [_drop("policy-late")]),
        expected=expect("lost", use_vc="retransmit"),
        arms=expect_arms("lost", tcp="late"),
    ),
    Fault(
        "pps-cap",
        "drops a client's UDP queries over a rate, as a cloud's allowance for packets does",
        note="Real: nft's token bucket. It shows only where a client asks for more than the rate.",
        rules=lambda v: _chain(
            "pps_cap",
            _IN,
            f'iifname "c" udp dport 53 limit rate over {round(v["rate"])}/second burst {round(v["burst"])} packets '
            + _drop("pps-cap"),
        ),
        expected=expect("lost", use_vc="clean"),
        arms=expect_arms("lost", tcp="clean"),
    ),
    Fault(
        "burst-cap",
        "drops UDP queries that follow another one too closely, from whatever socket, as a policer without burst does",
        note="Real: nft's token bucket. It resembles the race, but hits a pair from two sockets as well.",
        rules=lambda v: _chain(
            "burst_cap",
            _IN,
            f'iifname "c" udp dport 53 limit rate over {round(v["rate"])}/second burst 1 packets {chance(v["p"])} '
            + _drop("burst-cap"),
        ),
        expected=expect("varies", paired=dict.fromkeys((*PAIRED, "node-local"), "stalls"), use_vc="clean", musl="lost"),
        arms=expect_arms("clean", pair_one_socket="lost", pair_two_sockets="lost"),
    ),
    Fault(
        "snat-clash",
        "hides the client's queries behind the node's address with few source ports, so that new flows clash",
        note="Real: the kernel finds no free port, the new entry clashes with another in the reply direction, and "
        "`insert_failed` and `drop` both rise by one for each packet lost.",
        rules=_snat,
        expected=expect("lost", use_vc="clean", cached=dict.fromkeys(CACHED, "clean")),
        arms=expect_arms("lost", tcp="clean", standing="clean"),
    ),
    Fault(
        "table-full",
        "drops queries that would open a new flow while the client's node tracks too many",
        note="Imitated by nft's `ct count`: nf_conntrack_max is read-only in a namespace. The kernel's own `drop` and "
        "`early_drop` stay flat here; with a table that is full they rise.",
        emulated=True,
        rules=lambda v: _chain(
            "table_full",
            _NEW,
            f'iifname "c" ip daddr {CLUSTER_IP} {_DNS} th dport 53 ct state new '
            f"ct count over {round(v['flows'])} {_drop('table-full')}",
        ),
        expected=expect("lost", use_vc="varies", cached=dict.fromkeys(CACHED, "clean")),
        arms=expect_arms("lost", tcp="varies", standing="clean"),
    ),
    Fault(
        "stuck-port",
        "drops all UDP queries from some source ports, as stale NAT entries to a server that has gone do",
        note="Imitated: the ports are chosen by a hash, and a retry from the same port is lost as well.",
        emulated=True,
        rules=lambda v: _to_cluster_ip(
            "stuck-port", _IN, _below("jhash ip saddr . udp sport mod 1000000 seed 0x7", v["p"])
        ),
        expected=expect("lost", use_vc="clean", cached=dict.fromkeys(CACHED, "clean")),
        arms=expect_arms("lost", tcp="clean"),
    ),
    Fault(
        "standing-flow",
        "drops a client's UDP queries on flows that are older than some seconds",
        note="Imitated: what a load balancer or a stale NAT entry does to sockets that are kept. A stub resolver "
        "does not notice: it opens a new socket for each lookup. A flow ends when no query came for `age`, or for 1 s.",
        emulated=True,
        rules=_standing_flow,
        expected=expect("clean"),
        arms=expect_arms("clean", standing="lost"),
    ),
    Fault(
        "mtu",
        "drops UDP answers over a size on their way from server to node",
        note="The default drops the answers to the usual names; 128 drops only those to names of over 60 letters.",
        rules=lambda v: _chain(
            "mtu", _IN, f'iifname "uplink" udp sport 53 ip length > {round(v["bytes"])} {_drop("mtu")}'
        ),
        expected=expect("lost", use_vc="clean", cached=dict.fromkeys(CACHED, "clean")),
        arms=expect_arms("lost", tcp="clean"),
    ),
    Fault(
        "checksum",
        "spoils the checksum of UDP answers on their way from server to node, as a faulty offload does",
        note="Real: the client's kernel drops them and counts them (`Udp: InCsumErrors`).",
        checksums=True,
        rules=lambda v: _chain(
            "checksum",
            _IN,
            f'iifname "uplink" udp sport 53 {chance(v["p"])} counter name {counter("checksum")} '
            "udp checksum set 0x1234",
        ),
        expected=expect("lost", use_vc="clean", cached=dict.fromkeys(CACHED, "clean")),
        arms=expect_arms("lost", tcp="clean"),
    ),
    Fault(
        "clash-late",
        "answers late, and some answers to the second query of a pair come from the server's own address",
        note="Imitated: the real one takes two CPUs that send at the same instant, see the end of this page.",
        emulated=True,
        late=True,
        rules=_clash_late,
        serving=lambda v: {"a_ms": v["ms"], "aaaa_ms": v["ms"]},
        takes=frozenset({"when servers answer", "which pairs are hit"}),
        expected=expect(
            "slow",
            paired=dict.fromkeys(PAIRED, "stalls"),
            sequential=dict.fromkeys(
                ("single-request", "single-request-reopen", "node-local+single-request-reopen"), "slower"
            ),
            timeout_1="lost",
            musl="lost",
        ),
        arms=expect_arms("slow", pair_one_socket="lost", standing="varies"),
    ),
    Fault(
        "rule-length",
        "makes each new flow pass many rules that do not match, as thousands of Services do in iptables mode",
        note="Real: rules of nft, 200 at a time, passed again and again. Only the first packet of a flow pays; over "
        "TCP that is the SYN, which is not part of an answer's time. The default is more than a cluster has, so that "
        "the delay stands out here.",
        rules=_long_rules,
        expected=expect("clean"),
        arms=expect_arms("costly", tcp="clean", standing="clean"),
    ),
    Fault(
        "redirect",
        "answers all DNS inside the client's namespace, as the capture of a service mesh does",
        note="Real: NAT in the client's namespace to a server of its own. All is well, but the servers see no query.",
        client_rules=_redirect,
        takes=frozenset({"who answers"}),
        expected=expect("clean"),
        arms=expect_arms("clean"),
    ),
)
