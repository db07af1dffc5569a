"""What the programs of a node read: containerd, its network plugin, kubelet and kube-proxy."""

from __future__ import annotations

from pathlib import Path

CONTAINERD = """version = 2
root = "{home}/containerd"
state = "{home}/run"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{home}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{registry}/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{home}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
"""


def cni(i: int, home: Path, dual: bool) -> object:
    """Pods of node ``i``, routed point to point; with an IPv6 address, too, if ``dual``."""
    ipam = {
        "type": "host-local",
        "dataDir": str(home / "ipam"),
        "routes": [{"dst": "0.0.0.0/0"}, *([{"dst": "::/0"}] if dual else [])],
        "ranges": [[{"subnet": f"10.244.{i}.0/24"}], *([[{"subnet": f"fd00:10:244:{i}::/64"}]] if dual else [])],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}


def kubelet(address: str, name: str, home: Path, dns: str) -> object:
    """A kubelet that listens on ``address`` and gives pods the nameserver ``dns``."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{name}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "clusterDNS": [dns],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{home}/containerd.sock",
        "resolvConf": str(home / "resolv.conf"),
        "address": address,
        "healthzBindAddress": "127.0.0.1",
        "staticPodPath": str(home / "manifests"),
        "maxPods": 200,
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": f"/var/log/pods-{name}",
    }


def proxy(name: str, mode: str, kubeconfig: Path, dual: bool) -> object:
    """A kube-proxy for the node ``name``."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "clusterCIDR": f"10.244.0.0/16{',fd00:10:244::/48' if dual else ''}",
        "hostnameOverride": name,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
