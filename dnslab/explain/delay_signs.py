"""Signs of late answers and of errors, and of when, for which name and where lookups are bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dnslab.analyse.observed import HELD_MS, SENT_LATE_MS, Numbers, Observed, Spans
from dnslab.explain.loss_signs import NEARLY_ALL, UNKNOWN, Read, Reader, lookups_of, missing, pick
from dnslab.explain.sign import State, hit_too, most, some
from dnslab.sentences import Sentence, signs as said
from dnslab.text import counted, first_of, span_of, time_ms

#: of lookups: a busy machine delays as many by itself
HELD_NOISE = 0.01
#: the same over TCP, where each lookup needs more of its CPU time
TCP_HELD_NOISE = 0.03
#: of lookups: single errors of a healthy server
ERROR_NOISE = 1e-3
#: a delay that a CPU limit makes is not longer: its period is 100 ms
SHORT_MS = 250.0
#: one median over another from which on it is clearly longer, and twice as long
LONGER, TWICE = 1.4, 1.7
#: delays of which 8 of 10 lie within this factor have one length
CONSTANT = 1.3
#: a shorter time is no outage, but a few packets in a row, s
WINDOW_S = 0.2
#: delays from which on their lengths and their order can be told
MANY = 10
#: what a new flow takes longer, ms, from which on it is clearly slow
FLOW_MS = 0.4
#: lookups over which medians of two configurations can be compared
ENOUGH = 200
MOST_NAMED = 3


def _count(name: str, sentence: Sentence, noise: float) -> Reader:
    def reader(observed: Observed, baseline: Numbers) -> Read:
        k = getattr(baseline, name)
        if k is None:
            return UNKNOWN
        return some(k, baseline.n, noise), sentence(seen=f"{k:,}", lookups=lookups_of(baseline))

    return reader


def nearly_all_one_family(observed: Observed, baseline: Numbers) -> Read:
    """Nearly every lookup gets addresses of IPv4 alone."""
    if baseline.only_a is None:
        return UNKNOWN
    claim = said.ONLY_A(seen=f"{baseline.only_a:,}", lookups=lookups_of(baseline))
    return most(baseline.only_a, baseline.n, NEARLY_ALL), claim


def cache_fails(observed: Observed, baseline: Numbers) -> Read:
    """The node-local cache answers with errors where baseline does not."""
    one = observed.numbers.get("node-local")
    if one is None:
        return missing("node-local")
    claim = said.CACHE_FAILS(seen=f"{one.failed:,}", lookups=lookups_of(one))
    if baseline.failed:
        more = hit_too(one.failed, one.n, baseline.failed, baseline.n, 1.0) is State.YES
        return State.YES if more else State.NO, claim
    return some(one.failed, one.n, ERROR_NOISE), claim


def delay_all(observed: Observed, baseline: Numbers) -> Read:
    """Nearly every lookup is late."""
    if baseline.held is None or baseline.p50_ms is None or baseline.p05_ms is None:
        return UNKNOWN
    ended = baseline.n - baseline.stalls
    claim = said.DELAY_ALL(least=time_ms(baseline.p05_ms), median=time_ms(baseline.p50_ms))
    other = said.NO_DELAY(seen=f"{baseline.held:,}", lookups=lookups_of(baseline), least=time_ms(HELD_MS))
    return pick(most(baseline.held, ended, NEARLY_ALL), claim, other)


def delay_some(observed: Observed, baseline: Numbers) -> Read:
    """Some lookups are late, others are not; beyond what the client's own machine does to their beginning."""
    if baseline.held is None or baseline.p50_ms is None or baseline.p05_ms is None:
        return UNKNOWN
    if baseline.p05_ms >= HELD_MS:
        return State.NO, said.DELAY_ALL(least=time_ms(baseline.p05_ms), median=time_ms(baseline.p50_ms))
    seen = {"seen": f"{baseline.held:,}", "lookups": lookups_of(baseline), "least": time_ms(HELD_MS)}
    state = some(baseline.held, baseline.n, HELD_NOISE)
    if state is State.YES and baseline.sent_late and baseline.sent_late > baseline.held / 2 and not baseline.slow:
        # Its machine, or its CPU limit, holds the client up as often as anything holds answers up.
        state = State.UNCLEAR
    return pick(state, said.DELAY_SOME(**seen, median=time_ms(baseline.p50_ms)), said.NO_DELAY(**seen))


