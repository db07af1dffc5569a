"""Named resolver configurations, and which of them apply to which C library.

Pure. A variant is a change to a baseline: options, nameserver, or how the name is written. Whether a C library follows
it depends on the library, its version, and the means: the file or the state of the process. If it does not, the variant
is *not applicable* and is never measured under its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dnslab.errors import UnknownVariant
from dnslab.plan.resolvconf import Libc, ResolverOptions, glibc_version, names_tried
from dnslab.sentences import plan_errors as said, variants as sentences
from dnslab.text import nearest

#: ``file``: the target's resolv.conf (dnsConfig, an edited file, the lab's own). ``_res``: glibc's state in a process
Means = Literal["file", "_res"]

#: address the node-local cache is deployed on (NodeLocal DNSCache manifest, -localip)
NODE_LOCAL_ADDRESS = "169.254.20.10"

#: the variant whose nameserver only the cluster knows; ``backends.completed`` puts it into the plan, as it does the
#: address of a cache that listens elsewhere
DIRECT = "cluster-dns-direct"


#: the variant of a verifying run that has the workload's old configuration
BEFORE = "before"


@dataclass(frozen=True)
class Variant:
    """One named resolver configuration, as a change to the target's baseline.

    ``options`` are resolv.conf flags; ``since`` the glibc that first honours them. ``libcs`` names the libcs that
    honour the change when it is made in the file. ``node_local`` replaces the nameserver by the node-local cache, at
    ``nameservers`` if it listens elsewhere than usual.
    ``root_first`` puts ``.`` before the search list, so that each name is tried as it is first. ``whole`` is a
    configuration in place of all of the baseline's.
    ``absolute`` asks for the full name that baseline resolves to, with its trailing dot.
    """

    name: str
    summary: str
    options: tuple[str, ...] = ()
    since: tuple[int, int] = (2, 1)
    libcs: frozenset[str] = frozenset({"glibc", "musl"})
    ndots: int | None = None
    timeout_s: int | None = None
    attempts: int | None = None
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] | None = None
    root_first: bool = False
    node_local: bool = False
    absolute: bool = False
    whole: ResolverOptions | None = None

    def applied_to(self, baseline: ResolverOptions) -> ResolverOptions:
        """``baseline`` with this variant applied."""
        if self.whole is not None:
            return self.whole
        changed = baseline.with_flags(*self.options)
        for field in ("ndots", "timeout_s", "attempts", "search"):
            value = getattr(self, field)
            if value is not None:
                changed = replace(changed, **{field: value})
        if self.root_first:
            changed = replace(changed, search=(".", *(domain for domain in changed.search if domain != ".")))
        nameservers = self.nameservers_in_its_place
        return replace(changed, nameservers=nameservers) if nameservers else changed

    @property
    def nameservers_in_its_place(self) -> tuple[str, ...]:
        """The nameservers that take the place of all of the baseline's; empty where those stay."""
        return (self.nameservers or (NODE_LOCAL_ADDRESS,)) if self.node_local else self.nameservers

    @property
    def replaces_lists(self) -> bool:
        """Whether nameservers or search list are replaced, to which a pod's dnsConfig could only add."""
        lists = self.nameservers_in_its_place or self.whole is not None
        return bool(lists) or self.search is not None or self.root_first

    def name_asked(self, name: str, baseline: ResolverOptions, resolves_to: str | None = None) -> str:
        """The name that the application asks for: ``name``, or with ``absolute`` the full name that baseline resolved
        to.

        ``resolves_to`` is that name where it is known; else the first name the search list makes of ``name``.
        """
        if not self.absolute:
            return name
        return resolves_to or names_tried(name, baseline)[0]

    @property
    def asks_aaaa(self) -> bool:
        """Whether AAAA is asked for. If not, an answer without AAAA is not partial."""
        return "no-aaaa" not in (self.options if self.whole is None else self.whole.flags)


_GLIBC = frozenset({"glibc"})

BUILT_IN: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("baseline", str(sentences.BASELINE)),
        Variant("use-vc", str(sentences.USE_VC), ("use-vc",), (2, 14), _GLIBC),
        Variant("single-request", str(sentences.SINGLE_REQUEST), ("single-request",), (2, 10), _GLIBC),
        Variant(
            "single-request-reopen",
            str(sentences.SINGLE_REQUEST_REOPEN),
            ("single-request-reopen",),
            (2, 9),
            _GLIBC,
        ),
        Variant("no-aaaa", str(sentences.NO_AAAA), ("no-aaaa",), (2, 36), _GLIBC),
        Variant("node-local", sentences.NODE_LOCAL(address=NODE_LOCAL_ADDRESS), node_local=True),
        Variant(
            "node-local+single-request-reopen",
            str(sentences.NODE_LOCAL_REOPEN),
            ("single-request-reopen",),
            (2, 9),
            _GLIBC,
            node_local=True,
        ),
        Variant(DIRECT, str(sentences.DIRECT)),
        Variant("ndots-1", str(sentences.NDOTS_1), ndots=1),
        Variant("root-first", str(sentences.ROOT_FIRST), libcs=_GLIBC, root_first=True),
        Variant("absolute", str(sentences.ABSOLUTE), absolute=True),
        Variant("timeout-1", str(sentences.TIMEOUT_1), timeout_s=1, attempts=3),
    )
}

#: the configurations of the usual advice, for ``dnslab run`` without ``--variants``
USUAL = (
    "baseline",
    "use-vc",
    "single-request",
    "single-request-reopen",
    "node-local",
    "node-local+single-request-reopen",
)


def find(name: str, others: Iterable[str] = ()) -> Variant:
    """The built-in variant called ``name``. ``others`` are further known names, for the error's suggestion.

    Raises
    ------
    UnknownVariant
        With the nearest known name.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    raise UnknownVariant(said.UNKNOWN_VARIANT(name=repr(name), hint=nearest(name, [*BUILT_IN, *others])))


def not_applicable(variant: Variant, libc: Libc, version: str = "", means: Means = "file") -> str | None:
    """Why the C library would ignore ``variant``; None if it follows it.

    Parameters
    ----------
    libc, version
        Of the target; an unknown version (``""``) passes.
    means
        How the variant reaches the resolver.

    Returns
    -------
    str or None
        A reason that reads after "not applicable: ".
    """
    if libc not in variant.libcs:
        what = " and ".join(variant.options) or str(sentences.DOT_IN_SEARCH)
        return sentences.IGNORED(libc=libc, what=what)
    seen_version = glibc_version(version) if libc == "glibc" else None
    if variant.options and seen_version and seen_version < variant.since:
        since = f"{variant.since[0]}.{variant.since[1]}"
        return sentences.TOO_OLD(option=variant.options[0], since=since, version=version)
    changes_file = variant.name != "baseline" and not variant.absolute
    if means == "_res" and libc != "glibc" and changes_file:
        return sentences.FILE_ONLY(libc=libc)
    return _not_in_a_process(variant) if means == "_res" else None


def _not_in_a_process(variant: Variant) -> str | None:
    if variant.search is not None or variant.root_first:
        return str(sentences.NO_NEW_SEARCH)
    if len(variant.nameservers) > 1:
        return str(sentences.ONE_NAMESERVER)
    return None
