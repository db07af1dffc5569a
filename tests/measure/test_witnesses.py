"""witnesses: real sockets, queues, tables and limits, each in a namespace or group of the test's own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslab.measure import witnesses
from dnslab.measure.kubernetes.pods import pod_facts
from dnslab.measure.lab.backend import LabBackend
from dnslab.measure.lab.namespaces import environment
from dnslab.measure.lab.servers import ADDRESSES
from dnslab.measure.probe import BIN
from dnslab.measure.probe.job import wire_query
from dnslab.measure.protocol import Client
from dnslab.measure.witnesses import Reading
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load
from dnslab.plan.variants import find
from dnslab.store.witnesses import NO_SOCKET, PLACES, WITNESSES, at
from tests import PROJECT
from tests.cgroups import limited_to
from tests.measure.test_probe import JOB, talk_over

STATIC = BIN / f"probe-{platform.machine()}-static"
FLOOD = dataclasses.replace(
    JOB,
    engine="wire",
    entries=(wire_query("web.any.cluster.local.", "A"),),
    nameserver=("10.96.0.10", 53),
    workers=20,
    outstanding=20,
    mode="sticky",
    duration_s=1.0,
    deadline_s=0.5,
)
PRELUDE = """
import json, socket, subprocess, time
from dnslab.measure import witnesses
def read():
    reading = witnesses.read("node", witnesses.here(witnesses.NAMESPACE_FILES))
    print(json.dumps([reading, reading.missing]), flush=True)
def run(*argv):
    subprocess.run(argv, check=True)
run("ip", "link", "set", "lo", "up")
"""


def readings(script: str) -> list[Reading]:
    """What ``script`` reads in a network namespace of its own."""
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    done = subprocess.run(
        ["unshare", "--net", *user, sys.executable, "-c", PRELUDE + script],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=environment(),
        timeout=30,
        check=False,
    )
    assert not done.returncode, done.stderr
    return [Reading(*json.loads(line)) for line in done.stdout.splitlines()]


def rise(name: str, before: Reading, after: Reading) -> int:
    return after[name] - before[name]


@pytest.mark.lab
def test_a_socket_that_nobody_reads_drops_and_its_witness_counts_each() -> None:
    before, after, again = readings("""
def serve():
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    server.bind(("::", 53))
    return server
def flood(n):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(n):
            client.sendto(bytes(512), ("127.0.0.1", 53))
server = serve()
read()
flood(200)
read()
server.close()
server = serve()
flood(400)
read()
""")
    dropped = rise("node.udp6.53.drops@::", before, after)
    assert 150 < dropped < 200
    assert dropped == rise("node.Udp.RcvbufErrors", before, after) == rise("node.udp6.drops", before, after)
    assert before.missing["node.udp.53.drops"] == NO_SOCKET
    assert "node.udp6.53.drops" not in before.missing
    # A new socket counts from 0 and may soon have dropped more than the old one: only its inode tells.
    assert again["node.udp6.53.drops@::"] > after["node.udp6.53.drops@::"]
    assert before["node.udp6.53.inodes@::"] == after["node.udp6.53.inodes@::"] != again["node.udp6.53.inodes@::"]


@pytest.mark.lab
def test_a_listen_queue_that_overflows() -> None:
    before, after = readings("""
