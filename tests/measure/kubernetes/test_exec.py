"""Exec streams: whole or known to be cut, whatever the way to the pod does; and quick enough not to be measured."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import resource
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import kubernetes.stream.ws_client
import numpy as np
import pytest

from dnslab.errors import DnslabError, NotAble, StreamTruncated
from dnslab.measure.kubernetes.api.client import Client, connect
from dnslab.measure.kubernetes.api.exec import ExecChannel, run
from dnslab.measure.kubernetes.pods.manifest import CONTAINER
from dnslab.measure.kubernetes.pods.own_pod import OwnPod
from dnslab.measure.probe.job import Job
from dnslab.measure.protocol import Channel
from tests.measure.test_probe import talk_over
from tests.pods import fresh_namespace, own_pod

pytestmark = pytest.mark.cluster

MEGABYTE = 1 << 20
MARK = b"END\n"
JOB = Job(entries=(b"web.any.cluster.local.",), workers=20, duration_s=10.0, deadline_s=20.0, hard_deadline_s=60.0)


@pytest.fixture(scope="module")
def client(cluster: None) -> Iterator[Client]:
    with fresh_namespace() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def pod(client: Client) -> Iterator[OwnPod]:
    with own_pod(client) as running:
        yield running


def shell(client: Client, script: str) -> ExecChannel:
    return ExecChannel(client, "one", CONTAINER, ["/bin/sh", "-c", script])


def read_all(channel: Channel, timeout_s: float = 30.0) -> bytes:
    with contextlib.closing(channel):
        return b"".join(iter(lambda: channel.read(timeout_s), b""))


def produce(n_bytes: int) -> str:
    return f"yes 0123456789abcde | head -c {n_bytes}; echo END"


class CuttingProxy:
    """Passes bytes between a client and the API server; cuts a connection after ``cut_after`` bytes from the server."""

    def __init__(self, server: str) -> None:
        address = urlsplit(server)
        self._target = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut_after: int | None = None
        self.passed = 0
        self.paused = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self.passed = 0
                threading.Thread(target=self._up, args=(near, far), daemon=True).start()
                threading.Thread(target=self._down, args=(far, near), daemon=True).start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 16):
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)

    def _down(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 14):
                left = len(data) if self.cut_after is None else max(0, self.cut_after - self.passed)
                near.sendall(data[:left])
                self.passed += len(data[:left])
                if left < len(data):
                    break
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxied(client: Client) -> Iterator[tuple[CuttingProxy, Client]]:
    proxy = CuttingProxy(client.server)
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(client_configuration=configuration)
    configuration.refresh_api_key_hook = None  # it would load the kubeconfig's host again
    configuration.host = proxy.url
    yield proxy, dataclasses.replace(client, configuration=configuration)
    proxy.close()


@pytest.fixture(params=["v5.channel.k8s.io", "v4.channel.k8s.io"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the API server is offered; an older one, or a proxy in between, knows v4 alone."""
    monkeypatch.setattr(kubernetes.stream.ws_client, "V5_CHANNEL_PROTOCOL", request.param)
    return str(request.param)


def test_both_protocols_carry_a_conversation(pod: OwnPod, protocol: str) -> None:
    started: list[Any] = []

    def start(job: bytes) -> Channel:
        started.append(pod.start(job))
        return started[0]  # type: ignore[no-any-return]

    rows, trailer, header = talk_over(start, dataclasses.replace(JOB, max_lookups=200))
    assert started[0].protocol == protocol
    assert (len(rows), trailer.status, header.libc) == (200, "complete", "glibc")


def test_what_a_command_says_and_how_it_ends(client: Client, pod: OwnPod) -> None:
    channel = shell(client, "echo out; echo err >&2; exit 3")
    assert read_all(channel) == b"out\n"
    assert channel.status
    assert channel.status.exit_code == 3
    assert channel.errors().startswith("err (command terminated")
    missing = ExecChannel(client, "one", CONTAINER, ["/no/such/program"])
    assert read_all(missing) == b""
    assert missing.status
    assert "no such file" in missing.errors()


def test_an_unknown_pod_is_one_line(client: Client, pod: OwnPod) -> None:
    with pytest.raises(NotAble, match=r'cannot exec in pod nobody: pods "nobody" not found') as caught:
        ExecChannel(client, "nobody", CONTAINER, ["/bin/true"])
    assert "\n" not in str(caught.value)


@pytest.mark.verify
def test_three_hundred_streams_arrive_whole_or_are_known_not_to(client: Client, pod: OwnPod) -> None:
    def read_once(_: int) -> str:
        try:
            data = read_all(shell(client, produce(MEGABYTE)))
        except (DnslabError, TimeoutError):
            return "reported"
        if not data.endswith(MARK):
            return "reported"  # no mark: as a stream without its trailer
        return "whole" if len(data) == MEGABYTE + len(MARK) else "silently short"

    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(read_once, range(300)))
    counts = {kind: outcomes.count(kind) for kind in ("whole", "reported", "silently short")}
    print(f"300 streams of 1 MB: {counts}, {time.monotonic() - began:.0f} s")
    assert counts["whole"] >= 299
    assert counts["silently short"] == 0


