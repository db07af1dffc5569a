"""What the commands print on a terminal beside what they found, and while a run goes on."""

from __future__ import annotations

from dnslab.sentences import Sentence

# What became of a configuration, in a table's cell.
BASELINE = Sentence("baseline")
CLEARS = Sentence("clears it")
HELPS = Sentence("helps, in part")
SAME = Sentence("no difference")
WORSE = Sentence("worse")
MIXED = Sentence("mixed")
TOO_FEW_ROUNDS = Sentence("too few rounds")
NOT_COMPARED = Sentence("not compared")
NO_CONCLUSION = Sentence("no conclusion")

# Below the table.
NOT_APPLICABLE = Sentence("Not applicable: {reasons}.", reasons="musl ignores use-vc, single-request")
MORE_ROWS = Sentence("{n} not shown.", n="12 more rows")
MORE_NOTES = Sentence("{n} not shown.", n="2 more notes")
HOW_TO_SEE_ALL = Sentence("All columns: dnslab summary {run} --wide", run="latest")
BY_LOAD = Sentence("Load: {load}", load="200/s (poisson)")
AGAINST_BASELINE = Sentence("Against baseline, paired by round (95 % intervals, verdicts corrected for their number):")

# While a run goes on.
SETTING_UP = Sentence("setting up")
ROUND_OF_ONE = Sentence("round {number}, {variant}", number="2", variant="use-vc")
ROUND_OF_MANY = Sentence("round {number}, {n} side by side", number="2", n="6")
PROGRESS = Sentence(
    "trial {trial} of {trials} ({running}): {lookups}, {rate}/s, {failed} failed, {stalls}",
    trial="7",
    trials="54",
    running="round 2, 6 side by side",
    lookups="12,345 lookups",
    rate="1,200",
    failed="0",
    stalls="3 stalls",
)
LEFT = Sentence("about {time} left", time="2 min 10 s")
LEFT_AT_LEAST = Sentence("at least {time} left", time="2 min 10 s")
STOPPING = Sentence("stopping, keeping what was measured: {lookups} so far", lookups="12,345 lookups")
MORE_CLIENTS = Sentence("and {n}", n="12 more clients")
DONE = Sentence(
    "trial {trials} of {trials}, done in {time}: {lookups}, {failed} failed, {stalls}",
    trials="54",
    time="1 min 40 s",
    lookups="98,765 lookups",
    failed="0",
    stalls="321 stalls",
)

# Where a file is written, and what it lacks.
EXPORTED = Sentence("export: {n} in {path}", n="98,765 lookups", path="lookups.csv")
NO_TERMINAL_FOR_PARQUET = Sentence(
    "parquet is binary: send it to a file or a program, as in `--out - > lookups.parquet`"
)
INCOMPLETE = Sentence("incomplete: {problem}", problem="0003/glibc.dnsr: the stream ends without its trailer")
