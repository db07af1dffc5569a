"""The conversation with one probe, from our side: ready, clock exchanges, start instant, stream, acknowledgement.

The order of messages is fixed in probe/format.h. Every byte that the probe sends goes to ``sink`` unchanged.
Knows nothing of backends, plans or files.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dnslab.errors import ProbeFailed, StreamForeign, StreamTruncated
from dnslab.measure.protocol import Channel
from dnslab.sentences import machine as sentences
from dnslab.store import stream as records
from dnslab.text import counted

#: on a small machine, a hundred execs at once through one API server take half a minute
READY_TIMEOUT_S = 45.0
#: a probe sends a heartbeat every half second; after this much silence, the probe or the way to it has died
SILENCE_S = 30.0
CLOCK_EXCHANGES = 8


@dataclass(frozen=True)
class ClockOffset:
    """Probe's monotonic clock minus ours, and the most it can be wrong: half the quickest round trip."""

    offset_ns: int
    error_ns: int


class Conversation:
    """Talks to one probe through ``channel``.

    Call ``ready``, ``measure_clock``, ``go`` and ``follow`` in that order, from one thread; ``stop`` from any.
    """

    def __init__(self, channel: Channel, sink: Callable[[bytes], None]) -> None:
        self._channel = channel
        self._sink = sink
        self._decoder = records.StreamDecoder()
        self._pending: Iterator[records.Message] = iter(())
        self._writing = threading.Lock()

    def ready(self) -> records.Header:
        """Wait for the probe's header. The probe then has its job, its memory and its threads.

        Raises
        ------
        StreamForeign
            Something else came.
        """
        message = next(self._messages(READY_TIMEOUT_S))
        if not isinstance(message, records.Header):
            raise StreamForeign(f"expected the probe's header, saw {type(message).__name__}")
        return message

    def measure_clock(self) -> ClockOffset:
        """Measure the probe's clock by the quickest of a few round trips, as NTP does (RFC 5905 section 8).

        Raises
        ------
        StreamForeign
            Something else came than the answer to a clock request.
        """
        best: ClockOffset | None = None
        for _ in range(CLOCK_EXCHANGES):
            sent_ns = time.monotonic_ns()
            self._ask("PING", sent_ns)
            message = next(self._messages(READY_TIMEOUT_S))
            received_ns = time.monotonic_ns()
            if not isinstance(message, records.Clock) or message.echo != sent_ns:
                raise StreamForeign(f"expected the answer to a clock request, saw {message}")
            error_ns = (received_ns - sent_ns + 1) // 2
            if best is None or error_ns < best.error_ns:
                best = ClockOffset(message.monotonic_ns - (sent_ns + received_ns) // 2, error_ns)
        assert best
        return best

    def go(self, start_ns: int) -> None:
        """Fix the start instant, on the probe's monotonic clock."""
        self._ask("GO", start_ns)

    def stop(self) -> None:
        """Ask the probe for no new lookups; lookups in flight still end. Does nothing when the probe has gone."""
        with contextlib.suppress(ProbeFailed):  # then follow() says why
            self._send("STOP")

    def follow(
        self,
        on_heartbeat: Callable[[records.Heartbeat], None],
        on_records: Callable[[memoryview], None] = lambda block: None,
    ) -> records.Trailer:
        """Pass the stream on until its trailer, acknowledge the trailer, and return it.

        ``on_records`` is given each block of whole records.

        Raises
        ------
        StreamTruncated
            The probe ended, or fell silent, before its trailer.
        StreamForeign
            The bytes were changed on the way, or records were lost.
        """
        for message in self._messages(SILENCE_S):
            if isinstance(message, records.Heartbeat):
                on_heartbeat(message)
            elif isinstance(message, records.Records):
                on_records(message.data)
            elif isinstance(message, records.Trailer):
                break
        trailer = self._decoder.close()
        with contextlib.suppress(ProbeFailed):  # all bytes came, but so late that the probe has ended
            self._send("ACK")
        return trailer

    @property
    def n_records(self) -> int:
        """Records that have come in whole frames so far."""
        return self._decoder.n_records

    def _send(self, kind: str, value: int = 0) -> None:
        with self._writing:
            self._channel.write(records.command(kind, value))

    def _ask(self, kind: str, value: int) -> None:
        """Send as ``_send`` does; where the probe has gone, raise what its last message says."""
        try:
            self._send(kind, value)
        except ProbeFailed:
            for _ in self._messages(SILENCE_S):
                pass
            raise

    def _messages(self, timeout_s: float) -> Iterator[records.Message]:
        """Messages as they come. A caller may stop after any message: the rest is kept for the next call."""
        while True:
            yield from self._backlog()
            try:
                data = self._channel.read(timeout_s)
            except TimeoutError as error:
                raise StreamTruncated(f"{error}, after {counted(self.n_records, 'record')}") from error
            if not data:
                reason = self._channel.errors()
                if self._decoder.header is None:
                    raise ProbeFailed(sentences.PROBE_NOT_READY(why=reason or str(sentences.NO_ERROR_PRINTED)))
                cut_short = sentences.PROBE_CUT_SHORT(records=counted(self.n_records, "record"))
                raise StreamTruncated(cut_short + (f": {reason}" if reason else ""))
            self._sink(data)
            self._pending = self._decoder.feed(data)

    def _backlog(self) -> Iterator[records.Message]:
        while (message := next(self._pending, None)) is not None:
            yield message
