"""The page of several runs: what changed from the first to later ones, and what cannot be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnslab.analyse.intervals import upper_bound_when_none
from dnslab.analyse.summary import Row
from dnslab.explain.comparison import ComparedRow, Comparison, labels
from dnslab.present.page.context import intervals_note
from dnslab.present.page.hero import ICONS
from dnslab.present.page.scales import Scale, scale_around_0, scale_of
from dnslab.present.page.view import (
    Cell,
    Chip,
    Detail,
    Fact,
    Helps,
    HelpsGroup,
    HelpsRow,
    Hero,
    Item,
    Link,
    Mark,
    Page,
    Strip,
    StripRow,
    Trust,
)
from dnslab.sentences import pictures, trust, verdict as said
from dnslab.text import NBSP, below, counted, estimate_with_bounds, none_of, share_text

#: rows in the small picture
MOST_ROWS = 4
_WORDS = {
    "lower": ("Lower", "good", "check"),
    "higher": ("Higher", "bad", "alert"),
    "no difference shown": ("No change shown", "mute", "same"),
    "too few rounds": ("Too few rounds", "mute", "q"),
}
#: what is compared, as the page names it
_COUNTS = (("stalls", "stalled"), ("slow", "1 s or longer"), ("failed", "failed"))


def compared_view(comparison: Comparison) -> Page:
    """All that the page of a comparison shows."""
    top = _hero(comparison)
    return Page(
        title=f"dnslab: {top.title.lower()}",
        run="comparison",
        hero=top,
        glances=(),
        why=None,
        helps=_helps(comparison),
        now=None,
        tails=None,
        when=None,
        trust=_trust(comparison),
        details_heading=str(pictures.DETAILS_HEADING),
        details_intro=str(pictures.COMPARED_DETAILS),
        void=False,
        details=[Detail("All changes", "", [comparison.changes])] if len(comparison.changes.frame) else [],
        footer=str(pictures.COMPARED_FOOTER),
    )


def _hero(comparison: Comparison) -> Hero:
    rows = [row for row in comparison.rows if row.effects]
    words = {row.verdicts[f"{count}_share"].word for row in rows for count, _ in _COUNTS} & {"lower", "higher"}
    title, tone = {
        frozenset(): (said.COMPARED_SAME, "warn"),
        frozenset({"lower"}): (said.COMPARED_BETTER, "good"),
        frozenset({"higher"}): (said.COMPARED_WORSE, "bad"),
        frozenset({"lower", "higher"}): (said.COMPARED_MIXED, "warn"),
    }[frozenset(words)]
    lead = str(said.COMPARED_REFUSED)
    if not rows:
        title, tone = said.COMPARED_NOTHING, "warn"
    else:
        row = next((one for one in rows if one.variant == "baseline"), rows[0])
        known = {"name": row.variant, "target": row.target, "run": row.run}
        lead = said.COMPARED_LEAD(before=_share(row.before), after=_share(row.after), **known)
    names = zip(labels(len(comparison.names)), comparison.names, strict=True)
    facts = [Fact(f"Run {label}", name, code=True) for label, name in names]
    more = " ".join([*comparison.void, str(said.COMPARED_CAVEAT)])
    way = Link("helps" if rows else "trust", "What changed" if rows else "Why not")
    return Hero(
        place=said.PLACE_RUNS(runs=counted(len(comparison.names), "run")),
        tone=tone,
        icon=ICONS[tone],
        title=str(title),
        lead=(lead, "", ""),
        more=more,
        way=way,
        badge=None,
        strip=_strip(rows),
        facts=facts,
    )


def _share(row: Row) -> str:
    if not row.stalls:
        return none_of(row.n, upper_bound_when_none(row.n))
    return share_text(row.intervals["stalls_share"])


def _numbers(row: Row) -> tuple[float, float, float]:
    if not row.stalls:
        return 0.0, 0.0, 100 * upper_bound_when_none(row.n)
    interval = row.intervals["stalls_share"]
    return 100 * interval.estimate, 100 * interval.low, 100 * interval.high


def _scale(rows: list[ComparedRow]) -> Scale:
    known = [_numbers(side) for row in rows for side in (row.before, row.after)]
    return scale_of([one[0] for one in known], [one[2] for one in known if math.isfinite(one[2])])


def _strip(rows: list[ComparedRow]) -> Strip | None:
    if not rows:
        return None
    scale = _scale(rows)
    lines = []
    worst = sorted(rows, key=lambda row: -max(row.before.stalls_share, row.after.stalls_share))[:MOST_ROWS]
    for row in worst:
        for label, side in (("before", row.before), (row.run, row.after)):
            cell = _cell(side, scale, f"{row.variant}, {label}")
            bounds = (cell.note if cell.value == "none" else cell.rest).strip("()")
            lines.append(StripRow(label, f"{row.variant}, {row.target}", cell.mark, cell.value, bounds, cell.tone))
    return Strip(str(pictures.SHARE_CAPTION), scale.axis(f"{NBSP}%"), lines, intervals_note(lines))


def _cell(row: Row, scale: Scale, name: str) -> Cell:
    numbers = _numbers(row)
    if not row.stalls:
        bound = below(upper_bound_when_none(row.n))
        return Cell(
            scale.mark(*numbers, "good", f"{name}: none, {bound}"), "none", f"of {row.n:,}", f"({bound})", "good"
        )
    value, bounds = estimate_with_bounds(row.intervals["stalls_share"], 100)
    rest = f"({bounds})" if bounds else ""
    return Cell(scale.mark(*numbers, "bad", f"{name}: {value} % {rest}"), f"{value}{NBSP}%", rest, "", "bad")


def _helps(comparison: Comparison) -> Helps | None:
    """A table of pairs: the later run's share, and what the median changed by."""
    rows = [row for row in comparison.rows if row.effects]
    if not rows:
        return None
    scale = _scale(rows)
    effects = [row.effects["p50_ms"] for row in rows]
    cost_scale = scale_around_0([end for one in effects for end in (one.low, one.high, one.estimate)])
    groups: dict[str, list[HelpsRow]] = {}
    for row in rows:
        groups.setdefault(f"Run {row.run}, against the run before", []).append(_line(row, scale, cost_scale))
    return Helps(
        heading=str(pictures.COMPARED_HEADING),
        intro=str(pictures.COMPARED_HEAD),
        share_heading="Lookups that stalled",
        share_axis=scale.axis(f"{NBSP}%"),
        load_heading="",
        cost_title="Median lookup",
        cost_heading="change, ms",
        cost_axis=cost_scale.axis(signed=True),
        groups=[HelpsGroup(title, lines) for title, lines in groups.items()],
        notes=[],
    )


