"""What the page shows, as plain data: each section has a dataclass, and templates only place it.

All numbers are text already, and all places are percentages of a width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dnslab.text import Table


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: where it stands, percent of the width, and its label, which begins or ends with the axis if
    ``edge`` is ``start`` or ``end``."""

    at: float
    label: str
    edge: str = ""


@dataclass(frozen=True)
class Axis:
    """Ticks that all rows of a column share; ``origin`` is where 0 is."""

    ticks: Sequence[Tick]
    origin: float
    log: bool = False


@dataclass(frozen=True)
class Mark:
    """An estimate with its interval on an axis. ``open`` is an estimate of 0, of which only a bound is known."""

    at: float
    low: float
    width: float
    open: bool
    tone: str
    title: str


@dataclass(frozen=True)
class StripRow:
    """A line of the small picture beside the verdict."""

    name: str
    where: str
    mark: Mark | None
    value: str
    bounds: str
    tone: str


@dataclass(frozen=True)
class Strip:
    """The small picture. ``note`` tells its two kinds of interval apart, if it has both."""

    caption: str
    axis: Axis
    rows: Sequence[StripRow]
    note: str = ""


@dataclass(frozen=True)
class Fact:
    """A line of a definition list."""

    term: str
    text: str
    code: bool = False


@dataclass(frozen=True)
class Link:
    """A link to a place in the page."""

    to: str
    text: str


@dataclass(frozen=True)
class Hero:
    """The verdict with its picture and facts. ``place`` is where it was measured; ``lead`` is three parts, the middle
    one with emphasis."""

    place: str
    tone: str
    icon: str
    title: str
    lead: tuple[str, str, str]
    more: str
    way: Link
    badge: tuple[str, str] | None
    strip: Strip | None
    facts: Sequence[Fact]


@dataclass(frozen=True)
class Glance:
    """A question with its short answer, which leads to a section."""

    to: str
    question: str
    short: str
    detail: str


@dataclass(frozen=True)
class Item:
    """A line with an icon; without a ``title`` it is plain. ``command`` is set as code after ``detail``."""

    icon: str
    tone: str
    title: str
    detail: str = ""
    command: str = ""


@dataclass(frozen=True)
class CauseCard:
    """A cause: its place in the ranking, how sure it is, and the evidence. One without ``bars`` has an icon.

    ``experiment`` is a command that tells it from causes that look alike, if there is one.
    """

    rank: str
    name: str
    confidence: str
    bars: Sequence[bool]
    icon: str
    tone: str
    summary: str
    heading: str
    evidence_for: Sequence[Item]
    evidence_against: Sequence[Item]
    none_against: str
    experiment: str = ""


@dataclass(frozen=True)
class ItemCard:
    """A card with a title and lines."""

    title: str
    items: Sequence[Item]


@dataclass(frozen=True)
class Why:
    """The causes, and beside them what is ruled out or was not tested."""

    heading: str
    intro: str
    causes: Sequence[CauseCard]
    cards: Sequence[ItemCard]
    experiment_heading: str = ""


@dataclass(frozen=True)
class Cell:
    """A figure in the table of configurations: its mark, the estimate, and what stands after it."""

    mark: Mark | None
    value: str
    rest: str = ""
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class LoadCell:
    """Queries to the servers; ``width`` of the bar in percent."""

    text: str
    width: float = 0.0
    tcp: bool = False


@dataclass(frozen=True)
class Chip:
    """A word with an icon and a tone."""

    text: str
    tone: str
    icon: str


@dataclass(frozen=True)
class HelpsRow:
    """A configuration. With a ``reason`` there are no figures."""

    name: str
    what: str
    tags: Sequence[str]
    chips: Sequence[Chip]
    share: Cell | None = None
    cost: Cell | None = None
    load: LoadCell | None = None
    reason: str = ""
    command: str = ""
    picked: bool = False


@dataclass(frozen=True)
class HelpsGroup:
    """The configurations measured with one C library."""

    title: str
    rows: Sequence[HelpsRow]


@dataclass(frozen=True)
class Helps:
    """The table of configurations. Without a ``load_heading`` queries were counted nowhere."""

    heading: str
    intro: str
    share_heading: str
    share_axis: Axis
    load_heading: str
    cost_title: str
    cost_heading: str
    cost_axis: Axis | None
    groups: Sequence[HelpsGroup]
    notes: Sequence[str]
    row_heading: str = "and what it changes"


