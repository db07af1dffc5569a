"""What tests do to the nodes of the test cluster: faults in a node's network namespace, and captures there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.capture import Packet, tcpdump
from tests.cluster.cluster import BIN, DNS, KUBECONFIG, STATE, in_node, kubectl, processes, sh

#: the emulated conntrack race: of two packets that meet a flow without an answer, the second is dropped now and then.
#: Between conntrack (-200) and kube-proxy's DNAT (-100); drops are counted by the pod that sent them.
RACE = """
table {family} dnslab_race {{
  set dropped {{
    typeof {family} saddr
    size 65535
    flags dynamic
    counter
  }}
  chain race {{
    ct mark 0 ct mark set 1 accept
    numgen random mod 1000 < {per_mille} update @dropped {{ {family} saddr }} drop
  }}
  chain pre {{
    type filter hook prerouting priority -110; policy accept;
    {family} daddr {dns} udp dport 53 ct state new jump race
  }}
}}
"""


@contextlib.contextmanager
def race(node: str, per_mille: int, dns: str = DNS) -> Iterator[None]:
    """Emulate the race for the pods of one node that ask ``dns``."""
    family = "ip6" if ":" in dns else "ip"
    in_node(node, "nft", "-f", "-", inp=RACE.format(per_mille=per_mille, dns=dns, family=family))
    try:
        yield
    finally:
        in_node(node, "nft", "delete", "table", family, "dnslab_race")


def dropped(node: str, family: str = "ip") -> dict[str, int]:
    """Packets dropped so far by the emulated race, by the address of the pod that sent them."""
    answer = json.loads(in_node(node, "nft", "-j", "list", "set", family, "dnslab_race", "dropped"))
    elements = next(item["set"] for item in answer["nftables"] if "set" in item).get("elem", [])
    return {item["elem"]["val"]: item["elem"]["counter"]["packets"] for item in elements}


#: {what} is dropped as it enters a network namespace
DROP = """
table inet dnslab_drop {{
  chain input {{
    type filter hook input priority 0; policy accept;
    {what} drop
  }}
}}
"""
BOTH_TRANSPORTS, TCP = "meta l4proto { tcp, udp } th dport 53", "tcp dport 53"


@contextlib.contextmanager
def dropped_by(pids: Iterable[int], what: str) -> Iterator[None]:
    """Drop packets that match ``what`` in the network namespaces of these processes. Nothing else notices it."""
    inside = [["nsenter", f"--net=/proc/{pid}/ns/net", "nft"] for pid in pids]
    for enter in inside:
        sh(*enter, "-f", "-", inp=DROP.format(what=what))
    try:
        yield
    finally:
        for enter in inside:
            sh(*enter, "delete", "table", "inet", "dnslab_drop", check=False)


@contextlib.contextmanager
def cpu_limited(pids: Iterable[int], share: float) -> Iterator[None]:
    """Give the containers of these processes so much of one CPU in each 100 ms (cgroup v1)."""
    limits = [_cgroup_of(pid) / "cpu.cfs_quota_us" for pid in pids]
    for limit in limits:
        limit.write_text(str(int(100_000 * share)))
    try:
        yield
    finally:
        for limit in limits:
            with contextlib.suppress(FileNotFoundError):
                limit.write_text("-1")


def _cgroup_of(pid: int) -> Path:
    groups = [line.split(":") for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    inside = next(group for _, controllers, group in groups if "cpu" in controllers.split(","))
    return Path("/sys/fs/cgroup/cpu") / inside.lstrip("/")


#: asks one server from many sockets as fast as answers come: argv is the server, the sockets, and a domain
ASK = """
import selectors, socket, sys
server, n, domain = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tail = b"".join(bytes([len(part)]) + part.encode() for part in domain.split(".")) + b"\\0\\0\\1\\0\\1"
sockets, asked = selectors.DefaultSelector(), 0
def ask(sock):
    global asked
    asked += 1
    label = b"n%d" % (asked % 100_000)
    sock.send(b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + bytes([len(label)]) + label + tail)
for _ in range(n):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((server, 53))
    sockets.register(sock, selectors.EVENT_READ)
    ask(sock)
while True:
    ready = sockets.select(0.5)
    for key, _ in ready:
        key.fileobj.recv(512)
        ask(key.fileobj)
    if not ready:
        for key in list(sockets.get_map().values()):
            ask(key.fileobj)
