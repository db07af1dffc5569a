"""The answer in words: what stalls, which configuration does not, what it costs, and what the run cannot show.

Told twice from the same figures: as a headline of two sentences, and question by question for a reader in a hurry.
A cause is named only by its evidence in the measurements. What was injected is said because the plan says it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dnslab.analyse import power
from dnslab.analyse.summary import STEP_TOLERANCE, Summary
from dnslab.explain.answers import answers, listed, told
from dnslab.explain.tables import percent
from dnslab.explain.validity import Veto
from dnslab.text import as_html, as_output

#: share of stalls with the half-lost flag from which on "one of two answers was lost" is the pattern: under race
#: emulation 100 of 100 were flagged, under receive-buffer overflow 2 of 70
FLAGGED_RACE = 0.8
FLAGGED_OVERFLOW = 0.5
#: stalls from which on a flagged share says something
MIN_STALLS = 5
#: how often what a run "would have shown" shows
POWER = 0.9
#: targets, or rows, named one by one
MOST_TARGETS = 6
#: events (stalls, over how many come together) from which on intervals cover as they say: of fewer, where rounds differ
#: five times as much as independent lookups make them, in 85 % to 93 % (docs/calibration.md)
FEW_EVENTS = 10
#: steps of the resolver named one by one
MOST_STEPS = 3
RACE = "the pattern of the conntrack race"
SEQUENTIAL = ("single-request", "single-request-reopen")
VOID = "No conclusion: this run cannot be relied on."


class Sentences(tuple[str, ...]):
    """Sentences that show themselves in a notebook as a list."""

    def _repr_html_(self) -> str:
        return as_output(f"<ul>{''.join(f'<li>{as_html(line)}</li>' for line in self)}</ul>" if self else "")


@dataclass(frozen=True)
class Findings:
    """The answer in two sentences (``headline``) and by the question each part of it answers (``answers``, empty when
    void), ``evidence`` and ``limits`` a sentence each, and the vetoes."""

    headline: str
    answers: Mapping[str, str]
    evidence: Sentences
    limits: Sentences
    vetoes: tuple[Veto, ...]

    @property
    def void(self) -> bool:
        """Whether a veto empties the headline."""
        return any(veto.severity == "void" for veto in self.vetoes)

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON, described in docs/summary.md."""
        return {**asdict(self), "void": self.void}

    def _repr_html_(self) -> str:
        marks = "".join(
            f"<li><strong>{as_html(veto.name)}</strong>: {as_html(veto.seen)}. "
            f"{as_html(veto.advice[0].upper() + veto.advice[1:])}.</li>"
            for veto in self.vetoes
        )
        lines = "".join(
            f"<div><dt>{question}</dt><dd>{as_html(answer)}</dd></div>" for question, answer in self.answers.items()
        )
        return as_output(
            (f"<dl class='answers'>{lines}</dl>" if lines else f"<p class='headline'>{VOID}</p>")
            + (f"<ul class='vetoes'>{marks}</ul>" if marks else "")
            + self.evidence._repr_html_()
        )


def conclude(summary: Summary, vetoes: Sequence[Veto]) -> Findings:
    """Findings of ``summary``; a veto of severity ``void`` empties the headline."""
    void = [veto for veto in vetoes if veto.severity == "void"]
    limits = Sentences(_limits(summary))
    if void:
        reasons = "; ".join(dict.fromkeys(f"{veto.name} ({veto.seen})" for veto in void[:3]))
        return Findings(f"{VOID} {reasons}.", {}, Sentences(), limits, tuple(vetoes))
    headline = " ".join(filter(None, [_first(summary), _second(summary)]))
    return Findings(headline, _answers(summary, vetoes), Sentences(_evidence(summary)), limits, tuple(vetoes))


def _measured(summary: Summary) -> list[Mapping[str, Any]]:
    """Rows of the first load that hold a lookup."""
    return [row for row in summary.rows if row["load"] == 0 and row["not_applicable"] is None and row["n"]]


def _baselines(summary: Summary) -> list[Mapping[str, Any]]:
    """Baseline's rows under the first load, one a target."""
    return [row for row in _measured(summary) if row["variant"] == "baseline"]


