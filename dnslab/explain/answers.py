"""The answer to each question of a reader in a hurry: a few words, and a sentence or two.

Pure: rows of a summary in, words out. Also decides which rows the answer is about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from dnslab.analyse.intervals import MIN_ROUNDS, Interval
from dnslab.analyse.summary import Row, Summary
from dnslab.explain.ranking import Ranked, Word, is_late, moves_median, ranked
from dnslab.plan.faultplan import fault_names
from dnslab.sentences import remedies
from dnslab.text import all_of, counted, estimate_with_bounds, listed, time_ms

#: the name of a veto: flows were used again, on which nothing can race
EXPOSURE_LOST = "exposure lost"
#: configurations that a sentence names one by one
MOST_LISTED = 3


#: what is said of all configurations with one word
_GROUPS = {
    Word.HELPS: remedies.GROUP_HELPS,
    Word.TRADE_OFF: remedies.GROUP_TRADE_OFF,
    Word.NO_DIFFERENCE: remedies.GROUP_SAME,
    Word.WORSE: remedies.GROUP_WORSE,
    Word.TOO_FEW_ROUNDS: remedies.GROUP_ROUNDS,
}


#: costs that are no change of a time
_NOT_TIMES = tuple(map(str, (remedies.COST_NOTHING, remedies.COST_NO_HELP, remedies.COST_CACHE)))


class Answer(str):
    """An answer as text: ``short`` for those in a hurry, then ``detail``, and ``rest`` where there is room."""

    short: str
    detail: str

    def __new__(cls, short: str, detail: str = "", rest: str = "") -> Self:
        stop = "" if short.endswith((".", "!", "?")) or not short else "."
        answer = super().__new__(cls, " ".join(filter(None, [short + stop, detail, rest])))
        answer.short, answer.detail = short, detail
        return answer


def measured(summary: Summary) -> list[Row]:
    """Rows under the first load that have at least one lookup."""
    return [row for row in summary.measured(load=0) if row.n]


def baselines(summary: Summary) -> list[Row]:
    """Baseline's rows under the first load, one for each target."""
    return [row for row in measured(summary) if row.variant == "baseline"]


def leading_baseline(summary: Summary) -> Row | None:
    """Baseline on the target that the answer is about: the one where baseline is worst.

    A target with glibc is preferred, because every configuration applies to it.
    """
    return max(baselines(summary), key=_badness, default=None)


def leading(summary: Summary) -> Row | None:
    """``leading_baseline``; of a run without baseline the row that is worst."""
    return leading_baseline(summary) or max(measured(summary), key=_badness, default=None)


def _badness(row: Row) -> tuple[bool, bool, float, float]:
    bad = row.stalls_share + row.failed_share
    return bool(bad), row.libc == "glibc", bad, row.slow_share


def leading_target(summary: Summary) -> str | None:
    """The target that the answer is about."""
    baseline = leading_baseline(summary)
    return baseline.target if baseline else next((row.target for row in measured(summary)), None)


def leading_others(summary: Summary) -> list[Row]:
    """All other rows of the target that the answer is about."""
    target = leading_target(summary)
    return [row for row in measured(summary) if row.target == target and row.variant != "baseline"]


