"""Own pods, from creation to removal.

Every object carries the run's id as a label. Knows nothing of trials, nor of what runs in a pod.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from dnslab.errors import NotAble
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, NoAnswer, Refused, answered, persistently
from dnslab.measure.kubernetes.api.names import RUN_LABEL
from dnslab.measure.kubernetes.api.objects import delete_at_once, list_objects, read
from dnslab.measure.kubernetes.pods.condition import all_containers_run, one_line, why_ended, why_not_started
from dnslab.measure.kubernetes.pods.manifest import PodSpec, configmap_manifest, configmap_name, pod_manifest

READY_TIMEOUT_S = 120.0
#: the same where the image is on the node already, and for each pod that is made beside: a hundred on three nodes take
#: 22 s on two cores that do nothing else
AGAIN_TIMEOUT_S, BESIDE_TIMEOUT_S = 45.0, 0.5


class Pods:
    """The pods of one run in one namespace: makes them, waits for them together, removes them."""

    def __init__(self, client: Client, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self._lock = threading.Condition()
        self._listed: dict[str, dict[str, Any]] = {}
        self._is_listing = False
        self._names: set[str] = set()
        self._prepared = False

    def prepare(self) -> None:
        """Create the ConfigMap that holds the probe.

        Raises
        ------
        NotAble
            It is refused.
        """
        with answered("make the ConfigMap with the probe"):
            self.client.core().create_namespaced_config_map(
                self.client.namespace, configmap_manifest(self.run_id), _request_timeout=TIMEOUT_S
            )
        self._prepared = True

    def create(self, name: str, spec: PodSpec) -> None:
        """Create the pod without waiting for it.

        Raises
        ------
        NotAble
            It is refused, in the API server's words.
        """
        with self._lock:
            self._names.add(name)
        persistently(partial(self._post, name, pod_manifest(name, self.run_id, spec)))

    def _post(self, name: str, manifest: Mapping[str, Any]) -> None:
        try:
            with answered(f"make pod {name}"):
                self.client.core().create_namespaced_pod(self.client.namespace, manifest, _request_timeout=TIMEOUT_S)
        except NoAnswer:  # it may have been made all the same
            raise
        except NotAble as error:
            if isinstance(error, Refused) and error.reason == "AlreadyExists":  # by a call whose answer was lost
                return
            self._forget(name)
            raise

    def _forget(self, name: str) -> None:
        with self._lock:
            self._names.discard(name)
            self._listed.pop(name, None)

    def wait_ready(self, name: str, timeout_s: float = READY_TIMEOUT_S) -> dict[str, Any]:
        """Wait until the pod's container runs, and return the pod.

        Raises
        ------
        NotAble
            With the kubelet's or the scheduler's own words, as soon as waiting is hopeless.
        """
        began_s = time.monotonic()
        while True:
            with self._lock:
                pod = self._listed.get(name)
                waited_s = time.monotonic() - began_s
                if pod and all_containers_run(pod):
                    return pod
                problem = why_not_started(pod, waited_s) if pod else ""
                if problem or waited_s > timeout_s:
                    problem = problem or f"not running after {timeout_s:g} s"
                    raise NotAble(one_line(f"pod {name} does not start: {problem}{self._warning(name)}"))
                if self._is_listing:
                    self._lock.wait(1.0)
                    continue
                self._is_listing = True
            self._list()

    def _list(self) -> None:
        """List all pods of the run, once for all threads that wait.

        One of those who wait does it: a thread of its own may still be asking when Python ends, which aborts the
        process.
        """
        pods: dict[str, dict[str, Any]] = {}
        try:
            time.sleep(0.3)
            listed = list_objects(self.client, "Pod", self.client.namespace, f"{RUN_LABEL}={self.run_id}")
            pods = {pod["metadata"]["name"]: pod for pod in listed}
        except NotAble:
            pass
        finally:
            with self._lock:
                self._listed |= pods
                self._is_listing = False
                self._lock.notify_all()

    def state(self, name: str) -> str:
        """What happened to a pod, in a few words for an error; ``""`` if nothing is wrong with it."""
        try:
            pod = read(self.client, "Pod", name, self.client.namespace)
        except NotAble as error:
            return str(error)
        return why_ended(pod) if pod else f"pod {name} was deleted"

    def remove(self, name: str) -> None:
        """Delete a pod without a grace period. A pod that no longer exists is no error."""
        delete_at_once(self.client, "Pod", name)
        self._forget(name)

    def remove_all(self) -> None:
        """Delete all pods of the run that are left, and the ConfigMap.

        Raises
        ------
        NotAble
            One could not be deleted; others may be left then.
        """
        with self._lock:
            names = sorted(self._names)
        for name in names:
            self.remove(name)  # the first that gets no answer ends it: the others would get none either
        if self._prepared:
            delete_at_once(self.client, "ConfigMap", configmap_name(self.run_id))

    def _warning(self, name: str) -> str:
        """The last warning event of a pod; ``""`` if there is none or events may not be read."""
        with contextlib.suppress(NotAble), answered("list events"):
            answer = self.client.core().list_namespaced_event(
                self.client.namespace,
                field_selector=f"involvedObject.name={name},type=Warning",
                _preload_content=False,
                _request_timeout=TIMEOUT_S,
            )
            events = json.loads(answer.data)["items"]
            if events:
                return f"; {events[-1].get('reason', '')}: {events[-1].get('message', '')}"
        return ""
