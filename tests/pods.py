"""A running pod of ours in a namespace of its own, for tests that need no more than that."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from functools import partial

from dnslab.measure.kubernetes.api.client import Client, connect
from dnslab.measure.kubernetes.api.exec import run
from dnslab.measure.kubernetes.pods.lifecycle import Pods
from dnslab.measure.kubernetes.pods.manifest import CONTAINER, MOUNT, PodSpec
from dnslab.measure.kubernetes.pods.own_pod import OwnPod
from dnslab.measure.kubernetes.pods.pod_facts import choose_probe


@contextlib.contextmanager
def fresh_namespace(client: Client | None = None) -> Iterator[Client]:
    """A client for a namespace that is removed afterwards."""
    core = (client or connect()).core()
    name = f"dnslab-test-{secrets.token_hex(3)}"
    core.create_namespace({"metadata": {"name": name}})
    try:
        yield connect(namespace=name)
    finally:
        core.delete_namespace(name, grace_period_seconds=0)


@contextlib.contextmanager
def own_pod(client: Client, spec: PodSpec | None = None) -> Iterator[OwnPod]:
    """One pod of ours; the cluster's glibc image where no other is named."""
    pods = Pods(client, secrets.token_hex(4))
    try:
        pods.prepare()
        pods.create("one", spec or PodSpec(image="dnslab.test/glibc:1"))
        pod = pods.wait_ready("one")
        execute = partial(run, client, "one", CONTAINER)
        probe = choose_probe(execute, lambda kind: f"{MOUNT}/probe-x86_64-{kind}", "x86_64")
        yield OwnPod(pods, pod, probe, {})
    finally:
        pods.remove_all()
