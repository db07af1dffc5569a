"""The answer in words: what stalls, which configuration does not, what it costs, and what the run cannot show.

The same numbers give a headline, an answer to each question for a reader in a hurry, and the causes. An injected fault
is named because the plan names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dnslab.analyse import power
from dnslab.analyse.summary import Row, Summary
from dnslab.explain import verification
from dnslab.explain.answers import (
    Answer,
    baselines,
    leading_baseline,
    leading_others,
    what_helps,
    what_it_costs,
    what_spares,
)
from dnslab.explain.circumstances import NOT_KNOWN, Circumstances
from dnslab.explain.diagnosis import Diagnosis, diagnose
from dnslab.explain.evidence import Confidence
from dnslab.explain.soundness import Examined
from dnslab.explain.validity import voids
from dnslab.explain.verdict import Verdict, judge, own_load_matters
from dnslab.explain.verification import verify
from dnslab.explain.veto import VOID, Veto, left_out
from dnslab.plan.backends import IN_CLUSTER
from dnslab.plan.faultplan import fault_names
from dnslab.plan.stalls import timeout_of_stall_s
from dnslab.sentences import remedies, trust, verdict, why
from dnslab.text import as_html, as_output, first_of, listed, none_of, rounded, share_text, share_with_bounds, span_of

if TYPE_CHECKING:
    import pandas as pd

#: how often what a run "would have shown" shows
POWER = 0.9
#: causes that fit beside the first, named one by one
MOST_CAUSES = 3
#: targets, or rows, named one by one
MOST_TARGETS = 6
#: events (stalls, over how many come together) from which on intervals cover as they say: of fewer, where rounds differ
#: five times as much as independent lookups make them, in 85 % to 93 % (docs/calibration.md)
FEW_EVENTS = 10


class Sentences(tuple[str, ...]):
    """Sentences, which a notebook shows as a list."""

    def _repr_html_(self) -> str:
        return as_output(f"<ul>{''.join(f'<li>{as_html(line)}</li>' for line in self)}</ul>" if self else "")


@dataclass(frozen=True)
class Limit:
    """Something to bear in mind: a title of a few words, and the sentence. ``noted`` ones stand among the checks."""

    title: str
    sentence: str
    noted: bool = False


@dataclass(frozen=True)
class Findings:
    """The answer: the ``verdict``, ``answers`` by the question that each answers (empty when void), the ``diagnosis``,
    ``evidence``, what to bear in mind, the vetoes, the fault that the lab injected (``"none"`` for none), and what was
    known of the circumstances."""

    verdict: Verdict
    answers: Mapping[str, Answer]
    diagnosis: Diagnosis
    evidence: Sentences
    bear_in_mind: tuple[Limit, ...]
    vetoes: tuple[Veto, ...]
    fault: str = "none"
    seen: Circumstances = NOT_KNOWN

    @property
    def headline(self) -> str:
        """The answer in a few sentences."""
        emulated = "" if self.fault == "none" else f"{verdict.INJECTED(fault=self.fault)}."
        if not self.void:
            said = self.verdict.lead if self.verdict.state == "verified" else str(self.verdict)
            return " ".join(filter(None, [said, *map(str, self.diagnosis.causes[:1]), emulated, left_out(self.vetoes)]))
        reasons = " ".join(dict.fromkeys(veto.reason for veto in voids(self.vetoes)[:3]))
        return " ".join(filter(None, [f"{VOID} {reasons}", emulated]))

    @property
    def limits(self) -> Sentences:
        """What the run cannot show."""
        return Sentences(limit.sentence for limit in self.bear_in_mind)

    @property
    def void(self) -> bool:
        """Whether a veto empties the headline."""
        return bool(voids(self.vetoes))

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON, described in docs/summary.md."""
        return {
            "headline": self.headline,
            "state": self.verdict.state,
            "answers": dict(self.answers),
            "causes": [{**asdict(cause), "confidence": cause.word} for cause in self.diagnosis.causes],
            "evidence": list(self.evidence),
            "limits": list(self.limits),
            "vetoes": [veto.to_dict() for veto in self.vetoes],
            "void": self.void,
        }

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


def findings_of(examined: Examined, arms: pd.DataFrame | None = None) -> Findings:
    """What a run shows, in words: page, terminal and documents all conclude by this, and so say the same.

    Parameters
    ----------
    examined
        The sound part of a run, as ``examine`` gives it.
    arms
        Raw queries that were sent beside it (``analyse.arms.arm_frame``), if there are any.

    Returns
    -------
    Findings
        The verdict, the answers, the causes with their evidence, the limits, and what is noted or void.
    """
    return conclude(examined.summary, examined.vetoes, Circumstances.of(examined.run, examined.summary, arms))


