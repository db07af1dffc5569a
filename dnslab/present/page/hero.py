"""The verdict: the badge of an emulated fault, a sentence, a small picture, and which run this is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from dnslab.analyse.dataset import Run
from dnslab.analyse.intervals import share, upper_bound_when_none
from dnslab.analyse.summary import Row
from dnslab.explain.ranking import Word
from dnslab.explain.verification import Side, verify
from dnslab.explain.veto import left_out
from dnslab.present.page.context import PATCHED, Context, share_cell, share_numbers
from dnslab.present.page.scales import Scale, scale_of
from dnslab.present.page.view import Fact, Glance, Hero, Link, Strip, StripRow
from dnslab.sentences import pictures, trust, verdict as said
from dnslab.text import NBSP, below, counted, estimate_with_bounds, first_of, span_of

#: configurations named one by one in the small picture
MOST_ROWS = 4
ICONS = {"bad": "alert", "good": "ok", "warn": "q"}


def hero(context: Context) -> Hero:
    """The top of the page."""
    verdict = context.findings.verdict
    before, strong, after = verdict.lead.partition(verdict.strong) if verdict.strong else (verdict.lead, "", "")
    badge = None
    if context.emulated:
        badge = (said.INJECTED(fault=context.summary.fault), str(said.INJECTED_MORE))
    return Hero(
        tone=verdict.tone,
        icon=ICONS[verdict.tone],
        title=verdict.title,
        lead=(before, strong, after),
        more=" ".join(filter(None, [*verdict.more, left_out(context.findings.vetoes)])),
        way=Link("now", _way(context)),
        badge=badge,
        strip=_strip(context),
        facts=_facts(context),
    )


def _way(context: Context) -> str:
    ways = {"none": "If pods still wait", "void": "How to measure again", "unknown": "How to find out"}
    return ways.get(context.findings.verdict.state, "What to do now")


def _strip(context: Context) -> Strip | None:
    if context.summary.verifies:
        return _of_patch(context)
    state, count = context.findings.verdict.state, context.count
    rows = [one.row for libc in context.libcs for one in context.rows(libc)]
    if not rows:
        return None
    scale = scale_of(*_values(rows, context))
    captions = {
        "none": pictures.NONE_CAPTION,
        "void": pictures.VOID_CAPTION,
        "failing": pictures.FAILED_CAPTION,
        "slow": pictures.SLOW_CAPTION,
    }
    lines = []
    for libc in context.libcs:
        of_baseline = [one for one in context.rows(libc) if one.row.variant == "baseline"]
        lines += [_line(context, one.row, scale, one.word) for one in of_baseline]
    for libc in context.libcs:
        others = [one for one in context.rows(libc) if one.row.variant != "baseline"]
        bad = [one for one in others if getattr(one.row, count)]
        worst = sorted(bad, key=lambda one: -getattr(one.row, f"{count}_share"))[:MOST_ROWS]
        lines += [_line(context, one.row, scale, one.word) for one in worst]
        clean = [one.row for one in others if not getattr(one.row, count)]
        if clean:
            lines.append(_grouped(clean, scale, context, others[0].word))
    caption = str(captions.get(state, pictures.SHARE_CAPTION))
    return Strip(caption, scale.axis(f"{NBSP}%"), lines, state == "void")


def _values(rows: Sequence[Row], context: Context) -> tuple[list[float], list[float]]:
    numbers = [share_numbers(row, context.count) for row in rows]
    return [one[0] for one in numbers], [one[2] for one in numbers if math.isfinite(one[2])]


def _line(context: Context, row: Row, scale: Scale, word: Word) -> StripRow:
    cell = share_cell(row, context.count, scale, context.name(row.variant), word)
    bounds = cell.note.strip("()") if cell.value == "none" else cell.rest.strip("()")
    tone = "mute" if word is Word.VOID else cell.tone
    return StripRow(context.name(row.variant), row.target, cell.mark, cell.value, bounds, tone)


def _grouped(rows: Sequence[Row], scale: Scale, context: Context, word: Word) -> StripRow:
    """All configurations of a target in which nothing was seen: one line, with the highest bound."""
    worst = max(rows, key=lambda row: upper_bound_when_none(row.n))
    if len(rows) == 1:
        return _line(context, worst, scale, word)
    bound = below(upper_bound_when_none(worst.n))
    name = f"{len(rows)} others"
    tone = "mute" if word is Word.VOID else "good"
    mark = scale.mark(0.0, 0.0, 100 * upper_bound_when_none(worst.n), tone, f"{name}: none seen, each {bound}")
    return StripRow(name, f"{worst.target}, each", mark, "none", bound, tone)


def _of_patch(context: Context) -> Strip | None:
    """Of a verifying run: the workload now and its old configuration, for each C library."""
    sides = [
        (libc, name, side)
        for found in verify(context.summary)
        for libc, name, side in ((found.libc, "before", found.before), (found.libc, "baseline", found.now))
        if side.total
    ]
    if not sides:
        return None
    numbers = [_side_numbers(side) for _, _, side in sides]
    scale = scale_of([one[0] for one in numbers], [one[2] for one in numbers if math.isfinite(one[2])])
    lines = []
    for (libc, name, side), (estimate, low, high) in zip(sides, numbers, strict=True):
        tone = "bad" if estimate else "good"
        if estimate:
            value, bounds = estimate_with_bounds(share(side.stalls, side.n), 100)
            value = f"{value}{NBSP}%"
        else:
            value, bounds = "none", below(high / 100)
        title = f"{PATCHED[name]}, {libc}: {value} ({bounds})"
        lines.append(StripRow(PATCHED[name], libc, scale.mark(estimate, low, high, tone, title), value, bounds, tone))
    return Strip(str(pictures.SHARE_CAPTION), scale.axis(f"{NBSP}%"), lines)


def _side_numbers(side: Side) -> tuple[float, float, float]:
    if not side.k:
        return 0.0, 0.0, 100 * upper_bound_when_none(side.total)
    interval = share(side.stalls, side.n)
    return 100 * interval.estimate, 100 * interval.low, 100 * interval.high


def where(context: Context) -> str:
    """Where the run was made, in a few words."""
    environment, backend = context.run.environment, context.run.environment.backend
    kernel = str(environment.kernel or "").removeprefix("Linux ")
    short = ".".join(kernel.split(".")[:2]).partition("-")[0]
    on = f", kernel {short}" if short else ""
    if context.summary.backend == "lab":
        return f"Local lab{on}"
    if context.summary.backend == "local":
        return f"This machine{on}"
    nodes = {client.start.node for client in context.run.clients() if client.start.node}
    name = f"Cluster {backend.context}" if backend.context else "Cluster"
    return f"{name}, {counted(len(nodes), 'node')}" if nodes else name


def when(run: Run) -> tuple[str, str]:
    """When the run began, and how long it took; ``""`` where it is not known."""
    clients = run.clients()
    starts = [client.start.started_realtime_ns for client in clients if client.start.started_realtime_ns]
    ends = [client.end.finished_realtime_ns for client in clients if client.end and client.end.finished_realtime_ns]
    took = span_of(round((max(ends) - min(starts)) / 1e9)) if starts and ends and max(ends) > min(starts) else ""
    try:
        began = datetime.fromisoformat(str(run.environment.started)).astimezone(UTC)
    except ValueError:
        return "", took
    return f"{began.day} {began:%b %Y, %H:%M} UTC", took


def _facts(context: Context) -> list[Fact]:
    summary, plan = context.summary, context.run.plan
    began, took = when(context.run)
    n = sum(row.n for row in summary.measured())
    libcs = dict.fromkeys(f"{target.libc} {target.libc_version}".strip() for target in context.run.targets)
    load = plan.loads[0]
    each = f"{load.rate_per_s:g} lookups/s each" if load.loop != "closed" else load.label
    more = f" and {counted(len(plan.loads) - 1, 'other load')}" if len(plan.loads) > 1 else ""
    namespace = str(getattr(context.run.environment.backend, "namespace", None) or "")
    facts = [
        Fact("Where", where(context)),
        Fact("Namespace", namespace, code=True),
        Fact("When", ", ".join(filter(None, [began, took]))),
        Fact("Measured", f"{counted(n, 'lookup')} in {counted(summary.n_rounds, 'round')}"),
        Fact("Load", f"{each}{more}"),
        Fact("Name" if len(plan.names) == 1 else "Names", first_of(plan.names, 2), code=True),
        Fact("C library", first_of(list(libcs), 3)),
        Fact("Fault", summary.fault if context.emulated else "none injected", tone="fault" if context.emulated else ""),
        Fact("Made with", f"dnslab {context.run.environment.dnslab}" if context.run.environment.dnslab else ""),
    ]
    return [fact for fact in facts if fact.text]


def glances(context: Context, n_failed: int, n_noted: int, n_passed: int) -> list[Glance]:
    """Short answers that lead to the sections."""
    places = {"Why?": "why", "What helps?": "helps", "What does it cost?": "helps"}
    places |= {"Did the patch help?": "helps", "Before": "helps"}
    found = [
        Glance(places[question], question, answer.short, answer.detail)
        for question, answer in context.findings.answers.items()
        if question in places and answer.short
    ]
    checks = counted(n_passed + n_failed, "check")
    noted = [limit.title for limit in context.findings.bear_in_mind if limit.noted]
    detail = trust.BEAR_IN_MIND(notes="; ".join(_small(note) for note in noted)) if noted else ""
    if n_failed and not context.findings.void:
        short, detail = trust.SOME_LEFT_OUT(n=counted(n_failed, "check")), f"{trust.LEFT_OUT} {detail}"
    elif n_failed:
        short = trust.SOME_FAILED(n=counted(n_failed, "check"))
    elif n_noted and any(not veto.left_out for veto in context.findings.vetoes):
        short = trust.SOME_NOTED(n=counted(n_passed, "check"), noted=f"{n_noted}")
    else:
        short = trust.ALL_PASSED(n=checks)
    return [*found, Glance("trust", "Can you trust it?", short, detail)]


def _small(title: str) -> str:
    return title[:1].lower() + title[1:]
