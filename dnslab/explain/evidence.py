"""What is shown of a cause: how sure it is, and its evidence in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from dnslab.analyse.counts import STEP_TOLERANCE
from dnslab.analyse.summary import Row, Summary
from dnslab.explain.circumstances import Circumstances
from dnslab.explain.counter_signs import RESOLVED_SINCE, kernel_in_short, version_of
from dnslab.explain.engine import RankedMechanism, Word
from dnslab.explain.loss_signs import SEQUENTIAL
from dnslab.explain.sign import Sign
from dnslab.sentences import why
from dnslab.text import counted, estimate_with_bounds, listed, lowered, share_with_bounds, span_of

#: stalls from which on a flagged share says something
MIN_STALLS = 5
#: share of stalls at multiples of the resolver's step from which on they are packets lost
MOST_AT_STEPS = 0.9


class Confidence(Enum):
    """How sure a cause is, and how many of three bars show it."""

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

    @classmethod
    def of(cls, word: Word) -> Confidence:
        """The same as the engine's word; what it rules out or could not test is not shown."""
        by_word = {Word.SHOWN: cls.SHOWN, Word.LIKELY: cls.LIKELY, Word.POSSIBLE: cls.POSSIBLE}
        return by_word.get(word, cls.NOT_SHOWN)


@dataclass(frozen=True)
class Evidence:
    """What was seen, and what it means. ``command`` is one that would tell more."""

    claim: str
    detail: str = ""
    command: str = ""


@dataclass(frozen=True)
class Remedy:
    """What to change, where, what it costs, what to watch afterwards; ``command`` measures again."""

    change: str
    where: str
    cost: str
    watch: str
    command: str

    @property
    def detail(self) -> str:
        """All but what to change."""
        parts = why.REMEDY_WHERE(where=self.where), why.REMEDY_COST(cost=self.cost)
        return " ".join([*parts, why.REMEDY_WATCH(watch=self.watch)])


@dataclass(frozen=True)
class Explained:
    """A cause as it is shown, or a mechanism whose cause is open.

    ``kind`` is the stable name of the cause or mechanism, ``mechanism`` that of the mechanism; both are ``""`` where
    nothing was found. ``emulated`` is one that the run injected; its confidence does not know. ``of`` is the
    configuration whose trouble it is, where it is not baseline's.
    """

    kind: str
    name: str
    confidence: Confidence
    summary: str
    evidence_for: tuple[Evidence, ...] = ()
    evidence_against: tuple[Evidence, ...] = ()
    emulated: bool = False
    mechanism: str = ""
    remedy: Remedy | None = None
    of: str = ""

    @property
    def word(self) -> str:
        """How sure it is, for readers."""
        return str(why.EMULATED) if self.emulated else self.confidence.word

    def __str__(self) -> str:
        """One sentence for a terminal: the name, how sure, and the strongest evidence."""
        if self.confidence is Confidence.NOT_SHOWN:
            return f"{self.name}."
        claims = " ".join(evidence.claim for evidence in self.evidence_for[:1])
        return f"{self.word}: {lowered(self.name)}. {claims}".strip()


@dataclass(frozen=True)
class Told:
    """What the words of a sign are made from."""

    summary: Summary
    baseline: Row
    seen: Circumstances


def could_be(one: RankedMechanism) -> str:
    """What a mechanism does, and which of its causes are possible."""
    titles = [f"“{cause.text.title}”" for cause in one.possible]
    causes = why.COULD_BE(causes=listed(titles, "or")) if titles else ""
    return " ".join(filter(None, [str(one.mechanism.text.summary), causes]))


def told(signs: Sequence[Sign], of: Told) -> Iterator[Evidence]:
    """Evidence for each sign, in fuller words where there are some."""
    for sign in signs:
        fuller = _FULLER.get(sign.name)
        found = list(fuller(of)) if fuller else []
        if found:
            yield from found
        elif sign.claim and sign.name not in _FULLER:
            yield Evidence(sign.claim)


def sequential_rows(summary: Summary, baseline: Row) -> list[Row]:
    """Configurations on the same target that ask for A and AAAA one after the other."""
    return [row for name in SEQUENTIAL if (row := summary.row(name, baseline.target, baseline.load)) and row.n]


