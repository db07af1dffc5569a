"""What helps and what it costs: one table, a row for each configuration, a group for each C library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dnslab.analyse.summary import Row
from dnslab.explain.answers import waits_less
from dnslab.explain.ranking import Ranked, Word, in_plain_words, moves_median
from dnslab.plan.faultplan import fault_names
from dnslab.plan.resolvconf import Libc
from dnslab.plan.variants import not_applicable
from dnslab.present.page.context import Context, cost_cell, cost_decimals, share_cell, share_scale_values
from dnslab.present.page.scales import Scale, scale_around_0, scale_of
from dnslab.present.page.view import Cell, Chip, Helps, HelpsGroup, HelpsRow, LoadCell
from dnslab.sentences import pictures, remedies
from dnslab.text import NBSP, counted, listed, number, time_ms

#: reasons that are told together
_IGNORES = "ignores"
ICONS = {
    Word.CLEARS: "check",
    Word.CLEAN: "check",
    Word.HELPS: "minus",
    Word.TRADE_OFF: "minus",
    Word.NO_DIFFERENCE: "same",
    Word.WORSE: "alert",
    Word.STALLS: "alert",
    Word.FAILS: "alert",
    Word.SLOW: "alert",
    Word.NOT_APPLICABLE: "ban",
}
_ORDER = [Word.CLEARS, Word.CLEAN, Word.HELPS, Word.TRADE_OFF, Word.NO_DIFFERENCE, Word.NOT_COMPARED]
_HEADINGS = {
    "stalls": "Lookups that stalled",
    "failed": "Lookups that failed",
    "slow": "Lookups of 1 s or longer",
    "partial": "Lookups that lack addresses",
    "over_limit": "Lookups of {limit} or longer",
}
_NOT_COUNTED = LoadCell("not counted")
#: what a configuration may not differ in, by what the page counts
_NO_DIFFERENCE = {
    "stalls": "stalls",
    "failed": "failures",
    "slow": "slow lookups",
    "partial": "missing addresses",
    "over_limit": "late lookups",
}
_IMAGES = {"glibc": "Debian, Ubuntu, Red Hat and most other images", "musl": "Alpine images"}


@dataclass(frozen=True)
class _Columns:
    """What all rows share: the scale of each column; decimals of the cost and queries to the servers, by configuration
    and target."""

    share: Scale
    cost: Scale | None
    decimals: Mapping[tuple[str, str], int]
    loads: Mapping[tuple[str, str], LoadCell]


def helps(context: Context) -> Helps | None:
    """The table; None where nothing was measured."""
    found = {libc: context.rows(libc) for libc in context.libcs}
    rows = [one.row for group in found.values() for one in group]
    if not rows:
        return None
    scale = scale_of(*share_scale_values(rows, context.count))
    effects = [row.effects["p50_ms"] for row in rows if "p50_ms" in row.effects]
    ends = [bound for effect in effects for bound in (effect.low, effect.high, effect.estimate)]
    cost_scale = scale_around_0(ends) if effects else None
    loads = loads_of(context)
    columns = _Columns(scale, cost_scale, cost_decimals(rows), loads)
    open_dot = f" {pictures.OPEN_DOT(what='lookups')}" if any(not getattr(row, context.count) for row in rows) else ""
    groups = [
        HelpsGroup(_title(context, libc), list(_group(context, libc, group, columns))) for libc, group in found.items()
    ]
    return Helps(
        heading=str(pictures.PATCH_HEADING if context.summary.verifies else pictures.HELPS_HEADING),
        intro=pictures.HELPS_HEAD(rounds=counted(context.summary.n_rounds, "round")) + open_dot,
        share_heading=_HEADINGS[context.count].format(limit=time_ms(context.summary.limit_ms)),
        share_axis=scale.axis(f"{NBSP}%"),
        load_heading="Queries to servers" if loads else "",
        cost_title="Median lookup",
        cost_heading="change against baseline, ms",
        cost_axis=cost_scale.axis(signed=True) if cost_scale else None,
        groups=groups,
        notes=list(_notes(context, scale, bool(loads))),
    )


def _notes(context: Context, scale: Scale, loads: bool) -> Iterator[str]:
    if not loads:
        yield str(pictures.HELPS_NO_LOAD)
    if scale.log:
        yield str(pictures.LOG_AXIS)
    for libc in context.libcs:
        targets = {row.target for row in context.summary.measured(load=0) if row.libc == libc and row.n}
        if len(targets) > 1:
            yield pictures.HELPS_WORST(target=context.leading_target(libc), libc=libc)
    if len(context.summary.loads) > 1:
        yield pictures.HELPS_OTHER_LOADS(load=context.summary.load_labels[0])
    if "race" in fault_names(context.summary.fault):
        yield str(remedies.EMULATED)


def _title(context: Context, libc: str) -> str:
    target = context.leading_target(libc)
    version = next((one.libc_version for one in context.run.targets if one.name == target), "")
    images = f": {_IMAGES[libc]}" if libc in _IMAGES else ""
    on = f" ({target})" if target != libc else ""
    return f"On {libc} {version}".strip() + f"{images}{on}"


def loads_of(context: Context) -> Mapping[tuple[str, str], LoadCell]:
    """Queries to the servers, by configuration and target, where they were counted; bars share one scale."""
    most = max(
        (value for row in context.costs for value in (row["udp_queries"], row["tcp_connections"]) if value > 0),
        default=1.0,
    )
    cells = {}
    for row in context.costs:
        udp, tcp, misses = row["udp_queries"], row["tcp_connections"], row["cache_misses"]
        key = str(row["variant"]), str(row["target"])
        if math.isfinite(misses):
            cells[key] = LoadCell(f"at most {_some(misses)} queries", 100 * min(1.0, misses / most))
        elif tcp > 0 and not udp > tcp:
            cells[key] = LoadCell(f"{_some(tcp)} TCP connections", 100 * tcp / most, True)
        elif math.isfinite(udp):
            cells[key] = LoadCell(f"{_some(udp)} UDP queries", 100 * udp / most)
    return cells


def _some(value: float) -> str:
    return number(value, 1) if value >= 0.1 or not value else "0.01" if value < 0.01 else number(value, 2)


def _group(context: Context, libc: str, group: Sequence[Ranked], columns: _Columns) -> Iterator[HelpsRow]:
    def order(one: Ranked) -> tuple[bool, bool, int, float]:
        cost = one.row.effects.get("p50_ms")
        rank = _ORDER.index(one.word) if one.word in _ORDER else len(_ORDER)
        estimate = cost.estimate if cost and math.isfinite(cost.estimate) else math.inf
        return one.row.variant != "baseline", one != context.picked, rank, estimate

    for one in sorted(group, key=order):
        row = one.row
        name = context.name(row.variant)
        yield HelpsRow(
            name=name,
            what=_what(context, row),
            tags=list(_tags(context, row.variant)) if row.variant != "baseline" else [],
            chips=list(_chips(context, one)),
            share=share_cell(row, context.count, columns.share, name),
            cost=_cost(row, columns, name),
            load=columns.loads.get((row.variant, row.target), _NOT_COUNTED) if columns.loads else None,
            picked=one == context.picked,
        )
        if row.variant == "baseline" and context.lacks_room and not context.in_lab and libc == context.libcs[0]:
            chips = [Chip(str(remedies.STEP_1_FIRST), "good", "star"), Chip(str(Word.NOT_MEASURED), "mute", "q")]
            yield HelpsRow(str(remedies.MORE_REPLICAS), "", [], chips, reason=str(remedies.MORE_REPLICAS_MORE))
    yield from _missing(context, libc, {one.row.variant for one in group})


def _what(context: Context, row: Row) -> str:
    if context.summary.verifies and row.variant in ("baseline", "before"):
        return str(remedies.CHANGES_NOW if row.variant == "baseline" else remedies.CHANGES_BEFORE)
    return in_plain_words(context.variants[row.variant])


def _tags(context: Context, variant: str) -> Iterator[str]:
    """Which C library ignores a configuration; where several were measured, for which it is, too."""
    both: tuple[Libc, ...] = ("glibc", "musl")
    ignores = [libc for libc in both if not_applicable(context.variants[variant], libc)]
    for libc in context.libcs:
        if libc not in ignores and len(context.libcs) > 1:
            yield remedies.WORKS_ON(libc=libc)
    for libc in ignores:
        yield remedies.IGNORES_IT(libc=libc)


def _chips(context: Context, one: Ranked) -> Iterator[Chip]:
    text = str(remedies.CLEARS_EMULATED if one.word is Word.CLEARS and context.emulated else one.word)
    hides = context.hides_errors and one.word is Word.CLEARS and context.variants[one.row.variant].node_local
    if hides:
        yield Chip(str(remedies.HIDES_ERRORS), "warn", "minus")
        if one == context.picked:
            yield Chip(str(remedies.UNTIL_FIXED), "mute", "star")
        return
    if one.word is Word.NO_DIFFERENCE:
        shorter = context.count == "stalls" and waits_less(one)
        if shorter:
            yield Chip(str(remedies.FEWER_STALLS), "warn", "minus")
        text = remedies.NO_DIFFERENCE_IN(what="lookups of 1 s or longer" if shorter else _NO_DIFFERENCE[context.count])
    yield Chip(text, one.word.tone, ICONS.get(one.word, "q"))
    baseline = context.summary.row("baseline", one.row.target, one.row.load)
    if one.word in (Word.NO_DIFFERENCE, Word.CLEAN) and moves_median(one.row, baseline):
        slower = one.row.effects["p50_ms"].low > 0
        name = remedies.SLOWER_MEDIAN if slower else remedies.FASTER_MEDIAN
        yield Chip(str(name), "warn" if slower else "good", "up" if slower else "down")
    if one == context.picked:
        best = remedies.BEST_EMULATED if context.emulated else remedies.BEST_IN_LAB
        yield Chip(str(best if context.in_lab else remedies.RECOMMENDED), "good", "star")


def _cost(row: Row, columns: _Columns, name: str) -> Cell:
    if row.variant == "baseline":
        text = time_ms(row.p50_ms)
        return Cell(None, text, "reference" if math.isfinite(row.p50_ms) else "")
    return cost_cell(row, columns.cost, name, columns.decimals.get((row.variant, row.target)))


def _missing(context: Context, libc: str, measured: set[str]) -> Iterator[HelpsRow]:
    """What does not apply to a C library, by reason, and what applies and was not measured there."""
    names = [name for name in context.variants if name not in measured and name != "baseline"]
    known: dict[str, str] = {
        row.variant: row.reason for row in context.summary.not_applicable if row.libc == libc and row.variant in names
    }
    if libc in ("glibc", "musl"):
        for name in names:
            reason = not_applicable(context.variants[name], "glibc" if libc == "glibc" else "musl")
            if reason:
                known.setdefault(name, reason)
    by_reason: dict[str, list[str]] = {}
    for name, reason in known.items():
        by_reason.setdefault(_IGNORES if reason.startswith(f"{libc} ignores ") else reason, []).append(name)
    for reason, those in by_reason.items():
        chip = Chip(str(Word.NOT_APPLICABLE), "mute", "ban")
        said = f"{reason[:1].upper()}{reason[1:]}."
        if reason == _IGNORES:
            ignored = dict.fromkeys(option for name in those for option in context.variants[name].options)
            said = f"{libc} ignores {listed(list(ignored)) if ignored else 'what they change'}."
        yield HelpsRow(listed(those), "", [], [chip], reason=said)
    rest = [name for name in names if name not in known]
    if rest:
        chip = Chip(str(Word.NOT_MEASURED), "mute", "q")
        target = context.leading_target(libc)
        command = f"dnslab run --target {target}=baseline,{','.join(rest)}"
        yield HelpsRow(listed(rest), "", [], [chip], reason=f"Not measured on {libc}. To add it:", command=command)
