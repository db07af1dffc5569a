"""A diagnosis on a terminal: rungs, arms and causes first, the answer last, where the eye is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from dnslab.explain.arms import ArmSeen
from dnslab.explain.ladder import Answer, Named
from dnslab.explain.mending import Mending
from dnslab.plan import sentinel
from dnslab.plan.arms import queries_per_s
from dnslab.plan.ladder import RUNGS, Ladder, Rung
from dnslab.plan.model import Plan
from dnslab.sentences import ladder as said
from dnslab.text import (
    Style,
    counted,
    duration,
    echo,
    echo_spans,
    listed,
    milliseconds,
    rounded,
    terminal_width,
    visible,
)

WIDTH = 100
_HEADINGS = ("arm", "asked at", "queries", "lost", "late", "errors", "p50 ms", "seen")
#: causes that are shown with their evidence
MOST_CAUSES = 3


def print_answer(answer: Answer) -> None:
    """Print what each rung and arm showed, the causes with their evidence, and the answer on stdout."""
    width = min(terminal_width() or WIDTH, WIDTH)
    causes = [line for cause in answer.causes[:MOST_CAUSES] for line in _cause(cause, width)]
    table = ["", *_table(answer.arms)] if answer.arms else []
    _print([*_rungs(answer), *table, "", *causes, *([""] if causes else [])])
    for sentence in answer.lines:
        _print(textwrap.wrap(visible(sentence), width, break_on_hyphens=False), "strong")
    for cause in answer.causes[: answer.n_named]:
        if cause.remedy:
            _print(["", *_steps(cause.remedy, width)])


def _print(lines: Sequence[str], style: Style = "") -> None:
    echo_spans([[(line, style)] for line in lines])


def _rungs(answer: Answer) -> Iterator[str]:
    for rung in answer.rungs:
        values = {"name": rung.rung, "time": duration(rung.seconds), "rate": rounded(rung.per_server_per_s, 2)}
        yield said.RUNG_DONE(**values, path=rung.path)


def _table(arms: Sequence[ArmSeen]) -> Iterator[str]:
    rows = [_HEADINGS, *map(_cells, arms)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(seen: ArmSeen) -> tuple[str, ...]:
    counts = (seen.n, seen.counts["lost"], seen.counts["late"], seen.counts["errors"])
    p50 = milliseconds(seen.p50_ms) if seen.p50_ms < float("inf") else "-"
    return (seen.arm, seen.place, *(f"{count:,}" for count in counts), p50, seen.word)


def _cause(cause: Named, width: int) -> Iterator[str]:
    heading = said.CAUSE(word=cause.word, title=cause.title.rstrip("."), summary=cause.summary)
    yield from textwrap.wrap(heading, width, break_on_hyphens=False)
    for sentence, claims in ((said.FOR, cause.evidence_for), (said.AGAINST, cause.evidence_against)):
        for claim in claims:
            said_of = sentence(claim=claim)
            yield from textwrap.wrap(
                said_of, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
            )


def _steps(remedy: Mending, width: int) -> Iterator[str]:
    """What to run, in order. Commands stand on lines of their own and are never broken, so that they can be copied."""
    blocks = (
        (str(said.CLUSTER_FIRST), [remedy.first] if remedy.first else []),
        (said.TO_ONE_WORKLOAD(variant=remedy.variant), remedy.apply),
        (str(said.ALL_WAYS), [remedy.fix] if remedy.fix else []),
        (str(said.FOR_ALL), remedy.commands),
        (str(said.AFTERWARDS), [remedy.command] if remedy.command else []),
    )
    for heading, commands in blocks:
        if commands:
            yield heading
            yield from (f"  {visible(command)}" for command in commands)
        if commands == remedy.apply:
            for caveat in remedy.caveats:
                yield from textwrap.wrap(f"- {visible(caveat)}", width, subsequent_indent="  ", break_on_hyphens=False)


def rung_line(number: int, rung: Rung, plan: Plan, ladder: Ladder) -> str:
    """One line on a rung that begins."""
    return said.RUNG(
        number=str(number),
        name=rung.name,
        arms=counted(len(plan.loads) - 1, "arm") if rung.arms else counted(len(plan.variants), "configuration"),
        time=duration(plan.load_s),
        rate=rounded(ladder.per_server_per_s(plan), 2),
    )


def wait_line(ladder: Ladder) -> str:
    """One line on a wait that begins."""
    rate = rounded(sentinel.per_target_per_s(ladder.places), 2)
    return said.WAITING(time=duration(ladder.wait_s), rate=rate)


def print_ladder(ladder: Ladder) -> None:
    """Print every rung with its time and its queries: the most that a diagnosis asks."""
    if ladder.wait_s:
        echo(wait_line(ladder))
    total = 0.0
    for number, rung in enumerate(RUNGS, 1):
        plan = ladder.plan_of(rung)
        n = _queries(plan)
        total += n
        echo(rung_line(number, rung, plan, ladder))
        echo("  " + said.DRY_RUNG(separates=str(rung.separates), queries=counted(round(n), "query", "queries")))
    endpoints = ladder.places.endpoints
    places = said.DRY_PLACES(places=listed(list(endpoints))) if endpoints else said.DRY_NONE(why=ladder.places.missing)
    echo(places)
    echo(said.DRY_TOTAL(queries=counted(round(total), "query", "queries"), budget=duration(ladder.budget_s)))


def _queries(plan: Plan) -> float:
    """Queries of a rung on one target, without those that a resolver repeats."""
    return sum(queries_per_s(load) * load.total_s for load in plan.loads) * plan.rounds * len(plan.variants)
