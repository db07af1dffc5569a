"""A thousand targets: exec sessions with real probes, in threads as dnslab has them, and in asyncio.

``python -m bench.many_targets`` makes pods of its own and runs each case in a process of its own. asyncio is what
kubernetes.aio gives; it shares no code with the threads but the decoder of the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import platform
import re
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes.aio.client
import kubernetes.aio.config
from kubernetes.aio.stream import WsApiClient

from dnslab.errors import DnslabError, StreamForeign, StreamTruncated
from dnslab.measure.conversation import CLOCK_EXCHANGES, READY_TIMEOUT_S, SILENCE_S, Conversation
from dnslab.measure.kubernetes.api.client import Client, connect
from dnslab.measure.kubernetes.api.exec import STDIN, STDOUT, ExecChannel
from dnslab.measure.kubernetes.pods.lifecycle import Pods
from dnslab.measure.kubernetes.pods.manifest import CONTAINER, MOUNT, PodSpec
from dnslab.measure.pacing import CLOCKS_AT_ONCE, START_DELAY_NS, START_DELAY_PER_CLIENT_NS, StartInstant
from dnslab.measure.probe.job import Job, encode
from dnslab.store import stream as records

SIZES = (100, 1000)
KINDS = ("threads", "calm threads", "asyncio")
#: of "calm threads". By default each thread that waits for the interpreter's lock wakes every 5 ms to ask for it: a few
#: hundred of them keep a machine busy with that alone.
SWITCH_INTERVAL_S = 0.1
N_PODS = 30
PROGRAM = f"{MOUNT}/probe-{platform.machine()}-static"
#: thirty probes and the runtimes that start them; one probe's pod has 128Mi
RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
#: nodes start no more processes a second when more wait: all 1,000 at once took 42 s too, and a probe that is not ready
#: after READY_TIMEOUT_S is given up
CONNECTS_AT_ONCE = 8
JOB = Job(
    entries=(b"web.any.cluster.local.",),
    workers=1,
    loop="fixed",
    rate_per_s=1.0,
    duration_s=10.0,
    deadline_s=20.0,
    hard_deadline_s=1800.0,  # from the job on: the first probe waits until the last has started
)


@dataclass
class Session:
    """What became of one session; ``lost`` says why it was, else ``""``."""

    ready_s: float = 0.0
    ready_cpu_s: float = 0.0
    go_s: float = 0.0
    late: bool = False
    clock_error_ms: float = 0.0
    n_records: int = 0
    lost: str = ""

    def ready(self) -> None:
        self.ready_s, self.ready_cpu_s = time.monotonic(), time.process_time()

    def go(self, start_ns: int) -> None:
        """The start instant was sent; a probe that has it late starts late."""
        self.go_s, self.late = time.monotonic(), time.monotonic_ns() > start_ns


def in_threads(client: Client, n: int, job: Job) -> list[Session]:
    """The project's own channel and conversation, a thread for each."""
    ready, start = StartInstant(n), StartInstant(n)
    connecting, clocks = threading.Semaphore(CONNECTS_AT_ONCE), threading.Semaphore(CLOCKS_AT_ONCE)

    def one(i: int) -> Session:
        session, name = Session(), str(i)
        with contextlib.ExitStack() as stack:
            stack.callback(start.leave, name)
            stack.callback(ready.leave, name)
            try:
                with connecting:
                    channel = ExecChannel(client, pod_name(i), CONTAINER, [PROGRAM])
                    stack.enter_context(contextlib.closing(channel))
                    channel.write(encode(job))
                    conversation = Conversation(channel, lambda data: None)
                    conversation.ready()
                session.ready()
                ready.wait(name)
                with clocks:
                    clock = conversation.measure_clock()
                session.clock_error_ms = clock.error_ns / 1e6
                start_ns = start.wait(name)
                conversation.go(start_ns + clock.offset_ns)
                session.go(start_ns)
                session.n_records = conversation.follow(lambda beat: None).n_records
            except DnslabError as error:
                session.lost = str(error)
        return session

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


