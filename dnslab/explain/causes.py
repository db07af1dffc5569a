"""Why baseline stalls or fails: a ranked list of causes, each with the evidence for and against it.

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
from dnslab.explain.answers import baselines, leading_baseline, leading_others
from dnslab.plan.stalls import timeout_of_stall_s
from dnslab.sentences import why
from dnslab.store.client import ClientRecord
from dnslab.text import counted, estimate_with_bounds, listed, share_with_bounds, span_of, time_ms

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
    """How sure a cause is, and how many of four bars show it; four are kept for a cause that was seen directly."""

    SEEN = "Very likely, seen directly", 4
    VERY_LIKELY = "Very likely", 3
    LIKELY = "Likely", 2
    POSSIBLE = "Possible", 1
    NOT_SHOWN = "Not shown", 0

    @property
    def word(self) -> str:
        """For readers."""
        return self.value[0]

    @property
    def bars(self) -> int:
        """Of four."""
        return self.value[1]


@dataclass(frozen=True)
class Evidence:
    """What was seen, and what it means. ``command`` is one that would tell more."""

    claim: str
    detail: str = ""
    command: str = ""


@dataclass(frozen=True)
class Cause:
    """A possible cause with its evidence."""

    kind: Kind
    name: str
    confidence: Confidence
    summary: str
    evidence_for: tuple[Evidence, ...] = ()
    evidence_against: tuple[Evidence, ...] = ()

    def __str__(self) -> str:
        """One sentence for a terminal: the name, how sure, and the strongest evidence."""
        if self.confidence is Confidence.NOT_SHOWN:
            return f"{self.name}."
        claims = " ".join(evidence.claim for evidence in self.evidence_for[:1])
        return f"{self.confidence.word}: {self.name[0].lower()}{self.name[1:]}. {claims}".strip()


@dataclass(frozen=True)
class Diagnosis:
    """All causes, the best supported first, what is ruled out, and what this run did not test."""

    causes: tuple[Cause, ...] = ()
    ruled_out: tuple[Evidence, ...] = ()
    not_tested: tuple[Evidence, ...] = ()


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
        tracked = [name for name in names if name == "node.conntrack.insert_failed"]
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
            insert_failed=sum(_rise(client, name) for name in tracked for client, _ in clients) if tracked else None,
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
    sequential = _sequential(summary, baseline)
    if flagged >= FLAGGED_RACE and not dropped:
        if not sequential:
            return _half_lost(baseline)
        if all(row.is_clean for row in sequential):
            return _race(summary, baseline, sequential, seen)
    elif dropped and flagged < FLAGGED_OVERFLOW:
        return _receive_buffer(baseline, sequential)
    return Cause(
        Kind.NOT_SHOWN, str(why.NOT_SHOWN), Confidence.NOT_SHOWN, str(why.NOT_SHOWN_IS), tuple(_at_steps(baseline))
    )


def diagnose(summary: Summary, seen: Circumstances = NOT_KNOWN) -> Diagnosis:
    """What baseline's trouble points to, what is ruled out, and what this run did not test."""
    baseline = leading_baseline(summary)
    if baseline is None:
        return Diagnosis()
    cause = cause_of(summary, baseline, seen)
    causes = [cause] if cause else []
    if baseline.failed and baseline.failed >= baseline.stalls:
        causes.insert(0, _failing(baseline, seen))
    elif baseline.slow and not baseline.stalls:
        causes.append(_slow(summary, baseline))
    if not causes and not baseline.is_clean:
        causes.append(Cause(Kind.NOT_SHOWN, str(why.NOT_SHOWN), Confidence.NOT_SHOWN, "", tuple(_at_steps(baseline))))
    return Diagnosis(
        tuple(causes),
        tuple(_ruled_out(summary, baseline, causes, seen)),
        tuple(_not_tested(summary, baseline, seen)),
    )


def _sequential(summary: Summary, baseline: Row) -> list[Row]:
    return [row for name in SEQUENTIAL if (row := summary.row(name, baseline.target, baseline.load)) and row.n]


