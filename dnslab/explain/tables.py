"""Figures as text: numbers for reading, and the table for people, on a terminal or as HTML.

Pure: rows of ``stats.Summary`` in, text or a frame of text out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dnslab.text import as_html, as_markdown, as_output, visible

NOT_APPLICABLE = "not applicable"
#: points or ms under which a difference is the arithmetic's rounding: a clock tells 1e-6 ms, a share 1 of 1e9 lookups
NOISE = 1e-9
#: columns that say what a row is of
NAMES = ("measure", "configuration", "run", "target", "load")
#: a column of sentences
ANSWER = "the answer"
#: JupyterLab sets all cells to the right, where a sentence is hard to read or out of sight, and a report on one line
_SENTENCE = "style='text-align: left; white-space: normal; min-width: 30ch'"


def percent(share: float) -> str:
    """A share for reading, three significant digits: ``"1.72 %"``."""
    if not math.isfinite(share):
        return ""
    return "0" if share == 0 else f"{share * 100:.3g} %"


def milliseconds(value: float) -> str:
    """A latency for reading: ``"0.21"``, ``"5,012"``, ``"failed"`` where the level falls among failed lookups."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "failed"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _share_with_interval(row: Mapping[str, Any], name: str) -> str:
    if name == "stalls_share" and row["stalls_upper"] is not None:
        return f"0 (< {percent(row['stalls_upper'])})"
    interval = row["intervals"][name]
    bounds = f" ({interval.low * 100:.2g} to {interval.high * 100:.2g})" if math.isfinite(interval.low) else ""
    return percent(row[name]) + bounds


def _at_steps(row: Mapping[str, Any]) -> str:
    """``"5 s 24, 10 s 1, else 2"``: when stalls ended."""
    if not row["stalls_at"] and not row["stalls_elsewhere"]:
        return ""
    told = [f"{step} s {n:,}" for step, n in row["stalls_at"].items()]
    return ", ".join([*told, *([f"else {row['stalls_elsewhere']:,}"] if row["stalls_elsewhere"] else [])])


@dataclass(frozen=True)
class Table:
    """Cells as text; ``name`` says to a screen reader what it is of."""

    frame: pd.DataFrame
    name: str

    def to_text(self, width: int | None = None) -> str:
        """For a terminal of ``width`` columns: what does not fit follows below, with the names again."""
        shown = self.frame.map(lambda cell: visible(str(cell))).rename(columns=visible)
        names = [name for name in shown.columns if name in NAMES]
        return shown.set_index(names).to_string(line_width=width, sparsify=False)

    def to_markdown(self) -> str:
        """As a pipe table, for what pipelines show."""
        lines = [list(self.frame.columns), ["---"] * len(self.frame.columns), *self.frame.to_numpy().tolist()]
        return "\n".join("| " + " | ".join(map(as_markdown, line)) + " |" for line in lines)

    def _repr_html_(self) -> str:
        return as_output(_html(self.frame, self.name)) if len(self.frame) else ""


def _named(row: Mapping[str, Any], load_labels: Sequence[str]) -> dict[str, str]:
    load = {"load": load_labels[row["load"]]} if len(load_labels) > 1 else {}
    return {"configuration": row["variant"], "target": row["target"], **load}


def figures(rows: Sequence[Mapping[str, Any]], load_labels: Sequence[str], limit_ms: float) -> Table:
    """A summary's rows: one for each variant, target and load."""
    told: list[dict[str, str]] = []
    for row in rows:
        named = _named(row, load_labels)
        if row["not_applicable"] is not None:
            told.append({**named, "exposed": f"{NOT_APPLICABLE}: {row['not_applicable']}"})
            continue
        exposed = row["exposed_counted"] if row["exposed_counted"] is not None else row["exposed_modelled"]
        kind = "" if row["exposed_counted"] is not None or exposed is None else " (model)"
        told.append(
            {
                **named,
                "lookups": f"{row['n']:,}",
                "stalls": f"{row['stalls']:,}",
                "stalled (95 %)": _share_with_interval(row, "stalls_share"),
                "flagged": percent(row["flagged_share"]) if row["flagged_share"] is not None else "",
                "stalls at": _at_steps(row),
                "≥ 1 s": percent(row["slow_share"]),
                "failed": f"{row['failed']:,}",
                "partial": f"{row['partial']:,}",
                "p50 ms": milliseconds(row["p50_ms"]),
                "p99 ms": milliseconds(row["p99_ms"]),
                "p99.9 ms": milliseconds(row["p999_ms"]),
                "min ms": milliseconds(row["min_ms"]),
                "avg ms": milliseconds(row["avg_ms"]),
                "max ms": milliseconds(row["max_ms"]),
                f"≥ {limit_ms:g} ms": f"{row['over_limit']:,}",
                "lookups/s": f"{row['lookups_per_s']:,.0f}" if math.isfinite(row["lookups_per_s"]) else "",
                "exposed": "" if exposed is None else f"{exposed:,.0f}{kind}",
            }
        )
    return Table(pd.DataFrame(told).fillna(""), "figures by configuration")


