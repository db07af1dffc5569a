"""Names that objects and pods share: dnslab's labels, and machines as Kubernetes and the kernel call them."""

from __future__ import annotations

MANAGED_BY = {"app.kubernetes.io/managed-by": "dnslab"}
#: the annotation that names the container which `kubectl exec` takes, and dnslab too
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
RUN_LABEL = "dnslab/run"
#: architecture as Kubernetes calls it -> as ``uname -m`` does; those that there is a probe for
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def labels(run_id: str) -> dict[str, str]:
    """Labels of every object of a run."""
    return {**MANAGED_BY, RUN_LABEL: run_id}
