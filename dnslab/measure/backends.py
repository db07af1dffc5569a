"""The backends by name: how each is opened, what it can know without being opened, and in what it differs.

What a backend needs is imported when it is used, so that no backend needs what another does. Whoever adds a backend
adds an entry here and its name in ``plan.backends``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dnslab.errors import UsageError
from dnslab.plan.resolvconf import ResolverOptions, usual_of_pod
from dnslab.plan.variants import DIRECT
from dnslab.sentences import machine as sentences

if TYPE_CHECKING:
    from dnslab.measure.protocol import Backend
    from dnslab.plan.arms import Change, Places
    from dnslab.plan.model import Plan
    from dnslab.plan.schedule import TargetInfo


@dataclass(frozen=True)
class BackendKind:
    """What dnslab knows of a backend before it is opened."""

    open: Callable[[Plan], Backend]
    #: the targets that ``open`` would offer, without making anything; a libc may not be known yet
    known_targets: Callable[[Plan], Sequence[TargetInfo]]
    #: of a target's resolv.conf, as far as they are known before one is opened
    usual_options: Callable[[Plan], ResolverOptions]
    #: the addresses at which DNS can be asked on the way to its servers
    places: Callable[[Plan], Places]
    #: what watches the servers at these addresses; where nothing moves them they stay
    watched: Callable[[Plan], AbstractContextManager[Callable[[], tuple[Change, ...]]]] = lambda plan: nullcontext(
        tuple
    )
    #: raises UsageError for what the backend cannot do
    check: Callable[[Plan], None] | None = None
    #: puts into a plan what only its cluster knows
    complete: Callable[[Plan], Plan] | None = None
    #: why the backend injects no fault; empty where it does
    why_no_fault: str = ""
    takes_nameserver: bool = False
    #: whether probes are children of this process, and so have its limit of open files
    probes_are_children: bool = True
    #: open files that the backend's own servers need
    min_open_files: int = 0
    #: what installs a target that a machine may lack
    installed_by: Mapping[str, str] = field(default_factory=dict)


def check(plan: Plan) -> None:
    """Check what a backend can know of ``plan`` without being opened: its fault, its nameserver, the lab's names.

    Raises
    ------
    UsageError
        The backend that ``plan`` names cannot do what the plan asks of it.
    """
    kind = BACKENDS[plan.backend]
    if plan.nameserver is not None and not kind.takes_nameserver:
        raise UsageError(str(sentences.NAMESERVER_OPTION))
    if kind.why_no_fault and str(plan.fault) != "none":
        raise UsageError(sentences.FAULT_NEEDS_LAB(fault=repr(str(plan.fault)), why=kind.why_no_fault))
    if kind.check:
        kind.check(plan)


def open_backend(plan: Plan) -> Backend:
    """The backend that ``plan`` names, ready to open targets.

    Raises
    ------
    UsageError
        As ``check`` does.
    NotAble
        This machine cannot do it; the message says what is missing.
    """
    check(plan)
    return BACKENDS[plan.backend].open(plan)


def completed(plan: Plan) -> Plan:
    """The plan with what only its cluster knows: nameservers that some variants ask.

    Raises
    ------
    UsageError
        There is no such nameserver.
    """
    complete = BACKENDS[plan.backend].complete
    if complete is not None:
        return complete(plan)
    if DIRECT in plan.variants and DIRECT not in plan.custom_variants:
        raise UsageError(sentences.CLUSTER_ONLY(variant=DIRECT))
    return plan


def known_targets(plan: Plan) -> Sequence[TargetInfo]:
    """The targets ``open_backend`` would offer, without opening or making anything; a libc may not be known yet."""
    return BACKENDS[plan.backend].known_targets(plan)


def usual_options(plan: Plan) -> ResolverOptions:
    """What a target's resolv.conf has, as far as it is known without opening one; of a pod, what it usually has."""
    return BACKENDS[plan.backend].usual_options(plan)


def places(plan: Plan) -> Places:
    """Where DNS can be asked, beside the first nameserver of resolv.conf: Services, and each server behind them.

    Raises
    ------
    NotAble
        There is no way to the cluster.
    """
    return BACKENDS[plan.backend].places(plan)


