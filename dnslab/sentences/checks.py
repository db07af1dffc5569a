"""Why a run, or a part of it, cannot be trusted. Of each check: what was seen, then what to do."""

from __future__ import annotations

from dnslab.sentences import Sentence

VOID = Sentence("Cannot tell: this run is void.")
REASON = Sentence("{name}: {seen}", name="Generator too slow", seen="1.2 % of use-vc lookups started too late.")
MORE_PLACES = Sentence("{seen} That happened {times}.", seen="The CPU was busy.", times="2 more times")

LEFT_OUT = Sentence("Left out: {parts}.", parts="node-3 (CPU saturated in 9 of its 15 trials)")
LEFT_OUT_PART = Sentence(
    "{places} ({why}).", places="round 4 on node-2", why="CPU saturated in 1 of the 15 trials there"
)
IN_TRIALS = Sentence("{name} in {n} of {trials}.", name="CPU saturated", n="9", trials="its 15 trials")
ITS_TRIALS = Sentence("its {trials}", trials="15 trials")
THEIR_TRIALS = Sentence("their {trials}", trials="30 trials")
TRIALS_THERE = Sentence("the {trials} there", trials="15 trials")

TRIAL = Sentence(
    "trial {number} ({variant}, round {round}, {target})", number="4", variant="baseline", round="4", target="glibc"
)
TRIAL_MISSING = Sentence("{trial} is missing", trial="trial 4 (baseline, round 4, glibc)")
TRIAL_INTERRUPTED = Sentence("{trial} was interrupted", trial="trial 4 (baseline, round 4, glibc)")
TRIAL_STOPPED = Sentence("{trial} was stopped", trial="trial 4 (baseline, round 4, glibc)")
TRIAL_LOST_WORKERS = Sentence("{trial} lost workers", trial="trial 4 (baseline, round 4, glibc)")
TRIAL_FAILED = Sentence("{trial} failed", trial="trial 4 (baseline, round 4, glibc)")
TRIALS_MISSING = Sentence("{first}.", first="Trial 4 (baseline, round 4, glibc) was interrupted")
MORE_TRIALS_MISSING = Sentence(
    "{first}. Not complete either: {more}.", first="Trial 4 (baseline, round 4, glibc) failed", more="2 more trials"
)
MEASURE_MISSING = Sentence("Complete the run with {command}.", command="`dnslab run --resume results/latest`")
STILL_RUNNING = Sentence("This run is still being measured. Wait until it has ended.")
ASK_THE_SENDER = Sentence("Ask the sender to resume the run.")

PROBE_STOPPED = Sentence(
    "The probe or its machine was stopped for {length} ({variant} on {target}, round {round}).",
    length="2.6 s",
    variant="baseline",
    target="glibc",
    round="1",
)
STOPPED_IS_NOT_DNS = Sentence(
    "Lookups that were under way got slow because of this. That says nothing about DNS. Run again."
)

LATE = Sentence(
    "{share} of {variant} lookups on {target} started more than {late} late.",
    share="1.2 %",
    variant="use-vc",
    target="glibc",
    late="10 ms",
)
RAISE_LIMIT = Sentence("Raise the pod's CPU limit, or lower --rate.")
FREE_CPUS = Sentence("Lower --rate, or stop other work on this machine.")
FREE_NODE = Sentence("Find out what else keeps the node busy, or lower --rate.")

EXHAUSTED = Sentence(
    "{share} of {variant} lookups on {target} found no free worker: all of them were still waiting for DNS.",
    share="3.2 %",
    variant="baseline",
    target="node-2",
)
MORE_WORKERS = Sentence(
    "The DNS servers answered most lookups in time. Use more workers (-c) to see how many lookups stall."
)
OUTAGE = Sentence(
    "DNS really was down: its servers did not answer in time. Check their CPU, their CPU limit and the network. "
    "More workers would only send them more queries."
)

FEW_NEW_FLOWS = Sentence(
    "Only about {share} of {variant} lookups opened a new flow, and only a new flow can hit the race.",
    share="90 %",
    variant="baseline",
)
CLIENTS_REUSE_PORTS = Sentence("Lower --rate: clients that already run reuse their old ports.")
LOOP_REUSES_FLOWS = Sentence("A closed loop reuses its flows. Use --rate to avoid that.")
EXPOSURE_FELL = Sentence(
    "New flows per {variant} lookup on {target} fell from {most} to {least}.",
    variant="baseline",
    target="glibc",
    most="0.92",
    least="0.41",
)
LESS_EXPOSED = Sentence(
    "Fewer lookups could hit the race than planned. Check for leftover connections, a high rate or a busy machine."
)

PORTS_IN_USE = Sentence(
    "{share} of the {ports} ports were still closing (TIME_WAIT) after a trial of {variant} on {target}.",
    share="93 %",
    ports="64,512",
    variant="use-vc",
    target="node-2",
)
PORTS_LIMIT_THROUGHPUT = Sentence("The ports limit its lookups per second. Make the trials shorter.")
FEWER_CONNECTIONS = Sentence("Stay below {rate} connections per second, or make the trials shorter.", rate="537")

THROTTLED = Sentence(
    "The pod reached its own CPU limit in {n} of {trials}. In the worst one it had to pause in {share} of all 100 ms "
    "periods.",
    n="3",
    trials="9 trials",
    share="40 %",
)
CPU_BUSY = Sentence("The CPU was more than {share} busy in {n} of {trials}.", share="90 %", n="14", trials="54 trials")
CLOSED_LOOP_LOADS = Sentence("A closed loop loads the machine by itself. Do not read latency from it.")

