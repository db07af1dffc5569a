"""Why baseline stalls or fails: causes, each with the evidence for and against it.

Pure but for ``Circumstances.of``, which reads what a run says of its machines. A cause is named only from evidence in
the measurements; an injected fault is named elsewhere, because the plan names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from dnslab.analyse.counts import STEP_TOLERANCE, measured
from dnslab.analyse.dataset import Run
from dnslab.analyse.lookups import error_name
from dnslab.analyse.summary import Row, Summary
from dnslab.explain.answers import leading_baseline, leading_others
from dnslab.plan.stalls import timeout_of_stall_s
from dnslab.sentences import Sentence, why
from dnslab.store.client import ClientRecord
from dnslab.text import counted, estimate_with_bounds, listed, share_with_bounds, span_of

#: share of stalls with the half-lost flag from which on "one of two answers was lost" is the pattern: under race
#: emulation 100 of 100 were flagged, under receive-buffer overflow 2 of 70
FLAGGED_RACE = 0.8
FLAGGED_OVERFLOW = 0.5
#: stalls from which on a flagged share says something
MIN_STALLS = 5
#: variants of glibc that ask for A and AAAA one after the other
SEQUENTIAL = ("single-request", "single-request-reopen")
#: share of stalls at multiples of the resolver's step from which on they are packets lost
MOST_AT_STEPS = 0.9
#: the first kernel in which two packets of one flow do not race any more
RESOLVED_SINCE = (5, 6)
#: errors named one by one
MOST_ERRORS = 4


class Kind(Enum):
    """What the evidence points to."""

    RACE = "the conntrack race"
    RECEIVE_BUFFER = "a full receive buffer"
    HALF_LOST = "one of two answers lost"
    NOT_SHOWN = "not shown"
    SLOW = "slow answers"
    FAILING = "errors"


class Confidence(Enum):
    """How sure a cause is, and how many of three bars show it; three are kept for a cause that a kernel counted."""

    SHOWN = "Shown", 3
    LIKELY = "Likely", 2
    POSSIBLE = "Possible", 1
    NOT_SHOWN = "Not shown", 0

    @property
    def word(self) -> str:
        """For readers."""
        return self.value[0]

    @property
    def bars(self) -> int:
        """Of three."""
        return self.value[1]


@dataclass(frozen=True)
class Evidence:
    """What was seen, and what it means. ``command`` is one that would tell more."""

    claim: str
    detail: str = ""
    command: str = ""


@dataclass(frozen=True)
class Cause:
    """A possible cause with its evidence. ``emulated`` is one that the run injected; its confidence does not know."""

    kind: Kind
    name: str
    confidence: Confidence
    summary: str
    evidence_for: tuple[Evidence, ...] = ()
    evidence_against: tuple[Evidence, ...] = ()
    emulated: bool = False

    @property
    def word(self) -> str:
        """How sure it is, for readers."""
        return str(why.EMULATED) if self.emulated else self.confidence.word

    def __str__(self) -> str:
        """One sentence for a terminal: the name, how sure, and the strongest evidence."""
        if self.confidence is Confidence.NOT_SHOWN:
            return f"{self.name}."
        claims = " ".join(evidence.claim for evidence in self.evidence_for[:1])
        return f"{self.word}: {self.name[0].lower()}{self.name[1:]}. {claims}".strip()


@dataclass(frozen=True)
class Circumstances:
    """What of a run is not in its summary: kernels, whether servers' and nodes' counters were read, and errors.

    ``insert_failed`` are conntrack's failed inserts during baseline's trials, None where they were not counted.
    ``errors`` are of baseline, by name.
    """

    kernels: tuple[str, ...] = ()
    buffers_counted: bool = False
    insert_failed: int | None = None
    errors: tuple[tuple[str, int], ...] = ()
    n_nodes: int | None = None
    nodes_measured: int = 0
    external: bool = False

    @classmethod
    def of(cls, run: Run, summary: Summary) -> Circumstances:
        """Those of ``run``, whose summary this is."""
        target = row.target if (row := leading_baseline(summary)) else None
        clients = [
            (client, found)
            for client, found in zip(run.clients(), measured(run), strict=True)
            if client.start.variant == "baseline" and client.start.load == 0
        ]
        names = {name for client, _ in clients for name in client.start.counters}
        # Another target may be on another node, with other drops.
        here = [client for client, _ in clients if client.target == target]
        tracked = "node.conntrack.insert_failed"
        errors: dict[str, int] = {}
        for client, found in clients:
            if client.target == target:
                for code, n in found.codes.items():
                    if name := error_name(code):
                        errors[name] = errors.get(name, 0) + n
        nodes = run.environment.backend.surroundings.nodes
        return cls(
            kernels=tuple(dict.fromkeys(client.start.kernel for client, _ in clients if client.start.kernel)),
            buffers_counted=any(name.endswith(".Udp.RcvbufErrors") and "client" not in name for name in names),
            insert_failed=sum(_rise(client, tracked) for client in here) if tracked in names else None,
            errors=tuple(sorted(errors.items(), key=lambda pair: -pair[1])),
            n_nodes=len(nodes) if nodes else None,
            external=run.plan.limits.allow_external,
            nodes_measured=len({client.start.node for client, _ in clients if client.start.node}),
        )


def _rise(client: ClientRecord, name: str) -> int:
    before, after = client.start.counters, client.counters_after
    return int(max(0, after[name] - before[name])) if name in before and name in after else 0


#: where only a summary is there
NOT_KNOWN = Circumstances()


def cause_of(summary: Summary, baseline: Row | None, seen: Circumstances = NOT_KNOWN) -> Cause | None:
    """The likeliest cause of the stalls of ``baseline``; None where there are too few, and without glibc's flags."""
    if baseline is None or baseline.stalls < MIN_STALLS or baseline.libc != "glibc":
        return None
    flagged, dropped = baseline.flagged_share or 0.0, baseline.rcvbuf_errors
    sequential = sequential_rows(summary, baseline)
    if flagged >= FLAGGED_RACE and not dropped:
        if not sequential:
            return _half_lost(baseline)
        if all(row.is_clean for row in sequential):
            return _race(baseline, sequential, seen)
    elif dropped and flagged < FLAGGED_OVERFLOW:
        return _receive_buffer(baseline, sequential)
    return Cause(
        Kind.NOT_SHOWN, str(why.NOT_SHOWN), Confidence.NOT_SHOWN, str(why.NOT_SHOWN_IS), tuple(_at_steps(baseline))
    )


