"""One exec into a container, as the byte stream to and from a probe or as a short command.

Reads the WebSocket's frames itself: the official client's ``update`` and ``read_*`` copy everything they have seen
for each frame (kubernetes 37.0: 100 MB take two minutes) and report a cut connection as an ordinary end. Knows
nothing of what is run.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import websocket
from kubernetes.stream import stream, ws_client
from urllib3.util import wait_for_read
from websocket import ABNF

from dnslab.errors import NotAble, ProbeFailed, StreamTruncated
from dnslab.measure.kubernetes.api.client import Client, answered

#: until the API server's machine acknowledges, and until the container's command runs: a hundred at once take half a
#: minute on a small machine
CONNECT_TIMEOUT_S, START_TIMEOUT_S = 10.0, 45.0
#: a ping as often as kubectl's; without any frame for this long the peer is dead (kubectl waits 61 s)
PING_INTERVAL_S = 5.0
DEAD_PEER_S = 30.0
#: the channels of v4.channel.k8s.io and v5 (k8s.io/apimachinery remotecommand/constants.go)
STDIN, STDOUT, STDERR, STATUS = 0, 1, 2, 3
MAX_WRITE = 1 << 16
MAX_STDERR = 1 << 16


class _WebSocket(websocket.WebSocket):  # type: ignore[misc]
    """Limits the time to connect. The official client passes no timeout, and the kernel tries for two minutes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sock_opt.timeout = START_TIMEOUT_S
        self.sock_opt.sockopt = [*self.sock_opt.sockopt, *_give_up_after(CONNECT_TIMEOUT_S)]


def _give_up_after(timeout_s: float) -> list[tuple[int, int, int]]:
    """Socket options that end a connection whose packets are not acknowledged for this time; 0 keeps the kernel's
    default.
    """
    if not hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it
        return []
    return [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout_s * 1000))]


ws_client.WebSocket = _WebSocket


@dataclass(frozen=True)
class ExecStatus:
    """How a command ended: its exit code, or None and the container runtime's message if it never ran."""

    exit_code: int | None
    message: str


