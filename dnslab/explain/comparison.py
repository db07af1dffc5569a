"""What a comparison of runs found: its rows, what was not compared, and how that reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from dnslab.analyse.intervals import Interval, Verdict
from dnslab.analyse.summary import Row
from dnslab.explain.tables import row_names, verdict_in_words
from dnslab.sentences import comparison as sentences, notebook as shown
from dnslab.text import (
    Facts,
    Table,
    as_html,
    as_markdown,
    as_output,
    change,
    counted,
    item,
    listed,
    milliseconds,
    share_text,
    visible,
)

#: what a comparison of runs shows, in this order: heading, key in ``effects``
MEASURES = (
    ("stalled", "stalls_share"),
    ("≥ 1 s", "slow_share"),
    ("failed", "failed_share"),
    ("p50", "p50_ms"),
    ("p99", "p99_ms"),
    ("p99.9", "p999_ms"),
)


@dataclass(frozen=True)
class ComparedRow:
    """A variant on a target under a load: its numbers in the run before and in a later ``run``.

    ``run`` is ``after``, or ``after 2`` and so on. ``target_after`` is what the target is called there. ``refused`` is
    why the two are not compared, else None. ``effects`` and ``verdicts`` are those of a ``Row``, empty where refused.
    """

    run: str
    target_after: str
    refused: str | None
    before: Row
    after: Row
    effects: Mapping[str, Interval]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def variant(self) -> str:
        """The variant, in both runs."""
        return self.before.variant

    @property
    def target(self) -> str:
        """The target as the run before calls it."""
        return self.before.target

    @property
    def load(self) -> int:
        """The load, in both runs."""
        return self.before.load


@dataclass(frozen=True, repr=False)
class Comparison:
    """How the later runs differ from the one before.

    ``rows`` has one for each variant, target and load of a later run that the earlier one has, too. ``differences`` and
    ``unmatched`` are a line each; ``void`` is one for each run that cannot be relied on, or of
    which a part is left out.
    """

    names: tuple[str, ...]
    load_labels: tuple[str, ...]
    rows: tuple[ComparedRow, ...]
    differences: tuple[str, ...]
    unmatched: tuple[str, ...]
    void: tuple[str, ...]

    @property
    def changes(self) -> Table:
        """A table for people, with a line for each measure and row."""
        return between_runs(self.rows, self.load_labels, len(self.names) > 2)

    @property
    def refused(self) -> list[str]:
        """What cannot be compared, a line for each reason."""
        by_reason: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            if row.refused:
                by_reason.setdefault((row.run, row.refused), []).append(f"{row.variant} on {row.target}")
        return [
            sentences.REFUSED(reason=reason, rows=listed(list(dict.fromkeys(who))))
            for (_, reason), who in by_reason.items()
        ]

    @property
    def _lists(self) -> Iterator[tuple[str, Sequence[str]]]:
        yield str(sentences.NOT_COMPARED), self.refused
        yield str(sentences.IN_ONE_RUN), self.unmatched
        yield str(sentences.ALSO_DIFFERENT), self.differences

    @property
    def _headings(self) -> list[str]:
        named = zip(labels(len(self.names)), self.names, strict=True)
        return [*self.void, *(f"{label}: {name}" for label, name in named)]

    def to_text(self, width: int | None = None) -> str:
        """For a terminal of ``width`` columns."""
        parts = ["\n".join(map(visible, self._headings))]
        for heading, lines in self._lists:
            if lines:
                parts.append("\n".join([f"{heading}:", *(item(line, width) for line in lines)]))
        parts.append(self.changes.to_text(width) if len(self.changes.frame) else str(sentences.NOTHING_COMPARED))
        return "\n\n".join(parts)

    def to_markdown(self) -> str:
        """For what pipelines show."""
        parts = ["## Comparison", "\n".join(f"- {as_markdown(line)}" for line in self._headings)]
        parts.append(self.changes.to_markdown() if len(self.changes.frame) else str(sentences.NOTHING_COMPARED))
        for heading, lines in self._lists:
            if lines:
                parts.append("\n".join([f"{heading}:", "", *(f"- {as_markdown(line)}" for line in lines)]))
        return "\n\n".join(parts)

    @property
    def facts(self) -> Facts:
        """How many configurations were compared, and what came of it."""
        n_alone, n_differ = len(self.unmatched), len(self.differences)
        words = Counter(verdict.word for row in self.rows for verdict in row.verdicts.values())
        n_refused = sum(row.refused is not None for row in self.rows)
        n_other = words.total() - words["lower"] - words["higher"]
        compared = counted(len(self.rows) - n_refused, "configuration")
        verdicts = shown.VERDICTS(lower=f"{words['lower']}", higher=f"{words['higher']}", other=f"{n_other}")
        lines = {
            "void": " ".join(self.void),
            "what": shown.COMPARED(compared=compared, refused=f"{n_refused}"),
            "verdicts": verdicts if words else "",
            "left out": shown.IN_ONE_RUN(n=counted(n_alone, "configuration or target", "configurations or targets")),
            "differs": shown.CONDITIONS(n=counted(n_differ, "other difference")),
        }
        title = shown.COMPARISON(before=self.names[0], after=listed(self.names[1:] or self.names))
        empty = [name for name, n in (("left out", n_alone), ("differs", n_differ)) if not n]
        return Facts(title, {name: line for name, line in lines.items() if line and name not in empty})

    def __repr__(self) -> str:
        return str(self.facts)

    def _repr_html_(self) -> str:
        """All that was compared, then all that was not, and why: nothing is left out without a word."""
        parts = [f"<p class='headline'>{as_html(line)}</p>" for line in self.void]
        parts.append(f"<div class='card'>{self.facts.to_html()}</div>")
        parts.append(self.changes._repr_html_() or f"<p>{as_html(sentences.NOTHING_COMPARED)}</p>")
        for heading, lines in self._lists:
            if lines:
                items = "".join(f"<li>{as_html(line)}</li>" for line in lines)
                parts.append(f"<h4>{as_html(heading)}</h4><ul>{items}</ul>")
        if not self.differences:
            parts.append(f"<p>{as_html(shown.NOTHING_DIFFERS)}</p>")
        return as_output("".join(parts))


def between_runs(rows: Sequence[ComparedRow], load_labels: Sequence[str], several: bool) -> Table:
    """A line for each measure of each row that was compared; with the run's name where there are ``several`` later."""
    lines = []
    for heading, measure in MEASURES:
        share = measure.endswith("_share")
        factor, unit = (100, " points") if share else (1, " ms")
        for row in rows:
            if row.effects:
                lines.append(
                    {
                        "measure": heading if share else f"{heading} ms",
                        **({"run": row.run} if several else {}),
                        **row_names(row.before, load_labels),
                        "before": _measured(row.before, measure),
                        "after": _measured(row.after, measure),
                        "change (95 %), points or ms": change(row.effects[measure], factor),
                        "verdict": verdict_in_words(row.verdicts[measure], row.effects[measure], factor, unit),
                    }
                )
    return Table(pd.DataFrame(lines), "changes between runs")


def _measured(row: Row, measure: str) -> str:
    if measure.endswith("_share"):
        return share_text(row.intervals[measure])
    return milliseconds(getattr(row, measure))


def labels(n_runs: int) -> list[str]:
    """Names for runs in a comparison, since their folders may have equal names."""
    return ["before", *("after" if number == 1 else f"after {number}" for number in range(1, n_runs))]
