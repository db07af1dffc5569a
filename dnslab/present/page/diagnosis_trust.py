"""Can you trust this diagnosis: what went wrong while it asked, and what it looked at; and its details."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from dnslab.explain.checks import passed
from dnslab.explain.diagnosed import Diagnosed
from dnslab.explain.findings import Findings
from dnslab.explain.ladder import Answer
from dnslab.explain.soundness import Examined
from dnslab.explain.tables import against_baseline, by_configuration
from dnslab.explain.validity import voids
from dnslab.plan.arms import CONTROL
from dnslab.plan.backends import BackendName
from dnslab.present.page.diagnosis_arms import first_sentence
from dnslab.present.page.diagnosis_why import ruled_out
from dnslab.present.page.trust import GLOSSARY, environment
from dnslab.present.page.view import Detail, Fact, Item, Trust
from dnslab.sentences import Sentence, diagnosis as said, pictures, trust as checks
from dnslab.text import Table, counted, duration, lowered, rounded

_PLACES: Mapping[BackendName, tuple[Sentence, Sentence]] = {
    "lab": (checks.LAB, checks.LAB_SAID),
    "local": (checks.LOCAL, checks.LOCAL_SAID),
    "kubernetes": (checks.CLUSTER, checks.CLUSTER_SAID),
}
#: words of the usual glossary that this page does not use
_NOT_HERE = ("Round",)


def diagnosis_trust(diagnosed: Diagnosed, examined: Examined | None, findings: Findings | None) -> Trust:
    """The checks. ``examined`` and ``findings`` are of the lookups of the C library, if there are any."""
    noted = [*_noted(diagnosed.answer), *limits(diagnosed)]
    good = list(_passed(diagnosed.answer))
    if examined and findings:
        noted += _of_lookups(findings)
        if not findings.void:
            good += [
                Item("check", "good", said.OF_LIBC(title=lowered(check.name)), check.said)
                for check in passed(examined.run, examined.summary, examined.vetoes)
            ]
    return Trust(str(said.TRUST_HEADING), str(said.TRUST_HEAD), list(_failed(diagnosed.answer)), noted, good)


def _failed(answer: Answer) -> Iterator[Item]:
    for rung in answer.rungs:
        if rung.problem:
            yield Item("x", "bad", str(said.NOT_WHOLE), f"{rung.rung}: {rung.problem}")


def _noted(answer: Answer) -> Iterator[Item]:
    n, late, unsent = (sum(_count(seen.counts, seen.n, what) for seen in answer.arms) for what in _SENT)
    if any("sent late" in seen.words for seen in answer.arms):
        more = said.NOT_ON_TIME_MORE(late=f"{late:,}", n=counted(n, "query", "queries"))
        yield Item("minus", "warn", str(said.NOT_ON_TIME), more)
    if unsent:
        more = said.NO_SOCKETS_MORE(unsent=counted(unsent, "query", "queries"))
        yield Item("minus", "warn", str(said.NO_SOCKETS), more)
    if answer.places.missing and answer.seconds:
        why = answer.places.missing.rstrip(".")
        yield Item("minus", "warn", str(said.EACH_SERVER), f"{why[:1].upper()}{why[1:]}.")


_SENT = ("n", "late_sent", "unsent")


def _count(counts: Mapping[str, int], n: int, what: str) -> int:
    return n if what == "n" else counts[what]


def limits(diagnosed: Diagnosed) -> Iterator[Item]:
    """What to bear in mind about where it was made."""
    plan = diagnosed.runs[0].plan
    if str(plan.fault) != "none":
        yield Item("minus", "warn", str(checks.EMULATED), checks.EMULATED_OTHER(fault=str(plan.fault)))
    title, more = _PLACES[plan.backend]
    yield Item("minus", "warn", str(title), str(more))


def _of_lookups(findings: Findings) -> Iterator[Item]:
    if findings.void:
        reasons = " ".join(veto.reason for veto in voids(findings.vetoes)[:2])
        yield Item("minus", "warn", str(said.LIBC_VOID), f"{reasons} {said.LIBC_VOID_MORE}")
        return
    for veto in findings.vetoes:
        name = lowered(veto.name[:1].upper() + veto.name[1:])
        yield Item("minus", "warn", said.OF_LIBC(title=name), f"{veto.details.rstrip('.')}. {veto.advice}")


def _passed(answer: Answer) -> Iterator[Item]:
    if not any(rung.problem for rung in answer.rungs):
        n = counted(len(answer.rungs), "rung")
        yield Item("check", "good", str(said.WHOLE), said.WHOLE_SAID(rungs=n))
    if not answer.arms:
        return
    n_sent, late, unsent = (sum(_count(seen.counts, seen.n, what) for seen in answer.arms) for what in _SENT)
    if not any("sent late" in seen.words for seen in answer.arms):
        more = said.ON_TIME_SAID(late=f"{late:,}", n=counted(n_sent, "query", "queries"))
        yield Item("check", "good", str(said.ON_TIME), more)
    if not unsent:
        yield Item("check", "good", str(said.SOCKETS), str(said.SOCKETS_SAID))
    for seen in answer.arms:
        if seen.arm == CONTROL:
            lost = f"{seen.counts['unanswered']:,}" if seen.counts["unanswered"] else "none"
            more = said.CONTROL_SAID(n=counted(seen.n, "query", "queries"), lost=lost)
            yield Item("check", "good", str(said.CONTROL), more)


def diagnosis_details(diagnosed: Diagnosed, examined: Examined | None, findings: Findings | None) -> list[Detail]:
    """What unfolds at the end."""
    answer = diagnosed.answer
    n_queries = counted(sum(seen.n for seen in answer.arms), "query", "queries")
    found = [Detail(str(said.DETAIL_ARMS), n_queries, [diagnosed.arm_table()] if answer.arms else [])]
    if examined and findings:
        tables = [by_configuration(examined.summary), against_baseline(examined.summary)]
        note = str(pictures.NOT_A_RESULT) if findings.void else ""
        found.append(Detail(str(said.DETAIL_LIBC), note, [table for table in tables if len(table.frame)]))
    n_rungs = counted(len(answer.rungs), "rung")
    titles = [f"{title.rstrip('.')}." for title in ruled_out(answer)]
    found += [
        Detail(str(said.DETAIL_RUNGS), n_rungs, [_rung_table(answer)]),
        Detail(str(said.DETAIL_RULED_OUT), f"{len(titles)}", lines=titles),
        Detail(str(said.METHOD), "", lines=list(_method(diagnosed))),
        Detail("Environment", "", facts=_environment(diagnosed)),
        Detail("Glossary", "", facts=[*_GLOSSARY, *(fact for fact in GLOSSARY if fact.term not in _NOT_HERE)]),
    ]
    return [detail for detail in found if detail.tables or detail.lines or detail.facts]


def _rung_table(answer: Answer) -> Table:
    rows = [
        {
            "rung": rung.rung,
            "folder": rung.path,
            "took": duration(rung.seconds),
            "load": duration(rung.load_s),
            "queries/s for each server": rounded(rung.per_server_per_s, 2),
            "targets": f"{rung.n_targets:,}",
            "ended early": first_sentence(rung.problem) or "-",
        }
        for rung in answer.rungs
    ]
    return Table(pd.DataFrame(rows), str(said.RUNGS_TABLE))


def _method(diagnosed: Diagnosed) -> Iterator[str]:
    yield str(said.METHOD_RUNGS)
    if diagnosed.answer.arms:
        yield from map(str, (said.METHOD_ARMS, said.METHOD_LOST, said.METHOD_INTERVALS, said.METHOD_CHANCE))
    if diagnosed.libc:
        yield from map(str, (pictures.METHOD_FAILED, pictures.METHOD_INTERVALS, pictures.METHOD_VERDICTS))
    if str(diagnosed.runs[0].plan.fault) != "none":
        yield str(said.METHOD_BLIND)


def _environment(diagnosed: Diagnosed) -> list[Fact]:
    """What holds for all rungs; what each of them has by itself stands in the table of rungs."""
    own = ("Run", "Load", "Schedule", "Started", "Took")
    facts = [fact for fact in environment(diagnosed.runs[0]) if fact.term not in own]
    places = diagnosed.answer.places
    addresses = ", ".join((*places.services, *places.endpoints))
    return [*facts, *([Fact(str(said.ADDRESSES), addresses)] if addresses else [])]


_GLOSSARY = [
    Fact("Raw query", str(said.G_RAW)),
    Fact("Arm", str(said.G_ARM)),
    Fact("Rung", str(said.G_RUNG)),
    Fact("Control", str(said.G_CONTROL)),
    Fact("Flow", str(said.G_FLOW)),
    Fact("Shown, likely", str(said.G_SHOWN)),
]
