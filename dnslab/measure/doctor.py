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
from dnslab.measure.backends import open_backend
from dnslab.measure.probe import find_probe
from dnslab.plan.model import Plan

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


def checks() -> Iterator[Check]:
    """Check this machine. The last check opens a lab and closes it."""
    yield Check("platform", platform.system() == "Linux", f"{platform.system()} {platform.release()}")
    for libc in ("glibc", "musl", "static"):
        try:
            yield Check(f"probe for {libc}", True, str(find_probe(libc)), libc == "glibc")
        except DnslabError as error:
            yield Check(f"probe for {libc}", False, str(error), libc == "glibc")
    for module, extra in (("pandas", "analysis"), ("papermill", "notebooks")):
        installed = importlib.util.find_spec(module) is not None
        yield Check(f"{extra} extra", installed, "there" if installed else f"`pip install 'dnslab[{extra}]'`", False)
    try:
        backend = open_backend(Plan())
    except DnslabError as error:
        yield Check("lab", False, str(error))
        return
    try:
        targets = ", ".join(f"{target.name} {target.libc_version}" for target in backend.targets())
        yield Check("lab", True, f"opened and closed again; targets: {targets}")
    finally:
        backend.close()


def cluster_checks(client: Client, rights: Sequence[Finding]) -> Iterator[Check]:
    """Check a namespace of a cluster. If nothing is missing, the last check asks whether it admits a pod."""
    from dnslab.measure.kubernetes import rights as access
    from dnslab.measure.kubernetes.cluster_dns import server_version

    checks = [
        _optional("server", server_version, client),
        _optional("namespace", access.pod_security, client),
        _optional("quota", access.quotas, client),
        *(Check(right.rule.title, right.ok, str(right), right.rule.needed) for right in rights),
    ]
    yield from checks
    if all(check.ok or not check.needed for check in checks):
        try:
            yield Check("own pod", True, access.admitted(client))
        except NotAble as error:
            yield Check("own pod", False, str(error))


def _optional(what: str, ask: Callable[[Client], str], client: Client) -> Check:
    """Read something that is not needed to measure: a refusal is a failed optional check, a mistake a failed required
    one.
    """
    try:
        return Check(what, True, ask(client))
    except UsageError as error:
        return Check(what, False, str(error))
    except NotAble as error:
        return Check(what, False, f"not seen: {error}", needed=False)
