"""What the page says between its tables."""

#: paragraphs and items, each wrapped when it is printed
HEAD = """\
# How often a diagnosis is right

`{command} > docs/diagnosis.md` makes this page. It injects faults of known truth into the lab, diagnoses each with \
`dnslab diagnose` as it is by default (at most 3 minutes, at most 50 queries a second for each server), and compares \
the answer with the truth. Each run is a whole diagnosis in a lab of its own, with new clients. The truth is kept \
apart: neither the ladder nor the engine sees it.

- {n} runs: {kinds}.
- Recorded from {began} to {ended} (UTC) on Linux {kernel} with {cpus} CPUs, some labs side by side. The load average \
was {load} in the median, and at most {most_load}. Above 2 the labs had to wait for CPU time now and then.
- Judged by the rules of commit {version}. The recorded rungs are read again each time, so that other rules can be \
judged by the same recordings. Earlier recordings of all faults, and these, served to correct the rules: recorded \
after the rules' last change are {n_since}. Left out are {n_other_way}, for which today's ladder would have gone on \
with a rung that they lack.
- A diagnosis took {healthy} where nothing was injected and {faulty} elsewhere (medians).
- Faults are injected at strengths that users feel: 1 % of lookups by a configuration are touched, 5 % of raw queries \
of an arm, or p99 doubles. Not measured: {unfelt}. Left out, by what was measured, are runs in which nothing was felt: \
{not_felt}.

A run is *right first* if a cause is named as shown or likely and the first one is true. The lab imitates most \
causes, and then no counter moves that would tell the causes of one mechanism apart: such runs are scored by \
mechanism. Where a witness is real (port clash, checksum, capture, truncation, the client's CPU), the cause itself \
has to be named. *Insufficient data* counts as a miss. *Kind* is the coarser answer: pairs, answers from elsewhere, \
flows, any packet, for a time, one server or name, one family, TCP, errors, delay, who answers \
(`bench/confusion/cases.py` lists the mechanisms of each).
"""
FIGURES = """
## Figures

*Second injectors* cause by other means what a cause of the catalogue describes. *Outside the catalogue* are faults that
it does not have. Both were written by somebody who did not read the rules, and `python -m bench.held_out` lists them.
When they were first run, by the rules of a2c29a5, 15 of 21 second injectors and 7 of 11 faults outside the catalogue
were told rightly. The rules were corrected by those runs, too: only these first figures are of faults that nobody had
seen. `other-port` has an entry in the catalogue since. Every figure is of real runs; none is resampled.

Seeds were drawn to see strengths and pairs that are not listed, each once; after each, the rules were corrected. First
results, which nobody had tuned for:

| seed | rules | known faults | both of a pair named | whose halves are told alone |
| --- | --- | --- | --- | --- |
| 11 | 4c755c9 | 47 of 52 | 4 of 13 | |
| 23 | 2504f12 | 46 of 49 | 4 of 12 | |
| 37 | 5d8c588 | | 2 of 14 | |
| 41 | 0667128 | 45 of 49 | 9 of 15 | 7 of 11 |
| 53 | 15b6367 | | 7 of 15 | |
| 67 | 4b31b4b | | 8 of 15 | |
| 79 | 4426b4e | 45 of 48 | 8 of 15 | 7 of 13 |
| 83 | 99bd9ea | 49 of 50 | 11 of 15 | 9 of 13 |
| 89 | ea63105 | 50 of 51 | 12 of 15 | 12 of 15 |

Before seeds 83 and 89, the rules were corrected by hundreds of pairs that were put together from recordings
(`python -m bench.confusion.together`): the losses and delays of two faults, each recorded alone, added up query by
query. So of pairs that nobody has tried, expect both causes in three runs of four, and no wrong one shown (in 439 runs
of these seeds, none was). `clash-late` makes all answers late, too: there, "the servers answer slowly" counts neither
as wrong nor as right.

Bounds are exact and two-sided (Clopper and Pearson). They take runs as independent; runs of one case are alike, so the
bounds for other cases are somewhat wider. "(bound)": the one-sided 95 % bound has to hold, not the share alone.
"""
NEEDED = """\
- {figure}: {wrong} runs are wrong, and the bound that is reached is {reached}. To get it to {goal}, {more} more runs \
are needed, none of them wrong."""
MATRIX = """
## Truth and answer

Each row is a truth, by mechanism; each column what was named first. A column's number is that of the row where it is
right. A dot is 0.
"""
NO_ROW = "Columns without a row of their own: {names}."
PAIRS = """
## Two at once

*Both named*: of the causes that are shown or likely, one is true of each fault. *One named*: the first is true of one
of them.
"""
ALONE = "Of these pairs, {n} {has} halves that are each told alone, in most of their runs."
VALUES = """
## What an answer is worth

How often an answer is true depends on how often each cause is met. No survey says that. These shares are assumptions:
they show how the value of an answer moves with them. All known faults count, each at its strengths alike.
"""
WRONG = """
## All that was wrong

Each run in which a cause was called shown or likely that is not true. Its recording is in the folder of that case and
repetition (`DNSLAB_CONFUSION_DIR`, by default `~/.cache/dnslab-confusion`).
"""
CASES = """
## Each case

*Touched*: lookups of baseline that failed, got one family alone or took 50 ms or more. p99 is of the same lookups. Both
are means of the runs in which the ladder compared configurations of the C library. Faults of TCP touch none of these.
A diagnosis makes about 120 lookups by each configuration and sends about 150 pairs of raw queries: what hits 2 % of
them is seen two or three times, which is often too little to tell a cause.
"""
