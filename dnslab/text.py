"""Text as it is shown. Text from a run, a plan, a cluster or a file is printed, written into a page or drawn only
through these functions.

What a reader cannot see is written as an escape: ``\\x1b`` for the byte that begins a terminal's commands, ``\\u202e``
for the character that reverses a line. All other text stays as it is. Data for programs (JSON, parquet) stays exact.
"""

from __future__ import annotations

import difflib
import html
import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dnslab.sentences import plan_errors as said
from dnslab.style import STYLE

if TYPE_CHECKING:
    import pandas as pd

#: C0, DEL and C1 control characters; lone surrogates; the separators of lines and paragraphs; interlinear annotations;
#: and Unicode 16's Default_Ignorable_Code_Point, among which are all bidirectional controls, zero widths and tags
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
#: where a program for tables would take what follows for a formula, also after a cut at ``;``; a number is none
_FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])(?!-?\d+$)")
#: what begins something in GitHub's Markdown, wherever it stands in a line
_MARKDOWN = re.compile(r"[\\`*_\[\]|~$]|<(?=[A-Za-z/!?])|&(?=[#A-Za-z])")
#: code in a line of text
_CODE = re.compile(r"`([^`]+)`")
#: how a cell with a number begins; a load (``60/s``) and a time (``2026-11-29T...``) are words
_NUMBER = r"[<>≥\u2212+-]? ?[\d.,]+(\s|$)"
#: before a unit, so that a line never begins with one
NBSP = "\u00a0"
MINUS = "\u2212"
#: dnslab's own characters, for a terminal that does not know them
_IN_ASCII = str.maketrans({NBSP: " ", MINUS: "-", "≥": ">=", "…": "..."})
NOT_APPLICABLE = "not applicable"
#: how text stands on a terminal. Blue and orange differ for all eyes; no meaning is carried by colour alone.
Style = Literal["", "good", "bad", "warn", "quiet", "strong"]
Span = tuple[str, Style]
_STYLES: dict[Style, str] = {"good": "36", "bad": "33;1", "warn": "33", "quiet": "2", "strong": "1"}
#: columns that say what a row is of
NAMES = ("measure", "configuration", "run", "target", "load")
#: a column of sentences
ANSWER = "the answer"
#: JupyterLab sets all cells to the right, where a sentence is hard to read or out of sight, and a report on one line
_SENTENCE = "style='text-align: left; white-space: normal; min-width: 30ch'"
#: points or ms under which a difference is the arithmetic's rounding: a clock tells 1e-6 ms, a share 1 of 1e9 lookups
_NOISE = 1e-9


def visible(text: str) -> str:
    """One line of text, with escapes for what a reader cannot see: the ends of lines, too.

    >>> visible("caf\\u00e9 \\x1b[31m\\nIs it happening? No")
    'caf\u00e9 \\\\x1b[31m\\\\nIs it happening? No'
    """
    return _UNSEEN.sub(lambda matched: as_escapes(matched[0]), text)


def as_escapes(text: str) -> str:
    """Text with an escape for each character that is not ASCII or is a control character."""
    return text.encode("unicode_escape").decode("ascii")


def visible_lines(text: str) -> str:
    """The same for text of several lines, whose line ends stay. Text from outside has to be one line in it already:
    through
    ``visible``, as YAML or as JSON."""
    return "\n".join(map(visible, text.split("\n")))


def plain(text: str) -> str:
    """``visible`` text for a terminal, where a user searches and copies: with usual spaces."""
    return visible(text).replace(NBSP, " ")


def as_html(text: object) -> str:
    """``visible`` text for a page, inside an element or inside an attribute."""
    return html.escape(visible(str(text)))


def as_html_lines(text: str) -> str:
    """``visible_lines`` for a page."""
    return html.escape(visible_lines(text))


def as_output(page: str) -> str:
    """HTML for a notebook's output, with its look, once; JupyterLab sets no formulas in it."""
    return f"<div class='dnslab-output mathjax_ignore'>{page.replace(STYLE, '')}{STYLE}</div>" if page else ""


def as_markdown(text: object) -> str:
    """``visible`` text for Markdown, with no link, HTML, formula or end of a cell in it."""
    return _MARKDOWN.sub(r"\\\g<0>", plain(str(text)))


