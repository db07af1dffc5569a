"""What a diagnosis says of a recording, by the rules as they are now.

The ladder is climbed again over the recorded rungs, and ends where a rung that it asks for next was not recorded. The
stored answer is not read, nor is what was injected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from bench.confusion.record import FAILED, MACHINE
from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.lookups import Lookups
from dnslab.experiment.rungs import around
from dnslab.explain.arms import ArmSeen
from dnslab.explain.diagnosed import arms_of, libc_run, seen_so_far
from dnslab.explain.ladder import Answer, RungDone, conclude_ladder
from dnslab.plan.arms import Places
from dnslab.plan.ladder import LIBC, Seen, next_rung
from dnslab.store.diagnosis import ANSWER

#: words that name a cause
NAMING = ("shown", "likely")
#: of a lookup that a user feels: where an answer comes from the same cluster it takes a few ms
FELT_MS = 50.0


@dataclass(frozen=True)
class Named:
    """A cause, or a mechanism whose cause is open, and how sure the answer is of it."""

    name: str
    mechanism: str
    word: str


@dataclass(frozen=True)
class Said:
    """What a diagnosis says.

    ``touched`` is the share of baseline's lookups in the rung ``libc`` that failed, got one family alone or took 50 ms
    or more, ``p99_ms`` their quantile; NaN where the ladder ended before. ``most_touched`` is the largest such share of
    any configuration there, ``most_bad`` that of lost, late or refused raw queries of any arm. ``load`` is the
    machine's load average before and after. ``other_way``: by today's rules the ladder goes on with a rung that was not
    recorded, though the recorded one had come to its end; so it says nothing of today's.
    """

    status: str
    named: tuple[Named, ...] = ()
    possible: tuple[Named, ...] = ()
    rungs: tuple[str, ...] = ()
    seconds: float = 0.0
    touched: float = float("nan")
    p99_ms: float = float("nan")
    most_touched: float = float("nan")
    most_bad: float = 0.0
    load: tuple[float, float] = (0.0, 0.0)
    kernel: str = ""
    began: str = ""
    why: str = ""
    other_way: bool = False

    @property
    def first(self) -> Named | None:
        """What it names first, if it names anything."""
        return self.named[0] if self.named and self.status in ("cause", "two causes") else None


def said_of(path: Path, opened: Callable[[Path], Run] = open_run) -> Said:
    """What a diagnosis says of the recording in the folder ``path``, whose rungs are ``opened``."""
    machine = _object(path / MACHINE)
    about = Said(
        status="failed",
        seconds=machine["seconds"],
        load=(machine["load_before"], machine["load_after"]),
        kernel=machine["kernel"],
        began=machine["began"],
    )
    if (path / FAILED).exists():
        return replace(about, why=(path / FAILED).read_text(encoding="utf-8").strip())
    answer, runs = replayed(path, opened)
    causes = [Named(cause.name, cause.mechanism, cause.word) for cause in answer.causes]
    of_variants = _felt(runs.get(LIBC.name))
    touched, p99_ms = of_variants.get("baseline", (float("nan"), float("nan")))
    return replace(
        about,
        status=answer.status,
        named=tuple(one for one in causes if one.word in NAMING),
        possible=tuple(one for one in causes if one.word not in NAMING),
        rungs=tuple(rung.rung for rung in answer.rungs),
        touched=touched,
        p99_ms=p99_ms,
        most_touched=max((share for share, _ in of_variants.values()), default=float("nan")),
        most_bad=max(map(_bad_share, answer.arms), default=0.0),
        why="; ".join(rung.problem for rung in answer.rungs if rung.problem),
        other_way=bool(answer.following) and not _object(path / ANSWER)["next_rung"],
    )


def replayed(path: Path, opened: Callable[[Path], Run] = open_run) -> tuple[Answer, Mapping[str, Run]]:
    """Climb the ladder over the recorded rungs: the answer, and the rungs' runs by name."""
    document = _object(path / ANSWER)
    places = TypeAdapter(Places).validate_python(document["places"])
    rungs = {row["rung"]: RungDone(**row) for row in document["rungs"]}
    runs = {name: opened(path / rung.path) for name, rung in rungs.items()}
    done: list[RungDone] = []
    seen = Seen()
    while rung := next_rung([one.rung for one in done], seen):
        there = rungs.get(rung.name)
        if there:
            done.append(there)
        climbed = [runs[one.rung] for one in done]
        arms = arms_of(climbed)
        passed_s = sum(one.seconds for one in done)
        stopped = there.problem if there else ""
        following = None if there else rung
        libc = libc_run(climbed)
        beside = around(climbed)
        answer = conclude_ladder(
            done, arms, libc, places, passed_s=passed_s, stopped=stopped, following=following, around=beside
        )
        if stopped or following:
            return answer, runs
        seen = seen_so_far(arms, answer)
    return answer, runs


def _felt(libc: Run | None) -> dict[str, tuple[float, float]]:
    """By configuration, the share of its lookups that a user feels, and the quantile of 99 %, ms."""
    found: dict[str, list[Lookups]] = {}
    for one in libc.decoded() if libc else ():
        found.setdefault(one.client.start.variant, []).append(one)
    return {variant: _felt_of(lookups) for variant, lookups in found.items()}


def _felt_of(lookups: Sequence[Lookups]) -> tuple[float, float]:
    ms = np.concatenate([one.service_ms for one in lookups])
    bad = np.concatenate([np.asarray(one.outcome) != 0 for one in lookups])
    return float((bad | (ms >= FELT_MS)).mean()), float(np.quantile(ms, 0.99))


def _bad_share(seen: ArmSeen) -> float:
    """Of raw queries of an arm at one place, those that were lost, late, refused or cut."""
    bad = sum(seen.counts[name] for name in ("lost", "late", "errors", "truncated"))
    return min(1.0, bad / seen.n) if seen.n else 0.0


def _object(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
