"""Finds the DNS of a cluster from a pod's resolv.conf outwards: Service, pods, Corefile, zones, kube-proxy's mode.

Only reads. Names, namespaces and ports are those of no particular distribution: what is found says where it was seen,
and what is not found says where it was looked for. No default is given as a fact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import kubernetes
import yaml

from dnslab.errors import NotAble
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, answered
from dnslab.measure.kubernetes.api.objects import list_objects, read
from dnslab.measure.kubernetes.corefile import cluster_zones, imports, parse_corefile
from dnslab.plan.resolvconf import is_address, parse

SYSTEM = "kube-system"
#: selects CoreDNS's pods as the cluster's Service does, at an address that no cache listens on
UPSTREAM = "kube-dns-upstream"
#: where the Service is where not all namespaces may be read
NAMESPACES = (SYSTEM, "openshift-dns")
#: names of the Service, by namespace, in the distributions that do not label it
NAMES = {(SYSTEM, "kube-dns"), (SYSTEM, "coredns"), (SYSTEM, "d8-kube-dns"), ("openshift-dns", "dns-default")}
#: of kube-proxy on Linux (KubeProxyConfiguration, v1alpha1)
PROXY_MODES = {"iptables", "ipvs", "nftables", "userspace"}
#: ConfigMaps that hold kube-proxy's configuration, and the keys it stands under: kubeadm, EKS
PROXY_CONFIGS = (("kube-proxy", ("config.conf", "config")), ("kube-proxy-config", ("config",)))
#: from this minor version on kube-proxy's default is nftables, before it iptables (KEP-3866)
NFTABLES_BY_DEFAULT = (1, 40)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class FoundDns:
    """The cluster's DNS as far as it was found; what was not found is empty.

    ``nameserver`` is the address that pods ask, ``server`` the program that answers (``CoreDNS``, ``kube-dns``).
    ``proxy_mode`` is kube-proxy's, or ``cilium`` where Cilium does its work. ``pods`` and ``workloads`` are JSON, None
    where they may not be read. ``seen`` and ``not_seen`` are lines for people.
    """

    nameserver: str = ""
    service: Mapping[str, Any] | None = None
    pods: Sequence[Mapping[str, Any]] | None = None
    workloads: Sequence[Mapping[str, Any]] | None = None
    server: str = ""
    corefile: Sequence[Mapping[str, Any]] = ()
    zones: tuple[str, ...] = ()
    proxy_mode: str = ""
    seen: tuple[str, ...] = ()
    not_seen: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        """Of the Service; ``""`` where there is none."""
        return str(self.service["metadata"].get("namespace", "")) if self.service else ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of the Service, the first family first."""
        return cluster_ips(self.service) if self.service else ()

    @property
    def lines(self) -> list[str]:
        """What was seen, then what was not."""
        return [*self.seen, *(f"not seen: {line}" for line in self.not_seen)]


class _Look:
    """A look at one cluster: what was seen and what was not."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: list[str] = []
        self.not_seen: list[str] = []

    def try_to(self, ask: Callable[[], Answer]) -> Answer | None:
        """The answer; None if it may not be had, which is noted."""
        try:
            return ask()
        except NotAble as error:
            if str(error) not in self.not_seen:
                self.not_seen.append(str(error))
            return None


def find(client: Client, resolv_conf: str = "") -> FoundDns:
    """The cluster's DNS.

    Parameters
    ----------
    resolv_conf
        Of a pod, where it was read. Its nameserver and search list say what pods really use, and outweigh what objects
        say.
    """
    look = _Look(client)
    options = parse(resolv_conf)
    service = _service(next(iter(options.nameservers), ""), look)
    namespace = service["metadata"]["namespace"] if service else ""
    selector = (service["spec"].get("selector") or {}) if service else {}
    pods = workloads = None
    if selector:
        as_text = ",".join(f"{key}={value}" for key, value in selector.items())
        pods = look.try_to(lambda: list_objects(client, "Pod", namespace, as_text))
        workloads = look.try_to(lambda: _workloads(client, namespace, selector))
    server = _server([*(pods or []), *(_template(workload) for workload in workloads or [])])
    corefile = _corefile(service, pods or [], workloads or [], look) if service else []
    zones = _zones(namespace, server, corefile, [*(pods or []), *map(_template, workloads or [])], look)
    _look_for_mesh(look)
    return FoundDns(
        nameserver=next(iter(options.nameservers), "") or next(iter(cluster_ips(service)), "") if service else "",
        service=service,
        pods=pods,
        workloads=workloads,
        server=server,
        corefile=corefile,
        zones=_with_search_list(zones, options.search, look),
        proxy_mode=_proxy_mode(look),
        seen=tuple(look.seen),
        not_seen=tuple(look.not_seen),
    )


def find_service(client: Client) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The Service of the cluster's DNS by its name or label, and what could not be seen where there is none."""
    look = _Look(client)
    return _service("", look), tuple(look.not_seen)


