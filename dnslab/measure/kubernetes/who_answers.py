"""Who answers a pod's DNS, by behaviour: a mesh, or a rule on a node, may redirect it, and no configuration need tell.

Two questions. Does something answer at an address where no server is? Then port 53 is redirected, whatever the
nameserver. And do the cluster's DNS servers count what the pod asks? New names, so that no cache answers, are asked
for with a record type that nobody else asks for, so that no other's questions are counted.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dnslab.errors import DnslabError
from dnslab.measure.asking import Start, is_redirected, n_answers, nowhere
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.cluster_dns import FoundDns
from dnslab.measure.kubernetes.counters import DnsPod, metrics, prometheus
from dnslab.plan.resolvconf import DEFAULT_ZONE, ResolverOptions
from dnslab.text import first_of

#: CoreDNS counts it apart (plugin/metrics/vars/monitor.go), and clients never ask for it
RARE_TYPE = "NSEC3"
N_QUESTIONS = 20
#: of the questions answered, the share that the cluster's DNS servers have to have counted
COUNTED = 0.5
MOST_TARGETS = 3
#: targets asked at a time, each for the two seconds in which nothing answers
AT_ONCE = 32
_BY_TYPE = {"coredns_dns_requests_total": "type", "coredns_dns_request_type_count_total": "type"}


@dataclass(frozen=True)
class WhoAnswers:
    """``redirected``: targets whose port 53 is redirected. ``elsewhere``: another than the cluster's DNS answers at the
    nameserver, None where that could not be measured. ``lines`` say so for people.
    """

    redirected: tuple[str, ...] = ()
    elsewhere: bool | None = None
    lines: tuple[str, ...] = ()


def who_answers(
    client: Client, starts: Mapping[str, Start], options: ResolverOptions, dns: FoundDns, servers: Sequence[DnsPod]
) -> WhoAnswers:
    """Who answers at the nameserver of ``options`` (the first target asks), and for whom the port is redirected.

    Parameters
    ----------
    starts
        By target, what starts the probe there.
    servers
        Whose metrics are read: the cluster's DNS, and node-local caches.
    """
    nameserver = next(iter(options.nameservers), "")
    if not nameserver:
        return WhoAnswers(lines=("who answers: not measured, as resolv.conf names no server",))
    try:
        with ThreadPoolExecutor(min(len(starts), AT_ONCE), thread_name_prefix="redirect") as pool:
            answers = pool.map(lambda start: is_redirected(start, nameserver), starts.values())
            elsewhere, line = _counted(client, next(iter(starts.values())), nameserver, dns, servers)
            redirected = tuple(name for name, answer in zip(starts, answers, strict=True) if answer)
    except DnslabError as error:  # a run goes on without: it needs no answer to this
        return WhoAnswers(lines=(f"who answers: not measured: {error}",))
    where = nowhere(nameserver)
    port = f"who answers: nothing does at {where}, where no server is: port 53 as such is not redirected (measured)"
    if redirected:
        port = (
            f"who answers: something does at {where}, where no server is: port 53 of "
            f"{first_of(redirected, MOST_TARGETS)} is redirected, whatever the nameserver (measured)"
        )
    return WhoAnswers(redirected, elsewhere, (port, line))


def _counted(
    client: Client, start: Start, nameserver: str, dns: FoundDns, servers: Sequence[DnsPod]
) -> tuple[bool | None, str]:
    """Whether the questions passed the cluster's DNS by, and a line that says so."""
    before = _questions(client, servers)
    if not any(pod.kind == "coredns" for pod in before):
        return None, f"who answers at {nameserver}: not measured, as the cluster's DNS servers' metrics were not read"
    zone = next(iter(dns.zones), DEFAULT_ZONE)
    names = [f"dnslab-{secrets.token_hex(6)}.{zone}." for _ in range(N_QUESTIONS)]
    n_answered = n_answers(start, nameserver, names, RARE_TYPE)
    after = _questions(client, servers)
    if before.keys() != after.keys():
        return (
            None,
            f"who answers at {nameserver}: not measured, as the metrics of a DNS server could not be read twice",
        )
    counted: Counter[str] = Counter()
    for pod, count in after.items():
        counted[pod.kind] += max(0, count - before[pod])
    if not n_answered:
        return None, f"who answers at {nameserver}: nobody did, {N_QUESTIONS} questions were asked (measured)"
    passed_by = max(counted.values()) < COUNTED * n_answered
    who = "another than the cluster's DNS" if passed_by else "the cluster's DNS"
    said = ", ".join(f"{kind} counted {count}" for kind, count in sorted(counted.items()))
    return passed_by, f"who answers at {nameserver}: {who}: of {n_answered} answers, {said} questions (measured)"


def _questions(client: Client, servers: Sequence[DnsPod]) -> dict[DnsPod, int]:
    """What each server that can tell has counted of the rare type."""
    texts, _ = metrics(client, servers)
    return {
        pod: int(sum(by_type.get(RARE_TYPE, 0) for by_type in prometheus(text, _BY_TYPE).values()))
        for pod, text in texts.items()
        if re.search(r"^coredns_", text, re.MULTILINE)
    }
