"""Counters of kernels and of the lab's servers: their texts as flat numbers by dotted name. Reads no file itself."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence

_CONNTRACK, _SNMP = "/proc/net/stat/nf_conntrack", "/proc/net/snmp"
_SOCKSTAT, _STAT, _STATUS = "/proc/net/sockstat", "/proc/stat", "/proc/self/status"
#: of the container that reads it, with cgroup v2 and v1; on a machine itself the root's, which no limit throttles
_CGROUP_STATS = ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat")
_SYSCTLS = {
    "count": "/proc/sys/net/netfilter/nf_conntrack_count",
    "max": "/proc/sys/net/netfilter/nf_conntrack_max",
    "udp_timeout_s": "/proc/sys/net/netfilter/nf_conntrack_udp_timeout",
    "udp_timeout_stream_s": "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream",
}
#: what ``node`` reads; all are of the network namespace they are opened in, and readable by anyone there
NODE_FILES = (_CONNTRACK, _SNMP, *_SYSCTLS.values())
#: what ``client`` reads; ``_STAT`` is of the machine, ``_STATUS`` of whoever reads it
CLIENT_FILES = (_SNMP, _SOCKSTAT, _STAT, _STATUS, *_CGROUP_STATS)


def snmp(text: str, groups: Sequence[str] = ("Udp", "Tcp")) -> dict[str, int]:
    """/proc/net/snmp: pairs of lines, names then values, of these groups; ``{"Udp.RcvbufErrors": 0, ...}``."""
    numbers: dict[str, int] = {}
    names: list[str] = []
    for line in text.splitlines():
        group, colon, rest = line.partition(":")
        if not colon or group not in groups:
            continue
        words = rest.split()
        if words and not words[0].lstrip("-").isdigit():
            names = words
        else:
            numbers.update({f"{group}.{name}": int(value) for name, value in zip(names, words, strict=False)})
    return numbers


def sockstat(text: str) -> dict[str, int]:
    """/proc/net/sockstat: ``{"TCP.inuse": 1, "TCP.tw": 0, ...}``."""
    numbers: dict[str, int] = {}
    for line in text.splitlines():
        group, _, rest = line.partition(":")
        words = rest.split()
        numbers.update({f"{group}.{name}": int(value) for name, value in zip(words[::2], words[1::2], strict=False)})
    return numbers


def conntrack(text: str) -> dict[str, int]:
    """/proc/net/stat/nf_conntrack: hexadecimal, a line a CPU, summed over CPUs.

    Columns are read by their names: the same column is ``searched`` up to Linux 5.9 and ``clashres`` from 5.10 on.
    ``entries`` is the same total on each line and is not summed.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return {}
    names, rows = lines[0], [[int(value, 16) for value in row] for row in lines[1:]]
    numbers = {name: sum(column) for name, column in zip(names, zip(*rows, strict=False), strict=False)}
    if "entries" in names:
        numbers["entries"] = rows[0][names.index("entries")]
    return numbers


def nft(text: str) -> dict[str, int]:
    """``nft -j list counters``: packets by counter name."""
    listed = json.loads(text or "{}").get("nftables", [])
    return {item["counter"]["name"]: int(item["counter"]["packets"]) for item in listed if "counter" in item}


def unbound(text: str) -> dict[str, int]:
    """``unbound-control stats_noreset``: its whole totals, ``{"num.queries": 1, "num.cachehits": 0}``."""
    numbers: dict[str, int] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.startswith("total.") and value.isdigit():
            numbers[name.removeprefix("total.")] = int(value)
    return numbers


def cpu(text: str, allowed: Collection[int] | None = None) -> dict[str, int]:
    """/proc/stat: ``total_ticks`` and ``idle_ticks`` (idle and iowait) of the machine, or of the CPUs ``allowed``.

    The kubelet's static CPU manager gives some pods CPUs of their own, and the rest to all others: what the other CPUs
    do then says nothing of a pod.
    """
    wanted = {"cpu"} if allowed is None else {f"cpu{number}" for number in allowed}
    rows = [words for words in map(str.split, text.splitlines()) if len(words) > 8 and words[0] in wanted]
    if not rows:
        return {}
    ticks = [[int(word) for word in words[1:9]] for words in rows]
    return {"total_ticks": sum(map(sum, ticks)), "idle_ticks": sum(row[3] + row[4] for row in ticks)}


