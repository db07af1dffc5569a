"""Vetoes on what changed during a run: slow beginnings, caches that were not equally warm, drift over the rounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from dnslab.analyse import intervals
from dnslab.analyse.counts import ClientCounts
from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.analyse.summary import Summary
from dnslab.explain.veto import Veto, clients_of
from dnslab.sentences import checks
from dnslab.store.client import Key
from dnslab.text import percent

#: from which ratio on, or change over the run, something happened that the eye sees, and by chance how seldom
RATIO, CHANGE, BY_CHANCE = 1.5, 0.5, 0.01
#: share of first lookups from which on the median is theirs
FIRST_SHARE = 0.5
#: rounds from which on a drift can be told from chance
DRIFT_ROUNDS = 5


def unsteady(summary: Summary) -> Iterator[Veto]:
    """Vetoes on what changed during the run."""
    yield from _settled(summary)
    yield from _warmth(summary)
    yield from _drift(summary)


def _trials(summary: Summary) -> dict[Key, list[ClientCounts]]:
    """Whole trials of each row, in order of their rounds."""
    trials: dict[Key, list[ClientCounts]] = {}
    for client in sorted(summary.clients, key=lambda client: client.round):
        if client.complete and client.n:
            trials.setdefault(client.key, []).append(client)
    return trials


def _settled(summary: Summary) -> Iterator[Veto]:
    """Whether in most rounds trials were slower at their beginning than later."""
    trials = {key: clients for key, clients in _trials(summary).items() if len(clients) >= MIN_ROUNDS}
    for (variant, target, _), clients in trials.items():
        ratios = [
            math.log(client.early_ms / client.late_ms) for client in clients if client.late_ms > 0 < client.early_ms
        ]
        slower = _steady(ratios, math.log(RATIO), len(trials))
        if slower > 0:
            seen = checks.SLOW_START(variant=variant, target=target, times=f"{math.exp(slower):.1f}")
            yield Veto("warm-up not settled", "note", seen, str(checks.LONGER_WARMUP))


def _warmth(summary: Summary) -> Iterator[Veto]:
    """Whether in most rounds a configuration met a colder or a warmer cache than baseline.

    The first lookup of each name in a trial is compared with its later ones: with a warm cache they take equally long.
    The servers' own hits and misses are not used, because in a cluster they are mostly about other clients.
    """
    trials = _trials(summary)
    compared = [key for key in trials if key[0] != "baseline" and key[2] not in summary.closed_loops]
    for key in compared:
        bases = {client.round: client for client in trials.get(("baseline", *key[1:]), [])}
        both = [(client, bases[client.round]) for client in trials[key] if client.round in bases]
        pairs = [(client, base) for client, base in both if _first(client) and _first(base)]
        ratios = [(_first(client), _first(base)) for client, base in pairs]
        if _steady([math.log(ours / theirs) for ours, theirs in ratios], math.log(RATIO), len(compared)):
            ours, theirs = (math.exp(sum(map(math.log, side)) / len(ratios)) for side in zip(*ratios, strict=True))
            share = sum(client.warmth.first_share for client, _ in pairs) / len(pairs)
            seen = checks.WARMTH(
                target=key[1],
                variant=key[0],
                ours=f"{ours:.1f}",
                theirs=f"{theirs:.1f}",
                share=percent(round(share, 2)),
            )
            advice = str(checks.ASK_FEWER_NAMES)
            if share >= FIRST_SHARE:
                yield Veto("cache warmth unequal", "void", seen, advice, clients_of(summary, key), "variant")
            else:
                yield Veto("cache warmth unequal", "note", seen, advice)


def _first(client: ClientCounts) -> float:
    """The ratio of the first lookup's time of a name to that of later ones; 0 if not known."""
    warmth = client.warmth
    return warmth.first_ms / warmth.again_ms if warmth.again_ms > 0 < warmth.first_ms else 0.0


def _steady(values: Sequence[float], least: float, n_looked_at: int) -> float:
    """Mean of ``values``, one for each round, if it is at least ``least`` in either direction and not by chance; else
    0."""
    mean = sum(values) / len(values) if values else 0.0
    if len(values) < MIN_ROUNDS or abs(mean) < least:
        return 0.0
    by_chance = intervals.mean(values).p >= BY_CHANCE / n_looked_at
    return 0.0 if by_chance else mean


def _drift(summary: Summary) -> Iterator[Veto]:
    """Whether the median or the share of stalls rose or fell steadily over the rounds."""
    trials = {key: clients for key, clients in _trials(summary).items() if len(clients) >= DRIFT_ROUNDS}
    for (variant, target, _), clients in trials.items():
        for what, values in (
            (checks.MEDIAN, [client.late_ms for client in clients]),
            (checks.SHARE_OF_STALLS, [client.stalls / client.n for client in clients]),
        ):
            line = intervals.slope([client.round for client in clients], values)
            mean = sum(values) / len(values)
            change = line.estimate * (clients[-1].round - clients[0].round)
            if mean > 0 and abs(change) > CHANGE * mean and line.p < BY_CHANCE / len(trials) / 2:
                seen = checks.DRIFT(
                    measure=str(what),
                    variant=variant,
                    target=target,
                    way=str(checks.ROSE if change > 0 else checks.FELL),
                    share=percent(round(abs(change) / mean, 2)),
                )
                yield Veto("drift over the run", "note", seen, str(checks.PAIRED_BY_ROUND))
