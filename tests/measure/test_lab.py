"""The lab: what is real in it, what each variant sends, and that nothing stays behind."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnslab.errors import NotAble, UsageError
from dnslab.measure.lab.backend import BASELINE, LabBackend, known_targets
from dnslab.measure.protocol import Client, Target
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load
from dnslab.plan.resolvconf import parse
from dnslab.plan.variants import BUILT_IN, find
from tests import PROJECT
from tests.capture import Packet, captured
from tests.measure.test_probe import JOB, talk_over
from tests.nobody import ROOT, as_nobody

pytestmark = pytest.mark.lab

ABSOLUTE = b"web.any.cluster.local."


@pytest.fixture(scope="module")
def lab() -> Iterator[LabBackend]:
    with contextlib.closing(LabBackend(FaultPlan(name="none"))) as backend:
        yield backend


@contextlib.contextmanager
def client(backend: LabBackend, variant: str = "baseline", target: str = "glibc") -> Iterator[Any]:
    with contextlib.closing(backend.open(Client("x", target, find(variant), Load(), ()))) as opened:
        yield opened


def look_up(target: Target, **changes: Any) -> Any:

    job = dataclasses.replace(
        JOB, **{"entries": (ABSOLUTE,), "workers": 2, "loop": "fixed", "rate_per_s": 50.0, **changes}
    )
    return talk_over(target.start, job)[0]


def test_targets_are_what_this_machine_has(lab: LabBackend) -> None:
    names = {target.name: target for target in lab.targets()}
    assert re.fullmatch(r"\d+\.\d+", names["glibc"].libc_version)
    assert re.fullmatch(r"\d+\.\d+\.\d+", names["musl"].libc_version)
    assert known_targets() == list(lab.targets())


@pytest.mark.parametrize("variant", BUILT_IN)
def test_a_client_sees_its_variant(lab: LabBackend, variant: str) -> None:
    with client(lab, variant) as target:
        assert parse(target.facts().resolv_conf) == find(variant).applied_to(BASELINE)
        shown = subprocess.run(target.command(["cat", "/etc/resolv.conf"]), capture_output=True, text=True, check=True)
        assert shown.stdout == target.facts().resolv_conf


def test_expected_is_what_the_servers_answer(lab: LabBackend) -> None:
    expected = lab.expected(["kubernetes.default", "kubernetes", "a.any.cluster.local."])
    assert expected["kubernetes.default"].absolute == "kubernetes.default.svc.cluster.local."
    with pytest.raises(UsageError, match="zone does not have"):
        lab.expected(["nowhere.test."])
    with client(lab) as target:
        for name in ("kubernetes.default", "kubernetes", "a.any.cluster.local."):
            rows = look_up(target, entries=(name.encode(),), max_lookups=2)
            assert rows["answers"].tolist() == [0x10001] * 2, name
        assert set(look_up(target, entries=(b"nowhere.test.",), max_lookups=2)["outcome"]) == {-2}


def dns(packets: list[Packet], protocol: str | None = None) -> list[Packet]:
    return [p for p in packets if 53 in (p.source_port, p.port) and protocol in (None, p.protocol)]


def sent(lab: LabBackend, variant: str, target: str = "glibc", n: int = 10) -> list[Packet]:
    with client(lab, variant, target) as opened, captured(opened) as packets:
        rows = look_up(opened, max_lookups=n, duration_s=5.0)
        assert set(rows["outcome"]) == {0}
        time.sleep(0.2)
    return dns(packets)


@pytest.mark.parametrize("target", ["glibc", "musl"])
def test_baseline_sends_pairs_from_one_socket(lab: LabBackend, target: str) -> None:
    queries = [p for p in sent(lab, "baseline", target) if p.port == 53]
    assert len(queries) == 20
    assert {p.to for p in queries} == {"10.96.0.10"}
    by_port: dict[int, list[Packet]] = {}
    for packet in queries:
        by_port.setdefault(packet.source_port, []).append(packet)
    assert all(sorted(p.rdtype for p in pair) == [1, 28] for pair in by_port.values())


def test_single_request_sends_no_second_query_before_the_answer(lab: LabBackend) -> None:
    packets = sent(lab, "single-request")
    by_port: dict[int, list[str]] = {}
    for packet in packets:
        by_port.setdefault(min(packet.source_port, 99999) if packet.port == 53 else packet.port, []).append(
            f"{'query' if packet.port == 53 else 'answer'} {packet.rdtype}"
        )
    assert len(by_port) == 10
    assert all(steps == ["query 1", "answer 1", "query 28", "answer 28"] for steps in by_port.values())


def test_reopen_uses_two_ports(lab: LabBackend) -> None:
    queries = [p for p in sent(lab, "single-request-reopen") if p.port == 53]
    assert len(queries) == 20
    assert len({p.source_port for p in queries}) == 20


def test_use_vc_sends_no_udp(lab: LabBackend) -> None:
    packets = sent(lab, "use-vc")
    assert dns(packets, "tcp")
    assert not dns(packets, "udp")


def test_no_aaaa_asks_for_a_alone(lab: LabBackend) -> None:
    assert {p.rdtype for p in sent(lab, "no-aaaa")} == {1}


@pytest.mark.parametrize("variant", ["node-local", "node-local+single-request-reopen"])
def test_node_local_sends_nothing_to_the_cluster_ip(lab: LabBackend, variant: str) -> None:
    queries = [p for p in sent(lab, variant) if p.port == 53]
    assert {p.to for p in queries} == {"169.254.20.10"}


def test_node_local_is_untracked_and_counts_its_hits(lab: LabBackend) -> None:
    with client(lab, "node-local") as target:
        look_up(target, max_lookups=20, duration_s=5.0)
        counters = target.counters()
    assert counters["node.nft.untracked"] >= 80
    assert counters["node.nft.udp_flows"] == 0
    assert counters["node.nft.tcp_flows"] >= 1
    assert counters["node-local.num.queries"] == 40
    assert counters["node-local.num.cachehits"] >= 36


def test_both_backends_answer(lab: LabBackend) -> None:
    with client(lab) as target:
        before = target.counters()
        look_up(target, max_lookups=40, duration_s=5.0)
        after = target.counters()
    for server in ("server-a", "server-b"):
        assert after[f"{server}.Udp.InDatagrams"] - before[f"{server}.Udp.InDatagrams"] >= 10
    # A source port drawn twice is one flow: of 40 lookups that happens in one run of eighty.
    assert 39 <= after["node.nft.udp_flows"] <= 40


def test_a_new_client_carries_nothing_over(lab: LabBackend) -> None:
    with client(lab, "use-vc") as first:
        look_up(first, max_lookups=50, rate_per_s=500.0)
        assert first.counters()["client.TCP.tw"] >= 40
    with client(lab, "use-vc") as second:
        counters = second.counters()
        assert counters["client.TCP.tw"] == 0
        assert counters["node.conntrack.entries"] == 0
        assert second.client_address != first.client_address


def test_race_stalls_are_the_dropped_packets() -> None:
    with contextlib.closing(LabBackend(FaultPlan.parse("race:p=0.5"))) as backend, client(backend) as target:
        rows = look_up(target, rate_per_s=100.0, workers=60)
        stalls = rows["end_ns"] - rows["start_ns"] >= 4_500_000_000
        truth = target.ground_truth()
        exposed = target.counters()["node.exposed"]
    assert len(rows) == 49
    assert truth
    assert 5 < stalls.sum() == truth["dropped"] <= exposed <= 2 * len(rows)
    assert (((rows["flags"] & 1) != 0) == stalls).all()
    assert "node.nft.dropped" not in target.__dict__


def test_ground_truth_is_not_among_the_counters(lab: LabBackend) -> None:
    with client(lab) as target:
        assert not [name for name in target.counters() if "dropped" in name or "did_" in name]
        assert target.ground_truth() is None


def test_many_open_at_once_quickly(lab: LabBackend) -> None:
    from concurrent.futures import ThreadPoolExecutor

    began = time.monotonic()
    with ThreadPoolExecutor(7) as pool:
        opened = list(pool.map(lambda i: lab.open(Client(str(i), "glibc", find("node-local"), Load(), ())), range(7)))
    assert len({target.client_address for target in opened}) == 7
    for target in opened:
        target.close()
        target.close()
    assert time.monotonic() - began < 20
    assert "client" not in lab.inside.run("ip netns list")


def leftovers(marker: str) -> list[str]:
    """Processes, but for this one, that carry ``marker`` in their environment."""
    commands = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if marker.encode() in path.read_bytes():
                commands.append(path.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode())
    return commands


def gone_within(marker: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while leftovers(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def mounts_and_namespaces() -> tuple[str, list[str]]:
    named = Path("/run/netns")
    return Path("/proc/self/mounts").read_text(), sorted(p.name for p in named.iterdir()) if named.exists() else []


def cgroups(pid: int) -> list[Path]:
    """Those that labs of a process have made."""
    return list(Path("/sys/fs/cgroup").glob(f"**/dnslab-{pid}-*"))


OWNER = """
import contextlib, sys, threading
from dnslab.measure.protocol import Client
from dnslab.measure.lab.backend import LabBackend
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load
from dnslab.plan.variants import find
print("begun", flush=True)
with contextlib.closing(LabBackend(FaultPlan.parse(sys.argv[1]))) as lab:
    target = lab.open(Client("x", "glibc", find("node-local"), Load(), ()))
    print("open", flush=True)
    threading.Event().wait(30)
