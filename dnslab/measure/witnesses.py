"""Reads the witnesses of a place from the texts of its files, in one pass, and says what could not be read.

``store.witnesses`` says what they are. The texts come from this machine, or from the probe in another place.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from dnslab.measure import counters
from dnslab.measure.counters import under
from dnslab.store import witnesses
from dnslab.store.witnesses import CLIENT, MACHINE, NO_SOCKET

#: the text of each file by its path, or the number of the error that reading it gave (errno.h of Linux)
Texts = Mapping[str, str | int]

_SOCKSTAT, _STAT, _STATUS = "/proc/net/sockstat", "/proc/stat", "/proc/self/status"
_SETTINGS = {
    witnesses.CONNTRACK_MAX: "conntrack.max",
    "/proc/sys/net/netfilter/nf_conntrack_udp_timeout": "conntrack.udp_timeout_s",
    "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream": "conntrack.udp_timeout_stream_s",
}
#: what is read of a network namespace, by anyone in it
NAMESPACE_FILES = (*witnesses.files_of("namespace"), _SOCKSTAT, *_SETTINGS)
#: what is read beside it for a client, the same in all namespaces; ``_STATUS`` is of whoever reads it
SHARED_FILES = (*witnesses.files_of("cgroup"), *witnesses.files_of("machine"), _STAT, _STATUS)
CLIENT_FILES = (*NAMESPACE_FILES, *SHARED_FILES)

#: what makes numbers of the text of each file
PARSERS: Mapping[str, Callable[[str], Mapping[str, int]]] = {
    witnesses.SNMP: counters.snmp,
    witnesses.SNMP6: counters.snmp6,
    witnesses.NETSTAT: partial(counters.snmp, groups=("TcpExt",)),
    witnesses.UDP: partial(counters.sockets, protocol="udp"),
    witnesses.UDP6: partial(counters.sockets, protocol="udp6"),
    witnesses.CONNTRACK: lambda text: under("conntrack", counters.conntrack(text)),
    witnesses.CONNTRACK_COUNT: partial(counters.number, name="conntrack.count"),
    witnesses.CPU_STAT: counters.throttling,
    witnesses.CPU_STAT_V1: counters.throttling,
    witnesses.CPU_PRESSURE: counters.pressure,
    witnesses.MACHINE_PRESSURE: counters.pressure,
    witnesses.SOFTNET: counters.softnet,
    _SOCKSTAT: counters.sockstat,
    **{path: partial(counters.number, name=name) for path, name in _SETTINGS.items()},
}
#: of these every number is kept, of the others what a witness needs
_KEPT_WHOLE = (witnesses.SNMP, witnesses.CONNTRACK, _SOCKSTAT, *_SETTINGS)

#: the probe reads no more of a file (main.c: show)
MOST_BYTES = 1 << 20

NO_FILE, NO_RIGHT, SWITCHED_OFF = "no such file", "no right to read it", "switched off in this kernel"
NOT_IN_FILE, TOO_LONG = "not in the file", "the file is too long to be read"
NOT_READ = "not read"
#: of a node or a DNS server
NOT_ASKED_FOR = "read only where counters of nodes are asked for"
NOT_IN_THERE = "read only in its network namespace, where this run has no process"
_REASONS = {
    errno.ENOENT: NO_FILE,
    errno.ENOTDIR: NO_FILE,
    errno.EACCES: NO_RIGHT,
    errno.EPERM: NO_RIGHT,
    95: SWITCHED_OFF,  # Linux's EOPNOTSUPP: pressure with psi=0
}


class Reading(dict[str, int]):
    """Numbers by dotted name, cumulative. ``missing`` says why of each witness that could not be read."""

    def __init__(self, numbers: Mapping[str, int] | None = None, missing: Mapping[str, str] | None = None) -> None:
        super().__init__(numbers or {})
        self.missing = dict(missing or {})

    def include(self, other: Mapping[str, int]) -> None:
        """Add the numbers of ``other``, and what it misses."""
        self.update(other)
        if isinstance(other, Reading):
            self.missing.update(other.missing)


def client(texts: Texts) -> Reading:
    """A client's own counters (``client.``) and its machine's (``machine.``), of ``CLIENT_FILES``.

    ``machine.cpu.`` is the time of its CPUs; those that the client may not use do not count.
    """
    reading = read(CLIENT, texts)
    reading.include(read(MACHINE, texts))
    allowed = counters.cpus_allowed(_text(texts, _STATUS))
    reading.include(under("machine.cpu", counters.cpu(_text(texts, _STAT), allowed)))
    return reading


def read(place: str, texts: Texts) -> Reading:
    """The counters of a place from its texts, each name after ``place`` and a dot, and what is missing.

    Of a network namespace these are ``NAMESPACE_FILES``. They tell a race or a colliding source port
    (``conntrack.insert_failed`` and ``drop``), a full table (``drop`` alone, ``count`` near ``max``) and a full receive
    buffer (``Udp.RcvbufErrors``; ``udp.53.drops`` says of which server) apart.
    """
    known = witnesses.at(place)
    wanted = {name for witness in known.values() for name in (witness.name, witness.same, witness.share_of)}
    numbers: dict[str, int] = {}
    for path in _files(place):
        text = texts.get(path)
        if isinstance(text, str) and len(text) < MOST_BYTES:
            for name, value in PARSERS[path](text).items():
                if path in _KEPT_WHOLE or _without_socket(name) in wanted:
                    numbers.setdefault(name, value)
    seen = set(map(_without_socket, numbers))
    missing = {
        f"{place}.{name}": _why(witness, texts)
        for name, witness in known.items()
        if name not in seen or (witness.share_of and witness.share_of not in seen)
    }
    return Reading(under(place, numbers), missing)


def not_read(place: str, reason: str) -> Reading:
    """All witnesses of a place as missing: the place's name stands for them."""
    return Reading({}, {place: reason})