def what_helps(summary: Summary, baseline: Row, others: Sequence[Row]) -> Answer:
    """Which configurations avoid baseline's trouble."""
    if not others:
        return Answer(str(remedies.ONLY_BASELINE), remedies.ONLY_BASELINE_MORE(target=baseline.target))
    rows = ranked(summary, others)
    if baseline.is_clean and not baseline.slow:
        worse = _group(rows, Word.WORSE)
        return Answer(str(remedies.NOTHING_TO_FIX), " ".join([str(remedies.NOTHING_TO_FIX_MORE), *worse]))
    if 0 in summary.closed_loops:
        return Answer(str(remedies.COMPARED_CLOSED), str(remedies.COMPARED_CLOSED_MORE))
    if all(one.word is Word.TOO_FEW_ROUNDS for one in rows):
        needed = counted(MIN_ROUNDS, "round")
        return Answer(str(remedies.COMPARED_ROUNDS), remedies.COMPARED_ROUNDS_MORE(n=needed))
    clearing, helping = ([one for one in rows if one.word is word] for word in (Word.CLEARS, Word.HELPS))
    detail, rest = [_cleared(clearing)] if clearing else [], list[str]()
    for word in (Word.HELPS, Word.TRADE_OFF, Word.NO_DIFFERENCE, Word.WORSE, Word.TOO_FEW_ROUNDS):
        if word is Word.NO_DIFFERENCE and clearing:
            rest += _group(rows, word)  # of less weight than what helps
        elif clearing or word is not Word.HELPS:
            detail += _group(rows, word)
    if clearing and len(clearing) == len(rows) > 1:
        rest.append(remedies.CLEAR_NAMES(names=listed([one.row.variant for one in clearing])))
    if clearing and "race" in fault_names(summary.fault):
        rest.append(str(remedies.EMULATED))
    where = baseline.libc if summary.fault == "none" else remedies.IN_EMULATION(libc=baseline.libc)
    return Answer(_short(where, rows, clearing, helping), " ".join(detail), " ".join(rest))


def _short(where: str, rows: Sequence[Ranked], clearing: Sequence[Ranked], helping: Sequence[Ranked]) -> str:
    names = [one.row.variant for one in clearing or helping]
    if not names:
        return str(remedies.NOTHING_CLEARS)
    if clearing and len(clearing) == len(rows) > 1:
        return remedies.ALL_CLEAR(all=all_of(len(rows), "alternative"), libc=where)
    if clearing:
        cleared = remedies.SOME_CLEAR_PLURAL if len(names) > 1 else remedies.SOME_CLEAR
        return cleared(names=listed(names), libc=where)
    return (remedies.SOME_HELP_PLURAL if len(names) > 1 else remedies.SOME_HELP)(names=listed(names))


def _cleared(clearing: Sequence[Ranked]) -> str:
    fewest = min(one.row.n for one in clearing)
    if len(clearing) > 1:
        n = counted(fewest, "lookup")
        alike = all(one.row.n == fewest for one in clearing)
        return remedies.CLEAR_MORE(n=n if alike else remedies.AT_LEAST(n=n))
    return remedies.CLEAR_MORE_ONE(name=clearing[0].row.variant, n=counted(fewest, "lookup"))


def _group(rows: Sequence[Ranked], word: Word) -> list[str]:
    those = [one for one in rows if one.word is word]
    shorter = [one.row.variant for one in those if waits_less(one)]
    names = [one.row.variant for one in those if one.row.variant not in shorter]
    said = [remedies.GROUP_SHORTER(names=listed(shorter))] if shorter else []
    return [*said, *([_GROUPS[word](names=listed(names))] if names else [])]


def waits_less(one: Ranked) -> bool:
    """Whether fewer lookups stalled, although as many took 1 s or longer."""
    stalls = one.row.verdicts.get("stalls_share")
    return one.word is Word.NO_DIFFERENCE and stalls is not None and stalls.word == "lower"


def what_spares(judged: str, baseline: Row, others: Sequence[Row]) -> Answer | None:
    """With which configurations trouble was not there that is neither a stall nor a failure.

    ``judged`` is the state of the verdict; None where it is no such trouble, or nothing else was measured.
    """
    if judged == "partial":
        spared, some, none = [row for row in others if not row.partial], remedies.SOME_COMPLETE, remedies.NONE_COMPLETE
    elif judged == "delayed":
        spared, some, none = [row for row in others if not is_late(row)], remedies.SOME_IN_TIME, remedies.NONE_IN_TIME
    else:
        return None
    if not others:
        return None
    names = [row.variant for row in spared]
    if not names:
        return Answer(str(remedies.NOTHING_CLEARS), str(none))
    clear = remedies.SOME_CLEAR_PLURAL if len(names) > 1 else remedies.SOME_CLEAR
    return Answer(clear(names=listed(names), libc=baseline.libc), some(names=listed(names)))


