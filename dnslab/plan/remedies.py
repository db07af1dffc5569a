"""How to give a workload a variant: patches, hooks and kubelet settings, as text.

Pure: the caller gives the workload's own settings; no cluster is asked or changed. variants.py knows which C library
follows which option; this module knows what to be careful about.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from dnslab.errors import UsageError
from dnslab.plan.resolvconf import Libc, values_of
from dnslab.plan.variants import NODE_LOCAL_ADDRESS, Variant, not_applicable
from dnslab.text import visible

#: what the kubelet writes into a pod that asks the cluster's DNS (kubelet/network/dns, defaultDNSOptions)
CLUSTER_NDOTS = "5"


@dataclass(frozen=True)
class Workload:
    """The workload that a patch is for. If none was read, the defaults are names in capitals to fill in."""

    reference: str = "deploy/NAME"
    namespace: str = "NAMESPACE"
    context: str | None = None
    container: str = "CONTAINER"
    image: str = ""
    dns_policy: str = "ClusterFirst"
    dns_config: Mapping[str, Any] | None = None
    lifecycle: Mapping[str, Any] | None = None
    non_root: bool = False
    read_only: bool = False

    @classmethod
    def of(cls, reference: str, namespace: str, context: str | None, template: Mapping[str, Any]) -> Workload:
        """The Workload of a Deployment, StatefulSet or DaemonSet as JSON: its pod template and first container."""
        pod = template["spec"]
        first = pod["containers"][0]
        security = {**(pod.get("securityContext") or {}), **(first.get("securityContext") or {})}
        return cls(
            reference=reference,
            namespace=namespace,
            context=context,
            container=first["name"],
            image=first.get("image", ""),
            dns_policy=pod.get("dnsPolicy") or "ClusterFirst",
            dns_config=pod.get("dnsConfig"),
            lifecycle=first.get("lifecycle"),
            non_root=bool(security.get("runAsNonRoot") or security.get("runAsUser")),
            read_only=bool(security.get("readOnlyRootFilesystem")),
        )


@dataclass(frozen=True)
class ClusterDns:
    """The cluster's DNS as pods see it. If no cluster was asked, the defaults are words in capitals to fill in."""

    address: str = "CLUSTER-DNS-IP"
    zone: str = "CLUSTER-ZONE"
    node_local: str = NODE_LOCAL_ADDRESS


@dataclass(frozen=True)
class Form:
    """One way to apply a variant: what is merged into which object, and the commands that apply and undo it."""

    title: str
    text: str
    apply: tuple[str, ...]
    undo: tuple[str, ...]
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remedy:
    """How to give a workload a variant. Without any ``forms``, ``reason`` says why."""

    variant: Variant
    workload: Workload
    reason: str | None
    forms: tuple[Form, ...]
    caveats: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.variant.name} ({self.variant.summary}) for {self.workload.reference}"
        lines = [f"{head} in namespace {self.workload.namespace}", "Nothing has been changed."]
        if self.reason:
            lines += ["", f"not applicable: {self.reason}"]
        for form in self.forms:
            lines += ["", f"== {form.title}", form.text.rstrip("\n")]
            lines += ["-- apply", *form.apply, "-- undo", *form.undo]
            lines += [f"- {caveat}" for caveat in form.caveats]
        return "\n".join(
            [*lines, *(["", "== Mind"] if self.caveats else []), *(f"- {caveat}" for caveat in self.caveats)]
        )


def remedy(
    variant: Variant,
    workload: Workload | None = None,
    dns: ClusterDns | None = None,
    libc: Libc | None = None,
    version: str = "",
    *,
    not_here: str | None = None,
) -> Remedy:
    """Every way to give ``workload`` the variant, with what to be careful about.

    Parameters
    ----------
    libc, version
        Of the workload's image; None where it is not known, and then what holds for either is said.
    not_here
        Why the variant would not work in the workload's cluster.

    Raises
    ------
    UsageError
        The variant is the baseline: there is nothing to hand over.
    """
    if variant.name == "baseline":
        raise UsageError("baseline changes nothing: name the variant to apply, see `dnslab variants`")
    workload, dns = workload or Workload(), dns or ClusterDns()
    reason = not_applicable(variant, libc, version) if libc else None
    reason = f"{reason}: a patch would change nothing" if reason else not_here
    forms = () if reason or variant.absolute else tuple(_forms(variant, workload, dns))
    return Remedy(variant, workload, reason, forms, tuple(_caveats(variant, workload, libc, bool(reason))))


def _forms(variant: Variant, workload: Workload, dns: ClusterDns) -> Iterator[Form]:
    yield _dns_config(variant, workload, dns)
    hook = _post_start(variant, workload)
    if hook:
        yield hook
    if variant.node_local:
        yield _kubelet(variant, dns)