def _files(place: str) -> Sequence[str]:
    if place == MACHINE:
        return witnesses.files_of("machine")
    return (*NAMESPACE_FILES, *(witnesses.files_of("cgroup") if place == CLIENT else ()))


def _without_socket(name: str) -> str:
    """The part of a name before a socket's address.

    >>> _without_socket("udp.53.drops@169.254.20.10")
    'udp.53.drops'
    """
    return name.partition("@")[0]


def _text(texts: Texts, path: str) -> str:
    text = texts.get(path)
    return text if isinstance(text, str) else ""


def _why(witness: witnesses.Witness, texts: Texts) -> str:
    """Why a witness is missing: of several files, what is wrong with the first that is there."""
    reasons = [_why_not(texts.get(path), NO_SOCKET if witness.by_socket else NOT_IN_FILE) for path in witness.files]
    return next((reason for reason in reasons if reason != NO_FILE), NO_FILE)


def _why_not(text: str | int | None, without: str) -> str:
    if text is None:
        return NOT_READ
    if isinstance(text, int):
        return _REASONS.get(text, f"error {text}")
    return TOO_LONG if len(text) >= MOST_BYTES else without


def here(paths: Sequence[str], cgroup: Path | None = None) -> dict[str, str | int]:
    """Texts of files of this machine, as a container sees them: those of a cgroup are of its own group.

    ``cgroup`` is the folder of that group; without it, it is the one this process is in.
    """
    of_cgroup = witnesses.files_of("cgroup")
    groups = _read(Path("/proc/self/cgroup")) if set(of_cgroup) & set(paths) else ""
    own = groups if isinstance(groups, str) else ""

    def places(path: str) -> list[Path]:
        return [cgroup / Path(path).name] if cgroup else own_files(path, own)

    return {path: _of_cgroup(places(path)) if path in of_cgroup else _read(Path(path)) for path in paths}


def own_files(path: str, groups: str) -> list[Path]:
    """Where a file of the own cgroup may be: in its folder, and in each above it, up to ``path``.

    Parameters
    ----------
    path
        Where a container sees it.
    groups
        The text of /proc/self/cgroup.

    >>> [str(file) for file in own_files("/sys/fs/cgroup/cpu.stat", "0::/user.slice")]
    ['/sys/fs/cgroup/user.slice/cpu.stat', '/sys/fs/cgroup/cpu.stat']
    """
    top, name = Path(path).parent, Path(path).name
    controller = "" if top == Path("/sys/fs/cgroup") else top.name  # version 2 names no controllers
    lines = [line.split(":", 2) for line in groups.splitlines()]
    inside = next((parts[2] for parts in lines if len(parts) == 3 and controller in parts[1].split(",")), "/")
    folder = top / inside.lstrip("/")
    return [each / name for each in (folder, *folder.parents) if each.is_relative_to(top)]


def _of_cgroup(files: Sequence[Path]) -> str | int:
    """The text of the first file that tells of a limit in force, else of the first that can be read."""
    texts = [_read(file) for file in files]
    readable = [text for text in texts if isinstance(text, str)]
    limited = [text for text in readable if re.search(r"(?m)^nr_periods [1-9]", text)]
    return next(iter([*limited, *readable, *texts]), errno.ENOENT)


def _read(path: Path) -> str | int:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return error.errno or errno.EIO


def shown(data: bytes) -> dict[str, str | int]:
    """What the probe's ``--show`` wrote: the text of each file by its path, or the error's number.

    Raises
    ------
    ValueError
        The bytes are cut short, or something else's.
    """
    texts: dict[str, str | int] = {}
    while data:
        line, newline, data = data.partition(b"\n")
        path, _, length = line.rpartition(b" ")
        n_bytes = int(length)
        if not newline or n_bytes > len(data):
            raise ValueError(f"expected {n_bytes} bytes of {path.decode()}, saw {len(data)}")
        texts[path.decode()] = data[:n_bytes].decode("utf-8", "replace") if n_bytes >= 0 else -n_bytes
        data = data[max(0, n_bytes) :]
    return texts