def side_by_side(figures: Mapping[str, Table]) -> Table:
    """Figures of several runs, by the run's name: the rows of one configuration below each other."""
    frames = [table.frame.assign(run=name) for name, table in figures.items()]
    joined = pd.concat(frames, ignore_index=True).fillna("")
    names = [name for name in NAMES if name in joined]
    last = joined.pop("exposed")  # where a reason stands, which must be last
    ordered = joined[[*names, *(name for name in joined if name not in names)]].assign(exposed=last)
    keys = ordered[[name for name in names if name != "run"]].apply(tuple, axis=1)
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return Table(ordered.iloc[keys.map(place).argsort(kind="stable")], "figures by configuration and run")


def effects(rows: Sequence[Mapping[str, Any]], load_labels: Sequence[str]) -> Table:
    """What each configuration changes against baseline; empty where nothing can be compared."""
    told = []
    for row in rows:
        if row["effects"]:
            shares = {
                heading: change(row["effects"][f"{name}_share"], 100)
                for heading, name in (("≥ 1 s, points", "slow"), ("failed, points", "failed"))
            }
            times = {
                f"{level} ms": change(row["effects"][name], 1)
                for level, name in (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))
            }
            told.append({**_named(row, load_labels), "≥ 1 s": _verdict(row), **shares, **times})
    return Table(pd.DataFrame(told), "changes against baseline")


#: what a comparison of runs tells, in this order: heading, key in ``effects``
MEASURES = (
    ("stalled", "stalls_share"),
    ("≥ 1 s", "slow_share"),
    ("failed", "failed_share"),
    ("p50", "p50_ms"),
    ("p99", "p99_ms"),
    ("p99.9", "p999_ms"),
)


def changes(rows: Sequence[Mapping[str, Any]], load_labels: Sequence[str], several: bool) -> Table:
    """A line for each measure of each row of ``comparison.Comparison`` that was compared; ``several`` later runs."""
    told = []
    for heading, measure in MEASURES:
        share = measure.endswith("_share")
        shown, factor, unit = (percent, 100, " points") if share else (milliseconds, 1, " ms")
        for row in rows:
            if row["effects"]:
                told.append(
                    {
                        "measure": heading if share else f"{heading} ms",
                        **({"run": row["run"]} if several else {}),
                        **_named(row, load_labels),
                        "before": shown(row["before"][measure]),
                        "after": shown(row["after"][measure]),
                        "change (95 %), points or ms": change(row["effects"][measure], factor),
                        "verdict": _worded(row["verdicts"][measure], factor, unit),
                    }
                )
    return Table(pd.DataFrame(told), "changes between runs")


def _verdict(row: Mapping[str, Any]) -> str:
    return _worded(row["verdicts"]["slow_share"], 100, " points")


def _worded(verdict: Any, factor: float, unit: str) -> str:
    if verdict.word != "no difference shown":
        return str(verdict.word)
    return f"no difference over {_without_noise(factor * verdict.bound):.2g}{unit} shown"


def change(interval: Any, factor: float) -> str:
    """``"+0.25 (0.21 to 0.28)"``; without bounds where there were too few rounds for them."""
    given = (interval.estimate, interval.low, interval.high)
    estimate, low, high = (_without_noise(value * factor) for value in given)
    if not math.isfinite(estimate):
        return ""
    bounds = f" ({_signed(low)} to {_signed(high)})" if math.isfinite(low) else ""
    return f"{_signed(estimate) if estimate else '0'}{bounds}"


def _without_noise(value: float) -> float:
    return 0.0 if abs(value) < NOISE else value


def _signed(value: float) -> str:
    return f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.3g}"


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
    inner = f"<table class='figures'><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f"<div class='scroll' tabindex='0' role='region' aria-label='{as_html(name)}'>{inner}</div>"
