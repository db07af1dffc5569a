"""Whether a run can be trusted: each check, what it looks at, and what the run cannot show."""

from __future__ import annotations

from dnslab.sentences import Sentence

COMPLETE = Sentence("All trials complete")
COMPLETE_SAID = Sentence("{done} of {all} trials, {rounds}", done="54", all="54", rounds="9 rounds")
STOOD_STILL = Sentence("The probe never stood still")
STOOD_STILL_SAID = Sentence("No pause in any trial")
SCHEDULE = Sentence("The load kept its schedule")
SCHEDULE_SAID = Sentence(
    "At most {share} of lookups started over 10 ms late (limit {limit})", share="0.06 %", limit="1 %"
)
WORKERS = Sentence("Enough workers")
WORKERS_SAID = Sentence(
    "At most {share} of lookups found all workers busy (limit {limit})", share="0.06 %", limit="1 %"
)
EXPOSURE = Sentence("Lookups could meet the race")
EXPOSURE_SAID = Sentence("Clients and their flows were new in each trial")
EXPOSURE_SAID_OLD = Sentence("Enough lookups opened a new flow, by a model of port reuse")
PORTS = Sentence("Enough ports")
PORTS_SAID = Sentence("At most {share} of the ports in TIME_WAIT (limit {limit})", share="4 %", limit="40 %")
THROTTLED = Sentence("No pod throttled")
THROTTLED_SAID = Sentence(
    "Its own CPU limit stopped a pod in at most {share} of periods (limit {limit})", share="2 %", limit="10 %"
)
CPU = Sentence("CPU not saturated")
CPU_SAID = Sentence("At least {share} idle in every trial (limit {limit})", share="49 %", limit="10 %")
OUTPUT = Sentence("Results were read in time")
OUTPUT_SAID = Sentence("Workers never waited for dnslab")
ROUNDS = Sentence("Enough rounds for intervals")
ROUNDS_SAID = Sentence("{rounds} (at least {needed})", rounds="9 rounds", needed="3")
NODE_CACHE = Sentence("Baseline asked no cache on its node")
NODE_CACHE_SAID = Sentence("By its configuration and the counters")
MIXED = Sentence("C library and kernel stayed the same")
MIXED_SAID = Sentence("On every target, in all trials")
CLOCKS = Sentence("Clocks agree")
CLOCKS_SAID = Sentence("Known to {error} at worst (limit {limit})", error="0.4 ms", limit="50 ms")
WALL_CLOCK = Sentence("Nobody set the clock")
WALL_CLOCK_SAID = Sentence("The machine did not sleep either")
LOST_WORKERS = Sentence("No worker lost")
LOST_WORKERS_SAID = Sentence("All were there until the end")
GIVEN_UP = Sentence("No lookup given up")
GIVEN_UP_SAID = Sentence("All came back before the deadline")
SETTLED = Sentence("Warm-up long enough")
SETTLED_SAID = Sentence("Trials began as fast as they went on")
WARMTH = Sentence("Caches equally warm")
WARMTH_SAID = Sentence("First lookups of a name were no slower than baseline's")
DRIFT = Sentence("No drift over the rounds")
DRIFT_SAID = Sentence("Medians and shares neither rose nor fell steadily")

ALL_PASSED = Sentence("All {n} passed", n="16 checks")
SOME_FAILED = Sentence("{n} failed", n="2 checks")
SOME_LEFT_OUT = Sentence("{n} failed in a part", n="1 check")
LEFT_OUT = Sentence("That part is left out of all figures; the rest is sound.")
SOME_NOTED = Sentence("{n} passed, {noted} noted", n="14 checks", noted="2")
BEAR_IN_MIND = Sentence("Note: {notes}.", notes="the lab is one machine")

EMULATED = Sentence("The fault is emulated")
EMULATED_RACE = Sentence(
    "The emulation cannot hit sequential queries, a second socket, TCP or the node-local cache. It shows that stalls "
    "are measured, not that these remedies work on a kernel that drops packets."
)
EMULATED_OTHER = Sentence(
    "The fault {fault} was injected. Nothing here says how often it occurs elsewhere.", fault="loss"
)
LAB = Sentence("The lab is one machine")
LAB_SAID = Sentence(
    "Client, node and servers share its CPUs, and its links add no delay. Expect longer times in a real network."
)
LOCAL = Sentence("This machine does other work too")
LOCAL_SAID = Sentence("Its ports and flows are shared with everything else that runs on it.")
CLUSTER = Sentence("The cluster does other work too")
CLUSTER_SAID = Sentence("Its nodes and DNS servers are shared with everything else that runs there.")
OWN_LOAD = Sentence("This test's own load may be the reason")
OWN_LOAD_SAID = Sentence("A server that lacks room may lack it for this test alone. Measure at less load, too.")
UNKNOWN_NAMES = Sentence(
    "Before the run, {names} got no answer or an error. So any address counts as right. "
    "--expect says what should come.",
    names="web.default",
)
UNKNOWN_NAMES_TITLE = Sentence("Expected addresses not known")
NOT_COPIED = Sentence("The pods differ from the workload's")
CLOSED_LOOP = Sentence("A closed loop undercounts stalls")
CLOSED_LOOP_SAID = Sentence(
    "While a worker waits, it sends nothing. Read only throughput and the slowest lookup; no effects are given."
)
DETECTABLE = Sentence("What this run could have seen")
DETECTABLE_STALL = Sentence(
    "Nine runs in ten like this one would see at least one stall if {share} of lookups stalled.", share="0.03 %"
)
DETECTABLE_DIFFERENCE = Sentence(
    "They would show a difference from a configuration without stalls if {share} stalled.", share="0.2 %"
)
FEW_EVENTS = Sentence("Few stalls, in bursts")
FEW_EVENTS_SAID = Sentence(
    "The stalls of {names} came in bursts, and there are few of them. The true share may lie above the interval.",
    names="baseline on glibc (9)",
)
REPEATS = Sentence("The intervals cover repeats of this run: same machines, same load, same hour.")
TRUST_HEADING = Sentence("Can you trust this run?")
VOID_HEADING = Sentence("What went wrong")
IMPORTED_HEADING = Sentence("What this data cannot show")
COMPARED_HEADING = Sentence("What else differs")
IMPORTED_CHECKS = Sentence("dnslab did not measure this, so it cannot check how the measurement went.")
