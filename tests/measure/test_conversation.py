"""The clock's offset: recovered from a probe whose clock really is another, within the error stated."""

from __future__ import annotations

import contextlib
import time

import pytest

from dnslab.measure.conversation import Conversation
from dnslab.measure.probe import find_probe
from dnslab.measure.probe.job import encode
from dnslab.measure.process import ProcessChannel
from tests.measure.test_probe import JOB

pytestmark = pytest.mark.lab


class Delayed:
    """A channel that delays what it carries: by its own time on the way there and on the way back."""

    def __init__(self, inner: ProcessChannel, there_s: float, back_s: float) -> None:
        self._inner, self._there_s, self._back_s = inner, there_s, back_s

    def write(self, data: bytes) -> None:
        time.sleep(self._there_s)
        self._inner.write(data)

    def read(self, timeout_s: float) -> bytes:
        data = self._inner.read(timeout_s)
        time.sleep(self._back_s)
        return data

    def errors(self) -> str:
        return self._inner.errors()

    def close(self) -> None:
        self._inner.close()


@pytest.mark.alone
@pytest.mark.parametrize("offset_s", [3, -3])
@pytest.mark.parametrize(("there_ms", "back_ms"), [(0, 0), (20, 0), (0, 20), (5, 30)])
def test_offset_is_within_its_stated_error(offset_s: int, there_ms: int, back_ms: int) -> None:
    """The probe runs in a time namespace of its own (time_namespaces(7)): its monotonic clock is seconds off."""
    argv = ["unshare", "--time", f"--monotonic={offset_s}", "--fork", "--kill-child", str(find_probe("glibc"))]
    channel = Delayed(ProcessChannel(argv), there_ms / 1e3, back_ms / 1e3)
    with contextlib.closing(channel):
        channel.write(encode(JOB))
        conversation = Conversation(channel, lambda data: None)
        conversation.ready()
        clock = conversation.measure_clock()
        wrong_ns = clock.offset_ns - offset_s * 10**9
        assert abs(wrong_ns) <= clock.error_ns
        # All of an asymmetric delay may be offset: half of it is what the estimate is off, and it says so.
        # 50 ms more is what a busy machine adds to the shortest of its round trips, at the very worst.
        assert clock.error_ns < (there_ms + back_ms) * 1e6 / 2 + 50e6
