"""A DNS server with the defects of the held-out faults, over UDP and TCP. Run as a program.

Its one argument is JSON: ``defect`` names what is wrong, other keys are its parameters (milliseconds and shares),
``did`` and ``pidfile`` are paths. It counts what it did and soon writes that to a file as JSON. It imports nothing of
dnslab, so that it starts quickly and shares no code with the servers that dnslab was tried on.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

A, AAAA = 1, 28
DATA = {A: bytes((10, 96, 0, 1)), AAAA: bytes.fromhex("fd000010009600000000000000000001")}
ZONE = (b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\0", b"\x03web\x07default\x03svc\x07cluster\x05local\0")
ANY = b"\x03any\x07cluster\x05local\0"
#: the port that some answers come from, where a defect wants that
OTHER_PORT = 5300
Address = tuple[str, int]


def question(query: bytes) -> tuple[int, bytes, bytes]:
    """Type, name in lower case, and the whole question of ``query``; ValueError for other bytes."""
    end = query.find(b"\0", 12)
    if len(query) < 17 or end < 0 or len(query) < end + 5 or query[2] & 0x80:
        raise ValueError("no query")
    return struct.unpack_from("!H", query, end + 1)[0], query[12 : end + 1].lower(), query[12 : end + 5]


def answer(query: bytes, empty: bool = False) -> bytes:
    """A right answer with a TTL of 30 s, or one that says that the name exists and has no such record."""
    rdtype, name, asked = question(query)
    exists = name in ZONE or name.endswith(ANY)
    data = DATA.get(rdtype) if exists and not empty else None
    header = query[:2] + struct.pack("!5H", 0x8580 if exists else 0x8583, 1, 1 if data else 0, 0, 0)
    return header + asked + (struct.pack("!HHHIH", 0xC00C, rdtype, 1, 30, len(data)) + data if data else b"")


def checksummed(source: Address, to: Address, payload: bytes, error: int) -> bytes:
    """An IPv4 packet with a UDP datagram whose checksum is off by ``error``; the kernel fills in the rest."""
    length = 8 + len(payload)
    pseudo = socket.inet_aton(source[0]) + socket.inet_aton(to[0]) + struct.pack("!2H", socket.IPPROTO_UDP, length)
    head = struct.pack("!3H", source[1], to[1], length)
    data = pseudo + head + bytes(2) + payload
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    datagram = head + struct.pack("!H", ((~total & 0xFFFF) + error) % 0xFFFF or 0xFFFF) + payload
    ends = socket.inet_aton(source[0]) + socket.inet_aton(to[0])
    return struct.pack("!2B3H2BH", 0x45, 0, 20 + length, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends + datagram


class Server:
    """What is wrong with each answer, and how often it was."""

    def __init__(self, has: dict[str, Any]) -> None:
        self.has = has
        self.did: Counter[str] = Counter()
        self.name = os.path.basename(has["pidfile"]).removesuffix(".pid")
        self.address = has["addresses"].get(self.name, "")
        delays: dict[str, Callable[[int], float]] = {
            "slow-exponential": lambda rdtype: random.expovariate(1 / has["ms"]),
            "aaaa-uniform": lambda rdtype: random.uniform(has["low"], has["high"]) if rdtype == AAAA else 0.0,
            "a-late": lambda rdtype: has["ms"] if rdtype == A else 0.0,
            "one-slow-endpoint": lambda rdtype: has["ms"] if self.name == "server-b" else 0.0,
            "heavy-tail": lambda rdtype: self._tail(),
        }
        self.delay_ms = delays.get(has["defect"])

    def _tail(self) -> float:
        return min(self.has["most"], self.has["ms"] * random.paretovariate(1)) if self._hit() else 0.0

    def _hit(self) -> bool:
        return bool(random.random() < self.has["p"])

    def reply(self, query: bytes, over_udp: bool) -> tuple[float, bytes, str]:
        """Seconds to wait, the answer, and how it is sent: ``""`` or the name of a defect."""
        rdtype, _, _ = question(query)
        defect, how = self.has["defect"], ""
        reply, delay_ms = answer(query), self.delay_ms(rdtype) if self.delay_ms else 0.0
        if defect == "empty-answers" and self._hit():
            reply, how = answer(query, empty=True), defect
        elif defect == "wrong-id" and over_udp and self._hit():
            reply, how = bytes((reply[0] ^ 0x5A, reply[1])) + reply[2:], defect
        elif defect in ("other-port", "raw-checksum") and over_udp and self._hit():
            how = defect
        self.did["answered"] += 1
        if how or delay_ms:
            self.did[defect] += 1
            self.did["delayed_ms"] += round(delay_ms)
        return delay_ms / 1e3, reply, how

    async def stop_now_and_then(self) -> None:
        """Do nothing at all for some time, again and again, as a collector of garbage does."""
        while self.has.get("stop"):
            rest_ms = random.expovariate(1 / self.has["every"]) if self.has.get("random") else self.has["every"]
            await asyncio.sleep(rest_ms / 1e3)
            time.sleep(self.has["stop"] / 1e3)
            self.did["stops"] += 1

    async def write_counts(self) -> None:
        """Write what was done to its file whenever it has changed."""
        written: dict[str, int] = {}
        while True:
            if self.did != written:
                written = dict(self.did)
                with open(f"{self.has['did']}.new", "w", encoding="ascii") as file:
                    json.dump(written, file)
                os.replace(f"{self.has['did']}.new", self.has["did"])
            await asyncio.sleep(0.05)


class Udp(asyncio.DatagramProtocol):
    """Answers each datagram after its delay."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.other = bound(OTHER_PORT) if server.has["defect"] == "other-port" else None
        raw = server.has["defect"] == "raw-checksum"
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) if raw else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        with contextlib.suppress(ValueError):
            delay_s, reply, how = self.server.reply(data, over_udp=True)
            asyncio.get_running_loop().call_later(delay_s, self._send, reply, addr, how)

    def _send(self, reply: bytes, addr: Address, how: str) -> None:
        if how == "other-port" and self.other:
            self.other.sendto(reply, addr)
        elif how == "raw-checksum" and self.raw:
            self.raw.sendto(checksummed((self.server.address, 53), addr, reply, 1), (addr[0], 0))
        else:
            self.transport.sendto(reply, addr)


async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
    """Answer the queries of a connection, each after its delay."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
        while True:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            delay_s, reply, _ = server.reply(await reader.readexactly(size), over_udp=False)
            asyncio.get_running_loop().call_later(delay_s, writer.write, struct.pack("!H", len(reply)) + reply)
    writer.close()


def bound(port: int, rcvbuf: int = 0) -> socket.socket:
    """A UDP socket on ``port``, with a receive buffer of ``rcvbuf`` bytes if that is not 0."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if rcvbuf:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    udp.setblocking(False)
    udp.bind(("0.0.0.0", port))
    return udp


async def main(has: dict[str, Any]) -> None:
    """Serve on port 53 until killed."""
    with open(has["pidfile"], "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    server = Server(has)
    udp = bound(53, int(has["rcvbuf"]))
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: Udp(server), sock=udp)
    await asyncio.start_server(lambda r, w: tcp(r, w, server), "0.0.0.0", 53, backlog=1000)
    await asyncio.gather(server.write_counts(), server.stop_now_and_then())


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
