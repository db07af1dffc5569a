"""The page docs/diagnosis.md: how it was made, the figures, truth against answer, and all that was wrong."""

from __future__ import annotations

import math
import os
import subprocess
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

from bench.confusion import text
from bench.confusion.cases import NOT_FELT
from bench.confusion.priors import PRIORS, value
from bench.confusion.reading import said_of
from bench.confusion.record import Task
from bench.confusion.score import (
    Figure,
    Scored,
    bounds,
    by_fault,
    felt,
    figures,
    runs_needed,
    told_alone,
    upper_bound,
    usual_s,
)
from dnslab.explain.predictions import MECHANISMS

ROOT = Path(__file__).parents[2]
#: files that decide what is said
RULES = (
    *(f"dnslab/explain/{name}.py" for name in ("engine", "second", "predictions", "catalogue")),
    *(f"dnslab/explain/{name}.py" for name in ("sign", "signs", "arms", "arm_counts", "ladder")),
    *(f"dnslab/explain/{name}_signs.py" for name in ("arm", "counter", "delay", "flow", "loss")),
    *(f"dnslab/analyse/{name}.py" for name in ("arms", "observed")),
)
#: answers that name nothing
OPEN = ("nothing found", "none fits", "insufficient data", "stopped", "failed")


def lines(tasks: Sequence[Task], seed: int | None) -> Iterator[str]:
    """The page, line by line."""
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        all_said = list(pool.map(said_of, [task.path for task in tasks], chunksize=4))
    rules = _changed(RULES)
    scored = [
        Scored(task.case, task.repetition, said, since=datetime.fromisoformat(said.began) > rules)
        for task, said in zip(tasks, all_said, strict=True)
    ]
    n_other_way = sum(one.said.other_way for one in scored)
    scored = [one for one in scored if not one.said.other_way]
    there, scored = scored, felt(scored)
    yield from _how(scored, seed, n_other_way, [one for one in there if one not in scored])
    yield from _figures(scored)
    yield from _matrix([one for one in scored if one.case.kind != "pair"])
    yield from _pairs(scored)
    yield from _values(scored)
    yield from _wrong(scored)
    yield from _cases([one for one in scored if one.case.kind != "none"])


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _rule(n: int, right: int = 0) -> str:
    """The line below a table's head; its last ``right`` columns hold numbers."""
    return "|" + " --- |" * (n - right) + " ---: |" * right


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def _how(scored: Sequence[Scored], seed: int | None, n_other_way: int, not_felt: Sequence[Scored]) -> Iterator[str]:
    began = sorted(one.said.began for one in scored if one.said.began)
    kernels = ", ".join(sorted({one.said.kernel for one in scored if one.said.kernel}))
    counts: dict[str, int] = {}
    for one in scored:
        counts[one.case.kind] = counts.get(one.case.kind, 0) + 1
    healthy_s, longest_healthy_s = usual_s(one for one in scored if one.case.kind == "none")
    fault_s, longest_s = usual_s(one for one in scored if one.case.kind != "none")
    loads = [max(one.said.load) for one in scored]
    head = text.HEAD.format(
        command="python -m bench.confusion" + (f" --seed {seed}" if seed is not None else ""),
        n=len(scored),
        kinds=", ".join(f"{kind} {n}" for kind, n in counts.items()),
        began=began[0][:16].replace("T", " ") if began else "-",
        ended=began[-1][:16].replace("T", " ") if began else "-",
        kernel=kernels,
        cpus=os.cpu_count(),
        version=_git("%h of %ci", *RULES)[:27] or "unknown",
        n_since=sum(one.since for one in scored),
        n_other_way=n_other_way,
        not_felt="; ".join(f"`{fault}` ({len(list(runs))})" for fault, runs in by_fault(not_felt)) or "none",
        load=f"{median(loads):.1f}" if loads else "-",
        most_load=f"{max(loads, default=0.0):.1f}",
        healthy=f"{healthy_s:.0f} s (longest {longest_healthy_s:.0f} s)",
        faulty=f"{fault_s:.0f} s (longest {longest_s:.0f} s)",
        unfelt="; ".join(f"`{fault}` ({why})" for fault, why in NOT_FELT.items()),
    )
    yield from map(_wrapped, head.splitlines())


