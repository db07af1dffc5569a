"""A target that is a pod of our own: fresh for each trial, its variant in its resolv.conf by dnsConfig."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dnslab.errors import DnslabError, StreamTruncated
from dnslab.measure.kubernetes.api.exec import ExecChannel
from dnslab.measure.kubernetes.pods import pod_facts as look
from dnslab.measure.kubernetes.pods.lifecycle import CONTAINER, Pods, image_id, run
from dnslab.measure.protocol import Channel, TargetFacts


class PodChannel(ExecChannel):
    """An exec that, when it breaks, says what became of its pod."""

    def __init__(self, pods: Pods, pod: str, container: str, argv: Sequence[str]) -> None:
        self._pods = pods
        super().__init__(pods.client, pod, container, argv)

    def read(self, timeout_s: float) -> bytes:
        """As ExecChannel's."""
        try:
            return super().read(timeout_s)
        except StreamTruncated as error:
            state = self._pods.state(self.pod)
            raise StreamTruncated(f"{error}; {state}" if state else str(error)) from error

    def errors(self) -> str:
        """As ExecChannel's; a command that was killed is followed by its pod's state."""
        text = super().errors()
        if self.status is None:
            return text
        if self.status.exit_code == 0 and not text:  # no probe ends well in the middle of a conversation
            text = "its exec ended as if well, as it does when the kubelet or its connection is gone"
        killed = ": killed, out of memory perhaps" if self.status.exit_code == 137 else ""
        state = self._pods.state(self.pod)
        return f"{text}{killed}" + (f"; {state}" if state else "")


class OwnPod:
    """One running pod; ``close`` deletes it."""

    def __init__(
        self,
        pods: Pods,
        pod: Mapping[str, Any],
        found: look.Found,
        extra: Mapping[str, Any],
        on_close: Callable[[], None] = lambda: None,
        *,
        around: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """``around`` gives the counters of what is beside the pod: its node, the DNS servers."""
        self._pods, self._pod, self._found, self._extra, self._on_close = pods, pod, found, extra, on_close
        self._around = around
        self.name: str = pod["metadata"]["name"]
        self.program = found.program
        self._closed = False

    def run(self, argv: Sequence[str]) -> tuple[int, bytes]:
        """Exit code and output of a short command in it."""
        return run(self._pods.client, self.name, CONTAINER, argv)

    def facts(self) -> TargetFacts:
        """As seen inside the pod."""
        seen = look.show(self.run, self._found.program, [look.RESOLV_CONF, look.KERNEL])
        return TargetFacts(
            libc=self._found.libc,
            libc_version=self._found.version,
            means="file",
            resolv_conf=seen[look.RESOLV_CONF] or "",
            kernel=f"Linux {(seen[look.KERNEL] or '').strip()}",
            node=self._pod["spec"]["nodeName"],
            extra={
                "pod": self.name,
                "address": self._pod["status"].get("podIP", ""),
                "image": image_id(self._pod, CONTAINER),
                "probe": self._found.kind,
                **self._extra,
            },
        )

    def start(self, job: bytes) -> Channel:
        """Start the probe for the container's libc."""
        channel = PodChannel(self._pods, self.name, CONTAINER, [self._found.program])
        channel.write(job)
        return channel

    def counters(self) -> Mapping[str, int]:
        """The pod's own, its node's CPU time, and those of what is around it."""
        return {**look.pod_counters(self.run, self._found.program), **self._around()}

    def ground_truth(self) -> Mapping[str, Any] | None:
        """No fault is injected here."""
        return None

    def close(self) -> None:
        """Delete the pod; where the API server cannot be asked, its own deadline ends it. May be called twice."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(DnslabError):  # remove_all tries again, and says so when it cannot
            self._pods.remove(self.name)
        self._on_close()
