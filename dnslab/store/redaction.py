"""Replaces names of machines and people in text and plain data with stand-ins.

The key of a text says whether it names something, or holds only versions and the like. In any other text only numbers
and words of dnslab's own source stay, and each other word gets a stand-in. Equal originals get equal stand-ins
everywhere. Knows no files.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from dnslab.files import PACKAGE
from dnslab.plan.cluster import DEFAULT_IMAGE
from dnslab.plan.ladder import RUNGS
from dnslab.plan.variants import BEFORE, BUILT_IN, NODE_LOCAL_ADDRESS
from dnslab.store.contents import Place
from dnslab.text import visible

#: what a redacted run is called
REDACTED = "redacted"
#: the node-local cache's address of the usual manifest, and every machine's own: they tell a configuration, not a place
KEPT_ADDRESSES = frozenset({NODE_LOCAL_ADDRESS, "127.0.0.1", "::1", "0.0.0.0", "::"})
_EVERYWHERE = """
all arpa cluster coredns default glibc here in-addr in-cluster ip6 kube-dns kube-dns-upstream kube-proxy kube-public
kube-system kubernetes local musl node-local-dns nodelocaldns pod svc /etc/resolv.conf
"""
#: of a diagnosis, the folders of its rungs
RUNG_FOLDERS = frozenset(f"{number}-{rung.name}" for rung in RUNGS for number in range(1, len(RUNGS) + 1))
#: what Kubernetes, its DNS and dnslab call things everywhere
KEPT_NAMES = frozenset(_EVERYWHERE.split()) | {DEFAULT_IMAGE} | RUNG_FOLDERS
#: what a Corefile's settings and Kubernetes' own messages say, beside the words of dnslab's source
_MORE_WORDS = """
cannot completed container denial disabled endpoint_pod_names evicted expire failed fallthrough forbidden force_tcp
health_check insecure killed max_concurrent max_fails oomkilled policy prefetch prefer_udp preempted random round_robin
sequential serve_stale servfail success terminated ttl verified
"""

Kind = Literal[
    "ipv4", "ipv6", "mac", "node", "pod", "namespace", "context", "image", "container", "zone", "workload", "variant"
] | Literal["target", "path", "run", "name", "number", "word"]  # fmt: skip
#: what is called the same twice has the stand-in of the first of these
_KINDS: Sequence[Kind] = (
    "ipv4", "ipv6", "mac", "node", "pod", "namespace", "context", "image", "container", "zone", "workload", "variant",
    "target", "path", "run", "name", "number", "word",
)  # fmt: skip
#: what a key holds, where it is not text; ``parent.key`` before ``key``. ``keep``: no name, whatever it says.
_HOLDS: Mapping[str, str] = {
    "plan.name": "title", "run_id": "run", "context": "context", "namespace": "namespace", "server": "strict",
    "nameserver": "strict", "nameservers": "strict", "address": "strict", "addresses": "strict",
    "cluster_ips": "strict", "zones": "strict", "images": "image", "image": "image", "image_id": "image",
    "debug_image": "image", "debug_image_id": "image", "container": "container", "pod": "pod", "pods.name": "pod",
    "node_local_pods.name": "pod", "missing.node": "text",
    "node": "node", "nodes": "node", "nodes.name": "node", "zone": "zone", "dns.zone": "domain", "names": "domain",
    "search": "domain", "like": "reference", "existing": "reference", "workload": "reference",
    "node_local": "strict", "verifies.run": "run", "deployments.name": "workload",
    "service.name": "workload", "targets.name": "target", "target": "target", "variant": "variant",
    "who_answers.redirected": "target", "variants": "variant", "resolv_conf": "resolv_conf",
    **dict.fromkeys((
        "dnslab", "version", "started", "kernel", "machine", "cpu", "memory", "python", "libc", "libc_version", "means",
        "fault", "fault_summary", "unbound", "nft", "engine", "arrangement", "loop", "mode", "transport", "schedule",
        "plan.backend", "backend.name", "cpu_allocatable", "os_image", "runtime", "kubelet", "architecture", "options",
        "server_version", "kube_proxy_mode", "state", "status", "cache", "protocol", "plugins",
        "base.name", "base.backend", "causes.name", "mechanism", "word", "rungs.path", "file.rung",
        "file.path", "arms.arm", "arms.seen", "next_rung",
    ), "keep"),
    "services": "strict", "endpoints": "strict", "asked": "strict", "place": "strict", "changes.pod": "text",
}  # fmt: skip

_TOKEN = re.compile(r"[^\s\"'`,;()\[\]{}<>|=]+")
#: a longer row of digits is a serial number, an account or an address as a decimal, rather than a count
_MOST_DIGITS = 6
_DIGITS = rf"\d{{1,{_MOST_DIGITS}}}"
_NUMBER = re.compile(rf"[-+~]?v?{_DIGITS}(\.{_DIGITS}){{0,2}}(ns|us|ms|s|m|h|d|%|[kKMG]i?B?|B|st|nd|rd|th)?")
#: a MAC address with colons; one of eight bytes is an IPv6 address as well, one with hyphens or dots a word or a name
_MAC = re.compile(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}")
#: an address as it is asked for to get its name (RFC 1035 and RFC 3596)
_REVERSED = re.compile(r"((?:\d{1,3}\.){4})in-addr\.arpa|((?:[0-9a-f]\.){32})ip6\.arpa", re.IGNORECASE)
_ALNUM = re.compile(r"[^\W_]+")


@cache
def own_words() -> frozenset[str]:
    """All words of dnslab's own source, with hyphenated ones. They never name a user's machine."""
    words: set[str] = set(_MORE_WORDS.split())
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8").casefold()
        words.update(re.findall(r"[a-z]+(?:[-_][a-z]+)*", text), re.findall(r"[a-z]+", text))
    return frozenset(words)


class StandIns:
    """Originals and their stand-ins, such as ``node-2``.

    First all originals are noted, then ``give_out`` is called. Stand-ins have the order of their originals, so that
    what was sorted stays sorted. No stand-in is itself an original, so that an original that was missed can be found.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}
        self._given: dict[str, str] = {}
        self._sought: dict[str, str] = {}
        self.given_out = False
        self._lengths: Sequence[int] = ()

    def of(self, kind: Kind, original: str) -> str:
        """The stand-in. Before ``give_out``: the original, which is noted."""
        key = original.casefold()
        if not key or key in KEPT_NAMES:
            return original
        if self.given_out:
            return self._given[key]
        self.note(kind, original)
        return original

    def note(self, kind: Kind, original: str) -> None:
        """Note ``original``, which then must not be left anywhere."""
        key = original.casefold()
        self._kinds[key] = min(kind, self._kinds.get(key, kind), key=_KINDS.index)

    def known(self, word: str) -> bool:
        """Whether ``original`` was noted."""
        return word.casefold() in self._kinds

    def give_out(self) -> None:
        """Assign a stand-in to every original. After this no new original may be noted."""
        self.given_out = True
        for kind in _KINDS:
            originals = sorted(key for key, noted in self._kinds.items() if noted == kind)
            fresh = (stand_in for stand_in in _made_up(kind, len(originals)) if stand_in not in self._kinds)
            self._given.update(zip(originals, fresh, strict=False))
        for key, stand_in in self._given.items():
            stripped = re.sub(r"^[\W_]+|[\W_]+$", "", key)
            # A number, a letter or a word of dnslab's own may stand anywhere without being this name.
            if len(stripped) > 2 and not _is_count(stripped) and stripped not in own_words():
                self._sought[stripped] = stand_in
                self._sought[visible(stripped)] = stand_in  # as a page has it
        self._lengths = sorted({len(_ALNUM.findall(original)) for original in self._sought}, reverse=True)

    def found_in(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Originals in ``text`` as whole words: start, end, stand-in. Of two that overlap, the longer."""
        words = list(_ALNUM.finditer(text))
        after = 0
        for index, first in enumerate(words):
            for length in self._lengths:
                if first.start() < after or index + length > len(words):
                    continue
                end = words[index + length - 1].end()
                stand_in = self._sought.get(text[first.start() : end].casefold())
                if stand_in is not None:
                    yield first.start(), end, stand_in
                    after = end

    def in_text(self, text: str) -> str:
        """``text`` with a stand-in for each original, and nothing else changed."""
        parts, position = [], 0
        for start, end, stand_in in self.found_in(text):
            parts += [text[position:start], stand_in]
            position = end
        return "".join([*parts, text[position:]])


def _is_count(text: str) -> bool:
    return text.isdigit() and len(text) <= _MOST_DIGITS


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def _separator(word: str) -> str | None:
    """The separator of a word that names several things, such as ``/``; for a range of addresses also the hyphen."""
    separator = next((mark for mark in ("://", "/", "@", "#", ":") if mark in word), None)
    return separator or ("-" if any(map(_is_address, word.split("-"))) else None)


def _made_up(kind: Kind, n: int) -> Iterator[str]:
    """An endless sequence of stand-ins.

    Addresses are from ranges that nobody uses: class E (RFC 1112), documentation (RFC 3849), and locally administered
    MAC addresses.
    """
    if kind == "ipv4":
        return (str(ipaddress.IPv4Address(0xF0000000 + i)) for i in itertools.count(1))
    if kind == "ipv6":
        return (str(ipaddress.IPv6Address((0x20010DB8 << 96) + i)) for i in itertools.count(1))
    if kind == "mac":
        return ((0x02 << 40 | i).to_bytes(6).hex(":") for i in itertools.count(1))
    return (f"{kind}-{i:0{len(str(n))}d}" for i in itertools.count(1))


class Redactor:
    """Redacts the files of one run, whose targets are in ``places``.

    Go through all files three times: first to note values by their keys, then with ``texts`` set to note words in other
    texts, and after ``stand_ins.give_out()`` to replace them.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self.stand_ins = StandIns()
        self.texts = False
        self._places = {place.target: place for place in places}

    def data(self, value: Any, key: str, parent: str = "") -> Any:
        """Redact plain data that stands under ``key``. Numbers stay."""
        if isinstance(value, dict):
            return {self._key(name, key): self.data(item, name, key) for name, item in value.items()}
        if isinstance(value, list):
            return [self.data(item, key, parent) for item in value]
        if isinstance(value, str) and value:
            return self._string(value, _HOLDS.get(f"{parent}.{key}", _HOLDS.get(key, "text")))
        return value

    def _key(self, key: str, parent: str) -> str:
        if parent == "custom_variants":
            return self.variant(key)
        if parent == "expect":
            return self.domain(key)
        if parent in ("counters", "missing"):
            name, at, socket = key.partition("@")
            if at:
                return f"{name}@{self.data(socket, 'address')}"
            server = re.fullmatch(r"(coredns|node-local)\.(.+)\.(\w+)", key)
            return f"{server[1]}.{self.stand_ins.of('pod', server[2])}.{server[3]}" if server else key
        # Fields of ours and counters are words; a name of somebody's own, as of a resource, has its domain in it.
        return key if re.fullmatch(r"[A-Za-z_][\w-]*", key) else self.text(key)

    def _string(self, value: str, kind: str) -> str:
        if kind == "keep":
            return self.stand_ins.in_text(value)
        if kind == "strict":
            return self.text(value, frozenset({"http", "https"}))
        if kind == "title":
            self.stand_ins.note("run", value)
            return REDACTED
        if kind == "image":
            self._note_repository(value)
        by_kind: Mapping[str, Callable[[str], str]] = {
            "text": self.text, "domain": self.domain, "reference": self._reference, "target": self.target,
            "variant": self.variant, "resolv_conf": self._resolv_conf,
        }  # fmt: skip
        if kind in by_kind:
            return by_kind[kind](value)
        return value if _is_count(value) else self.stand_ins.of(kind, value)  # type: ignore[arg-type]

    def variant(self, name: str) -> str:
        """Redact a variant's name. Built-in names stay."""
        return name if name in BUILT_IN or name == BEFORE else self.stand_ins.of("variant", name)

    def target(self, name: str) -> str:
        """A target's name: a pod's, or as own pods have it, ``[IMAGE@]NODE[.NUMBER]``."""
        place = self._places.get(name)
        is_own_pod = place is not None and "image" in place.model_fields_set
        stem, number = re.fullmatch(r"(.+?)(\.\d+)?", name).groups("") if is_own_pod else (name, "")  # type: ignore[union-attr]
        node = place.node if place else None
        if number and node and (name == node or name.endswith(f"@{node}")):
            stem, number = name, ""
        image, at, rest = stem.rpartition("@")
        if is_own_pod and rest == node:
            return (self.stand_ins.of("image", image) if at else "") + at + self.stand_ins.of("node", rest) + number
        return self.stand_ins.of("target", stem) + number

    def domain(self, name: str) -> str:
        """Redact a domain name label by label. Its dots stay, so that ndots and a trailing dot keep their meaning."""
        bare = name.rstrip(".")
        literal = self._address(bare)
        if literal is not None:
            return literal + name[len(bare) :]
        return ".".join(self.stand_ins.of("name", label) for label in name.split("."))

    def text(self, value: str, words: frozenset[str] | None = None) -> str:
        """Redact a text: only numbers and the words in ``words`` stay (default: those of dnslab's source)."""
        if not self.texts and words is None:
            return value
        allowed = own_words() if words is None else words
        return _TOKEN.sub(lambda match: self._token(match[0], allowed), value)

    def _token(self, token: str, words: frozenset[str]) -> str:
        core = token.rstrip(".:!?")
        return self._word(core, words) + token[len(core) :]

    def _word(self, word: str, words: frozenset[str]) -> str:
        address = self._address(word)
        if address is not None:
            return address
        if self.stand_ins.known(word):
            return self.stand_ins.of("word", word)
        key = word.casefold()
        if key in words or key in KEPT_NAMES or _NUMBER.fullmatch(word) or not _ALNUM.search(word):
            return word
        if word.startswith(("/", "~")):
            return self.stand_ins.of("path", word)
        separator = _separator(word)
        if separator:
            return separator.join(self._word(part, words) for part in word.split(separator))
        kind: Kind = "number" if word.isdigit() else "word"
        return self.domain(word) if "." in word else self.stand_ins.of(kind, word)

    def _address(self, word: str) -> str | None:
        """The stand-in if ``word`` is an address in any spelling, else None."""
        if _MAC.fullmatch(word):
            return self.stand_ins.of("mac", word)
        if not _is_address(word):
            return self._reversed(word)
        address = ipaddress.ip_address(word)
        if str(address) in KEPT_ADDRESSES:
            return word
        kind: Kind = "ipv4" if address.version == 4 else "ipv6"
        if word.casefold() != str(address):
            self.stand_ins.note(kind, word)  # this spelling is not to be left either
        return self.stand_ins.of(kind, str(address))

    def _reversed(self, name: str) -> str | None:
        """The stand-in if ``name`` is the name of a reverse lookup, else None."""
        matched = _REVERSED.fullmatch(name)
        if not matched:
            return None
        labels = (matched[1] or matched[2]).rstrip(".").split(".")[::-1]
        address = ".".join(labels) if matched[1] else bytes.fromhex("".join(labels)).hex(":", 2)
        stand_in = self._address(address) if _is_address(address) else None  # a byte over 255
        if stand_in is None:
            return None
        self.stand_ins.note("name", name)  # this spelling is not to be left either
        return ipaddress.ip_address(stand_in).reverse_pointer if self.stand_ins.given_out else name

    def _reference(self, value: str) -> str:
        kind, slash, name = value.partition("/")
        if slash and kind.isalpha():
            return f"{kind}/{self.stand_ins.of('pod' if kind == 'pod' else 'workload', name)}"
        return self.text(value, frozenset({"in", "notin"}))

    def _resolv_conf(self, value: str) -> str:
        return "".join(self._resolv_conf_line(line) for line in value.splitlines(keepends=True))

    def _resolv_conf_line(self, line: str) -> str:
        key = line.split(None, 1)[0] if line.strip() else ""
        if key in ("nameserver", "search", "domain"):
            return re.sub(r"\S+", lambda match: key if match[0] == key else self.domain(match[0]), line)
        return self.stand_ins.in_text(line) if key == "options" else self.text(line)

    def _note_repository(self, image: str) -> None:
        """Note an image's repository and registry, which are names too."""
        repository = re.sub(r"(:[^:/]*)?(@.*)?$", "", image.rpartition("://")[2])
        if image.casefold() in KEPT_NAMES or repository == "sha256":
            return
        registry, slash, _ = repository.partition("/")
        for part in (repository, *([registry] if slash and "." in registry else [])):
            self.stand_ins.note("image", part)
