"""A load and its queries as the bytes the probe takes: ``struct job`` of format.h, both ways.

Pure. Queries in wire format are built by dnspython; the probe only sets their ids.
"""

from __future__ import annotations

import ipaddress
import struct
import zlib
from dataclasses import dataclass, field

import dns.exception
import dns.message
import dns.name

from dnslab.errors import InvalidName, UsageError
from dnslab.plan.resolvconf import FLAGS
from dnslab.sentences import machine as sentences
from dnslab.store.stream import FORMAT_VERSION

JOB = struct.Struct("<4sHHIIHHIIIQQQQQQQQIIQIIHHHHHHHH16sHHI")
JOB_SIZE_MAX = 16 << 20
#: magic, version, engine, size, crc: the checksum covers what follows
_CHECKED_FROM = 16

ENGINES = ("libc", "wire")
LOOPS = ("closed", "poisson", "fixed")
MODES = ("fresh", "sticky")
ARRANGEMENTS = ("single", "pair-one-socket", "pair-two-sockets")
TRANSPORTS = ("udp", "tcp")
PORTS = ("kernel", "own", "shared")

PATCH_OPTIONS, PATCH_NDOTS, PATCH_TIMEOUT, PATCH_ATTEMPTS, PATCH_NAMESERVER, PATCH_CLEAR = 1, 2, 4, 8, 16, 32

#: bits of glibc's ``_res.options``
RES_OPTIONS = {name: bit for name, bit in FLAGS.items() if bit is not None}


@dataclass(frozen=True)
class ResolverPatch:
    """What to change in glibc's ``_res`` after ``res_ninit``; None leaves a field as it is.

    ``clears`` says that the flags of the file are cleared before ``options`` are set.
    """

    options: frozenset[str] = frozenset()
    ndots: int | None = None
    timeout_s: int | None = None
    attempts: int | None = None
    nameserver: tuple[str, int] | None = None
    clears: bool = False


@dataclass(frozen=True)
class Job:
    """One probe's whole task. ``entries`` are names (engine libc) or queries (wire); units are in the names.

    ``ports`` says who chooses the source ports of engine wire: ``"kernel"``, or the probe, so that none comes again
    within 180 s, from an address of its ``"own"`` or one ``"shared"`` with probes before and beside it.
    """

    entries: tuple[bytes, ...]
    workers: int
    duration_s: float
    deadline_s: float
    hard_deadline_s: float
    engine: str = "libc"
    loop: str = "closed"
    mode: str = "fresh"
    outstanding: int = 1
    rate_per_s: float = 0.0
    warmup_s: float = 0.0
    seed: int = 0
    limit_ms: float = 4_900.0
    stall_ms: float = 4_500.0
    heartbeat_ms: int = 500
    max_replaced: int = 0
    max_lookups: int = 0
    patch: ResolverPatch | None = None
    arrangement: str = "single"
    transport: str = "udp"
    nameserver: tuple[str, int] | None = field(default=None)
    ports: str = "kernel"
    port_lane: int = 0
    n_port_lanes: int = 0


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def encode(job: Job) -> bytes:
    """Bytes of ``job``.

    Raises
    ------
    UsageError
        A value that no probe would take.
    InvalidName
        An entry of engine libc that is not a domain name.
    """
    if job.workers < 1:
        raise UsageError(sentences.NO_WORKER(workers=str(job.workers)))
    if not 1 <= len(job.entries) <= 65_535:
        raise UsageError(sentences.NAMES_IN_A_JOB(names=f"{len(job.entries):,}"))
    if job.engine == "libc":
        for entry in job.entries:
            _check(entry)
    server = job.nameserver or (job.patch.nameserver if job.patch else None)
    patch, bits, ndots, timeout_s, attempts = _patch_fields(job.patch)
    family, address = _address(server)
    body = b"".join(struct.pack("<H", len(entry)) + entry for entry in job.entries)
    size = JOB.size + len(body)
    if size > JOB_SIZE_MAX:
        raise UsageError(sentences.JOB_TOO_LARGE(size=f"{size:,}", most=f"{JOB_SIZE_MAX:,}"))
    head = JOB.pack(
        b"DNSJ",
        FORMAT_VERSION,
        ENGINES.index(job.engine),
        size,
        0,
        LOOPS.index(job.loop),
        MODES.index(job.mode),
        job.workers,
        len(job.entries),
        job.outstanding,
        round(job.rate_per_s * 1000),
        _ns(job.warmup_s),
        _ns(job.duration_s),
        job.seed & (2**64 - 1),
        _ns(job.deadline_s),
        _ns(job.hard_deadline_s),
        round(job.limit_ms * 1e6),
        round(job.stall_ms * 1e6),
        job.heartbeat_ms,
        job.max_replaced,
        job.max_lookups,
        patch,
        bits,
        ndots,
        timeout_s,
        attempts,
        ARRANGEMENTS.index(job.arrangement),
        TRANSPORTS.index(job.transport),
        family,
        server[1] if server else 0,
        PORTS.index(job.ports),
        address,
        job.port_lane,
        job.n_port_lanes,
        0,
    )
    crc = zlib.crc32(body, zlib.crc32(head[_CHECKED_FROM:]))
    return head[:12] + struct.pack("<I", crc) + head[_CHECKED_FROM:] + body


