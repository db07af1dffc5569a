"""The local backend: the probe as a child of this process, against this machine's resolver or a nameserver.

It is the control for the lab, and works inside a pod too. It shares ports and conntrack with all else on the machine,
so no flow can be made fresh here; ``describe`` says so.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dnslab.measure import witnesses
from dnslab.measure.asking import expected, why_no_cache
from dnslab.measure.probe import find_probe
from dnslab.measure.process import ProcessChannel
from dnslab.measure.protocol import Channel, Client, Expected, TargetFacts, glibc_version
from dnslab.measure.witnesses import Reading
from dnslab.plan import flows
from dnslab.plan.resolvconf import ResolverOptions, parse, parse_endpoint, render
from dnslab.plan.schedule import TargetInfo
from dnslab.store.contents import BackendFacts

RESOLV_CONF = Path("/etc/resolv.conf")


def known_targets() -> list[TargetInfo]:
    """This machine as the only target. Variants are applied inside the probe's process; no file is changed."""
    return [TargetInfo("here", "glibc", glibc_version(), "_res")]


def options_here(nameserver: str | None) -> ResolverOptions:
    """What this machine's resolv.conf says, with ``nameserver`` in place of its own."""
    text = RESOLV_CONF.read_text(encoding="utf-8", errors="replace") if RESOLV_CONF.exists() else ""
    options = parse(text, "glibc", glibc_version())
    domain = socket.gethostname().partition(".")[2]
    if domain and not options.search:  # which glibc searches then (res_vinit_1)
        options = replace(options, search=(domain,))
    return replace(options, nameservers=(parse_endpoint(nameserver)[0],)) if nameserver else options


class LocalBackend:
    """Lookups from this machine; ``nameserver`` replaces its own, ``cache_addresses`` are asked once."""

    name = "local"
    opens_ahead = False

    def __init__(self, nameserver: str | None = None, cache_addresses: Iterable[str] = ()) -> None:
        self._probe = find_probe("glibc")
        self._server = parse_endpoint(nameserver) if nameserver else None
        self._options = options_here(nameserver)
        self._no_cache = why_no_cache(self._target().start, cache_addresses)

    def describe(self) -> BackendFacts:
        """Which nameserver it asks; ``fresh_clients`` is false."""
        facts = {
            "name": self.name,
            "nameserver": f"{self._server[0]}:{self._server[1]}" if self._server else list(self._options.nameservers),
            "fresh_clients": False,
            "n_ports": flows.count_ports(_text(flows.PORT_RANGE_FILE)),
            "udp_timeout_s": flows.UDP_TIMEOUT_S,
        }
        return BackendFacts.model_validate(facts)

    def targets(self) -> Sequence[TargetInfo]:
        """This machine."""
        return [replace(target, no_cache=self._no_cache) for target in known_targets()]

    def expected(self, names: Sequence[str]) -> Mapping[str, Expected]:
        """What each name resolves to now."""
        return expected(self._target().start, names, self._options, nameserver=self._server)

    def open(self, client: Client) -> LocalTarget:
        """The same machine each time."""
        return self._target()

    def _target(self) -> LocalTarget:
        return LocalTarget(self._probe, self._options, self._server)

    def close(self) -> None:
        """Does nothing, since nothing is kept open."""


class LocalTarget:
    """This machine."""

    def __init__(self, probe: Path, options: ResolverOptions, server: tuple[str, int] | None) -> None:
        self._probe, self._options, self._server = probe, options, server
        self._channels: list[ProcessChannel] = []

    def facts(self) -> TargetFacts:
        """The resolv.conf in force, with the run's nameserver in it."""
        extra: dict[str, Any] = {"fresh": False}
        if self._server:
            extra["nameserver_port"] = self._server[1]
        kernel = f"{platform.system()} {platform.release()}"
        return TargetFacts("glibc", glibc_version(), "_res", render(self._options), kernel, platform.node(), extra)

    def start(self, job: bytes) -> Channel:
        """Start the probe."""
        channel = ProcessChannel([str(self._probe)])
        self._channels.append(channel)
        channel.write(job)
        return channel

    def counters(self) -> Reading:
        """The counters of this machine, which other processes change too; all are missing if there is no /proc."""
        return witnesses.client(witnesses.here(witnesses.CLIENT_FILES))

    def ground_truth(self) -> Mapping[str, Any] | None:
        """No fault is injected here."""
        return None

    def close(self) -> None:
        """End the probe if it still runs."""
        for channel in self._channels:
            channel.hang_up()


def _text(path: str) -> str | None:
    return Path(path).read_text(encoding="ascii") if Path(path).exists() else None
