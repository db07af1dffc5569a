"""Asks a nameserver from where lookups are made whether it is there: behaviour counts for more than configuration."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable

from dnslab.errors import ProbeFailed
from dnslab.measure.conversation import READY_TIMEOUT_S
from dnslab.measure.probe.job import Job, encode, wire_query
from dnslab.measure.protocol import Channel
from dnslab.plan.resolvconf import DNS_PORT
from dnslab.store import stream as records

#: for any answer, s; lost packets are made up for by asking more than once at a time
WAIT_S = 2.0
N_QUERIES = 3
#: every server on the way to the root of names answers this, be it with an error
NAME = "kubernetes.default.svc.cluster.local."


def answers(start: Callable[[bytes], Channel], address: str) -> bool:
    """Whether anything answers DNS at ``address``, be it with an error, when it is asked from the target.

    Raises
    ------
    ProbeFailed
        The probe does not run there.
    """
    job = Job(
        entries=(wire_query(NAME, "A"),),
        engine="wire",
        workers=1,
        outstanding=N_QUERIES,
        max_lookups=N_QUERIES,
        duration_s=WAIT_S,
        deadline_s=WAIT_S,
        hard_deadline_s=10 * WAIT_S,
        nameserver=(address, DNS_PORT),
    )
    decoder = records.StreamDecoder()
    outcomes: list[int] = []
    with contextlib.closing(start(encode(job))) as channel:
        while decoder.trailer is None:
            data = channel.read(READY_TIMEOUT_S + job.hard_deadline_s)
            if not data:
                raise ProbeFailed(f"the probe ended before its answers: {channel.errors() or 'it printed no error'}")
            for message in decoder.feed(data):
                if isinstance(message, records.Header):
                    channel.write(records.command("PING"))
                elif isinstance(message, records.Clock):
                    channel.write(records.command("GO", message.monotonic_ns))
                elif isinstance(message, records.Records):
                    outcomes += [record[4] for record in struct.iter_unpack("<QQQIhHII", message.data)]
        channel.write(records.command("ACK"))
    return any(outcome >= 0 for outcome in outcomes)  # 0 or an RCODE; what got no answer is under 0


def why_no_cache(start: Callable[[bytes], Channel], addresses: Iterable[str]) -> str:
    """Why a variant that asks a node-local cache at ``addresses`` has nothing to ask; ``""`` if all answer."""
    silent = sorted(address for address in addresses if not answers(start, address))
    return f"no node-local cache answers at {', '.join(silent)}" if silent else ""
