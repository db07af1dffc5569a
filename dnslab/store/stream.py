"""The probe's stream: framing, layout, versions. Mirrors probe/format.h, which documents every byte.

Pure: takes and gives bytes and small dataclasses. Knows nothing of files, processes or numpy; the records
themselves stay bytes here (``RECORD_FIELDS`` tells dataset.py how to read them).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from dnslab.errors import ProbeFailed, StreamForeign, StreamTruncated, StreamVersion
from dnslab.sentences import files as sentences
from dnslab.text import counted

FORMAT_VERSION = 1
MAGIC = b"DNSR"
FRAME = struct.Struct("<4sIII")
FRAME_PAYLOAD_MAX = 1 << 20

RECORD_SIZE = 40
#: name and little-endian numpy type of each field of a record, in order, no padding
RECORD_FIELDS = (
    ("intended_ns", "<u8"),
    ("start_ns", "<u8"),
    ("end_ns", "<u8"),
    ("worker", "<u4"),
    ("outcome", "<i2"),
    ("name", "<u2"),
    ("flags", "<u4"),
    ("answers", "<u4"),
)

OUTCOME_ABANDONED = -32768
OUTCOME_NO_ANSWER = -32767
OUTCOME_SOCKET = -32766
OUTCOME_NOT_STARTED = -32765

FLAG_HALF_LOST = 1
FLAG_HALF_LOST_TWICE = 2
FLAG_WARMUP = 4
FLAG_WORKERS_EXHAUSTED = 8
FLAG_TRUNCATED = 16
FLAG_AAAA = 32
FLAG_TCP = 64

LIBCS = {1: "glibc", 2: "musl", 3: "musl-static"}
END_STATUS = {0: "complete", 1: "stopped", 2: "workers lost"}

_HEADER = struct.Struct("<HHIQQQHHI16s16s")
_CLOCK = struct.Struct("<QQQ")
_HEARTBEAT = struct.Struct("<8Q")
_TRAILER = struct.Struct("<QII9Q")
_COMMAND = struct.Struct("<4sIQ")


@dataclass(frozen=True)
class Header:
    """First frame of a stream: what the probe is. Times are nanoseconds of the probe's own clocks."""

    version: int
    record_size: int
    executable_crc: int
    executable_size: int
    monotonic_ns: int
    realtime_ns: int
    libc: str
    engine: str
    n_cpus: int
    libc_version: str
    machine: str


@dataclass(frozen=True)
class Clock:
    """Answer to a PING: the probe's clocks when it read ``echo``."""

    echo: int
    monotonic_ns: int
    realtime_ns: int


@dataclass(frozen=True)
class Heartbeat:
    """Running totals since the start instant; ``lateness_ns`` is the largest since the last heartbeat."""

    elapsed_ns: int
    n_done: int
    n_failed: int
    n_over_limit: int
    n_stalls: int
    n_in_flight: int
    lateness_ns: int
    blocked_ns: int


@dataclass(frozen=True)
class Trailer:
    """Last frame: totals that the records must agree with, and the probe's own cost."""

    n_records: int
    records_crc: int
    status: str
    elapsed_ns: int
    monotonic_ns: int
    realtime_ns: int
    user_ns: int
    system_ns: int
    n_abandoned: int
    n_replaced: int
    blocked_ns: int
    max_rss_bytes: int


@dataclass(frozen=True)
class Records:
    """A block of whole records as bytes, ``RECORD_SIZE`` each; a view into what was fed."""

    data: memoryview


Message = Header | Clock | Heartbeat | Trailer | Records


def command(kind: str, value: int = 0) -> bytes:
    """Bytes of a command to the probe: ``"PING"``, ``"GO"``, ``"STOP"`` or ``"ACK"``."""
    return _COMMAND.pack(kind.ljust(4).encode("ascii"), 0, value)


def frame(kind: bytes, sequence: int, payload: bytes) -> bytes:
    """One frame as the probe would send it."""
    return FRAME.pack(kind, sequence, len(payload), zlib.crc32(payload)) + payload


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("ascii", "replace")


def _decode_header(payload: memoryview) -> Header:
    if len(payload) < 4:
        raise StreamForeign("the first frame is too short to be a probe's header")
    version, record_size = struct.unpack_from("<HH", payload)
    if version != FORMAT_VERSION:
        raise StreamVersion(
            sentences.STREAM_VERSION(
                version=f"{version}",
                known=f"{FORMAT_VERSION}",
                which=str(sentences.NEWER if version > FORMAT_VERSION else sentences.MATCHING),
            )
        )
    if record_size != RECORD_SIZE or len(payload) != _HEADER.size:
        raise StreamForeign(f"a record of {record_size} bytes in a header of {len(payload)} is not version {version}")
    fields = list(_HEADER.unpack(payload))
    fields[6] = LIBCS.get(fields[6], "unknown")
    fields[7] = {0: "libc", 1: "wire"}.get(fields[7], "unknown")
    fields[9], fields[10] = _text(fields[9]), _text(fields[10])
    return Header(*fields)