def what_it_costs(summary: Summary, baseline: Row, others: Sequence[Row]) -> Answer:
    """What the median changes by, with the cheapest and the most expensive configuration that helps, or of all."""
    helping = [one.row for one in ranked(summary, others) if one.word in (Word.CLEARS, Word.HELPS)]
    rows = [row for row in helping or others if "p50_ms" in row.effects and math.isfinite(row.effects["p50_ms"].low)]
    rows = sorted(rows, key=lambda row: row.effects["p50_ms"].estimate)
    if not rows:
        return Answer(str(remedies.COST_UNKNOWN))
    moved = [(row.effects["p50_ms"], row.variant) for row in rows if moves_median(row, baseline)]
    same = [row.variant for row in rows if not moves_median(row, baseline)]
    parts = [remedies.COST_MEDIAN(median=time_ms(baseline.p50_ms))] if math.isfinite(baseline.p50_ms) else []
    ends = list(dict.fromkeys([*moved[:1], *moved[-1:]]))
    parts += [
        remedies.COST_EACH(name=name, change=change_in_words(effect), bounds=_bounds(effect)) for effect, name in ends
    ]
    parts += _of_the_slowest(rows)
    cache = bool(helping) and all(row.variant.startswith("node-local") for row in helping)
    if cache:
        parts.insert(0, str(remedies.COST_CACHE_MORE))
    elif helping and any(row.variant.startswith("node-local") for row in helping):
        parts.append(str(remedies.COST_CACHE_TOO))
    rest = remedies.SAME_COST(names=listed(same)) if same else ""
    words = list(dict.fromkeys(change_in_words(effect) for effect, _ in ends))
    if baseline.is_clean and not baseline.slow:
        short = str(remedies.COST_NOTHING)
    elif not helping:
        short = str(remedies.COST_NO_HELP)
    elif cache:
        short = str(remedies.COST_CACHE)
    elif words and all(effect.estimate < 0 for effect, _ in ends):
        short = str(remedies.COST_NOT_SLOWER)
    elif len(words) > 1:
        short = _range([effect for effect, _ in ends], words)
    else:
        short = remedies.COST_ONE(change=words[0]) if words else str(remedies.COST_NONE)
    if summary.backend == "lab" and short not in _NOT_TIMES:
        short = remedies.COST_IN_LAB(cost=short)
        parts.append(str(remedies.COST_LAB_MORE))
    return Answer(short, " ".join(parts), rest)


def _of_the_slowest(rows: Sequence[Row]) -> list[str]:
    """What changes for the slowest lookups, of which a median says nothing."""
    changes = (
        ("p99_ms", "higher", remedies.COST_P99_RISES),
        ("p99_ms", "lower", remedies.COST_P99_FALLS),
        ("slow_share", "higher", remedies.COST_MORE_SLOW),
    )
    said = []
    for measure, word, sentence in changes:
        names = [row.variant for row in rows if measure in row.verdicts and row.verdicts[measure].word == word]
        if names:
            many = len(names) == len(rows) > MOST_LISTED
            said.append(sentence(names=remedies.ALL_THAT_HELP(n=str(len(names))) if many else listed(names)))
    return said


def _range(ends: Sequence[Interval], words: Sequence[str]) -> str:
    """From the smaller change to the larger; the unit and the way are said once if they are the same."""
    (least, _), (first, last) = ends, words
    if least.estimate > 0:
        return remedies.COST_SLOWER(least=first.split()[0], most=" ".join(last.split()[:2]))
    return remedies.COST_RANGE(least=first, most=last)


def change_in_words(effect: Interval) -> str:
    """``"0.11 ms faster"``."""
    estimate, _ = estimate_with_bounds(_size(effect))
    sentence = remedies.FASTER if effect.estimate < 0 else remedies.SLOWER
    return sentence(ms=f"{estimate} ms")


def _bounds(effect: Interval) -> str:
    return estimate_with_bounds(_size(effect))[1]


def _size(effect: Interval) -> Interval:
    """The same without its sign, which a word tells."""
    if effect.estimate >= 0:
        return effect
    return Interval(-effect.estimate, -effect.high, -effect.low)
