"""The node-local cache's manifest as text, to be applied to kube-system.

Pure. It is the manifest that the Kubernetes project ships (cluster/addons/dns/nodelocaldns) with four differences: the
image is a parameter, there is a readiness probe, the cache listens on the cluster IP only where that is named, and it
answers a zone of its own, by which one sees who answers.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from string import Template

from dnslab.errors import UsageError
from dnslab.plan.resolvconf import check_address, check_domain
from dnslab.plan.variants import NODE_LOCAL_ADDRESS

#: newest release of kubernetes-sigs/node-local-dns known here (March 2026); its tags follow no Kubernetes version
NODE_CACHE_TAG = "1.26.8"
#: on the ConfigMap: which image cleans the nodes when the DaemonSet has gone before
IMAGE_ANNOTATION = "dnslab/image"


def image_with_tag(image: str) -> str:
    """``image``. If it has neither tag nor digest, with the newest tag that dnslab knows."""
    named = "@" in image or ":" in image.rpartition("/")[2]
    return image if named else f"{image}:{NODE_CACHE_TAG}"


def own_zone(zone: str) -> str:
    """The zone under a cluster's ``zone`` in which the cache alone answers any name. No Service has such a name."""
    return f"node-cache.dnslab.{zone}"


def node_cache_manifest(
    image: str,
    addresses: Sequence[str],
    zones: Sequence[str],
    selector: Mapping[str, str],
    *,
    stub_domains: Mapping[str, Sequence[str]] | None = None,
    target_ports: Mapping[str, int | str] | None = None,
) -> str:
    """The node-local cache as YAML, to be applied to kube-system.

    Parameters
    ----------
    image
        With a tag.
    addresses
        What it listens on, all of one family. The first is the node-local address. With the cluster IP of kube-dns
        beside it, every pod of the cluster becomes a client.
    zones
        All of the cluster's.
    selector
        Labels of the pods of the cluster's DNS, which the cache asks for the cluster's names.
    stub_domains
        Zones that have nameservers of their own, each with these.
    target_ports
        By protocol, the port of these pods, or its name. Default 53.

    Raises
    ------
    UsageError
        Addresses that pods of a node could not ask, or a zone that is not a domain name.
    """
    # All that is put into the text is checked first: some of it was read from the cluster.
    for address in addresses:
        check_address(address)
    for zone in (*zones, *(stub_domains or {})):
        check_domain(zone)
    parsed = [ipaddress.ip_address(address) for address in addresses]
    if not parsed or len({address.version for address in parsed}) > 1:
        raise UsageError(f"expected addresses of one IP version to listen on, saw {','.join(addresses)!r}")
    if any(address.is_loopback or address.is_unspecified or address.is_multicast for address in parsed):
        raise UsageError(f"pods cannot ask {','.join(addresses)}: take a link-local address as {NODE_LOCAL_ADDRESS}")
    host = f"[{addresses[0]}]" if parsed[0].version == 6 else addresses[0]
    dns = "__PILLAR__CLUSTER__DNS__"
    blocks = [
        (" ".join(f"{zone}:53" for zone in zones), "{ success 9984 30; denial 9984 5 }", dns, f"health {host}:8080"),
        ("in-addr.arpa:53", "30", dns, ""),
        ("ip6.arpa:53", "30", dns, ""),
        # Its nameservers are CoreDNS's to know: asked there, they stay what CoreDNS says.
        *((f"{zone}:53", "30", dns, "") for zone in stub_domains or ()),
        (".:53", "30", "__PILLAR__UPSTREAM__SERVERS__", ""),
    ]
    corefile = _OWN_BLOCK.format(zone=own_zone(zones[0]), addresses=" ".join(addresses))
    corefile += "".join(_server_block(name, cache, to, more, addresses) for name, cache, to, more in blocks)
    ports = {"UDP": 53, "TCP": 53, **(target_ports or {})}
    indented = "".join(f"    {line}\n" for line in corefile.splitlines())
    return _MANIFEST.substitute(
        image=json.dumps(image),
        listen=",".join(addresses),
        address=json.dumps(addresses[0]),
        corefile=indented,
        selector=json.dumps(dict(selector)),
        udp=json.dumps(ports["UDP"]),
        tcp=json.dumps(ports["TCP"]),
    )


