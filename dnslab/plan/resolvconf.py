"""Stub resolver options: parse and render resolv.conf, the names tried, the first attempt timeout.

Pure. This is the only module that knows how glibc and musl read a resolv.conf; each rule names its source.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dnslab.errors import InvalidName, UsageError

Libc = Literal["glibc", "musl"]

#: options without a value that glibc knows (glibc resolv/res_init.c, res_setoptions), each with its bit in
#: ``_res.options`` (resolv/resolv.h, RES_*); None for those that a running process is not given
FLAGS: Mapping[str, int | None] = {
    "use-vc": 0x00000008,
    "rotate": 0x00004000,
    "edns0": 0x00100000,
    "single-request": 0x00200000,
    "single-request-reopen": 0x00400000,
    "no-reload": 0x02000000,
    "trust-ad": 0x04000000,
    "no-aaaa": 0x08000000,
    "debug": None,
    "no_tld_query": None,
    "no-tld-query": None,
    "strict-error": None,
    "inet6": None,
    "ip6-bytestring": None,
    "ip6-dotint": None,
    "no-ip6-dotint": None,
}
#: ``single-request`` is the beginning of another
_LONGEST_FIRST = sorted(FLAGS, key=len, reverse=True)
#: options with a value, by the field of ``ResolverOptions`` and of ``Variant``
VALUED = {"ndots": "ndots", "timeout": "timeout_s", "attempts": "attempts"}

#: glibc resolv.h: RES_TIMEOUT, RES_DFLRETRY, MAXNS, RES_MAXNDOTS, RES_MAXRETRANS, RES_MAXRETRY
GLIBC_LIMITS = {"timeout": 30, "attempts": 5, "ndots": 15}
#: musl src/network/resolvconf.c, __get_resolv_conf
MUSL_LIMITS = {"timeout": 60, "attempts": 10, "ndots": 15}
#: what separates words, besides the end of the line
_BLANKS: Mapping[Libc, str] = {"glibc": r"[ \t]", "musl": r"[ \t\v\f\r]"}
#: musl reads lines of 256 bytes, with newline and final zero (src/network/resolvconf.c)
MUSL_LINE_BYTES = 254
#: musl asks for no longer name (src/network/res_mkquery.c)
MUSL_NAME_BYTES = 253
DNS_PORT = 53
MAX_NAMESERVERS = 3
MAX_NAME_BYTES = 253
MAX_LABEL_BYTES = 63


def libc_of(kind: str) -> Libc:
    """Whose rules a probe's C library (``glibc``, ``musl``, ``musl-static``) follows."""
    return "glibc" if kind == "glibc" else "musl"


#: of a cluster, where no resolv.conf tells (kubeadm's default)
DEFAULT_ZONE = "cluster.local"


@dataclass(frozen=True)
class ResolverOptions:
    """One resolver configuration.

    ``None`` means the libc's default: timeout 5 s, attempts 2, ndots 1. ``flags`` are options without a value,
    in the order given.
    """

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int | None = None
    timeout_s: int | None = None
    attempts: int | None = None
    flags: tuple[str, ...] = ()

    def with_flags(self, *flags: str) -> ResolverOptions:
        """The same options with more flags. A flag that is already there is not repeated."""
        return replace(self, flags=self.flags + tuple(flag for flag in flags if flag not in self.flags))


def usual_of_pod(namespace: str, zone: str = DEFAULT_ZONE, nameservers: tuple[str, ...] = ()) -> ResolverOptions:
    """What a kubelet usually writes for a pod of ``namespace``, for where no pod has told yet."""
    return ResolverOptions(nameservers, (f"{namespace}.svc.{zone}", f"svc.{zone}", zone), ndots=5)


