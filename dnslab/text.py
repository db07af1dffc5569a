"""Text as it is shown. What a run, a plan, a cluster or a file says is printed, written into a page or drawn only
through these functions.

What a reader cannot see is written as an escape: ``\\x1b`` for the byte that begins a terminal's commands, ``\\u202e``
for the character that reverses a line. All other text stays as it is. Data for programs (JSON, parquet) stays exact.
"""

from __future__ import annotations

import html
import re
import sys

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


def visible(text: str) -> str:
    """One line of text, with escapes for what a reader cannot see: the ends of lines, too.

    >>> visible("caf\\u00e9 \\x1b[31m\\nIs it happening? No")
    'caf\u00e9 \\\\x1b[31m\\\\nIs it happening? No'
    """
    return _UNSEEN.sub(lambda found: as_escapes(found[0]), text)


def as_escapes(text: str) -> str:
    """Text with an escape for each character that is not ASCII or is a control character."""
    return text.encode("unicode_escape").decode("ascii")


def visible_lines(text: str) -> str:
    """The same for text of several lines. Its line ends stay, so whatever comes from outside must be in it as one line
    already: through ``visible``, as YAML or as JSON."""
    return "\n".join(map(visible, text.split("\n")))


def as_html(text: object) -> str:
    """``visible`` text for a page, inside an element or inside an attribute."""
    return html.escape(visible(str(text)))


def as_html_lines(text: str) -> str:
    """``visible_lines`` for a page."""
    return html.escape(visible_lines(text))


def as_output(page: str) -> str:
    """HTML as an object shows itself in a notebook, in which JupyterLab then sets no formulas."""
    return f"<div class='mathjax_ignore'>{page}</div>" if page else ""


def as_markdown(text: object) -> str:
    """``visible`` text for Markdown, with no link, HTML, formula or end of a cell in it."""
    return _MARKDOWN.sub(r"\\\g<0>", visible(str(text)))


def as_csv_cell(text: str) -> str:
    """``visible`` text for a cell of a CSV file: an apostrophe before what a program for tables would calculate.

    >>> as_csv_cell("=1+1"), as_csv_cell("-7"), as_csv_cell("use-vc")
    ("'=1+1", '-7', 'use-vc')
    """
    return _FORMULA.sub(r"\1'", visible(text))


def echo(line: object = "", err: bool = False) -> None:
    """Print one line on stdout, or on stderr."""
    _print(visible(str(line)), err)


def echo_text(text: str, err: bool = False) -> None:
    """Print text of several lines, see ``visible_lines``; with or without a line end as its last character."""
    _print(visible_lines(text.removesuffix("\n")), err)


def _print(text: str, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # A terminal that is not set to UTF-8 shows escapes for what it does not know.
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