def causes_of(summary: Summary, baseline: Row, seen: Circumstances = NOT_KNOWN) -> list[Cause]:
    """All causes of what ``baseline`` met, the best supported first; empty where it met nothing."""
    cause = cause_of(summary, baseline, seen)
    causes = [cause] if cause else []
    if baseline.failed and baseline.failed >= baseline.stalls:
        causes.insert(0, _failing(summary, baseline, seen))
    elif baseline.slow and not baseline.stalls:
        causes.append(_slow(summary, baseline))
    if not causes and not baseline.is_clean:
        causes.append(Cause(Kind.NOT_SHOWN, str(why.NOT_SHOWN), Confidence.NOT_SHOWN, "", tuple(_at_steps(baseline))))
    return causes


def sequential_rows(summary: Summary, baseline: Row) -> list[Row]:
    """Configurations on the same target that ask for A and AAAA one after the other."""
    return [row for name in SEQUENTIAL if (row := summary.row(name, baseline.target, baseline.load)) and row.n]


def _waited(baseline: Row) -> str:
    return span_of(timeout_of_stall_s(baseline.stall_ms))


def stalls_of(row: Row) -> str:
    """``"609 stalls"``."""
    return counted(row.stalls, "stall")


def _race(baseline: Row, sequential: Sequence[Row], seen: Circumstances) -> Cause:
    resolves = resolving_kernel(seen)
    against = [Evidence(why.KERNEL_RESOLVES(kernel=resolves), str(why.KERNEL_RESOLVES_MORE))] if resolves else []
    evidence = [
        Evidence(
            why.ALL_HALF_LOST(flagged=f"{baseline.flagged_stalls:,}", stalls=stalls_of(baseline)),
            str(why.ALL_HALF_LOST_MORE),
        ),
        *_at_steps(baseline),
        _sequential_clean(sequential),
        *_exposed(baseline),
    ]
    confidence = Confidence.POSSIBLE if against else Confidence.LIKELY
    if seen.insert_failed and seen.insert_failed >= baseline.stalls / 2:
        failed = counted(seen.insert_failed, "failed insert")
        evidence.insert(0, Evidence(why.INSERT_FAILED(n=failed), str(why.INSERT_FAILED_MORE)))
        confidence = Confidence.SHOWN
    said = why.RACE_IS(waited=_waited(baseline))
    return Cause(Kind.RACE, str(why.RACE), confidence, said, tuple(evidence), tuple(against))


