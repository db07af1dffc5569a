"""An independent witness: every packet of a client or a node, as tcpdump wrote it down."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dnslab.measure.lab.backend import LabTarget
from dnslab.measure.lab.namespaces import environment

#: link type of a capture on every interface (tcpdump.org/linktypes)
LINUX_SLL2 = 276


@dataclass(frozen=True)
class Packet:
    """One packet on the client's link; the DNS fields are those of its (first) message over UDP, else 0 and empty."""

    at_ns: int
    protocol: str
    by: str
    source_port: int
    to: str
    port: int
    query_id: int
    rdtype: int
    name: str


def read_pcap(path: Path) -> list[Packet]:
    """Packets of a pcap file with nanosecond stamps; of Ethernet frames, or of all links at once (LINUX_SLL2)."""
    data = path.read_bytes()
    if struct.unpack_from("<I", data)[0] != 0xA1B23C4D:
        raise ValueError("expected a pcap file with nanosecond stamps")
    kind_at, header = (0, 20) if struct.unpack_from("<I", data, 20)[0] == LINUX_SLL2 else (12, 14)
    packets, at = [], 24
    while at + 16 <= len(data):
        seconds, nanoseconds, size, _ = struct.unpack_from("<4I", data, at)
        frame = data[at + 16 : at + 16 + size]
        at += 16 + size
        if frame[kind_at : kind_at + 2] == b"\x08\x00" and frame[header + 9] in (6, 17):
            packets.append(_packet(seconds * 10**9 + nanoseconds, frame[header:]))
    return packets


def _packet(at_ns: int, packet: bytes) -> Packet:
    header = (packet[0] & 15) * 4
    source_port, port = struct.unpack_from("!HH", packet, header)
    ends = socket.inet_ntoa(packet[12:16]), source_port, socket.inet_ntoa(packet[16:20]), port
    if packet[9] == 6:
        return Packet(at_ns, "tcp", *ends, 0, 0, "")
    message = packet[header + 8 :]
    labels, place = [], 12
    while len(message) > place and message[place]:
        labels.append(message[place + 1 : place + 1 + message[place]].decode("ascii", "replace"))
        place += message[place] + 1
    query_id, rdtype = struct.unpack_from("!H", message)[0], struct.unpack_from("!H", message, place + 1)[0]
    return Packet(at_ns, "udp", *ends, query_id, rdtype, ".".join(labels) + ".")


@contextlib.contextmanager
def captured(target: LabTarget) -> Iterator[list[Packet]]:
    """Capture in the client; the list is filled when the block ends."""
    inside = target._lab.inside
    with tcpdump(lambda argv: inside.enter(argv, target.client), ["-i", "eth0"], environment()) as packets:
        yield packets


@contextlib.contextmanager
def tcpdump(
    enter: Callable[[list[str]], list[str]], where: list[str], env: Mapping[str, str] | None = None
) -> Iterator[list[Packet]]:
    """Capture DNS ``where`` tcpdump's options say, ``enter`` making its command line one that runs there."""
    packets: list[Packet] = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # tcpdump gives up its rights
        path = Path(folder) / "pcap"
        argv = ["tcpdump", "--immediate-mode", *where, "-w", str(path), "-U", "-Z", "root"]
        # A slot of the ring holds the longest packet allowed: without -s, 16 MiB are 64 of them, and a burst is lost.
        argv += ["-B", "16384", "-s", "2048", "--time-stamp-precision=nano", "port", "53"]
        process = subprocess.Popen(enter(argv), stderr=subprocess.PIPE, env=env, start_new_session=True)
        assert process.stderr
        while b"listening" not in (line := process.stderr.readline()):
            if not line:
                raise RuntimeError("tcpdump did not start")
        try:
            yield packets
        finally:
            time.sleep(0.3)
            # Where nsenter forked, the signal has to reach its child, and no other; else the process itself.
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for pid in children or [str(process.pid)]:
                subprocess.run(["kill", "-INT", pid], check=False)
            process.wait(5)
            with process.stderr as said:
                lost = re.findall(rb"(\d+) packets? dropped by kernel", said.read())
            assert lost == [b"0"], lost
            packets.extend(read_pcap(path))