"""


#: with what else they make: servers that are stopped, cgroups, a server in the client
MAKERS = ["none", "pause:ms=60000,every=0.1", "server-throttle+client-throttle+slow-answer", "redirect"]


@pytest.mark.parametrize("fault", [pytest.param(name, marks=ROOT) if "throttle" in name else name for name in MAKERS])
@pytest.mark.parametrize("wait_for", ["begun", "open"])
def test_nothing_survives_a_killed_owner(wait_for: str, fault: str) -> None:
    before = mounts_and_namespaces()
    marker = f"DNSLAB_TEST_MARK={os.getpid()}-{random.getrandbits(64):x}"
    name, value = marker.split("=")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, fault], stdout=subprocess.PIPE, text=True, env={**os.environ, name: value}
    )
    assert owner.stdout
    for line in owner.stdout:
        if line.strip() == wait_for:
            break
    if wait_for == "begun":
        time.sleep(random.uniform(0.0, 0.3))
    else:
        assert len(leftovers(marker)) > 3
        assert bool(cgroups(owner.pid)) == ("throttle" in fault)
        time.sleep(0.3 if "pause" in fault else 0.0)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert gone_within(marker, 3.0), leftovers(marker)
    assert mounts_and_namespaces() == before
    assert not cgroups(owner.pid)


@pytest.mark.parametrize("fault", [pytest.param(name, marks=ROOT) if "throttle" in name else name for name in MAKERS])
def test_nothing_is_left_after_close(fault: str) -> None:
    before, threads = mounts_and_namespaces(), threading.active_count()
    backend = LabBackend(FaultPlan.parse(fault))
    backend.open(Client("x", "glibc", find("baseline"), Load(), ()))
    backend.close()
    backend.close()
    assert mounts_and_namespaces() == before
    assert not cgroups(os.getpid())
    assert threading.active_count() == threads


def test_unknown_target_and_fault() -> None:
    with pytest.raises(UsageError, match="did you mean 'race'"):
        LabBackend(FaultPlan(name="rase"))
    with pytest.raises(UsageError, match="race:p should be 0 to 1"):
        LabBackend(FaultPlan.parse("race:p=2"))
    with pytest.raises(UsageError, match="no parameter 'q'"):
        LabBackend(FaultPlan.parse("race:q=2"))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dnslab.measure.lab import namespaces

    monkeypatch.setattr(namespaces, "environment", lambda: {"PATH": str(tmp_path)})
    with pytest.raises(NotAble, match=r"apt-get install .*unbound"):
        LabBackend(FaultPlan(name="none"))


@ROOT
def test_it_works_without_root(tmp_path: Path) -> None:
    """As another user in a user namespace of its own."""
    code = (
        "import contextlib\n"
        "from dnslab.measure.protocol import Client\nfrom dnslab.measure.lab.backend import LabBackend\n"
        "from dnslab.plan.faultplan import FaultPlan\nfrom dnslab.plan.model import Load\n"
        "from dnslab.plan.variants import find\n"
        "from tests.measure.test_lab import look_up\n"
        "with contextlib.closing(LabBackend(FaultPlan(name='none'))) as lab:\n"
        "    for variant in ('baseline', 'node-local', 'use-vc'):\n"
        "        rows = look_up(lab.open(Client('x', 'glibc', find(variant), Load(), ())), max_lookups=20)\n"
        "        print(lab.describe().rootless, len(rows), set(rows['outcome'].tolist()))\n"
    )
    done = as_nobody([sys.executable, "-c", code], tmp_path, PYTHONPATH=str(PROJECT))
    assert done.stdout.splitlines() == ["True 20 {0}"] * 3, done.stderr


@ROOT
def test_every_fault_but_quotas_works_without_root(tmp_path: Path) -> None:
    code = (
        "import contextlib\n"
        "from dnslab.errors import NotAble\n"
        "from dnslab.measure.protocol import Client\nfrom dnslab.measure.lab.backend import LabBackend\n"
        "from dnslab.measure.lab.faults import FAULTS\n"
        "from dnslab.plan.faultplan import FaultPlan\nfrom dnslab.plan.model import Load\n"
        "from dnslab.plan.variants import find\n"
        "for name in FAULTS:\n"
        "    try:\n"
        "        with contextlib.closing(LabBackend(FaultPlan(name=name))) as lab:\n"
        "            lab.open(Client('x', 'glibc', find('baseline'), Load(), ()))\n"
        "    except NotAble as error:\n"
        "        print(name, error)\n"
    )
    done = as_nobody([sys.executable, "-c", code], tmp_path, PYTHONPATH=str(PROJECT))
    refused = done.stdout.splitlines()
    assert [line.split()[0] for line in refused] == ["server-throttle", "client-throttle"], done
    assert all("no right to limit CPU time" in line and "needs root" in line for line in refused)
