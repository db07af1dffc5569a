"""Faults of the servers: how they answer, how much their sockets hold, and how much CPU servers and client have."""

from __future__ import annotations

from collections.abc import Sequence

from dnslab.measure.lab.fault import (
    CACHED,
    IN_SEQUENCE,
    Fault,
    expect,
    expect_arms,
)

A, AAAA = 1, 28
#: a name with this label is never answered, where a fault wants one
MUTE = "mute"

SERVER_FAULTS: Sequence[Fault] = (
    Fault(
        "receive-buffer",
        "gives the sockets of servers and node-local cache a small receive buffer",
        note="Real: the kernel drops, and counts in `Udp: RcvbufErrors` and per socket in /proc/net/udp. It shows at "
        "high rates only: the outcomes below are those of 200 workers in a closed loop.",
        expected=expect("overflow", use_vc="no stall"),
        arms=expect_arms("clean"),
    ),
    Fault(
        "slow-answer",
        "answers late",
        late=True,
        serving=lambda v: {"a_ms": v["ms"], "aaaa_ms": v["ms"], "slow_from": v["from"], "slow_for": v["for"]},
        takes=frozenset({"when servers answer"}),
        expected=expect("slow", sequential=dict.fromkeys(IN_SEQUENCE, "slower")),
        arms=expect_arms("slow"),
    ),
    Fault(
        "slow-aaaa",
        "answers AAAA late",
        late=True,
        serving=lambda v: {"aaaa_ms": v["ms"], "slow_from": v["from"], "slow_for": v["for"]},
        takes=frozenset({"when servers answer"}),
        expected=expect("slow", no_aaaa="clean"),
        arms=expect_arms("some slow", a="clean", aaaa="slow", tcp="clean", standing="clean"),
    ),
    Fault(
        "one-dead-backend",
        "one of the two servers drops everything",
        late=True,
        dead_backend=True,
        expected=expect("lost", cached=dict.fromkeys(CACHED, "varies")),
        arms=expect_arms("lost"),
    ),
    Fault(
        "rcode",
        "answers some queries with an error",
        note="musl ignores other errors than SERVFAIL and waits; after SERVFAIL it asks again.",
        serving=lambda v: {
            "rcode": v["code"],
            "rcode_p": v["p"],
            "rcode_types": [v["type"]] if v["type"] else [A, AAAA],
            "rcode_from": v["from"],
            "rcode_for": v["for"],
        },
        takes=frozenset({"what servers answer"}),
        expected=expect("errors", cached=dict.fromkeys(CACHED, "varies"), musl="varies"),
        arms=expect_arms("errors"),
    ),
    Fault(
        "aaaa-rcode",
        "answers every AAAA query with an error, as an upstream that does not know the type does",
        serving=lambda v: {"rcode": v["code"], "rcode_p": 1, "rcode_types": [AAAA]},
        takes=frozenset({"what servers answer"}),
        expected=expect("partial", no_aaaa="clean", musl="fails"),
        arms=expect_arms("errors", a="clean", tcp="clean", standing="clean"),
    ),
    Fault(
        "truncation",
        "truncates UDP answers, so that a resolver has to ask again over TCP",
        note="musl before 1.2.4 does not ask over TCP: the lookup fails.",
        serving=lambda v: {"truncate_p": v["p"]},
        takes=frozenset({"what servers answer"}),
        expected=expect("clean", musl="varies"),
        arms=expect_arms("truncated", tcp="clean"),
    ),
    Fault(
        "refused-over-n",
        "answers after a delay, and REFUSED while more queries wait than a number, as CoreDNS with max_concurrent does",
        late=True,
        serving=lambda v: {"most": v["n"], "a_ms": v["ms"], "aaaa_ms": v["ms"]},
        takes=frozenset({"when servers answer", "what servers answer"}),
        expected=expect("errors", cached=dict.fromkeys(CACHED, "varies"), musl="varies"),
        arms=expect_arms("errors"),
    ),
    Fault(
        "upstream-one-dead",
        "answers some queries only after a wait, as a server does that asks a dead upstream first",
        note="Imitated in the servers; in a cluster only names from outside would be hit. A node-local cache, which "
        "waits about 2 s itself, fails at the default and passes the answers on at less.",
        emulated=True,
        late=True,
        serving=lambda v: {"late_p": v["p"], "late_ms": v["ms"]},
        takes=frozenset({"when servers answer"}),
        expected=expect("some slow", cached=dict.fromkeys(CACHED, "varies"), timeout_1="lost"),
        arms=expect_arms("some slow"),
    ),
    Fault(
        "tcp-workers",
        "answers over TCP with few workers, each of which is busy with one connection for a time, as dnsmasq's are",
        note="Imitated in the servers: a connection waits until a worker is free. UDP is not touched.",
        emulated=True,
        serving=lambda v: {"tcp_workers": v["n"], "tcp_busy_ms": v["ms"]},
        expected=expect("clean", use_vc="held up", cached=dict.fromkeys(CACHED, "varies")),
        arms=expect_arms("clean", tcp="held up"),
    ),
    Fault(
        "name-never-answers",
        f"never answers names that have the label {MUTE!r}, such as {MUTE}.any.cluster.local.",
        serving=lambda v: {"mute": 1},
        expected=expect("lost"),
        arms=expect_arms("lost"),
    ),
)

CPU_FAULTS: Sequence[Fault] = (
    Fault(
        "pause",
        "stops both servers now and then, as a pause of the machine or of their memory does",
        note="Real: SIGSTOP and SIGCONT. Queries wait in the sockets meanwhile. The first comes `every` s after the "
        "lab's start, so other than with `from` it is not tied to a trial.",
        late=True,
        expected=expect("some slow"),
        arms=expect_arms("some slow"),
    ),
    Fault(
        "server-throttle",
        "limits the CPU of the servers, which share it with a busy process that stands for the load of others",
        note="Real: a quota of the cgroup `cpu`, whose `nr_throttled` rises. It needs root.",
        late=True,
        throttles="servers",
        expected=expect("held up"),
        arms=expect_arms("held up"),
    ),
    Fault(
        "client-throttle",
        "limits the CPU of each client, which shares it with a busy process that stands for its application",
        note="Real: a quota of the cgroup `cpu`, whose `nr_throttled` rises. It needs root. Engine wire takes the "
        "time of an answer from the kernel, so its answers look quick, but its queries are sent late.",
        throttles="client",
        expected=expect("held up"),
        arms=expect_arms("sent late"),
    ),
)
