"""The verdict: the badge of an emulated fault, a sentence, a small picture, and which run this is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from dnslab.analyse.dataset import Run
from dnslab.analyse.facts import began
from dnslab.analyse.intervals import share, upper_bound_when_none
from dnslab.analyse.summary import Row
from dnslab.explain.answers import baselines
from dnslab.explain.counter_signs import kernel_in_short
from dnslab.explain.validity import voids
from dnslab.explain.verification import Side, verify
from dnslab.explain.veto import left_out
from dnslab.plan.backends import IN_CLUSTER
from dnslab.plan.faultplan import OneFault
from dnslab.plan.faults import PARAMETERS
from dnslab.present.page.context import PATCHED, Context, intervals_note, share_cell, share_numbers
from dnslab.present.page.helps import loads_of
from dnslab.present.page.scales import Scale, scale_of
from dnslab.present.page.view import Fact, Glance, Hero, Link, Strip, StripRow
from dnslab.sentences import Sentence, pictures, remedies, trust, verdict as said
from dnslab.text import (
    NBSP,
    below,
    capitalised,
    counted,
    estimate_with_bounds,
    first_of,
    listed,
    lowered,
    span_of,
    time_ms,
)

#: configurations named one by one in the small picture
MOST_ROWS = 4
#: characters of a target's name that have room beside its mark on a phone
LONGEST_TARGET = 24
#: width of its axis where that is narrowest
STRIP_PX = 180.0
ICONS = {"bad": "alert", "good": "ok", "warn": "q", "soft": "minus"}
#: where there is no remedy, its cost is no answer
NO_COST = (str(remedies.COST_NOTHING), str(remedies.COST_NO_HELP))
#: parameters that its sentence names; the others stand in its text
IN_WORDS = ("p", "bytes", "ms")
#: what a fault is called, and what it does, by its name
FAULTS: Mapping[str, tuple[Sentence, Sentence]] = {
    "race": (said.FAULT_RACE, said.FAULT_RACE_IS),
    "loss": (said.FAULT_LOSS, said.FAULT_LOSS_IS),
    "receive-buffer": (said.FAULT_BUFFER, said.FAULT_BUFFER_IS),
    "slow-answer": (said.FAULT_SLOW, said.FAULT_SLOW_IS),
    "slow-aaaa": (said.FAULT_AAAA, said.FAULT_AAAA_IS),
    "one-dead-backend": (said.FAULT_DEAD, said.FAULT_DEAD_IS),
    "tcp-blocked": (said.FAULT_TCP, said.FAULT_TCP_IS),
}


def hero(context: Context) -> Hero:
    """The top of the page."""
    verdict = context.findings.verdict
    before, strong, after = verdict.lead.partition(verdict.strong) if verdict.strong else (verdict.lead, "", "")
    return Hero(
        place=place(context.run),
        tone=verdict.tone,
        icon=ICONS[verdict.tone],
        title=verdict.title,
        lead=(before, strong, after),
        more=" ".join(filter(None, [*verdict.more, left_out(context.findings.vetoes)])),
        way=Link("now", _way(context)),
        badge=badge(context.run),
        strip=_strip(context),
        facts=_facts(context),
    )


def _way(context: Context) -> str:
    ways = {"none": "If lookups still stall", "void": "How to measure again", "unknown": "How to find out"}
    return ways.get(context.findings.verdict.state, "What to do now")


def _strip(context: Context) -> Strip | None:
    if context.summary.verifies:
        return _of_patch(context)
    state, count = context.findings.verdict.state, context.count
    rows = [one.row for libc in context.libcs for one in context.rows(libc)]
    if not rows or state in ("void", "delayed"):
        return None
    scale = scale_of(*_values(rows, context))
    lines = []
    for libc in context.libcs:
        of_baseline = [one for one in context.rows(libc) if one.row.variant == "baseline"]
        lines += [_line(context, one.row, scale) for one in of_baseline]
    for libc in context.libcs:
        others = [one for one in context.rows(libc) if one.row.variant != "baseline"]
        bad = [one for one in others if getattr(one.row, count)]
        worst = sorted(bad, key=lambda one: -getattr(one.row, f"{count}_share"))[:MOST_ROWS]
        lines += [_line(context, one.row, scale) for one in worst]
        clean = [one.row for one in others if not getattr(one.row, count)]
        if clean:
            lines.append(_grouped(clean, scale, context))
    caption = str(pictures.NONE_CAPTION) if state == "none" else _caption(context)
    return Strip(caption, scale.axis(f"{NBSP}%", narrowest_px=STRIP_PX), lines, intervals_note(lines))


def _caption(context: Context) -> str:
    """What the shares of the small picture are of."""
    if context.count == "over_limit":
        return pictures.LATE_CAPTION(limit=time_ms(context.summary.limit_ms))
    captions = {
        "stalls": pictures.SHARE_CAPTION,
        "failed": pictures.FAILED_CAPTION,
        "slow": pictures.SLOW_CAPTION,
        "partial": pictures.PARTIAL_CAPTION,
    }
    return str(captions[context.count])


def _values(rows: Sequence[Row], context: Context) -> tuple[list[float], list[float]]:
    numbers = [share_numbers(row, context.count) for row in rows]
    return [one[0] for one in numbers], [one[2] for one in numbers if math.isfinite(one[2])]


def _line(context: Context, row: Row, scale: Scale) -> StripRow:
    cell = share_cell(row, context.count, scale, context.name(row.variant))
    bounds = cell.note.strip("()") if cell.value == "none" else cell.rest.strip("()")
    return StripRow(context.name(row.variant), _target(row), cell.mark, cell.value, bounds, cell.tone)


def _target(row: Row) -> str:
    """The target, or its C library where its name would take several lines: of each there is only one."""
    return row.target if len(row.target) <= LONGEST_TARGET else row.libc


def _grouped(rows: Sequence[Row], scale: Scale, context: Context) -> StripRow:
    """All configurations of a target in which nothing was seen: one line, with the highest bound."""
    worst = max(rows, key=lambda row: upper_bound_when_none(row.n))
    if len(rows) == 1:
        return _line(context, worst, scale)
    bound = below(upper_bound_when_none(worst.n))
    name = f"{len(rows)} others"
    mark = scale.mark(0.0, 0.0, 100 * upper_bound_when_none(worst.n), "good", f"{name}: none seen, each {bound}")
    return StripRow(name, f"{_target(worst)}, each", mark, "none", bound, "good")


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
            value, bounds = estimate_with_bounds(share(side.count, side.n), 100)
            value = f"{value}{NBSP}%"
        else:
            value, bounds = "none", below(high / 100)
        title = f"{PATCHED[name]}, {libc}: {value} ({bounds})"
        lines.append(StripRow(PATCHED[name], libc, scale.mark(estimate, low, high, tone, title), value, bounds, tone))
    return Strip(_caption(context), scale.axis(f"{NBSP}%"), lines, intervals_note(lines))


def _side_numbers(side: Side) -> tuple[float, float, float]:
    if not side.k:
        return 0.0, 0.0, 100 * upper_bound_when_none(side.total)
    interval = share(side.count, side.n)
    return 100 * interval.estimate, 100 * interval.low, 100 * interval.high


def badge(run: Run) -> tuple[str, str] | None:
    """What fault the run injected, and what that shows; None if there was none."""
    if not _emulated(run):
        return None
    name, what = fault_in_words(run)
    return said.INJECTED(fault=name), f"{what} {said.INJECTED_MORE}"


def _emulated(run: Run) -> bool:
    return str(run.plan.fault) != "none"


def place(run: Run) -> str:
    """Where the run was made, and outside a cluster that nothing was injected."""
    real = _emulated(run) or run.plan.backend in IN_CLUSTER
    return where(run) if real else said.PLACE_NO_FAULT(place=where(run))


def where(run: Run) -> str:
    """Where the run was made, in a few words."""
    environment, backend = run.environment, run.environment.backend
    short = kernel_in_short(str(environment.kernel or ""))
    on = f", kernel {short}" if short else ""
    if run.plan.backend == "lab":
        return said.PLACE_LAB(on=on)
    if run.plan.backend == "local":
        return said.PLACE_LOCAL(on=on)
    nodes = {client.start.node for client in run.clients() if client.start.node}
    name = said.PLACE_CLUSTER(name=str(backend.context)) if backend.context else str(said.PLACE_A_CLUSTER)
    name = said.PLACE_NODES(cluster=name, nodes=counted(len(nodes), "node")) if nodes else name
    kernels = sorted({kernel_in_short(client.start.kernel) for client in run.clients() if client.start.kernel})
    return f"{name}, kernel {first_of(kernels, 2)}" if kernels else name


def fault_in_words(run: Run) -> tuple[str, str]:
    """What the injected faults are called, and what they do."""
    found = [_one_in_words(one) for one in run.plan.fault.parts]
    return listed([name for name, _ in found]), " ".join(dict.fromkeys(what for _, what in found))


def _one_in_words(one: OneFault) -> tuple[str, str]:
    if one.name not in FAULTS:
        return one.name.replace("-", " "), str(said.FAULT_OTHER_IS)
    name, what = FAULTS[one.name]
    known = {key: one.default for key, one in PARAMETERS[one.name].items() if key in IN_WORDS}
    values = {key: one.parameters.get(key, default) for key, default in known.items()}
    texts = {key: f"{100 * value:.3g} %" if key == "p" else f"{value:,.12g}" for key, value in values.items()}
    return str(name), what(**texts)


def took(run: Run) -> str:
    """How long the run took; ``""`` where it is not known."""
    clients = run.clients()
    starts = [client.start.started_realtime_ns for client in clients if client.start.started_realtime_ns]
    ends = [client.end.finished_realtime_ns for client in clients if client.end and client.end.finished_realtime_ns]
    return span_of(round((max(ends) - min(starts)) / 1e9)) if starts and ends and max(ends) > min(starts) else ""


def fault(run: Run) -> str:
    """The fault that the run injected, for a list of facts."""
    if not _emulated(run):
        return "none injected"
    return said.FAULT_NAME(name=fault_in_words(run)[0], fault=str(run.plan.fault))


def _facts(context: Context) -> list[Fact]:
    summary, plan = context.summary, context.run.plan
    n = sum(row.n for row in summary.measured())
    libcs = dict.fromkeys(f"{target.libc} {target.libc_version}".strip() for target in context.run.targets)
    load = plan.loads[0]
    each = f"{load.rate_per_s:g} lookups/s per configuration" if load.loop != "closed" else load.label
    more = f" and {counted(len(plan.loads) - 1, 'other load')}" if len(plan.loads) > 1 else ""
    namespace = str(getattr(context.run.environment.backend, "namespace", None) or "")
    span = said.TOOK(span=took(context.run)) if took(context.run) else ""
    facts = [
        Fact("Where", where(context.run)),
        Fact("When", ", ".join(filter(None, [began(context.run.environment), span])) or str(said.NOT_KNOWN)),
        Fact("Measured", f"{counted(n, 'lookup')} in {counted(summary.n_rounds, 'round')}"),
        Fact("Load", f"{each}{more}"),
        Fact("Fault", fault(context.run)),
        Fact("Name" if len(plan.names) == 1 else "Names", first_of(plan.names, 2), code=True),
        Fact("C library", first_of(list(libcs), 3)),
        Fact("Namespace", namespace, code=True),
        Fact("Made with", f"dnslab {context.run.environment.dnslab}" if context.run.environment.dnslab else ""),
    ]
    return [fact for fact in facts if fact.text]


def glances(context: Context, n_failed: int, n_noted: int, n_passed: int) -> list[Glance]:
    """Short answers that lead to the sections."""
    places = {"Why?": "why", "What helps?": "helps", "What does it cost?": "helps"}
    places |= {"Did the patch help?": "helps", "Before": "helps"}
    found = [
        Glance(places[question], question, *_with_advice(context, question, answer.short, answer.detail))
        for question, answer in context.findings.answers.items()
        if question in places and answer.short and answer.short not in NO_COST
    ]
    checks = counted(n_passed + n_failed, "check")
    noted = [limit.title for limit in context.findings.bear_in_mind if limit.noted]
    detail = trust.BEAR_IN_MIND(notes="; ".join(lowered(note) for note in noted)) if noted else ""
    if n_failed and not context.findings.void:
        short, detail = trust.SOME_LEFT_OUT(n=counted(n_failed, "check")), f"{trust.LEFT_OUT} {detail}"
    elif n_failed:
        short = trust.SOME_FAILED(n=counted(n_failed, "check"))
        names = dict.fromkeys(veto.title for veto in voids(context.findings.vetoes))
        detail = " ".join(filter(None, [f"{capitalised(first_of(list(names), MOST_ROWS))}.", detail]))
    elif n_noted and any(not veto.left_out for veto in context.findings.vetoes):
        short = trust.SOME_NOTED(n=counted(n_passed, "check"), noted=f"{n_noted}")
    else:
        short = trust.ALL_PASSED(n=checks)
    return [*found, Glance("trust", "Can you trust it?", short, detail)]


def _beginning(context: Context) -> Iterator[str]:
    """What to do first."""
    if context.in_lab and (context.emulated or context.findings.verdict.state != "none"):
        yield str(remedies.START_IN_CLUSTER)
        if context.hides_errors:
            yield str(remedies.START_SERVERS_THERE)
    elif context.picked:
        if context.hides_errors:
            yield str(remedies.START_WITH_SERVERS)
        start = remedies.START_MEANWHILE if context.hides_errors else remedies.START_WITH
        yield start(name=context.picked.row.variant)


def _with_advice(context: Context, question: str, short: str, detail: str) -> tuple[str, str]:
    """The answer with what to begin with, and what helps on musl, if this is what was asked."""
    first_room = context.lacks_room and not context.in_lab
    if question == "What does it cost?":
        more = [] if first_room or loads_of(context) else [pictures.HELPS_NO_LOAD]
        if first_room:
            short, detail = str(remedies.COST_REPLICAS), f"{remedies.COST_REPLICAS_MORE} {detail}"
        return short, " ".join([detail, *map(str, more)])
    if question != "What helps?":
        return short, detail
    if first_room:
        short, detail = str(remedies.MORE_ROOM), f"{remedies.MORE_ROOM_MORE} {short}. {detail}"
    elif context.hides_errors and context.picked:
        short = remedies.HIDES(names=context.picked.row.variant)
    # Where nothing should be changed yet, that comes before all that could be.
    first = context.in_lab and context.baseline is not None
    parts = [*_beginning(context), detail] if first else [detail, *_beginning(context)]
    stalling = [one for one in baselines(context.summary) if one.libc == "musl" and not one.is_clean]
    if stalling and context.baseline and context.baseline.libc != "musl" and not context.findings.void:
        names = context.cleared("musl")
        others = len(context.rows("musl")) > 1
        nothing = remedies.ON_MUSL_NOTHING if others else remedies.ON_MUSL_UNTESTED
        parts.append(remedies.ON_MUSL(names=listed(names)) if names else str(nothing))
    return short, " ".join(filter(None, parts))
