"""What a run says first: is it happening, how often, how sure."""

from __future__ import annotations

from dnslab.sentences import Sentence

STALLS_TITLE = Sentence("Stalls found")
SLOW_TITLE = Sentence("Slow lookups, no stalls")
FAILING_TITLE = Sentence("Lookups fail")
PARTIAL_TITLE = Sentence("Addresses are missing")
DELAYED_TITLE = Sentence("Lookups are late")
NONE_TITLE = Sentence("No stalls seen")
VOID_TITLE = Sentence("Cannot tell: run void")
UNKNOWN_TITLE = Sentence("Cannot tell")

STALLS = Sentence(
    "About {often} waited {waited} for an answer that normally takes {median}.",
    often="1 lookup in 15",
    waited="5 s",
    median="0.62 ms",
)
STALLS_ALONE = Sentence("About {often} waited {waited} for an answer.", often="1 lookup in 15", waited="5 s")
STALLS_SHARE = Sentence(
    "On {target}, {share} of {lookups} stalled (95 % interval {bounds}).",
    target="glibc",
    share="6.8 %",
    lookups="8,893 lookups",
    bounds="6.2 to 7.5 %",
)
FAILED_SHARE = Sentence(
    "On {target}, {share} of {lookups} failed (95 % interval {bounds}).",
    target="glibc",
    share="2 %",
    lookups="8,893 lookups",
    bounds="1.1 to 3.2 %",
)
SLOW_SHARE = Sentence(
    "On {target}, {share} of {lookups} took 1 s or longer (95 % interval {bounds}).",
    target="glibc",
    share="2 %",
    lookups="8,893 lookups",
    bounds="1.1 to 3.2 %",
)
PARTIAL_SHARE = Sentence(
    "On {target}, it was {share} of {lookups} (95 % interval {bounds}).",
    target="glibc",
    share="2 %",
    lookups="8,893 lookups",
    bounds="1.1 to 3.2 %",
)
WORST_OF = Sentence("{target} (the worst of {n} with {libc})", target="glibc@node-1", n="3 targets", libc="glibc")
NO_INTERVAL = Sentence(
    "Too few rounds for an interval: {rounds}, and it takes {needed}.", rounds="2 rounds", needed="3"
)
ALSO_ON = Sentence("On {target}, {share} stalled, for {waited} each.", target="musl", share="7.5 %", waited="2.5 s")
OTHERS_CLEAN = Sentence(
    "{configurations} on the same target had no stall and no failure.", configurations="All 5 other configurations"
)
OTHERS_BAD = Sentence("Of the other configurations, {names}.", names="use-vc stalled in 2 %")
STALLED_IN = Sentence("stalled in {share}", share="2 %")
FAILED_IN = Sentence("failed in {share}", share="2 %")
SLOW_IN = Sentence("took 1 s or longer in {share}", share="2 %")

FAILING = Sentence("About {often} failed.", often="1 lookup in 50")
FAILING_ALL = Sentence("{often} failed.", often="Every lookup")
NO_STALL_BESIDE = Sentence("No lookup took {length} or longer.", length="4.5 s")
STALLS_BESIDE = Sentence("{share} took {length} or longer.", share="2 %", length="4.5 s")
SLOW = Sentence(
    "About {often} took 1 s or longer, but none stalled: with {libc}, a stall takes at least {length}.",
    often="1 lookup in 50",
    libc="glibc",
    length="4.5 s",
)
NONE = Sentence(
    "None of {lookups} stalled or failed. If stalls happen here at all, they hit {fewer}.",
    lookups="18,212 lookups",
    fewer="fewer than 1 lookup in 5,000",
)
NONE_BOUND = Sentence(
    "That bound is 95 % sure, for this load and {where}, and for stalls that come evenly over time.",
    where="these 2 targets",
)
SLOWEST = Sentence("The slowest lookup took {slowest}.", slowest="212 ms")
VOID = Sentence("This run cannot be relied on. {reason}.", reason="The machine was too busy")
VOID_FIGURES = Sentence("The figures support no conclusion, neither for stalls nor against.")
EXPOSURE_LOST = Sentence(
    "None of {lookups} stalled on {target}, but too few opened a new flow, and the race needs one.",
    lookups="900 lookups",
    target="glibc",
)
NO_BASELINE = Sentence("No baseline was measured, only {names}.", names="use-vc")
NO_BASELINE_MORE = Sentence("Without a baseline nothing can be compared: add baseline to --variants.")
NOTHING_MEASURED = Sentence("Nothing was measured.")
OWN_LOAD = Sentence("This test's own load may be the reason: {rate} for each configuration.", rate="200 lookups/s")
OWN_LOAD_CLOSED = Sentence("This test's own load may be the reason: it asked as fast as it could.")
CLOSED_LOOP = Sentence(
    "This was a closed loop: a worker that waits sends nothing. So stalls are undercounted; read only throughput and "
    "the slowest lookup."
)
INJECTED = Sentence("Emulated fault: {fault}", fault="race:p=0.05")
INJECTED_MORE = Sentence("This shows what such a fault looks like, not that your cluster has it.")
FAULT_NAME = Sentence("{name} ({fault})", name="conntrack race", fault="race:p=0.05")
FAULT_RACE = Sentence("conntrack race")
FAULT_RACE_IS = Sentence(
    "On purpose, dnslab drops the second packet of {p} of the query pairs that open a new flow.", p="5 %"
)
FAULT_LOSS = Sentence("random packet loss")
FAULT_LOSS_IS = Sentence("On purpose, dnslab drops {p} of all DNS packets.", p="5 %")
FAULT_BUFFER = Sentence("small receive buffers")
FAULT_BUFFER_IS = Sentence(
    "On purpose, dnslab gives each DNS server a receive buffer of only {bytes} bytes.", bytes="16,384"
)
FAULT_SLOW = Sentence("late answers")
FAULT_SLOW_IS = Sentence("On purpose, dnslab holds back every answer for {ms} ms.", ms="1,200")
FAULT_AAAA = Sentence("late AAAA answers")
FAULT_AAAA_IS = Sentence("On purpose, dnslab holds back every AAAA answer for {ms} ms.", ms="1,200")
FAULT_DEAD = Sentence("one dead DNS server")
FAULT_DEAD_IS = Sentence("On purpose, one of the two DNS servers drops everything.")
FAULT_TCP = Sentence("TCP blocked")
FAULT_TCP_IS = Sentence("On purpose, dnslab drops TCP to the DNS servers.")
FAULT_OTHER_IS = Sentence("dnslab made this fault on purpose.")

