"""Clusters of many distributions, as far as their objects tell: what is found, and what is refused.

``shapes/`` holds a cluster a file, after public manifests and issues. A stand-in serves them read-only; what a pod
would say is in no object.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("kubernetes")

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.cluster_dns import FoundDns, find
from dnslab.measure.kubernetes.node_cache import install
from dnslab.measure.kubernetes.node_cache.detect import Detection, dns_and_cache, for_remedy, read_workload
from dnslab.plan.remedies import Remedy, remedy
from dnslab.plan.variants import NODE_LOCAL_ADDRESS, find as variant
from tests.apiserver import client_of

SHAPES = {path.stem: path for path in sorted((Path(__file__).parent / "shapes").glob("*.yaml"))}

#: name: nameserver, Service, zones, server, kube-proxy's mode (empty: unknown)
DNS = {
    "aks": ("10.0.0.10", "kube-system/kube-dns", ("cluster.local",), "CoreDNS", ""),
    "cilium": ("10.96.0.10", "kube-system/kube-dns", ("cluster.local",), "CoreDNS", "cilium"),
    "eks": ("172.20.0.10", "kube-system/kube-dns", ("cluster.local",), "CoreDNS", "ipvs"),
    "gke": ("10.8.0.10", "kube-system/kube-dns", ("cluster.local",), "kube-dns", ""),
    "ipv6": ("fd00:10:96::a", "kube-system/kube-dns", ("cluster.local",), "CoreDNS", ""),
    "istio-ambient": ("10.96.0.10", "kube-system/kube-dns", ("cluster.local",), "CoreDNS", ""),
    "k3s": ("10.43.0.10", "kube-system/kube-dns", ("cluster.local",), "CoreDNS", ""),
    "kubespray": ("10.233.0.3", "kube-system/coredns", ("cluster.local",), "CoreDNS", ""),
    "nameless": ("", "", (), "", ""),
    "openshift": ("172.30.0.10", "openshift-dns/dns-default", ("cluster.local",), "", ""),
    "rke2": ("10.43.0.10", "kube-system/rke2-coredns-rke2-coredns", ("prod.example",), "CoreDNS", ""),
    "rke2-cilium-no-policy": ("10.43.0.10", "kube-system/rke2-coredns-rke2-coredns", ("prod.example",), "CoreDNS", ""),
    "rke2-cilium-policy": ("10.43.0.10", "kube-system/rke2-coredns-rke2-coredns", ("prod.example",), "CoreDNS", ""),
    "two-zones": ("10.43.0.10", "kube-system/kube-dns", ("prod.example", "cluster.local"), "CoreDNS", ""),
}

#: name: state, addresses, whether it owns the cluster IP; all others have none
CACHES = {
    "cilium": ("detected", ("169.254.20.10", "10.96.0.10"), False),
    "kubespray": ("detected", ("169.254.25.10",), False),
    "rke2-cilium-policy": ("detected", (), True),
}

#: name: what is seen or not seen, beside that
SAYS = {
    "aks": ["kube-proxy's mode (looked at the ConfigMaps", "defaults to iptables", "imports from custom/*.override"],
    "cilium": ["Cilium does its work (ConfigMap kube-system/cilium-config)", "pods pass by a cache that listens on it"],
    "eks": ["mode ipvs (ConfigMap kube-system/kube-proxy-config)"],
    "gke": ["zones: cluster.local (an argument of kube-dns)", 'stub domains: {"corp.example"'],
    "istio-ambient": ["Istio's ztunnel (DaemonSet istio-system/ztunnel)"],
    "k3s": ["imports from /etc/coredns/custom/*.server", "mesh: none that answers DNS (looked at"],
    "kubespray": ["ConfigMap kube-system/kube-proxy names none; Kubernetes v1.33.1 defaults to iptables"],
    "nameless": ["the Service of the cluster's DNS (looked at all with port 53: infra/resolver, shop/bind)"],
    "rke2-cilium-no-policy": ["pods reach it through a redirect policy, and none leads to it"],
    "rke2-cilium-policy": ["CiliumLocalRedirectPolicy kube-system/node-local-dns redirects the cluster's DNS"],
}


def found_in(name: str, folder: Path, resolv_conf: str = "") -> tuple[FoundDns, Detection]:
    with client_of(list(yaml.safe_load_all(SHAPES[name].read_text())), folder) as client:
        return (find(client, resolv_conf), Detection("absent")) if resolv_conf else dns_and_cache(client)


def test_every_shape_is_expected() -> None:
    assert set(SHAPES) == set(DNS)


@pytest.mark.parametrize("name", SHAPES)
def test_dns_and_cache_are_found(name: str, tmp_path: Path) -> None:
    dns, cache = found_in(name, tmp_path)
    service = f"{dns.namespace}/{dns.service['metadata']['name']}" if dns.service else ""
    assert (dns.nameserver, service, dns.zones, dns.server, dns.proxy_mode) == DNS[name]
    assert (cache.state, cache.addresses, cache.owns_cluster_ip) == CACHES.get(name, ("absent", (), None))
    said = "\n".join([*dns.lines, *cache.lines])
    for text in SAYS.get(name, []):
        assert text in said


@pytest.mark.parametrize("name", SHAPES)
def test_no_default_is_printed_as_a_fact(name: str, tmp_path: Path) -> None:
    for text in (str(fixed(name, "node-local", tmp_path)), str(fixed(name, "root-first", tmp_path))):
        assert "CLUSTER-" not in text


def fixed(name: str, variant_name: str, folder: Path) -> Remedy:
    with client_of(list(yaml.safe_load_all(SHAPES[name].read_text())), folder) as client:
        workload = read_workload(client, "deploy/web")
        known, not_here = for_remedy(variant(variant_name), *dns_and_cache(client))
        return remedy(variant(variant_name), workload, known, not_here=not_here)


def test_node_local_is_handed_over_only_where_something_listens(tmp_path: Path) -> None:
    listening = {name for name in SHAPES if fixed(name, "node-local", tmp_path).forms}
    assert listening == {"cilium", "kubespray"}
    assert "169.254.25.10" in str(fixed("kubespray", "node-local", tmp_path))
    assert "answers on the cluster IP: every pod asks it" in str(fixed("rke2-cilium-policy", "node-local", tmp_path))


def test_the_lists_of_a_patch_are_this_clusters(tmp_path: Path) -> None:
    text = str(fixed("rke2", "root-first", tmp_path))
    assert all(word in text for word in ("10.43.0.10", "shop.svc.prod.example", "svc.prod.example"))
    assert "not both were found" in str(fixed("nameless", "root-first", tmp_path))


def test_what_a_pod_uses_outweighs_what_objects_say(tmp_path: Path) -> None:
    """Two Services with port 53 and no name that says which, and a zone that no object names."""
    resolv_conf = "nameserver 10.96.0.77\nsearch shop.svc.corp.test svc.corp.test corp.test\n"
    dns, _ = found_in("nameless", tmp_path, resolv_conf)
    assert (dns.nameserver, dns.addresses, dns.zones) == ("10.96.0.77", ("10.96.0.77",), ("corp.test",))
    dns, _ = found_in("two-zones", tmp_path, "nameserver 10.43.0.10\nsearch a.svc.cluster.local svc.cluster.local\n")
    assert dns.zones == ("cluster.local", "prod.example")
    dns, _ = found_in("rke2", tmp_path, "nameserver 192.0.2.9\n")
    assert "a Service with the address 192.0.2.9, which a pod's resolv.conf names" in dns.not_seen


#: name: arguments, what the manifest has, or what the refusal says
MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "two-zones": ({}, "prod.example:53 cluster.local:53 {"),
    "rke2": ({"image": "r.test/nc"}, "prod.example:53 {"),
    "eks": ({"addresses": [NODE_LOCAL_ADDRESS, "172.20.0.10"], "image": "r.test/nc"}, "kube-proxy runs in IPVS mode"),
    "openshift": ({"image": "r.test/nc"}, "in namespace openshift-dns"),
    "ipv6": ({}, "pods have IPv6 only and cannot ask 169.254.20.10"),
    "nameless": ({"image": "r.test/nc"}, "the cluster's DNS was not found"),
    "cilium": ({"addresses": [NODE_LOCAL_ADDRESS, "10.96.0.10"]}, "Cilium answers for it"),
    "gke": ({}, "does not say where to get a node-cache image"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_manifest_fits_the_cluster(name: str, tmp_path: Path) -> None:
    arguments, says = MANIFESTS[name]
    with client_of(list(yaml.safe_load_all(SHAPES[name].read_text())), tmp_path) as client:
        try:
            said = install.render(client, **arguments)
        except (NotAble, UsageError) as error:
            said = str(error)
    assert says in said


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("eks", "kube-proxy runs in IPVS mode: only pods whose nameserver is the cache's own address ask it"),
        ("cilium", "Cilium does kube-proxy's work: whether pods reach the cache's address, install shows"),
        ("k3s", "kube-proxy's mode is not known: under IPVS and Cilium a cache cannot listen on the cluster IP"),
    ],
)
def test_what_a_mode_means_for_a_cache_is_said_before_it_is_applied(name: str, line: str, tmp_path: Path) -> None:
    with client_of(list(yaml.safe_load_all(SHAPES[name].read_text())), tmp_path) as client:
        assert line in install.notes_in(install.render(client, "r.test/nc"))