OUTPUT_BLOCKED = Sentence(
    "dnslab could not keep up with its own results: workers waited {length} in total.", length="2 s"
)
FASTER_DISK = Sentence("This machine, or its disk, is too slow for this load. Lower --rate, or use a faster one.")

FEW_ROUNDS = Sentence("This run has {rounds}. An interval needs {least} or more.", rounds="1 round", least="3")
USE_ROUNDS = Sentence("Use --rounds {least} or more; more rounds give narrower intervals.", least="3")

MIXED = Sentence(
    "The C library or kernel of {target} changed during the run: {kinds}.",
    target="node-1",
    kinds="glibc 2.36, 6.1 and glibc 2.41, 6.1",
)
START_ANEW = Sentence("Trials from before and after the change cannot be compared. Start a new run.")

CLOCK_UNCERTAIN = Sentence(
    "One clock is accurate only to {error}, so simultaneous trials may have started that far apart.", error="80 ms"
)
RUN_CLOSER = Sentence("Run dnslab closer to the API server.")
WALL_CLOCK_MOVED = Sentence(
    "The wall clock jumped {way} by {step}, {at} into the run or later.", way="back", step="3,600 s", at="12 s"
)
FORWARD = Sentence("forward")
BACK = Sentence("back")
MEASURE_AGAIN = Sentence("Run again.")
CLOCK_NOT_USED = Sentence("Latencies do not depend on this clock. But if the machine slept, run again.")

WORKERS_LOST = Sentence(
    "{workers} got stuck in the resolver, and dnslab could not replace all of them ({variant} on {target}, "
    "round {round}).",
    workers="3 workers",
    variant="baseline",
    target="glibc",
    round="2",
)
SHORTER_TRIAL = Sentence("DNS really was down. A shorter trial (-d) shows how the outage begins.")
GIVEN_UP = Sentence("{lookups} got no answer before the deadline, and count as failed.", lookups="12 lookups")
LENGTH_UNKNOWN = Sentence("Their real length is not known: dnslab stopped waiting.")

SLOW_START = Sentence(
    "The first fifth of {variant} trials on {target} was {times} times as slow as the second half.",
    variant="baseline",
    target="glibc",
    times="1.7",
)
LONGER_WARMUP = Sentence("The warm-up was too short. Set a longer warmup_s in the plan's load.")
WARMTH = Sentence(
    "With {variant} on {target}, the first lookup of a name took {ours} times as long as later ones. With baseline it "
    "took {theirs} times as long. First lookups were {share} of all.",
    variant="node-local",
    target="glibc",
    ours="3.1",
    theirs="1.2",
    share="60 %",
)
ASK_FEWER_NAMES = Sentence(
    "The caches were not equally warm. Set a longer warmup_s in the plan's load, or ask for fewer names."
)
DRIFT = Sentence(
    "The {measure} of {variant} on {target} {way} steadily during the run, by {share} of its mean.",
    measure="median",
    variant="baseline",
    target="glibc",
    way="rose",
    share="80 %",
)
MEDIAN = Sentence("median")
SHARE_OF_STALLS = Sentence("share of stalls")
ROSE = Sentence("rose")
FELL = Sentence("fell")
PAIRED_BY_ROUND = Sentence(
    "Something changed during the run. Comparisons still hold, because they are made within each round."
)

MAYBE_NODE_LOCAL = Sentence(
    "The counters of the node-local caches rose as if they had answered baseline. But other clients may have asked "
    "that much."
)
NODE_LOCAL_BYPASSED = Sentence(
    "The node-local cache is set up to answer at the cluster IP ({evidence}). But its counters show only {share} of "
    "the lookups made there.",
    evidence="ConfigMap node-local-dns",
    share="3 %",
)
SEE_WHO_ANSWERS = Sentence("Find out what answers at the cluster IP on the node.")
NODE_LOCAL_ALREADY = Sentence(
    "A node-local cache already answers at the cluster IP ({evidence}).", evidence="ConfigMap node-local-dns"
)
AS_SEEN = Sentence("as seen on the node")
BYPASS = Sentence("{direct} asks CoreDNS directly, without this cache.", direct="cluster-dns-direct")
BYPASS_BY = Sentence(
    "To ask CoreDNS directly, without this cache, add {direct} to --variants.", direct="cluster-dns-direct"
)

WHO_ANSWERS = Sentence(
    "{lines}.", lines="Who answers: something does at 192.0.2.53, where no server is: port 53 of app is redirected"
)
ALL_ASK_IT = Sentence("All configurations ask that server. One that names another server changes nothing.")
ANSWERS_DIFFERED = Sentence(
    "Before the run, not all answers for {names} were the same: some gave fewer addresses, or none.",
    names="kubernetes.default and 2 more",
)
FULLEST_IS_RIGHT = Sentence(
    "DNS was already unsteady. dnslab takes the fullest answer as the right one. Use --expect to set another."
)

KEPT = Sentence(
    "Kept, although CPU was short in {n} of {trials}: {places}. Load does not explain these stalls. They ended at the "
    "resolver's timeouts, and sequential queries at the same time had none.",
    places="node-1",
    n="15",
    trials="15 trials",
)
TRUST_THE_STALLS = Sentence("Trust the stalls and their cause. Do not read latency or cost from it.")
