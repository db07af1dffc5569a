"""What the errors of baseline's lookups say of where to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnslab.analyse.summary import Row
from dnslab.explain.answers import leading_others
from dnslab.explain.evidence import Evidence, Told
from dnslab.sentences import Sentence, signs, why
from dnslab.text import counted, listed

#: errors named one by one
MOST_ERRORS = 4
#: what an error says of where to look
_ERRORS = {
    "EAI_AGAIN": why.ERROR_AGAIN,
    "EAI_NONAME": why.ERROR_NO_NAME,
    "NXDOMAIN": why.ERROR_NO_NAME,
    "EAI_NODATA": why.ERROR_NO_DATA,
    "EAI_FAIL": why.ERROR_FAIL,
    "SERVFAIL": why.ERROR_FAIL,
    "REFUSED": why.ERROR_FAIL,
    "abandoned": why.ERROR_GIVEN_UP,
    "no answer": why.ERROR_GIVEN_UP,
}


def error_evidence(of: Told) -> Iterator[Evidence]:
    """One for each error, and for each family of addresses that was missing."""
    baseline, observed = of.baseline, of.seen.observed
    numbers = observed.asked if observed else None
    for name, n in of.seen.errors[:MOST_ERRORS]:
        meaning = str(_meaning(name, baseline))
        yield Evidence(why.FAILED_WITH(n=counted(n, "lookup"), meaning=meaning, error=name))
    lookups = counted(baseline.n, "lookup")
    families = ((numbers.only_aaaa, signs.ONLY_AAAA), (numbers.only_a, signs.ONLY_A)) if numbers else ()
    for missing, sentence in families:
        if missing:
            yield Evidence(sentence(seen=f"{missing:,}", lookups=lookups), why.ONE_FAMILY_MORE(libc=baseline.libc))
    if baseline.failed and not of.seen.errors:
        yield Evidence(str(why.ERROR_WRONG))


def _meaning(error: str, baseline: Row) -> Sentence:
    """What an error says. Where no lookup waited for a server, none was silent."""
    if error == "EAI_AGAIN" and not baseline.stalls and not baseline.slow:
        return why.ERROR_AGAIN_FAST
    return _ERRORS.get(error, why.ERROR_OTHER)


def never_failed(of: Told, cached: bool) -> Iterator[Evidence]:
    """Configurations that did not fail where baseline did: those that ask the same servers, or those of a cache."""
    clean = [
        row
        for row in leading_others(of.summary)
        if not row.failed and "failed_share" in row.verdicts and row.effects["failed_share"].high < 0
    ]
    rows: Sequence[Row] = [row for row in clean if row.variant.startswith("node-local") == cached]
    if rows:
        names, lookups = listed([row.variant for row in rows]), counted(sum(row.n for row in rows), "lookup")
        more = why.NEVER_FAILED_CACHE if cached else why.NEVER_FAILED_MORE
        yield Evidence(why.NEVER_FAILED(names=names, lookups=lookups), str(more))
