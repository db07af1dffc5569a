"""The answer of a diagnosis: what all rungs of the ladder show together, the causes in order, and what was not tested.

Pure but for reading a run's numbers. Which fault was injected is not asked, and no answer depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from dnslab.analyse.dataset import Run
from dnslab.analyse.intervals import upper_bound_when_none
from dnslab.explain.arms import ArmSeen, seen_by_arm
from dnslab.explain.diagnosis import diagnose
from dnslab.explain.soundness import examine
from dnslab.plan.arms import CONTROL, Places
from dnslab.plan.ladder import Rung
from dnslab.sentences import ladder as said
from dnslab.text import counted, duration, fewer_than, listed, outwards, rounded

if TYPE_CHECKING:
    import pandas as pd

#: the version of diagnosis.json (docs/diagnosis-format.md)
VERSION = 1
Status = Literal["cause", "nothing found", "none fits", "insufficient data", "stopped"]


@dataclass(frozen=True)
class RungDone:
    """A rung that was measured: its run's folder inside that of the diagnosis, and how long it took.

    ``problem`` says why the run, and with it the ladder, ended early.
    """

    rung: str
    path: str
    seconds: float
    load_s: float
    per_server_per_s: float
    n_targets: int
    problem: str = ""

    @property
    def overhead_s(self) -> float:
        """What it took beside its load."""
        return self.seconds - self.load_s


@dataclass(frozen=True)
class Named:
    """A cause with how sure it is, in a word, and the evidence."""

    name: str
    word: str
    summary: str
    evidence_for: tuple[str, ...] = ()
    evidence_against: tuple[str, ...] = ()
    experiment: str = ""


@dataclass(frozen=True)
class Answer:
    """What a diagnosis found.

    ``lines`` are the answer in sentences, the first one first; ``following`` is the rung that would be next where the
    budget ended.
    """

    status: Status
    lines: tuple[str, ...]
    causes: tuple[Named, ...]
    rungs: tuple[RungDone, ...]
    arms: tuple[ArmSeen, ...]
    places: Places
    seconds: float
    budget_s: float | None
    not_tested: tuple[str, ...] = ()
    following: str = ""
    trouble: bool = False
    settled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The content of diagnosis.json, described in docs/diagnosis-format.md."""
        return {
            "version": VERSION,
            "status": self.status,
            "answer": list(self.lines),
            "causes": [asdict(cause) for cause in self.causes],
            "not_tested": list(self.not_tested),
            "next_rung": self.following or None,
            "seconds": round(self.seconds, 1),
            "budget_s": self.budget_s,
            "places": asdict(self.places),
            "rungs": [{**asdict(rung), "seconds": round(rung.seconds, 1)} for rung in self.rungs],
            "arms": [seen.to_dict() for seen in self.arms],
        }


def conclude_ladder(
    done: Sequence[RungDone],
    arms: pd.DataFrame,
    libc: Run | None,
    places: Places,
    *,
    passed_s: float,
    budget_s: float | None = None,
    stopped: str = "",
    following: Rung | None = None,
) -> Answer:
    """The answer from all rungs so far.

    Parameters
    ----------
    arms
        Raw queries of all rungs (``analyse.arms.arm_frame``).
    libc
        The run that compared configurations of the C library, if there is one.
    stopped
        Why the ladder ended early, if it did.
    following
        The rung for which the budget does not suffice.
    """
    by_arm = seen_by_arm(arms)
    causes, stalls = _causes(libc)
    trouble = stalls or any(seen.words for seen in by_arm if seen.arm != CONTROL)
    answer = Answer(
        status=_status(causes, trouble, stopped, following),
        lines=(),
        causes=causes,
        rungs=tuple(done),
        arms=tuple(by_arm),
        places=places,
        seconds=passed_s,
        budget_s=budget_s,
        not_tested=_not_tested(done, places),
        following=following.name if following else "",
        trouble=trouble,
        settled=any(cause.word == "shown" for cause in causes[:1]),
    )
    return replace(answer, lines=tuple(_lines(answer, stopped, following)))


