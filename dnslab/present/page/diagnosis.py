"""The page of a diagnosis: the answer first, then why, what each kind of query showed, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dnslab.analyse.facts import began
from dnslab.analyse.intervals import upper_bound_when_none
from dnslab.explain.arms import usual_way
from dnslab.explain.diagnosed import Diagnosed
from dnslab.explain.findings import Findings, findings_of
from dnslab.explain.ladder import Answer
from dnslab.explain.soundness import Examined, examine
from dnslab.present.page.context import Context
from dnslab.present.page.diagnosis_arms import COUNTS, arms, first_sentence
from dnslab.present.page.diagnosis_now import diagnosis_now, in_short, leading
from dnslab.present.page.diagnosis_telling import strip, telling_sentences
from dnslab.present.page.diagnosis_trust import diagnosis_details, diagnosis_trust
from dnslab.present.page.diagnosis_why import FOUND, MOST_CAUSES, confidence_of, diagnosis_why, is_open
from dnslab.present.page.helps import helps
from dnslab.present.page.hero import ICONS, badge, fault, place, where
from dnslab.present.page.view import Fact, Glance, Hero, Link, Now, Page, Trust
from dnslab.present.page.when import when
from dnslab.sentences import Sentence, diagnosis as said, ladder, pictures, remedies, trust as checks, verdict
from dnslab.text import counted, duration, fewer_than, first_of, listed, lowered, rounded


@dataclass(frozen=True)
class _Shown:
    """A diagnosis as the page sees it, with the lookups of the C library if the ladder came to them."""

    diagnosed: Diagnosed

    @property
    def answer(self) -> Answer:
        return self.diagnosed.answer

    @cached_property
    def examined(self) -> Examined | None:
        return examine(self.diagnosed.libc) if self.diagnosed.libc else None

    @cached_property
    def findings(self) -> Findings | None:
        return findings_of(self.examined, usual_way(self.diagnosed.arms)) if self.examined else None

    @cached_property
    def context(self) -> Context | None:
        """That of the lookups, if they are sound."""
        if not self.examined or not self.findings or self.findings.void:
            return None
        return Context(self.examined.run, self.examined.summary, self.findings)


def diagnosis_view(diagnosed: Diagnosed) -> Page:
    """All that the page of a diagnosis shows."""
    shown = _Shown(diagnosed)
    run, context = diagnosed.runs[0], shown.context
    trust = diagnosis_trust(diagnosed, shown.examined, shown.findings)
    now = diagnosis_now(diagnosed)
    top = _hero(shown)
    several = context and len({row.target for row in context.summary.measured(load=0)}) > 1
    return Page(
        title=f"dnslab: {top.title.lower()}, {diagnosed.path.name}",
        run=", ".join(filter(None, ["diagnosis", began(run.environment).partition(",")[0]])),
        hero=top,
        glances=list(_glances(shown, now, trust)),
        why=diagnosis_why(shown.answer, run.plan.backend),
        arms=arms(shown.answer),
        helps=helps(context) if context else None,
        now=now,
        tails=None,
        when=when(context) if context and several else None,
        trust=trust,
        void=False,
        details_heading=str(pictures.DETAILS_HEADING),
        details_intro=str(said.DETAILS_HEAD),
        details=diagnosis_details(diagnosed, shown.examined, shown.findings),
        footer=pictures.MADE_BY(version=str(run.environment.dnslab or "")),
    )


def _hero(shown: _Shown) -> Hero:
    run, answer = shown.diagnosed.runs[0], shown.answer
    title, tone = _title(answer)
    return Hero(
        place=place(run),
        tone=tone,
        icon=ICONS[tone],
        title=str(title),
        lead=_lead(answer),
        more=" ".join(_more(shown)),
        way=Link("now", str(said.STILL_HEADING if answer.status == "nothing found" else remedies.NOW_HEADING)),
        badge=badge(run),
        strip=strip(answer),
        facts=_facts(shown),
    )


def _more(shown: _Shown) -> Iterator[str]:
    """What follows the lead: the number that tells, and what limits the answer."""
    answer = shown.answer
    told = [*telling_sentences(answer), *([answer.where] if answer.where else [])]
    if answer.waited and answer.waited.fired:
        yield answer.waited.line
    if answer.stopped_by and answer.status != "stopped":
        yield ladder.STOPPED(why=first_sentence(answer.stopped_by))
    yield from told
    if answer.trouble and shown.context:
        verdict = shown.context.findings.verdict
        if verdict.tone == "bad":
            yield said.FELT(lead=verdict.lead)
        if not told:
            yield from verdict.more[:1]
    n, lost = sum(seen.n for seen in answer.arms), sum(seen.counts["lost"] for seen in answer.arms)
    if answer.status == "nothing found" and n and not lost:
        yield said.AT_MOST(fewer=fewer_than(upper_bound_when_none(n), "query"))
    elif answer.status in ("stopped", "insufficient data") and n and not answer.trouble:
        yield "".join(_nothing(answer))
    if answer.following and answer.status != "nothing found":
        yield said.NEXT_WOULD(separates=_separates(answer.following))


def _title(answer: Answer) -> tuple[Sentence, str]:
    if answer.status == "cause":
        cause = answer.causes[0]
        if is_open(cause):
            return said.OPEN_TITLE, "bad"
        return (said.SHOWN_TITLE if cause.word == "shown" else said.LIKELY_TITLE), "bad"
    titles = {
        "two causes": (said.TWO_TITLE, "bad"),
        "nothing found": (said.NOTHING_TITLE, "good"),
        "none fits": (said.NONE_FITS_TITLE, "bad"),
        "insufficient data": (said.INSUFFICIENT_TITLE, "warn"),
        "stopped": (said.STOPPED_TITLE, "warn"),
    }
    return titles[answer.status]


def _lead(answer: Answer) -> tuple[str, str, str]:
    """One sentence in three parts, the middle one with emphasis."""
    titles = [cause.title.rstrip(".") for cause in answer.causes[:2]]
    match answer.status:
        case "cause":
            lead = said.LEAD(title=titles[0])
        case "two causes":
            lead = said.LEAD_TWO(first=titles[0], second=lowered(titles[1]))
        case "nothing found":
            return _nothing(answer)
        case "none fits":
            lead = str(said.LEAD_NONE_FITS)
        case "stopped":
            why = first_sentence(answer.stopped_by)
            lead = said.LEAD_STOPPED(why=f"{why[:1].upper()}{why[1:]}")
        case _:
            in_time = answer.following and answer.budget_s
            lead = said.LEAD_BUDGET(time=duration(answer.budget_s or 0)) if in_time else str(said.LEAD_INSUFFICIENT)
    return ("", lead, "") if titles and answer.status in FOUND else (lead, "", "")


def _nothing(answer: Answer) -> tuple[str, str, str]:
    rows = answer.arms
    n = counted(sum(seen.n for seen in rows), "query", "queries")
    bad = [f"{k:,} {count.did}" for count in COUNTS if count.column != "truncated" and (k := sum(map(count.of, rows)))]
    if bad:
        lead = said.LEAD_NOTHING_BUT(queries=n, bad=listed(bad))
        return lead, "", ""
    before, strong, after = said.LEAD_NOTHING(queries=n).partition(n)
    return before, strong, after


def _separates(rung: str) -> str:
    return str(getattr(ladder, f"SEPARATES_{rung.upper()}"))


def _facts(shown: _Shown) -> list[Fact]:
    run, answer = shown.diagnosed.runs[0], shown.answer
    summary = shown.examined.summary if shown.examined else None
    n_lookups = sum(row.n for row in summary.measured()) if summary else 0
    n_queries = sum(seen.n for seen in answer.arms)
    measured = [
        *([counted(n_queries, "query", "queries")] if n_queries else []),
        *([counted(n_lookups, "lookup")] if n_lookups else []),
    ]
    rate = max((rung.per_server_per_s for rung in answer.rungs), default=0.0)
    took = verdict.TOOK(span=duration(answer.seconds)) if answer.seconds else ""
    libcs = dict.fromkeys(
        f"{target.libc} {target.libc_version}".strip()
        for target in run.targets
        if target.name in {client.target for client in run.clients()}
    )
    facts = [
        Fact("Where", where(run)),
        Fact("When", ", ".join(filter(None, [began(run.environment), took])) or str(verdict.NOT_KNOWN)),
        Fact("Measured", f"{listed(measured) if measured else 'nothing'} in {counted(len(answer.rungs), 'rung')}"),
        Fact("Rate", said.AT_MOST_RATE(rate=rounded(rate, 2))),
        Fact("Waited", duration(answer.waited.seconds) if answer.waited else ""),
        Fact("Fault", fault(run)),
        Fact("Name" if len(run.plan.names) == 1 else "Names", first_of(run.plan.names, 2), code=True),
        Fact("C library", first_of(list(libcs), 3)),
        Fact("Made with", f"dnslab {run.environment.dnslab}" if run.environment.dnslab else ""),
    ]
    return [fact for fact in facts if fact.text]


def _glances(shown: _Shown, now: Now, trust: Trust) -> Iterator[Glance]:
    found = leading(shown.diagnosed)
    if found:
        short = str(said.TWO_TITLE) if len(found) > 1 else found[0].title.rstrip(".")
        yield Glance("why", str(said.WHAT_Q), short, " ".join(cause.summary for cause in found))
    yield Glance("why", str(said.SURE_Q), *_sure(shown.answer))
    yield Glance("now", str(said.DO_Q), *in_short(shown.diagnosed, now))
    yield _trust_glance(trust)


_SURE = {
    "none fits": said.SURE_NONE_FITS,
    "insufficient data": said.SURE_NOT,
    "stopped": said.SURE_STOPPED,
}


def _sure(answer: Answer) -> tuple[str, str]:
    """How sure, in a word, and what that word means."""
    if answer.status == "two causes":
        first, second = (confidence_of(cause).word for cause in answer.causes[:2])
        return (first if first == second else said.BOTH(first=first, second=lowered(second))), str(said.SURE_TWO)
    if answer.status == "cause":
        confidence = confidence_of(answer.causes[0])
        meaning = said.SURE_SHOWN if answer.causes[0].word == "shown" else said.SURE_LIKELY
        if is_open(answer.causes[0]):
            meaning = said.SURE_OPEN
        return confidence.word, str(meaning)
    if answer.status == "nothing found":
        return str(said.SURE_NOTHING), ladder.NOT_TESTED(what=listed(list(answer.not_tested)))
    left = [f"“{cause.title.rstrip('.')}”" for cause in answer.causes[:MOST_CAUSES]]
    return str(_SURE[answer.status]), said.STILL_POSSIBLE(causes=listed(left)) if left else ""


def _trust_glance(trust: Trust) -> Glance:
    n_passed, n_failed = len(trust.passed), len(trust.failed)
    notes = "; ".join(lowered(item.title) for item in trust.noted)
    detail = checks.BEAR_IN_MIND(notes=notes) if notes else ""
    if n_failed:
        short = checks.SOME_FAILED(n=counted(n_failed, "check"))
    elif str(said.LIBC_VOID) in [item.title for item in trust.noted]:
        short = checks.SOME_NOTED(n=counted(n_passed, "check"), noted="1")
    else:
        short = checks.ALL_PASSED(n=counted(n_passed, "check"))
    return Glance("trust", str(said.TRUST_Q), short, detail)