def decode(data: bytes) -> Job:
    """The job that ``encode`` made ``data`` of; UsageError when the bytes are not one."""
    if len(data) < JOB.size or data[:4] != b"DNSJ":
        raise UsageError("expected a job, saw other bytes")
    fields = JOB.unpack_from(data)
    (_, version, engine, size, crc, loop, mode, workers, n_entries, outstanding, rate, warmup, duration) = fields[:13]
    (seed, deadline, hard_deadline, limit, stall, heartbeat_ms, max_replaced, max_lookups, patch, bits) = fields[13:23]
    (ndots, timeout_s, attempts, arrangement, transport, family, port, ports, address, lane, lanes, _) = fields[23:]
    if version != FORMAT_VERSION or size != len(data) or zlib.crc32(data[_CHECKED_FROM:]) != crc:
        raise UsageError("expected a complete job of this format version")
    entries, position = [], JOB.size
    for _ in range(n_entries):
        (length,) = struct.unpack_from("<H", data, position)
        entries.append(data[position + 2 : position + 2 + length])
        position += 2 + length
    server = None
    if family:
        server = (str(ipaddress.ip_address(address[:4] if family == 4 else address)), port)
    patched = ResolverPatch(
        frozenset(name for name, bit in RES_OPTIONS.items() if bits & bit),
        ndots if patch & PATCH_NDOTS else None,
        timeout_s if patch & PATCH_TIMEOUT else None,
        attempts if patch & PATCH_ATTEMPTS else None,
        server if patch & PATCH_NAMESERVER else None,
    )
    return Job(
        entries=tuple(entries),
        workers=workers,
        duration_s=duration / 1e9,
        deadline_s=deadline / 1e9,
        hard_deadline_s=hard_deadline / 1e9,
        engine=ENGINES[engine],
        loop=LOOPS[loop],
        mode=MODES[mode],
        outstanding=outstanding,
        rate_per_s=rate / 1000,
        warmup_s=warmup / 1e9,
        seed=seed,
        limit_ms=limit / 1e6,
        stall_ms=stall / 1e6,
        heartbeat_ms=heartbeat_ms,
        max_replaced=max_replaced,
        max_lookups=max_lookups,
        patch=patched if patch else None,
        arrangement=ARRANGEMENTS[arrangement],
        transport=TRANSPORTS[transport],
        nameserver=None if patch & PATCH_NAMESERVER else server,
        ports=PORTS[ports],
        port_lane=lane,
        n_port_lanes=lanes,
    )


def wire_query(name: str, rdtype: str) -> bytes:
    """A query for ``name`` and ``rdtype`` with recursion desired, no EDNS (as glibc and musl send it), id 0.

    Raises
    ------
    InvalidName
        ``name`` is not a domain name.
    """
    try:
        return dns.message.make_query(name, rdtype, use_edns=False, id=0).to_wire()
    except dns.exception.DNSException as error:
        raise InvalidName(sentences.NOT_A_NAME(name=repr(name), why=str(error))) from error


def _check(entry: bytes) -> None:
    try:
        dns.name.from_text(entry.decode("ascii"))
    except (dns.exception.DNSException, UnicodeDecodeError) as error:
        name = repr(entry.decode("utf-8", "replace"))
        raise InvalidName(sentences.NOT_A_NAME(name=name, why=str(error))) from error


def _patch_fields(patch: ResolverPatch | None) -> tuple[int, int, int, int, int]:
    if patch is None:
        return 0, 0, 0, 0, 0
    unknown = patch.options - RES_OPTIONS.keys()
    if unknown:
        raise UsageError(sentences.OPTION_NEEDS_FILE(option=repr(min(unknown))))
    bits = sum(RES_OPTIONS[name] for name in patch.options)
    given = (
        (PATCH_NDOTS, patch.ndots),
        (PATCH_TIMEOUT, patch.timeout_s),
        (PATCH_ATTEMPTS, patch.attempts),
        (PATCH_NAMESERVER, patch.nameserver),
        (PATCH_CLEAR, patch.clears or None),
    )
    mask = PATCH_OPTIONS + sum(bit for bit, value in given if value is not None)
    return mask, bits, patch.ndots or 0, patch.timeout_s or 0, patch.attempts or 0


def _address(server: tuple[str, int] | None) -> tuple[int, bytes]:
    if server is None:
        return 0, b""
    try:
        address = ipaddress.ip_address(server[0])
        if "%" in server[0]:
            raise UsageError(sentences.ZONE_NEEDS_LIBC(nameserver=server[0]))
    except ValueError as error:
        raise UsageError(sentences.NOT_AN_ADDRESS(nameserver=repr(server[0]))) from error
    return address.version, address.packed
