"""The answer in words: what stalls, which configuration does not, what it costs, and what the run cannot show.

The same numbers give a headline of two sentences, and an answer to each question for a reader in a hurry. A cause is
named only from evidence in the measurements. An injected fault is named because the plan names it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dnslab.analyse import power
from dnslab.analyse.counts import STEP_TOLERANCE
from dnslab.analyse.summary import Row, Summary
from dnslab.explain import verification
from dnslab.explain.answers import (
    EXPOSURE_LOST,
    answers,
    baselines,
    cannot_tell,
    how_it_fared,
    leading_baseline,
    leading_others,
)
from dnslab.explain.causes import MIN_STALLS, Kind, cause_of
from dnslab.explain.validity import voids
from dnslab.explain.verification import verify
from dnslab.explain.veto import VOID, Veto, left_out
from dnslab.plan.backends import IN_CLUSTER
from dnslab.plan.stalls import timeout_of_stall_s
from dnslab.text import as_html, as_output, first_of, listed, percent, rounded

#: how often what a run "would have shown" shows
POWER = 0.9
#: targets, or rows, named one by one
MOST_TARGETS = 6
#: events (stalls, over how many come together) from which on intervals cover as they say: of fewer, where rounds differ
#: five times as much as independent lookups make them, in 85 % to 93 % (docs/calibration.md)
FEW_EVENTS = 10
#: steps of the resolver named one by one
MOST_STEPS = 3


class Sentences(tuple[str, ...]):
    """Sentences, which a notebook shows as a list."""

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
        return bool(voids(self.vetoes))

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON, described in docs/summary.md."""
        return {**asdict(self), "vetoes": [veto.to_dict() for veto in self.vetoes], "void": self.void}

    def _repr_html_(self) -> str:
        marks = "".join(
            f"<li><strong>{as_html(veto.title)}</strong>: {as_html(veto.details)} {as_html(veto.advice)}</li>"
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
    """Findings of ``summary``; a veto of severity ``void`` empties the headline.

    Both as ``soundness.examine`` gives them: the headline says what was left out, and nothing else speaks of that.
    """
    void = voids(vetoes)
    limits = Sentences(_limits(summary))
    if void:
        reasons = " ".join(dict.fromkeys(veto.reason for veto in void[:3]))
        return Findings(f"{VOID} {reasons}", {}, Sentences(), limits, tuple(vetoes))
    verified = verify(summary)
    found = [verified[0].sentence] if verified else [_of_baseline(summary), _of_others(summary)]
    baseline = leading_baseline(summary)
    if baseline and baseline.is_clean and not verified and EXPOSURE_LOST in [veto.name for veto in vetoes]:
        found = [cannot_tell(baseline)]
    headline = " ".join(filter(None, [*found, left_out(vetoes)]))
    return Findings(headline, _answers(summary, vetoes), Sentences(_evidence(summary)), limits, tuple(vetoes))


def _with_interval(row: Row) -> str:
    interval = row.intervals["stalls_share"]
    if row.stalls_upper is not None:
        bound = percent(row.bounds[1])
        return f"none of {row.n:,} (under {bound} with 95 % confidence, lookups taken as independent)"
    if math.isfinite(interval.low):
        return f"{percent(row.stalls_share)} (95 % interval {percent(interval.low)} to {percent(interval.high)})"
    return percent(row.stalls_share)


def _of_baseline(summary: Summary) -> str:
    baseline = leading_baseline(summary)
    if baseline is None:
        return _without_baseline(summary)
    injected = "" if summary.fault == "none" else f"With the fault {summary.fault} injected, "
    stalls = _with_interval(baseline)
    length = f"{rounded(baseline.stall_ms / 1e3)} s"
    if baseline.stalls:
        text = f"{stalls} of baseline's lookups took {length} or more"
    elif baseline.failed:
        text = f"baseline failed in {baseline.failed:,} of {baseline.n:,} lookups and none took {length} or more"
    else:
        text = f"no baseline lookup took {length} or more: {stalls}"
    text = f"{injected}{text} on {baseline.target}"
    cause = cause_of(summary, baseline)
    return f"{text[0].upper()}{text[1:]}{f'; {cause}' if cause else ''}."


def _of_others(summary: Summary) -> str:
    baseline, others = leading_baseline(summary), leading_others(summary)
    if baseline is None or not others:
        return ""
    if baseline.is_clean:
        worse = [row for row in others if not row.is_clean]
        if worse:
            return "Of the others, " + "; ".join(how_it_fared(row) for row in worse) + "."
        return "Nor did any of the others stall or fail."
    clean = [row for row in others if row.is_clean]
    bad = [row for row in others if not row.is_clean]
    parts = []
    if clean:
        names = listed([row.variant for row in clean])
        fewest = min(row.n for row in clean)
        count = f"{fewest:,} lookups or more each" if len(clean) > 1 else f"{fewest:,} lookups"
        parts.append(f"of the others, {names} had none in {count}{_costs(clean)}")
    if bad:
        parts.append("; ".join(how_it_fared(row) for row in bad))
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _costs(rows: Sequence[Row]) -> str:
    """How the median changes: the smallest and the largest change with its configuration, if their intervals exclude
    0."""
    paid = [
        (effect.estimate, row.variant)
        for row in rows
        if (effect := row.effects.get("p50_ms")) and (effect.low > 0 or effect.high < 0)
    ]
    if not paid:
        return ""
    ends = dict.fromkeys([min(paid), max(paid)])
    span = " to ".join(f"{rounded(estimate, 2, signed=True)} ms ({name})" for estimate, name in ends)
    return f", with a median changed by {span}"


def _without_baseline(summary: Summary) -> str:
    names = list(dict.fromkeys(row.variant for row in leading_others(summary)))
    return f"No baseline was measured, only {listed(names)}." if names else "Nothing was measured."


def _answers(summary: Summary, vetoes: Sequence[Veto]) -> dict[str, str]:
    if summary.verifies and (verified := verify(summary)):
        return verification.answers(verified, summary.verifies)
    baseline = leading_baseline(summary)
    if baseline is None:
        return {"Is it happening?": f"This run cannot say. {_without_baseline(summary)}"}
    noted = [veto.name for veto in vetoes if not veto.left_out]
    given = answers(summary, baseline, leading_others(summary), noted, left_out(vetoes))
    cause = cause_of(summary, baseline)
    return {**given, "Why?": f"{str(cause)[0].upper()}{str(cause)[1:]}."} if cause else given


def _evidence(summary: Summary) -> list[str]:
    lines = [*_by_target(summary), *_of_exposed(summary), *_at_steps(summary)]
    lines += [f"{row.variant} on {row.target}: not applicable, {row.reason}." for row in summary.not_applicable]
    musl = [row for row in summary.measured() if row.libc == "musl" and row.variant == "baseline" and row.stalls]
    lines += [
        f"musl asks again after {rounded(timeout_of_stall_s(row.stall_ms))} s, so its stalls are that long: "
        f"{percent(row.stalls_share)} of lookups{f' on {row.target}' if len(musl) > 1 else ''}."
        for row in musl[:MOST_TARGETS]
    ]
    return lines


def _of_exposed(summary: Summary) -> list[str]:
    """If the cause looks like the race: the share of the lookups exposed to the race that stalled."""
    baseline = leading_baseline(summary)
    cause = cause_of(summary, baseline)
    if baseline is None or baseline.exposed_share is None or cause is None or cause.kind is not Kind.RACE:
        return []
    share, interval = percent(baseline.exposed_share), baseline.intervals["exposed_share"]
    if math.isfinite(interval.low):
        share += f" (95 % interval {percent(interval.low)} to {percent(interval.high)})"
    stalls = sum(numbers.exposed_stalls for numbers in baseline.by_round)
    exposed = sum(numbers.exposed or 0 for numbers in baseline.by_round)
    among = (
        f"with the warm-up, {stalls:,} of {exposed:,} exposed pairs (A and AAAA on one new flow) did"
        if baseline.exposed_counted is not None
        else f"of {exposed:,.0f} that opened a new flow, by a model of port reuse, {stalls:,} did"
    )
    head = f"On {baseline.target} {baseline.stalls:,} of baseline's {baseline.n:,} lookups stalled"
    return [f"{head}; {among}: {share}."]


def _at_steps(summary: Summary) -> list[str]:
    """Whether baseline's stalls ended when its resolver asks again, as after a lost packet, or at other times."""
    baseline = leading_baseline(summary)
    if baseline is None or not baseline.stall_step_s or baseline.stalls_at is None or baseline.stalls < MIN_STALLS:
        return []
    step_s, counts = baseline.stall_step_s, baseline.stalls_at
    most = sorted(counts, key=lambda step: counts[step], reverse=True)[:MOST_STEPS]
    ended = {f"at {step} s": n for step, n in counts.items() if step in most}
    ended["at other multiples"] = sum(n for step, n in counts.items() if step not in most)
    ended["elsewhere"] = baseline.stalls_elsewhere or 0
    (first, share), *rest = [(when, n / baseline.stalls) for when, n in ended.items() if n]
    shares = [f"{percent(share)} ended {first}", *(f"{percent(other)} {when}" for when, other in rest)]
    late = "; elsewhere it waited, as for a slow answer" if baseline.stalls_elsewhere else ""
    near_s = STEP_TOLERANCE * step_s
    return [
        f"Of baseline's stalls on {baseline.target}, {', '.join(shares)}, to within {rounded(near_s)} s. At multiples "
        f"of {rounded(step_s)} s, where {percent(2 * STEP_TOLERANCE)} would end by chance, the resolver asks again, as "
        f"after a lost packet{late}."
    ]


def _by_target(summary: Summary) -> list[str]:
    """How baseline did on each target, the worst first, since a cause may be on one node only."""
    rows = sorted(baselines(summary), key=lambda row: row.stalls_share + row.failed_share, reverse=True)
    if len(rows) < 2:
        return []
    bad = [row for row in rows if not row.is_clean]
    if not bad:
        return [f"On none of {len(rows)} targets did baseline stall or fail."]
    worst = [
        f"{row.target} {percent(row.stalls_share)}" + (f" ({row.failed:,} failed)" if row.failed else "") for row in bad
    ]
    n_clean = len(rows) - len(bad)
    rest = f"; on the other {n_clean} none" if n_clean else ""
    return [f"Baseline stalled on {len(bad)} of {len(rows)} targets: {first_of(worst, MOST_TARGETS)}{rest}."]


def _detectable(summary: Summary) -> list[str]:
    """The smallest share of stalls, and the smallest difference, that this run would have shown."""
    baseline = leading_baseline(summary)
    compared = [row for row in summary.measured(load=0) if row.effects]
    if baseline is None or not baseline.n or 0 in summary.closed_loops:
        return []
    least = power.share_for_one(baseline.n, POWER, baseline.spread)
    text = f"A share of {percent(least)} would have shown as one stall or more in {POWER:.0%} of such runs"
    size = power.Size(baseline.rounds, baseline.n / max(1, baseline.rounds), len(compared), baseline.spread)
    share = power.detectable_difference(size, POWER) if compared else None
    if share is not None:
        text += f", one of {percent(share)} as a difference from a configuration that never stalls"
    return [f"{text}."]


def _few_events(summary: Summary) -> list[str]:
    """Rows whose stalls came together in few rounds, so that their intervals may be too narrow."""
    paced = [row for row in summary.measured() if row.load not in summary.closed_loops]
    few = [row for row in paced if row.spread > 1 and 0 < row.stalls < FEW_EVENTS * row.spread]
    if not few:
        return []
    names = [f"{row.variant} on {row.target} ({row.stalls:,})" for row in few]
    return [
        f"Stalls of {first_of(names, MOST_TARGETS)} came unevenly over the rounds and are worth fewer than "
        f"{FEW_EVENTS} independent ones: such an interval may end too low."
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
    elif summary.backend in IN_CLUSTER:
        lines.append("The cluster's nodes and DNS servers are shared with all else that runs there.")
    if summary.unknown_names:
        lines.append(
            f"Before the run nothing, or an error, was answered for {first_of(summary.unknown_names, MOST_TARGETS)}. "
            "What it should resolve to is not known, so any address counts as an answer; --expect says what is right."
        )
    lines += [f"Measured in pods that are like the workload's, but for this: {line}." for line in summary.not_copied]
    if summary.closed_loops:
        lines.append(
            "A closed loop shows throughput and maximum only: a worker in a stall asks nothing, so shares and "
            "quantiles count workers rather than faults, and no effects are given."
        )
    lines += [*_detectable(summary), *_few_events(summary)]
    lines.append("Intervals hold for runs like this one: same machines, same load, same hour.")
    return lines