def parse(text: str, libc: Libc = "glibc", version: str = "") -> ResolverOptions:
    """Options of a resolv.conf text, as the C library reads it.

    A keyword counts in the first column only. The last ``search`` or ``domain`` line wins, ``options`` lines add up.
    Nameservers beyond the third are dropped, as is what cannot be read.

    Parameters
    ----------
    libc, version
        Whose reading. glibc (resolv/res_init.c, res_vinit_1) takes one domain of a ``domain`` line, keeps the list at
        an empty ``search`` line, and from 2.41 on clears a flag that is written with a ``-`` before it. musl
        (src/network/resolvconf.c) drops a line that does not fit 256 bytes, and knows no flags. An unknown version
        (``""``) is read as an old one.

    >>> parse("nameserver 10.96.0.10\\nsearch a.test b.test\\noptions ndots:5 use-vc\\n").ndots
    5
    >>> parse("options use-vc -use-vc", version="2.41").flags
    ()
    """
    options = ResolverOptions()
    for line in text.split("\n"):
        if libc == "musl" and len(line.encode()) > MUSL_LINE_BYTES:
            continue
        keyword, _, rest = re.sub(_BLANKS[libc], " ", line).partition(" ")
        values = [value for value in rest.split(" ") if value]
        if keyword == "nameserver" and values and is_address(values[0].strip()):
            options = replace(options, nameservers=(*options.nameservers, values[0].strip())[:MAX_NAMESERVERS])
        elif keyword in ("search", "domain") and (values or libc == "musl"):
            first_only = keyword == "domain" and libc == "glibc"
            options = replace(options, search=tuple(values[:1] if first_only else values))
        elif keyword == "options" and libc == "musl":
            options = _musl_options(options, rest)
        elif keyword == "options":
            for value in values:
                options = _glibc_option(options, value, clears=(glibc_version(version) or (0, 0)) >= (2, 41))
    return options


def glibc_version(text: str) -> tuple[int, int] | None:
    """``(2, 36)`` of ``"2.36"`` or ``"2.36-9+deb12u14"``; None if the text has no version."""
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _glibc_option(options: ResolverOptions, option: str, clears: bool) -> ResolverOptions:
    """The rules of res_setoptions in glibc's resolv/res_init.c: a flag may go on, a value is read by atoi."""
    name, colon, value = option.partition(":")
    if colon and name in VALUED:
        number = re.match(r"[+-]?[0-9]{1,9}", value)
        return replace(options, **{VALUED[name]: max(0, int(number[0])) if number else 0})  # type: ignore[arg-type]
    cleared = clears and option.startswith("-")
    flag = next((flag for flag in _LONGEST_FIRST if option.removeprefix("-" if cleared else "").startswith(flag)), None)
    if flag is None:
        return options
    if cleared:
        return replace(options, flags=tuple(other for other in options.flags if other != flag))
    return options.with_flags(flag)


def _musl_options(options: ResolverOptions, rest: str) -> ResolverOptions:
    """The rules of __get_resolv_conf in musl's src/network/resolvconf.c: the first of each in the line counts."""
    for name, field in VALUED.items():
        if number := re.match(r"[0-9]{1,9}", rest.partition(f"{name}:")[2]):
            options = replace(options, **{field: int(number[0])})  # type: ignore[arg-type]
    return options


def read_option(option: str) -> ResolverOptions:
    """One option of a plan (``ndots:5``, ``use-vc``).

    Raises
    ------
    UsageError
        No resolver knows it, or no resolver works with it.
    """
    name, colon, value = option.partition(":")
    if colon and name in VALUED and re.fullmatch(r"[0-9]+", value):
        # Both libcs cap each value far below nine digits, and Python refuses to read a number of thousands of them.
        number = int(value) if len(value) < 10 else 10**9
        if name == "attempts" and not number:
            raise UsageError("attempts:0 asks no nameserver: glibc fails at once, musl crashes; expected 1 or more")
        return ResolverOptions(**{VALUED[name]: number})  # type: ignore[arg-type]
    if option not in FLAGS:
        raise UsageError(f"{option!r} is not a resolv.conf option")
    return ResolverOptions(flags=(option,))


def values_of(options: object) -> dict[str, int]:
    """The options with a value that ``ResolverOptions`` or a ``Variant`` sets, by their name in resolv.conf."""
    values = {name: getattr(options, field) for name, field in VALUED.items()}
    return {name: value for name, value in values.items() if value is not None}