def conclude(summary: Summary, vetoes: Sequence[Veto], seen: Circumstances = NOT_KNOWN) -> Findings:
    """Findings of ``summary``; a veto of severity ``void`` empties the answers.

    Both as ``soundness.examine`` gives them: the verdict says what was left out, and nothing else speaks of that.
    How sure a cause is depends on ``seen``: where the run is at hand, ``findings_of`` reads it from there.
    """
    diagnosis = Diagnosis() if summary.verifies or voids(vetoes) else diagnose(summary, seen)
    judged = judge(summary, vetoes, diagnosis)
    limits = tuple(_limits(summary, diagnosis))
    if voids(vetoes):
        return Findings(judged, {}, Diagnosis(), Sentences(), limits, tuple(vetoes), summary.fault, seen)
    evidence = Sentences(_evidence(summary, diagnosis))
    answers = _answers(summary, vetoes, judged, diagnosis)
    return Findings(judged, answers, diagnosis, evidence, limits, tuple(vetoes), summary.fault, seen)


def _answers(summary: Summary, vetoes: Sequence[Veto], judged: Verdict, diagnosis: Diagnosis) -> dict[str, Answer]:
    if summary.verifies and (verified := verify(summary)):
        suffered = verification.Suffered(summary.verifies, summary.limit_ms)
        return {question: Answer("", text) for question, text in verification.answers(verified, suffered).items()}
    baseline, others = leading_baseline(summary), leading_others(summary)
    happening = {"Is it happening?": Answer(judged.title, judged.lead)}
    if baseline is None:
        return happening
    noted = [veto.name for veto in vetoes if not veto.left_out]
    parts = [judged.more[0] if judged.more else "", left_out(vetoes), f"Noted: {', '.join(noted)}." if noted else ""]
    given = {**happening, "How sure?": Answer("", " ".join(filter(None, parts)))}
    if diagnosis.causes:
        cause = diagnosis.causes[0]
        claims = " ".join(evidence.claim for evidence in cause.evidence_for[:2])
        likely = "" if cause.confidence is Confidence.NOT_SHOWN else f"{cause.word}."
        given["Why?"] = Answer(cause.name, " ".join(filter(None, [likely, claims, _fits_too(diagnosis)])))
    tested = what_spares(judged.state, baseline, others) or what_helps(summary, baseline, others)
    given["What helps?"] = _what_helps(diagnosis, baseline, tested, in_lab=summary.backend == "lab")
    given["What does it cost?"] = what_it_costs(summary, baseline, others)
    return given


def _fits_too(diagnosis: Diagnosis) -> str:
    """Beside the first cause, which others fit what was seen: at most likely, it may be another."""
    cause = diagnosis.causes[0]
    if cause.emulated or cause.confidence is Confidence.SHOWN or diagnosis.ranking is None:
        return ""
    mechanism = next((one for one in diagnosis.ranking.found if one.mechanism.name == cause.mechanism), None)
    if mechanism is None or cause.kind == cause.mechanism:  # a mechanism lists its causes itself
        return ""
    others = [f"“{one.text.title}”" for one in mechanism.possible if one.name != cause.kind]
    return why.FITS_TOO(causes=first_of(others, MOST_CAUSES)) if others else ""


def _what_helps(diagnosis: Diagnosis, baseline: Row, tested: Answer, *, in_lab: bool) -> Answer:
    """What helps by the configurations that were tested; or by the cause, where none of them clears it, or where
    baseline neither stalls nor fails. Where a lab was measured, nothing is to be changed there."""
    cause = diagnosis.leading
    fine = baseline.is_clean and not baseline.slow
    if cause is None or cause.emulated or not (fine or tested.short == str(remedies.NOTHING_CLEARS)):
        return tested
    nothing_to_fix = tested.short == str(remedies.NOTHING_TO_FIX)
    if cause.remedy:
        first = "" if nothing_to_fix else tested.detail or f"{tested.short}."
        return Answer(cause.remedy.change, " ".join(filter(None, [first, "" if in_lab else cause.remedy.detail])))
    return Answer(str(why.REMEDY_OPEN), cause.summary) if nothing_to_fix else tested


def _evidence(summary: Summary, diagnosis: Diagnosis) -> list[str]:
    lines = [
        f"{evidence.claim} {evidence.detail}".strip() for cause in diagnosis.causes for evidence in cause.evidence_for
    ]
    lines += _by_target(summary)
    lines += [f"{row.variant} on {row.target}: not applicable, {row.reason}." for row in summary.not_applicable]
    musl = [row for row in summary.measured() if row.libc == "musl" and row.variant == "baseline" and row.stalls]
    lines += [
        why.MUSL_SHORTER(
            target=row.target,
            share=share_with_bounds(row.intervals["stalls_share"]),
            step=span_of(timeout_of_stall_s(row.stall_ms)),
        )
        for row in musl[:MOST_TARGETS]
    ]
    return lines