def delay_short(observed: Observed, baseline: Numbers) -> Read:
    """All delays are short, as those of a CPU limit are."""
    if baseline.most_held_ms is None or not baseline.held:
        return State.NOT_MEASURED, str(said.NO_BAD)
    state = State.YES if baseline.most_held_ms < SHORT_MS else State.NO
    return state, said.DELAY_SHORT(most=time_ms(baseline.most_held_ms))


def delay_constant(observed: Observed, baseline: Numbers) -> Read:
    """All delays have the same length, as a timeout has."""
    low, high = baseline.held_p10_ms, baseline.held_p90_ms
    if low is None or high is None or (baseline.held or 0) < MANY:
        return State.NOT_MEASURED, str(said.NO_BAD)
    values = {"low": time_ms(low), "high": time_ms(high)}
    alike = high < CONSTANT * low
    return (State.YES, said.DELAY_CONSTANT(**values)) if alike else (State.NO, said.DELAY_VARIES(**values))


def delays_together(observed: Observed, baseline: Numbers) -> Read:
    """Late lookups come right after each other."""
    when = baseline.held_when
    if when is None or when.after_bad < MANY or baseline.held is None:
        return State.NOT_MEASURED, str(said.NO_BAD)
    claim = said.DELAY_TOGETHER(share=f"{100 * when.bad_after_bad / when.after_bad:.0f} %")
    usual = baseline.held / baseline.n
    if usual > 0.9:
        return State.UNCLEAR, claim
    # Where many are late, some follow each other by chance.
    return most(when.bad_after_bad, when.after_bad, 0.7 if usual < 0.4 else NEARLY_ALL), claim


def _median_with(variant: str, sentence: Sentence, holds: Callable[[float, float], bool]) -> Reader:
    """Whether the median with ``variant`` stands to a late one of baseline as ``holds`` says."""

    def reader(observed: Observed, baseline: Numbers) -> Read:
        one = observed.numbers.get(variant)
        if one is None:
            return missing(variant)
        if one.p50_ms is None or baseline.p50_ms is None:
            return UNKNOWN
        claim = sentence(other=time_ms(one.p50_ms), median=time_ms(baseline.p50_ms))
        seen = baseline.p50_ms >= HELD_MS and holds(one.p50_ms, baseline.p50_ms)
        return State.YES if seen else State.NO, claim

    return reader


def delay_of_tcp(observed: Observed, baseline: Numbers) -> Read:
    """Answers are late over TCP alone."""
    one = observed.numbers.get("use-vc")
    if one is None:
        return missing("use-vc")
    if one.held is None or baseline.held is None:
        return UNKNOWN
    claim = said.DELAY_TCP(
        seen=f"{one.held:,}",
        lookups=lookups_of(one),
        least=time_ms(HELD_MS),
        udp=f"{baseline.held:,} of {baseline.n:,}",
    )
    beyond = some(one.held, one.n, TCP_HELD_NOISE)
    if beyond is not State.YES or (one.sent_late or 0) > one.held / 2:
        return State.NO if beyond is State.NO else State.UNCLEAR, claim
    return hit_too(one.held, one.n, max(1, baseline.held), baseline.n, 2.0), claim