@pytest.mark.verify
def test_a_cut_stream_is_always_caught(proxied: tuple[CuttingProxy, Client], pod: OwnPod) -> None:
    proxy, through = proxied
    job = dataclasses.replace(JOB, max_lookups=2000)

    def start(data: bytes) -> Channel:
        channel = ExecChannel(through, "one", CONTAINER, [pod.program])
        channel.write(data)
        return channel

    rows, _, _ = talk_over(start, job)
    assert len(rows) == 2000
    whole = proxy.passed
    generator = random.Random(1)
    caught: list[str] = []
    for _ in range(50):
        # The end of the whole stream varies by some frames of heartbeats: nine tenths of it are always before it.
        proxy.cut_after = generator.randrange(0, int(0.9 * whole))
        with pytest.raises(DnslabError) as error:
            talk_over(start, job)
        caught.append(type(error.value).__name__)
    print(f"cut within {whole} bytes, 50 times: { ({name: caught.count(name) for name in set(caught)}) }")
    assert len(caught) == 50


@pytest.mark.alone
def test_a_paused_reader_does_not_change_latencies(pod: OwnPod) -> None:
    job = dataclasses.replace(JOB, loop="fixed", rate_per_s=400.0, workers=50, duration_s=8.0)

    def latencies(pause_s: float) -> Any:
        rows, trailer, _ = talk_over(pod.start, job, read=lambda conversation: time.sleep(pause_s))
        assert trailer.status == "complete"
        return (rows["end_ns"] - rows["intended_ns"]) / 1e6

    free, paused = latencies(0.0), latencies(5.0)
    assert abs(len(free) - 3200) <= 2
    assert abs(len(paused) - 3200) <= 2
    quantiles = [(np.quantile(times_ms, (0.5, 0.99)).round(2).tolist()) for times_ms in (free, paused)]
    print(f"p50 and p99 in ms, read at once and after 5 s: {quantiles}")
    assert np.median(paused) < 1.5 * np.median(free) + 0.2
    assert np.quantile(paused, 0.99) < 3 * np.quantile(free, 0.99) + 5


def bare(client: Client, script: str) -> int:
    """Bytes read by the least that reads an exec stream: frames, counted and dropped."""
    ws = kubernetes.stream.stream(
        client.core().connect_get_namespaced_pod_exec,
        "one",
        client.namespace,
        container=CONTAINER,
        command=["/bin/sh", "-c", script],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
        binary=True,
    ).sock
    n_bytes = 0
    while True:
        operation, frame = ws.recv_data_frame(True)
        if operation == 8 or (frame.data and frame.data[0] == 3):
            ws.close(timeout=1)
            return n_bytes
        if frame.data and frame.data[0] == 1:
            n_bytes += len(frame.data) - 1


@pytest.mark.verify
@pytest.mark.alone
def test_reading_keeps_up_with_a_bare_reader(client: Client, pod: OwnPod) -> None:
    size = 50 * MEGABYTE
    bare_s, ours_s = [], []
    for _ in range(7):
        began = time.monotonic()
        assert bare(client, produce(size)) == size + len(MARK)
        middle = time.monotonic()
        assert len(read_all(shell(client, produce(size)))) == size + len(MARK)
        bare_s.append(middle - began)
        ours_s.append(time.monotonic() - middle)
    # The quickest of each: what else the machine does only makes a reading longer.
    ratio = min(bare_s) / min(ours_s)
    print(f"throughput against a bare reader: {ratio:.2f}")
    assert ratio >= 0.7


def test_a_connection_that_breaks_is_not_an_end(proxied: tuple[CuttingProxy, Client], pod: OwnPod) -> None:
    proxy, through = proxied
    proxy.cut_after = None
    channel = ExecChannel(through, "one", CONTAINER, ["/bin/sh", "-c", "echo here; sleep 60"])
    assert channel.read(10) == b"here\n"
    proxy.cut_after = 0
    channel.write(b"x" * 100)
    with pytest.raises((StreamTruncated, TimeoutError)):
        # the server's next frame (the answer to a ping) meets the cut
        channel.read(15)
    channel.close()


def test_the_client_is_for_the_namespace_asked(client: Client) -> None:
    assert connect(namespace="elsewhere").namespace == "elsewhere"
    assert client.server in str(client)


def test_a_channel_works_beside_a_thousand_open_files(client: Client, pod: OwnPod) -> None:
    """select takes no descriptor from 1024 on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        code, output = run(client, pod.name, CONTAINER, [pod.program, "--version"])
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert code == 0, output