def render(options: ResolverOptions) -> str:
    """A resolv.conf text that ``parse`` reads back as the same options."""
    lines = [f"nameserver {address}" for address in options.nameservers]
    if options.search:
        lines.append("search " + " ".join(options.search))
    valued = [f"{name}:{value}" for name, value in values_of(options).items()]
    if valued or options.flags:
        lines.append("options " + " ".join([*valued, *options.flags]))
    return "\n".join(lines) + "\n"


def check_name(name: str) -> None:
    """Raise InvalidName when ``name`` cannot be asked for: an empty or overlong label, overlong as a whole."""
    body = name[:-1] if name.endswith(".") else name
    if not body:
        raise InvalidName("expected a domain name, saw an empty one")
    for label in body.split("."):
        size = len(label.encode())
        if not size:
            raise InvalidName(f"the name {name!r} has an empty label: remove the doubled or leading dot")
        if size > MAX_LABEL_BYTES:
            raise InvalidName(f"the name {name!r} has a label of {size} bytes, {MAX_LABEL_BYTES} are allowed")
    if len(body.encode()) > MAX_NAME_BYTES:
        raise InvalidName(f"the name {name[:40]!r}... has {len(body.encode())} bytes, {MAX_NAME_BYTES} are allowed")
    if not re.fullmatch(r"[!-~]+", name):
        raise InvalidName(
            f"the name {name[:80]!r} has a space or control character, or a letter outside ASCII: "
            "write an international name in its xn-- form"
        )


def check_domain(domain: str) -> None:
    """Raise InvalidName when ``domain`` cannot be an entry of a search list: letters, digits, ``-``, ``_`` and dots.

    Stricter than ``check_name``: an entry is written into files and objects that others read. ``.`` is the root.
    """
    if domain == ".":
        return
    check_name(domain)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", domain):
        raise InvalidName(f"expected a domain of letters, digits, '-', '_' and dots, saw {domain!r}")


def check_address(address: str) -> None:
    """Raise UsageError when ``address`` is not an IPv4 or IPv6 address, as a nameserver line of resolv.conf has it."""
    if not is_address(address):
        raise UsageError(f"expected an IPv4 or IPv6 address, saw {address!r}")


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address; the latter may end in a zone, as in ``fe80::1%eth0``."""
    address, percent, zone = text.partition("%")
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return False
    return not percent or (version == 6 and re.fullmatch(r"[A-Za-z0-9._-]{1,15}", zone) is not None)


#: link-local resolvers of AWS and GCP, which are no cache on the node
CLOUD_RESOLVERS = {"169.254.169.253", "169.254.169.254"}


def is_of_node(address: str) -> bool:
    """Whether ``address`` is link-local, as a node-local cache's is."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_link_local and address not in CLOUD_RESOLVERS
    except ValueError:
        return False


def parse_endpoint(text: str) -> tuple[str, int]:
    """Address and port of ``ADDRESS``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``; UsageError for any other form.

    >>> parse_endpoint("[::1]:5353")
    ('::1', 5353)
    """
    if is_address(text) and "%" not in text:
        return text, DNS_PORT
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})", text)
    address, port = (match[1] or match[2], int(match[3])) if match else ("", 0)
    if not is_address(address) or not 1 <= port <= 65_535:
        raise UsageError(f"expected a nameserver as ADDRESS, ADDRESS:PORT or [IPv6 ADDRESS]:PORT, saw {text[:80]!r}")
    return address, port