def _wrapped(line: str) -> str:
    """A paragraph or an item of a list in lines of at most 120 letters."""
    return textwrap.fill(line, 120, subsequent_indent="  " * line.startswith("- "), break_on_hyphens=False)


def _git(form: str, *paths: str) -> str:
    """The last commit that changed ``paths``, or anything, in this form."""
    argv = ["git", "-C", str(ROOT), "log", "-1", f"--format={form}", "--", *paths]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _changed(paths: Sequence[str]) -> datetime:
    """When ``paths`` were last changed; long ago where that is not known."""
    text = _git("%cI", *paths)
    return datetime.fromisoformat(text) if text else datetime.fromtimestamp(0, UTC)


def _figures(scored: Sequence[Scored]) -> Iterator[str]:
    yield text.FIGURES
    yield _row("figure", "runs", "share", "95 % bounds", "goal", "holds")
    yield _rule(6)
    all_figures = figures(scored)
    for figure in all_figures:
        low, high = bounds(figure.k, figure.n)
        yield _row(
            figure.name,
            f"{figure.k} of {figure.n}",
            _percent(figure.share),
            f"{_percent(low)} to {_percent(high)}",
            f"{'>=' if figure.at_least else '<='} {100 * figure.goal:.0f} %" + (" (bound)" if figure.bounded else ""),
            "yes" if figure.holds else "**no**",
        )
    yield ""
    yield from (line for figure in all_figures if figure.bounded for line in _needed(figure))


def _needed(figure: Figure) -> Iterator[str]:
    """What a bound would take."""
    wrong, goal = figure.n_wrong, figure.most_wrong
    reached = upper_bound(wrong, figure.n)
    more = runs_needed(wrong, goal) - figure.n
    if more > 0:
        words = {"reached": _percent(reached), "goal": _percent(goal), "more": f"{more:,}", "wrong": str(wrong)}
        yield _wrapped(text.NEEDED.format(figure=figure.name, **words))


def _label(one: Scored) -> str:
    first = one.said.first
    return first.mechanism if first else one.said.status


def _matrix(scored: Sequence[Scored]) -> Iterator[str]:
    """Truth by row, answer by column; columns have the numbers of the rows that are right for them."""
    yield text.MATRIX
    rows: dict[str, list[Scored]] = {}
    for one in scored:
        truth = " or ".join(sorted({name for each in one.case.truths for name in each.mechanisms})) or "nothing"
        what = f"outside: {one.case.fault.partition(':')[0]}" if one.case.kind == "outside" else truth
        rows.setdefault(what, []).append(one)
    order = [name for name in MECHANISMS if name in rows or any(_label(one) == name for one in scored)]
    truths = sorted(rows, key=lambda name: (name not in order, order.index(name) if name in order else 0, name))
    numbers = {name: str(i) for i, name in enumerate(order, 1)}
    said = [*order, *(name for name in OPEN if any(_label(one) == name for one in scored))]
    used = [name for name in said if any(_label(one) == name for one in scored)]
    yield _row("", "truth", "runs", *(numbers.get(name, name) for name in used))
    yield _rule(3 + len(used), 1 + len(used))
    for truth in truths:
        labels = [_label(one) for one in rows[truth]]
        cells = [labels.count(name) or "." for name in used]
        bold = [f"**{cell}**" if name == truth else cell for name, cell in zip(used, cells, strict=True)]
        yield _row(numbers.get(truth, ""), truth, len(labels), *bold)
    missing = [f"{numbers[name]} {name}" for name in used if name in numbers and name not in rows]
    if missing:
        yield "\n" + text.NO_ROW.format(names=", ".join(missing))