def as_csv_cell(text: str) -> str:
    """``visible`` text for a cell of a CSV file, with an apostrophe before anything that a spreadsheet would calculate.

    >>> as_csv_cell("=1+1"), as_csv_cell("-7"), as_csv_cell("use-vc")
    ("'=1+1", '-7', 'use-vc')
    """
    return _FORMULA.sub(r"\1'", visible(text))


def terminal_width() -> int | None:
    """Columns of the terminal that is stdout; None if stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def echo(line: object = "", err: bool = False) -> None:
    """Print one line on stdout, or on stderr."""
    _print(visible(str(line)), err)


def echo_json(document: object) -> None:
    """Print data for programs on stdout: exact, not ``visible``. Raises ValueError for a number that is not finite."""
    _print(json.dumps(document, indent=1, allow_nan=False), err=False)


def echo_text(text: str, err: bool = False) -> None:
    """Print text of several lines, see ``visible_lines``; with or without a line end as its last character."""
    _print(visible_lines(text.removesuffix("\n")), err)


def echo_spans(lines: Iterable[Sequence[Span]]) -> None:
    """Print lines on stdout, each of spans of text with a style. Colours are for terminals, and not with NO_COLOR."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for line in lines:
        _print("".join(_coloured(plain(text), style if coloured else "") for text, style in line), err=False)


def _coloured(text: str, style: Style) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and text else text