def cpus_allowed(text: str) -> frozenset[int] | None:
    """/proc/PID/status: the CPUs that a process may use; None if the text does not tell.

    >>> sorted(cpus_allowed("Cpus_allowed_list:\\t0-2,5\\n"))
    [0, 1, 2, 5]
    """
    found = re.search(r"(?m)^Cpus_allowed_list:\s*([0-9]{1,5}(?:[,-][0-9]{1,5})*)$", text)
    if not found:
        return None
    ends = [part.partition("-") for part in found[1].split(",")]
    return frozenset(number for low, _, high in ends for number in range(int(low), int(high or low) + 1))


def throttling(text: str) -> dict[str, int]:
    """A cgroup's cpu.stat: ``periods`` in which it ran, ``throttled_periods`` in which it had used up its CPU limit,
    and ``throttled_us``, how long it then stood still.

    Version 1 gives that time in ns (``throttled_time``), version 2 in us. Empty for a cgroup that cannot have a limit.
    """
    pairs = (line.split() for line in text.splitlines())
    numbers = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
    if not {"nr_periods", "nr_throttled"} <= numbers.keys():
        return {}
    throttled_us = numbers.get("throttled_usec", numbers.get("throttled_time", 0) // 1000)
    return {
        "periods": numbers["nr_periods"],
        "throttled_periods": numbers["nr_throttled"],
        "throttled_us": throttled_us,
    }


def client(texts: Mapping[str, str | None]) -> dict[str, int]:
    """A client's own counters (``client.``) and the time of its machine's CPUs (``machine.cpu.``), of ``CLIENT_FILES``.

    CPUs that the client may not use do not count. Takes the texts by path. A file that could not be read is left out.
    """
    numbers = snmp(texts.get(_SNMP) or "") | sockstat(texts.get(_SOCKSTAT) or "")
    limited = next(filter(None, (throttling(texts.get(path) or "") for path in _CGROUP_STATS)), {})
    numbers |= under("cpu", limited)
    allowed = cpus_allowed(texts.get(_STATUS) or "")
    return under("machine.cpu", cpu(texts.get(_STAT) or "", allowed)) | under("client", numbers)


def node(texts: Mapping[str, str | None]) -> dict[str, int]:
    """A node's own counters from the texts of ``NODE_FILES`` by path; a file that could not be read is left out.

    Under ``node.``: ``Udp.*`` and ``Tcp.*``; ``conntrack.*`` as ``conntrack`` names them, with ``count`` and ``max``
    of the table and the UDP timeouts that make a flow be forgotten, in seconds. They tell a race or a colliding source
    port (``insert_failed`` and ``drop``), a full table (``drop`` alone, ``count`` near ``max``) and a full receive
    buffer of a cache on the node (``Udp.RcvbufErrors``) apart.
    """
    tracked = conntrack(texts.get(_CONNTRACK) or "")
    for name, path in _SYSCTLS.items():
        if text := texts.get(path):
            tracked[name] = int(text)
    return under("node", snmp(texts.get(_SNMP) or "") | under("conntrack", tracked))


def under(prefix: str, numbers: Mapping[str, int]) -> dict[str, int]:
    """The same numbers with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": value for name, value in numbers.items()}


def shown(data: bytes) -> dict[str, str | None]:
    """What the probe's ``--show`` wrote: the text of each file by its path, None for one that could not be read.

    Raises
    ------
    ValueError
        The bytes are cut short, or something else's.
    """
    texts: dict[str, str | None] = {}
    while data:
        line, newline, data = data.partition(b"\n")
        path, _, length = line.rpartition(b" ")
        n_bytes = int(length)
        if not newline or n_bytes > len(data):
            raise ValueError(f"expected {n_bytes} bytes of {path.decode()}, saw {len(data)}")
        texts[path.decode()] = data[:n_bytes].decode("utf-8", "replace") if n_bytes >= 0 else None
        data = data[max(0, n_bytes) :]
    return texts
