"""Which part of a run is sound: void what is bad, keep what is good.

Pure but for reading the run again without what is left out. Whether something is bad is said by ``validity``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from dnslab.analyse.dataset import Run
from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.analyse.summary import Summary, summarise
from dnslab.explain.loss_signs import SEQUENTIAL, looks_like_pairs
from dnslab.explain.validity import find_vetoes, voids
from dnslab.explain.veto import MOST_PLACES, Veto
from dnslab.sentences import checks
from dnslab.store.client import ClientName
from dnslab.text import counted, first_of, listed

#: vetoes on a machine or a pod that was short of CPU
OF_LOAD = ("CPU saturated", "pod throttled", "generator too slow")
#: stalls, and the share of them at multiples of the resolver's step, from which on load does not explain them
UNMISTAKABLE_STALLS, UNMISTAKABLE_AT_STEPS = 10, 0.9
#: target and load
_Place = tuple[str, int]


@dataclass(frozen=True)
class Examined:
    """The sound part of a run: the run read without what was left out, its summary, and all vetoes.

    If a veto makes the run void, nothing was left out.
    """

    run: Run
    summary: Summary
    vetoes: tuple[Veto, ...]


def examine(run: Run) -> Examined:
    """Summarise ``run`` without its clients that cannot be relied on.

    - A veto on a trial leaves out its round on its target, for all variants, so that they stay comparable. Some vetoes
      are on a variant or on a target (``Veto.reach``) and leave that out.
    - Of a variant on a target there have to be left three rounds at least, and half of the plan's. Else all of its
      rounds are left out; and where it is baseline, all of that target.
    - The run is void where a veto is about the run as a whole, and where no baseline is left under the first load,
      which the answer is about.
    - A target that would be left out for its load alone is kept, with a note, where load cannot explain its stalls
      (``_beyond_load``).
    """
    told: list[Veto] = []
    part = whole = _judged(run)
    while voids(part.vetoes):
        gone = part.run.left_out
        lost = _lost(part, _spoiled(part.summary, voids(part.vetoes), run.plan.rounds))
        marked = [veto for found in part.vetoes for veto in _marked(part, found, lost)]
        void = voids(marked)
        spoiled = _spoiled(part.summary, void, run.plan.rounds)
        if not void:
            part = replace(part, vetoes=tuple(marked))
        elif (
            any(veto.reach == "run" for veto in void)
            or spoiled <= gone  # each void names a client that is still there, else this would never end
            or not _enough_left(whole.summary, gone | spoiled)
        ):
            return whole
        else:
            told += [_told(part.summary, veto, spoiled) for veto in void]
            part = _judged(run.without(gone | spoiled))
    return replace(part, vetoes=(*told, *part.vetoes))


def _judged(run: Run) -> Examined:
    summary = summarise(run)
    return Examined(run, summary, tuple(find_vetoes(run, summary)))


def _places(clients: Collection[ClientName]) -> list[_Place]:
    return sorted({(target, load) for _, target, load, _ in clients})


def _everyone(summary: Summary, vetoes: Sequence[Veto]) -> frozenset[ClientName]:
    """All clients, also those that are missing and therefore only named by a veto."""
    return frozenset(client.name for client in summary.clients).union(*(veto.clients for veto in vetoes))


def _spoiled(summary: Summary, vetoes: Sequence[Veto], n_rounds: int) -> frozenset[ClientName]:
    """All clients that ``vetoes`` leave out, by the rule that ``examine`` states."""
    everyone = _everyone(summary, vetoes)
    spoiled = {client for veto in vetoes for client in _reached(veto, everyone)}
    rows: dict[tuple[str, str, int], set[int]] = {}
    for variant, target, load, number in everyone:
        rows.setdefault((variant, target, load), set())
        if (variant, target, load, number) not in spoiled:
            rows[variant, target, load].add(number)
    hit = {client[:3] for client in spoiled}
    thin = {row for row in hit if len(rows[row]) < max(MIN_ROUNDS, n_rounds / 2)}
    lost = {row[1:] for row in thin if row[0] == "baseline"}
    return frozenset(client for client in everyone if client in spoiled or client[:3] in thin or client[1:3] in lost)


def _reached(veto: Veto, everyone: frozenset[ClientName]) -> frozenset[ClientName]:
    """The clients that a veto spoils."""
    parts = {"run": slice(0, 0), "round": slice(1, 4), "variant": slice(0, 3), "target": slice(1, 3)}
    part = parts[veto.reach]
    wanted = {client[part] for client in veto.clients}
    return frozenset(client for client in everyone if client[part] in wanted)


def _enough_left(summary: Summary, left_out: frozenset[ClientName]) -> bool:
    """Whether baseline is left on a target under the first load; or if it was not measured, anything."""
    first = [client.name for client in summary.clients if client.load == 0]
    wanted = [name for name in first if name[0] == "baseline"] or first
    return any(name not in left_out for name in wanted)


def _told(summary: Summary, veto: Veto, spoiled: frozenset[ClientName]) -> Veto:
    """What is left out for ``veto``, instead of it."""
    there: dict[_Place, list[ClientName]] = {place: [] for place in _places(veto.clients)}
    for client in _everyone(summary, [veto]):
        if client[1:3] in there:
            there[client[1:3]].append(client)
    under = [f" under {label}" if len(summary.load_labels) > 1 else "" for label in summary.load_labels]
    names, all_of_it = [], True
    for (target, load), clients in there.items():
        part = "" if spoiled.issuperset(clients) else _part(veto, [one for one in clients if one in veto.clients])
        names.append(f"{part}{target}{under[load]}")
        all_of_it = all_of_it and not part
    seen = checks.REASON(name=veto.name, seen=veto.seen)
    if veto.reach == "round":
        whose = checks.TRIALS_THERE
        if all_of_it:
            whose = checks.ITS_TRIALS if len(there) == 1 else checks.THEIR_TRIALS
        trials = whose(trials=counted(sum(map(len, there.values())), "trial"))
        seen = checks.IN_TRIALS(name=veto.name, n=f"{len(veto.clients):,}", trials=trials)
    return replace(veto, severity="left out", seen=seen, left_out=tuple(names))


def _part(veto: Veto, clients: Sequence[ClientName]) -> str:
    """Which part of a target ``veto`` leaves out: ``"use-vc on "``, ``"rounds 2 and 5 on "``."""
    if veto.reach == "variant":
        return f"{listed(sorted({client[0] for client in clients}))} on "
    numbers = sorted({client[3] for client in clients})
    return f"round{'s' if len(numbers) > 1 else ''} {listed([str(number) for number in numbers])} on "


def _lost(part: Examined, spoiled: frozenset[ClientName]) -> set[_Place]:
    """Targets, each under a load, of which nothing is left."""
    left = [client.name for client in part.summary.clients if client.name not in spoiled]
    return set(_places(spoiled)) - set(_places(left))


def _marked(part: Examined, veto: Veto, lost: set[_Place]) -> list[Veto]:
    """``veto``, without the targets of ``lost`` whose stalls are beyond what load explains: a note is made of these."""
    if veto.severity != "void" or veto.name not in OF_LOAD:
        return [veto]
    beyond = {place for place in _places(veto.clients) if place in lost and _beyond_load(part, place)}
    kept = frozenset(client for client in veto.clients if client[1:3] in beyond)
    if not kept:
        return [veto]
    n_there = sum(client.name[1:3] in beyond for client in part.summary.clients)
    names = first_of([target for target, _ in sorted(beyond)], MOST_PLACES)
    seen = checks.KEPT(places=names, n=f"{len(kept):,}", trials=counted(n_there, "trial"))
    note = Veto(veto.name, "note", seen, str(checks.TRUST_THE_STALLS))
    rest = veto.clients - kept
    return [note, replace(veto, clients=rest)] if rest else [note]


def _beyond_load(part: Examined, place: _Place) -> bool:
    """Whether stalls on a target are such as load does not make.

    All of this holds: variants ran side by side, on the same machine at the same time; baseline has ten stalls or more
    in the pattern of the conntrack race (``loss_signs``: one answer of two lost, no receive buffer full); 9 of 10 ended
    at multiples of the resolver's timeout; and sequential queries had none, which is a difference beyond chance.
    """
    target, load = place
    summary = part.summary
    baseline = summary.row("baseline", target, load)
    if load or part.run.plan.order != "side-by-side" or baseline is None or not baseline.stalls_at:
        return False
    verdicts = [row.verdicts.get("stalls_share") for name in SEQUENTIAL if (row := summary.row(name, target, load))]
    return (
        baseline.stalls >= UNMISTAKABLE_STALLS
        and sum(baseline.stalls_at.values()) >= UNMISTAKABLE_AT_STEPS * baseline.stalls
        and looks_like_pairs(baseline)
        and all(verdict is not None and verdict.word == "lower" for verdict in verdicts)
    )
