"""Shows that a node-local cache works on a node: by who answers a pod there, and by the rules that the node has.

A cache that listens on the cluster IP gets no query before its rules are set: until then kube-proxy sends it to
CoreDNS. So the cache's Corefile has a zone of which CoreDNS knows nothing, and a pod asks for new names in it. That
the rules of a link-local address are missing no answer tells: they are listed in the cache's own container.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from dnslab.errors import NotAble
from dnslab.measure.asking import expected
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.exec import ExecChannel, run
from dnslab.measure.kubernetes.api.objects import list_objects
from dnslab.measure.kubernetes.cluster_dns import SYSTEM
from dnslab.measure.kubernetes.node_cache.manifest import own_zone
from dnslab.measure.kubernetes.node_cache.nodes import Nodes
from dnslab.measure.kubernetes.pods import pod_facts
from dnslab.measure.kubernetes.pods.lifecycle import Pods
from dnslab.measure.kubernetes.pods.manifest import CONTAINER, PodSpec, probe_path, whole_dns_config
from dnslab.measure.protocol import Channel, Expected
from dnslab.plan.resolvconf import ResolverOptions

OWN_PODS = "k8s-app=node-local-dns,app.kubernetes.io/managed-by=dnslab"
CACHE_CONTAINER = "node-cache"
EVERYWHERE = {"tolerations": [{"operator": "Exists"}]}
#: node-cache sets its rules seconds after its start; where it missed its own pidfile, a minute later (cache_app.go)
RULES_TIMEOUT_S = 75.0
#: iptables' built-in chains in which node-cache sets its rules (cache_app.go)
CHAINS = {("raw", "PREROUTING"), ("raw", "OUTPUT"), ("filter", "INPUT"), ("filter", "OUTPUT")}
#: a chain that no packet comes to: rules are tried there
TRIAL_CHAIN = "DNSLAB-TRY"


def verify(client: Client, nodes: Nodes, image: str, addresses: Sequence[str], zone: str) -> Iterator[str]:
    """Wait until the cache answers a pod on each node at each address, and until its rules are set.

    Gives a line for each node and address.

    Raises
    ------
    NotAble
        Not within ``RULES_TIMEOUT_S``; at once where a node takes no such rules.
    """
    _check_rules_can_be_set(client, nodes, addresses)
    pods = Pods(client, f"cache-{secrets.token_hex(3)}")
    places = [(node, machine, address) for node, machine in nodes.ready for address in addresses]
    names = {f"dnslab-{pods.run_id}-{number}": place for number, place in enumerate(places)}
    try:
        pods.prepare()
        for pod, (node, machine, address) in names.items():
            config = whole_dns_config(ResolverOptions(nameservers=(address,)))
            spec = PodSpec(
                image, node, machine, dns_policy="None", dns_config=config, lifetime_s=600, placement=EVERYWHERE
            )
            pods.create(pod, spec)
        for pod, (node, machine, address) in names.items():
            pods.wait_ready(pod)
            start = _starter(client, pod, machine)
            began_s = time.monotonic()
            _wait_until_it_answers(start, node, address, zone, began_s + RULES_TIMEOUT_S)
            _wait_for_rules(client, node, address, began_s + RULES_TIMEOUT_S)
            counts = _ask(start, f"kubernetes.default.svc.{zone}.", f"the cache on {address} does not answer on {node}")
            waited_s = time.monotonic() - began_s
            yield (
                f"{node}: the cache answers on {address} and its rules are set, after {waited_s:.0f} s; "
                f"kubernetes.default.svc.{zone}. has {counts.n_a} A and {counts.n_aaaa} AAAA"
            )
    finally:
        pods.remove_all()


def _starter(client: Client, pod: str, machine: str) -> Callable[[bytes], Channel]:
    def start(job: bytes) -> Channel:
        channel = ExecChannel(client, pod, CONTAINER, [probe_path(machine)])
        channel.write(job)
        return channel

    return start


def _ask(start: Callable[[bytes], Channel], name: str, problem: str) -> Expected:
    answer = expected(start, [name], ResolverOptions())[name]
    if not answer.n_a and not answer.n_aaaa:
        raise NotAble(f"{problem}: {name}: {answer.problem}")
    return answer


def _wait_until_it_answers(
    start: Callable[[bytes], Channel], node: str, address: str, zone: str, deadline_s: float
) -> None:
    """Ask for names that only the cache knows, each a new one: what is not there may be kept, too."""
    while True:
        name = f"{secrets.token_hex(6)}.{own_zone(zone)}."
        try:
            _ask(start, name, f"on node {node} another than the cache answers on {address}")
            return
        except NotAble as error:
            if time.monotonic() > deadline_s:
                logs = f"see `kubectl -n {SYSTEM} logs -l k8s-app=node-local-dns`"
                raise NotAble(f"{error} (asked for {RULES_TIMEOUT_S:g} s); {logs}") from error
        time.sleep(1)


def _in_cache_of(client: Client, node: str) -> pod_facts.Run:
    """Runs a command in the cache's container on a node."""
    pod = next(p for p in list_objects(client, "Pod", SYSTEM, OWN_PODS) if p["spec"].get("nodeName") == node)
    system = dataclasses.replace(client, namespace=SYSTEM)
    return functools.partial(run, system, pod["metadata"]["name"], CACHE_CONTAINER)


