"""A DNS server that answers late, wrongly or not at all, over UDP and TCP. Run as a program.

Its one argument is JSON, see ``Settings``. Answers have a TTL of 0; a name outside the lab's zone gets NXDOMAIN. It
counts what it did by fault, and soon writes that to a file as JSON. It imports nothing of dnslab, so that it starts
quickly.
"""

import asyncio
import collections
import contextlib
import json
import os
import random
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

A, AAAA = 1, 28
RDATA = {A: bytes((10, 96, 0, 1)), AAAA: bytes.fromhex("fd0000100096") + bytes(9) + b"\x01"}
#: wire form of the zone's names that exist, lower case
EXISTING = (
    b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\0",
    b"\x03web\x07default\x03svc\x07cluster\x05local\0",
)
ANY = b"\x03any\x07cluster\x05local\0"
NO_ERROR, NXDOMAIN, REFUSED = 0, 3, 5
TRUNCATED = 0x0200


@dataclass
class Settings:
    """What the server does. Seconds of ``from`` and ``for`` count from a client's first query; ``for`` 0 has no end.

    ``a_ms`` and ``aaaa_ms`` delay every answer, ``late_ms`` the share ``late_p``. ``rcode`` goes to the share
    ``rcode_p`` of queries of ``rcode_types``, REFUSED to all while ``most`` wait. ``mute`` leaves names with that label
    unanswered. Each TCP connection takes one of ``tcp_workers``, if any, for ``tcp_busy_ms``. ``did`` and ``pidfile``
    are paths.
    """

    address: str = "0.0.0.0"
    a_ms: float = 0
    aaaa_ms: float = 0
    slow_from: float = 0
    slow_for: float = 0
    late_p: float = 0
    late_ms: float = 0
    rcode: float = 2
    rcode_p: float = 0
    rcode_types: list[float] = field(default_factory=list)
    rcode_from: float = 0
    rcode_for: float = 0
    truncate_p: float = 0
    most: float = 0
    tcp_workers: float = 0
    tcp_busy_ms: float = 0
    mute: float = 0
    rcvbuf: int = 0
    did: str = ""
    pidfile: str = ""


def split(query: bytes) -> tuple[int, bytes, bytes]:
    """The question's type, its name in lower case, and all of it; ValueError for bytes that are no query."""
    end = query.find(b"\0", 12)
    if len(query) < 17 or end < 0 or len(query) < end + 5 or query[2] & 0x80:
        raise ValueError("no query")
    question = query[12 : end + 5]
    return struct.unpack_from("!H", query, end + 1)[0], question[:-4].lower(), question


def answer(query: bytes, rcode: int = NO_ERROR, truncated: bool = False) -> tuple[int, bytes]:
    """The question type of ``query``, and its whole answer: an address, an error, or the question alone."""
    rdtype, name, question = split(query)
    exists = name in EXISTING or name.endswith(ANY)
    rdata = RDATA.get(rdtype) if exists and not rcode and not truncated else None
    flags = 0x8580 | (rcode or (NO_ERROR if exists else NXDOMAIN)) | (TRUNCATED if truncated else 0)
    head = query[:2] + struct.pack("!5H", flags, 1, 1 if rdata else 0, 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, rdtype, 1, 0, len(rdata)) + rdata if rdata else b""
    return rdtype, head + question + record


class Server:
    """Decides on each query, and counts what it did."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.waiting = 0
        self.did: collections.Counter[str] = collections.Counter()
        self._first_s: dict[str, float] = {}
        self._workers = asyncio.Semaphore(int(settings.tcp_workers))

    def _within(self, client: str, begins_s: float, lasts_s: float) -> bool:
        now_s = time.monotonic()
        age_s = now_s - self._first_s.setdefault(client, now_s)
        return age_s >= begins_s and (not lasts_s or age_s < begins_s + lasts_s)

    def reply(self, query: bytes, client: str, over_tcp: bool) -> tuple[float, bytes] | None:
        """Seconds to wait and the answer then; None for no answer at all."""
        has = self.settings
        rdtype, name, _ = split(query)
        if has.mute and b"\x04mute" in name:
            self.did["name-never-answers"] += 1
            return None
        slow = self._within(client, has.slow_from, has.slow_for)
        delay_s = {A: has.a_ms, AAAA: has.aaaa_ms}.get(rdtype, 0.0) / 1e3 if slow else 0.0
        self.did["delayed"] += delay_s > 0
        if has.late_p and random.random() < has.late_p:
            self.did["upstream-one-dead"] += 1
            delay_s += has.late_ms / 1e3
        if has.most and self.waiting >= has.most:
            self.did["refused-over-n"] += 1
            return 0.0, answer(query, REFUSED)[1]
        wrong = rdtype in has.rcode_types and self._within(client, has.rcode_from, has.rcode_for)
        if wrong and random.random() < has.rcode_p:
            self.did["rcode"] += 1
            return delay_s, answer(query, int(has.rcode))[1]
        truncated = not over_tcp and random.random() < has.truncate_p
        self.did["truncation"] += truncated
        self.did["answered"] += 1
        return delay_s, answer(query, truncated=truncated)[1]

    async def worker(self) -> None:
        """Wait for a worker that serves a new connection, and let it go when its time is over."""
        if self.settings.tcp_workers:
            self.did["tcp-workers"] += self._workers.locked()
            await self._workers.acquire()
            asyncio.get_running_loop().call_later(self.settings.tcp_busy_ms / 1e3, self._workers.release)

    async def write_counts(self) -> None:
        """Write what was done to its file whenever it has changed."""
        written: dict[str, int] = {}
        while True:
            if self.did != written:
                written = dict(self.did)
                with open(f"{self.settings.did}.new", "w", encoding="ascii") as file:
                    json.dump(written, file)
                os.replace(f"{self.settings.did}.new", self.settings.did)
            await asyncio.sleep(0.05)


class Udp(asyncio.DatagramProtocol):
    """Answers each datagram after its delay."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with contextlib.suppress(ValueError):
            reply = self.server.reply(data, addr[0], over_tcp=False)
            if reply:
                self.server.waiting += 1
                self.loop.call_later(reply[0], self._send, reply[1], addr)

    def _send(self, reply: bytes, addr: tuple[str, int]) -> None:
        self.server.waiting -= 1
        self.transport.sendto(reply, addr)


async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
    """Answer each query of a connection after its delay, in whatever order that makes."""
    loop = asyncio.get_running_loop()
    await server.worker()
    client = writer.get_extra_info("peername")[0]

    def send(reply: bytes) -> None:
        server.waiting -= 1
        writer.write(struct.pack("!H", len(reply)) + reply)

    try:
        while True:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            reply = server.reply(await reader.readexactly(size), client, over_tcp=True)
            if reply:
                server.waiting += 1
                loop.call_later(reply[0], send, reply[1])
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        writer.close()


async def main(settings: Settings) -> None:
    """Serve on port 53 until killed."""
    server = Server(settings)
    if settings.pidfile:
        with open(settings.pidfile, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    if settings.rcvbuf:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.rcvbuf)
    udp.setblocking(False)
    udp.bind((settings.address, 53))
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: Udp(server), sock=udp)
    listening = await asyncio.start_server(lambda r, w: tcp(r, w, server), settings.address, 53, backlog=1000)
    if settings.did:
        await server.write_counts()
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Settings(**json.loads(sys.argv[1]))))
