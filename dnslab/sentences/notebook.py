"""What a notebook says: what an object is, how to go on, and what was shown in place of a run."""

from __future__ import annotations

from dnslab.sentences import Sentence

RUN = Sentence("Run {name}", name="20261129T120000Z-compare")
SUMMARY = Sentence("Summary of {name}", name="20261129T120000Z-compare")
PLAN = Sentence("Plan {name}", name="compare")
COMPARISON = Sentence(
    "Changes from {before} to {after}", before="20261128T120000Z-compare", after="20261129T120000Z-compare"
)
VERIFICATION = Sentence("{word} ({libc})", word="gone", libc="glibc")

TRIALS = Sentence("{rounds} of {variants}", rounds="9 rounds", variants="baseline, use-vc and 3 more")
LOAD = Sentence("{load}, {seconds} s for each trial", load="200/s (poisson)", seconds="10")
PLACE = Sentence("{backend}: {where}", backend="lab", where="glibc 2.36, musl 1.2.3")
INJECTED = Sentence("{fault} is injected, so the stalls are not those of a real network", fault="race:p=0.05")
SIZE = Sentence("{trials}, {lookups} with warm-up, {size}", trials="90 trials", lookups="89,760 lookups", size="3.7 MB")
COMPLETE = Sentence("complete")
MISSING = Sentence("{missing} of {trials} missing or incomplete", missing="2", trials="90 trials")
TO_RESUME = Sentence("{what}. {call} measures what is missing", what="2 of 90 trials missing", call="`dnslab.resume`")
LEFT_OUT = Sentence("read without {clients} that cannot be relied on", clients="2 trials")
UNREADABLE = Sentence("cannot be read: {why}", why="results/x is damaged")

PLAN_STATE = Sentence("not measured: `run = dnslab.run(plan)` measures it")
PLAN_TIME = Sentence("{time} at least, and longer where lookups stall", time="2 min")

COUNTED = Sentence("{lookups}, {stalls}, {failed} failed", lookups="89,760 lookups", stalls="609 stalls", failed="0")
STALLED = Sentence(
    "{variant} on {target}: {stalls} of {lookups} stalled",
    variant="baseline",
    target="glibc",
    stalls="609",
    lookups="8,976 lookups",
)
SUMMARY_MORE = Sentence("`dnslab.by_configuration(summary)` has all numbers, `summary.to_frame()` as a frame")

COMPARED = Sentence("{compared} compared, {refused} refused", compared="6 configurations", refused="2")
VERDICTS = Sentence("{lower} lower, {higher} higher, {other} not shown to differ", lower="3", higher="0", other="15")
IN_ONE_RUN = Sentence("{n} measured in one run only", n="2 configurations or targets")
CONDITIONS = Sentence("{n} that could explain a change", n="3 other differences")
NOTHING_COMPARED = Sentence("Nothing was compared.")
NOTHING_DIFFERS = Sentence("Nothing else is known to differ between the runs.")

INTERRUPTED_EARLY = Sentence("Interrupted before anything was measured. Nothing was kept, because there was nothing.")
SAMPLE_SHOWN = Sentence(
    "{why}. What follows is the sample run that comes with dnslab, measured elsewhere.", why="no lab can be had here"
)
SAMPLE_TWICE = Sentence(
    "There are not two runs yet. What follows is the sample run that comes with dnslab, beside itself."
)