def names_tried(name: str, options: ResolverOptions, libc: Libc = "glibc") -> list[str]:
    """Names a stub resolver may ask for, in the order it asks.

    With fewer than ``options.ndots`` dots the search list goes first. With enough dots the
    name goes first; glibc then still walks the search list, musl does not. ``.`` in the search list is the name itself
    for glibc; musl leaves it out from 1.2.4 on (before, every lookup that comes to it fails).

    Parameters
    ----------
    name
        As the application gives it; a trailing dot means "exactly this".
    options
        Only ``search`` and ``ndots`` are read.
    libc
        Whose order: ``"glibc"`` or ``"musl"``.

    Returns
    -------
    list of str
        At least one absolute name, each ending in a dot.

    Raises
    ------
    InvalidName
        A label is empty or longer than 63 bytes.

    >>> names_tried("example.org", ResolverOptions(search=("a.test", "b.test"), ndots=5))
    ['example.org.a.test.', 'example.org.b.test.', 'example.org.']
    """
    check_name(name)
    if name.endswith("."):
        return [name]
    ndots = min(1 if options.ndots is None else options.ndots, GLIBC_LIMITS["ndots"])
    tried = f"{name}."
    # An entry outside ASCII, as a broken resolv.conf may have it, makes no name that could be asked for.
    entries = [domain for domain in options.search if re.fullmatch(r"[!-~]+", domain)]
    if libc == "musl":
        searched = [f"{tried}{entry.rstrip('.')}." for entry in entries if _musl_asks(name, entry)]
        return [*searched, tried] if name.count(".") < ndots else [tried]
    # glibc takes one dot from the front of an entry, so that "." is the root (resolv/res_query.c, root_on_list).
    domains = [entry.removeprefix(".").rstrip(".") for entry in entries]
    searched = [f"{tried}{domain}." if domain else tried for domain in domains]
    if name.count(".") >= ndots:
        return [tried, *searched]
    return searched if tried in searched else [*searched, tried]


def _musl_asks(name: str, entry: str) -> bool:
    """Whether musl makes a name of both: it leaves out what gets too long, and from 1.2.4 on what ends in two dots."""
    return entry != "." and not entry.startswith(".") and len(name) + 1 + len(entry) <= MUSL_NAME_BYTES


def attempt_timeout_s(options: ResolverOptions, libc: Libc = "glibc") -> float | None:
    """Seconds a stub resolver waits for the first answer before it asks again.

    glibc: ``timeout`` (default 5, at most 30); ``None`` under ``use-vc``, where it waits for as long as TCP does
    (glibc resolv/res_send.c, send_vc). musl: ``timeout / attempts`` (default 5 / 2; src/network/res_msend.c).
    """
    if libc == "musl":
        total = min(5 if options.timeout_s is None else options.timeout_s, MUSL_LIMITS["timeout"])
        return total / max(1, min(2 if options.attempts is None else options.attempts, MUSL_LIMITS["attempts"]))
    if "use-vc" in options.flags:
        return None
    return float(_glibc_timeout_s(options))


def _glibc_timeout_s(options: ResolverOptions) -> int:
    """``timeout:0`` is a second, as is what cannot be read as a number (resolv/res_send.c, send_dg)."""
    return max(1, min(5 if options.timeout_s is None else options.timeout_s, GLIBC_LIMITS["timeout"]))


def retry_step_s(options: ResolverOptions, libc: Libc = "glibc") -> float | None:
    """The interval, s, at whose multiples a stub resolver asks again or gives up; None if there is no such interval.

    It is the first attempt timeout, except for glibc with three nameservers: glibc waits ``timeout`` for one nameserver
    and for each of two, but less or more for the second and third of three (``timeout << i`` shared among them;
    resolv/res_send.c, send_dg).

    >>> retry_step_s(parse("options timeout:1 attempts:3"))
    1.0
    """
    uneven = libc == "glibc" and len(options.nameservers) > 2
    return None if uneven else attempt_timeout_s(options, libc)


def lookup_failure_s(options: ResolverOptions, n_candidates: int = 1, libc: Libc = "glibc") -> float:
    """The longest time, s, that a lookup over UDP can take before the resolver gives up.

    glibc: every attempt on every server for every search candidate, and three such rounds for a pair that stays
    half lost (parallel, then ``single-request``, then ``single-request-reopen``; resolv/res_send.c, send_dg).
    Under ``use-vc`` there is no such bound; the value is the one without it. musl: ``timeout`` a candidate.
    """
    if libc == "musl":
        return n_candidates * float(min(options.timeout_s or 5, MUSL_LIMITS["timeout"]))
    timeout_s = _glibc_timeout_s(options)
    attempts = min(options.attempts or 2, GLIBC_LIMITS["attempts"])
    n_servers = max(1, len(options.nameservers))
    waits = [timeout_s if i == 0 else max(1, (timeout_s << i) // n_servers) for i in range(n_servers)]
    return float(max(attempts, 3) * sum(waits) * n_candidates)
