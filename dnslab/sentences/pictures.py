"""Words around pictures and tables: how to read them, and what they show."""

from __future__ import annotations

from dnslab.sentences import Sentence

SHARE_CAPTION = Sentence("Share of lookups that stalled (had to ask again), with 95 % interval")
FAILED_CAPTION = Sentence("Share of lookups that failed, with 95 % interval")
SLOW_CAPTION = Sentence("Share of lookups of 1 s or longer, with 95 % interval")
PARTIAL_CAPTION = Sentence("Share of lookups that got only one kind of address, with 95 % interval")
LATE_CAPTION = Sentence("Share of lookups of {limit} or longer, with 95 % interval", limit="20 ms")
NONE_CAPTION = Sentence("No stall seen. The bar shows how many there may still be (95 % sure)")
IMPORTED_CAPTION = Sentence("Share of {what} of {limit} or longer, with 95 % interval", what="requests", limit="4.9 s")
TWO_INTERVALS = Sentence("Filled dot: share, with its interval over rounds. Open dot: none seen, with an upper bound.")
LOG_AXIS = Sentence("The scale is logarithmic; 0 stands apart, left of the break.")

WHY_HEAD = Sentence(
    "The best supported cause comes first. Shown: a kernel counted it. Likely: it fits best with "
    "what was measured. Possible: others fit as well, or something was not measured."
)
HELPS_HEADING = Sentence("What helps, and what it costs")
PATCH_HEADING = Sentence("Before and after the patch")
COMPARED_HEADING = Sentence("What changed")
HELPS_HEAD = Sentence(
    "Each configuration ran beside baseline (no change), in the same {rounds}. The dot is what was measured. The bar "
    "is its 95 % interval, from how rounds differ.",
    rounds="9 rounds",
)
OPEN_DOT = Sentence(
    "An open dot: none was seen. Its bar ends at the highest share that is still possible (95 % sure, if {what} are "
    "independent).",
    what="lookups",
)
HELPS_NO_LOAD = Sentence("Queries to the DNS servers were not counted.")
HELPS_WORST = Sentence(
    "Of the targets with {libc}, this table shows the worst, {target}.", libc="glibc", target="glibc@node-1"
)
HELPS_OTHER_LOADS = Sentence(
    "This table shows the first load, {load}. See Details for the others.", load="200/s (poisson)"
)
NOW_HEAD = Sentence("Replace the marked names. One click on a block selects all of it.")
TAILS_HEADING = Sentence("How long lookups take")
WHEN_HEADING = Sentence("When and where")
DETAILS_HEADING = Sentence("Details")
TAILS_HEAD = Sentence(
    "Read a point as: this share of lookups took longer than this. Where a curve runs flat, no lookup ended."
)
TAILS_TIMEOUT = Sentence(
    "A flat part that ends at the dotted line is of stalls: these lookups waited until the resolver asked again."
)
TAILS_SCALES = Sentence("Both scales are logarithmic: each step is ten times the one before.")
TAILS_ENDS = Sentence("Each curve is of {n}, so its last step is at {end}.", n="8,893 lookups", end="1 in 8,893")
ASKS_AGAIN = Sentence("{libc} asks again after {step}", libc="glibc", step="5 s")
WAIT_AT = Sentence("{share} took {length} or longer", share="6.8 %", length="4.5 s")
ALL_WITHIN = Sentence("all within {slowest}", slowest="31 ms")
FAILED_OF = Sentence("{share} failed", share="2 %")
OTHERS = Sentence("{n} others", n="4")
TIMELINE_PART = Sentence(
    "Round {round}, from {start}: {bad} of {n} ({share})", round="1", start="0:12", bad="12", n="193", share="6.2 %"
)
STEADY = Sentence("Steady throughout: no round stands out.")
SPELL = Sentence(
    "{name} went bad from {start} to {end} ({rounds}): {share}, else {usual}.",
    name="baseline",
    start="1:20",
    end="1:45",
    rounds="rounds 3 to 4",
    share="34 %",
    usual="0.2 %",
)
NOTHING_WENT_BAD = Sentence("Nothing stalled or failed at any time.")
NOTHING_BUT_SLOW = Sentence("Nothing stalled or failed at any time. Lookups that were only slow are not drawn here.")
HEAT = Sentence("Share that stalled by target and configuration, the worst first.")
HEAT_FAILED = Sentence("A second figure is the share that failed.")
HEAT_MORE = Sentence("{n} are not shown here; Details has all.", n="3 more targets")
TRUST_HEAD = Sentence(
    "These checks look at how the run went, not at what it found. One failed check voids the verdict."
)
TRUST_LEFT_OUT = Sentence("What failed a check is left out of all figures; the rest is sound.")
IMPORTED_DETAILS = Sentence("All figures, how they came to be, and what the words mean.")
IMPORTED_BY = Sentence("{tool} measured this. dnslab only read what it wrote.", tool="dnsperf")
IMPORTED_BY_OTHER = Sentence("Another tool measured this. dnslab only read what it wrote.")
IMPORTED_LIMIT = Sentence("Counted as slow: {what} of {limit} or longer.", what="requests", limit="4.9 s")
IMPORTED_ROUNDS = Sentence("Rounds of each configuration: {rounds}.", rounds="baseline 3 and use-vc 2")
IMPORTED_PAIRED = Sentence("Rounds of equal number are compared with each other (paired, t intervals).")
IMPORTED_UNPAIRED = Sentence(
    "The mean shares of the rounds are compared, because rounds of equal number do not belong together (Welch's t)."
)
IMPORTED_VERDICTS = Sentence("All verdicts of one measure together err in at most 5 % of such comparisons (Holm).")
COMPARED_DETAILS = Sentence("All changes in numbers, measure by measure.")
DETAILS_HEAD = Sentence("All figures, the method, the machine, the limits, and what the words mean.")
METHOD_ROUNDS = Sentence(
    "Each round measures every configuration once, {order}. Each trial uses new clients with new sockets.",
    order="all side by side",
)
METHOD_INTERVALS = Sentence(
    "Intervals are over rounds, never over single lookups, because lookups of one trial share its minute. Without a "
    "stall the bound is exact and takes lookups as independent."
)
METHOD_VERDICTS = Sentence(
    "Differences are paired by round. All verdicts of one measure together err in at most 5 % of runs (Holm's "
    "correction)."
)
METHOD_WARM_UP = Sentence(
    "Lookups of the warm-up are in no share and in no time. Counters of kernels and servers include them."
)
METHOD_FAILED = Sentence("Failed lookups stay in every share, and count as slower than any answered one.")
METHOD_STALL = Sentence(
    "A stall is a lookup that took at least 0.9 of the resolver's first timeout: {limits}.", limits="4.5 s on glibc"
)
MADE_BY = Sentence(
    "Made by dnslab {version}. This page is one file: it runs no script and loads nothing. Each mark has a shape as "
    "well as a colour.",
    version="0.1.0",
)
IMPORTED_DOT = Sentence("The dot is what was measured. The bar is its 95 % interval, from how rounds differ.")
IMPORTED_DOT_FEW = Sentence(
    "With fewer than 3 rounds, the bar is an interval that takes all {what} as independent.", what="requests"
)
IMPORTED_MEDIAN = Sentence("{change} than {base}; may be chance", change="0.6 ms slower", base="baseline")
NOT_A_RESULT = Sentence("not a result: the run is void")
IMPORTED_FOOTER = Sentence(
    "Made by dnslab from another tool's data. This page is one file: it runs no script and loads nothing."
)
COMPARED_HEAD = Sentence(
    "Each row is one configuration on one target. Differences are later minus earlier, with 95 % intervals."
)
COMPARED_FOOTER = Sentence("Made by dnslab. This page is one file: it runs no script and loads nothing.")
G_CONFIGURATION = Sentence(
    "One way to set up the resolver, for example with an option in resolv.conf. The code calls it variant."
)
G_BASELINE = Sentence("The resolver as it is, without any change.")
G_LOOKUP = Sentence("One call for the addresses of a name. It sends one or more queries.")
G_QUERY = Sentence("One question to a DNS server: A asks for IPv4 addresses, AAAA for IPv6 addresses.")
G_STALL = Sentence("A lookup that waited until the resolver asked again, because an answer did not come.")
G_FAILED = Sentence("A lookup that brought no address, or not the expected ones.")
G_ROUND = Sentence("One pass over all configurations. Intervals come from how rounds differ.")
G_TARGET = Sentence("Where lookups are made: a pod, a namespace or this machine. It has one C library.")
G_CONNTRACK = Sentence("Connection tracking, by which a node's kernel remembers flows.")
G_MEDIAN = Sentence("Half of all lookups are faster, half are slower (p50). p99: 1 in 100 is slower.")
G_INTERVAL = Sentence("In 95 of 100 repeats such an interval holds the true value.")

