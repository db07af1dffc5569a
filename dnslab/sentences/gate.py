"""Whether a run keeps its limits."""

from __future__ import annotations

from dnslab.sentences import Sentence

BAD_GATE = Sentence(
    "--gate: expected a limit like 'slow_share<0.1%' or 'p99<=100ms', saw {seen}. The measures are {measures}.",
    seen="'p98<1ms'",
    measures="stalls_share, p50, p99",
)
NOT_MEASURED = Sentence(
    "{run} has no lookups of {variant}, only of {variants}.", run="latest", variant="use-vc", variants="baseline"
)
NOTHING_MEASURED = Sentence("{run} has no lookups at all.", run="latest")
NOTHING_LEFT = Sentence(
    "{run} cannot be checked: all lookups of {variant} were left out. {left_out}",
    run="latest",
    variant="use-vc",
    left_out="Left out: use-vc on node-1 (too few ports).",
)
OUTAGE = Sentence("There was an outage in what was left out, so the result as a whole is undecided.")

# Why a limit is undecided: these stand after a colon.
RUN_VOID = Sentence("the run is void ({name})", name="trials missing")
CLOSED_LOOP = Sentence("a closed loop shows only throughput and the slowest lookup")
NO_INTERVAL = Sentence("there is no interval")
INSIDE = Sentence("the limit lies inside the interval")
FEW_ROUNDS = Sentence("too few rounds ({rounds} of at least {least})", rounds="2", least="3")
FEW_LOOKUPS = Sentence(
    "too few lookups ({fewest} in a round, {measure} needs {needed})", fewest="450", measure="p999", needed="1,000"
)