def cluster_ips(service: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Addresses of a Service; none if it is headless or does not exist."""
    spec = service["spec"] if service else {}
    return tuple(address for address in spec.get("clusterIPs") or [spec.get("clusterIP")] if is_address(str(address)))


def name_of(item: Mapping[str, Any]) -> str:
    """Namespace and name of an object."""
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _service(nameserver: str, look: _Look) -> dict[str, Any] | None:
    services = [service for service in _services(look) if _serves_dns(service)]
    if nameserver:
        asked = [service for service in services if nameserver in cluster_ips(service)]
        if asked:
            look.seen.append(
                f"DNS of the cluster: {nameserver}, Service {name_of(asked[0])} (a pod's resolv.conf names it)"
            )
            return asked[0]
        look.not_seen.append(f"a Service with the address {nameserver}, which a pod's resolv.conf names")
    ranked = sorted(services, key=lambda service: (_rank(service), name_of(service)))
    known = [service for service in ranked if _rank(service)]
    chosen = known[0] if known else ranked[0] if len(ranked) == 1 else None
    if chosen is None:
        looked = ", ".join(map(name_of, ranked)) or "none in the namespaces that may be read has port 53"
        look.not_seen.append(f"the Service of the cluster's DNS (looked at all with port 53: {looked})")
        return None
    why = {0: "the only one with port 53", 1: "by its label", 2: "by its name"}[_rank(chosen)]
    look.seen.append(f"DNS of the cluster: {', '.join(cluster_ips(chosen))}, Service {name_of(chosen)} ({why})")
    return chosen


def _services(look: _Look) -> Iterator[dict[str, Any]]:
    try:
        yield from list_objects(look.client, "Service", None)
        return
    except NotAble as error:
        refused = str(error)
    lists = [look.try_to(lambda where=where: list_objects(look.client, "Service", where)) for where in NAMESPACES]  # type: ignore[misc]
    if not any(lists):
        look.not_seen.append(refused)
    for services in lists:
        yield from services or ()


def _serves_dns(service: Mapping[str, Any]) -> bool:
    on_53 = any(port.get("port") == 53 for port in service["spec"].get("ports") or ())
    return on_53 and bool(cluster_ips(service)) and service["metadata"]["name"] != UPSTREAM


def _rank(service: Mapping[str, Any]) -> int:
    """How surely a Service is that of the cluster's DNS: 2 by its name, 1 by a label, 0 not at all."""
    labels = {**(service["spec"].get("selector") or {}), **(service["metadata"].get("labels") or {})}
    if (service["metadata"].get("namespace"), service["metadata"]["name"]) in NAMES:
        return 2
    return int(labels.get("k8s-app") == "kube-dns")


def _workloads(client: Client, namespace: str, selector: Mapping[str, str]) -> list[dict[str, Any]]:
    kinds = ("Deployment", "DaemonSet")  # which the items of a list do not say
    found = [{**item, "kind": kind} for kind in kinds for item in list_objects(client, kind, namespace)]
    return [
        item for item in found if selector.items() <= (item["spec"]["template"]["metadata"].get("labels") or {}).items()
    ]


def _template(workload: Mapping[str, Any]) -> Mapping[str, Any]:
    template: Mapping[str, Any] = workload["spec"]["template"]
    return template


def _server(pods: Sequence[Mapping[str, Any]]) -> str:
    containers = [container for pod in pods for container in pod["spec"]["containers"]]
    images = [str(container.get("image", "")) for container in containers]
    if any("k8s-dns-kube-dns" in image for image in images) or any(c["name"] == "kubedns" for c in containers):
        return "kube-dns"
    return "CoreDNS" if any("coredns" in image for image in images) else ""


def _corefile(
    service: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]],
    workloads: Sequence[Mapping[str, Any]],
    look: _Look,
) -> list[dict[str, Any]]:
    """The Corefile that the pods mount, else one in a ConfigMap that is named as the Service or a workload is."""
    specs = [item["spec"] for item in (*pods, *(_template(workload) for workload in workloads))]
    volumes = [volume for spec in specs for volume in spec.get("volumes") or ()]
    mounted = [name for volume in volumes if (name := (volume.get("configMap") or {}).get("name"))]
    namespace = service["metadata"]["namespace"]
    named = [service["metadata"]["name"], *(workload["metadata"]["name"] for workload in workloads), "coredns"]
    names = list(dict.fromkeys([*mounted, *named]))
    for name in names:
        config = look.try_to(lambda name=name: read(look.client, "ConfigMap", name, namespace))  # type: ignore[misc]
        text = ((config or {}).get("data") or {}).get("Corefile")
        if text:
            blocks = parse_corefile(text)
            look.seen.append(f"Corefile: ConfigMap {namespace}/{name}")
            look.not_seen += [f"what the Corefile imports from {path}" for path in imports(blocks)]
            return blocks
    if not any("k8s-dns-kube-dns" in str(container.get("image")) for spec in specs for container in spec["containers"]):
        look.not_seen.append(f"a Corefile (looked at the ConfigMaps {', '.join(names)} in {namespace})")
    return []