def _decode(kind: bytes, payload: memoryview) -> Message:
    if kind == b"RECS":
        if len(payload) % RECORD_SIZE:
            raise StreamForeign(f"a block of {len(payload)} bytes, where records have {RECORD_SIZE}")
        return Records(payload)
    if kind == b"FAIL":
        raise ProbeFailed(sentences.PROBE_REFUSED(why=bytes(payload).decode("utf-8", "replace")))
    try:
        if kind == MAGIC:
            return _decode_header(payload)
        if kind == b"BEAT":
            return Heartbeat(*_HEARTBEAT.unpack(payload))
        if kind == b"CLCK":
            return Clock(*_CLOCK.unpack(payload))
        if kind == b"TAIL":
            fields = list(_TRAILER.unpack(payload))
            fields[2] = END_STATUS.get(fields[2], "unknown")
            return Trailer(*fields)
    except struct.error as error:
        raise StreamForeign(f"a {kind.decode('ascii', 'replace')} frame of {len(payload)} bytes: {error}") from error
    raise StreamForeign(f"a frame of unknown kind {kind!r}")


class StreamDecoder:
    """Incremental decoder: feed bytes as they arrive, take messages out.

    Checks magic, version, sequence, CRC of each frame, and the trailer's totals against the records seen.
    ``n_records`` counts records in whole frames so far; ``trailer`` is set once the stream is whole.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._sequence = 0
        self._crc = 0
        self.n_records = 0
        self.header: Header | None = None
        self.trailer: Trailer | None = None

    def feed(self, data: bytes | memoryview) -> Iterator[Message]:
        """Messages completed by ``data``.

        Raises
        ------
        StreamForeign, StreamVersion
            The bytes are not a probe's, were changed, or are of another format version.
        ProbeFailed
            The probe sent its reason for refusing the job.
        """
        view = memoryview(self._pending + bytes(data)) if self._pending else memoryview(data)
        self._pending = b""  # it is in the view now; a caller may ask for the trailer before this generator ends
        position = 0
        try:
            while len(view) - position >= FRAME.size:
                kind, sequence, size, crc = FRAME.unpack_from(view, position)
                self._check_frame(kind, sequence, size)
                end = position + FRAME.size + size
                if end > len(view):
                    break
                payload = view[position + FRAME.size : end]
                if zlib.crc32(payload) != crc:
                    raise StreamForeign(sentences.CHECKSUM(number=f"{sequence}"))
                position = end
                self._sequence += 1
                yield self._account(_decode(kind, payload))
        finally:
            self._pending = bytes(view[position:])

    def close(self) -> Trailer:
        """The trailer.

        Raises
        ------
        StreamTruncated
            There is none.
        StreamForeign
            Bytes follow it.
        """
        if self.trailer is None:
            cut = sentences.STREAM_CUT(records=counted(self.n_records, "whole record"))
            pending = f"{len(self._pending):,}"
            raise StreamTruncated(sentences.BROKEN_FRAME(cut=cut, pending=pending) if self._pending else cut)
        if self._pending:
            raise StreamForeign(sentences.EXTRA_BYTES(pending=f"{len(self._pending):,}"))
        return self.trailer

    def _check_frame(self, kind: bytes, sequence: int, size: int) -> None:
        if self.header is None and kind not in (MAGIC, b"FAIL"):
            raise StreamForeign(f"expected a stream that begins with {MAGIC!r}, saw {kind!r}")
        if sequence != self._sequence:
            raise StreamForeign(sentences.WRONG_FRAME(number=f"{self._sequence}", saw=f"{sequence}"))
        if size > FRAME_PAYLOAD_MAX:
            raise StreamForeign(f"frame {sequence} claims {size} bytes, more than any probe sends")
        if self.trailer is not None:
            raise StreamForeign(f"frame {sequence} follows the trailer")

    def _account(self, message: Message) -> Message:
        if isinstance(message, Header):
            if self.header is not None:
                raise StreamForeign("a second header")
            self.header = message
        elif isinstance(message, Records):
            self.n_records += len(message.data) // RECORD_SIZE
            self._crc = zlib.crc32(message.data, self._crc)
        elif isinstance(message, Trailer):
            if (message.n_records, message.records_crc) != (self.n_records, self._crc):
                came = f"{self.n_records:,}"
                raise StreamForeign(sentences.RECORDS_LOST(counted=f"{message.n_records:,}", came=came))
            self.trailer = message
        return message