def _waited(baseline: Row) -> str:
    return span_of(timeout_of_stall_s(baseline.stall_ms))


def _stalls(row: Row) -> str:
    return counted(row.stalls, "stall")


def _race(summary: Summary, baseline: Row, sequential: Sequence[Row], seen: Circumstances) -> Cause:
    injected = summary.fault != "none"
    against = []
    for kernel in seen.kernels[:1]:
        version = _version(kernel)
        if version and version >= RESOLVED_SINCE:
            named = ".".join(map(str, version))
            more = why.KERNEL_RESOLVES_INJECTED if injected else why.KERNEL_RESOLVES_MORE
            against.append(Evidence(why.KERNEL_RESOLVES(kernel=named), str(more)))
    evidence = [
        Evidence(
            why.ALL_HALF_LOST(flagged=f"{baseline.flagged_stalls:,}", stalls=_stalls(baseline)),
            str(why.ALL_HALF_LOST_MORE),
        ),
        *_at_steps(baseline),
        _sequential_clean(sequential),
        *_exposed(baseline),
    ]
    confidence = Confidence.LIKELY if against and not injected else Confidence.VERY_LIKELY
    if seen.insert_failed and seen.insert_failed >= baseline.stalls / 2:
        failed = counted(seen.insert_failed, "failed insert")
        evidence.insert(0, Evidence(why.INSERT_FAILED(n=failed), str(why.INSERT_FAILED_MORE)))
        confidence = Confidence.SEEN
    said = why.RACE_IS(waited=_waited(baseline))
    return Cause(Kind.RACE, str(why.RACE), confidence, said, tuple(evidence), tuple(against))


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
            why.AT_STEP(at=f"{at:,}", stalls=_stalls(baseline), step=steps, near=near),
            why.AT_STEP_MORE(libc=baseline.libc, chance=chance),
        )
    elif elsewhere:
        yield Evidence(
            why.NOT_AT_STEP(n=f"{elsewhere:,}", stalls=_stalls(baseline), step=span_of(step_s)),
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
            exposed=counted(round(exposed), "lookup"),
            share=estimate_with_bounds(baseline.intervals["exposed_share"], 100)[0] + " %",
        ),
        str(why.EXPOSED_MORE if counted_here else why.EXPOSED_MODEL_MORE),
    )


def _half_lost(baseline: Row) -> Cause:
    claim = why.ALL_HALF_LOST(flagged=f"{baseline.flagged_stalls:,}", stalls=_stalls(baseline))
    evidence = [Evidence(claim, str(why.ALL_HALF_LOST_MORE)), *_at_steps(baseline), *_exposed(baseline)]
    name = str(why.HALF_LOST)
    return Cause(Kind.HALF_LOST, name, Confidence.POSSIBLE, str(why.HALF_LOST_IS), tuple(evidence))


def _receive_buffer(baseline: Row, sequential: Sequence[Row]) -> Cause:
    dropped = counted(baseline.rcvbuf_errors, "query", "queries")
    claim = why.ALL_HALF_LOST(flagged=f"{baseline.flagged_stalls:,}", stalls=_stalls(baseline))
    evidence = [
        Evidence(why.SERVERS_DROPPED(queries=dropped), str(why.SERVERS_DROPPED_MORE)),
        Evidence(f"Only {claim}", str(why.FEW_HALF_LOST_MORE)),
    ]
    stalled = [row for row in sequential if row.stalls]
    if stalled:
        share = share_with_bounds(stalled[0].intervals["stalls_share"])
        evidence.append(Evidence(why.SEQUENTIAL_STALLS(share=share), str(why.SEQUENTIAL_STALLS_MORE)))
    against = () if stalled or not sequential else (_sequential_clean(sequential),)
    confidence = Confidence.LIKELY if against else Confidence.VERY_LIKELY
    said = why.BUFFER_IS(waited=_waited(baseline))
    return Cause(Kind.RECEIVE_BUFFER, str(why.BUFFER), confidence, said, tuple(evidence), against)


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


