"""The held-out faults do what they say, by an asker of its own, the kernel's counters, and the ground truth."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dnslab.errors import UsageError
from dnslab.explain.catalogue import CAUSES
from dnslab.explain.predictions import MECHANISMS
from dnslab.measure.lab import faults
from dnslab.plan.faultplan import FaultPlan
from tests.measure import arms

pytestmark = [pytest.mark.lab, pytest.mark.verify]

#: Asks for A and AAAA of many names, of the cluster IP, each once; prints a row for each query, TCP last.
ASK = r"""
import errno, json, os, select, socket, struct, sys, time
has = json.loads(sys.argv[1])
A, AAAA, TO = 1, 28, ("10.96.0.10", 53)
def query(i, rdtype):
    name = b"\6" + b"n%05d" % i + b"\3any\7cluster\5local\0"
    if has.get("long"):
        name = b"\x3c" + b"x" * 60 + name
    return os.urandom(2) + struct.pack("!5H", 0x100, 1, 0, 0, 0) + name + struct.pack("!2H", rdtype, 1)
def read(row, sent, data, source):
    flags, _, n = struct.unpack_from("!3H", data, 2)
    row.update(ms=(time.monotonic() - row["at"]) * 1e3, rcode=flags & 15, n=n, truncated=bool(flags & 0x200))
    row.update(right_id=data[:2] == sent[:2], port=source[1], source=source[0])
rows, opened = [], {}
def send(one, i, rdtype):
    data = query(i, rdtype)
    row = {"type": rdtype, "at": time.monotonic(), "ms": None, "over": "udp"}
    rows.append(row)
    row["id"] = struct.unpack("!H", data[:2])[0]
    row["sport"] = one.getsockname()[1]
    try:
        one.send(data)
    except OSError as error:
        row["error"] = errno.errorcode[error.errno]
    opened[one].append((row, data))
def take(one):
    try:
        data = one.recv(2000)
    except OSError as error:
        for row, _ in opened[one]:
            if row["ms"] is None:
                row["error"] = errno.errorcode[error.errno]
        del opened[one]
        return
    rdtype = struct.unpack("!H", data[12 + data[12:].index(b"\0") + 1:][:2])[0]
    for row, sent in opened[one]:
        if row["ms"] is None and row["type"] == rdtype:
            read(row, sent, data, TO)
def wait_until(end):
    while (left := end - time.monotonic()) > 0:
        for one in select.select(list(opened), [], [], left)[0]:
            take(one)
begun = time.monotonic()
for i in range(has["n"]):
    wait_until(begun + i * has["gap"])
    for types in [[A, AAAA]] if has.get("paired") else [[A], [AAAA]]:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR: else the kernel keeps "no route to host" to itself
        one.connect(TO)
        opened[one] = []
        for rdtype in types:
            send(one, i, rdtype)
wait_until(time.monotonic() + has["wait"])
for i in range(has.get("tcp", 0)):
    sent = query(i, A)
    row = {"type": A, "at": time.monotonic(), "ms": None, "over": "tcp"}
    rows.append(row)
    try:
        with socket.create_connection(TO, 2) as one:
            row["at"] = time.monotonic()
            one.sendall(struct.pack("!H", len(sent)) + sent)
            read(row, sent, one.recv(2000)[2:], one.getpeername())
    except OSError as error:
        row["error"] = errno.errorcode.get(error.errno, "timeout")