class ExecChannel:
    """The channel to a command run in a container.

    ``read`` is for one thread, ``write``, ``errors`` and ``close`` are for any. A connection that breaks raises
    StreamTruncated from ``read``: it never looks like the command's end.

    Raises
    ------
    NotAble
        The API server, or the runtime behind it, does not run the command.
    """

    def __init__(self, client: Client, pod: str, container: str, argv: Sequence[str]) -> None:
        self.pod = pod
        self._io = threading.Lock()
        self._stdout = b""
        self._stderr = bytearray()
        self._closed = False
        self.status: ExecStatus | None = None
        try:
            with answered(f"exec in pod {pod}"):
                connection: Any = stream(
                    client.core().connect_get_namespaced_pod_exec,
                    pod,
                    client.namespace,
                    container=container,
                    command=list(argv),
                    stdin=True,
                    stdout=True,
                    stderr=True,
                    tty=False,
                    _preload_content=False,
                    binary=True,
                )
        except websocket.WebSocketException as error:
            raise NotAble(f"cannot exec in pod {pod}: {error}") from error
        self._socket = connection.sock
        self._raw = self._socket.sock
        self._socket.settimeout(DEAD_PEER_S)  # within a frame, where nobody watches
        for option in _give_up_after(0):
            self._raw.setsockopt(*option)
        self.protocol: str = connection.subprotocol or ""
        self._heard_s = self._pinged_s = time.monotonic()

    def write(self, data: bytes) -> None:
        """Send all of ``data`` to the command's stdin.

        Raises
        ------
        ProbeFailed
            The connection broke.
        """
        view = memoryview(data)
        try:
            for offset in range(0, len(view), MAX_WRITE):
                with self._io:
                    self._socket.send_binary(bytes([STDIN]) + view[offset : offset + MAX_WRITE])
        except (websocket.WebSocketException, OSError) as error:
            raise ProbeFailed(f"the connection to pod {self.pod} broke: {error}") from error

    def read(self, timeout_s: float) -> bytes:
        """At least one byte of stdout; ``b""`` after the command has ended, when ``status`` says how.

        Raises
        ------
        TimeoutError
            None came for ``timeout_s``.
        StreamTruncated
            The connection broke before the command ended.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._stdout:
            if self.status is not None or self._closed:
                return b""
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"pod {self.pod} sent nothing for {timeout_s:g} s")
            try:
                self._step(left_s)
            except (websocket.WebSocketException, OSError, ValueError) as error:
                if self._closed:
                    return b""
                raise StreamTruncated(f"the connection to pod {self.pod} broke: {error}") from error
        data, self._stdout = self._stdout, b""
        return data

    def _step(self, left_s: float) -> None:
        """Wait for at most one frame, and keep the connection alive while nothing comes."""
        now_s = time.monotonic()
        # by poll: select takes no descriptor above 1023, and each target has two: this one and its file's
        if not self._raw.pending() and not wait_for_read(self._raw, min(left_s, 1.0)):
            if now_s - self._heard_s > DEAD_PEER_S:
                raise OSError(f"no frame for {DEAD_PEER_S:g} s, not even the answer to a ping")
            if now_s - max(self._heard_s, self._pinged_s) > PING_INTERVAL_S:
                self._pinged_s = now_s
                with self._io:
                    self._socket.ping()
            return
        with self._io:
            operation, frame = self._socket.recv_data_frame(True)
        self._heard_s = time.monotonic()
        if operation == ABNF.OPCODE_CLOSE:
            raise OSError("closed by the other side before the command ended")
        if operation in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) and frame.data:
            self._take(frame.data[0], memoryview(frame.data)[1:])

    def _take(self, channel: int, payload: memoryview) -> None:
        if channel == STDOUT:
            self._stdout = bytes(payload)
        elif channel == STDERR:
            self._stderr += payload
            del self._stderr[:-MAX_STDERR]
        elif channel == STATUS:
            self.status = _status(bytes(payload))

    def errors(self) -> str:
        """The command's stderr, and the container runtime's message if the command did not run or was killed."""
        text = bytes(self._stderr).decode("utf-8", "replace").strip()
        if self.status and self.status.exit_code != 0:
            text = f"{text} ({self.status.message})" if text else self.status.message
        return " ".join(text.split())

    def close(self) -> None:
        """Close the connection, so that the command reads end of file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        with self._io:
            with contextlib.suppress(Exception):
                self._socket.close(timeout=1)
            self._socket.shutdown()  # where the farewell failed, the socket is still there


def _status(payload: bytes) -> ExecStatus:
    """Parse the v1.Status that ends an exec. Only a cause called ExitCode holds an exit code."""
    try:
        status = json.loads(payload)
    except ValueError:
        return ExecStatus(None, payload.decode("utf-8", "replace"))
    if status.get("status") == "Success":
        return ExecStatus(0, "")
    causes = (status.get("details") or {}).get("causes") or []
    code = next((int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"), None)
    return ExecStatus(code, status.get("message", ""))


#: short commands at the same time: with more, a node starts none sooner and each only waits longer
_RUNNING = threading.Semaphore(8)


def run(client: Client, pod: str, container: str, argv: Sequence[str], timeout_s: float = 15.0) -> tuple[int, bytes]:
    """Exit code and output of a short command in a container; 127 if the command does not exist there.

    Raises
    ------
    ProbeFailed
        It did not end in time.
    """
    with _RUNNING:
        channel = ExecChannel(client, pod, container, argv)
        try:
            parts = []
            while data := channel.read(timeout_s):
                parts.append(data)
        except TimeoutError as error:
            raise ProbeFailed(f"{argv[0]} in pod {pod} did not end within {timeout_s:g} s") from error
        finally:
            channel.close()
    status = channel.status
    code = status.exit_code if status and status.exit_code is not None else 127
    return code, b"".join(parts) or channel.errors().encode()
