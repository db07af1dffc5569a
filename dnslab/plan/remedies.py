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
from dnslab.sentences import patches as sentences
from dnslab.text import visible

#: what the kubelet writes into a pod that asks the cluster's DNS (kubelet/network/dns, defaultDNSOptions)
CLUSTER_NDOTS = "5"

#: how a workload whose pods a patch replaces is named on the command line -> its kind
WORKLOADS = {
    **dict.fromkeys(("deploy", "deployment"), "Deployment"),
    **dict.fromkeys(("sts", "statefulset"), "StatefulSet"),
    **dict.fromkeys(("ds", "daemonset"), "DaemonSet"),
}


def can_be_patched(reference: str) -> bool:
    """Whether a patch of its pod template replaces its pods: not those of a job, nor a pod by itself."""
    kind, _, name = reference.partition("/")
    return kind.lower() in WORKLOADS and bool(name)


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
        head = sentences.TITLE(
            variant=self.variant.name,
            summary=self.variant.summary,
            workload=self.workload.reference,
            namespace=self.workload.namespace,
        )
        lines = [head, str(sentences.UNCHANGED)]
        if self.reason:
            lines += ["", sentences.NOT_APPLICABLE(reason=self.reason)]
        for form in self.forms:
            lines += ["", f"== {form.title}", form.text.rstrip("\n")]
            lines += [f"-- {sentences.APPLY}", *form.apply, f"-- {sentences.UNDO}", *form.undo]
            lines += [f"- {caveat}" for caveat in form.caveats]
        if self.caveats:
            lines += ["", f"== {sentences.CAVEATS}", *(f"- {caveat}" for caveat in self.caveats)]
        return "\n".join(lines)


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
        raise UsageError(str(sentences.IS_BASELINE))
    workload, dns = workload or Workload(), dns or ClusterDns()
    reason = not_applicable(variant, libc, version) if libc else None
    reason = sentences.USELESS(reason=reason) if reason else not_here
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
    caveats = [str(sentences.ROLLOUT)]
    if workload.reference == Workload.reference:
        caveats.append(str(sentences.LISTS_REPLACED))
    if "dnsPolicy" in patched:
        known = dns.zone != ClusterDns.zone
        caveats.append((sentences.POLICY_NONE if known else sentences.POLICY_NONE_UNKNOWN)(zone=dns.zone))
    elif workload.dns_policy == "Default":
        caveats.append(str(sentences.POLICY_DEFAULT))
    return Form(
        str(sentences.DNS_CONFIG),
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
    usual = (sentences.NEEDS_A_SHELL, sentences.RUNS_BESIDE, sentences.HOOK_FAILS, sentences.ONE_HOOK)
    caveats = [str(sentence) for sentence in usual]
    if workload.non_root or workload.read_only:
        caveats.insert(0, str(sentences.HOOK_WOULD_FAIL))
    if (workload.lifecycle or {}).get("postStart"):
        caveats.insert(0, sentences.HAS_A_HOOK(container=workload.container))
        by_hand = "; ".join(f"echo {shlex.quote(line)} >> /etc/resolv.conf" for line in lines)
        apply, undo = (sentences.RUN_AS_WELL(command=by_hand),), (str(sentences.TAKE_OUT),)
    else:
        apply = (_patch(workload, _containers(workload, hook)),)
        undo = (_patch(workload, _containers(workload, undone)),)
    text = _yaml(_containers(workload, hook))
    return Form(str(sentences.POST_START), text, apply, undo, tuple(caveats))


def _kubelet(variant: Variant, dns: ClusterDns) -> Form:
    caveats = [str(sentences.NEW_PODS_ONLY)]
    if variant.options:
        caveats.append(sentences.OPTIONS_STAY(options=" ".join(variant.options)))
    return Form(
        str(sentences.KUBELET),
        f"{sentences.KUBELET_FILE(address=dns.node_local)}\nclusterDNS:\n- {dns.node_local}\n",
        (str(sentences.KUBELET_APPLY),),
        (sentences.KUBELET_UNDO(address=dns.address),),
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
        ignored = "" if libc else f"{sentences.MUSL_IGNORES(options=' and '.join(variant.options))} "
        yield f"{ignored}{sentences.MUSL_NEEDS}"
        if not libc and "alpine" in workload.image:
            yield sentences.LOOKS_LIKE_ALPINE(image=visible(workload.image))
    if useless:
        return
    if variant.options and libc != "musl":
        yield sentences.SINCE(version=f"{variant.since[0]}.{variant.since[1]}")
    yield from (str(caveat) for options, caveat in _COSTS if options.intersection(variant.options))
    yield from _other_caveats(variant, libc)


#: what options cost where they are honoured
_COSTS = (
    ({"single-request", "single-request-reopen"}, sentences.TWO_ROUND_TRIPS),
    ({"single-request", "single-request-reopen"}, sentences.GO_GAINS_NOTHING),
    ({"single-request"}, sentences.BUG_30081),
    ({"use-vc"}, sentences.NO_LIMIT_OVER_TCP),
    ({"use-vc"}, sentences.GO_HAS_A_LIMIT),
    ({"no-aaaa"}, sentences.IPV6_ONLY_LOST),
)


def _other_caveats(variant: Variant, libc: Libc | None) -> Iterator[str]:
    if variant.node_local:
        yield str(sentences.CACHE_EVERYWHERE)
    if variant.ndots is not None:
        yield str(sentences.DOTTED_SEEN_OUTSIDE)
        if libc != "glibc":
            yield str(sentences.MUSL_STOPS)
    if variant.root_first:
        yield str(sentences.KUBERNETES_134)
        yield str(sentences.SEEN_OUTSIDE)
    if variant.timeout_s is not None:
        yield str(sentences.SHORTER_STALLS)
        if libc != "glibc":
            yield sentences.MUSL_FAILS_EARLY(timeout=f"{variant.timeout_s} s")
    if variant.absolute:
        yield str(sentences.WRITE_IN_FULL)
        yield str(sentences.DOT_REFUSED)
