"""What runs left behind in a namespace: found by label, or in pods that are named; listed, then removed.

By label come dnslab's own pods and ConfigMaps. Pods of others carry no mark of ours: they are looked into only when
they are named, for an edited resolv.conf and for probe files. Nothing else is touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.objects import listed
from dnslab.measure.kubernetes.existing import find_containers
from dnslab.measure.kubernetes.pods import resolv_conf as edit, upload
from dnslab.measure.kubernetes.pods.lifecycle import MANAGED_BY, RUN_LABEL, delete_configmap, delete_pod
from dnslab.measure.kubernetes.pods.pod_facts import RESOLV_CONF
from dnslab.measure.kubernetes.pods.shell import Shell

#: a run whose newest pod is younger than this may be going on
YOUNG_S = 15 * 60


@dataclass(frozen=True)
class Left:
    """One object of a run. ``phase`` is ``""`` for a ConfigMap."""

    kind: str
    name: str
    run: str
    phase: str
    age_s: float

    def __str__(self) -> str:
        state = f"{self.phase}, " if self.phase else ""
        return f"{self.kind} {self.name} ({state}{_spoken(self.age_s)} old)"


@dataclass(frozen=True)
class LeftInside:
    """What is left inside one container of someone's pod."""

    pod: str
    container: str
    edited: bool
    files: tuple[str, ...]

    def __str__(self) -> str:
        what = [*([f"{RESOLV_CONF}, edited: the original goes back"] if self.edited else []), *self.files]
        return f"in pod {self.pod}, container {self.container}: {', '.join(what)}"


def find(client: Client, run_id: str | None = None) -> list[Left]:
    """Pods and ConfigMaps of a run, or of any, by run and name."""
    (key, value), *_ = MANAGED_BY.items()
    selector = f"{key}={value},{RUN_LABEL}" + (f"={run_id}" if run_id else "")
    found = [
        Left(
            kind,
            one["metadata"]["name"],
            one["metadata"]["labels"][RUN_LABEL],
            one.get("status", {}).get("phase", ""),
            _age_s(one),
        )
        for kind in ("Pod", "ConfigMap")
        for one in listed(client, kind, client.namespace, selector)
    ]
    return sorted(found, key=lambda left: (left.run, left.kind != "Pod", left.name))


def may_go_on(left: Sequence[Left]) -> list[str]:
    """Runs that may not have ended: a pod of theirs runs, and is young."""
    return sorted({one.run for one in left if one.phase in ("Running", "Pending") and one.age_s < YOUNG_S})


def remove(client: Client, left: Sequence[Left]) -> None:
    """Delete what ``find`` found; what has gone meanwhile is no error."""
    for one in left:
        (delete_pod if one.kind == "Pod" else delete_configmap)(client, one.name)


def find_inside(client: Client, reference: str, container: str | None) -> list[LeftInside]:
    """What is left in the running pods that ``reference`` names (as ``dnslab run --in`` takes it).

    Raises
    ------
    NotAble, UsageError
        No such pod or container; one without a shell, into which nothing was ever brought.
    """
    found = []
    for pod, name in find_containers(client, reference, container):
        with contextlib.closing(Shell(client, str(pod["metadata"]["name"]), name)) as shell:
            is_edited = edit.restored(edit.read(shell)) is not None
            files = tuple(upload.leftovers(shell, upload.mounts(pod, name)))
        if is_edited or files:
            found.append(LeftInside(pod["metadata"]["name"], name, is_edited, files))
    return found


def remove_inside(client: Client, left: Sequence[LeftInside]) -> None:
    """Put originals back and remove files."""
    for one in left:
        with contextlib.closing(Shell(client, one.pod, one.container)) as shell:
            original = edit.restored(edit.read(shell))
            if original is not None:
                edit.end(shell, original)
            if one.files:
                upload.remove(shell, one.files)


def _age_s(found: Mapping[str, Any]) -> float:
    made = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
    return (datetime.now(UTC) - made).total_seconds()


def _spoken(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