def _server_block(zones: str, cache: str, upstream: str, more: str, addresses: Sequence[str]) -> str:
    """One server block of the Corefile. The node-cache program replaces the ``__PILLAR__`` words when it starts."""
    kept = "".join(f"\n        {part.strip()}" for part in cache.strip("{ }").split(";"))
    forward = f"forward . {upstream}"
    lines = [
        "errors",
        f"cache {{{kept}\n    }}" if cache.startswith("{") else f"cache {cache}",
        "reload",
        "loop",
        f"bind {' '.join(addresses)}",
        forward if zones == ".:53" else f"{forward} {{\n        force_tcp\n    }}",
        "prometheus :9253",
        *([more] if more else []),
    ]
    return f"{zones} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


#: kept by nobody, so that each answer shows who answers now; the address is one for documentation (RFC 5737)
_OWN_BLOCK = """\
{zone}:53 {{
    errors
    bind {addresses}
    template IN A {{
        answer "{{{{ .Name }}}} 0 IN A 192.0.2.53"
    }}
    template IN AAAA {{
        rcode NOERROR
    }}
}}
"""

_MANIFEST = Template("""\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: node-local-dns
  namespace: kube-system
  labels: {app.kubernetes.io/managed-by: dnslab}
---
apiVersion: v1
kind: Service
metadata:
  name: kube-dns-upstream
  namespace: kube-system
  labels: {app.kubernetes.io/managed-by: dnslab}
spec:
  selector: $selector
  ports:
  - {name: dns, port: 53, targetPort: $udp, protocol: UDP}
  - {name: dns-tcp, port: 53, targetPort: $tcp, protocol: TCP}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: node-local-dns
  namespace: kube-system
  labels: {app.kubernetes.io/managed-by: dnslab}
  annotations: {dnslab/image: $image}
data:
  Corefile: |
$corefile---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: node-local-dns
  namespace: kube-system
  labels: {k8s-app: node-local-dns, app.kubernetes.io/managed-by: dnslab}
spec:
  selector:
    matchLabels: {k8s-app: node-local-dns}
  updateStrategy:
    rollingUpdate: {maxUnavailable: 10%}
  template:
    metadata:
      labels: {k8s-app: node-local-dns, app.kubernetes.io/managed-by: dnslab}
    spec:
      priorityClassName: system-node-critical
      serviceAccountName: node-local-dns
      automountServiceAccountToken: false
      hostNetwork: true
      dnsPolicy: Default
      tolerations:
      - {operator: Exists}
      containers:
      - name: node-cache
        image: $image
        imagePullPolicy: IfNotPresent
        command: [/node-cache]
        # Without -pidfile it sets its rules a minute after its start (cache_app.go).
        args: [-localip, "$listen", -conf, /etc/Corefile, -upstreamsvc, kube-dns-upstream, -pidfile, /tmp/cache.pid]
        resources:
          requests: {cpu: 25m, memory: 5Mi}
        securityContext:
          capabilities: {add: [NET_ADMIN]}
        ports:
        - {name: dns, containerPort: 53, protocol: UDP}
        - {name: dns-tcp, containerPort: 53, protocol: TCP}
        - {name: metrics, containerPort: 9253, protocol: TCP}
        readinessProbe:
          httpGet: {host: $address, path: /health, port: 8080}
          periodSeconds: 2
        livenessProbe:
          httpGet: {host: $address, path: /health, port: 8080}
          initialDelaySeconds: 60
          timeoutSeconds: 5
        volumeMounts:
        - {name: xtables-lock, mountPath: /run/xtables.lock}
        - {name: corefile, mountPath: /etc/coredns}
        - {name: kube-dns, mountPath: /etc/kube-dns}
      volumes:
      - name: xtables-lock
        hostPath: {path: /run/xtables.lock, type: FileOrCreate}
      - name: corefile
        configMap:
          name: node-local-dns
          items: [{key: Corefile, path: Corefile.base}]
      - name: kube-dns
        configMap: {name: kube-dns, optional: true}
""")