def _zones(
    namespace: str,
    server: str,
    corefile: Sequence[Mapping[str, Any]],
    pods: Sequence[Mapping[str, Any]],
    look: _Look,
) -> list[str]:
    """Zones of the cluster as its DNS is configured."""
    zones = cluster_zones(corefile)
    if zones:
        look.seen.append(f"zones: {', '.join(zones)} (the Corefile's plugin kubernetes)")
    if server == "kube-dns":
        words = [word for pod in pods for part in pod["spec"]["containers"] for word in part.get("args") or ()]
        zones = [match[1].rstrip(".") for word in words if (match := re.match(r"--domain=([A-Za-z0-9._-]+)", word))][:1]
        if zones:
            look.seen.append(f"zones: {zones[0]} (an argument of kube-dns)")
        stubs = look.try_to(lambda: read(look.client, "ConfigMap", "kube-dns", namespace))
        if stubs and (stubs.get("data") or {}).get("stubDomains"):
            look.seen.append(f"stub domains: {stubs['data']['stubDomains']} (ConfigMap {namespace}/kube-dns)")
    return zones


def _with_search_list(zones: Sequence[str], search: Sequence[str], look: _Look) -> tuple[str, ...]:
    """The zone that a pod searches goes first: the search list is what pods really use."""
    searched = [domain.partition(".")[2].rstrip(".") for domain in search if domain.lower().startswith("svc.")]
    zone = min(searched, key=len, default="")
    if zone and zone not in zones:
        look.seen.append(f"zones: {zone} (a pod's search list)")
    if not zone and not zones:
        look.not_seen.append(
            "the cluster's zone (looked at the DNS server's configuration, and at no pod's search list)"
        )
    return tuple(dict.fromkeys([*([zone] if zone else []), *zones]))


def _look_for_mesh(look: _Look) -> None:
    """Istio's ztunnel answers DNS inside the network namespaces of its pods, by default from Istio 1.25 on."""
    ztunnels = look.try_to(lambda: list_objects(look.client, "DaemonSet", None, "app=ztunnel"))
    for ztunnel in ztunnels or ():
        look.seen.append(
            f"mesh: Istio's ztunnel (DaemonSet {name_of(ztunnel)}) answers the DNS of its pods, unless told not to"
        )
    if ztunnels == []:
        look.seen.append("mesh: none that answers DNS (looked at DaemonSets labelled app=ztunnel)")


def _proxy_mode(look: _Look) -> str:
    if cilium := look.try_to(lambda: read(look.client, "ConfigMap", "cilium-config", SYSTEM)):
        replacement = str((cilium.get("data") or {}).get("kube-proxy-replacement", "")).lower()
        if replacement in ("true", "strict"):
            look.seen.append(f"kube-proxy: Cilium does its work (ConfigMap {SYSTEM}/cilium-config)")
            return "cilium"
    for name, keys in PROXY_CONFIGS:
        config = look.try_to(lambda name=name: read(look.client, "ConfigMap", name, SYSTEM))  # type: ignore[misc]
        text = next((value for key, value in ((config or {}).get("data") or {}).items() if key in keys), None)
        if text is None:
            continue
        try:
            settings = yaml.safe_load(text) or {}
        except yaml.YAMLError:
            look.not_seen.append(f"kube-proxy's mode: ConfigMap {SYSTEM}/{name} is not YAML")
            return ""
        mode = settings.get("mode") if isinstance(settings, dict) else None
        if mode in PROXY_MODES:
            look.seen.append(f"kube-proxy: mode {mode} (ConfigMap {SYSTEM}/{name})")
            return str(mode)
        default = _default_mode(look)
        look.not_seen.append(f"kube-proxy's mode: ConfigMap {SYSTEM}/{name} names none{default}")
        return ""
    names = ", ".join(name for name, _ in PROXY_CONFIGS)
    default = _default_mode(look)
    look.not_seen.append(f"kube-proxy's mode (looked at the ConfigMaps {names} in {SYSTEM}){default}")
    return ""


def _default_mode(look: _Look) -> str:
    version = look.try_to(lambda: server_version(look.client)) or ""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if not match:
        return ""
    mode = "nftables" if (int(match[1]), int(match[2])) >= NFTABLES_BY_DEFAULT else "iptables"
    return f"; Kubernetes {version} defaults to {mode}"


def server_version(client: Client) -> str:
    """The API server's, as v1.35.4."""
    with answered("read the API server's version"):
        return str(kubernetes.client.VersionApi(client.api()).get_code(_request_timeout=TIMEOUT_S).git_version)