def _check_rules_can_be_set(client: Client, nodes: Nodes, addresses: Sequence[str]) -> None:
    """Raise NotAble if a node takes no rules of iptables: the cache itself says so only in its log."""
    reasons = {node: why_no_rules(_in_cache_of(client, node), addresses) for node, _ in nodes.ready}
    failed = [node for node, reason in reasons.items() if reason]
    if failed:
        raise NotAble(
            f"the cache can set no rules on {', '.join(failed)}: {reasons[failed[0]]}. It needs iptables, which a node "
            "with nftables alone does not take; `dnslab node-cache remove` removes the cache"
        )


def why_no_rules(execute: pod_facts.Run, addresses: Sequence[str]) -> str:
    """Why a cache on ``addresses`` cannot set its rules there, ``""`` if it can: each kind is tried and taken back."""
    for address in addresses:
        for table, target in (("raw", "NOTRACK"), ("filter", "ACCEPT")):
            command = [_iptables(address), "-w", "-t", table]
            rule = ["-d", address, "-p", "udp", "--dport", "53", "-j", target]
            try:
                for step in (["-N", TRIAL_CHAIN], ["-A", TRIAL_CHAIN, *rule]):
                    code, output = execute([*command, *step])
                    if code:
                        words = " ".join(output.decode("utf-8", "replace").split())
                        return words or f"{command[0]} ended with status {code}"
            finally:
                for step in (["-F", TRIAL_CHAIN], ["-X", TRIAL_CHAIN]):
                    execute([*command, *step])
    return ""


def _iptables(address: str) -> str:
    return "ip6tables" if ":" in address else "iptables"


def _wait_for_rules(client: Client, node: str, address: str, deadline_s: float) -> None:
    while True:
        if rules_there(_in_cache_of(client, node), [address]):
            return
        if time.monotonic() > deadline_s:
            raise NotAble(
                f"on node {node} the cache answers on {address}, but {RULES_TIMEOUT_S:g} s later it has no rules: the "
                "node's kernel may lack what iptables needs; `dnslab node-cache remove` removes the cache"
            )
        time.sleep(1)


def rules_there(execute: pod_facts.Run, addresses: Sequence[str]) -> list[list[str]]:
    """Command lines that delete each rule that a cache on ``addresses`` has set.

    Raises
    ------
    NotAble
        Rules cannot be listed.
    """
    found: list[list[str]] = []
    for program in sorted({_iptables(address) for address in addresses} or {"iptables"}):
        code, saved = execute([f"{program}-save"])
        if code:
            words = " ".join(saved.decode("utf-8", "replace").split()) or "it printed no error"
            raise NotAble(f"rules cannot be seen, {program}-save of the cache's image does not work there: {words}")
        found += [[program, *rule] for rule in iptables_rules(saved.decode("utf-8", "replace"), addresses)]
    return found


def iptables_rules(saved: str, addresses: Iterable[str]) -> list[list[str]]:
    """Arguments that delete each rule in an iptables-save text that a node-cache made for ``addresses``."""
    rules, table = [], ""
    networks = {f"{address}/{128 if ':' in address else 32}" for address in addresses}
    for line in saved.splitlines():
        table = line[1:] if line.startswith("*") else table
        words = _words(line) if line.startswith("-A ") else []
        if not words or (table, words[1]) not in CHAINS or not networks.intersection(words):
            continue
        if {"NOTRACK", "--notrack", "ACCEPT"}.intersection(words):
            rules.append(["-t", table, "-D", *words[1:]])
    return rules


def _words(line: str) -> list[str]:
    """The words of a rule; empty if a quote is not closed, which iptables-save never writes."""
    try:
        return shlex.split(line)
    except ValueError:
        return []
