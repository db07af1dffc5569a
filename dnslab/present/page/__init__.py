"""The HTML page of a run: plain data from a run's sound part, then templates. Runs no script and loads nothing.

``page`` is all that ``dnslab report`` and the last cell of the notebook call.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnslab.analyse.dataset import Run
from dnslab.analyse.facts import began
from dnslab.explain.comparison import Comparison
from dnslab.explain.diagnosed import Diagnosed
from dnslab.explain.findings import findings_of
from dnslab.explain.soundness import examine
from dnslab.imports.summary import ImportedSummary
from dnslab.present.page.compared import compared_view
from dnslab.present.page.context import Context
from dnslab.present.page.diagnosis import diagnosis_view
from dnslab.present.page.helps import helps
from dnslab.present.page.hero import glances, hero
from dnslab.present.page.imported import imported_view
from dnslab.present.page.now import PLACEHOLDER, now
from dnslab.present.page.tails import tails
from dnslab.present.page.trust import details, trust
from dnslab.present.page.view import Page
from dnslab.present.page.when import when
from dnslab.present.page.why import why
from dnslab.sentences import pictures
from dnslab.text import NBSP, as_html, visible, with_code

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
_WHOLE = '<span class="nw">{}</span>'
_WHOLE_OF = r'<span class="nw">{} \</span>'
#: characters that a phone has room for on one line
MOST_TOGETHER = 30
#: an option, or a name with hyphens that is no part of a host's name
_NAME = re.compile(r"(?<![\w-])--[\w-]+|(?<![\w@./-])[\w@]+(?:-[\w@]+)+(?![\w@-]|\.\w)")
#: in a list or a joined name, after which a line may break
_JOINT = re.compile(r"[,+](?=[^\W\d]|<span)")
#: between a number and its unit no line may break
_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h)(?![\w-]))")


class Html(str):
    """A whole HTML page. A notebook shows its style and its body, which leave the notebook's own page alone."""

    def _repr_html_(self) -> str:
        style, body = (self.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0] for tag in ("style", "body"))
        return f"<div class='mathjax_ignore'><style>{style}</style>{body}</div>"


def page(run: Run) -> Html:
    """The page of ``run``."""
    examined = examine(run)
    return written(view(Context(examined.run, examined.summary, findings_of(examined))))


def imported_page(summary: ImportedSummary) -> Html:
    """The page of what another tool measured."""
    return written(imported_view(summary))


def compared_page(comparison: Comparison) -> Html:
    """The page of what changed from one run to later ones."""
    return written(compared_view(comparison))


def diagnosis_page(diagnosed: Diagnosed) -> Html:
    """The page of a diagnosis."""
    return written(diagnosis_view(diagnosed))


def view(context: Context) -> Page:
    """All that the page of a run shows."""
    checks = trust(context)
    top = hero(context)
    void = context.findings.void
    date = began(context.run.environment).partition(",")[0]
    return Page(
        title=f"dnslab: {top.title.lower()}, {context.run.path.name}",
        run=", ".join(filter(None, [context.run.plan.name, date])),
        hero=top,
        glances=glances(context, len(checks.failed), len(checks.noted), len(checks.passed)),
        why=None if void else why(context),
        helps=None if void else helps(context),
        now=now(context),
        tails=None if void else tails(context),
        when=None if void else when(context),
        trust=checks,
        void=void,
        details_heading=str(pictures.DETAILS_HEADING),
        details_intro=str(pictures.DETAILS_HEAD),
        details=details(context),
        footer=pictures.MADE_BY(version=str(context.run.environment.dnslab or "")),
    )


def written(page: Page) -> Html:
    """The page as HTML."""
    style = (HERE / "page.css").read_text(encoding="utf-8")
    template = _environment().get_template("page.html.j2")
    return Html(template.render(page=page, style=style))


def _code(text: str) -> str:
    """Lines to copy as HTML: names to fill in are marked, and no backslash stands alone on a line."""
    return "\n".join(map(_code_line, text.split("\n")))


def _code_line(line: str) -> str:
    if line.endswith(" \\"):
        start, blank, last = line[:-2].rpartition(" ")
        if len(last) <= MOST_TOGETHER:
            return f"{_marked(start + blank)}{_WHOLE_OF.format(_marked(last))}"
    return _marked(line)


def _marked(text: str) -> str:
    parts = PLACEHOLDER.split(text)
    shown = [f"<mark>{part}</mark>" if i % 2 else _words(part) for i, part in enumerate(parts)]
    return "".join(shown)


def _prose(text: str) -> str:
    """A sentence as HTML: what stands between backticks is code, and an option or a name is on one line."""
    return _unbroken(with_code(text))


def _words(text: str) -> str:
    """Text as HTML: no line breaks in a name of usual length."""
    return _unbroken(as_html(text))


def _unbroken(text: str) -> str:
    whole = _NAME.sub(lambda name: _WHOLE.format(name[0]) if len(name[0]) <= MOST_TOGETHER else name[0], text)
    return _JOINT.sub(r"\g<0><wbr>", whole)


def _together(word: str) -> str:
    """A word of a command, on one line if that has room for it."""
    return _WHOLE.format(as_html(word)) if len(word) <= MOST_TOGETHER else _words(word)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        """Every value that a template writes: visible text, in which no unit begins a line."""
        return value if isinstance(value, Markup) else _UNIT.sub(NBSP, visible(str(value)))

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = lambda text: Markup(_prose(shown(text)))
    environment.filters["words"] = lambda text: Markup(_words(shown(text)))
    environment.filters["together"] = lambda text: Markup(_together(shown(text)))
    environment.filters["code"] = lambda text: Markup(_code(text))
    environment.filters["html"] = Markup  # of what dnslab itself wrote as HTML: tables and plots
    return environment
