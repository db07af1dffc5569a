"""What runs left behind in a namespace: list it, then remove it.

dnslab's own pods and ConfigMaps are found by their label. Pods of others carry no mark of ours: they are looked into
only when they are named, for an edited resolv.conf and for probe files. Nothing else is touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.names import MANAGED_BY, RUN_LABEL
from dnslab.measure.kubernetes.api.objects import delete_at_once, list_objects
from dnslab.measure.kubernetes.pods import resolv_conf, upload
from dnslab.measure.kubernetes.pods.pod_facts import RESOLV_CONF
from dnslab.measure.kubernetes.pods.shell import Shell
from dnslab.measure.kubernetes.selection import find_containers

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
        return f"{self.kind} {self.name} ({state}{_age_words(self.age_s)} old)"


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
    """Pods and ConfigMaps of one run, or of all runs, in order of run and name."""
    (key, value), *_ = MANAGED_BY.items()
    selector = f"{key}={value},{RUN_LABEL}" + (f"={run_id}" if run_id else "")
    left = [
        Left(
            kind,
            live["metadata"]["name"],
            live["metadata"]["labels"][RUN_LABEL],
            live.get("status", {}).get("phase", ""),
            _age_s(live),
        )
        for kind in ("Pod", "ConfigMap")
        for live in list_objects(client, kind, client.namespace, selector)
    ]
    return sorted(left, key=lambda entry: (entry.run, entry.kind != "Pod", entry.name))


def may_go_on(left: Sequence[Left]) -> list[str]:
    """Runs that may still go on, because they have a pod that runs and is young."""
    return sorted({entry.run for entry in left if entry.phase in ("Running", "Pending") and entry.age_s < YOUNG_S})


def remove(client: Client, left: Sequence[Left]) -> None:
    """Delete what ``find`` gave. An object that no longer exists is no error."""
    for entry in left:
        delete_at_once(client, entry.kind, entry.name)


def find_inside(client: Client, reference: str, container: str | None) -> list[LeftInside]:
    """What earlier runs left in the running pods that ``reference`` names, in the form of ``dnslab run --in``.

    Raises
    ------
    NotAble, UsageError
        No such pod or container; one without a shell, into which nothing was ever brought.
    """
    left = []
    for pod, name in find_containers(client, reference, container):
        with contextlib.closing(Shell(client, str(pod["metadata"]["name"]), name)) as shell:
            is_edited = resolv_conf.restored(resolv_conf.read(shell)) is not None
            files = tuple(upload.leftovers(shell, upload.mounts(pod, name)))
        if is_edited or files:
            left.append(LeftInside(pod["metadata"]["name"], name, is_edited, files))
    return left


def remove_inside(client: Client, left: Sequence[LeftInside]) -> None:
    """Restore each original resolv.conf and remove the probe's files."""
    for entry in left:
        with contextlib.closing(Shell(client, entry.pod, entry.container)) as shell:
            original = resolv_conf.restored(resolv_conf.read(shell))
            if original is not None:
                resolv_conf.end(shell, original)
            if entry.files:
                upload.remove(shell, entry.files)


def _age_s(live: Mapping[str, Any]) -> float:
    made = datetime.fromisoformat(live["metadata"]["creationTimestamp"])
    return (datetime.now(UTC) - made).total_seconds()


def _age_words(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