def _led_by(summary: Summary) -> str | None:
    """The target that the headline speaks of: where baseline is worst. One with glibc goes first, which every
    configuration applies to."""
    baselines = _baselines(summary)
    if not baselines:
        return next((row["target"] for row in _measured(summary)), None)

    def badness(row: Mapping[str, Any]) -> tuple[bool, bool, float]:
        bad = row["stalls_share"] + row["failed_share"]
        return bool(bad), row["libc"] == "glibc", bad

    return str(max(baselines, key=badness)["target"])


def _baseline(summary: Summary) -> Mapping[str, Any] | None:
    target = _led_by(summary)
    return next((row for row in _baselines(summary) if row["target"] == target), None)


def _rows(summary: Summary) -> list[Mapping[str, Any]]:
    """Rows of the first load on the target that the headline speaks of."""
    target = _led_by(summary)
    return [row for row in _measured(summary) if row["target"] == target]


def _with_interval(row: Mapping[str, Any]) -> str:
    interval = row["intervals"]["stalls_share"]
    if row["stalls_upper"] is not None:
        bound = percent(row["stalls_upper"])
        return f"none of {row['n']:,} (under {bound} with 95 % confidence, lookups taken as independent)"
    if math.isfinite(interval.low):
        return f"{percent(row['stalls_share'])} (95 % interval {percent(interval.low)} to {percent(interval.high)})"
    return percent(row["stalls_share"])


def _first(summary: Summary) -> str:
    baseline = _baseline(summary)
    if baseline is None:
        return _without_baseline(summary)
    injected = "" if summary.fault == "none" else f"With the fault {summary.fault} injected, "
    stalls = _with_interval(baseline)
    length = f"{baseline['stall_ms'] / 1e3:.3g} s"
    if baseline["stalls"]:
        text = f"{stalls} of baseline's lookups took {length} or more"
    elif baseline["failed"]:
        text = f"baseline failed in {baseline['failed']:,} of {baseline['n']:,} lookups and none took {length} or more"
    else:
        text = f"no baseline lookup took {length} or more: {stalls}"
    text = f"{injected}{text} on {baseline['target']}"
    cause = cause_of(summary)
    return f"{text[0].upper()}{text[1:]}{'; ' + cause if cause else ''}."


def cause_of(summary: Summary) -> str:
    """What baseline's stalls look like, by their evidence; ``""`` where there are too few to say."""
    baseline = _baseline(summary)
    if baseline is None or baseline["stalls"] < MIN_STALLS or baseline["libc"] != "glibc":
        return ""
    flagged = baseline["flagged_share"] or 0.0
    dropped = baseline["rcvbuf_errors"]
    sequential = [row for name in SEQUENTIAL if (row := summary.row(name, baseline["target"]))]
    clean = bool(sequential) and all(row["stalls"] == 0 and row["failed"] == 0 for row in sequential)
    if flagged >= FLAGGED_RACE and not dropped and clean:
        return (
            f"{percent(flagged)} of the stalls lost just one of the two parallel answers and sequential queries lost "
            f"none, which is {RACE}"
        )
    if dropped and flagged < FLAGGED_OVERFLOW:
        return (
            f"servers dropped {dropped:,} datagrams at a full receive buffer in the same trials and "
            f"{percent(flagged)} of the stalls lost just one answer, which points to the buffer"
        )
    if flagged >= FLAGGED_RACE and not dropped and not sequential:
        return (
            f"{percent(flagged)} of the stalls lost just one of the two parallel answers, and without {SEQUENTIAL[0]} "
            "beside it this run does not show why"
        )
    return "the cause is not shown by this run"


