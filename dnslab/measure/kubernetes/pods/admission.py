"""Asks the API server whether it would admit a pod, by a dry run that makes nothing."""

from __future__ import annotations

from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, answered
from dnslab.measure.kubernetes.pods.manifest import PodSpec, pod_manifest


def admit(client: Client, spec: PodSpec) -> list[str]:
    """The API server's warnings about a pod that it would admit.

    Raises
    ------
    Refused
        It would not, in the words of what refuses it: pod security, a quota, a policy, a right that is missing.
    """
    pod = pod_manifest("dnslab-doctor", "doctor", spec)
    with answered(f"make a pod (its image {spec.image}, asked by a dry run)"):
        answer = client.core().create_namespaced_pod(
            client.namespace, pod, dry_run="All", _preload_content=False, _request_timeout=TIMEOUT_S
        )
        _ = answer.data  # read to its end, or the connection stays open
    return list(answer.headers.getlist("Warning"))
