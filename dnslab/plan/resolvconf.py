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
#: options with a value, by the field of ``ResolverOptions`` and of ``Variant``
VALUED = {"ndots": "ndots", "timeout": "timeout_s", "attempts": "attempts"}

#: glibc resolv.h: RES_TIMEOUT, RES_DFLRETRY, MAXNS, RES_MAXNDOTS, RES_MAXRETRANS, RES_MAXRETRY
GLIBC_LIMITS = {"timeout": 30, "attempts": 5, "ndots": 15}
#: musl src/network/resolvconf.c, __get_resolv_conf
MUSL_LIMITS = {"timeout": 60, "attempts": 10, "ndots": 15}
DNS_PORT = 53
MAX_NAMESERVERS = 3
MAX_NAME_BYTES = 253
MAX_LABEL_BYTES = 63


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


def parse(text: str) -> ResolverOptions:
    """Options of a resolv.conf text, as glibc reads it.

    The last ``search`` or ``domain`` line wins, ``options`` lines add up, nameservers beyond the third and unknown
    options are dropped, lines starting with ``#`` or ``;`` are comments.

    >>> parse("nameserver 10.96.0.10\\nsearch a.test b.test\\noptions ndots:5 use-vc\\n").ndots
    5
    """
    options = ResolverOptions()
    for line in text.splitlines():
        if line.startswith(("#", ";")):
            continue
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values and len(options.nameservers) < MAX_NAMESERVERS:
            options = replace(options, nameservers=(*options.nameservers, values[0]))
        elif keyword == "search":
            options = replace(options, search=tuple(values))
        elif keyword == "domain" and values:
            options = replace(options, search=(values[0],))
        elif keyword == "options":
            for value in values:
                options = apply_option(options, value)
    return options


def apply_option(options: ResolverOptions, option: str) -> ResolverOptions:
    """``options`` with one resolv.conf option (``ndots:5``, ``use-vc``) added; an unknown one changes nothing."""
    name, colon, value = option.partition(":")
    if colon and name in VALUED:
        if not re.fullmatch(r"[0-9]+", value):
            return options
        # Both libcs cap each value far below nine digits, and Python refuses to read a number of thousands of them.
        return replace(options, **{VALUED[name]: int(value) if len(value) < 10 else 10**9})  # type: ignore[arg-type]
    return options.with_flags(option) if option in FLAGS else options


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


def parse_endpoint(text: str) -> tuple[str, int]:
    """Address and port of ``ADDRESS[:PORT]``, IPv4; UsageError for any other form."""
    match = re.fullmatch(r"([0-9.]+)(?::([0-9]{1,5}))?", text)
    port = int(match[2] or DNS_PORT) if match else 0
    if not match or not is_address(match[1]) or not 1 <= port <= 65_535:
        raise UsageError(f"expected a nameserver as ADDRESS or ADDRESS:PORT (IPv4, port 1 to 65535), saw {text[:80]!r}")
    return match[1], port


def names_tried(name: str, options: ResolverOptions, libc: Libc = "glibc") -> list[str]:
    """Names a stub resolver may ask for, in the order it asks.

    With fewer than ``options.ndots`` dots the search list goes first. With enough dots the
    name goes first; glibc then still walks the search list, musl does not.

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
    # An entry outside ASCII, as a broken resolv.conf may have it, makes no name that could be asked for.
    entries = [domain.strip(".") for domain in options.search if re.fullmatch(r"[!-~]+", domain)]
    searched = [f"{name}.{entry}." for entry in entries if entry]
    if name.count(".") < ndots:
        return [*searched, f"{name}."]
    return [f"{name}.", *searched] if libc == "glibc" else [f"{name}."]


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
    return float(max(1, min(5 if options.timeout_s is None else options.timeout_s, GLIBC_LIMITS["timeout"])))


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
    timeout_s = min(options.timeout_s or 5, GLIBC_LIMITS["timeout"])
    attempts = min(options.attempts or 2, GLIBC_LIMITS["attempts"])
    n_servers = max(1, len(options.nameservers))
    waits = [timeout_s if i == 0 else max(1, (timeout_s << i) // n_servers) for i in range(n_servers)]
    return float(max(attempts, 3) * sum(waits) * n_candidates)