def _failing(baseline: Row, seen: Circumstances) -> Cause:
    evidence = [
        Evidence(why.FAILED_WITH(n=counted(n, "lookup"), error=name), str(_ERRORS.get(name, why.ERROR_OTHER)))
        for name, n in seen.errors[:MOST_ERRORS]
    ]
    if not evidence:
        evidence = [Evidence(str(why.ERROR_WRONG))]
    said = str(why.FAILING_IS)
    return Cause(Kind.FAILING, str(why.FAILING_CAUSE), Confidence.POSSIBLE, said, tuple(evidence))


def _slow(summary: Summary, baseline: Row) -> Cause:
    length = span_of(baseline.stall_ms / 1e3)
    evidence = [Evidence(why.SLOW_SPREAD(n=counted(baseline.slow, "lookup"), length=length))]
    others = leading_others(summary)
    if others and all(row.slow for row in others):
        evidence.append(Evidence(str(why.SLOW_ALL), str(why.SLOW_ALL_MORE)))
    confidence = Confidence.LIKELY if len(evidence) > 1 else Confidence.POSSIBLE
    return Cause(Kind.SLOW, str(why.SLOW_CAUSE), confidence, str(why.SLOW_IS), tuple(evidence))


def _ruled_out(summary: Summary, baseline: Row, causes: Sequence[Cause], seen: Circumstances) -> Iterator[Evidence]:
    kinds = {cause.kind for cause in causes}
    sequential = _sequential(summary, baseline)
    if baseline.is_clean and not baseline.slow:
        if baseline.exposed_counted or baseline.exposed_modelled:
            exposed = counted(round(baseline.exposed_counted or baseline.exposed_modelled or 0), "lookup")
            yield Evidence(str(why.RACE), why.RULED_OUT_RACE(lookups=exposed))
        if seen.buffers_counted and not baseline.rcvbuf_errors:
            yield Evidence(str(why.BUFFER), str(why.NO_BUFFER))
        return
    if seen.buffers_counted and not any(row.rcvbuf_errors for row in summary.measured(load=0)):
        yield Evidence(str(why.BUFFER), str(why.NO_BUFFER))
    if Kind.RACE in kinds:
        clean = [row for row in leading_others(summary) if row.is_clean and not row.slow]
        if clean:
            slowest = time_ms(max(row.max_ms for row in clean))
            yield Evidence(str(why.SLOW_SERVER), why.NO_SLOW_SERVER(slowest=slowest))
        if sequential:
            n = counted(sum(row.n for row in sequential), "lookup")
            yield Evidence(str(why.PACKET_LOSS), why.NO_PACKET_LOSS(lookups=n))
    if Kind.RECEIVE_BUFFER in kinds and any(row.stalls for row in sequential):
        yield Evidence(str(why.RACE), str(why.NOT_RACE))
    rounds = [numbers.stalls / numbers.n for numbers in baseline.by_round if numbers.n]
    if len(rounds) > 2 and min(rounds) > 0:
        least, most = (f"{100 * share:.2g} %" for share in (min(rounds), max(rounds)))
        yield Evidence(str(why.ONE_MOMENT), why.NOT_ONE_MOMENT(least=least, most=most))
    targets = baselines(summary)
    if len(targets) > 1 and all(row.stalls for row in targets):
        yield Evidence(str(why.ONE_NODE), why.NOT_ONE_NODE(n=counted(len(targets), "target")))


def _not_tested(summary: Summary, baseline: Row, seen: Circumstances) -> Iterator[Evidence]:
    if baseline.is_clean and not baseline.slow:
        return
    if not _sequential(summary, baseline) and baseline.libc == "glibc":
        yield Evidence(str(why.SEQUENTIAL_UNTESTED), command=str(why.SEQUENTIAL_TELL))
    if not seen.buffers_counted:
        yield Evidence(str(why.BUFFER_UNTESTED), str(why.BUFFER_UNTESTED_MORE))
    if seen.insert_failed is None or summary.backend == "lab":
        yield Evidence(str(why.TABLE_FULL), command=str(why.TABLE_FULL_TELL))
    if not seen.external:
        yield Evidence(str(why.UPSTREAM), command=str(why.UPSTREAM_TELL))
