"""A real Kubernetes on one machine, without a container registry.

The control plane runs in the network namespace dlc-cp, node i in dlc-n<i> with its own containerd, kubelet and
kube-proxy (in nftables or iptables mode); pods are routed point to point (CNI ptp). Nothing in the machine's own
network changes but one veth pair, dlc-host. README.md beside this file says what it takes and what it leaves.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster import configuration, images
from tests.cluster.build import build

CONTROL = "172.30.0.1"  # the control plane's address on the bridge
CONTROL_IPV6 = "fd00:172:30::1"
HOST = "172.30.0.254"  # this machine's end of the veth pair
SERVICES = "10.96.0.0/16"
DNS = "10.96.0.10"
SERVICES_IPV6 = "fd00:10:96::/112"
DNS_IPV6 = "fd00:10:96::a"

ROOT = Path(os.environ.get("DNSLAB_CLUSTER_DIR", Path.home() / ".cache/dnslab-cluster"))
BIN, STATE = ROOT / "bin", ROOT / "state"
KUBECONFIG = ROOT / "kubeconfig"
TOKEN = "dnslab-admin"


def sh(*command: object, inp: str | None = None, check: bool = True) -> str:
    """Output of ``command``; SystemExit with what it said when it fails."""
    argv = [str(part) for part in command]
    done = subprocess.run(argv, input=inp, text=True, capture_output=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def in_node(namespace: str, *command: object, inp: str | None = None, check: bool = True) -> str:
    """Output of ``command`` in a node's network namespace, and in no other: /sys must stay."""
    return sh("nsenter", f"--net=/run/netns/{namespace}", *command, inp=inp, check=check)


def kubectl(*arguments: object, inp: str | None = None, check: bool = True) -> str:
    """Output of kubectl with the cluster's own kubeconfig."""
    return sh(BIN / "kubectl", f"--kubeconfig={KUBECONFIG}", *arguments, inp=inp, check=check)


