"""A Corefile as data: its server blocks, the cluster's zones, and what a node-local cache would pass by.

Pure. Only what is written counts: no default, and nothing that is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: plugins whose settings decide what a lookup costs, or where it goes
SETTINGS = {"autopath", "cache", "forward", "hosts", "import", "kubernetes", "rewrite", "template"}
#: plugins that answer or change a name that a cache would send to the node's own nameservers
ANSWERING = ("hosts", "rewrite", "template", "file", "auto", "etcd", "route53", "clouddns", "azure", "k8s_external")


def parse_corefile(text: str) -> list[dict[str, Any]]:
    """Server blocks of a Corefile, in order: ``zones`` as written, ``plugins`` by name, ``settings`` of a few.

    ``settings`` are those of ``SETTINGS`` that are there: the plugin's arguments, then each line in its braces.

    >>> parse_corefile(".:53 {\\n  cache 30 {\\n    success 9984\\n  }\\n  loop\\n}")
    [{'zones': ['.:53'], 'plugins': ['cache', 'loop'], 'settings': {'cache': ['30', 'success 9984']}}]
    """
    blocks: list[dict[str, Any]] = []
    depth = 0
    for raw in text.splitlines():
        words = re.sub(r"(^|\s)#.*", "", raw).split()
        opens = words[-1:] == ["{"]
        words = words[:-1] if opens else words
        if words == ["}"]:
            depth -= 1
        elif words and depth == 0:
            blocks.append({"zones": [word.strip(",") for word in words], "plugins": [], "settings": {}})
        elif words and depth == 1:
            blocks[-1]["plugins"].append(words[0])
            if words[0] in SETTINGS:
                blocks[-1]["settings"].setdefault(words[0], []).append(" ".join(words[1:]))
        elif words and blocks[-1]["plugins"][-1] in SETTINGS:
            blocks[-1]["settings"][blocks[-1]["plugins"][-1]].append(" ".join(words))
        depth += opens
    return blocks


def zone_of(word: str) -> str:
    """A server block's zone without scheme and port; ``""`` for the root, and for what is no domain."""
    zone = re.sub(r":\d+$", "", re.sub(r"^[a-z]+://", "", word)).rstrip(".")
    return zone if re.fullmatch(r"[A-Za-z0-9._-]+", zone) else ""


def cluster_zones(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    """All forward zones that the kubernetes plugin, or else its server block, is given."""
    zones: dict[str, None] = {}
    for block in blocks:
        if "kubernetes" in block["plugins"]:
            given = block["settings"]["kubernetes"][0].split() or block["zones"]
            zones |= dict.fromkeys(zone for word in given if (zone := zone_of(word)) and not zone.endswith(".arpa"))
    return list(zones)


def stub_domains(blocks: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Zones that are forwarded by a server block of their own, each with the addresses that are asked."""
    cluster = cluster_zones(blocks)
    return {
        zone: block["settings"]["forward"][0].split()[1:]
        for block in blocks
        if "forward" in block["plugins"]
        for word in block["zones"]
        if (zone := zone_of(word)) and zone not in cluster and not zone.endswith(".arpa")
    }


def passed_by(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    """What CoreDNS answers or changes by itself, and a cache that asks elsewhere for other zones would pass by."""
    lines = []
    for block in blocks:
        for plugin in dict.fromkeys(block["plugins"]):
            if plugin in ANSWERING:
                first = next(iter(block["settings"].get(plugin, [""])), "")
                lines.append(f"{plugin} {first}".strip() + f" (in {' '.join(block['zones'])})")
    return lines


def imports(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Files that the Corefile imports, which cannot be read here."""
    inside = [name for block in blocks for name in block["settings"].get("import", [])]
    return [*inside, *(name for block in blocks if block["zones"][:1] == ["import"] for name in block["zones"][1:])]
