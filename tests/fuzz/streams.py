"""Record streams: damaged bytes, and whole frames that say what no probe says, their checksums being right."""

from __future__ import annotations

import random
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from dnslab.analyse.lookups import decode
from dnslab.errors import DnslabError
from dnslab.store import stream as records
from dnslab.store.client import ClientRecord
from dnslab.store.contents import ClientEnd, ClientStart
from tests.fuzz import mutate
from tests.fuzz.harness import reading
from tests.store.test_stream import HEADER, RECORD

#: streams of a case, each from one stream that is whole
PER_CASE = 500
#: of these so many are also read from a file, and decoded to columns
DECODED_PER_CASE = 5
KINDS = (b"DNSR", b"RECS", b"BEAT", b"CLCK", b"TAIL", b"FAIL", b"XXXX", b"\0\0\0\0")

Frames = list[tuple[bytes, int, bytes]]

START: dict[str, Any] = {
    "round": 1, "group": 1, "variant": "baseline", "load": 0, "trial": 1, "target": "glibc", "libc": "glibc",
    "engine": "libc", "arrangement": "single", "names": ["web.any.cluster.local.", "b."], "expected": [[1, 1], [0, 0]],
    "asks_aaaa": True, "stall_ms": 4500.0, "libc_version": "2.36", "resolv_conf": "", "deadline_s": 16.0,
    "started_realtime_ns": 0, "counters": {},
}  # fmt: skip


def frames(rng: random.Random) -> Frames:
    """A whole stream of few records, the numbers in them likely or not."""
    blocks = [_records(rng, rng.choice((0, 1, 3))) for _ in range(rng.choice((0, 1, 2)))]
    made: Frames = [(b"DNSR", 0, HEADER)]
    if rng.random() < 0.3:
        made.append((b"CLCK", 0, rng.randbytes(24)))
    for block in blocks:
        made.append((b"RECS", 0, block))
        made.append((b"BEAT", 0, rng.randbytes(64)))
    made.append((b"TAIL", 0, b""))
    return made


def _records(rng: random.Random, n: int) -> bytes:
    made = b""
    for _ in range(n):
        fields = list(struct.unpack("<QQQIhHII", RECORD))
        for _ in range(rng.choice((0, 1, 2))):
            place = rng.randrange(8)
            size = (8, 8, 8, 4, 2, 2, 4, 4)[place]
            value = rng.choice((0, 1, 2, 3, 1 << (8 * size - 1), (1 << 8 * size) - 1, rng.getrandbits(8 * size)))
            fields[place] = value if place != 4 else (value + 2**15) % 2**16 - 2**15
        made += struct.pack("<QQQIhHII", *fields)
    return made


def with_totals(made: Frames) -> Frames:
    """The same with the totals of its trailer right."""
    data = b"".join(payload for kind, _, payload in made if kind == b"RECS")
    tail = struct.pack("<QII9Q", len(data) // 40, zlib.crc32(data), 0, *range(9))
    return [(kind, number, tail if kind == b"TAIL" else payload) for kind, number, payload in made]


def joined(made: Frames) -> bytes:
    """As bytes: sequence numbers and checksums are right, apart from what was changed in the sequence."""
    return b"".join(records.frame(kind, i + off, payload) for i, (kind, off, payload) in enumerate(made))


def damaged(rng: random.Random, made: Frames) -> bytes:
    """A stream with something wrong, at the depth of frames, of payloads or of bytes."""
    changed = list(made)
    at = rng.randrange(len(changed))
    kind, number, payload = changed[at]
    action = rng.randrange(12)
    if action == 0:
        changed[at] = (rng.choice(KINDS), number, payload)
    elif action == 1:
        del changed[at]
    elif action == 2:
        changed.insert(at, changed[rng.randrange(len(changed))])
    elif action == 3:
        changed[at] = (kind, rng.choice((-at, 1, 2**31)), payload)
    elif action == 4:
        changed[at] = (kind, number, payload[: rng.randrange(len(payload) + 1)])
    elif action == 5:
        changed[at] = (kind, number, payload + rng.randbytes(rng.choice((1, 40))))
    elif action < 9:
        changed[at] = (kind, number, mutate.raw(rng, payload))
    data = joined(changed)
    if action < 9:
        return data
    if action == 9:  # a size that is wrong, over a payload that is not
        where = rng.randrange(0, max(1, len(data) - 12))
        return data[:where] + struct.pack("<I", rng.choice((0, 1, 39, 2**20, 2**20 + 1, 2**32 - 1))) + data[where + 4 :]
    if action == 10:
        return data[: rng.randrange(len(data))]
    return mutate.raw(rng, data)


def read(data: bytes, rng: random.Random) -> None:
    """Decode as it would come over a network: in one piece, or in several."""
    decoder = records.StreamDecoder()
    cut = rng.randrange(len(data) + 1) if rng.random() < 0.3 else len(data)
    for part in (data[:cut], data[cut:]):
        for _ in decoder.feed(part):
            pass
    decoder.close()


def case(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    made = with_totals(frames(rng))
    path = folder / "glibc.dnsr"
    counts["streams"] += PER_CASE
    with reading(counts, "batches"):
        for i in range(PER_CASE):
            data = joined(with_totals(frames(rng))) if i % 20 == 0 else damaged(rng, made)
            try:
                read(data, rng)
            except DnslabError:
                counts["streams refused"] += 1
            except Exception:
                path.write_bytes(data)
                raise
    for _ in range(DECODED_PER_CASE):
        again = frames(rng)
        path.write_bytes(joined(with_totals(again)) if rng.random() < 0.5 else damaged(rng, with_totals(again)))
        engine, arrangement = rng.choice(("libc", "wire")), rng.choice(("single", "pair-one-socket"))
        start = ClientStart.model_validate({**START, "engine": engine, "arrangement": arrangement})
        with reading(counts, "streams decoded"):
            lookups = decode(ClientRecord(1, 1, "glibc", start, ClientEnd(status="complete"), path))
            assert len(lookups.outcome) == len(lookups.raw) == len(lookups.stall) == len(lookups.half_lost)
            assert lookups.n_warmup_stalls <= len(lookups.warmup)
