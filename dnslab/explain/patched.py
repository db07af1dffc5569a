"""The workload that a remedy is for, and its cluster's DNS, as far as a run names them. Asks no cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dnslab.analyse.dataset import Run
from dnslab.plan.remedies import ClusterDns, Workload, can_be_patched
from dnslab.plan.resolvconf import Libc
from dnslab.plan.variants import Variant, not_applicable


@dataclass(frozen=True)
class Patched:
    """What a remedy is applied to. ``libcs`` are the C libraries that were measured, each with its version.

    Commands, ``""`` where there is none: ``first`` is to be run before anything is changed, ``again`` measures again
    after any change, and ``verify`` measures a patched workload beside its old configuration.
    """

    workload: Workload = field(default_factory=Workload)
    dns: ClusterDns = field(default_factory=ClusterDns)
    libcs: tuple[tuple[Libc, str], ...] = ()
    first: str = ""
    again: str = ""
    verify: str = ""

    @classmethod
    def of(cls, run: Run, first: str = "", again: str = "", verify: str = "") -> Patched:
        """The workload of ``run``."""
        measured = {client.target for client in run.clients()}
        libcs = dict.fromkeys((one.libc, one.libc_version) for one in run.targets if one.name in measured)
        workload = replace(workload_of(run), context=run.plan.cluster.context)
        return cls(workload, dns_of(run), tuple(libcs), first, again, verify)

    @property
    def libc(self) -> Libc | None:
        """The one C library that was measured; None for several, or if it is not known."""
        found = {libc for libc, _ in self.libcs}
        return found.pop() if len(found) == 1 else None

    @property
    def version(self) -> str:
        """The one version that was measured; ``""`` for several."""
        return self.libcs[0][1] if len(self.libcs) == 1 else ""

    def first_that_works(self, variants: Iterable[Variant]) -> Variant | None:
        """The first of ``variants`` that all measured C libraries follow."""
        return next((one for one in variants if not any(not_applicable(one, *libc) for libc in self.libcs)), None)


#: no workload is named
NOT_NAMED = Patched()


def workload_of(run: Run) -> Workload:
    """The workload that ``run`` measured, as far as it is known, and its pods can be replaced."""
    cluster = run.plan.cluster
    namespace = cluster.namespace or getattr(run.environment.backend, "namespace", None)
    owners = {target.workload for target in run.targets}
    named = (cluster.like, cluster.existing, *(owners if len(owners) == 1 else ()))
    reference = next((one for one in named if one and can_be_patched(one)), None)
    return Workload(
        reference=reference or Workload.reference,
        namespace=str(namespace) if reference and run.plan.in_cluster and namespace else Workload.namespace,
        context=None,
    )


def dns_of(run: Run) -> ClusterDns:
    """The DNS of the cluster that ``run`` was measured in, as far as it was looked up."""
    dns = run.environment.backend.surroundings.dns
    service = getattr(dns, "service", None)
    addresses = service.get("cluster_ips") if isinstance(service, dict) else None
    zone = getattr(dns, "zone", None)
    usual = ClusterDns()
    return ClusterDns(
        str(addresses[0]) if isinstance(addresses, list) and addresses else usual.address,
        str(zone) if zone else usual.zone,
        run.plan.cluster.node_local or usual.node_local,
    )
