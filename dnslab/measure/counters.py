"""Texts of kernels and of the lab's servers as flat numbers by dotted name. Reads no file itself.

A line or a word that is no number as the kernel writes it is left out, and no other with it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

DNS_PORT = 53


def snmp(text: str, groups: Sequence[str] = ("Udp", "Tcp")) -> dict[str, int]:
    """/proc/net/snmp and netstat: pairs of lines, names then values, of these groups; ``{"Udp.RcvbufErrors": 0}``."""
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
            numbers.update(_pairs((f"{group}.{name}", value) for name, value in zip(names, words, strict=False)))
    return numbers


def snmp6(text: str) -> dict[str, int]:
    """/proc/net/snmp6, of UDP: ``{"Udp6.RcvbufErrors": 0, ...}``."""
    lines = (line.split() for line in text.splitlines() if line.startswith("Udp6"))
    return _pairs((f"Udp6.{words[0].removeprefix('Udp6')}", words[1]) for words in lines if len(words) == 2)


def sockstat(text: str) -> dict[str, int]:
    """/proc/net/sockstat: ``{"TCP.inuse": 1, "TCP.tw": 0, ...}``."""
    numbers: dict[str, int] = {}
    for line in text.splitlines():
        group, _, rest = line.partition(":")
        words = rest.split()
        numbers.update(_pairs((f"{group}.{name}", value) for name, value in zip(words[::2], words[1::2], strict=False)))
    return numbers


def sockets(text: str, protocol: str) -> dict[str, int]:
    """/proc/net/udp or udp6: datagrams that sockets dropped, because their buffer was full or a checksum wrong.

    Parameters
    ----------
    protocol
        ``"udp"`` or ``"udp6"``, which each name begins with.

    Returns
    -------
    dict of str to int
        ``udp.drops`` and ``udp.inodes``: sums over all sockets; ``udp.53.drops@ADDRESS`` and ``udp.53.inodes@ADDRESS``:
        over those bound to port 53 of an address (there are several with SO_REUSEPORT). Inodes are no amount: their
        sum changes when a socket is opened or closed.
    """
    header, *lines = text.splitlines() or [""]
    if header.split()[-1:] != ["drops"]:  # Linux before 2.6.27
        return {}
    numbers: Counter[str] = Counter({f"{protocol}.drops": 0, f"{protocol}.inodes": 0})
    for words in map(str.split, lines):
        # sl, local and remote address, st, tx:rx, tr:when, retrnsmt, uid, timeout, inode, ref, pointer, drops
        address, port = _endpoint(words[1]) if len(words) == 13 else ("", 0)
        counted = _pairs([("inodes", words[9]), ("drops", words[12])]) if address else {}
        if len(counted) < 2:
            continue
        drops = counted["drops"] % 2**32  # written as a signed number
        for suffix, number in (("inodes", counted["inodes"]), ("drops", drops)):
            numbers[f"{protocol}.{suffix}"] += number
            if port == DNS_PORT:
                numbers[f"{protocol}.{port}.{suffix}@{address}"] += number
    return dict(numbers)


def _endpoint(text: str) -> tuple[str, int]:
    """Address and port of ``0100007F:0035``, as the kernel of a little-endian machine writes them; ``"", 0`` for none.

    >>> _endpoint("0A14FEA9:0035")
    ('169.254.20.10', 53)
    """
    found = re.fullmatch(r"((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})", text)
    if not found or len(found[1]) not in (8, 32):
        return "", 0
    words = (bytes.fromhex(found[1][at : at + 8])[::-1] for at in range(0, len(found[1]), 8))
    return str(ipaddress.ip_address(b"".join(words))), int(found[2], 16)


def conntrack(text: str) -> dict[str, int]:
    """/proc/net/stat/nf_conntrack: hexadecimal, a line a CPU, summed over CPUs.

    Columns are read by their names: the same column is ``searched`` up to Linux 5.9 and ``clashres`` from 5.10 on.
    ``entries`` is the same total on each line and is not summed.
    """
    names, *rows = [line.split() for line in text.splitlines() if line.strip()] or [[]]
    numbers: Counter[str] = Counter()
    for row in rows:
        for name, value in zip(names, row, strict=False):
            if re.fullmatch("[0-9a-f]{1,16}", value):
                numbers[name] = int(value, 16) + (0 if name == "entries" else numbers[name])
    return dict(numbers)


def softnet(text: str) -> dict[str, int]:
    """/proc/net/softnet_stat: hexadecimal, a line a CPU, summed over CPUs; the machine's, in every namespace.

    ``softnet.drops`` are packets that found a CPU's backlog full, ``softnet.time_squeeze`` how often a CPU had used
    up its time for packets while more waited.
    """
    rows = [line.split() for line in text.splitlines()]
    rows = [row for row in rows if len(row) >= 3 and all(re.fullmatch("[0-9a-f]{8}", word) for word in row[:3])]
    if not rows:
        return {}
    return {
        f"softnet.{name}": sum(int(row[at], 16) for row in rows) for at, name in ((1, "drops"), (2, "time_squeeze"))
    }


def pressure(text: str) -> dict[str, int]:
    """A cpu.pressure: time in which some task waited for a CPU, in us."""
    found = re.search(r"(?m)^some .*\btotal=([0-9]{1,20})$", text)
    return {"pressure.cpu.some_us": int(found[1])} if found else {}


def number(text: str, name: str) -> dict[str, int]:
    """A file that holds one number."""
    return _pairs([(name, text.strip())])


def _pairs(words: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Names with their numbers; a value that is none is left out."""
    return {name: int(value) for name, value in words if re.fullmatch("-?[0-9]{1,20}", value)}


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
    """A cgroup's cpu.stat: ``cpu.periods`` in which it ran, ``cpu.throttled_periods`` in which it had used up its CPU
    limit, and ``cpu.throttled_us``, how long it then stood still.

    Version 1 gives that time in ns (``throttled_time``), version 2 in us. Empty for a cgroup that cannot have a limit.
    """
    pairs = (line.split() for line in text.splitlines())
    numbers = _pairs((pair[0], pair[1]) for pair in pairs if len(pair) == 2)
    if not {"nr_periods", "nr_throttled"} <= numbers.keys():
        return {}
    throttled_us = numbers.get("throttled_usec", numbers.get("throttled_time", 0) // 1000)
    return {
        "cpu.periods": numbers["nr_periods"],
        "cpu.throttled_periods": numbers["nr_throttled"],
        "cpu.throttled_us": throttled_us,
    }


def under(prefix: str, numbers: Mapping[str, int]) -> dict[str, int]:
    """The same numbers with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": value for name, value in numbers.items()}
