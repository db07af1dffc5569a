"""``python -m bench.confusion.together``: pairs put together from recordings of single faults, and which were named.

A pair takes a minute and a half to record, so a seed draws 15 of some thousand. Here the losses and delays of two
recordings are added up, query by query: enough to find what the rules miss, in a second for each pair. It is no measure
of them: one fault changes nothing of what the other does, and what both do to a counter is added up, too.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bench.confusion import cases
from bench.confusion.reading import Said, said_of
from bench.confusion.record import FAILED, MACHINE, folder
from bench.confusion.score import Scored
from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.lookups import Lookups, decode, of_records
from dnslab.plan.ladder import DEADLINE_S
from dnslab.store import stream as records
from dnslab.store.client import ClientName, ClientRecord
from dnslab.store.diagnosis import ANSWER

T = TypeVar("T")
#: what an answer takes in a lab without a fault, and less
HEALTHY_NS = 800_000
#: counters that a fault raises, by a part of their names; others, as those of datagrams, count what was sent
RAISED = (
    *("InCsumErrors", "NoPorts", "RcvbufErrors", "RetransSegs", "ActiveOpens", "insert_failed", "conntrack.drop"),
    *("early_drop", "periods", "udp.drops", "udp6.drops"),
)


class Together(Run):
    """A run as if the fault of another of the same plan had been there, too."""

    def __init__(self, one: Run, other: Run) -> None:
        super().__init__(one.folder)
        self._one, self._other = one, other
        self._others: dict[ClientName, ClientRecord] = {client.name: client for client in other.clients()}

    def without(self, clients: Any) -> Together:
        """The same without these clients."""
        part = Together(self._one, self._other)
        part.left_out = self.left_out | frozenset(clients)
        part._kept, part._measured = self._kept, self._measured
        return part

    @cached_property
    def _clients(self) -> list[ClientRecord]:
        there = [client for client in self._one.clients() if client.name not in self.left_out]
        return [_counted(client, self._others.get(client.name)) for client in there]

    def _each(self, clients: Sequence[ClientRecord], measure: Callable[[Lookups], T]) -> Iterator[T]:
        for client in clients:
            other = self._others.get(client.name)
            yield measure(together(decode(client), decode(other)) if other else decode(client))


def _counted(client: ClientRecord, other: ClientRecord | None) -> ClientRecord:
    """The client with the rises of both recordings."""
    if other is None or client.end is None or other.end is None:
        return client
    before = other.start.counters
    rises = {name: max(0, after - before.get(name, after)) for name, after in other.end.counters.items()}
    counters = {
        name: after + (rises.get(name, 0) if any(part in name for part in RAISED) else 0)
        for name, after in client.end.counters.items()
    }
    return replace(client, end=client.end.model_copy(update={"counters": counters}))


def together(one: Lookups, other: Lookups) -> Lookups:
    """The lookups of ``one`` with what happened to those of ``other``, the first to the first.

    What either lost is lost; delays add up, and of two errors that of ``one`` is seen.
    """
    both = [_in_order(lookups) for lookups in (one, other)]
    n = min(map(len, both))
    made, added = both[0][:n].copy(), both[1][:n]
    took, took_too = (_took_ns(rows) for rows in (made, added))
    code, code_too = made["outcome"].copy(), added["outcome"]
    took += np.maximum(0, took_too - HEALTHY_NS)
    if one.client.start.engine == "wire":
        gone, gone_too = code < 0, code_too < 0
        took = np.where(gone, _took_ns(made), np.where(gone_too, took_too, took))
        late = ~gone & ~gone_too & (took >= DEADLINE_S * 1e9)
        code = np.where(late, records.OUTCOME_NO_ANSWER, np.where(gone | (~gone_too & (code != 0)), code, code_too))
        took = np.minimum(took, int(DEADLINE_S * 1e9))
    else:
        code = np.where(code != 0, code, code_too)
    a, aaaa = (np.minimum(*(rows["answers"] >> shift & 0xFFFF for rows in (made, added))) for shift in (0, 16))
    made["answers"] = a | aaaa << 16
    made["flags"] |= added["flags"] & ~np.uint32(records.FLAG_WARMUP | records.FLAG_AAAA)
    late_sent = (added["start_ns"] - added["intended_ns"]).view(np.int64)
    made["start_ns"] += np.where(late_sent > HEALTHY_NS, late_sent, 0).astype(np.uint64)
    made["end_ns"] = made["start_ns"] + took.astype(np.uint64)
    made["outcome"] = code
    return of_records(one.client, made, one.warmup, one.paused_s)


def _in_order(lookups: Lookups) -> npt.NDArray[Any]:
    """Records as they were due; of a pair, the first query first."""
    raw = lookups.raw
    return raw[np.lexsort((raw["flags"] & records.FLAG_AAAA, raw["intended_ns"]))]


def _took_ns(raw: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    took: npt.NDArray[np.int64] = (raw["end_ns"] - raw["start_ns"]).view(np.int64)
    return took


def said_of_both(one: Path, other: Path) -> Said:
    """What a diagnosis says where the faults of two recordings were there."""
    theirs = {row["rung"]: other / row["path"] for row in _rungs(other)}

    def opened(path: Path) -> Run:
        there = theirs.get(path.name.partition("-")[2])
        return Together(open_run(path), open_run(there)) if there else open_run(path)

    return said_of(one, opened)


def _rungs(path: Path) -> list[dict[str, Any]]:
    rungs: list[dict[str, Any]] = json.loads((path / ANSWER).read_text(encoding="utf-8"))["rungs"]
    return rungs


def pairs(singles: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Recordings of faults that can be there together, in an order that their names alone decide.

    Those that climbed other rungs are left out: what one would have suffered there is not known.
    """
    rungs = {path: {row["rung"] for row in _rungs(path)} for path in singles}
    found = [
        (one, other)
        for one, other in combinations(singles, 2)
        if rungs[one] == rungs[other] and cases.possible(one.parent.name, other.parent.name)
    ]
    return sorted(found, key=lambda pair: zlib.crc32("+".join(path.parent.name for path in pair).encode()))


