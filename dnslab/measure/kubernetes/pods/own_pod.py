"""A target that is an own pod: new for each trial, with the variant set by its dnsConfig."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dnslab.errors import DnslabError
from dnslab.measure.kubernetes.api.exec import run
from dnslab.measure.kubernetes.pods import pod_facts
from dnslab.measure.kubernetes.pods.channel import PodChannel
from dnslab.measure.kubernetes.pods.condition import image_id
from dnslab.measure.kubernetes.pods.lifecycle import Pods
from dnslab.measure.kubernetes.pods.manifest import CONTAINER
from dnslab.measure.protocol import Channel, TargetFacts
from dnslab.measure.witnesses import Reading


class OwnPod:
    """One running own pod, which ``close`` deletes.

    ``extra`` goes to the facts as it is. ``counters_around`` gives the counters of what is beside the pod: its node,
    the DNS servers.
    """

    def __init__(
        self,
        pods: Pods,
        pod: Mapping[str, Any],
        probe: pod_facts.LoadableProbe,
        extra: Mapping[str, Any],
        on_close: Callable[[], None] = lambda: None,
        *,
        counters_around: Callable[[], Reading] = Reading,
    ) -> None:
        self._pods, self._pod, self._probe, self._extra, self._on_close = pods, pod, probe, extra, on_close
        self._counters_around = counters_around
        self.name: str = pod["metadata"]["name"]
        self.program = probe.program
        self._closed = False

    def run(self, argv: Sequence[str]) -> tuple[int, bytes]:
        """Exit code and output of a short command in the pod."""
        return run(self._pods.client, self.name, CONTAINER, argv)

    def facts(self) -> TargetFacts:
        """As seen inside the pod."""
        texts = pod_facts.show(self.run, self.program, [pod_facts.RESOLV_CONF, pod_facts.KERNEL])
        return TargetFacts(
            libc=self._probe.libc,
            libc_version=self._probe.version,
            means="file",
            resolv_conf=texts[pod_facts.RESOLV_CONF] or "",
            kernel=f"Linux {(texts[pod_facts.KERNEL] or '').strip()}",
            node=self._pod["spec"]["nodeName"],
            extra={
                "pod": self.name,
                "address": self._pod["status"].get("podIP", ""),
                "image": image_id(self._pod, CONTAINER),
                "probe": self._probe.kind,
                **self._extra,
            },
        )

    def start(self, job: bytes) -> Channel:
        """Start the probe for the container's libc."""
        channel = PodChannel(self._pods.client, self.name, CONTAINER, [self.program], self._pods.state)
        channel.write(job)
        return channel

    def counters(self) -> Reading:
        """Counters of the pod, of the DNS servers and of the node if they may be read, and the node's CPU time."""
        reading = pod_facts.pod_counters(self.run, self.program)
        reading.include(self._counters_around())
        return reading

    def ground_truth(self) -> Mapping[str, Any] | None:
        """No fault is injected here."""
        return None

    def close(self) -> None:
        """Delete the pod. If the API server does not answer, the pod's own deadline ends it. May be called twice."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(DnslabError):  # remove_all tries again, and says so when it cannot
            self._pods.remove(self.name)
        self._on_close()