@dataclass(frozen=True)
class ArmColumn:
    """A column of shares of raw queries, on one axis."""

    heading: str
    more: str
    axis: Axis


@dataclass(frozen=True)
class ArmRow:
    """An arm at one address: a cell for each column, and what was seen in words."""

    name: str
    what: str
    cells: Sequence[Cell]
    chips: Sequence[Chip]


@dataclass(frozen=True)
class ArmGroup:
    """The arms that asked at one address."""

    title: str
    rows: Sequence[ArmRow]


@dataclass(frozen=True)
class Arms:
    """What each kind of raw query showed, and the rungs of the ladder. Without ``groups`` no raw query was sent."""

    heading: str
    intro: str
    caption: str
    columns: Sequence[ArmColumn]
    groups: Sequence[ArmGroup]
    notes: Sequence[str]
    rungs: ItemCard


@dataclass(frozen=True)
class Code:
    """Text to copy, in which names to fill in are marked."""

    kind: str
    text: str


@dataclass(frozen=True)
class Step:
    """One step of what to do now, with blocks of text and code in turn."""

    title: str
    blocks: Sequence[str | Code]


@dataclass(frozen=True)
class Card:
    """A card beside the steps."""

    title: str
    lines: Sequence[str]
    tone: str = ""
    code: Code | None = None


@dataclass(frozen=True)
class Now:
    """What to do now."""

    heading: str
    intro: str
    steps: Sequence[Step]
    cards: Sequence[Card]


@dataclass(frozen=True)
class Key:
    """A curve in words, with a sample of its line."""

    name: str
    text: str
    style: str


@dataclass(frozen=True)
class Panel:
    """One plot as SVG, for a narrow and for a wide page, with its curves in words."""

    title: str
    narrow: str
    wide: str
    keys: Sequence[Key]


@dataclass(frozen=True)
class Tails:
    """How long lookups take."""

    heading: str
    intro: str
    panels: Sequence[Panel]
    note: str
    table: Table


@dataclass(frozen=True)
class Bar:
    """A part of a trial: where it stands, how high it is, percent, and its words."""

    x: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class TimeRow:
    """One configuration through the rounds. ``band`` is the bottom and the top of what chance alone makes, percent."""

    name: str
    where: str
    value: str
    note: str
    tone: str
    bars: Sequence[Bar]
    band: tuple[float, float] | None
    title: str


@dataclass(frozen=True)
class HeatCell:
    """A cell of the table of targets; ``tone`` is ``hot``, ``none`` or ``""``."""

    text: str
    tone: str


@dataclass(frozen=True)
class Heat:
    """Shares by target and configuration."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]
    note: str


@dataclass(frozen=True)
class When:
    """When and where."""

    heading: str
    intro: str
    rows: Sequence[TimeRow]
    rounds: Sequence[Tick]
    highest: str
    heat: Heat | None
    table: Table


@dataclass(frozen=True)
class Trust:
    """The checks: failed ones first, then noted, then passed. They are counted if ``scored``."""

    heading: str
    intro: str
    failed: Sequence[Item]
    noted: Sequence[Item]
    passed: Sequence[Item]
    scored: bool = True


@dataclass(frozen=True)
class Detail:
    """A part of the details that unfolds."""

    title: str
    note: str
    tables: Sequence[Table] = ()
    lines: Sequence[str] = ()
    facts: Sequence[Fact] = ()


@dataclass(frozen=True)
class Page:
    """All of it, in order. A section that is None is left out."""

    title: str
    run: str
    hero: Hero
    glances: Sequence[Glance]
    why: Why | None
    helps: Helps | None
    now: Now | None
    tails: Tails | None
    when: When | None
    trust: Trust
    details_heading: str
    details_intro: str
    void: bool
    details: Sequence[Detail]
    footer: str
    arms: Arms | None = None

    @property
    def contents(self) -> list[Link]:
        """The sections that are there by their headings, in order: of a void run first what went wrong."""
        names = ("why", "arms", "helps", "now", "latency", "when", "trust")
        there = (self.why, self.arms, self.helps, self.now, self.tails, self.when, self.trust)
        sections = [(to, section.heading) for to, section in zip(names, there, strict=True) if section]
        if self.void:
            sections.sort(key=lambda section: section[0] not in ("trust", "now"))
            sections.sort(key=lambda section: section[0] != "trust")
        if self.details:
            sections.append(("details", self.details_heading))
        return [Link(to, heading) for to, heading in sections]