server = socket.socket()
server.bind(("127.0.0.1", 53))
server.listen(1)
read()
clients = [socket.socket() for _ in range(8)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", 53))
time.sleep(1.5)
read()
""")
    assert rise("node.TcpExt.ListenOverflows", before, after) >= 6
    assert rise("node.TcpExt.ListenDrops", before, after) >= rise("node.TcpExt.ListenOverflows", before, after)
    assert rise("node.TcpExt.TCPSynRetrans", before, after) >= 6
    assert rise("node.TcpExt.TCPTimeouts", before, after) >= 6
    assert rise("node.Tcp.RetransSegs", before, after) >= 6


@pytest.mark.lab
def test_a_table_of_flows_that_fills_and_a_source_port_that_two_flows_want() -> None:
    before, after = readings("""
run("ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
run("ip", "link", "set", "d0", "up")
run("ip", "link", "set", "d1", "up")
run("ip", "addr", "add", "10.9.0.1/24", "dev", "d0")
run("ip", "neigh", "add", "10.9.0.2", "lladdr", "02:00:00:00:00:01", "dev", "d0")
rules = "table ip t { chain c { type nat hook postrouting priority 100; udp dport 54 snat to 10.9.0.1:5000; }; }"
run("nft", rules)
read()
for port, n in ((53, 20), (54, 3)):
    for _ in range(n):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            try:
                client.sendto(b"x", ("10.9.0.2", port))
            except PermissionError:  # the packet was dropped on its way out
                pass
read()
""")
    assert rise("node.conntrack.count", before, after) == 21
    assert after["node.conntrack.max"] > after["node.conntrack.count"]
    assert rise("node.conntrack.insert_failed", before, after) == 2
    assert rise("node.conntrack.drop", before, after) == 2
    assert rise("node.conntrack.early_drop", before, after) == 0


@pytest.fixture
def limited() -> Iterator[Path]:
    """A cgroup whose processes may use 0.1 CPUs."""
    with limited_to(10_000) as folder:
        yield folder


def test_a_client_under_a_cpu_limit_sees_its_own_group(limited: Path) -> None:
    script = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
read()
end = time.process_time() + 0.05
while time.process_time() < end:
    pass
read()
"""
    prelude = PRELUDE.replace(
        'read("node", witnesses.here(witnesses.NAMESPACE_FILES))', "client(witnesses.here(FILES))"
    )
    prelude = prelude.replace("def read", "FILES = witnesses.CLIENT_FILES\ndef read").rsplit("run(", 1)[0]
    argv = [sys.executable, "-c", prelude + script, str(limited)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=PROJECT, timeout=30, check=True)
    before, after = (Reading(*json.loads(line)) for line in done.stdout.splitlines())
    assert rise("client.cpu.periods", before, after) >= 3
    assert rise("client.cpu.throttled_periods", before, after) >= 2
    assert rise("client.cpu.throttled_us", before, after) >= 100_000
    assert rise("machine.pressure.cpu.some_us", before, after) >= 0


def test_the_own_group_is_sought_from_its_folder_upwards() -> None:
    v1 = "4:memory:/a\n3:cpuset:/c\n1:cpu,cpuacct:/b/c\n0::/d\n"
    assert [str(file) for file in witnesses.own_files("/sys/fs/cgroup/cpu/cpu.stat", v1)] == [
        "/sys/fs/cgroup/cpu/b/c/cpu.stat",
        "/sys/fs/cgroup/cpu/b/cpu.stat",
        "/sys/fs/cgroup/cpu/cpu.stat",
    ]
    for groups in ("", "x", "1:cpu", "0::/"):
        assert witnesses.own_files("/sys/fs/cgroup/cpu.stat", groups) == [Path("/sys/fs/cgroup/cpu.stat")]


def test_every_name_is_one_that_a_kernel_writes() -> None:
    reading = witnesses.client(witnesses.here(witnesses.CLIENT_FILES))
    assert [name for name, why in reading.missing.items() if why == witnesses.NOT_IN_FILE and "cpu." not in name] == []
    assert len({(witness.name, witness.scope) for witness in WITNESSES}) == len(WITNESSES)


def accounted(reading: Reading, place: str) -> None:
    """Each witness of a place was read, or is missing with a reason, and never both."""
    names = {name.partition("@")[0] for name in reading}
    for name in at(place):
        assert (f"{place}.{name}" in names) != bool(reading.missing.get(f"{place}.{name}")), name


def test_what_cannot_be_read_is_missing_with_the_reason_and_never_0() -> None:
    texts: dict[str, str | int] = dict.fromkeys(witnesses.CLIENT_FILES, 2)
    texts |= {"/proc/net/udp": 13, "/proc/pressure/cpu": 95, "/proc/net/udp6": "x" * witnesses.MOST_BYTES}
    texts |= {"/proc/net/netstat": "TcpExt: TCPTimeouts\nTcpExt: 7\n", "/sys/fs/cgroup/cpu/cpu.stat": "usage_usec 5\n"}
    texts |= {"/proc/net/snmp6": 5, "/proc/sys/net/netfilter/nf_conntrack_count": "7\n"}
    del texts["/proc/net/softnet_stat"]
    reading = witnesses.client(texts)
    accounted(
        Reading({name: n for name, n in reading.items() if name != "client.conntrack.count"}, reading.missing), "client"
    )
    assert reading == {"client.TcpExt.TCPTimeouts": 7, "client.conntrack.count": 7}
    assert reading.missing["client.conntrack.count"] == witnesses.NOT_IN_FILE  # of an unknown most no share is known
    assert reading.missing["client.Udp.RcvbufErrors"] == witnesses.NO_FILE
    assert reading.missing["client.udp.53.drops"] == witnesses.NO_RIGHT
    assert reading.missing["client.udp6.drops"] == witnesses.TOO_LONG
    assert reading.missing["client.TcpExt.ListenDrops"] == witnesses.NOT_IN_FILE
    assert reading.missing["client.cpu.throttled_us"] == witnesses.NOT_IN_FILE
    assert reading.missing["client.Udp6.InErrors"] == "error 5"
    assert reading.missing["machine.pressure.cpu.some_us"] == witnesses.SWITCHED_OFF
    assert reading.missing["machine.softnet.drops"] == witnesses.NOT_READ


def test_shown() -> None:
    data = b"/a b 6\nx 3\n\xc3\xa4/nope -2\n/empty 0\n/c 1\nz"
    assert witnesses.shown(data) == {"/a b": "x 3\nä", "/nope": 2, "/empty": "", "/c": "z"}
    assert witnesses.shown(b"") == {}
    for broken in (data[:-1], data[:9], data[:5], b"sh: not found\n", b"\n"):
        with pytest.raises(ValueError, match=r"expected|invalid literal"):
            witnesses.shown(broken)


@pytest.mark.probe
def test_shown_by_the_probe(tmp_path: Path) -> None:
    text = tmp_path / "a file"
    text.write_text("one\ntwo", encoding="ascii")
    paths = ["/proc/sys/kernel/osrelease", str(tmp_path / "nope"), str(tmp_path), str(text)]
    data = subprocess.run([STATIC, "--show", *paths], capture_output=True, check=True).stdout
    assert list(witnesses.shown(data).items()) == [
        (paths[0], f"{platform.release()}\n"),
        (paths[1], 2),
        (paths[2], 21),  # a folder
        (paths[3], "one\ntwo"),
    ]


@pytest.mark.probe
def test_one_call_of_the_probe_reads_what_is_read_here() -> None:
    def run(argv: object) -> tuple[int, bytes]:
        calls.append(argv)
        done = subprocess.run(argv, capture_output=True, check=False)  # type: ignore[call-overload]
        return done.returncode, done.stdout

    calls: list[object] = []
    by_probe = pod_facts.pod_counters(run, str(STATIC))
    ours = witnesses.client(witnesses.here(witnesses.CLIENT_FILES))
    assert len(calls) == 1
    assert set(by_probe) == set(ours)
    assert by_probe.missing == ours.missing
    accounted(by_probe, "client")
    accounted(by_probe, "machine")


@pytest.mark.lab
def test_the_lab_reads_each_place_and_the_socket_of_each_server() -> None:
    with (
        contextlib.closing(LabBackend(FaultPlan(name="receive-buffer"))) as lab,
        contextlib.closing(lab.open(Client("x", "glibc", find("node-local"), Load(), ()))) as target,
        contextlib.closing(lab.open(Client("y", "glibc", find("baseline"), Load(), ()))) as flooding,
    ):
        before = target.counters()
        talk_over(flooding.start, FLOOD)
        after = target.counters()
    assert {*ADDRESSES, "node", "client", "machine"} <= set(PLACES)
    for place in ("client", "machine", "node", *ADDRESSES):
        accounted(after, place)
    assert "node.udp.53.drops@169.254.20.10" in after
    assert "exposed" not in after.missing
    for name in ADDRESSES:
        dropped = rise(f"{name}.udp.53.drops@0.0.0.0", before, after)
        assert dropped == rise(f"{name}.Udp.RcvbufErrors", before, after)
    assert sum(rise(f"{name}.udp.53.drops@0.0.0.0", before, after) for name in ADDRESSES) > 0


@pytest.mark.lab
def test_a_throttled_client_of_the_lab_has_a_group_of_its_own() -> None:
    if os.geteuid():
        pytest.skip("takes root, for a cgroup")
    with (
        contextlib.closing(LabBackend(FaultPlan(name="client-throttle"))) as lab,
        contextlib.closing(lab.open(Client("x", "glibc", find("baseline"), Load(), ()))) as target,
    ):
        before = target.counters()
        time.sleep(0.5)
        after = target.counters()
    assert rise("client.cpu.throttled_periods", before, after) >= 1