def stalls_of(row: Row) -> str:
    """``"609 stalls"``."""
    return counted(row.stalls, "stall")


def resolving_kernel(seen: Circumstances) -> str:
    """The kernel as ``"6.18"`` if it resolves the race by itself, else ``""``."""
    version = version_of(seen.kernels[0]) if seen.kernels else None
    return kernel_in_short(seen.kernels[0]) if version and version >= RESOLVED_SINCE else ""


def at_steps(baseline: Row) -> Iterator[Evidence]:
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


def exposed(baseline: Row) -> Iterator[Evidence]:
    """The share of the lookups exposed to the race that stalled."""
    if baseline.exposed_share is None:
        return
    counted_here = baseline.exposed_counted is not None
    stalls = sum(numbers.exposed_stalls for numbers in baseline.by_round)
    pairs = sum(numbers.exposed or 0 for numbers in baseline.by_round)
    yield Evidence(
        why.EXPOSED(
            stalls=f"{stalls:,}",
            exposed=counted(round(pairs), "such pair"),
            share=estimate_with_bounds(baseline.intervals["exposed_share"], 100)[0] + " %",
        ),
        str(why.EXPOSED_MORE if counted_here else why.EXPOSED_MODEL_MORE),
    )


def _half_lost(of: Told) -> Iterator[Evidence]:
    flagged, stalls = f"{of.baseline.flagged_stalls:,}", stalls_of(of.baseline)
    if 2 * of.baseline.flagged_stalls > of.baseline.stalls:
        yield Evidence(why.ALL_HALF_LOST(flagged=flagged, stalls=stalls), str(why.ALL_HALF_LOST_MORE))
        return
    only = f"Only {why.ALL_HALF_LOST(flagged=flagged, stalls=stalls)}"
    claim = only if of.baseline.flagged_stalls else why.NONE_HALF_LOST(stalls=stalls)
    yield Evidence(claim, str(why.FEW_HALF_LOST_MORE))


def _sequential(of: Told) -> Iterator[Evidence]:
    rows = sequential_rows(of.summary, of.baseline)
    stalled = [row for row in rows if row.stalls]
    if rows and not stalled:
        n, names = counted(sum(row.n for row in rows), "lookup"), listed([row.variant for row in rows])
        yield Evidence(why.SEQUENTIAL_CLEAN(lookups=n), why.SEQUENTIAL_MORE(names=names))
    elif stalled:
        few = sum(row.stalls for row in rows) < MIN_STALLS
        share = share_with_bounds(stalled[0].intervals["stalls_share"])
        more = "" if few else str(why.SEQUENTIAL_STALLS_MORE)
        yield Evidence(why.SEQUENTIAL_STALLS(share=share), more)


def _server_buffer(of: Told) -> Iterator[Evidence]:
    if of.baseline.rcvbuf_errors:
        dropped = counted(of.baseline.rcvbuf_errors, "query", "queries")
        rate = of.summary.loads[0].rate_per_s
        sent = why.SENT_AT(rate=f"{rate:g} lookups/s") if rate else ""
        more = " ".join(filter(None, [str(why.SERVERS_DROPPED_MORE), sent]))
        yield Evidence(why.SERVERS_DROPPED(queries=dropped), more)


def _insert_failed(of: Told) -> Iterator[Evidence]:
    if of.seen.insert_failed:
        failed = counted(of.seen.insert_failed, "failed insert")
        yield Evidence(why.INSERT_FAILED(n=failed), str(why.INSERT_FAILED_MORE))


def _kernel(of: Told) -> Iterator[Evidence]:
    if kernel := resolving_kernel(of.seen):
        yield Evidence(why.KERNEL_RESOLVES(kernel=kernel), str(why.KERNEL_RESOLVES_MORE))


def _nothing(of: Told) -> Iterator[Evidence]:
    yield from ()


#: signs with fuller words; that baseline stalls stands in the verdict
_FULLER: dict[str, Callable[[Told], Iterator[Evidence]]] = {
    "stalls": _nothing,
    "at-step": _nothing,
    "half-lost": _half_lost,
    "sequential-stalls": _sequential,
    "server-buffer": _server_buffer,
    "insert-failed": _insert_failed,
    "kernel-resolves": _kernel,
}
