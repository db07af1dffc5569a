"""The rights that dnslab needs in a cluster: as data, as manifests, and as questions to the API server.

RULES is the only list of rights: dnslab uses no other. It never asks for ``nodes/proxy``: whoever has that right runs
commands in every pod through the kubelet. Knows nothing of what is done with a right beyond its purpose in a few words.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import kubernetes

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, Refused, answered
from dnslab.measure.kubernetes.cluster_dns import SYSTEM
from dnslab.measure.kubernetes.pods.admission import admit
from dnslab.measure.kubernetes.pods.manifest import PodSpec
from dnslab.plan.cluster import DEFAULT_IMAGE

ENFORCED = "pod-security.kubernetes.io/enforce"
NAME = "dnslab"
GROUP = "rbac.authorization.k8s.io"
Where = Literal["namespace", "kube-system", "cluster"]


@dataclass(frozen=True)
class Rule:
    """One resource, with its subresource if any (``pods/exec``), and the verbs that dnslab needs on it.

    ``where``: in the namespace of the pods, in kube-system, or in all of the cluster. ``feature``: the optional part
    that needs it; ``""`` is for every run.
    """

    purpose: str
    group: str
    resource: str
    verbs: tuple[str, ...]
    where: Where = "namespace"
    feature: str = ""

    @property
    def title(self) -> str:
        """The kind of right, and the optional part that needs it."""
        return f"right for {self.feature}" if self.feature else "right"

    @property
    def needed(self) -> bool:
        """Whether a default run needs it."""
        return not self.feature

    def namespace(self, target: str) -> str:
        """The namespace in which the rule is needed if pods are in ``target``; ``""`` for all of the cluster."""
        return {"namespace": target, "kube-system": SYSTEM, "cluster": ""}[self.where]


#: the optional part whose rights `dnslab doctor` and `dnslab diagnose --dry-run` print
DIAGNOSE = "diagnose"
#: parts that a default run can do without, and what each is good for
FEATURES = {
    "doctor": "`dnslab doctor` says the namespace's pod security level and quotas",
    "nodes": "`--nodes` other than 1, zones and kernels of nodes",
    "surroundings": "facts of CoreDNS and kube-proxy, `dnslab node-cache status` and `render`",
    "metrics": "metrics of CoreDNS and of a node-local cache, through the API server",
    DIAGNOSE: "`dnslab diagnose` asks each DNS server by itself, and says when one was replaced",
    "ephemeral": "`--ephemeral-container`: targets whose image has no shell",
    "node-cache": "`dnslab node-cache install` and `remove`, with nodes and surroundings. Whoever has these rights\n"
    "# can run privileged pods in kube-system: give them to people, for as long as it takes",
}
#: server-side apply patches, and asks for create where nothing is there
APPLIED = ("get", "create", "patch", "delete")

RULES = (
    Rule("make, find and remove pods", "", "pods", ("get", "list", "create", "delete")),
    # The WebSocket's handshake is a GET; from 1.35 on the API server asks for create as well.
    Rule("run the probe in a pod", "", "pods/exec", ("get", "create")),
    Rule("give pods the probe, and take it away", "", "configmaps", ("list", "create", "delete")),
    Rule("say why a pod does not start", "", "events", ("list",)),
    Rule("measure pods like, or of, deploy/NAME", "apps", "deployments", ("get",)),
    Rule("measure pods like, or of, statefulset/NAME", "apps", "statefulsets", ("get",)),
    Rule("measure pods like, or of, daemonset/NAME", "apps", "daemonsets", ("get",)),
    Rule("measure pods like job/NAME", "batch", "jobs", ("get",)),
    Rule("measure pods like cronjob/NAME", "batch", "cronjobs", ("get",)),
    Rule("see which NetworkPolicies hold for a workload", "networking.k8s.io", "networkpolicies", ("list",)),
    Rule("see its pod security level", "", "namespaces", ("get",), "namespace", "doctor"),
    Rule("see its quotas", "", "resourcequotas", ("list",), "namespace", "doctor"),
    Rule("choose nodes, and know their zone and kernel", "", "nodes", ("get", "list"), "cluster", "nodes"),
    Rule("find the cluster's DNS", "", "services", ("get", "list"), "cluster", "surroundings"),
    Rule("read CoreDNS's and kube-proxy's configuration", "", "configmaps", ("get",), "kube-system", "surroundings"),
    Rule("know CoreDNS's image and replicas", "apps", "deployments", ("get", "list"), "kube-system", "surroundings"),
    Rule("know the nodes that CoreDNS runs on", "", "pods", ("list",), "kube-system", "surroundings"),
    Rule("find a node-local cache", "apps", "daemonsets", ("list",), "cluster", "surroundings"),
    Rule("find Cilium's", "cilium.io", "ciliumlocalredirectpolicies", ("list",), "cluster", "surroundings"),
    Rule("read metrics of DNS pods", "", "pods/proxy", ("get",), "kube-system", "metrics"),
    Rule("find the cluster's DNS", "", "services", ("list",), "kube-system", DIAGNOSE),
    Rule("know the addresses of its servers", "discovery.k8s.io", "endpointslices", ("list",), "kube-system", DIAGNOSE),
    Rule("know which of its servers were replaced", "", "pods", ("list",), "kube-system", DIAGNOSE),
    Rule("add a container to a pod", "", "pods/ephemeralcontainers", ("patch",), "namespace", "ephemeral"),
    Rule("install and remove the cache's account", "", "serviceaccounts", APPLIED, "kube-system", "node-cache"),
    Rule("install and remove kube-dns-upstream", "", "services", APPLIED, "kube-system", "node-cache"),
    Rule("install and remove the cache's Corefile", "", "configmaps", APPLIED, "kube-system", "node-cache"),
    Rule("install and remove the cache", "apps", "daemonsets", APPLIED, "kube-system", "node-cache"),
    Rule("look at each node when it is removed", "", "pods", ("list", "create", "delete"), "kube-system", "node-cache"),
    Rule("clean each node of what is left", "", "pods/exec", ("get", "create"), "kube-system", "node-cache"),
    Rule("name pods that ask the cache before it is removed", "", "pods", ("list",), "cluster", "node-cache"),
)


@dataclass(frozen=True)
class Finding:
    """The verbs of a rule that the API server does not allow. ``namespace`` ``""`` means all of the cluster."""

    rule: Rule
    namespace: str
    missing: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def __str__(self) -> str:
        where = f"in {self.namespace}" if self.namespace else "everywhere"
        lacks = f"; lacks {', '.join(self.missing)}" if 0 < len(self.missing) < len(self.rule.verbs) else ""
        return f"{self.rule.resource} ({', '.join(self.rule.verbs)}) {where}, to {self.rule.purpose}{lacks}"


def check(client: Client, rules: Sequence[Rule] = RULES) -> list[Finding]:
    """Ask the API server about each verb of ``rules``, in their order.

    Raises
    ------
    NotAble
        It does not answer.
    """
    api = kubernetes.client.AuthorizationV1Api(client.api())
    findings = []
    for rule in rules:
        namespace = rule.namespace(client.namespace)
        missing = tuple(verb for verb in rule.verbs if not _may(api, rule, verb, namespace))
        findings.append(Finding(rule, namespace, missing))
    return findings


def _may(api: kubernetes.client.AuthorizationV1Api, rule: Rule, verb: str, namespace: str) -> bool:
    resource, _, subresource = rule.resource.partition("/")
    attributes = {"group": rule.group, "resource": resource, "subresource": subresource, "verb": verb}
    if namespace:
        attributes["namespace"] = namespace
    with answered("ask for rights"):
        answer = api.create_self_subject_access_review(
            {"spec": {"resourceAttributes": attributes}}, _request_timeout=TIMEOUT_S
        )
    return bool(answer.status.allowed)


def pod_security(client: Client) -> str:
    """The pod security standard that the namespace enforces, in words.

    Raises
    ------
    UsageError
        There is no such namespace.
    NotAble
        It may not be read.
    """
    name = client.namespace
    try:
        with answered(f"read namespace {name}"):
            namespace = client.core().read_namespace(name, _request_timeout=TIMEOUT_S)
    except Refused as error:
        if error.code == 404:
            create = shlex.join(["kubectl", "create", "namespace", name])
            raise UsageError(f"there is no namespace {name}: `{create}`") from error
        raise
    level = (namespace.metadata.labels or {}).get(ENFORCED)
    return f"{name} is there, pod security {level} enforced" if level else f"{name} is there, no pod security label"


def quotas(client: Client) -> str:
    """Quotas of the namespace, and how much of each is used, in words."""
    with answered("list quotas"):
        items = client.core().list_namespaced_resource_quota(client.namespace, _request_timeout=TIMEOUT_S).items
    words = []
    for quota in items:
        used, hard = quota.status.used or {}, quota.spec.hard or {}
        counts = [f"{used.get(resource, '?')} of {hard[resource]} {resource}" for resource in hard]
        words.append(f"{quota.metadata.name}: {', '.join(counts)}")
    return "; ".join(words) or "none"


def admitted(client: Client) -> str:
    """Ask by a server-side dry run, which makes nothing, whether the namespace admits a pod of dnslab.

    Returns
    -------
    str
        That it would, with the API server's warnings.

    Raises
    ------
    NotAble
        It would not, in the words of what refused it: pod security, a quota, a policy.
    """
    warnings = "; ".join(admit(client, PodSpec(DEFAULT_IMAGE)))
    return f"would be let in{warnings and f', with a warning: {warnings}'} (a dry run: nothing was made)"


def missing_yaml(client: Client, findings: Iterable[Finding]) -> str:
    """Roles and bindings that grant the missing rules in ``findings`` to the user of ``client``.

    Whoever may grant rights can apply the text as it stands. The names tell rules and user, so that applying one
    such text never takes back what another gave.
    """
    rules = [finding.rule for finding in findings if not finding.ok]
    name = "-".join([NAME, *(rule.resource.replace("/", "-") for rule in rules)])
    user = _user(client)
    subject = {"kind": "User", "name": user, "apiGroup": GROUP}
    if account := re.fullmatch(r"system:serviceaccount:([^:]+):([^:]+)", user):
        subject = {"kind": "ServiceAccount", "name": account[2], "namespace": account[1]}
    return _grants(name, rules, client.namespace, subject, re.sub("[/%]", "-", user))


def _user(client: Client) -> str:
    try:
        with answered("ask who this is"):
            review = kubernetes.client.AuthenticationV1Api(client.api()).create_self_subject_review(
                {}, _request_timeout=TIMEOUT_S
            )
    except NotAble:  # before 1.28
        return "NAME-OF-THE-USER"
    return str(review.status.user_info.username)


def missing_for(client: Client, feature: str) -> str:
    """Roles and bindings that the optional part ``feature`` lacks, as ``missing_yaml``; ``""`` if it lacks nothing.

    Raises
    ------
    NotAble
        The API server does not answer.
    """
    lacks = [one for one in check(client, [rule for rule in RULES if rule.feature == feature]) if not one.ok]
    return missing_yaml(client, lacks) if lacks else ""


def role_yaml(namespace: str) -> str:
    """ServiceAccount ``dnslab`` with the Role and RoleBinding that a default run needs, all in ``namespace``.

    Raises
    ------
    UsageError
        A namespace cannot have that name.
    """
    account = f'apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {NAME}, namespace: "{_checked(namespace)}"}}\n'
    needed = [rule for rule in RULES if rule.needed]
    return f"{account}---\n{_grants(NAME, needed, namespace, _account(namespace))}"


def cluster_role_yaml(namespace: str) -> str:
    """Rights of the optional parts for the same ServiceAccount. A comment says what each part is for.

    Raises
    ------
    UsageError
        A namespace cannot have that name.
    """
    subject = _account(_checked(namespace))
    parts = []
    for feature, good_for in FEATURES.items():
        rules = [rule for rule in RULES if rule.feature == feature]
        parts.append(f"# {good_for}.\n{_grants(f'{NAME}-{feature}', rules, namespace, subject, namespace)}")
    return "---\n".join(parts)


def _account(namespace: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}


def _checked(namespace: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", namespace):
        raise UsageError(f"expected a namespace (at most 63 of a-z, 0-9 and -), saw {namespace!r}")
    return namespace


def _grants(name: str, rules: Sequence[Rule], target: str, subject: dict[str, str], for_whom: str = "") -> str:
    """A Role or ClusterRole, and its binding, for each scope (namespace, kube-system, cluster) of ``rules``.

    ``for_whom`` ends a binding's name where the same role is bound for several.
    """
    documents = []
    for where in dict.fromkeys(rule.where for rule in rules):
        of_where = [rule for rule in rules if rule.where == where]
        namespace = of_where[0].namespace(target)
        kind, suffix = ("Role", f", namespace: {json.dumps(namespace)}") if namespace else ("ClusterRole", "")
        binding = json.dumps(f"{name}:{for_whom}") if for_whom else name
        lines = "".join(f"# {rule.purpose}\n{_as_yaml(rule)}\n" for rule in of_where)
        documents += [
            f"{_head(kind)}metadata: {{name: {name}{suffix}}}\nrules:\n{lines}",
            f"{_head(f'{kind}Binding')}metadata: {{name: {binding}{suffix}}}\n"
            f"roleRef: {{apiGroup: {GROUP}, kind: {kind}, name: {name}}}\nsubjects:\n- {json.dumps(subject)}\n",
        ]
    return "---\n".join(documents)


def _head(kind: str) -> str:
    return f"apiVersion: {GROUP}/v1\nkind: {kind}\n"


def _as_yaml(rule: Rule) -> str:
    return f'- {{apiGroups: ["{rule.group}"], resources: [{rule.resource}], verbs: [{", ".join(rule.verbs)}]}}'
