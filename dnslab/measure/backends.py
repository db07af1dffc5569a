"""Where probes run. Chosen by name and imported late, so that each backend's needs stay its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnslab.errors import UsageError
from dnslab.plan.variants import DIRECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnslab.measure.protocol import Backend
    from dnslab.plan.model import Plan, TargetInfo


def check(plan: Plan) -> None:
    """Check what a backend can know of ``plan`` without being opened: its fault, its nameserver, the lab's names.

    Raises
    ------
    UsageError
        The backend that ``plan`` names cannot do what the plan asks of it.
    """
    if plan.nameserver is not None and plan.backend != "local":
        raise UsageError("--nameserver is for --backend local: the lab and a cluster have nameservers of their own")
    if plan.backend == "lab":
        from dnslab.measure.lab import faults
        from dnslab.measure.lab.backend import expected

        faults.find(plan.fault)
        expected(plan.names)
    elif str(plan.fault) != "none":
        why = "nothing is injected into a cluster" if plan.backend == "kubernetes" else "the local backend injects none"
        raise UsageError(f"the fault {str(plan.fault)!r} needs the lab: {why}")


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
    if plan.backend == "lab":
        from dnslab.measure.lab.backend import LabBackend

        return LabBackend(plan.fault)
    if plan.backend == "local":
        from dnslab.measure.local import LocalBackend

        return LocalBackend(plan.nameserver)
    if plan.backend == "kubernetes":
        if plan.cluster.existing:
            from dnslab.measure.kubernetes.existing import ExistingPods

            return ExistingPods(plan)
        from dnslab.measure.kubernetes.backend import KubernetesBackend

        return KubernetesBackend(plan)
    raise UsageError(f"unknown backend {plan.backend!r}")


def completed(plan: Plan) -> Plan:
    """The plan with what only its cluster knows: the nameserver of ``cluster-dns-direct``, where it is compared.

    Raises
    ------
    UsageError
        There is no such nameserver.
    """
    if DIRECT not in plan.variants or DIRECT in plan.custom_variants:
        return plan
    if plan.backend != "kubernetes":
        raise UsageError(f"{DIRECT} is for --backend kubernetes")
    from dnslab.measure.kubernetes.node_cache.detect import direct

    return plan.model_copy(update={"custom_variants": {**plan.custom_variants, DIRECT: direct(plan.cluster)}})


def known_targets(plan: Plan) -> Sequence[TargetInfo]:
    """The targets ``open_backend`` would offer, without opening or making anything; a libc may not be known yet."""
    if plan.backend == "lab":
        from dnslab.measure.lab import backend as lab

        return lab.known_targets()
    if plan.backend == "kubernetes":
        from dnslab.measure.kubernetes import dry_run as planned

        return planned.known_targets(plan)
    from dnslab.measure import local

    return local.known_targets()