PLACE_LAB = Sentence("Local lab{on}", on=", kernel 6.18")
PLACE_LOCAL = Sentence("This machine{on}", on=", kernel 6.18")
PLACE_NO_FAULT = Sentence("{place}. No fault injected; not your cluster", place="Local lab, kernel 6.18")
PLACE_CLUSTER = Sentence("Cluster {name}", name="production")
PLACE_A_CLUSTER = Sentence("A cluster")
PLACE_NODES = Sentence("{cluster}, {nodes}", cluster="Cluster production", nodes="3 nodes")
PLACE_IMPORTED = Sentence("Measured with {tool}, not with dnslab", tool="dnsperf")
PLACE_FILE = Sentence("Measured with another tool, not with dnslab")
PLACE_RUNS = Sentence("{runs} compared", runs="2 runs")
TOOK = Sentence("took {span}", span="11 s")
NOT_KNOWN = Sentence("not known")

PATCH_WORSE = Sentence("Worse than before")
PATCH_UNSURE = Sentence("Cannot tell yet: too little data")
PATCH_NOT_HERE = Sentence("Cannot tell: the fault is not here today")

IMPORTED_TITLE = Sentence("Slow {what} found", what="requests")
IMPORTED_FAILING_TITLE = Sentence("{what} fail", what="Requests")
IMPORTED_UNKNOWN_TITLE = Sentence("Cannot tell")
IMPORTED_FOUND = Sentence(
    "About {often} took {limit} or longer with {name}.", often="1 request in 15", limit="4.9 s", name="baseline"
)
IMPORTED_NONE_TITLE = Sentence("No {what} of {limit} or longer seen", what="requests", limit="4.9 s")
IMPORTED_NONE = Sentence(
    "None of {count} took {limit} or longer. If it happens at all, it hits {fewer} (95 % sure). That holds if such "
    "{what} come evenly over time. If they come in bursts, it can be more.",
    what="requests",
    count="18,212 requests",
    limit="4.9 s",
    fewer="fewer than 1 request in 5,000",
)
IMPORTED_FEW_ROUNDS = Sentence("A fault that comes and goes is easily missed in {rounds}.", rounds="3 rounds")
IMPORTED_SHARE = Sentence(
    "With {name}, {share} of {count} took that long ({bounds}).",
    name="baseline",
    share="6.8 %",
    count="8,893 requests",
    bounds="95 % interval 6.2 to 7.5 %",
)
IMPORTED_FAILING = Sentence("About {often} failed with {name}.", often="1 request in 15", name="baseline")
IMPORTED_UNKNOWN = Sentence(
    "The data does not say how many {what} took {limit} or longer.", what="requests", limit="4.9 s"
)
IMPORTED_MORE = Sentence("Another tool measured this. Its data names no cause. A run of dnslab looks for one.")

COMPARED_SAME = Sentence("No change shown")
COMPARED_BETTER = Sentence("Better than before")
COMPARED_WORSE = Sentence("Worse than before")
COMPARED_MIXED = Sentence("Some better, some worse")
COMPARED_NOTHING = Sentence("Cannot compare these runs")
COMPARED_LEAD = Sentence(
    "Of {name} on {target}, {before} stalled in the run before, and {after} in the run {run}.",
    before="6.8 %",
    after="none of 9,011",
    name="baseline",
    target="glibc",
    run="after",
)
COMPARED_CAVEAT = Sentence(
    "Rounds of different runs cannot be paired. Whatever else changed between the runs is in each difference, too."
)
COMPARED_REFUSED = Sentence("None of the rows can be compared: the reasons stand below.")

PARTIAL = Sentence("About {often} got only one kind of address.", often="1 lookup in 15")
PARTIAL_ALL = Sentence("{often} got only one kind of address.", often="Every lookup")
PARTIAL_A = Sentence("{n} got only IPv4 addresses, although the name has IPv6 ones.", n="16 lookups")
PARTIAL_AAAA = Sentence("{n} got only IPv6 addresses. A pod with IPv4 alone cannot connect to them.", n="10 lookups")
DELAYED_ALL = Sentence("The median lookup takes {median}.", median="201 ms")
DELAYED_SOME = Sentence(
    "1 lookup in 100 takes {p99} or more, although the median is {median}.", p99="520 ms", median="0.3 ms"
)
DELAYED_LIMIT = Sentence(
    "That is late: a healthy DNS server in the cluster answers within {p50} at the median, and within {p99} in 99 of "
    "100 lookups.",
    p50="20 ms",
    p99="50 ms",
)
ALSO_FOUND = Sentence("But this was found: {what}.", what="TCP gets no answer")