def _told_alone(path: Path) -> bool:
    return Scored(cases.learnt(path.parent.name), 1, said_of(path)).right_first


def _scored(pair: tuple[Path, Path]) -> Scored:
    return Scored(cases.pair("+".join(path.parent.name for path in pair)), 1, said_of_both(*pair))


def main() -> None:
    """Put pairs of faults together that are each told alone. Print how often both are named, and the other pairs."""
    parser = argparse.ArgumentParser(prog="python -m bench.confusion.together", description=main.__doc__)
    parser.add_argument("--most", type=int, default=400, help="pairs that are put together (default 400)")
    most = parser.parse_args().most
    names = cases.LISTED.keys() - set(cases.NOT_PAIRED)
    there = [path / "1" for path in sorted(folder().iterdir()) if path.name.partition(":")[0] in names]
    singles = [path for path in there if "+" not in path.parent.name and (path / MACHINE).exists()]
    singles = [path for path in singles if not (path / FAILED).exists()]
    with ProcessPoolExecutor() as pool:
        told = [path for path, right in zip(singles, pool.map(_told_alone, singles), strict=True) if right]
        scored = list(pool.map(_scored, pairs(told)[:most], chunksize=4))
    scored, n_more = [one for one in scored if not one.said.other_way], sum(one.said.other_way for one in scored)
    for one in scored:
        if not one.both or one.wrong("shown"):
            named = ", ".join(f"{cause.mechanism} {cause.word}" for cause in one.said.named) or "nothing"
            print(f"{one.case.fault}: {one.said.status}; {named}{' (wrong)' if one.wrong('shown') else ''}")
    n_both, n_wrong = sum(one.both for one in scored), sum(bool(one.wrong("shown")) for one in scored)
    print(f"both named: {n_both} of {len(scored)}; a wrong cause shown: {n_wrong}; would have asked more: {n_more}")


if __name__ == "__main__":
    main()
