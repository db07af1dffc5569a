"""A nameserver that answers as none should, over UDP and TCP, on port 53 of loopback. Run as a program.

What it does follows from the seed and the question alone, so that a job which is repeated meets the same answers. It
ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import random
import signal
import struct
import sys
from collections.abc import Callable

from dnslab.measure.lab.responder import answer
from tests.fuzz import mutate

#: how much of what it says is right
WELL = 0.3

_POINTER_LOOP = b"\xc0\x0c"


def _right(rng: random.Random, reply: bytes) -> list[bytes]:
    return [reply]


def _none(rng: random.Random, reply: bytes) -> list[bytes]:
    return []


def _cut(rng: random.Random, reply: bytes) -> list[bytes]:
    return [reply[: rng.randrange(len(reply) + 1)]]


def _truncated(rng: random.Random, reply: bytes) -> list[bytes]:
    return [reply[:2] + bytes((reply[2] | 2,)) + reply[3:]]


def _another_id(rng: random.Random, reply: bytes) -> list[bytes]:
    return [rng.randbytes(2) + reply[2:], reply][: rng.choice((1, 2))]


def _code(rng: random.Random, reply: bytes) -> list[bytes]:
    return [reply[:3] + bytes((rng.randrange(256),)) + reply[4:]]


def _counts(rng: random.Random, reply: bytes) -> list[bytes]:
    counts = struct.pack("!4H", *(rng.choice((0, 1, 2, 65_535)) for _ in range(4)))
    return [reply[:4] + counts + reply[12:]]


def _records(rng: random.Random, reply: bytes) -> list[bytes]:
    """Many records: of any type, their names pointers that go round, their lengths wrong."""
    end = reply.index(b"\0", 12) + 5
    made = b""
    n = rng.choice((1, 3, 40, 300))
    for _ in range(n):
        name = rng.choice(
            (_POINTER_LOOP, b"\xc0" + bytes((end + 12,)), b"\xff\xff", b"\0", b"\x3f" + b"a" * 63 + b"\xc0\x0c")
        )
        rdtype = rng.choice((1, 1, 28, 28, 5, 39, 41, 6, 65_535))
        right = {1: 4, 28: 16}.get(rdtype, 2)
        data = rng.choice((rng.randbytes(right), _POINTER_LOOP, name, b""))
        length = rng.choice((len(data), len(data), 0, right, 65_535))
        made += name + struct.pack("!HHIH", rdtype, 1, 0, length) + data
    return [(reply[:6] + struct.pack("!H", n) + reply[8:end] + made)[: rng.choice((512, 4_096, 65_000))]]


def _many(rng: random.Random, reply: bytes) -> list[bytes]:
    return [reply] * rng.choice((2, 40))


def _damaged(rng: random.Random, reply: bytes) -> list[bytes]:
    return [mutate.raw(rng, reply) for _ in range(rng.choice((1, 3)))]


def _nonsense(rng: random.Random, reply: bytes) -> list[bytes]:
    return [rng.choice((b"", b"\0", reply[:2], reply[:12], rng.randbytes(rng.choice((1, 11, 17, 512, 9_000)))))]


_WAYS: tuple[Callable[[random.Random, bytes], list[bytes]], ...] = (
    _none, _cut, _truncated, _another_id, _code, _counts, _records, _records, _many, _damaged, _damaged, _nonsense
)  # fmt: skip


def replies(seed: str, query: bytes, transport: str) -> list[bytes]:
    """What to send for ``query``, in order."""
    try:
        _, reply = answer(query)
    except ValueError:
        return []
    rng = random.Random(seed.encode() + transport.encode() + query[12:])
    way = _right if rng.random() < WELL else rng.choice(_WAYS)
    return way(rng, reply)


def stream(seed: str, query: bytes) -> tuple[list[bytes], bool]:
    """Pieces to write to a connection, and whether it is closed then."""
    rng = random.Random(seed.encode() + b"stream" + query[12:])
    data = b""
    for reply in replies(seed, query, "tcp"):
        size = len(reply) if rng.random() < 0.8 else rng.choice((0, 1, 16, 8_190, 8_191, 65_535, len(reply) + 1))
        data += struct.pack("!H", size) + reply
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 5))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)], rng.random() < 0.2


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, seed: str) -> None:
        self.seed = seed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        for reply in replies(self.seed, data, "udp"):
            self.transport.sendto(reply, addr)  # type: ignore[attr-defined]


async def _connection(seed: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            pieces, closes = stream(seed, await reader.readexactly(size))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if closes:
                break
    except (asyncio.IncompleteReadError, OSError):
        pass
    writer.transport.abort()


async def main(seed: str) -> None:
    loop = asyncio.get_running_loop()
    for address in ("127.0.0.1", "::1"):
        await loop.create_datagram_endpoint(lambda: _Udp(seed), local_addr=(address, 53))
        await asyncio.start_server(lambda r, w: _connection(seed, r, w), address, 53, backlog=1000)
    print("ready", flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started it
    asyncio.run(main(sys.argv[1]))