def _causes(libc: Run | None) -> tuple[tuple[Named, ...], bool]:
    """The causes that the rung with the C library points to, and whether its baseline is in trouble."""
    if libc is None:
        return (), False
    summary = replace(examine(libc).summary, fault="none")  # what was injected is no evidence
    baselines = [row for row in summary.measured(load=0) if row.variant == "baseline"]
    named = tuple(
        Named(
            cause.kind.value,
            cause.confidence.word.lower(),
            cause.summary,
            tuple(evidence.claim for evidence in cause.evidence_for),
            tuple(evidence.claim for evidence in cause.evidence_against),
        )
        for cause in diagnose(summary).causes
    )
    return named, any(row.stalls or row.failed or row.slow for row in baselines)


def _status(causes: Sequence[Named], trouble: bool, stopped: str, following: Rung | None) -> Status:
    if any(cause.word in ("shown", "likely") for cause in causes):
        return "cause"
    if stopped:
        return "stopped"
    if following:
        return "insufficient data"
    return "none fits" if trouble else "nothing found"


def _lines(answer: Answer, stopped: str, following: Rung | None) -> list[str]:
    lines = []
    if stopped:
        lines.append(said.STOPPED(why=stopped.partition(". ")[0].rstrip(".")))
    lines += _seen(answer.arms)
    if answer.causes and answer.status == "cause":
        first = answer.causes[0]
        lines.append(said.FIRST(word=first.word, name=first.name, summary=first.summary.rstrip(".")))
    elif answer.status == "none fits":
        lines.append(str(said.NONE_FITS))
    if following:
        lines.append(said.NEXT(rung=following.name, separates=str(following.separates)))
    if answer.status == "nothing found":
        lines += _nothing(answer)
    return lines


def _seen(arms: Sequence[ArmSeen]) -> Iterator[str]:
    """What raw queries showed on the usual way, and at each server by itself where that differs."""
    asked = [seen for seen in arms if seen.arm != CONTROL]
    here = [seen for seen in asked if seen.place == asked[0].place]
    if any(seen.words for seen in here):
        arms_of: dict[str, list[str]] = {}
        for seen in here:
            arms_of.setdefault(seen.word, []).append(seen.arm)
        yield said.SEEN(arms="; ".join(f"{word}: {', '.join(names)}" for word, names in arms_of.items()))
    at_place: dict[str, list[str]] = {}
    for seen in asked[len(here) :]:
        at_place.setdefault(seen.place, []).extend(seen.words)
    if at_place and any(seen.words for seen in asked):
        places = (f"{place} {', '.join(dict.fromkeys(words)) or 'clean'}" for place, words in at_place.items())
        yield said.SEEN_AT(places="; ".join(places))


def _nothing(answer: Answer) -> list[str]:
    n = sum(seen.n for seen in answer.arms)
    lost = sum(seen.counts["lost"] for seen in answer.arms)
    rate = max((rung.per_server_per_s for rung in answer.rungs), default=0.0)
    share = fewer_than(upper_bound_when_none(n), "query") if n and not lost else f"{lost:,} of {n:,}"
    return [
        said.NOTHING(
            queries=counted(n, "query", "queries"),
            share=share,
            time=duration(sum(rung.load_s for rung in answer.rungs)),
            rate=rounded(outwards(rate), 2),
            targets=counted(max((rung.n_targets for rung in answer.rungs), default=0), "target"),
        ),
        said.NOT_TESTED(what=listed(list(answer.not_tested))),
    ]


def _not_tested(done: Sequence[RungDone], places: Places) -> tuple[str, ...]:
    names = {rung.rung for rung in done}
    rate = max((rung.per_server_per_s for rung in done), default=0.0)
    untested = [said.UNTESTED_RATE(rate=rounded(rate, 2)), str(said.UNTESTED_SIZE), str(said.UNTESTED_OUTSIDE)]
    if "libc" not in names:
        untested.append(str(said.UNTESTED_LIBC))
    if "place" not in names:
        untested.append(str(said.UNTESTED_PLACES))
    elif places.missing:
        untested.append(said.MISSING_PLACES(why=places.missing.rstrip(".")))
    return (*untested, str(said.UNTESTED_TIMES))
