"""Witnesses of each trial: how far numbers of the kernel rose while it ran, and what could not be read.

``store.witnesses`` says what they are. Judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from dnslab.analyse.dataset import Run
from dnslab.store import witnesses
from dnslab.store.client import ClientRecord
from dnslab.store.witnesses import CLIENT, MACHINE, Witness

State = Literal["counted", "restarted", "missing"]
STATES: tuple[State, ...] = ("counted", "restarted", "missing")
COLUMNS = (
    *("trial", "round", "load", "variant", "target", "place", "witness", "socket", "unit"),
    *("before", "after", "change", "state", "reason"),
)

NO_END = "the trial has no end"
NOT_READ = "not read"


def witness_frame(run: Run) -> pd.DataFrame:
    """What each witness did in each trial, in the order of the trials.

    Returns
    -------
    DataFrame
        One row for each trial on each target, place and witness; several where a witness is counted for each socket.

        ``trial``, ``round``, ``load`` (int64), ``variant``, ``target``
            As in ``Run.trials``.
        ``place``
            ``client``: its network namespace and its cgroup; ``machine``: its machine, with all else that runs there;
            ``node``: the network namespace of its node, where a node-local cache has its sockets, too; ``server-a`` and
            ``server-b``: those of the lab's servers; ``coredns``: those of a cluster's servers, which are missing.
            All but the client's are shared by all that is measured at the same time.
        ``witness``
            As in ``store.witnesses.WITNESSES``.
        ``socket``
            The local address of the sockets meant, for a witness that is counted for each; otherwise ``""``.
        ``unit``
            Of the other columns: ``datagrams``, ``segments``, ``connections``, ``us`` (microseconds), and so on; or
            ``share of max``, from 0 to 1: entries of conntrack's table as a share of the most that it holds.
        ``before``, ``after``
            The reading before the trial's warm-up, and the reading after its last lookup (float64). NaN where missing.
        ``change``
            ``after - before``: a rise, or for a share the difference, of either sign. NaN unless ``state`` is
            ``counted``. It covers the warm-up, and the time until the last lookup came back.
        ``state`` (category)
            ``counted``; ``restarted``: it began anew at 0 in between, by a new socket or container, so how far it rose
            is not known; ``missing``: not read, before or after or both.
        ``reason``
            Why it is missing; otherwise ``""``.

    Sockets that were opened and closed during a trial are in no row of ``udp.drops``; ``Udp.RcvbufErrors`` of the same
    place counts what they dropped.
    """
    rows = [row for client in run.clients() for row in _of_client(client)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(("before", "after", "change"), "float64")
    return frame.astype({**numbers, "state": pd.CategoricalDtype(list(STATES))})


def changes(frame: pd.DataFrame) -> pd.DataFrame:
    """``change`` of a ``witness_frame`` with a row for each ``trial`` and ``target``, and a column for each witness.

    A column is called ``PLACE.WITNESS``, with ``@ADDRESS`` for a socket. NaN where it was not counted: ``state`` of the
    frame tells why.
    """
    return frame.assign(name=full_names(frame)).pivot(index=["trial", "target"], columns="name", values="change")


def full_names(frame: pd.DataFrame) -> pd.Series[str]:
    """``PLACE.WITNESS`` of each row of a ``witness_frame``, with ``@ADDRESS`` for a socket."""
    sockets = frame["socket"].where(frame["socket"] == "", "@" + frame["socket"])
    return frame["place"] + "." + frame["witness"] + sockets


def rises_of(client: ClientRecord) -> dict[str, float]:
    """How far each witness rose in one trial, by ``PLACE.WITNESS`` with ``@ADDRESS`` for a socket; of a share of a
    maximum, its last value. Those that were not counted are left out."""
    rises = {}
    for *_, place, name, socket, unit, _, after, change, state, _ in _of_client(client):
        if state == "counted":
            rises[f"{place}.{name}" + (f"@{socket}" if socket else "")] = after if unit == "share of max" else change
    return rises


def joined(all_rises: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """How far witnesses rose in several trials (``rises_of``) together: the sum; of a share, the largest."""
    found: dict[str, float] = {}
    for rises in all_rises:
        for name, rise in rises.items():
            place, _, witness = name.partition("@")[0].partition(".")
            share = witnesses.at(place)[witness].share_of
            found[name] = max(found.get(name, 0.0), rise) if share else found.get(name, 0.0) + rise
    return found


def _of_client(client: ClientRecord) -> Iterator[tuple[Any, ...]]:
    start = client.start
    who = (client.number, start.round, start.load, start.variant, client.target)
    before = _Reading(start.counters, start.missing)
    after = _Reading(client.end.counters, client.end.missing) if client.end else _Reading({}, {}, NO_END)
    for place in _places(before, after):
        for witness in witnesses.at(place).values():
            unit = "share of max" if witness.share_of else witness.unit
            known = _Witness(place, witness)
            for socket in dict.fromkeys((*before.sockets(known), *after.sockets(known))) or [""]:
                yield (*who, place, witness.name, socket, unit, *_change(before, after, known, socket))


def _places(*readings: _Reading) -> list[str]:
    """Client and machine, and every other place of which anything is known."""
    known = {name.partition(".")[0] for reading in readings for name in (*reading.numbers, *reading.missing)}
    return [place for place in witnesses.PLACES if place in known or place in (CLIENT, MACHINE)]


@dataclass(frozen=True)
class _Witness:
    """A witness of a place."""

    place: str
    witness: Witness

    @property
    def name(self) -> str:
        return f"{self.place}.{self.witness.name}"


class _Reading:
    """The numbers of one reading, and what it misses: ``otherwise`` where it does not say why."""

    def __init__(self, numbers: Mapping[str, float], missing: Mapping[str, str], otherwise: str = NOT_READ) -> None:
        self.numbers, self.missing, self._otherwise = numbers, missing, otherwise
        self._sockets: dict[str, list[str]] = {}
        for name in numbers:
            whole, at, socket = name.partition("@")
            if at:
                self._sockets.setdefault(whole, []).append(socket)

    def sockets(self, known: _Witness) -> list[str]:
        return self._sockets.get(known.name, []) if known.witness.by_socket else []

    def value(self, known: _Witness, socket: str) -> float:
        """NaN where it is missing."""
        value = self._number(known.name, socket)
        if not known.witness.share_of:
            return value
        whole = self._number(f"{known.place}.{known.witness.share_of}")
        return value / whole if whole > 0 else math.nan

    def same(self, known: _Witness, socket: str) -> float:
        """The number that stays the same until what is counted begins anew."""
        return self._number(f"{known.place}.{known.witness.same}", socket) if known.witness.same else 0.0

    def _number(self, name: str, socket: str = "") -> float:
        return float(self.numbers.get(f"{name}@{socket}" if socket else name, math.nan))

    def why(self, known: _Witness) -> str:
        if self.sockets(known):  # of other sockets
            return witnesses.NO_SOCKET
        return self.missing.get(known.name) or self.missing.get(known.place) or self._otherwise


def _change(before: _Reading, after: _Reading, known: _Witness, socket: str) -> tuple[float, float, float, State, str]:
    """Before, after, change, state and reason."""
    values = before.value(known, socket), after.value(known, socket)
    missing = [reading for reading, value in zip((before, after), values, strict=True) if math.isnan(value)]
    if missing:
        reason = missing[0].why(known)
        if len(missing) == 1 and reason == witnesses.NO_SOCKET:  # opened or closed in between
            return *values, math.nan, "restarted", ""
        return *values, math.nan, "missing", reason
    fell = values[1] < values[0] and not known.witness.share_of
    if fell or before.same(known, socket) != after.same(known, socket):
        return *values, math.nan, "restarted", ""
    return *values, values[1] - values[0], "counted", ""
