"""A real nameserver on loopback for tests: threads, UDP and TCP, and a rule that may withhold an answer."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from dnslab.measure.lab.responder import answer

#: rule(type, port of the client, queries seen on that port before): whether to answer
Rule = Callable[[int, int, int], bool]


def _sockets() -> tuple[socket.socket, socket.socket]:
    """For TCP and for UDP, on one port: a free one for TCP may be taken for UDP."""
    while True:
        tcp = socket.create_server(("127.0.0.1", 0), backlog=100)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
        else:
            return tcp, udp


class Nameserver:
    """Answers names under any.cluster.local over UDP and TCP; ``queries`` are (transport, type, client port)."""

    def __init__(self, rule: Rule = lambda rdtype, port, seen: True, tcp_answers: bool = True) -> None:
        self.rule, self.tcp_answers = rule, tcp_answers
        self.queries: list[tuple[str, int, int]] = []
        self._seen: dict[int, int] = {}
        self.tcp, self.udp = _sockets()
        self.port: int = self.tcp.getsockname()[1]
        for body in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=body, daemon=True).start()

    def _wanted(self, transport: str, rdtype: int, port: int) -> bool:
        self.queries.append((transport, rdtype, port))
        seen = self._seen.get(port, 0)
        self._seen[port] = seen + 1
        return self.rule(rdtype, port, seen)

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, address = self.udp.recvfrom(4096)
                if not data:
                    return
                rdtype, reply = answer(data)
                if self._wanted("udp", rdtype, address[1]):
                    self.udp.sendto(reply, address)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, address = self.tcp.accept()
                threading.Thread(target=self._serve_connection, args=(connection, address[1]), daemon=True).start()

    def _serve_connection(self, connection: socket.socket, port: int) -> None:
        with contextlib.suppress(OSError, struct.error), connection, connection.makefile("rb") as stream:
            while True:
                (size,) = struct.unpack("!H", stream.read(2))
                rdtype, reply = answer(stream.read(size))
                if self.tcp_answers and self._wanted("tcp", rdtype, port):
                    connection.sendall(struct.pack("!H", len(reply)) + reply)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.tcp.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self.tcp.close()
        self.udp.close()


@contextlib.contextmanager
def nameserver(rule: Rule = lambda rdtype, port, seen: True, tcp_answers: bool = True) -> Iterator[Nameserver]:
    """A running nameserver, closed afterwards."""
    server = Nameserver(rule, tcp_answers)
    try:
        yield server
    finally:
        server.close()