def _print(text: str, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # a terminal that is not set to UTF-8 shows escapes for what it does not know
        text = text.translate(_IN_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=stream, flush=True)


def rounded(value: float, digits: int = 3, signed: bool = False) -> str:
    """A number with so many significant digits, in full: no exponent, no zeros at the end.

    >>> [rounded(99.7, 2), rounded(-5012, 1), rounded(0.25, 3, signed=True), rounded(3.0)]
    ['100', '-5,000', '+0.25', '3']
    """
    value = float(f"{value:.{digits - 1}e}")
    if not math.isfinite(value):
        return f"{value}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    return text.rstrip("0").removesuffix(".") if decimals else text


class Estimate(Protocol):
    """An estimate with its bounds, as ``analyse.intervals.Interval`` is."""

    @property
    def estimate(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


#: more decimals than a clock or a share of a billion lookups has
_MOST_DECIMALS = 9


def decimals_for(low: float, high: float, *shown: float) -> int:
    """How many decimals an interval bears.

    Half of its width keeps one digit, or two where all is below 10. Nothing but 0 is shown as 0.

    >>> decimals_for(6.22, 7.47, 6.85), decimals_for(-0.023, -0.004, -0.013), decimals_for(98.7, 100.0)
    (1, 3, 1)
    >>> decimals_for(4.57, 9.83, 6.74), decimals_for(26.1, 42.6, 33.9)
    (1, 0)
    """
    half = (high - low) / 2
    decimals = 0
    if math.isfinite(half) and half > 0:
        decimals = max(0, -math.floor(math.log10(float(f"{half:.0e}"))))
        if not decimals and max(map(abs, (low, high, *shown))) < 10:
            decimals = 1
    while decimals < _MOST_DECIMALS and any(
        value and math.isfinite(value) and abs(value) < 10 and not round(value, decimals)
        for value in (low, high, *shown)
    ):
        decimals += 1
    return decimals


def number(value: float, decimals: int, signed: bool = False) -> str:
    """A number with a true minus, and with a sign in any case if ``signed``.

    >>> number(-0.0132, 3), number(0.1, 2, signed=True), number(1234.5, 0), number(-0.001, 2)
    ('−0.013', '+0.10', '1,234', '0.00')
    """
    if not value:
        return "0"
    rounded_value = round(value, decimals) + 0.0
    return f"{rounded_value:{'+' if signed and rounded_value else ''},.{decimals}f}".replace("-", MINUS)


def estimate_with_bounds(interval: Estimate, factor: float = 1.0, signed: bool = False) -> tuple[str, str]:
    """An estimate and its bounds with the decimals that the interval bears; ``""`` for what is not known.

    >>> from types import SimpleNamespace as Interval
    >>> estimate_with_bounds(Interval(estimate=0.06848, low=0.0622, high=0.0747), 100)
    ('6.8', '6.2 to 7.5')
    >>> estimate_with_bounds(Interval(estimate=-0.0132, low=-0.023, high=-0.0042), signed=True)
    ('−0.013', '−0.023 to −0.004')
    """
    given = (interval.estimate, interval.low, interval.high)
    estimate, low, high = (without_noise(value * factor) for value in given)
    if not math.isfinite(estimate):
        return "", ""
    if not math.isfinite(low) or not math.isfinite(high):
        return rounded(estimate, 2, signed and estimate != 0).replace("-", MINUS), ""
    decimals = decimals_for(low, high, estimate)
    ends = " to ".join(number(bound, decimals, signed) for bound in (low, high))
    return number(estimate, decimals, signed), ends


def change(interval: Estimate, factor: float = 1.0) -> str:
    """A difference with its bounds, each with its sign.

    >>> from types import SimpleNamespace as Interval
    >>> change(Interval(estimate=0.246, low=0.237, high=0.256))
    '+0.25 (+0.24 to +0.26)'
    """
    estimate, bounds = estimate_with_bounds(interval, factor, signed=True)
    return f"{estimate} ({bounds})" if bounds else estimate


def percent(share: float) -> str:
    """A share whose interval is not known: two digits, or more where a share of nearly all would read as all.

    >>> percent(0.0172), percent(0.997), percent(1.0), percent(0.0)
    ('1.7 %', '99.7 %', '100 %', '0')
    """
    if not math.isfinite(share):
        return ""
    digits = next((n for n in range(2, _MOST_DECIMALS) if share == 1 or rounded(100 * share, n) != "100"), 2)
    return f"{rounded(100 * share, digits)} %" if share else "0"


def share_text(interval: Estimate) -> str:
    """A share as its interval bears it, without the bounds.

    >>> from types import SimpleNamespace as Interval
    >>> share_text(Interval(estimate=0.06848, low=0.0622, high=0.0747))
    '6.8\\xa0%'
    """
    estimate, bounds = estimate_with_bounds(interval, 100)
    return f"{estimate}{NBSP}%" if bounds and estimate != "0" else percent(interval.estimate).replace(" ", NBSP)


def share_with_bounds(interval: Estimate) -> str:
    """A share with its bounds.

    >>> from types import SimpleNamespace as Interval
    >>> share_with_bounds(Interval(estimate=0.06848, low=0.0622, high=0.0747))
    '6.8\\xa0% (6.2 to 7.5)'
    """
    bounds = estimate_with_bounds(interval, 100)[1]
    return share_text(interval) + (f" ({bounds})" if bounds else "")


def outwards(share: float) -> float:
    """An upper bound with one digit, rounded up.

    >>> outwards(0.000337), outwards(0.0004), outwards(0.97)
    (0.0004, 0.0004, 1.0)
    """
    if not 0 < share < 1:
        return share
    unit = 10.0 ** math.floor(math.log10(share))
    return float(f"{math.ceil(share / unit - 1e-9) * unit:.0e}")


def below(upper: float) -> str:
    """A one-sided bound of a share, rounded outwards.

    >>> below(0.000337)
    'below 0.04\\xa0%'
    """
    return f"below {rounded(100 * outwards(upper), 1)}{NBSP}%"


def none_of(n: int, upper: float) -> str:
    """That nothing happened, with the share it may still have.

    >>> none_of(8976, 0.000334)
    'none of 8,976 (below 0.04\\xa0%)'
    """
    return f"none of {n:,} ({below(upper)})"


def one_in(share: float, noun: str = "lookup") -> str:
    """A share as a frequency, for prose.

    >>> one_in(0.06848), one_in(0.00681), one_in(0.62), one_in(1.0), one_in(0.97)
    ('1 lookup in 15', '1 lookup in 150', '6 lookups in 10', 'every lookup', 'almost every lookup')
    """
    if share >= 0.95:
        return f"every {noun}" if share == 1 else f"almost every {noun}"
    if share > 0.4:
        return f"{round(10 * share)} {noun}s in 10"
    return f"1 {noun} in {float(f'{1 / share:.1e}'):,.0f}" if share else f"no {noun}"


def fewer_than(upper: float, noun: str = "lookup") -> str:
    """An upper bound as a frequency, rounded outwards as ``below`` is.

    >>> fewer_than(0.000165), fewer_than(0.0778)
    ('fewer than 1 lookup in 5,000', 'fewer than 1 lookup in 12')
    """
    n = max(1, math.floor(1 / outwards(upper) + 1e-9))
    unit = 10 ** max(0, len(str(n)) - 2)
    return f"fewer than 1 {noun} in {n // unit * unit:,}"


def milliseconds(value: float) -> str:
    """A time in ms without its unit: two decimals below 2, one below 10, none above.

    >>> milliseconds(0.6214), milliseconds(5005.2), milliseconds(0.004), milliseconds(math.inf)
    ('0.62', '5,005', '0.004', 'failed')
    """
    if not math.isfinite(value):
        return "" if math.isnan(value) else "failed"
    decimals = 2 if abs(value) < 2 else 1 if abs(value) < 10 else 0
    return number(value, max(decimals, decimals_for(0, 0, value)))


def time_ms(value: float) -> str:
    """A time in ms.

    >>> time_ms(4.57), time_ms(math.inf)
    ('4.6\\xa0ms', 'failed')
    """
    return f"{milliseconds(value)}{NBSP}ms" if math.isfinite(value) else milliseconds(value)


def span_of(seconds: float) -> str:
    """A span of time for prose: seconds below a minute, else minutes, else hours.

    >>> span_of(2.25), span_of(5.0), span_of(130), span_of(9000)
    ('2.25\\xa0s', '5\\xa0s', '2\\xa0min', '2.5\\xa0h')
    """
    if seconds < 60:
        return f"{rounded(seconds)}{NBSP}s"
    return f"{seconds / 60:.0f}{NBSP}min" if seconds < 5400 else f"{rounded(seconds / 3600, 2)}{NBSP}h"


def without_noise(value: float) -> float:
    """``value``, or 0 if it is only a rounding error of the arithmetic."""
    return 0.0 if abs(value) < _NOISE else value


def item(line: str, width: int | None) -> str:
    """``visible`` text as an item of a list on a terminal of ``width`` columns, and of 100 at most."""
    filled = textwrap.fill(visible(line), min(width or 100, 100), initial_indent="- ", subsequent_indent="  ")
    return filled.replace(NBSP, " ")


def counted(n: int, noun: str, nouns: str = "") -> str:
    """A count with its noun in the right number.

    >>> counted(1, "stall"), counted(1234, "stall"), counted(0, "query", "queries")
    ('1 stall', '1,234 stalls', '0 queries')
    """
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """How long something takes, for reading, rounded up.

    >>> duration(8.2), duration(95), duration(3600), duration(5000)
    ('9 s', '1 min 35 s', '1 h', '1 h 24 min')
    """
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        big, small = divmod(whole, 60)
        return f"{big} min {small} s" if small else f"{big} min"
    big, small = divmod(math.ceil(whole / 60), 60)
    return f"{big} h {small} min" if small else f"{big} h"


def all_of(n: int, noun: str, nouns: str = "") -> str:
    """All of so many, as a sentence begins.

    >>> all_of(1, "target"), all_of(2, "target"), all_of(5, "other query", "other queries")
    ('The target', 'Both targets', 'All 5 other queries')
    """
    several = nouns or noun + "s"
    return f"The {noun}" if n == 1 else f"Both {several}" if n == 2 else f"All {n:,} {several}"


def first_of(names: Sequence[str], most: int) -> str:
    """``"a, b and 3 more"``; all names if there are at most ``most``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def listed(names: Sequence[str], word: str = "and") -> str:
    """``"a, b and c"``, or with another word before the last."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def nearest(name: str, known: Iterable[str], or_all: bool = True) -> str:
    """The end of a sentence on a name that is not known: the nearest that is, else with ``or_all`` all of them.

    >>> nearest("rase", ["race", "loss"]), nearest("x", ["race", "loss"])
    (": did you mean 'race'?", '; known are race, loss')
    """
    names = list(known)
    near = difflib.get_close_matches(name[:60], names, n=1, cutoff=0.4)
    if near:
        return said.DID_YOU_MEAN(near=repr(near[0]))
    return said.KNOWN_ARE(known=", ".join(names)) if or_all and names else ""


def capitalised(text: str) -> str:
    """A sentence with a capital letter at its beginning.

    >>> capitalised("none of 8 lookups stalled."), capitalised("4 % stalled.")
    ('None of 8 lookups stalled.', '4 % stalled.')
    """
    return text[:1].upper() + text[1:]


def lowered(text: str) -> str:
    """A title in the middle of a sentence: with a small first letter, unless it begins with capitals.

    >>> lowered("A closed loop"), lowered("AAAA answers come late")
    ('a closed loop', 'AAAA answers come late')
    """
    begins_with_capitals = text[:2].isalpha() and text[:2].isupper()
    return text if begins_with_capitals else text[:1].lower() + text[1:]


def one_of(names: Sequence[str]) -> str:
    """``"a, b or c"``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass(frozen=True)
class Facts:
    """What something is, in a few lines: a title, and a line for each name. Lines without a text are left out."""

    title: str
    lines: Mapping[str, str]

    def __str__(self) -> str:
        width = max(map(len, self.lines), default=0)
        lines = [f"  {name:{width}}  {plain(line)}" for name, line in self.lines.items() if line]
        return "\n".join([visible(self.title), *lines])

    def to_html(self) -> str:
        """The same for a page, inside an element."""
        rows = [
            f"<tr><th scope='row'>{as_html(name)}</th><td>{with_code(line)}</td></tr>"
            for name, line in self.lines.items()
            if line
        ]
        return f"<p class='title'>{as_html(self.title)}</p><table class='facts'><tbody>{''.join(rows)}</tbody></table>"

    def _repr_html_(self) -> str:
        return as_output(f"<div class='card'>{self.to_html()}</div>")


@dataclass(frozen=True)
class Table:
    """Cells as text; ``name`` says to a screen reader what it is of."""

    frame: pd.DataFrame
    name: str

    def to_text(self, width: int | None = None) -> str:
        """The table for a terminal of ``width`` columns. Columns that do not fit follow below, with the names again."""
        shown = self.frame.map(lambda cell: plain(str(cell))).rename(columns=visible)
        names = [name for name in shown.columns if name in NAMES]
        return shown.set_index(names).to_string(line_width=width, sparsify=False)

    def to_markdown(self) -> str:
        """The table in Markdown, as pipelines show it."""
        lines = [list(self.frame.columns), ["---"] * len(self.frame.columns), *self.frame.to_numpy().tolist()]
        return "\n".join("| " + " | ".join(map(as_markdown, line)) + " |" for line in lines)

    def to_html(self) -> str:
        """The table for a page that has its own look."""
        return _html(self.frame, self.name) if len(self.frame) else ""

    def _repr_html_(self) -> str:
        return as_output(self.to_html())


def with_code(line: str) -> str:
    """``visible`` text for a page, with what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", as_html(line))


def _is_of_words(column: pd.Series[Any]) -> bool:
    """Whether a column holds words, which stand to the left, and not numbers, which stand to the right."""
    return not column.astype(str).str.match(_NUMBER).any()


def _html(frame: pd.DataFrame, name: str) -> str:
    """An accessible table that scrolls inside its own box."""
    head = "".join(f"<th scope='col'>{as_html(name)}</th>" for name in frame.columns)
    body = []
    n_names = sum(column in NAMES for column in frame.columns)
    for _, values in frame.iterrows():
        first, *rest = [as_html(value) for value in values]
        reason = ""
        if NOT_APPLICABLE in rest[-1]:  # the reason takes the place of all figures
            reason = f"<td class='reason' colspan='{len(frame.columns) - n_names}' {_SENTENCE}>{rest[-1]}</td>"
            rest = rest[: n_names - 1]
        opened = [f"<td {_SENTENCE}>" if column == ANSWER else "<td>" for column in frame.columns[1:]]
        cells = "".join(f"{tag}{value}</td>" for tag, value in zip(opened, rest, strict=False)) + reason
        body.append(f"<tr><th scope='row'>{first}</th>{cells}</tr>")
    of_words = [n for n, column in enumerate(frame.columns, 1) if _is_of_words(frame[column])]
    words = " ".join([*map(str, of_words), *(["last"] if len(frame.columns) in of_words else [])])
    rows = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    inner = f"<table class='figures' data-words='{words}'>{rows}</table>"
    return f"<div class='scroll' tabindex='0' role='region' aria-label='{as_html(name)}'>{inner}</div>"
