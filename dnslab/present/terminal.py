"""A summary on a terminal of 100 columns and 30 lines: the table first, the answer last, where the eye is.

``--wide`` shows every column and every note.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from dnslab.analyse.summary import Row, Summary
from dnslab.explain.answers import leading_target
from dnslab.explain.findings import Findings
from dnslab.explain.ranking import Word, how_it_did
from dnslab.explain.tables import against_baseline, by_configuration, stalled
from dnslab.explain.veto import Veto
from dnslab.sentences import terminal as said
from dnslab.text import (
    Span,
    Style,
    counted,
    echo_spans,
    echo_text,
    item,
    milliseconds,
    share_text,
    terminal_width,
    visible,
)

WIDTH = 100
#: rows and notes that leave room for the answer on 30 lines
MOST_ROWS = 12
MOST_NOTES = 3
LINES_OF_A_NOTE = 2
HEADINGS = ("configuration", "target", "stalled (95 %)", "failed", "p50 ms", "verdict")
_GAP = "  "
_STYLES: dict[str, Style] = {"good": "good", "warn": "warn", "bad": "bad", "mute": "quiet"}


def print_summary(summary: Summary, findings: Findings, wide: bool = False, run: str = "") -> None:
    """Print tables, then the reasons to distrust them, then the answer on stdout, no wider than the terminal.

    ``run`` is how the user named the run; by default it is the name of its folder.
    """
    width = terminal_width()
    if wide:
        _print_wide(summary, findings, width)
    else:
        fitting = min(width or WIDTH, WIDTH)
        echo_spans([*_table(summary, findings.void, fitting), *_below(summary, run or summary.run, fitting)])
        echo_spans([*_notes(findings.vetoes, fitting), []])
    echo_spans(_wrapped(findings.headline, min(width or WIDTH, WIDTH), "warn" if findings.void else "strong"))


def _wrapped(text: str, width: int, style: Style) -> Iterator[Sequence[Span]]:
    for line in textwrap.wrap(visible(text), width, break_on_hyphens=False):
        yield [(line, style)]


def _print_wide(summary: Summary, findings: Findings, width: int | None) -> None:
    echo_text(by_configuration(summary).to_text(width))
    changes = against_baseline(summary)
    if len(changes.frame):
        echo_text(f"\n{said.AGAINST_BASELINE()}\n\n{changes.to_text(width)}")
    for veto in findings.vetoes:
        echo_text(f"\n{item(_full(veto), width)}")
    echo_text("\n")


def _full(veto: Veto) -> str:
    return f"{veto.title}: {veto.details} {veto.advice}"


def _table(summary: Summary, void: bool, width: int) -> Iterator[Sequence[Span]]:
    shown, n_left = _rows(summary)
    cells = [_cells(summary, row, void) for row in shown]
    widths = [max(map(len, (heading, *(row[i][0] for row in cells)))) for i, heading in enumerate(HEADINGS)]
    for column, least in ((1, 8), (0, 14)):  # names are cut where the terminal is narrow
        too_wide = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        widths[column] = max(min(least, widths[column]), widths[column] - max(0, too_wide))
    yield [(_line(HEADINGS, widths), "quiet")]
    load = None
    for row, spans in zip(shown, cells, strict=True):
        if len(summary.loads) > 1 and row.load != load:
            load = row.load
            yield [(said.BY_LOAD(load=summary.load_labels[load]), "strong")]
        yield [
            (_cell(text, widths[i], i) + (_GAP if i + 1 < len(spans) else ""), style)
            for i, (text, style) in enumerate(spans)
        ]
    if n_left:
        yield [(said.MORE_ROWS(n=counted(n_left, "more row")), "quiet")]


def _rows(summary: Summary) -> tuple[list[Row], int]:
    """The rows to show, and how many are left. Those of the target that the answer is about come before the others."""
    leading = leading_target(summary)
    rows = sorted(summary.measured(), key=lambda row: (row.load, row.target != leading))
    return rows[:MOST_ROWS], max(0, len(rows) - MOST_ROWS)


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(_cell(text, width, i) for i, (text, width) in enumerate(zip(texts, widths, strict=True))).rstrip()


def _cell(text: str, width: int, column: int) -> str:
    """Names to the left, with their end cut off if they are long; numbers to the right; the verdict as it is."""
    text = text if len(text) <= width else f"{text[: width - 1]}…"
    return text if column == len(HEADINGS) - 1 else text.ljust(width) if column < 2 else text.rjust(width)


def _cells(summary: Summary, row: Row, void: bool) -> list[Span]:
    failed: Span = (share_text(row.intervals["failed_share"]), "bad") if row.failed else ("0", "")
    return [
        (visible(row.variant), ""),
        (visible(row.target), ""),
        (stalled(row), "bad" if row.stalls else "good"),
        failed,
        (milliseconds(row.p50_ms), ""),
        _verdict(summary, row, void),
    ]


def _verdict(summary: Summary, row: Row, void: bool) -> Span:
    """The word of the page, and in its colour."""
    word = Word.VOID if void else how_it_did(summary, row, summary.row("baseline", row.target, row.load))
    return str(word), _STYLES[word.tone]


def _below(summary: Summary, run: str, width: int) -> Iterator[Sequence[Span]]:
    """What was left out, and how to see all."""
    if reasons := dict.fromkeys(row.reason for row in summary.not_applicable):
        yield from _wrapped(said.NOT_APPLICABLE(reasons=_joined(list(reasons))), width, "quiet")
    yield [(said.HOW_TO_SEE_ALL(run=run), "quiet")]


def _joined(reasons: Sequence[str]) -> str:
    """``"musl ignores use-vc, single-request"``: what begins alike is said once."""
    heads: dict[str, list[str]] = {}
    for reason in reasons:
        head, ignores, rest = reason.partition(" ignores ")
        heads.setdefault(head + ignores, []).append(rest)
    return "; ".join(head + ", ".join(dict.fromkeys(rest)) for head, rest in heads.items())


def _notes(vetoes: Sequence[Veto], width: int) -> Iterator[Sequence[Span]]:
    """Reasons to distrust the numbers: what empties the answer in full, notes cut short."""
    if vetoes:
        yield []
    notes = [veto for veto in vetoes if veto.severity == "note"]
    shown = [veto for veto in vetoes if veto.severity != "note"] + notes[:MOST_NOTES]
    for veto in shown:
        lines = item(_full(veto), width).split("\n")
        if veto.severity == "note" and len(lines) > LINES_OF_A_NOTE:
            lines = [*lines[: LINES_OF_A_NOTE - 1], lines[LINES_OF_A_NOTE - 1][: width - 2] + " …"]
        style: Style = "" if veto.severity == "note" else "warn"
        for line in lines:
            yield [(line, style)]
    if len(notes) > MOST_NOTES:
        yield [(said.MORE_NOTES(n=counted(len(notes) - MOST_NOTES, "more note")), "quiet")]