def pod_dns(variant: Variant, workload: Workload, dns: ClusterDns) -> dict[str, Any]:
    """``dnsPolicy`` and ``dnsConfig`` that give a pod the variant and keep what the workload already has there.

    A strategic merge replaces the lists of ``dnsConfig`` (they are atomic), so what is there is written again. Under
    ``ClusterFirst`` nameservers and searches are only ever added to the cluster's: to replace them takes ``None``,
    which brings nothing of its own.
    """
    had = workload.dns_config or {}
    no_policy = workload.dns_policy == "None"
    options = had.get("options") or ()
    if variant.replaces_lists and not no_policy:
        options = [{"name": "ndots", "value": CLUSTER_NDOTS}, *options]
    listed = with_options(options, variant)
    if not variant.replaces_lists:
        return {"dnsConfig": {"options": listed}}
    nameservers = [dns.node_local] if variant.node_local else list(variant.nameservers)
    kept = list(had.get("searches") or ())
    first = ["."] if variant.root_first else []
    first += [] if no_policy else [f"{workload.namespace}.svc.{dns.zone}", f"svc.{dns.zone}", dns.zone]
    return {
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": nameservers or (list(had["nameservers"]) if no_policy else [dns.address]),
            "searches": first + kept if variant.search is None else list(variant.search),
            "options": listed,
        },
    }


def with_options(had: Sequence[Mapping[str, Any]], variant: Variant) -> list[dict[str, str]]:
    """Options of a dnsConfig with those that the variant sets. The last of a name counts, in its first place."""
    options = {option["name"]: option.get("value") for option in had} | _options(variant)
    return [{"name": name, **({"value": value} if value else {})} for name, value in options.items()]


def pod_dns_before(patched: Mapping[str, Any], workload: Workload) -> dict[str, Any]:
    """The patch that undoes ``patched`` when it is merged. None removes a field."""
    had = workload.dns_config
    before: dict[str, Any] = {"dnsPolicy": workload.dns_policy} if "dnsPolicy" in patched else {}
    before["dnsConfig"] = None if had is None else {key: had.get(key) for key in patched["dnsConfig"]}
    return before


def _options(variant: Variant) -> dict[str, str | None]:
    values = {name: str(value) for name, value in values_of(variant).items()}
    return {**dict.fromkeys(variant.options), **values}


def _dns_config(variant: Variant, workload: Workload, dns: ClusterDns) -> Form:
    patched = pod_dns(variant, workload, dns)
    caveats = ["The pods are replaced (a rollout); chart or manifest must say the same, or the next deploy undoes it."]
    if workload.reference == Workload.reference:
        caveats.append(
            "Written for a workload without dnsConfig: its lists replace those that are there. "
            "--workload reads and keeps them."
        )
    if "dnsPolicy" in patched:
        caveats.append(
            "dnsPolicy None takes nothing from the cluster: the node's own search domains are gone, "
            f"and {dns.zone} is taken to be the cluster's zone."
        )
    elif workload.dns_policy == "Default":
        caveats.append("Its dnsPolicy is Default: it asks the node's nameservers, not the cluster's DNS.")
    return Form(
        "By dnsConfig (Kubernetes 1.9 and later)",
        _yaml(patched),
        (_patch(workload, patched),),
        (_patch(workload, pod_dns_before(patched, workload)),),
        tuple(caveats),
    )


def _post_start(variant: Variant, workload: Workload) -> Form | None:
    """The hook that appends to resolv.conf. None if appending cannot do it: an appended nameserver is asked last."""
    if variant.nameservers_in_its_place or variant.root_first:
        return None
    options = [f"{name}:{value}" if value else name for name, value in _options(variant).items()]
    lines = [f"options {' '.join(options)}"] if options else []
    if variant.search is not None:
        lines.append(f"search {' '.join(variant.search) or '.'}")
    # The lines are arguments, not part of the shell's text: a search list comes from a plan that may be a stranger's.
    command = ["/bin/sh", "-c", 'printf "%s\\n" "$@" >> /etc/resolv.conf', "sh", *lines]
    hook = {"postStart": {"exec": {"command": command}}}
    undone = {"postStart": None} if workload.lifecycle else None
    caveats = [
        "Needs a shell in the image (distroless ones have none), root, and a root file system that is not read-only.",
        "It runs beside the program's own start, not before it: the first lookups may be the old way, and glibc "
        "before 2.26 never reads the file again.",
        "A hook that fails ends the container, and every start in the pod adds the line once more (harmless).",
        "All containers of a pod share the file: one hook is enough.",
    ]
    if workload.non_root or workload.read_only:
        caveats.insert(0, "Would fail here: the container is not root, or its root file system is read-only.")
    if (workload.lifecycle or {}).get("postStart"):
        caveats.insert(0, f"Container {workload.container} has a postStart already: put both into one, by hand.")
        by_hand = "; ".join(f"echo {shlex.quote(line)} >> /etc/resolv.conf" for line in lines)
        apply, undo = (f"# run as well: {by_hand}",), ("# take it out again",)
    else:
        apply = (_patch(workload, _containers(workload, hook)),)
        undo = (_patch(workload, _containers(workload, undone)),)
    text = _yaml(_containers(workload, hook))
    return Form("By a postStart hook, where dnsConfig is not to be had", text, apply, undo, tuple(caveats))


