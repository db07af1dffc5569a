"""Asks before a run, from where lookups will be made: what names resolve to, and whether a nameserver is there.

By the probe, as the run itself asks: behaviour counts for more than configuration.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence

from dnslab.errors import ProbeFailed, StreamForeign
from dnslab.measure.probe.job import Job, ResolverPatch, encode, wire_query
from dnslab.measure.protocol import Channel, Expected
from dnslab.plan.resolvconf import DNS_PORT, Libc, ResolverOptions, names_tried
from dnslab.sentences import machine as sentences
from dnslab.store import stream as records

Start = Callable[[bytes], Channel]

#: for the probe to begin, s
READY_TIMEOUT_S = 15.0
#: names are asked for so often: one answer of a sick resolver is not taken for right
TIMES = 3
#: for an answer to a name, s: glibc asks again twice
LOOKUP_S = 20.0
#: names asked for at a time
AT_ONCE = 30
#: for a nameserver to answer at all, s; lost packets are made up for by asking more than once at a time
SERVER_S = 2.0
N_QUERIES = 3
#: every server on the way to the root of names answers this, be it with an error
ANY_NAME = "kubernetes.default.svc.cluster.local."
#: at these documentation addresses (RFC 5737, RFC 3849) no server is: an answer shows that DNS is redirected
NOWHERE_IPV4, NOWHERE_IPV6 = "192.0.2.53", "2001:db8::53"
#: of getaddrinfo, for an answer that there is no such name, or that it has no address (netdb.h)
EAI_NONAME, EAI_NODATA = -2, -5
#: index of the entry, outcome, addresses (low half A, high half AAAA): see struct record in the probe's format.h
Answer = tuple[int, int, int]


def expected(
    start: Start,
    names: Sequence[str],
    options: ResolverOptions,
    libc: Libc = "glibc",
    nameserver: tuple[str, int] | None = None,
) -> Mapping[str, Expected]:
    """What each of ``names`` resolves to. Each name that the search list makes of it is asked for by itself.

    Parameters
    ----------
    nameserver
        To ask in place of those of the target, for glibc.

    Returns
    -------
    Mapping
        For each name the most that any answer gave, as a sick resolver leaves things out.

    Raises
    ------
    StreamForeign
        The probe's records are not of these names.
    """
    candidates = {name: names_tried(name, options, libc) for name in names}
    asked = list(dict.fromkeys(name for tried in candidates.values() for name in tried))
    job = Job(
        entries=tuple(name.encode("ascii") for name in asked),
        workers=min(AT_ONCE, TIMES * len(asked)),
        duration_s=2 * LOOKUP_S,
        deadline_s=LOOKUP_S,
        hard_deadline_s=4 * LOOKUP_S,
        max_lookups=TIMES * len(asked),
        patch=ResolverPatch(nameserver=nameserver) if nameserver else None,
    )
    answers: dict[str, list[tuple[int, int]]] = {name: [] for name in asked}
    for index, outcome, addresses in _answers(start, job):
        if index >= len(asked):
            raise StreamForeign(sentences.OTHER_NAME(names=f"{len(asked):,}", index=f"{index:,}"))
        answers[asked[index]].append((outcome, addresses))
    return {name: _expected(tried, answers) for name, tried in candidates.items()}


def _expected(tried: Sequence[str], answers: Mapping[str, Sequence[tuple[int, int]]]) -> Expected:
    """Of one name, by the names ``tried`` in its place and their answers."""
    for candidate in tried:
        given = [addresses for outcome, addresses in answers[candidate] if outcome == 0 and addresses]
        if given:
            n_a, n_aaaa = max(each & 0xFFFF for each in given), max(each >> 16 for each in given)
            fullest = sum((each & 0xFFFF, each >> 16) == (n_a, n_aaaa) for each in given)
            return Expected(candidate, n_a, n_aaaa, differed=fullest < len(answers[candidate]))
    clean = (0, EAI_NONAME, EAI_NODATA)
    silent = [name for name in tried if any(outcome not in clean for outcome, _ in answers[name]) or not answers[name]]
    if silent:
        return Expected(silent[0], 0, 0, str(sentences.NOT_RESOLVED))
    return Expected(tried[0], 0, 0, str(sentences.NAME_UNKNOWN), exists=False)


def answers_dns(start: Start, address: str) -> bool:
    """Whether anything answers DNS at ``address``, be it with an error.

    Raises
    ------
    ProbeFailed
        The probe does not run there.
    """
    return n_answers(start, address, [ANY_NAME] * N_QUERIES, "A") > 0


def n_answers(start: Start, address: str, names: Sequence[str], rdtype: str) -> int:
    """How many queries for ``names``, each sent once, are answered at ``address``, be it with an error.

    Raises
    ------
    ProbeFailed
        The probe does not run there.
    """
    job = Job(
        entries=tuple(wire_query(name, rdtype) for name in names),
        engine="wire",
        workers=1,
        outstanding=len(names),
        max_lookups=len(names),
        duration_s=SERVER_S,
        deadline_s=SERVER_S,
        hard_deadline_s=10 * SERVER_S,
        nameserver=(address, DNS_PORT),
    )
    return sum(outcome >= 0 for _, outcome, _ in _answers(start, job))  # 0 or an RCODE; what got none is under 0


def nowhere(nameserver: str) -> str:
    """An address of the family of ``nameserver`` at which no server is."""
    return NOWHERE_IPV6 if ":" in nameserver else NOWHERE_IPV4


def is_redirected(start: Start, nameserver: str) -> bool:
    """Whether DNS is redirected on its way from there, whatever the nameserver: something answers where no server is.

    Raises
    ------
    ProbeFailed
        The probe does not run there.
    """
    return answers_dns(start, nowhere(nameserver))


def why_no_cache(start: Start, addresses: Iterable[str]) -> str:
    """Why a variant that asks a node-local cache at ``addresses`` has nothing to ask; ``""`` if all answer."""
    silent = sorted(address for address in addresses if not answers_dns(start, address))
    if silent:
        return sentences.NO_CACHE(addresses=", ".join(silent))
    redirected = sorted(address for address in addresses if is_redirected(start, address))
    return sentences.REDIRECTED(address=redirected[0]) if redirected else ""


def _answers(start: Start, job: Job) -> list[Answer]:
    """The answers that the probe got."""
    decoder = records.StreamDecoder()
    answers: list[Answer] = []
    with contextlib.closing(start(encode(job))) as channel:
        while decoder.trailer is None:
            data = channel.read(READY_TIMEOUT_S + job.hard_deadline_s)
            if not data:
                why = channel.errors() or str(sentences.NO_ERROR_PRINTED)
                raise ProbeFailed(sentences.PROBE_NO_ANSWERS(why=why))
            for message in decoder.feed(data):
                if isinstance(message, records.Header):
                    channel.write(records.command("PING"))
                elif isinstance(message, records.Clock):
                    channel.write(records.command("GO", message.monotonic_ns))
                elif isinstance(message, records.Records):
                    answers += [(each[5], each[4], each[7]) for each in struct.iter_unpack("<QQQIhHII", message.data)]
        channel.write(records.command("ACK"))
    return answers