class Gate:
    """The runner's start instant for coroutines."""

    def __init__(self, n: int) -> None:
        self._n, self._arrived = n, set[int]()
        self._open = asyncio.Event()
        self._instant_ns = 0

    def leave(self, i: int) -> None:
        self._arrived.add(i)
        if len(self._arrived) == self._n and not self._open.is_set():
            self._instant_ns = time.monotonic_ns() + START_DELAY_NS + self._n * START_DELAY_PER_CLIENT_NS
            self._open.set()

    async def wait(self, i: int) -> int:
        self.leave(i)
        await self._open.wait()
        return self._instant_ns


class AsyncConversation:
    """What Conversation and ExecChannel do, over a WebSocket of aiohttp."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._decoder = records.StreamDecoder()
        self._pending: Iterator[records.Message] = iter(())

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(bytes([STDIN]) + data)

    async def ready(self) -> None:
        if not isinstance(await self._message(READY_TIMEOUT_S), records.Header):
            raise StreamForeign("expected the probe's header")

    async def measure_clock(self) -> tuple[int, int]:
        """Offset and error in ns, as Conversation.measure_clock."""
        exchanges = []
        for _ in range(CLOCK_EXCHANGES):
            sent_ns = time.monotonic_ns()
            await self.write(records.command("PING", sent_ns))
            message = await self._message(READY_TIMEOUT_S)
            received_ns = time.monotonic_ns()
            if not isinstance(message, records.Clock) or message.echo != sent_ns:
                raise StreamForeign(f"expected the answer to a clock request, saw {message}")
            error_ns = (received_ns - sent_ns + 1) // 2
            exchanges.append((error_ns, message.monotonic_ns - (sent_ns + received_ns) // 2))
        error_ns, offset_ns = min(exchanges)
        return offset_ns, error_ns

    async def follow(self) -> records.Trailer:
        while not isinstance(await self._message(SILENCE_S), records.Trailer):
            pass
        trailer = self._decoder.close()
        await self.write(records.command("ACK"))
        return trailer

    async def _message(self, timeout_s: float) -> records.Message:
        while (message := next(self._pending, None)) is None:
            try:
                frame = await self._socket.receive_bytes(timeout=timeout_s)
            except (TimeoutError, TypeError) as error:  # TypeError: the frame that ends the connection
                raise StreamTruncated(f"{error}; {self._decoder.n_records} records came before") from error
            if frame[:1] == bytes([STDOUT]):
                self._pending = self._decoder.feed(frame[1:])
        return message


@contextlib.asynccontextmanager
async def aio_core(n: int) -> AsyncIterator[Any]:
    """kubernetes.aio's CoreV1Api for ``n`` execs at once; its default is 100 connections, where the next one waits."""
    configuration = kubernetes.aio.client.Configuration()
    await kubernetes.aio.config.load_kube_config(client_configuration=configuration)
    configuration.connection_pool_maxsize = n
    async with WsApiClient(configuration, heartbeat=30) as api:
        yield kubernetes.aio.client.CoreV1Api(api)


async def in_asyncio(client: Client, n: int, job: Job) -> list[Session]:
    """The same in one thread."""
    ready, start = Gate(n), Gate(n)
    connecting, clocks = asyncio.Semaphore(CONNECTS_AT_ONCE), asyncio.Semaphore(CLOCKS_AT_ONCE)

    async def one(core: Any, i: int) -> Session:
        session = Session()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(start.leave, i)
            stack.callback(ready.leave, i)
            try:
                async with connecting:
                    connection = await core.connect_get_namespaced_pod_exec_without_preload_content(
                        pod_name(i),
                        client.namespace,
                        container=CONTAINER,
                        command=[PROGRAM],
                        stdin=True,
                        stdout=True,
                        stderr=True,
                        tty=False,
                        _headers={"sec-websocket-protocol": "v5.channel.k8s.io"},
                    )
                    conversation = AsyncConversation(await stack.enter_async_context(connection))
                    await conversation.write(encode(job))
                    await conversation.ready()
                session.ready()
                await ready.wait(i)
                async with clocks:
                    offset_ns, error_ns = await conversation.measure_clock()
                session.clock_error_ms = error_ns / 1e6
                start_ns = await start.wait(i)
                await conversation.write(records.command("GO", start_ns + offset_ns))
                session.go(start_ns)
                session.n_records = (await conversation.follow()).n_records
            except (DnslabError, aiohttp.ClientError, OSError) as error:
                session.lost = str(error) or type(error).__name__
        return session

    async with aio_core(n) as core:
        return list(await asyncio.gather(*(one(core, i) for i in range(n))))


