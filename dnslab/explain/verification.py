"""Did the patch help? Of a run that measured a patched workload beside its old configuration, in the same minutes.

Pure: a summary in, an answer out. All targets with one C library count together: a patch that misses one node must not
look as good as one that reaches all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dnslab.analyse.intervals import Interval, difference, ratio_bounds, share, verdicts
from dnslab.analyse.power import spread_shown
from dnslab.analyse.summary import Row, Summary
from dnslab.errors import RunInvalid
from dnslab.plan.model import Earlier, Trouble
from dnslab.plan.variants import BEFORE
from dnslab.sentences import Sentence, verification as sentences
from dnslab.sentences.notebook import VERIFICATION
from dnslab.text import Facts, capitalised, counted, estimate_with_bounds, listed, percent, rounded, share_text, time_ms

Word = Literal["worse", "stays", "better but not gone", "not enough data", "not here today", "gone"]
#: the worst first
WORDS: tuple[Word, ...] = get_args(Word)
#: how each word begins its sentence; one that is not here has a sentence of its own
_SAID: Mapping[str, Sentence] = {
    "worse": sentences.WORSE,
    "stays": sentences.STAYS,
    "better but not gone": sentences.NOT_GONE,
    "not enough data": sentences.NOT_ENOUGH,
    "gone": sentences.GONE,
}
#: under this part of the old configuration's share, the trouble is gone
GONE = 0.1
#: what else makes a patch a bad one, by the trouble that it should mend, and what lookups then do
_WORSE: Mapping[Trouble, tuple[tuple[Literal["stalls", "failed"], ...], Sentence]] = {
    "stalls": (("failed",), sentences.FAIL),
    "failed": (("stalls",), sentences.STALL),
    "slow": (("failed", "stalls"), sentences.FAIL_OR_STALL),
    "partial": (("failed", "stalls"), sentences.FAIL_OR_STALL),
    "over_limit": (("failed", "stalls"), sentences.FAIL_OR_STALL),
}
_NAMES: Mapping[Trouble, Sentence] = {
    "stalls": sentences.STALLS,
    "failed": sentences.FAILURES,
    "slow": sentences.SLOW,
    "partial": sentences.INCOMPLETE,
    "over_limit": sentences.LATE,
}
_DID: Mapping[Trouble, Sentence] = {
    "stalls": sentences.STALLED,
    "failed": sentences.FAILED,
    "slow": sentences.WERE_SLOW,
    "partial": sentences.LACKED,
}
#: how much more data is ever advised, as a factor
MOST_MORE = 1_000


@dataclass(frozen=True)
class Suffered:
    """What an earlier run found, in words; lookups of ``limit_ms`` or more are over the limit."""

    earlier: Earlier
    limit_ms: float

    @property
    def did(self) -> str:
        """What lookups did: ``"stalled"``."""
        found = _DID.get(self.earlier.trouble)
        return str(found) if found else sentences.WERE_LATE(limit=time_ms(self.limit_ms))

    @property
    def then(self) -> str:
        """How it was in the earlier run."""
        share, lookups = percent(self.earlier.count / self.earlier.n), counted(self.earlier.n, "lookup")
        return sentences.THEN(run=self.earlier.run, share=share, lookups=lookups, did=self.did)

    def named(self, sentence: Sentence) -> str:
        """``sentence`` with the trouble's name, where it has a gap for one."""
        return sentence(trouble=str(_NAMES[self.earlier.trouble])) if "{" in sentence.template else str(sentence)