def resolving_kernel(seen: Circumstances) -> str:
    """The kernel as ``"6.18"`` if it resolves the race by itself, else ``""``."""
    version = _version(seen.kernels[0]) if seen.kernels else None
    return kernel_in_short(seen.kernels[0]) if version and version >= RESOLVED_SINCE else ""


def kernel_in_short(kernel: str) -> str:
    """``"5.4"`` of ``"Linux 5.4.0-150-generic"``; ``""`` where there is no version."""
    version = _version(kernel)
    return ".".join(map(str, version)) if version else ""


def _version(kernel: str) -> tuple[int, int] | None:
    found = re.search(r"(\d+)\.(\d+)", kernel)
    return (int(found[1]), int(found[2])) if found else None


def _sequential_clean(sequential: Sequence[Row]) -> Evidence:
    n = counted(sum(row.n for row in sequential), "lookup")
    names = listed([row.variant for row in sequential])
    return Evidence(why.SEQUENTIAL_CLEAN(lookups=n), why.SEQUENTIAL_MORE(names=names))


def _at_steps(baseline: Row) -> Iterator[Evidence]:
    """Whether stalls ended when the resolver asks again, as after a lost packet, or at other times."""
    if not baseline.stall_step_s or baseline.stalls_at is None or baseline.stalls < MIN_STALLS:
        return
    step_s, at = baseline.stall_step_s, sum(baseline.stalls_at.values())
    elsewhere = baseline.stalls_elsewhere or 0
    if at >= MOST_AT_STEPS * baseline.stalls:
        steps = listed([span_of(float(step)) for step in baseline.stalls_at][:3])
        near = span_of(STEP_TOLERANCE * step_s)
        chance = f"{2 * STEP_TOLERANCE:.0%}".replace("%", " %")
        yield Evidence(
            why.AT_STEP(at=f"{at:,}", stalls=stalls_of(baseline), step=steps, near=near),
            why.AT_STEP_MORE(libc=baseline.libc, chance=chance),
        )
    elif elsewhere:
        yield Evidence(
            why.NOT_AT_STEP(n=f"{elsewhere:,}", stalls=stalls_of(baseline), step=span_of(step_s)),
            str(why.NOT_AT_STEP_MORE),
        )


def _exposed(baseline: Row) -> Iterator[Evidence]:
    """The share of the lookups exposed to the race that stalled."""
    if baseline.exposed_share is None:
        return
    counted_here = baseline.exposed_counted is not None
    stalls = sum(numbers.exposed_stalls for numbers in baseline.by_round)
    exposed = sum(numbers.exposed or 0 for numbers in baseline.by_round)
    yield Evidence(
        why.EXPOSED(
            stalls=f"{stalls:,}",
            exposed=counted(round(exposed), "such pair"),
            share=estimate_with_bounds(baseline.intervals["exposed_share"], 100)[0] + " %",
        ),
        str(why.EXPOSED_MORE if counted_here else why.EXPOSED_MODEL_MORE),
    )


def _half_lost(baseline: Row) -> Cause:
    claim = why.ALL_HALF_LOST(flagged=f"{baseline.flagged_stalls:,}", stalls=stalls_of(baseline))
    evidence = [Evidence(claim, str(why.ALL_HALF_LOST_MORE)), *_at_steps(baseline), *_exposed(baseline)]
    name = str(why.HALF_LOST)
    return Cause(Kind.HALF_LOST, name, Confidence.POSSIBLE, str(why.HALF_LOST_IS), tuple(evidence))