def _by_target(summary: Summary) -> list[str]:
    """How baseline did on each target, the worst first, since a cause may be on one node only."""
    rows = sorted(baselines(summary), key=lambda row: row.stalls_share + row.failed_share, reverse=True)
    if len(rows) < 2:
        return []
    bad = [row for row in rows if not row.is_clean]
    if not bad:
        return [why.NO_TARGET_BAD(n=str(len(rows)))]
    worst = first_of([f"{row.target} {_bad_shares(row)}" for row in bad], MOST_TARGETS)
    return [why.TARGETS_BAD(bad=str(len(bad)), n=str(len(rows)), worst=worst)]


def _bad_shares(row: Row) -> str:
    failed = f" ({share_text(row.intervals['failed_share'])} failed)" if row.failed else ""
    if row.stalls_upper is not None:
        return f"{none_of(row.n, row.stalls_upper)}{failed}"
    return f"{share_text(row.intervals['stalls_share'])}{failed}"


def _limits(summary: Summary, diagnosis: Diagnosis) -> list[Limit]:
    """What to bear in mind, the most important first."""
    lines = [*_of_backend(summary)]
    if own_load_matters(summary, diagnosis):
        lines.insert(0, Limit(str(trust.OWN_LOAD), str(trust.OWN_LOAD_SAID), True))
    if summary.unknown_names:
        names = first_of(summary.unknown_names, MOST_TARGETS)
        lines.append(Limit(str(trust.UNKNOWN_NAMES_TITLE), trust.UNKNOWN_NAMES(names=names), True))
    if summary.not_copied:
        lines.append(Limit(str(trust.NOT_COPIED), f"{listed(summary.not_copied)}.", True))
    if summary.closed_loops:
        lines.append(Limit(str(trust.CLOSED_LOOP), str(trust.CLOSED_LOOP_SAID), True))
    lines += [*_detectable(summary), *_few_events(summary)]
    return [*lines, Limit("", str(trust.REPEATS))]


def _of_backend(summary: Summary) -> list[Limit]:
    lines = []
    faults = set(fault_names(summary.fault))
    if "race" in faults:
        lines.append(Limit(str(trust.EMULATED), str(trust.EMULATED_RACE), True))
    if faults - {"race", "none"}:
        lines.append(Limit(str(trust.EMULATED), trust.EMULATED_OTHER(fault=summary.fault), True))
    if summary.backend == "lab":
        lines.append(Limit(str(trust.LAB), str(trust.LAB_SAID), True))
    elif summary.backend == "local":
        lines.append(Limit(str(trust.LOCAL), str(trust.LOCAL_SAID), True))
    elif summary.backend in IN_CLUSTER:
        lines.append(Limit(str(trust.CLUSTER), str(trust.CLUSTER_SAID), True))
    return lines


def _detectable(summary: Summary) -> list[Limit]:
    """The smallest share of stalls, and the smallest difference, that this run would have shown."""
    baseline = leading_baseline(summary)
    compared = [row for row in summary.measured(load=0) if row.effects]
    if baseline is None or not baseline.n or 0 in summary.closed_loops:
        return []
    least = power.share_for_one(baseline.n, POWER, baseline.spread)
    text = trust.DETECTABLE_STALL(share=f"{rounded(100 * least, 1)} %")
    size = power.Size(baseline.rounds, baseline.n / max(1, baseline.rounds), len(compared), baseline.spread)
    share = power.detectable_difference(size, POWER) if compared else None
    if share is not None:
        text += f" {trust.DETECTABLE_DIFFERENCE(share=f'{rounded(100 * share, 1)} %')}"
    return [Limit(str(trust.DETECTABLE), text)]


def _few_events(summary: Summary) -> list[Limit]:
    """Rows whose stalls came together in few rounds, so that their intervals may be too narrow."""
    paced = [row for row in summary.measured() if row.load not in summary.closed_loops]
    few = [row for row in paced if row.spread > 1 and 0 < row.stalls < FEW_EVENTS * row.spread]
    if not few:
        return []
    names = first_of([f"{row.variant} on {row.target} ({row.stalls:,})" for row in few], MOST_TARGETS)
    return [Limit(str(trust.FEW_EVENTS), trust.FEW_EVENTS_SAID(names=names), True)]