def new_flows_slow(observed: Observed, baseline: Numbers) -> Read:
    """A second flow for the second query makes it longer, although both ask one after the other."""
    one, two = observed.numbers.get("single-request"), observed.numbers.get("single-request-reopen")
    if one is None or two is None:
        return missing("single-request" if one is None else "single-request-reopen")
    if one.p05_ms is None or two.p05_ms is None or min(one.n, two.n) < ENOUGH:
        return UNKNOWN
    # Low quantiles: what a busy machine adds is not in them.
    claim = said.NEW_FLOW_SLOW(two=time_ms(two.p05_ms), one=time_ms(one.p05_ms))
    longer = two.p05_ms > LONGER * one.p05_ms and two.p05_ms - one.p05_ms > FLOW_MS
    return State.YES if longer else State.NO, claim


def _window(observed: Observed, baseline: Numbers) -> tuple[Spans, str] | None:
    when = baseline.bad
    if when is None or not when.trials_bad or when.bad_inside < 5:
        return None
    claim = said.WINDOW(
        start=span_of(when.start_s), end=span_of(when.end_s), inside=f"{when.bad_inside:,}", n=f"{when.n_inside:,}"
    )
    return when, claim


def window(observed: Observed, baseline: Numbers) -> Read:
    """All that is due in some stretch of time is bad, and nothing outside."""
    _, state, claim = _when(observed, baseline)
    return state, claim


def _when(observed: Observed, baseline: Numbers) -> tuple[Spans | None, State, str]:
    """The stretch of baseline. Where other losses hide it, that of TCP, which they spare."""
    state, claim = _dense(observed, baseline)
    tcp = observed.numbers.get("use-vc")
    if state is not State.YES and baseline.stalls and tcp is not None and tcp.bad is not None:
        of_tcp, claim_of_tcp = _dense(observed, tcp)
        if of_tcp is State.YES:
            return tcp.bad, of_tcp, claim_of_tcp
    return baseline.bad, state, claim


def _dense(observed: Observed, numbers: Numbers) -> Read:
    found = _window(observed, numbers)
    if found is None:
        return State.NOT_MEASURED, str(said.NO_BAD)
    when, claim = found
    if when.end_s - when.start_s < WINDOW_S:
        return State.NO, claim
    whole = when.end_s - when.start_s > 0.9 * when.length_s
    dense = most(when.bad_inside, when.n_inside, 0.9)
    if whole or dense is State.NO:
        return State.NO, said.SPREAD(inside=f"{when.bad_inside:,}", n=f"{when.n_inside:,}")
    return dense, claim


def from_start(observed: Observed, baseline: Numbers) -> Read:
    """That stretch begins with each trial, and so with each new client."""
    when, state, claim = _when(observed, baseline)
    if state is not State.YES or when is None:
        return state, claim
    early = when.start_s <= 0.1 * when.length_s and when.trials_bad >= max(2, when.trials - 1)
    return State.YES if early else State.NO, claim


def one_name(observed: Observed, baseline: Numbers) -> Read:
    """Some names are nearly always bad, all others hardly ever."""
    names = baseline.names
    if len(names) < 2:
        # Of one name alone all may be bad for any reason; what is answered now and then is not what this is about.
        often_good = any(most(n_bad, n, NEARLY_ALL) is State.NO for n, n_bad in names.values())
        return State.NO if often_good else State.NOT_MEASURED, str(said.ONE_NAME_ONLY)
    bad = [name for name, (n, n_bad) in names.items() if n_bad >= 0.8 * n and n_bad >= 3]
    all_bad = sum(n_bad for _, n_bad in names.values())
    if all_bad < 5:
        return State.NOT_MEASURED, str(said.NO_BAD)
    rest = [(n, n_bad) for name, (n, n_bad) in names.items() if name not in bad]
    if not bad or not rest:
        return State.NO, said.ALL_NAMES(n=counted(len(names), "name"))
    rest_n, rest_bad = (sum(pair[i] for pair in rest) for i in (0, 1))
    those = first_of(bad, MOST_NAMED)
    claim = said.ONE_NAME(bad=f"{all_bad - rest_bad:,}", names=those, other=f"{rest_bad:,} of {rest_n:,}")
    hit = hit_too(rest_bad, rest_n, all_bad - rest_bad, sum(names[name][0] for name in bad), 0.1)
    return hit.opposite, claim


