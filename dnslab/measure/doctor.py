"""Checks of what this machine, or a cluster, can do. The text of a failed check says what would help.

It makes a lab and removes it again. It changes nothing in a cluster.
"""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnslab.errors import DnslabError, NotAble, UsageError
from dnslab.measure import preflight, runner
from dnslab.measure.backends import known_targets, open_backend
from dnslab.measure.probe import BIN, find_probe
from dnslab.plan.model import Plan
from dnslab.sentences import machine as sentences

if TYPE_CHECKING:
    from dnslab.measure.kubernetes.api.client import Client
    from dnslab.measure.kubernetes.rights import Finding


@dataclass(frozen=True)
class Check:
    """The result of one check; one that is not ``needed`` may fail, and dnslab still measures."""

    what: str
    ok: bool
    detail: str
    needed: bool = True


def checks(plan: Plan) -> Iterator[Check]:
    """Check this machine for a run of ``plan``. The last check opens its backend and closes it."""
    if plan.backend == "lab":
        yield Check("platform", platform.system() == "Linux", f"{platform.system()} {platform.release()}")
    for libc in ("glibc", "musl", "static"):
        try:
            yield Check(f"probe for {libc}", True, str(find_probe(libc)), libc == "glibc")
        except DnslabError as error:
            yield Check(f"probe for {libc}", False, str(error), libc == "glibc")
    yield from _extras()
    yield from _of_a_run(plan)
    try:
        backend = open_backend(plan)
    except DnslabError as error:
        yield Check(plan.backend, False, str(error))
        return
    try:
        targets = ", ".join(f"{target.name} {target.libc_version}" for target in backend.targets())
        yield Check(plan.backend, True, sentences.OPENED(targets=targets))
    finally:
        backend.close()


def _extras() -> Iterator[Check]:
    for extra, modules in (("analysis", preflight.ANALYSIS_NEEDS), ("notebooks", preflight.NOTEBOOKS_NEED)):
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        detail = sentences.EXTRA_MISSING(module=missing[0], extra=extra) if missing else str(sentences.INSTALLED)
        yield Check(f"{extra} extra", not missing, detail, needed=False)


def _of_a_run(plan: Plan) -> Iterator[Check]:
    """The checks that a run of ``plan`` makes before it makes anything, in the run's own words."""
    steps: Sequence[tuple[str, Callable[[], object]]] = (
        ("results folder", lambda: runner.check(plan)),
        ("targets", lambda: preflight.check_targets(plan, known_targets(plan))),
        ("open files", lambda: preflight.allow_open_files(plan, known_targets(plan))),
    )
    for what, ask in steps:
        try:
            ask()
        except DnslabError as error:
            yield Check(what, False, str(error))
        else:
            yield Check(what, True, str(sentences.AS_A_RUN_NEEDS))


def cluster_checks(plan: Plan, client: Client, rights: Sequence[Finding]) -> Iterator[Check]:
    """Check the cluster that ``plan`` names and ``client`` talks to.

    If nothing is missing, the last checks ask whether its namespace admits a pod, and what a run asks first.
    """
    from dnslab.measure.kubernetes import rights as access
    from dnslab.measure.kubernetes.cluster_dns import server_version

    built = [path.name for path in sorted(BIN.glob("probe-*"))]
    checks = [
        Check("probes", bool(built), ", ".join(built) or str(sentences.NO_PROBES)),
        _optional("server", server_version, client),
        _optional("namespace", access.pod_security, client),
        _optional("quota", access.quotas, client),
        _dns(client),
        *(Check(right.rule.title, right.ok, str(right), right.rule.needed) for right in rights),
    ]
    yield from checks
    if all(check.ok or not check.needed for check in checks):
        try:
            yield Check("own pod", True, access.admitted(client))
        except NotAble as error:
            yield Check("own pod", False, str(error))
        yield from _of_a_run(plan)


def _dns(client: Client) -> Check:
    """What the cluster's objects tell of its DNS. Who really answers takes a pod, which is not made here."""
    from dnslab.measure.kubernetes.cluster_dns import find

    dns = find(client)
    return Check(
        "DNS",
        dns.service is not None,
        sentences.DNS_FOUND(lines="; ".join(dns.lines)),
        needed=False,
    )


def _optional(what: str, ask: Callable[[Client], str], client: Client) -> Check:
    """Read something that is not needed to measure: a refusal is a failed optional check, a mistake a failed required
    one.
    """
    try:
        return Check(what, True, ask(client))
    except UsageError as error:
        return Check(what, False, str(error))
    except NotAble as error:
        return Check(what, False, sentences.NOT_SEEN(why=str(error)), needed=False)
