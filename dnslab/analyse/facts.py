"""What a run is in a few lines: what was measured, where, when, how much, and whether all of it is there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dnslab.errors import DnslabError
from dnslab.plan.model import Plan
from dnslab.sentences import notebook as sentences
from dnslab.store.client import ClientName, ClientRecord
from dnslab.store.contents import Environment
from dnslab.store.folder import resume_call
from dnslab.text import counted, first_of

#: targets named one by one
MOST = 4


def where(plan: Plan, environment: Environment, clients: Sequence[ClientRecord]) -> str:
    """The backend, and the C libraries that were measured there; before the first trial, those that are there."""
    measured = {client.target for client in clients}
    backend = environment.backend
    name = f"{plan.backend} ({backend.context})" if backend.context else plan.backend
    libcs = [
        f"{target.libc} {target.libc_version}".strip()
        if target.name in (target.libc, "")
        else f"{target.name} ({target.libc} {target.libc_version})"
        for target in environment.targets
        if not measured or target.name in measured
    ]
    return sentences.PLACE(backend=name, where=first_of(list(dict.fromkeys(libcs)), MOST)) if libcs else name


def began(environment: Environment) -> str:
    """When the run began, to the minute and in UTC; empty where that is not known."""
    text = str(environment.started or "")
    with contextlib.suppress(ValueError, OverflowError):
        text = datetime.fromisoformat(text).astimezone(UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    return text


def when(environment: Environment) -> str:
    """When the run began, and the version that made it."""
    return ", ".join(filter(None, [began(environment), f"dnslab {environment.dnslab}" if environment.dnslab else ""]))


def size(clients: Sequence[ClientRecord]) -> str:
    """Trials, lookups and bytes that the run folder has."""
    n_bytes = [client.stream.stat().st_size if client.stream.exists() else 0 for client in clients]
    n_lookups = sum(client.end.trailer.n_records for client in clients if client.end)
    return sentences.SIZE(
        trials=counted(len(clients), "trial"),
        lookups=counted(n_lookups, "lookup"),
        size=f"{sum(n_bytes) / 1e6:.1f} MB" if sum(n_bytes) >= 1e6 else f"{sum(n_bytes) / 1e3:.0f} kB",
    )


def state(path: Path, n_clients: int, incomplete: Mapping[ClientName, str], left_out: int) -> str:
    """Whether all trials are there, and how to measure those that are not."""
    text = sentences.COMPLETE()
    if incomplete:
        missing = sentences.MISSING(missing=f"{len(incomplete):,}", trials=counted(n_clients, "trial"))
        text = sentences.TO_RESUME(what=missing, call=resume_call(path))
    out = sentences.LEFT_OUT(clients=counted(left_out, "trial")) if left_out else ""
    return "; ".join(filter(None, [text, out]))


def unreadable(error: DnslabError) -> str:
    """In place of what cannot be read."""
    return sentences.UNREADABLE(why=str(error))