print(json.dumps(rows))
"""


@dataclass(frozen=True)
class Asked:
    """Rows of ``ASK``, how far the counters of client, node and servers rose, and what the lab knows of the fault."""

    rows: Sequence[Mapping[str, Any]]
    rose: Mapping[str, int]
    truth: Mapping[str, Any]

    def of(self, rdtype: int = 0, over: str = "udp") -> list[Mapping[str, Any]]:
        return [row for row in self.rows if row["over"] == over and rdtype in (0, row["type"])]

    def ms(self, rdtype: int = 0, over: str = "udp") -> Any:
        """Of the answers alone."""
        return np.array([row["ms"] for row in self.of(rdtype, over) if row["ms"] is not None])

    def lost(self, rdtype: int = 0, over: str = "udp") -> int:
        return sum(row["ms"] is None for row in self.of(rdtype, over))

    def count(self, key: str, value: object) -> int:
        return sum(row.get(key) == value for row in self.of())

    def did(self, fault: str) -> int:
        return sum(int(server.get(fault, 0)) for server in self.truth["by_servers"].values())

    def __str__(self) -> str:
        ms, tcp = self.ms(), self.ms(over="tcp")
        errors = sorted({str(row["error"]) for row in self.rows if "error" in row})
        codes = sorted({row["rcode"] for row in self.rows if row["ms"] is not None})
        p50, p99 = np.quantile(ms, [0.5, 0.99]) if len(ms) else (-1, -1)
        return (
            f"A {self.lost(1)}, AAAA {self.lost(28)} of {len(self.of(1))} each lost, answers p50 {p50:.1f} ms, "
            f"p99 {p99:.1f} ms; TCP {self.lost(over='tcp')} of {len(self.of(over='tcp'))} lost, "
            f"longest {max(tcp, default=-1):.1f} ms; errors {errors}, codes {codes}"
        )


USUAL = {"n": 100, "gap": 0.03, "wait": 1.0, "tcp": 5}
PAIRED = {**USUAL, "paired": True}


def ask(text: str, how: Mapping[str, Any]) -> Asked:
    with arms.one_client(text) as target:
        before = target.counters()
        argv = target.command([sys.executable, "-S", "-c", ASK, json.dumps(how)])
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=50)
        after, truth = target.counters(), target.ground_truth()
    assert truth
    return Asked(json.loads(done.stdout), {name: after[name] - before[name] for name in before}, truth)


def loses_as_counted(seen: Asked) -> None:
    (counts,) = seen.truth["elsewhere"].values()
    assert seen.lost() == counts["dropped"] >= 10
    assert seen.lost(1) >= 3 <= seen.lost(28)


def loses_second_packets(seen: Asked) -> None:
    # How many of the pairs have no answer to the first query yet depends on the CPU that is left.
    assert seen.lost(28) == seen.truth["elsewhere"]["race-connbytes"]["dropped"] >= 1
    assert seen.lost(1) == 0


def loses_nothing(seen: Asked) -> None:
    assert seen.lost() == seen.lost(over="tcp") == 0
    assert {row["rcode"] for row in seen.rows} == {0}


def keeps_twenty_flows(seen: Asked) -> None:
    assert len(seen.ms()) == 20
    assert seen.lost() <= seen.truth["at_node"]["map-full"]
    assert seen.lost(over="tcp") == len(seen.of(over="tcp"))


def loses_some_ports(seen: Asked) -> None:
    assert [row["ms"] is None for row in seen.of()] == [row["sport"] % 16 == 3 for row in seen.of()]
    assert 3 <= seen.lost() <= seen.truth["at_node"]["nat-to-nobody"]
    assert seen.lost(over="tcp") == 0


def one_server_is_silent(seen: Asked) -> None:
    assert len(seen.ms()) == seen.rose["server-a.Udp.InDatagrams"]
    assert 0.3 < seen.lost() / len(seen.of()) < 0.7


def nobody_has_the_address(seen: Asked) -> None:
    one_server_is_silent(seen)
    assert seen.count("error", "EHOSTUNREACH") >= 1


def one_server_does_not_read(seen: Asked) -> None:
    one_server_is_silent(seen)
    assert seen.truth["elsewhere"]["endpoint-stopped"]["bytes_unread"] > 0
    assert not seen.count("error", "EHOSTUNREACH")


def loses_what_is_too_large(seen: Asked) -> None:
    """An answer with an address of IPv6 is a packet of 98 bytes here."""
    assert (seen.lost(1), seen.lost(28), seen.lost(over="tcp")) == (0, len(seen.of(28)), 0)
    assert seen.truth["elsewhere"]["link-mtu"]["dropped_at_servers"] == seen.lost()


def loses_over_the_rate(seen: Asked) -> None:
    assert seen.truth["elsewhere"]["shaped-link"]["dropped"] >= seen.lost() >= 0.5 * len(seen.of())
    assert (seen.ms() >= 20).sum() >= 3


def resets_tcp(seen: Asked) -> None:
    tcp = seen.of(over="tcp")
    assert {row["error"] for row in tcp} == {"ECONNREFUSED"}
    assert seen.truth["at_node"]["tcp-reset"] == len(tcp)
    assert seen.lost() == 0


def rejects_udp(seen: Asked) -> None:
    assert seen.lost() == len(seen.of()) == seen.truth["at_node"]["udp-rejected"]
    assert seen.count("error", "EHOSTUNREACH") >= 3
    assert seen.lost(over="tcp") == 0


def loses_all_aaaa(seen: Asked) -> None:
    assert (seen.lost(1), seen.lost(28)) == (0, len(seen.of(28)))
    assert seen.truth["elsewhere"]["aaaa-filter"]["dropped"] == seen.lost()
    assert seen.lost(over="tcp") == 0


def one_server_fails(seen: Asked) -> None:
    assert seen.lost() == 0
    assert seen.count("rcode", 2) >= 30
    assert seen.count("rcode", 0) == seen.rose["server-a.Udp.InDatagrams"] >= 30


def truncates_udp(seen: Asked) -> None:
    assert seen.count("truncated", True) == len(seen.of())
    assert not any(row["truncated"] for row in seen.of(over="tcp"))


def is_held_up_in_periods(seen: Asked) -> None:
    assert seen.lost() == 0
    assert 0.5 < (seen.ms() >= 10).mean() < 0.95
    assert seen.truth["elsewhere"]["duty-cycle"]["stops"] >= 20
    assert np.quantile(seen.ms(), 0.99) < 150


def is_slow_by_chance(seen: Asked) -> None:
    """Mean and standard deviation of an exponential distribution are equal."""
    assert seen.lost() == 0
    assert seen.did("slow-exponential") >= len(seen.of())
    assert 75 < seen.ms().mean() < 130
    assert 60 < seen.ms().std() < 150


def only_aaaa_is_slow(seen: Asked) -> None:
    assert seen.lost() == 0
    assert seen.ms(28).min() >= 100
    assert np.median(seen.ms(1)) < 50


def only_a_is_slow(seen: Asked) -> None:
    assert seen.lost() == 0
    assert seen.ms(1).min() >= 80
    assert np.median(seen.ms(28)) < 50


def stops_now_and_then(seen: Asked) -> None:
    assert seen.lost() == 0
    assert seen.did("stops") >= 4
    assert 0.05 < (seen.ms() >= 30).mean() < 0.7
    assert seen.ms().max() >= 100


def overflows(seen: Asked) -> None:
    dropped = sum(seen.rose[f"{server}.Udp.RcvbufErrors"] for server in ("server-a", "server-b"))
    assert seen.lost() == dropped >= 10
    assert seen.lost(over="tcp") == 0


def is_late_but_whole(seen: Asked) -> None:
    loses_nothing(seen)
    assert (seen.ms() >= 20).sum() >= 3


def spoils_checksums(seen: Asked) -> None:
    assert seen.rose["client.Udp.InCsumErrors"] == seen.lost() == seen.did("raw-checksum") >= 5
    assert seen.lost(over="tcp") == 0


def answers_with_another_id(seen: Asked) -> None:
    assert seen.count("right_id", False) == seen.did("wrong-id") >= 5
    assert all(row["right_id"] for row in seen.of(over="tcp"))


def answers_from_another_port(seen: Asked) -> None:
    assert seen.rose["client.Udp.NoPorts"] == seen.lost() == seen.did("other-port") >= 5
    assert seen.rose["node.conntrack.insert_failed"] == seen.lost(over="tcp") == 0


def says_that_there_is_none(seen: Asked) -> None:
    empty = [row for row in seen.rows if (row["rcode"], row["n"]) == (0, 0)]
    assert len(empty) == seen.did("empty-answers") >= 5
    assert seen.lost() == 0


def half_is_slow(seen: Asked) -> None:
    assert seen.lost() == 0
    slow = seen.ms() >= 250
    assert slow.sum() <= seen.did("one-slow-endpoint") <= slow.sum() + len(seen.of(over="tcp"))
    assert 0.3 < slow.mean() < 0.7
    assert np.quantile(seen.ms()[~slow], 0.9) < 50


def has_a_tail(seen: Asked) -> None:
    late = seen.ms() >= 40
    assert seen.lost() == 0
    assert 0.1 < late.mean() < 0.6
    assert np.median(seen.ms()[late]) < 0.3 * seen.ms().max()


def waits_in_a_queue(seen: Asked) -> None:
    assert seen.lost() == 0
    assert seen.truth["elsewhere"]["queue-bursts"]["bursts"] >= 4
    assert 0.1 < (seen.ms() >= 30).mean() < 0.7


def is_cut_at_times(seen: Asked) -> None:
    lost = np.array([row["ms"] is None for row in seen.of()])
    assert lost.sum() == seen.truth["elsewhere"]["periodic-cut"]["dropped"] >= 15
    assert lost.mean() < 0.5


def loses_the_first_after_idling(seen: Asked) -> None:
    # On a busy machine a set's element may outlive its timeout a little.
    assert len(seen.of(1)) - 1 <= seen.lost(1)
    assert seen.lost(28) == 0
    assert seen.truth["at_node"]["idle-first"] == seen.lost()


def loses_the_very_first(seen: Asked) -> None:
    assert 1 <= seen.lost() == seen.truth["at_node"]["idle-first"] <= 3  # a busy machine pauses, too


def loses_some_ids(seen: Asked) -> None:
    assert [row["ms"] is None for row in seen.of()] == [row["id"] % 8 == 0 for row in seen.of()]
    assert seen.truth["elsewhere"]["id-drop"]["dropped"] == seen.lost() >= 5


Check = Callable[[Asked], None]
CASES: Sequence[tuple[str, Mapping[str, Any], Check]] = (
    ("loss-statistic", {**USUAL, "tcp": 0, "n": 150}, loses_as_counted),
    ("race-connbytes:p=0.5", PAIRED, loses_second_packets),
    ("race-connbytes:p=1", USUAL, loses_nothing),
    ("map-full:flows=20,life=60", {**USUAL, "tcp": 1}, keeps_twenty_flows),
    ("nat-to-nobody", {**USUAL, "n": 150}, loses_some_ports),
    ("endpoint-no-carrier", {**USUAL, "tcp": 0, "wait": 4}, nobody_has_the_address),
    ("endpoint-stopped", {**USUAL, "tcp": 0}, one_server_does_not_read),
    ("link-mtu:bytes=96", USUAL, loses_what_is_too_large),
    ("link-mtu:bytes=98", USUAL, loses_nothing),
    ("shaped-link", {**USUAL, "n": 200, "gap": 0.005}, loses_over_the_rate),
    ("shaped-link", {**USUAL, "n": 30, "gap": 0.1}, loses_nothing),
    ("tcp-reset", USUAL, resets_tcp),
    ("udp-rejected", USUAL, rejects_udp),
    ("aaaa-filter", USUAL, loses_all_aaaa),
    ("servfail-forward", {**USUAL, "tcp": 0}, one_server_fails),
    ("unbound-truncates:bytes=45", USUAL, truncates_udp),
    ("duty-cycle", USUAL, is_held_up_in_periods),
    ("slow-exponential:ms=100", {**USUAL, "wait": 2}, is_slow_by_chance),
    ("aaaa-uniform", USUAL, only_aaaa_is_slow),
    ("stop-the-world:stop=200,every=500", USUAL, stops_now_and_then),
    ("paused-reader", {**USUAL, "n": 200, "gap": 0.015}, overflows),
    ("paused-reader", {**USUAL, "n": 10, "gap": 0.45}, is_late_but_whole),
    ("raw-checksum", USUAL, spoils_checksums),
    ("wrong-id:p=0.1", USUAL, answers_with_another_id),
    ("other-port:p=0.1", USUAL, answers_from_another_port),
    ("empty-answers:p=0.1", USUAL, says_that_there_is_none),
    ("one-slow-endpoint", USUAL, half_is_slow),
    ("a-late", USUAL, only_a_is_slow),
    ("heavy-tail:p=0.2", {**USUAL, "wait": 2}, has_a_tail),
    ("queue-bursts", USUAL, waits_in_a_queue),
    ("periodic-cut:period=1000,cut=200", {**USUAL, "tcp": 0}, is_cut_at_times),
    ("idle-first", {**PAIRED, "n": 10, "gap": 0.3}, loses_the_first_after_idling),
    ("idle-first", USUAL, loses_the_very_first),
    ("id-drop:bits=3", USUAL, loses_some_ids),
)
AT_ONCE = 8


@pytest.fixture(scope="module", autouse=True)
def held_out() -> Iterator[Any]:
    """The package, whose faults no other test is to find in the lab."""
    from bench import held_out as package

    package.register()
    yield package
    package.unregister()


@pytest.fixture(scope="module")
def seen(held_out: Any) -> Mapping[int, Asked]:
    """What each case shows, by its number: nearly all of that time is waiting."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(enumerate(pool.map(lambda case: ask(case[0], case[1]), CASES)))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{text}-{check.__name__}" for text, _, check in CASES])
