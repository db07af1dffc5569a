"""The channel to a command in a pod. If it breaks, its error says what happened to the pod."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dnslab.errors import StreamTruncated
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.exec import ExecChannel

#: exit code of a process that SIGKILL ended, 128 + 9: the kernel's OOM killer sends it
KILLED = 137


class PodChannel(ExecChannel):
    """An exec whose errors end with what happened to its pod; ``state`` takes the pod's name and says it."""

    def __init__(
        self, client: Client, pod: str, container: str, argv: Sequence[str], state: Callable[[str], str]
    ) -> None:
        self._state = state
        super().__init__(client, pod, container, argv)

    def read(self, timeout_s: float) -> bytes:
        """As ``ExecChannel.read``. StreamTruncated also names the pod's state."""
        try:
            return super().read(timeout_s)
        except StreamTruncated as error:
            state = self._state(self.pod)
            raise StreamTruncated(f"{error}; {state}" if state else str(error)) from error

    def errors(self) -> str:
        """As ``ExecChannel.errors``. After a command that was killed, the pod's state follows."""
        text = super().errors()
        if self.status is None:
            return text
        if self.status.exit_code == 0 and not text:  # no probe ends well in the middle of a conversation
            text = "its exec ended as if well, as it does when the kubelet or its connection is gone"
        killed = ": killed, out of memory perhaps" if self.status.exit_code == KILLED else ""
        state = self._state(self.pod)
        return f"{text}{killed}" + (f"; {state}" if state else "")