def _line(row: ComparedRow, scale: Scale, cost_scale: Scale) -> HelpsRow:
    chips = []
    for count, name in _COUNTS:
        word, tone, icon = _WORDS[row.verdicts[f"{count}_share"].word]
        if count == "stalls" or tone in ("good", "bad"):
            chips.append(Chip(f"{word}: {name}", tone, icon))
    effect = row.effects["p50_ms"]
    value, bounds = estimate_with_bounds(effect, signed=True)
    found = cost_scale.mark(effect.estimate, effect.low, effect.high, "soft", f"median {value} ms ({bounds})")
    mark = Mark(found.at, found.low, found.width, False, found.tone, found.title)
    what = f"{row.target}; before: {_share(row.before)}"
    cost = Cell(mark, value, f"({bounds})" if bounds else "")
    return HelpsRow(row.variant, what, [], chips, _cell(row.after, scale, f"{row.variant}, {row.run}"), cost, None)


def _trust(comparison: Comparison) -> Trust:
    def items(lines: object, title: str, icon: str, tone: str) -> Iterator[Item]:
        for line in lines if isinstance(lines, (list, tuple)) else ():
            yield Item(icon, tone, title, f"{line}.")

    failed = [*items(comparison.refused, "Refused", "x", "bad")]
    noted = [
        *items(comparison.differences, "Differs between the runs", "minus", "warn"),
        *items(comparison.unmatched, "Only in one run", "minus", "warn"),
    ]
    intro = f"{counted(len(failed), 'refusal')}, {counted(len(noted), 'difference')} besides what was compared."
    return Trust(str(trust.COMPARED_HEADING), intro, failed, noted, [], scored=False)