def _second(summary: Summary) -> str:
    baseline = _baseline(summary)
    others = [row for row in _rows(summary) if row["variant"] != "baseline"]
    if baseline is None or not others:
        return ""
    if not baseline["stalls"] and not baseline["failed"]:
        worse = [row for row in others if row["stalls"] or row["failed"]]
        if worse:
            return "Of the others, " + "; ".join(told(row) for row in worse) + "."
        return "Nor did any of the others stall or fail."
    clean = [row for row in others if row["stalls"] == 0 and row["failed"] == 0]
    bad = [row for row in others if row not in clean]
    parts = []
    if clean:
        names = listed([row["variant"] for row in clean])
        fewest = min(row["n"] for row in clean)
        count = f"{fewest:,} lookups or more each" if len(clean) > 1 else f"{fewest:,} lookups"
        parts.append(f"of the others, {names} had none in {count}{_costs(clean)}")
    if bad:
        parts.append("; ".join(told(row) for row in bad))
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _costs(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the median pays: the cheapest and the dearest by name, where their intervals do not hold 0."""
    paid = [
        (effect.estimate, row["variant"])
        for row in rows
        if (effect := (row["effects"] or {}).get("p50_ms")) and (effect.low > 0 or effect.high < 0)
    ]
    if not paid:
        return ""
    ends = dict.fromkeys([min(paid), max(paid)])
    span = " to ".join(f"{estimate:+.2g} ms ({name})" for estimate, name in ends)
    return f", with a median changed by {span}"


def _without_baseline(summary: Summary) -> str:
    names = list(dict.fromkeys(row["variant"] for row in _rows(summary)))
    return f"No baseline was measured, only {listed(names)}." if names else "Nothing was measured."


def _answers(summary: Summary, vetoes: Sequence[Veto]) -> dict[str, str]:
    baseline = _baseline(summary)
    if baseline is None:
        return {"Is it happening?": f"This run cannot say. {_without_baseline(summary)}"}
    others = [row for row in _rows(summary) if row["variant"] != "baseline"]
    given = answers(summary, baseline, others, [veto.name for veto in vetoes])
    cause = cause_of(summary)
    return {**given, "Why?": f"{cause[0].upper()}{cause[1:]}."} if cause else given


def _evidence(summary: Summary) -> list[str]:
    lines = [*_by_target(summary), *_of_exposed(summary), *_at_steps(summary)]
    for row in summary.rows:
        if row["not_applicable"] is not None:
            lines.append(f"{row['variant']} on {row['target']}: not applicable, {row['not_applicable']}.")
    for row in summary.rows:
        if row["not_applicable"] is None and row["target"] == "musl" and row["variant"] == "baseline" and row["stalls"]:
            lines.append(
                f"musl asks again after {row['stall_ms'] / 0.9e3:.3g} s, so its stalls are that long: "
                f"{percent(row['stalls_share'])} of lookups."
            )
    return lines


def _of_exposed(summary: Summary) -> list[str]:
    """Where it looks like the race: baseline's stalls among what the race can hit, as counted or else as modelled."""
    baseline = _baseline(summary)
    if baseline is None or baseline["exposed_share"] is None or RACE not in cause_of(summary):
        return []
    share, interval = percent(baseline["exposed_share"]), baseline["intervals"]["exposed_share"]
    if math.isfinite(interval.low):
        share += f" (95 % interval {percent(interval.low)} to {percent(interval.high)})"
    stalls, exposed = (sum(one[name] for one in baseline["by_round"]) for name in ("exposed_stalls", "exposed"))
    among = (
        f"with the warm-up, {stalls:,} of {exposed:,} exposed pairs (A and AAAA on one new flow) did"
        if baseline["exposed_counted"] is not None
        else f"of {exposed:,.0f} that opened a new flow, by a model of port reuse, {stalls:,} did"
    )
    head = f"On {baseline['target']} {baseline['stalls']:,} of baseline's {baseline['n']:,} lookups stalled"
    return [f"{head}; {among}: {share}."]


def _at_steps(summary: Summary) -> list[str]:
    """Whether baseline's stalls ended when its resolver asks again: after a packet that was lost, or a slow answer."""
    baseline = _baseline(summary)
    if baseline is None or baseline["stalls_at"] is None or baseline["stalls"] < MIN_STALLS:
        return []
    step_s, counts = baseline["stall_step_s"], baseline["stalls_at"]
    most = sorted(counts, key=counts.get, reverse=True)[:MOST_STEPS]
    told = {f"at {step} s": n for step, n in counts.items() if step in most}
    told["at other multiples"] = sum(n for step, n in counts.items() if step not in most)
    told["elsewhere"] = baseline["stalls_elsewhere"]
    (first, share), *others = [(where, n / baseline["stalls"]) for where, n in told.items() if n]
    shares = [f"{percent(share)} ended {first}", *(f"{percent(other)} {where}" for where, other in others)]
    late = "; elsewhere it waited, as for a slow answer" if baseline["stalls_elsewhere"] else ""
    near_s = STEP_TOLERANCE * step_s
    return [
        f"Of baseline's stalls on {baseline['target']}, {', '.join(shares)}, to within {near_s:.3g} s. At multiples of "
        f"{step_s:.3g} s, where {percent(2 * STEP_TOLERANCE)} would end by chance, the resolver asks again, as after a "
        f"lost packet{late}."
    ]


def _by_target(summary: Summary) -> list[str]:
    """How baseline fares on each target, worst first: a cause may be one node's own."""
    baselines = sorted(_baselines(summary), key=lambda row: row["stalls_share"] + row["failed_share"], reverse=True)
    if len(baselines) < 2:
        return []
    bad = [row for row in baselines if row["stalls"] or row["failed"]]
    if not bad:
        return [f"On none of {len(baselines)} targets did baseline stall or fail."]
    told = [
        f"{row['target']} {percent(row['stalls_share'])}" + (f" ({row['failed']:,} failed)" if row["failed"] else "")
        for row in bad[:MOST_TARGETS]
    ]
    more = f" and {len(bad) - MOST_TARGETS} more" if len(bad) > MOST_TARGETS else ""
    n_clean = len(baselines) - len(bad)
    rest = f"; on the other {n_clean} none" if n_clean else ""
    return [f"Baseline stalled on {len(bad)} of {len(baselines)} targets: {', '.join(told)}{more}{rest}."]


def _detectable(summary: Summary) -> list[str]:
    """What this run would have shown, had it been there."""
    baseline = _baseline(summary)
    compared = [row for row in summary.rows if row["load"] == 0 and row["effects"]]
    if baseline is None or not baseline["n"] or 0 in summary.closed_loops:
        return []
    one = power.share_for_one(baseline["n"], POWER, baseline["spread"])
    text = f"A share of {percent(one)} would have shown as one stall or more in {POWER:.0%} of such runs"
    size = power.Size(baseline["rounds"], baseline["n"] / max(1, baseline["rounds"]), len(compared), baseline["spread"])
    share = power.detectable_difference(size, POWER) if compared else None
    if share is not None:
        text += f", one of {percent(share)} as a difference from a configuration that never stalls"
    return [f"{text}."]


def _few_events(summary: Summary) -> list[str]:
    """Whose stalls came together, and too seldom for an interval to learn from them how far it must reach."""
    measured = [
        row for row in summary.rows if row["not_applicable"] is None and row["load"] not in summary.closed_loops
    ]
    few = [row for row in measured if row["spread"] > 1 and 0 < row["stalls"] < FEW_EVENTS * row["spread"]]
    if not few:
        return []
    names = [f"{row['variant']} on {row['target']} ({row['stalls']:,})" for row in few[:MOST_TARGETS]]
    more = f" and {len(few) - MOST_TARGETS} more" if len(few) > MOST_TARGETS else ""
    return [
        f"Stalls of {', '.join(names)}{more} came unevenly over the rounds and are worth fewer than {FEW_EVENTS} "
        "independent ones: such an interval may end too low."
    ]


def _limits(summary: Summary) -> list[str]:
    lines = []
    fault = summary.fault.partition(":")[0]
    if fault == "race":
        lines.append(
            "The race is emulated: newer kernels (5.6 and later) resolve it. By construction the emulation spares "
            "sequential queries, a second socket, TCP and an untracked cache, so it shows that such stalls are seen "
            "and measured, not that these remedies work on a kernel that drops."
        )
    elif fault != "none":
        lines.append(f"The fault {summary.fault} was injected; nothing here says how often it occurs elsewhere.")
    if summary.backend == "lab":
        lines.append("The lab is one machine: client, node and servers share its CPUs, and its links add no delay.")
    elif summary.backend == "local":
        lines.append("This machine's ports and flows are shared with all else that runs on it: clients were not fresh.")
    else:
        lines.append("The cluster's nodes and DNS servers are shared with all else that runs there.")
    if summary.closed_loops:
        lines.append(
            "A closed loop shows throughput and maximum only: a worker in a stall asks nothing, so shares and "
            "quantiles count workers rather than faults, and no effects are given."
        )
    lines += [*_detectable(summary), *_few_events(summary)]
    lines.append("Intervals hold for runs like this one: same machines, same load, same hour.")
    return lines