def pod_name(i: int) -> str:
    return f"many-{i % N_PODS}"


def measure(kind: str, n: int, namespace: str) -> str:
    """One case in this process, told in a line; why sessions were lost follows."""
    client = connect(namespace=namespace)
    if kind == "calm threads":
        sys.setswitchinterval(SWITCH_INTERVAL_S)

    def run(n: int, job: Job) -> list[Session]:
        return asyncio.run(in_asyncio(client, n, job)) if kind == "asyncio" else in_threads(client, n, job)

    run(1, dataclasses.replace(JOB, max_lookups=1))  # what is imported and built at the first call
    began_s, cpu_s, before_mib = time.monotonic(), time.process_time(), peak_mib()
    sessions = run(n, JOB)
    ended_cpu_s = time.process_time()
    whole = [session for session in sessions if not session.lost]
    lost = Counter(re.sub(r"\d+", "N", session.lost) for session in sessions if session.lost)
    if not whole:
        return f"{kind}, {n} sessions: all lost: {lost.most_common(3)}"
    errors_ms = [session.clock_error_ms for session in whole]
    ready_cpu_s = max(session.ready_cpu_s for session in whole)
    gone_s = [session.go_s for session in whole]
    return (
        f"{kind}, {n} sessions: connected in {max(one.ready_s for one in whole) - began_s:.1f} s, "
        f"first to last GO {max(gone_s) - min(gone_s):.3f} s ({sum(one.late for one in whole)} late), "
        f"clock error {statistics.median(errors_ms):.2f} ms (worst {max(errors_ms):.2f}), "
        f"peak memory {peak_mib():.0f} MiB ({before_mib:.0f} before), CPU {ready_cpu_s - cpu_s:.1f} s to connect "
        f"and {ended_cpu_s - ready_cpu_s:.1f} s after, "
        f"{sum(one.n_records for one in whole)} lookups, {len(sessions) - len(whole)} sessions lost"
    ) + "".join(f"\n  {count} lost: {reason}" for reason, count in lost.most_common(3))


def peak_mib() -> float:
    """ru_maxrss would also count the process that forked this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


@contextlib.contextmanager
def running_pods() -> Iterator[Client]:
    """N_PODS pods of ours in a namespace of their own."""
    name = f"dnslab-bench-{secrets.token_hex(3)}"
    client = connect(namespace=name)
    client.core().create_namespace({"metadata": {"name": name}})
    try:
        pods = Pods(client, secrets.token_hex(4))
        pods.prepare()
        for i in range(N_PODS):
            pods.create(pod_name(i), PodSpec(image="dnslab.test/static:1", resources=RESOURCES))
        for i in range(N_PODS):
            pods.wait_ready(pod_name(i))
        yield client
    finally:
        client.core().delete_namespace(name, grace_period_seconds=0)


def bench_many_targets() -> None:
    """Exec sessions with real probes, in threads and in asyncio."""
    if not os.environ.get("DNSLAB_TEST_CLUSTER"):
        print("many targets: no cluster was asked for (DNSLAB_TEST_CLUSTER=1 and KUBECONFIG; tests/cluster starts one)")
        return
    with running_pods() as client:
        for n in SIZES:
            for kind in KINDS:
                argv = [sys.executable, "-m", "bench.many_targets", kind, str(n), client.namespace]
                subprocess.run(argv, check=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3]), flush=True)
    else:
        bench_many_targets()