# Around the pictures of notebooks.
READ_CURVES = Sentence(
    "Read a point as: this share of lookups took longer than this. Left and steep is good. A flat shelf is lookups "
    "that all waited equally long; its height is how many. A cross marks the share that failed. The picture does not "
    "show when or why."
)
NO_CURVE = Sentence("Every lookup failed with {names}, so there is no curve for it.", names="use-vc on musl")
READ_SECONDS = Sentence(
    "A level line: stalls do not depend on how long a trial has run. A falling line: later lookups used the flows of "
    "earlier ones again, and those cannot stall. All rounds are added up; the tables have intervals."
)
READ_SWEEP = Sentence(
    "Each row is one configuration; all rows share their scales. Left: the share that stalled, with its 95 % interval. "
    "A cross is the share that failed. Right: p99 of response time, on a logarithmic scale. It has no point where too "
    "many lookups failed. A level row does not depend on the {swept}. To compare configurations, use the tables.",
    swept="load",
)
SWEEP_CLOSED = Sentence("While a worker waits, it sends nothing. A closed loop therefore undercounts stalls.")
NOT_DRAWN = Sentence("Only the worst are drawn. {n} with fewer stalls are not.", n="3 curves")
ITS_NUMBERS = Sentence("The numbers of this picture")
ALT_CURVES = Sentence("Share of lookups not yet answered, by response time.")
ALT_CURVE = Sentence(
    "{whose}: {slow} took 1 s or longer, median {median}, slowest {slowest}, {failed} failed.",
    whose="baseline on glibc",
    slow="6.8 %",
    median="0.62 ms",
    slowest="5,005 ms",
    failed="none",
)
