"""The page of what another tool measured: shares over its limit, differences, and what such data cannot show."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.explain.ranking import WORTH_A_WORD
from dnslab.imports.summary import MUSL_STEP_S, ImportedRow, ImportedSummary
from dnslab.present.page.context import intervals_note
from dnslab.present.page.hero import ICONS
from dnslab.present.page.now import measured_elsewhere
from dnslab.present.page.scales import Scale, scale_of
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
    Page,
    Strip,
    StripRow,
    Trust,
)
from dnslab.sentences import imports, pictures, remedies, trust, verdict as said
from dnslab.text import (
    NBSP,
    below,
    counted,
    estimate_with_bounds,
    fewer_than,
    listed,
    none_of,
    one_in,
    span_of,
    time_ms,
)

#: the verdict on a difference, and how the table calls it: word, tone, icon
_WORDS = {
    "lower": (str(remedies.HELPS), "good", "check"),
    "higher": (str(remedies.WORSE), "bad", "alert"),
    "no difference shown": (str(remedies.NO_DIFFERENCE), "mute", "same"),
    "too few rounds": (str(remedies.TOO_FEW_ROUNDS), "mute", "q"),
}
#: of fewer, a quantile of 99 % is no more than the slowest
ENOUGH_FOR_P99 = 100


def imported_view(summary: ImportedSummary) -> Page:
    """All that the page of imported data shows."""
    top = _hero(summary)
    notes = [Item("minus", "warn", "", note) for note in summary.notes]
    return Page(
        title=f"dnslab: {top.title.lower()}, imported",
        run="imported data",
        hero=top,
        glances=(),
        why=None,
        helps=_helps(summary),
        now=measured_elsewhere(),
        tails=None,
        when=None,
        trust=Trust(str(trust.IMPORTED_HEADING), str(trust.IMPORTED_CHECKS), [], notes, [], scored=False),
        details_heading=str(pictures.DETAILS_HEADING),
        details_intro=str(pictures.IMPORTED_DETAILS),
        void=False,
        details=[
            Detail("All figures", counted(len(summary.rows), "configuration"), [summary.table], summary.comparisons),
            Detail("How it was measured", "", lines=list(_method(summary))),
            Detail("Glossary", "", facts=_GLOSSARY),
        ],
        footer=str(pictures.IMPORTED_FOOTER),
    )


#: the words that this page uses
_GLOSSARY = [
    Fact("Round", str(pictures.G_ROUND)),
    Fact("Median, p99", str(pictures.G_MEDIAN)),
    Fact("95 % interval", str(pictures.G_INTERVAL)),
]


def _method(summary: ImportedSummary) -> Iterator[str]:
    tool, what = summary.imported.tool, summary.imported.what
    yield pictures.IMPORTED_BY(tool=tool) if tool else str(pictures.IMPORTED_BY_OTHER)
    yield pictures.IMPORTED_LIMIT(what=what, limit=_limit(summary))
    yield pictures.IMPORTED_ROUNDS(rounds=listed([f"{row.variant} {row.rounds}" for row in summary.rows]))
    if len(summary.rows) > 1:
        yield str(pictures.IMPORTED_PAIRED if summary.imported.paired else pictures.IMPORTED_UNPAIRED)
        yield str(pictures.IMPORTED_VERDICTS)


def _limit(summary: ImportedSummary) -> str:
    return span_of(summary.imported.limit_ms / 1e3)


def _count(summary: ImportedSummary, n: int) -> str:
    return counted(
        n, summary.imported.what.removesuffix("s") if n == 1 else summary.imported.what, summary.imported.what
    )


def _place(summary: ImportedSummary) -> str:
    tool = summary.imported.tool
    return said.PLACE_IMPORTED(tool=tool) if tool else str(said.PLACE_FILE)


def _singular(what: str) -> str:
    return "query" if what == "queries" else what.removesuffix("s")


def _hero(summary: ImportedSummary) -> Hero:
    base = next(row for row in summary.rows if row.variant == summary.base)
    what, limit = summary.imported.what, _limit(summary)
    noun, title, tone, strong = _singular(what), str(said.IMPORTED_UNKNOWN_TITLE), "warn", ""
    lead = said.IMPORTED_UNKNOWN(what=what, limit=limit)
    more = [str(said.IMPORTED_MORE)]
    if base.over_limit:
        title, tone, strong = said.IMPORTED_TITLE(what=what), "bad", one_in(base.over_limit / base.n, noun)
        lead = said.IMPORTED_FOUND(often=strong, limit=limit, name=base.variant)
    elif base.failed:
        title, tone, strong = (
            said.IMPORTED_FAILING_TITLE(what=what.capitalize()),
            "bad",
            one_in(base.failed / base.n, noun),
        )
        lead = said.IMPORTED_FAILING(often=strong, name=base.variant)
    elif base.over_limit == 0:
        title, tone, strong = (
            said.IMPORTED_NONE_TITLE(what=what, limit=limit),
            "soft",
            fewer_than(base.over_limit_upper or 1.0, noun),
        )
        lead = said.IMPORTED_NONE(count=_count(summary, base.n), limit=limit, fewer=strong, what=summary.imported.what)
    more[:0] = _blind_spots(summary, base)
    share = base.shares["over_limit"]
    if share and base.over_limit:
        value, bounds = estimate_with_bounds(share, 100)
        more.insert(
            0,
            said.IMPORTED_SHARE(
                name=base.variant, share=f"{value} %", count=_count(summary, base.n), bounds=f"95 % interval {bounds} %"
            ),
        )
    before, _, after = lead.partition(strong) if strong else (lead, "", "")
    n = sum(row.n for row in summary.rows)
    facts = [
        Fact("Where", _place(summary)),
        Fact("When", str(said.NOT_KNOWN)),
        Fact("Measured", f"{_count(summary, n)} in {counted(max(row.rounds for row in summary.rows), 'round')}"),
        Fact("Limit", limit),
        Fact("Compared with", summary.base),
    ]
    return Hero(
        place=_place(summary),
        tone=tone,
        icon=ICONS[tone],
        title=title,
        lead=(before, strong, after),
        more=" ".join(more),
        way=Link("now", str(remedies.NOW_HEADING)),
        badge=None,
        strip=_strip(summary),
        facts=facts,
    )


def _blind_spots(summary: ImportedSummary, base: ImportedRow) -> Iterator[str]:
    """What the first number does not cover."""
    if base.over_limit == 0:
        yield said.IMPORTED_FEW_ROUNDS(rounds=counted(base.rounds, "round"))
    if summary.imported.limit_ms / 1e3 > MUSL_STEP_S:
        yield imports.MUSL_UNSEEN(limit=_limit(summary))


def _numbers(row: ImportedRow) -> tuple[float, float, float] | None:
    """Share over the limit with its bounds, percent; None where the data does not tell."""
    share = row.shares["over_limit"]
    if share is None:
        return None
    if row.over_limit_upper is not None:
        return 0.0, 0.0, 100 * row.over_limit_upper
    return 100 * share.estimate, 100 * share.low, 100 * share.high


def _scale(summary: ImportedSummary) -> Scale:
    known = [numbers for row in summary.rows if (numbers := _numbers(row))]
    return scale_of([one[0] for one in known], [one[2] for one in known])


def _cell(row: ImportedRow, scale: Scale) -> Cell:
    numbers, share = _numbers(row), row.shares["over_limit"]
    if numbers is None or share is None:
        return Cell(None, "not counted")
    if row.over_limit_upper is not None:
        bound = below(row.over_limit_upper)
        mark = scale.mark(*numbers, "good", f"{row.variant}: {none_of(row.n, row.over_limit_upper)}")
        return Cell(mark, "none", f"of {row.n:,}", f"({bound})", "good")
    value, bounds = estimate_with_bounds(share, 100)
    mark = scale.mark(*numbers, "bad", f"{row.variant}: {value} % ({bounds})")
    return Cell(mark, f"{value}{NBSP}%", f"({bounds})", "", "bad")


def _strip(summary: ImportedSummary) -> Strip | None:
    scale = _scale(summary)
    lines = []
    for row in summary.rows:
        cell = _cell(row, scale)
        bounds = (cell.note if cell.value == "none" else cell.rest).strip("()")
        lines.append(StripRow(row.variant, counted(row.rounds, "round"), cell.mark, cell.value, bounds, cell.tone))
    caption = pictures.IMPORTED_CAPTION(what=summary.imported.what, limit=_limit(summary))
    return Strip(caption, scale.axis(f"{NBSP}%"), lines, intervals_note(lines))


def _how_to_read(summary: ImportedSummary) -> Iterator[str]:
    """What dots and bars are, of the kinds that the picture has."""
    seen = [row for row in summary.rows if row.over_limit]
    if not seen or any(row.rounds >= MIN_ROUNDS for row in seen):
        yield str(pictures.IMPORTED_DOT)
    if any(row.rounds < MIN_ROUNDS for row in seen):
        yield pictures.IMPORTED_DOT_FEW(what=summary.imported.what)
    if any(row.over_limit == 0 for row in summary.rows):
        yield pictures.OPEN_DOT(what=summary.imported.what)


def _helps(summary: ImportedSummary) -> Helps:
    scale = _scale(summary)
    rows = []
    for row in summary.rows:
        chips = [Chip("Reference", "mute", "same")]
        if row.variant != summary.base:
            word = row.verdicts["over_limit"].word if "over_limit" in row.verdicts else ""
            text, tone, icon = _WORDS.get(word, (str(remedies.NOT_COMPARED), "mute", "q"))
            if word == "no difference shown":
                text = remedies.NO_DIFFERENCE_IN(what=f"slow {summary.imported.what}")
            if word == "lower" and not row.over_limit and not row.failed:
                text = str(remedies.CLEARS)
            chips = [Chip(text, tone, icon)]
        failed = f"{_count(summary, row.failed)} failed" if row.failed else "None failed"
        rows.append(HelpsRow(row.variant, failed, [], chips, _cell(row, scale), _median(summary, row), None))
    return Helps(
        heading=str(pictures.HELPS_HEADING),
        row_heading="and what failed",
        intro=" ".join(_how_to_read(summary)),
        share_heading=f"{summary.imported.what.capitalize()} of {_limit(summary)} or longer",
        share_axis=scale.axis(f"{NBSP}%"),
        load_heading="",
        cost_title=f"Median {_singular(summary.imported.what)}",
        cost_heading="and p99: 1 in 100 is slower" if any(row.n >= ENOUGH_FOR_P99 for row in summary.rows) else "",
        cost_axis=None,
        groups=[HelpsGroup("As the files name them", rows)],
        notes=[],
    )


def _median(summary: ImportedSummary, row: ImportedRow) -> Cell:
    """The median, p99, and how the median differs from that of what it is compared with."""
    if not math.isfinite(row.p50_ms):
        return Cell(None, "not known")
    base = next(one for one in summary.rows if one.variant == summary.base)
    more = row.p50_ms - base.p50_ms
    note = ""
    if row != base and WORTH_A_WORD * base.p50_ms <= abs(more) < math.inf:
        sentence = remedies.SLOWER if more > 0 else remedies.FASTER
        change = sentence(ms=time_ms(abs(more)))
        note = pictures.IMPORTED_MEDIAN(change=change, base=base.variant)
    p99 = f"p99 {time_ms(row.p99_ms)}" if row.n >= ENOUGH_FOR_P99 else ""
    return Cell(None, time_ms(row.p50_ms), p99, note)