"""


@contextlib.contextmanager
def asked_by_others(node: str, n_sockets: int) -> Iterator[None]:
    """A background load on the cluster's DNS from a node: a query on each socket, the next when it is answered."""
    enter = ["nsenter", f"--net=/run/netns/{node}"]
    process = subprocess.Popen([*enter, sys.executable, "-c", ASK, DNS, str(n_sockets), "any.cluster.local"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def coredns_deleted(every_s: float) -> Iterator[None]:
    """Delete one CoreDNS pod after the other, at once and without any time to finish."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(every_s):
            oldest = ("--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[0].metadata.name}")
            pod = kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", *oldest)
            kubectl("-n", "kube-system", "delete", "pod", pod, "--grace-period=0", "--force", check=False)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")


@contextlib.contextmanager
def coredns_paused(every_s: float, for_s: float) -> Iterator[None]:
    """Stop every CoreDNS for ``for_s`` now and then, as a throttled one is: its receive buffer fills, and overflows."""
    argv = ["sh", "-c", 'while sleep "$1"; do kill -STOP $3; sleep "$2"; kill -CONT $3; done', "sh"]
    pids = " ".join(str(pid) for pid in coredns_pids())
    process = subprocess.Popen([*argv, str(every_s), str(for_s), pids], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pid in coredns_pids():
            os.kill(pid, signal.SIGCONT)


def coredns_pids() -> list[int]:
    """Of the CoreDNS processes behind the cluster IP."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"/bin/coredns\0-conf\0/etc/coredns/"):
                pids.append(int(path.parent.name))
    return pids


def address_of(pid: int) -> str:
    """The IPv4 address of the pod that a process is in."""
    links = json.loads(sh("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-j", "-4", "address", "show", "eth0"))
    return str(links[0]["addr_info"][0]["local"])


def rcvbuf_errors(pid: int) -> int:
    """Udp RcvbufErrors of the namespace a process is in."""
    names, values = [
        line.split() for line in Path(f"/proc/{pid}/net/snmp").read_text().splitlines() if line.startswith("Udp:")
    ]
    return int(values[names.index("RcvbufErrors")])


@contextlib.contextmanager
def cpus(of_nodes: Mapping[str, str]) -> Iterator[None]:
    """Let the pods of each node use these CPUs only. The nodes share one machine, and would all be busy together."""
    root = Path("/sys/fs/cgroup/cpuset")
    all_cpus = (root / "cpuset.cpus").read_text()
    for node, own in of_nodes.items():
        for folder, _, _ in os.walk(root / node, topdown=False):  # a group may not have more than the one above it
            (Path(folder) / "cpuset.cpus").write_text(own)
    try:
        yield
    finally:
        for node in of_nodes:
            for folder, _, _ in os.walk(root / node):
                with contextlib.suppress(FileNotFoundError):  # a pod that has just gone
                    (Path(folder) / "cpuset.cpus").write_text(all_cpus)


@contextlib.contextmanager
def captured_on(node: str) -> Iterator[list[Packet]]:
    """Every DNS packet as it enters a node, from its pods or for them; the list is filled when the block ends."""
    where = ["-i", "any", "-Q", "in", "-y", "LINUX_SLL2"]
    with tcpdump(lambda argv: ["nsenter", f"--net=/run/netns/{node}", *argv], where) as packets:
        yield packets


def pods_left(namespace: str) -> list[str]:
    """Objects of ours in a namespace."""
    names = kubectl(
        "-n", namespace, "get", "pods,configmaps", "-l", "app.kubernetes.io/managed-by=dnslab", "-o", "name"
    )
    return names.split()


def traces(namespace: str) -> Counter[str]:
    """All that a run could leave: objects of the namespace, processes, pods' folders and networks of the nodes."""
    kinds = (
        "pods,configmaps,secrets,serviceaccounts,services,roles,rolebindings,deployments,replicasets,daemonsets,jobs"
    )
    counts = Counter(kubectl("-n", namespace, "get", kinds, "-o", "name").split())
    for pid in processes():
        with contextlib.suppress(OSError):
            counts[Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")] += 1
    counts.update(f"folder {path}" for path in STATE.glob("n*/kubelet/pods/*"))
    counts.update(f"network {path.name}" for path in Path("/run/netns").glob("cni-*"))
    return counts


def apply(namespace: str, manifest: str) -> subprocess.CompletedProcess[str]:
    """``kubectl create`` of a manifest, with the warnings it prints."""
    argv = [str(BIN / "kubectl"), f"--kubeconfig={KUBECONFIG}", "-n", namespace, "create", "-f", "-"]
    return subprocess.run(argv, input=manifest, capture_output=True, text=True, check=False)