def wait(what: str, holds: Callable[[], object], seconds: float = 120) -> None:
    """Return once ``holds``; SystemExit after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(SystemExit, OSError):
            if holds():
                return
        time.sleep(0.5)
    raise SystemExit(f"{what}: not ready after {seconds:.0f} s; see {STATE / 'log'}")


# Processes. Each is recorded with its command line, so that a test can end one and start it again.

#: they outlive this process, which must not complain of that
_STARTED: list[subprocess.Popen[bytes]] = []


def start(name: str, namespace: str, *command: object) -> None:
    """Start a long-running command in a network namespace, under ``name``."""
    argv = [str(part) for part in command]
    _record(name).parent.mkdir(parents=True, exist_ok=True)
    (STATE / "log").mkdir(exist_ok=True)
    with (STATE / "log" / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _STARTED.append(process)
    _record(name).write_text(json.dumps({"pid": process.pid, "namespace": namespace, "argv": argv}))


def stop(name: str) -> None:
    """End one process of the cluster, at once; one that has gone is no error."""
    record = json.loads(_record(name).read_text())
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        # The record may be stale: end only what is still what was started.
        if Path(record["argv"][0]).name.encode() in Path(f"/proc/{record['pid']}/cmdline").read_bytes():
            os.killpg(record["pid"], signal.SIGKILL)


def restart(name: str) -> None:
    """Start a process again as it was started."""
    record = json.loads(_record(name).read_text())
    start(name, record["namespace"], *record["argv"])


def _record(name: str) -> Path:
    return STATE / "processes" / f"{name}.json"


# Start.


def up(nodes: int, proxy: str, dual: bool = False) -> None:
    """Start it from nothing, with kube-proxy in mode ``proxy``; an earlier one is ended first.

    ``dual``: pods, nodes and the DNS Service have IPv6 addresses, too, and pods ask DNS at its IPv6 address.
    """
    build(ROOT)
    down()
    STATE.mkdir(parents=True)
    (STATE / "namespaces").write_text(sh("ip", "netns", "list"))  # so that `down` leaves others' alone
    archives = images.write_all(STATE / "images", BIN)
    _network(nodes)
    if dual:
        _network_ipv6(nodes)
    _control_plane(dual)
    for i in range(1, nodes + 1):
        _node(i, archives, proxy, dual)
    kube_dns = Path(__file__).with_name("kube-dns.yaml").read_text(encoding="utf-8")
    both = f"  clusterIP: {DNS}\n  clusterIPs: [{DNS}, '{DNS_IPV6}']\n  ipFamilyPolicy: RequireDualStack\n"
    kubectl("apply", "-f", "-", inp=kube_dns.replace(f"  clusterIP: {DNS}\n", both) if dual else kube_dns)
    wait("nodes", lambda: kubectl("get", "nodes", "-o", "name").count("node/") == nodes)
    for i in range(1, nodes + 1):
        kubectl("label", "node", f"dlc-n{i}", f"topology.kubernetes.io/zone=zone-{i}")
    kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
    kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")
    wait("the default service account", lambda: kubectl("get", "serviceaccount", "default", "-o", "name"))


def _network(nodes: int) -> None:
    control = "dlc-cp"
    sh("ip", "netns", "add", control)
    in_node(control, "ip", "link", "set", "lo", "up")
    in_node(control, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    in_node(control, "ip", "link", "add", "br0", "type", "bridge")
    in_node(control, "ip", "addr", "add", f"{CONTROL}/24", "dev", "br0")
    in_node(control, "ip", "link", "set", "br0", "up")
    sh("ip", "link", "add", "dlc-host", "type", "veth", "peer", "name", "host", "netns", control)
    in_node(control, "ip", "link", "set", "host", "master", "br0", "up")
    sh("ip", "addr", "add", f"{HOST}/24", "dev", "dlc-host")
    sh("ip", "link", "set", "dlc-host", "up")
    for i in range(1, nodes + 1):
        name = f"dlc-n{i}"
        sh("ip", "netns", "add", name)
        in_node(name, "ip", "link", "set", "lo", "up")
        in_node(name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        sh("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", name, "netns", control)
        in_node(control, "ip", "link", "set", name, "master", "br0", "up")
        in_node(name, "ip", "addr", "add", f"{_address(i)}/24", "dev", "eth0")
        in_node(name, "ip", "link", "set", "eth0", "up")
        in_node(name, "ip", "route", "add", "default", "via", CONTROL)
        in_node(control, "ip", "route", "add", f"10.244.{i}.0/24", "via", _address(i))
        for j in (j for j in range(1, nodes + 1) if j != i):
            in_node(name, "ip", "route", "add", f"10.244.{j}.0/24", "via", _address(j))


def _network_ipv6(nodes: int) -> None:
    """The same for IPv6. Addresses are not looked for on the link first (nodad), which would take a second each."""
    in_node("dlc-cp", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    in_node("dlc-cp", "ip", "addr", "add", f"{CONTROL_IPV6}/64", "dev", "br0", "nodad")
    for i in range(1, nodes + 1):
        name = f"dlc-n{i}"
        in_node(name, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        in_node(name, "ip", "addr", "add", f"{_address_ipv6(i)}/64", "dev", "eth0", "nodad")
        in_node(name, "ip", "route", "add", "default", "via", CONTROL_IPV6)
        in_node("dlc-cp", "ip", "route", "add", f"fd00:10:244:{i}::/64", "via", _address_ipv6(i))
        for j in (j for j in range(1, nodes + 1) if j != i):
            in_node(name, "ip", "route", "add", f"fd00:10:244:{j}::/64", "via", _address_ipv6(j))


def _address(node: int) -> str:
    return f"172.30.0.{10 + node}"


def _address_ipv6(node: int) -> str:
    return f"fd00:172:30::{10 + node}"


def kubeconfig(path: Path, token: str) -> Path:
    """A kubeconfig for ``token``, readable by its owner only."""
    authority = base64.b64encode((STATE / "pki/tls.crt").read_bytes()).decode()
    cluster = {"server": f"https://{CONTROL}:6443", "certificate-authority-data": authority}
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "dnslab",
                "clusters": [{"name": "dnslab", "cluster": cluster}],
                "users": [{"name": "dnslab", "user": {"token": token}}],
                "contexts": [{"name": "dnslab", "context": {"cluster": "dnslab", "user": "dnslab"}}],
            }
        )
    )
    return path


def _control_plane(dual: bool) -> None:
    pki = STATE / "pki"
    pki.mkdir()
    sh("openssl", "genrsa", "-out", pki / "sa.key", "2048")
    sh("openssl", "rsa", "-in", pki / "sa.key", "-pubout", "-out", pki / "sa.pub")
    names = f"subjectAltName=IP:{CONTROL},IP:10.96.0.1,IP:127.0.0.1,DNS:kubernetes.default.svc"
    key, certificate = pki / "tls.key", pki / "tls.crt"
    sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=dnslab",
       "-addext", names, "-keyout", key, "-out", certificate)  # fmt: skip
    (pki / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
    etcd = "http://127.0.0.1:2379"
    start("etcd", "dlc-cp", "etcd", "--data-dir", STATE / "etcd", f"--listen-client-urls={etcd}",
          f"--advertise-client-urls={etcd}", "--listen-peer-urls=http://127.0.0.1:2380")  # fmt: skip
    start(
        "kube-apiserver",
        "dlc-cp",
        BIN / "kube-apiserver",
        f"--etcd-servers={etcd}",
        f"--advertise-address={CONTROL}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--token-auth-file={pki}/tokens.csv",
        f"--service-cluster-ip-range={SERVICES}{f',{SERVICES_IPV6}' if dual else ''}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--kubelet-preferred-address-types=InternalIP",
    )
    config = kubeconfig(KUBECONFIG, TOKEN)
    wait("kube-apiserver", lambda: kubectl("get", "--raw", "/readyz") == "ok")
    start(
        "kube-controller-manager",
        "dlc-cp",
        BIN / "kube-controller-manager",
        f"--kubeconfig={config}",
        f"--root-ca-file={certificate}",
        f"--service-account-private-key-file={pki}/sa.key",
        "--use-service-account-credentials=false",
        "--leader-elect=false",
    )
    start("kube-scheduler", "dlc-cp", BIN / "kube-scheduler", f"--kubeconfig={config}", "--leader-elect=false")


def _node(i: int, archives: Sequence[Path], proxy: str, dual: bool) -> None:
    name, home = f"dlc-n{i}", STATE / f"n{i}"
    (home / "cni").mkdir(parents=True)
    (home / "manifests").mkdir()
    (home / "cni" / "10-ptp.conflist").write_text(json.dumps(configuration.cni(i, home, dual)))
    (home / "containerd.toml").write_text(configuration.CONTAINERD.format(home=home, registry=images.REGISTRY))
    start(f"{name}-containerd", name, "containerd", "--config", home / "containerd.toml")
    socket = home / "containerd.sock"
    wait(f"{name} containerd", lambda: sh("ctr", "-a", socket, "version"))
    for archive in archives:
        sh("ctr", "-a", socket, "-n", "k8s.io", "image", "import", archive)
    _cgroups(name)
    (home / "resolv.conf").write_text(f"nameserver {CONTROL}\n")
    (home / "kubelet.json").write_text(
        json.dumps(configuration.kubelet(_address(i), name, home, DNS_IPV6 if dual else DNS))
    )
    start(
        f"{name}-kubelet",
        name,
        BIN / "kubelet",
        f"--config={home}/kubelet.json",
        f"--kubeconfig={KUBECONFIG}",
        f"--root-dir={home}/kubelet",
        f"--hostname-override={name}",
        f"--node-ip={_address(i)}{f',{_address_ipv6(i)}' if dual else ''}",
    )
    (home / "proxy.json").write_text(json.dumps(configuration.proxy(name, proxy, KUBECONFIG, dual)))
    start(f"{name}-kube-proxy", name, BIN / "kube-proxy", f"--config={home}/proxy.json")


def _cgroups(name: str) -> None:
    """A root of its own for each node under every controller (cgroup v1)."""
    for controller in Path("/sys/fs/cgroup").iterdir():
        if controller.is_dir() and not controller.is_symlink() and controller.name != "unified":
            (controller / name).mkdir(exist_ok=True)
            if controller.name == "cpuset":
                for knob in ("cpuset.cpus", "cpuset.mems"):
                    (controller / name / knob).write_text((controller / knob).read_text())


# Stop.


def down() -> None:
    """End it all and leave nothing but the programs built; nothing happens where it is not up."""
    for record in sorted(STATE.glob("processes/*.json"), reverse=True):
        stop(record.stem)
    # Containers and their shims outlive containerd: end those whose cgroup is one of our nodes'.
    deadline = time.monotonic() + 10
    while (left := processes()) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    _remove_networks()
    time.sleep(0.5)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(str(STATE))), reverse=True):
        sh("umount", "-l", mount, check=False)
    shutil.rmtree(STATE, ignore_errors=True)
    for group in sorted(Path("/sys/fs/cgroup").glob("*/dlc-n*"), reverse=True):
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    for logs in Path("/var/log").glob("pods-dlc-n*"):
        shutil.rmtree(logs, ignore_errors=True)
    KUBECONFIG.unlink(missing_ok=True)


def _remove_networks() -> None:
    listed = STATE / "namespaces"
    others = set(listed.read_text().split()) if listed.exists() else None
    for name in re.findall(r"^((?:dlc|cni)-\S+)", sh("ip", "netns", "list"), re.M):
        if name.startswith("cni-") and (others is None or name in others):
            continue
        sh("ip", "netns", "delete", name)
    sh("ip", "link", "delete", "dlc-host", check=False)


def processes() -> list[int]:
    """Processes of the cluster: in a node's cgroup, or started from its state folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            in_group = "/dlc-n" in Path(f"/proc/{pid}/cgroup").read_text()
            if in_group or f"{STATE}/".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return [pid for pid in found if pid != os.getpid()]