def _receive_buffer(baseline: Row, sequential: Sequence[Row]) -> Cause:
    dropped = counted(baseline.rcvbuf_errors, "query", "queries")
    claim = why.ALL_HALF_LOST(flagged=f"{baseline.flagged_stalls:,}", stalls=stalls_of(baseline))
    none = why.NONE_HALF_LOST(stalls=stalls_of(baseline))
    evidence = [
        Evidence(why.SERVERS_DROPPED(queries=dropped), str(why.SERVERS_DROPPED_MORE)),
        Evidence(f"Only {claim}" if baseline.flagged_stalls else none, str(why.FEW_HALF_LOST_MORE)),
    ]
    stalled = [row for row in sequential if row.stalls]
    if stalled:
        share = share_with_bounds(stalled[0].intervals["stalls_share"])
        evidence.append(Evidence(why.SEQUENTIAL_STALLS(share=share), str(why.SEQUENTIAL_STALLS_MORE)))
    against = [] if stalled or not sequential else [_sequential_clean(sequential)]
    if baseline.rcvbuf_errors < baseline.stalls:
        against.append(Evidence(str(why.DROPPED_LESS), str(why.DROPPED_LESS_MORE)))
    confidence = Confidence.POSSIBLE if against else Confidence.SHOWN
    said = why.BUFFER_IS(libc=baseline.libc, waited=_waited(baseline))
    return Cause(Kind.RECEIVE_BUFFER, str(why.BUFFER), confidence, said, tuple(evidence), tuple(against))


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


def _failing(summary: Summary, baseline: Row, seen: Circumstances) -> Cause:
    evidence = [
        Evidence(why.FAILED_WITH(n=counted(n, "lookup"), meaning=str(_meaning(name, baseline)), error=name))
        for name, n in seen.errors[:MOST_ERRORS]
    ]
    if not evidence:
        evidence = [Evidence(str(why.ERROR_WRONG))]
    against = tuple(_never_failed(leading_others(summary)))
    said = str(why.FAILING_IS)
    return Cause(Kind.FAILING, str(why.FAILING_CAUSE), Confidence.POSSIBLE, said, tuple(evidence), against)


def _meaning(error: str, baseline: Row) -> Sentence:
    """What an error says. Where no lookup waited for a server, none was silent."""
    if error == "EAI_AGAIN" and not baseline.stalls and not baseline.slow:
        return why.ERROR_AGAIN_FAST
    return _ERRORS.get(error, why.ERROR_OTHER)


def _never_failed(others: Sequence[Row]) -> Iterator[Evidence]:
    """Configurations that did not fail where baseline did: those that ask the same servers, and those of a cache."""
    clean = [
        row
        for row in others
        if not row.failed and "failed_share" in row.verdicts and row.effects["failed_share"].high < 0
    ]
    for cached, more in ((False, why.NEVER_FAILED_MORE), (True, why.NEVER_FAILED_CACHE)):
        rows = [row for row in clean if row.variant.startswith("node-local") == cached]
        if rows:
            names, lookups = listed([row.variant for row in rows]), counted(sum(row.n for row in rows), "lookup")
            yield Evidence(why.NEVER_FAILED(names=names, lookups=lookups), str(more))


def _slow(summary: Summary, baseline: Row) -> Cause:
    length = span_of(baseline.stall_ms / 1e3)
    evidence = [Evidence(why.SLOW_SPREAD(n=counted(baseline.slow, "lookup"), length=length))]
    others = leading_others(summary)
    if others and all(row.slow for row in others):
        evidence.append(Evidence(str(why.SLOW_ALL), str(why.SLOW_ALL_MORE)))
    confidence = Confidence.LIKELY if len(evidence) > 1 else Confidence.POSSIBLE
    said = why.SLOW_IS(libc=baseline.libc)
    return Cause(Kind.SLOW, str(why.SLOW_CAUSE), confidence, said, tuple(evidence))