def _pairs(scored: Sequence[Scored]) -> Iterator[str]:
    pairs = [one for one in scored if one.case.kind == "pair"]
    if not pairs:
        return
    yield text.PAIRS
    alone = {one.case.fault for one in told_alone(scored)}
    yield _row("pair", "runs", "both named", "one named", "wrong", "said")
    yield _rule(6)
    for fault, grouped in by_fault(pairs):
        runs = list(grouped)
        both = sum(one.both for one in runs)
        some = sum(not one.both and one.right_first for one in runs)
        wrong = sum(bool(one.wrong("shown") or one.wrong("likely")) for one in runs)
        yield _row(f"`{fault}`", len(runs), both, some, wrong, _said(runs))
    yield "\n" + text.ALONE.format(n=len(alone), has="has" if len(alone) == 1 else "have")


def _said(runs: Iterable[Scored]) -> str:
    """What was said of a case, each answer once, with how often."""
    counts: dict[str, int] = {}
    for one in runs:
        counts[_answer(one)] = counts.get(_answer(one), 0) + 1
    return "; ".join(said if n == 1 else f"{said} ({n}x)" for said, n in counts.items())


def _answer(one: Scored) -> str:
    named = one.said.named if one.said.first else ()
    return ", ".join(f"{cause.name} {cause.word}" for cause in named) or one.said.status


def _values(scored: Sequence[Scored]) -> Iterator[str]:
    yield text.VALUES
    yield _row("assumption", "`shown` is true", "`likely` is true", "`nothing found` is true", "an answer is given")
    yield _rule(5)
    for prior in PRIORS:
        shown, likely = (
            value(prior, scored, partial(_has, word), partial(_is_right, word)) for word in ("shown", "likely")
        )
        nothing = value(prior, scored, lambda one: _label(one) == "nothing found", lambda one: not one.case.truths)
        any_given = value(prior, scored, lambda one: one.said.first is not None, lambda one: one.right_first)
        yield _row(prior.name, *(_percent(one.true) for one in (shown, likely, nothing)), _percent(any_given.given))


def _has(word: str, one: Scored) -> bool:
    return any(cause.word == word for cause in one.said.named)


def _is_right(word: str, one: Scored) -> bool:
    return not one.wrong(word)


def _wrong(scored: Sequence[Scored]) -> Iterator[str]:
    yield text.WRONG
    wrong = [one for one in scored if one.wrong("shown") or one.wrong("likely")]
    if not wrong:
        yield "None."
        return
    yield _row("case", "repetition", "wrong", "whole answer", "rungs", "load average")
    yield _rule(6)
    for one in sorted(wrong, key=lambda one: (one.case.fault, one.repetition)):
        named = [*one.wrong("shown"), *one.wrong("likely")]
        yield _row(
            f"`{one.case.fault}`",
            one.repetition,
            ", ".join(f"{cause.name} {cause.word}" for cause in named),
            _answer(one),
            ", ".join(one.said.rungs),
            f"{one.said.load[0]:.1f} to {one.said.load[1]:.1f}",
        )


def _cases(scored: Sequence[Scored]) -> Iterator[str]:
    yield text.CASES
    yield _row("case", "kind", "runs", "true first", "right kind first", "touched", "p99, ms", "said")
    yield _rule(8)
    for fault, grouped in by_fault(scored):
        runs = list(grouped)
        yield _row(
            f"`{fault}`",
            runs[0].case.kind,
            len(runs),
            sum(one.right_first for one in runs),
            sum(one.class_first for one in runs),
            _percent(_mean([one.said.touched for one in runs])),
            _times([one.said.p99_ms for one in runs]),
            _said(runs),
        )


def _mean(values: Iterable[float]) -> float:
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


def _times(values: Iterable[float]) -> str:
    mean = _mean(values)
    return "-" if math.isnan(mean) else f"{mean:,.1f}"