def watched(plan: Plan) -> AbstractContextManager[Callable[[], tuple[Change, ...]]]:
    """What watches the servers behind the Services, and gives how they changed until now.

    Raises
    ------
    NotAble
        There is no way to the cluster.
    """
    return BACKENDS[plan.backend].watched(plan)


def _open_lab(plan: Plan) -> Backend:
    from dnslab.measure.lab.backend import LabBackend

    kept = any(load.engine == "wire" and load.mode == "sticky" for load in plan.loads)
    return LabBackend(plan.fault, keeps_sockets=kept)


def _lab_targets(plan: Plan) -> Sequence[TargetInfo]:
    from dnslab.measure.lab import backend

    return backend.known_targets()


def _check_lab(plan: Plan) -> None:
    from dnslab.measure.lab import backend, faults

    faults.find(plan.fault)
    backend.expected(plan.names)


def _lab_options(plan: Plan) -> ResolverOptions:
    from dnslab.measure.lab import backend

    return backend.BASELINE


def _lab_places(plan: Plan) -> Places:
    from dnslab.measure.lab import servers
    from dnslab.measure.lab.fault import CLUSTER_IP
    from dnslab.plan.arms import Places

    return Places((CLUSTER_IP,), tuple(servers.ADDRESSES.values()))


def _open_local(plan: Plan) -> Backend:
    from dnslab.measure.local import LocalBackend

    return LocalBackend(plan.nameserver, plan.cache_addresses)


def _local_targets(plan: Plan) -> Sequence[TargetInfo]:
    from dnslab.measure import local

    return local.known_targets()


def _local_options(plan: Plan) -> ResolverOptions:
    from dnslab.measure import local

    return local.options_here(plan.nameserver)


def _local_places(plan: Plan) -> Places:
    from dnslab.measure import local
    from dnslab.plan.arms import Places

    return Places(tuple(local.options_here(plan.nameserver).nameservers), (), str(sentences.NO_WAY_HERE))


def _open_kubernetes(plan: Plan) -> Backend:
    if plan.cluster.existing:
        from dnslab.measure.kubernetes.existing import ExistingPods

        return ExistingPods(plan)
    from dnslab.measure.kubernetes.backend import KubernetesBackend

    return KubernetesBackend(plan)


def _kubernetes_targets(plan: Plan) -> Sequence[TargetInfo]:
    from dnslab.measure.kubernetes import dry_run

    return dry_run.known_targets(plan)


def _places_in_cluster(plan: Plan) -> Places:
    from dnslab.measure.kubernetes import endpoints

    return endpoints.places(plan)


def _watched_in_cluster(plan: Plan) -> AbstractContextManager[Callable[[], tuple[Change, ...]]]:
    from dnslab.measure.kubernetes import endpoints

    return endpoints.watched(plan)


def _pod_options(plan: Plan) -> ResolverOptions:
    return usual_of_pod(plan.cluster.namespace or "default")


def _complete_in_cluster(plan: Plan) -> Plan:
    from dnslab.measure.kubernetes.node_cache import detect

    return detect.completed(plan)


BACKENDS: Mapping[str, BackendKind] = {
    "lab": BackendKind(
        _open_lab,
        _lab_targets,
        _lab_options,
        _lab_places,
        check=_check_lab,
        min_open_files=2_048,  # what unbound asks for at least, for 2,000 connections
        installed_by={"musl": str(sentences.BUILD_MUSL)},
    ),
    "local": BackendKind(
        _open_local,
        _local_targets,
        _local_options,
        _local_places,
        why_no_fault=str(sentences.NO_FAULT_HERE),
        takes_nameserver=True,
    ),
    "kubernetes": BackendKind(
        _open_kubernetes,
        _kubernetes_targets,
        _pod_options,
        _places_in_cluster,
        _watched_in_cluster,
        complete=_complete_in_cluster,
        why_no_fault=str(sentences.NO_FAULT_IN_CLUSTER),
        probes_are_children=False,
    ),
}