@dataclass(frozen=True)
class Side:
    """One configuration: all targets with one C library together, a number for each round. ``count`` are lookups with
    the trouble, ``worse`` those with another one (``_WORSE``), ``n`` all lookups."""

    count: tuple[float, ...]
    worse: tuple[float, ...]
    n: tuple[float, ...]

    @classmethod
    def of(cls, rows: Sequence[Row], trouble: Trouble = "stalls") -> Side:
        """Of the rows of one variant."""
        numbers = sorted({part.round for row in rows for part in row.by_round})
        sums = {number: [0.0, 0.0, 0.0] for number in numbers}
        for row in rows:
            for part in row.by_round:
                worse = sum(getattr(part, name) for name in _WORSE[trouble][0])
                for i, value in enumerate((getattr(part, trouble), worse, part.n)):
                    sums[part.round][i] += value
        columns = zip(*sums.values(), strict=True) if sums else ((), (), ())
        return cls(*(tuple(column) for column in columns))

    @property
    def k(self) -> float:
        """All lookups with the trouble."""
        return sum(self.count)

    @property
    def total(self) -> float:
        """All lookups."""
        return sum(self.n)

    @property
    def words(self) -> str:
        """``"3.9 % of 2,700 lookups (95 % interval 3.2 to 4.7 %)"``."""
        lookups = counted(round(self.total), "lookup")
        if not self.k:
            return sentences.NONE_OF(lookups=lookups)
        interval = share(self.count, self.n)
        bounds = estimate_with_bounds(interval, 100)[1]
        if not bounds:
            return sentences.SHARE_OF(share=share_text(interval), lookups=lookups)
        return sentences.SHARE_BETWEEN(share=share_text(interval), lookups=lookups, bounds=bounds)


@dataclass(frozen=True, repr=False)
class Verification:
    """The answer for one C library: ``word``, and ``sentence`` that says why. ``now`` is the workload as it stands,
    ``before`` its old configuration."""

    libc: str
    word: Word
    sentence: str
    now: Side
    before: Side

    @property
    def facts(self) -> Facts:
        """The answer, and how often both configurations had the trouble."""
        return Facts(
            VERIFICATION(word=self.word, libc=self.libc),
            {
                "answer": self.sentence,
                "now": self.now.words,
                "before": self.before.words,
            },
        )

    def __repr__(self) -> str:
        return str(self.facts)

    def _repr_html_(self) -> str:
        return self.facts._repr_html_()


def verify(summary: Summary) -> list[Verification]:
    """An answer for each C library, the worst first; empty where ``summary`` is not of a verifying run."""
    earlier = summary.verifies
    if earlier is None:
        return []
    answers = []
    for libc in dict.fromkeys(row.libc for row in summary.measured(load=0)):
        rows = [row for row in summary.measured(load=0) if row.libc == libc]
        now, before = (
            Side.of([row for row in rows if row.variant == name], earlier.trouble) for name in ("baseline", BEFORE)
        )
        word, sentence = compared(now, before, Suffered(earlier, summary.limit_ms))
        left_out = [row.reason for row in summary.not_applicable if (row.variant, row.libc) == (BEFORE, libc)]
        if left_out and not before.total:
            sentence += f" {sentences.LIKE(reason=left_out[0])}"
        if word == "stays" and summary.unpatched:
            sentence += f" {sentences.UNPATCHED}"
        answers.append(Verification(libc, word, sentence, now, before))
    return sorted(answers, key=lambda answer: WORDS.index(answer.word))


def status(summary: Summary, void: bool) -> int:
    """The exit status that says the answer: 0 gone, 1 not gone, 4 undecided. The worst of all C libraries counts."""
    verified = verify(summary)
    if void or not verified or verified[0].word in ("not enough data", "not here today"):
        return RunInvalid.status
    return 0 if verified[0].word == "gone" else 1


def answers(verified: Sequence[Verification], suffered: Suffered) -> dict[str, str]:
    """An answer to each question that a reader of the page has."""
    several = len({answer.libc for answer in verified}) > 1

    def lines(what: Mapping[str, str]) -> str:
        return " ".join(f"{libc}: {text}" if several else text for libc, text in what.items())

    def did(side: Side) -> str:
        return capitalised(sentences.DID(share=side.words, did=suffered.did))

    return {
        str(sentences.HELPED): lines({answer.libc: answer.sentence for answer in verified}),
        str(sentences.BEFORE): suffered.then,
        str(sentences.NOW_OLD): lines({answer.libc: did(answer.before) for answer in verified}),
        str(sentences.NOW): lines({answer.libc: did(answer.now) for answer in verified}),
    }


