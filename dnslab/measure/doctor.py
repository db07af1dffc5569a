"""What this machine, or a cluster, can do: one line a check, each with what mends it."""

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
    """One thing looked at; ``needed`` to measure, or only good to have."""

    what: str
    ok: bool
    detail: str
    needed: bool = True


def checks() -> Iterator[Check]:
    """Each check in turn. The last one really opens a lab, and closes it."""
    yield Check("platform", platform.system() == "Linux", f"{platform.system()} {platform.release()}")
    for libc in ("glibc", "musl", "static"):
        try:
            yield Check(f"probe for {libc}", True, str(find_probe(libc)), libc == "glibc")
        except DnslabError as error:
            yield Check(f"probe for {libc}", False, str(error), libc == "glibc")
    for module, extra in (("pandas", "analysis"), ("papermill", "notebooks")):
        found = importlib.util.find_spec(module) is not None
        yield Check(f"{extra} extra", found, "there" if found else f"`pip install 'dnslab[{extra}]'`", False)
    try:
        backend = open_backend(Plan())
    except DnslabError as error:
        yield Check("lab", False, str(error))
        return
    try:
        listed = ", ".join(f"{target.name} {target.libc_version}" for target in backend.targets())
        yield Check("lab", True, f"opened and closed again; targets: {listed}")
    finally:
        backend.close()


def cluster_checks(client: Client, rights: Sequence[Finding]) -> Iterator[Check]:
    """Each check of a namespace in turn; the last one, once nothing is missing, asks whether it would let a pod in."""
    from dnslab.measure.kubernetes import rights as access

    found = [
        _seen("server", access.server_version, client),
        _seen("namespace", access.pod_security, client),
        _seen("quota", access.quotas, client),
        *(Check(one.rule.title, one.ok, str(one), one.rule.needed) for one in rights),
    ]
    yield from found
    if all(one.ok or not one.needed for one in found):
        try:
            yield Check("own pod", True, access.admitted(client))
        except NotAble as error:
            yield Check("own pod", False, str(error))


def _seen(what: str, look: Callable[[Client], str], client: Client) -> Check:
    """What may be denied is not needed; what is not there is."""
    try:
        return Check(what, True, look(client))
    except UsageError as error:
        return Check(what, False, str(error))
    except NotAble as error:
        return Check(what, False, f"not seen: {error}", needed=False)
