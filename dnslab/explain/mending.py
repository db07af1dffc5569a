"""What mends each cause: configurations of a pod, or commands at the place of the change; and what is said of it.

Pure. Patches are made by ``plan.remedies``, as ``dnslab fix`` prints them; words are the catalogue's.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

from dnslab.explain.catalogue import Cause
from dnslab.explain.engine import RankedMechanism
from dnslab.explain.evidence import Remedy
from dnslab.explain.patched import Patched
from dnslab.plan.remedies import Workload, remedy
from dnslab.plan.variants import find
from dnslab.sentences import ladder as said, patches

_KUBECTL = "kubectl -n kube-system"
COREFILE = f"{_KUBECTL} edit configmap coredns"
COREDNS = f"{_KUBECTL} edit deployment coredns"
SCALE = f"{_KUBECTL} scale deployment coredns --replicas=NUMBER"
LOGS = f"{_KUBECTL} logs -l k8s-app=kube-dns --tail 50"
SERVERS = f"{_KUBECTL} get pods -l k8s-app=kube-dns -o wide"
KUBE_PROXY = f"{_KUBECTL} edit configmap kube-proxy"
CACHE_CONFIG = f"{_KUBECTL} edit configmap node-local-dns"
POLICIES = "kubectl get networkpolicies --all-namespaces"
EVENTS = "kubectl get events --all-namespaces --sort-by=.lastTimestamp"
WORKLOAD = "kubectl -n NAMESPACE edit deploy/NAME"
#: on each node
ROOM = "sysctl -w net.core.rmem_default=NUMBER"
TABLE = "sysctl -w net.netfilter.nf_conntrack_max=NUMBER"
BRIDGE = "modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1"
CHECKSUMS = "ethtool -K DEVICE tx-checksum-ip-generic off"


@dataclass(frozen=True)
class Mend:
    """What mends a cause, or spares a workload of it: names of configurations, the best first, and commands that open
    or change the place where it is mended for all. Both are empty where the application or the network has to change.
    """

    variants: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


_REOPEN = ("single-request-reopen", "node-local")
MENDS: Mapping[str, Mend] = MappingProxyType(
    {
        "conntrack-race": Mend(_REOPEN),
        "burst-policer": Mend(("single-request-reopen",)),
        "snat-port-clash": Mend(commands=(KUBE_PROXY,)),
        "conntrack-table-full": Mend(("node-local",), (TABLE,)),
        "cloud-flow-limit": Mend(("node-local",)),
        "ebpf-map-full": Mend(commands=(f"{_KUBECTL} edit configmap cilium-config",)),
        "unexpected-source": Mend(commands=(BRIDGE,)),
        "late-answer-clash": Mend(("single-request-reopen",)),
        "long-rule-set": Mend(("node-local",), (KUBE_PROXY,)),
        "stale-nat-entry": Mend(commands=(COREFILE,)),
        "kept-flow-forgotten": Mend(),
        "packet-loss": Mend(("use-vc",)),
        "path-cut": Mend(commands=(EVENTS,)),
        "dns-server-restart": Mend(commands=(COREFILE, COREDNS)),
        "packet-rate-limit": Mend(("node-local",)),
        "small-mtu": Mend(commands=(COREFILE,)),
        "bad-checksum-offload": Mend(commands=(CHECKSUMS,)),
        "late-network-policy": Mend(commands=(WORKLOAD,)),
        "udp-blocked": Mend(commands=(POLICIES,)),
        "tcp-blocked": Mend(commands=(POLICIES,)),
        "dns-captured": Mend(commands=(WORKLOAD,)),
        "cache-buffer-full": Mend(commands=(ROOM,)),
        "cache-upstream-timeout": Mend(commands=(CACHE_CONFIG,)),
        "server-buffer-full": Mend(commands=(SCALE, ROOM)),
        "dead-endpoint": Mend(commands=(SERVERS, f"{_KUBECTL} delete pod NAME")),
        "slow-server": Mend(commands=(COREDNS, LOGS)),
        "server-pauses": Mend(commands=(SERVERS,)),
        "server-cpu-limit": Mend(commands=(COREDNS,)),
        "server-errors": Mend(commands=(LOGS, COREFILE)),
        "truncated-answers": Mend(commands=(COREFILE,)),
        "few-tcp-workers": Mend(commands=(SCALE,)),
        "slow-upstream": Mend(commands=(COREFILE,)),
        "max-concurrent": Mend(commands=(COREFILE,)),
        "slow-aaaa": Mend(("no-aaaa",), (COREFILE,)),
        "aaaa-errors": Mend(("no-aaaa",), (COREFILE,)),
        "aaaa-dropped": Mend(("no-aaaa",), (COREFILE,)),
        "dead-upstream": Mend(commands=(COREFILE,)),
        "name-servers-dead": Mend(commands=(COREFILE,)),
        "client-cpu-limit": Mend(commands=(WORKLOAD,)),
        "client-buffer-full": Mend(),
        "client-machine-busy": Mend(commands=("kubectl top nodes",)),
        "search-list": Mend(("ndots-1", "root-first")),
    }
)


@dataclass(frozen=True)
class Mending(Remedy):
    """A remedy with its commands.

    ``variant`` is a configuration that helps, ``""`` where none does. ``fix`` is the command that prints all ways to
    give a workload that configuration, ``patch`` the YAML to merge, ``apply`` and ``undo`` are commands that merge it
    and take it back, ``caveats`` what to be careful about. ``commands`` open or change the place where it is mended for
    all. ``first`` is to be run before anything is changed, ``command`` after it; ``""`` where there is none.
    """

    variant: str = ""
    fix: str = ""
    patch: str = ""
    apply: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    first: str = ""


def mending(cause: Cause, patched: Patched) -> Mending:
    """What mends ``cause`` for the workload ``patched``."""
    text, mend = cause.text, MENDS[cause.name]
    words = Remedy(str(text.change), str(text.where), str(text.cost), str(text.watch), patched.again)
    return _with_commands(words, mend, patched)


def mending_of_open(one: RankedMechanism, patched: Patched) -> Mending | None:
    """What mends a mechanism whose cause is open: a configuration that helps against each cause that is possible.

    None where no configuration helps against all of them.
    """
    left = one.possible
    common = [
        name
        for name in (MENDS[left[0].name].variants if left else ())
        if all(name in MENDS[cause.name].variants for cause in left)
    ]
    if not common:
        return None
    change, where = said.WHICHEVER(variant=common[0]), str(said.IN_DNS_CONFIG)
    cost = " ".join(dict.fromkeys(str(cause.text.cost) for cause in left))
    watch = "; ".join(dict.fromkeys(str(cause.text.watch) for cause in left))
    return _with_commands(Remedy(change, where, cost, watch, patched.again), Mend(tuple(common)), patched)


def _with_commands(words: Remedy, mend: Mend, patched: Patched) -> Mending:
    workload, variant = patched.workload, patched.first_that_works(map(find, mend.variants))
    at_place = tuple(_named(command, workload) for command in mend.commands)
    if variant is None:
        return Mending(**asdict(words), commands=at_place, first=patched.first)
    found = remedy(variant, workload, patched.dns, patched.libc, patched.version)
    form = found.forms[0]
    unread = str(patches.LISTS_REPLACED)  # nobody has read the workload
    verified = replace(words, command=patched.verify or patched.again)
    return Mending(
        **asdict(verified),
        variant=variant.name,
        fix=_fix(variant.name, workload),
        patch=form.text,
        apply=form.apply,
        undo=form.undo,
        caveats=tuple(dict.fromkeys([form.caveats[0], unread, *form.caveats, *found.caveats])),
        commands=at_place,
        first=patched.first,
    )


def _fix(variant: str, workload: Workload) -> str:
    """The command that prints all ways to give ``workload`` the variant."""
    words = ["dnslab", "fix", "--variant", variant]
    if workload.reference != Workload.reference:
        context = ["--context", workload.context] if workload.context else []
        words += ["--workload", workload.reference, *context, "--namespace", workload.namespace]
    return shlex.join(words)


def _named(command: str, workload: Workload) -> str:
    """``command`` with the workload's own name, namespace and context, where they are known."""
    named = command
    if workload.reference != Workload.reference:
        named = named.replace("NAMESPACE", workload.namespace).replace("deploy/NAME", workload.reference)
    if workload.context and named.startswith("kubectl "):
        named = named.replace("kubectl", shlex.join(["kubectl", "--context", workload.context]), 1)
    return named