def compared(now: Side, before: Side, suffered: Suffered) -> tuple[Word, str]:
    """The answer for one C library, and the sentence that says why."""
    if not now.total or not before.total:
        missing = listed([name for name, side in _named(now, before) if not side.total])
        return "not enough data", sentences.NOT_MEASURED(missing=missing)
    spread = spread_shown(before.count, before.n)
    then = Side((suffered.earlier.count,), (0,), (suffered.earlier.n,))
    # None of few lookups must not pass for a fault that has gone: at the earlier share some would have been seen.
    not_here = all(_ratio(side, then, spread).high < (GONE if side.k else 1.0) for side in (now, before))
    worse, moved = (
        verdicts([difference(ours, now.n, theirs, before.n)])[0].word
        for ours, theirs in ((now.worse, before.worse), (now.count, before.count))
    )
    if worse == "higher":
        shares = [percent(sum(side.worse) / side.total) if any(side.worse) else "none" for side in (now, before)]
        did = str(_WORSE[suffered.earlier.trouble][1])
        return "worse", sentences.MORE_FAIL(now=shares[0], before=shares[1], did=did)
    if not_here and moved != "higher":
        return "not here today", _not_here(before, suffered)
    word, more = _by_count(now, before, spread, moved)
    name, did = suffered.named(_SAID[word]), suffered.did
    both = sentences.COMPARED(word=name, now=now.words, before=before.words, did=did)
    return word, f"{both} {more}".rstrip()


def _by_count(now: Side, before: Side, spread: float, moved: str) -> tuple[Word, str]:
    """The answer where the trouble is there to be compared, and what to add; ``moved`` is the verdict on the
    difference."""
    ratio = _ratio(now, before, spread)
    word: Word = "not enough data"
    if moved == "higher":
        word, more = "worse", ""
    elif ratio.high < GONE:
        word, more = "gone", str(sentences.TENTH_LEFT)
    elif ratio.low >= GONE:
        word, more = ("better but not gone", "") if moved == "lower" else ("stays", str(sentences.NO_DIFFERENCE))
    else:
        more = _more(now, before, spread)
    return word, more


def _named(now: Side, before: Side) -> list[tuple[str, Side]]:
    return [(str(sentences.AS_IT_IS), now), (str(sentences.OLD), before)]


def _ratio(side: Side, base: Side, spread: float) -> Interval:
    """Of shares, ``side`` over ``base``; lookups that have the trouble ``spread`` at a time count as one."""
    return ratio_bounds(side.k / spread, side.total, base.k / spread, base.total)


def _not_here(before: Side, suffered: Suffered) -> str:
    earlier = suffered.earlier
    expected = rounded(before.total * earlier.count / earlier.n, 2)
    lookups = f"{expected} lookup{'' if expected == '1' else 's'}"
    return sentences.NOT_HERE(before=before.words, did=suffered.did, run=earlier.run, expected=lookups)


def _more(now: Side, before: Side, spread: float) -> str:
    """How much more of the same decides it, if shares stay as they are."""
    factor = 1.25
    while factor < MOST_MORE:
        scaled = [Side((side.k * factor,), (0,), (side.total * factor,)) for side in (now, before)]
        ratio = _ratio(scaled[0], scaled[1], spread)
        if ratio.high < GONE or ratio.low >= GONE:
            return sentences.MORE_LOOKUPS(times=rounded(factor, 2))
        factor *= 1.25
    return sentences.NEVER_ENOUGH(times=f"{MOST_MORE:,}")
