"""What this machine can do: one line a check, each with the command that mends it."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from dnslab.backends import open_backend
from dnslab.errors import DnslabError
from dnslab.plan import Plan
from dnslab.probe import find_probe


@dataclass(frozen=True)
class Check:
    """One thing looked at; ``needed`` by the lab, or only good to have."""

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