def _kubelet(variant: Variant, dns: ClusterDns) -> Form:
    caveats = [
        "Holds for every pod of the node with dnsPolicy ClusterFirst that is made afterwards; running ones keep theirs."
    ]
    if variant.options:
        caveats.append(f"The options ({' '.join(variant.options)}) still take the workload's own dnsConfig.")
    return Form(
        "By the kubelet, for all pods of a node",
        f"# the kubelet's configuration file; the same as its older flag --cluster-dns={dns.node_local}\n"
        f"clusterDNS:\n- {dns.node_local}\n",
        ("# on each node: edit the file its --config names, then `systemctl restart kubelet`",),
        (f"# the same with {dns.address} (--cluster-dns={dns.address})",),
        tuple(caveats),
    )


def _containers(workload: Workload, lifecycle: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"containers": [{"name": workload.container, "lifecycle": lifecycle}]}


def _template(pod_spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": dict(pod_spec)}}}


def _yaml(pod_spec: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(_template(pod_spec), sort_keys=False, width=1000))


def _patch(workload: Workload, pod_spec: Mapping[str, Any]) -> str:
    where = [*(["--context", workload.context] if workload.context else []), "-n", workload.namespace]
    patch = json.dumps(_template(pod_spec), separators=(",", ":"))
    return shlex.join(["kubectl", *where, "patch", workload.reference, "--type", "strategic", "-p", patch])


def _caveats(variant: Variant, workload: Workload, libc: Libc | None, useless: bool) -> Iterator[str]:
    """What to be careful about with the C library ``libc``, or with both if it is None.

    If the variant has no effect, only what would help.
    """
    if variant.options and libc != "glibc":
        better = "`dnslab fix --variant node-local`, or an image with glibc"
        known = "" if libc else f"musl (Alpine) ignores {' and '.join(variant.options)}: nothing changes there. "
        yield f"{known}For musl what helps is a node-local cache: {better}."
        if not libc and "alpine" in workload.image:
            called = f"The image is called {visible(workload.image)}"
            yield f"{called}: Alpine's libc is musl; --libc musl says what holds then."
    if useless:
        return
    if variant.options and libc != "musl":
        yield f"Needs glibc {variant.since[0]}.{variant.since[1]} or later; an older one ignores it."
    yield from (caveat for options, caveat in _COSTS if options.intersection(variant.options))
    yield from _other_caveats(variant, libc)


#: what options cost where they are honoured
_COSTS = (
    (
        {"single-request", "single-request-reopen"},
        "AAAA is asked only after A was answered: a lookup takes two round trips, and overload gets worse.",
    ),
    (
        {"single-request", "single-request-reopen"},
        "Go's own resolver follows it too, and had nothing to gain: it asks A and AAAA from a socket each.",
    ),
    (
        {"single-request"},
        "glibc before 2.41 may wait 5 s for a query it never sent (its bug 30081), unless its distribution mended it.",
    ),
    (
        {"use-vc"},
        "glibc has no time limit over TCP, timeout: and attempts: are ignored: a server that does not answer blocks a "
        "lookup for minutes. TCP port 53 must be open everywhere; each lookup costs a connection.",
    ),
    ({"use-vc"}, "Go's own resolver follows it too, with its time limit."),
    (
        {"no-aaaa"},
        "Names with IPv6 addresses only are not found any more. Go's own resolver does not know the option.",
    ),
)


def _other_caveats(variant: Variant, libc: Libc | None) -> Iterator[str]:
    if variant.node_local:
        yield (
            "The cache must answer on every node, or no name resolves in the pod: `dnslab node-cache status` first. "
            "While a node's cache restarts, its pods have no DNS; network policies must let them reach it."
        )
    if variant.ndots is not None:
        yield "A short name with that many dots goes upstream as it is first: one query more, and it is seen outside."
        if libc != "glibc":
            yield "musl does not go on to the search list then: `service.namespace` is not found any more."
    if variant.root_first:
        yield "Needs Kubernetes 1.34 or later; an older one refuses `.` among the searches (KEP-4427)."
        yield "A short name goes upstream as it is first: one query more, and it is seen outside."
    if variant.timeout_s is not None:
        yield "Stalls get shorter; what loses the packets stays. A slow server gets more queries, and more failures."
        if libc != "glibc":
            yield f"musl takes timeout: for the whole lookup: it fails after {variant.timeout_s} s."
    if variant.absolute:
        yield "Nothing in the pod changes: write names in full, with the dot at the end, in its configuration."
        yield "Some programs refuse the dot, and TLS or HTTP may see it as another host name."