def one_target(observed: Observed, baseline: Numbers) -> Read:
    """Baseline is bad on some targets and spared on others."""
    targets = observed.targets
    if len(targets) < 2:
        return State.NOT_MEASURED, str(said.ONE_TARGET_ONLY)
    bad = {name for name, (n, n_bad) in targets.items() if some(n_bad, n) is State.YES}
    claim = said.ONE_TARGET(bad=str(len(bad)), n=str(len(targets)))
    if not bad or len(bad) == len(targets):
        return State.NO, claim
    sides = [[pair for name, pair in targets.items() if (name in bad) == side] for side in (True, False)]
    (n, k), (rest_n, rest_k) = ([sum(pair[i] for pair in side) for i in (0, 1)] for side in sides)
    return hit_too(rest_k, rest_n, k, n).opposite, claim


def sent_late(observed: Observed, baseline: Numbers) -> Read:
    """Lookups begin late: something holds the client itself up."""
    if baseline.sent_late is None:
        return UNKNOWN
    claim = said.SENT_LATE(seen=f"{baseline.sent_late:,}", lookups=lookups_of(baseline), least=time_ms(SENT_LATE_MS))
    return some(baseline.sent_late, baseline.n, 0.2), claim


def slow_second(observed: Observed, baseline: Numbers) -> Read:
    """Some lookups take 1 s or more without a stall."""
    if baseline.slow is None:
        return UNKNOWN
    return some(baseline.slow, baseline.n), said.DELAY_SECOND(seen=f"{baseline.slow:,}", lookups=lookups_of(baseline))


def errors(observed: Observed, baseline: Numbers) -> Read:
    """Some lookups end early with an error, or with addresses of one family alone."""
    parts = (baseline.failed_early, baseline.only_a, baseline.only_aaaa)
    if all(part is None for part in parts):
        return UNKNOWN
    failed, only_a, only_aaaa = (part or 0 for part in parts)
    lookups = lookups_of(baseline)
    claims = [
        sentence(seen=f"{k:,}", lookups=lookups)
        for k, sentence in ((only_aaaa, said.ONLY_AAAA), (failed, said.FAILS_FAST), (only_a, said.ONLY_A))
        if k
    ]
    claim = " ".join(claims) or said.FAILS_FAST(seen="0", lookups=lookups)
    return some(failed + only_a + only_aaaa, baseline.n, ERROR_NOISE), claim


READERS: Mapping[str, Reader] = {
    "errors": errors,
    "fails-fast": _count("failed_early", said.FAILS_FAST, ERROR_NOISE),
    "only-a": _count("only_a", said.ONLY_A, ERROR_NOISE),
    "only-aaaa": _count("only_aaaa", said.ONLY_AAAA, ERROR_NOISE),
    "always-only-a": nearly_all_one_family,
    "cache-fails": cache_fails,
    "delay-all": delay_all,
    "delay-some": delay_some,
    "delay-second": slow_second,
    "delay-short": delay_short,
    "delay-constant": delay_constant,
    "delays-together": delays_together,
    # Without AAAA queries there is no delay; queries one after the other take it twice.
    "delay-of-aaaa": _median_with("no-aaaa", said.DELAY_AAAA, lambda other, usual: other < usual / 3),
    "delay-twice": _median_with("single-request", said.DELAY_TWICE, lambda other, usual: other >= TWICE * usual),
    "delay-of-tcp": delay_of_tcp,
    "new-flows-slow": new_flows_slow,
    "window": window,
    "from-start": from_start,
    "one-name": one_name,
    "one-target": one_target,
    "sent-late": sent_late,
}