def test_does_what_it_says(number: int, seen: Mapping[int, Asked]) -> None:
    print(seen[number])
    CASES[number][2](seen[number])


def test_every_fault_is_tried_and_has_a_truth(held_out: Any) -> None:
    names = [one.fault.name for one in held_out.HELD_OUT]
    assert set(names) == {text.partition(":")[0] for text, _, _ in CASES} <= set(faults.FAULTS)
    assert len(set(names)) == len(names)
    truths = [one.truth for one in held_out.HELD_OUT]
    assert {truth.cause for truth in truths if truth.cause} | {also for truth in truths for also in truth.also} <= set(
        CAUSES
    )
    assert {mechanism for truth in truths for mechanism in truth.mechanisms} <= set(MECHANISMS)
    assert not [truth for truth in truths if truth.cause and truth.mechanisms]
    inside = sum(bool(truth.cause) for truth in truths)
    assert inside >= 8
    assert len(truths) - inside >= 6


def test_a_name_is_taken_once(held_out: Any) -> None:
    with pytest.raises(ValueError, match="loss-statistic exists"):
        faults.add(held_out.HELD_OUT[0].fault, {})
    held_out.unregister()
    with pytest.raises(UsageError, match="unknown fault"):
        faults.find(FaultPlan.parse("loss-statistic"))
    held_out.register()
    assert faults.find(FaultPlan.parse("loss-statistic")).names == ["loss-statistic"]
