"""A DNS server that answers late: A after one delay, AAAA after another, over UDP and TCP. Run as a program.

unbound cannot delay an answer. Answers have a TTL of 0; a name outside the lab's zone gets NXDOMAIN.
It imports nothing of dnslab, so that it starts quickly.
"""

import asyncio
import struct
import sys

A, AAAA = 1, 28
RDATA = {A: bytes((10, 96, 0, 1)), AAAA: bytes.fromhex("fd0000100096") + bytes(9) + b"\x01"}
#: wire form of the zone's names that exist, lower case
EXISTING = (
    b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\0",
    b"\x03web\x07default\x03svc\x07cluster\x05local\0",
)
ANY = b"\x03any\x07cluster\x05local\0"


def answer(query: bytes) -> tuple[int, bytes]:
    """The question type of ``query``, and its whole answer; ValueError for bytes that are no query."""
    end = query.find(b"\0", 12)
    if len(query) < 17 or end < 0 or len(query) < end + 5 or query[2] & 0x80:
        raise ValueError("no query")
    question = query[12 : end + 5]
    (rdtype,) = struct.unpack_from("!H", query, end + 1)
    name = question[:-4].lower()
    exists = name in EXISTING or name.endswith(ANY)
    rdata = RDATA.get(rdtype) if exists else None
    flags = 0x8580 if exists else 0x8583
    head = query[:2] + struct.pack("!5H", flags, 1, 1 if rdata else 0, 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, rdtype, 1, 0, len(rdata)) + rdata if rdata else b""
    return rdtype, head + question + record


class Udp(asyncio.DatagramProtocol):
    """Answers each datagram after its delay."""

    def __init__(self, delays_s: dict[int, float]) -> None:
        self.delays_s = delays_s
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        try:
            rdtype, reply = answer(data)
        except ValueError:
            return
        self.loop.call_later(self.delays_s.get(rdtype, 0.0), self.transport.sendto, reply, addr)  # type: ignore[attr-defined]


async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delays_s: dict[int, float]) -> None:
    """Answer each query of a connection after its delay, in whatever order that makes."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            rdtype, reply = answer(await reader.readexactly(size))
            loop.call_later(delays_s.get(rdtype, 0.0), writer.write, struct.pack("!H", len(reply)) + reply)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        writer.close()


async def main(a_ms: float, aaaa_ms: float) -> None:
    """Serve on port 53 until killed."""
    delays_s = {A: a_ms / 1e3, AAAA: aaaa_ms / 1e3}
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Udp(delays_s), local_addr=("0.0.0.0", 53))
    server = await asyncio.start_server(lambda r, w: tcp(r, w, delays_s), "0.0.0.0", 53, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
