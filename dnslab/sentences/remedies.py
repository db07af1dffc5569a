"""What each configuration changes, how it did, what it costs, and what to do now."""

from __future__ import annotations

from dnslab.sentences import Sentence

CHANGES_NOTHING = Sentence("No change: A and AAAA queries together, from one UDP socket")
CHANGES_USE_VC = Sentence("Asks over TCP")
CHANGES_SINGLE = Sentence("Asks for A, then AAAA, from one socket")
CHANGES_REOPEN = Sentence("Asks for A, then AAAA, each from its own socket")
CHANGES_NO_AAAA = Sentence("Asks for IPv4 addresses only")
CHANGES_NODE_LOCAL = Sentence("Asks a DNS cache on the same node")
CHANGES_NODE_LOCAL_REOPEN = Sentence("Both: a cache on the node, and one query at a time")
CHANGES_DIRECT = Sentence("Asks the cluster's DNS past the cache on the node")
CHANGES_NDOTS = Sentence("Tries a name with a dot as it is first")
CHANGES_ROOT_FIRST = Sentence("Tries each name as it is first")
CHANGES_ABSOLUTE = Sentence("Writes names in full, with a dot at the end")
CHANGES_TIMEOUT = Sentence("Asks again after 1 s, three times")
CHANGES_BEFORE = Sentence("The configuration that the workload had before the patch")
CHANGES_NOW = Sentence("The workload as it is now")

CLEARS = Sentence("Clears it")
HELPS = Sentence("Helps, not fully")
NO_DIFFERENCE = Sentence("No difference shown")
NO_DIFFERENCE_IN = Sentence("No difference in {what} shown", what="stalls")
FEWER_STALLS = Sentence("Fewer stalls")
SLOWER_MEDIAN = Sentence("Slower median")
FASTER_MEDIAN = Sentence("Faster median")
IGNORES_IT = Sentence("{libc} ignores it", libc="musl")
WORKS_ON = Sentence("for {libc}", libc="glibc")
WORSE = Sentence("Worse")
TRADE_OFF = Sentence("Trade-off")
NOT_APPLICABLE = Sentence("Not applicable")
NOT_MEASURED = Sentence("Not measured")
TOO_FEW_ROUNDS = Sentence("Too few rounds")
NOT_COMPARED = Sentence("Not compared")
STALLS = Sentence("Stalls")
FAILS = Sentence("Fails")
SLOW = Sentence("Slow")
CLEAN = Sentence("No stall seen")
PARTIAL = Sentence("Addresses missing")
LATE = Sentence("Late")
VOID = Sentence("Not usable")
RECOMMENDED = Sentence("Recommended")
BEST_EMULATED = Sentence("Best in this emulation")
BEST_IN_LAB = Sentence("Best in this lab")
HIDES_ERRORS = Sentence("Hides the errors")
UNTIL_FIXED = Sentence("Until the servers are fixed")
CLEARS_EMULATED = Sentence("Clears it in this emulation")
STEP_1_FIRST = Sentence("See step 1 first")
MORE_REPLICAS = Sentence("More DNS replicas")
MORE_REPLICAS_MORE = Sentence("This changes the servers, so it helps all pods.")

NOTHING_TO_FIX = Sentence("Nothing to fix")
NOTHING_TO_FIX_MORE = Sentence("Baseline did not stall or fail.")
NOTHING_CLEARS = Sentence("Nothing tested clears it")
NONE_COMPLETE = Sentence("No tested configuration helps: with each of them, addresses are missing, too.")
SOME_COMPLETE = Sentence("With {names}, no address was missing.", names="node-local")
NONE_IN_TIME = Sentence("No tested configuration helps: with each of them, lookups are late, too.")
SOME_IN_TIME = Sentence("With {names}, lookups were not late.", names="no-aaaa")
ONLY_BASELINE = Sentence("Only baseline was measured")
ONLY_BASELINE_MORE = Sentence("On {target} there is nothing to compare it with.", target="musl")
ALL_THAT_HELP = Sentence("all {n} that help", n="5")
ALL_CLEAR = Sentence("{all} clear it on {libc}", all="All 5 alternatives", libc="glibc")
HIDES = Sentence("Fix the servers. {names} only hides it", names="node-local")
MORE_ROOM = Sentence("More DNS replicas")
MORE_ROOM_MORE = Sentence("First measure at less load. Replicas were not tried. Tried:")
SOME_CLEAR = Sentence("{names} clears it on {libc}", names="node-local", libc="glibc")
SOME_CLEAR_PLURAL = Sentence("{names} clear it on {libc}", names="node-local and use-vc", libc="glibc")
IN_EMULATION = Sentence("{libc} in this emulation", libc="glibc")
SOME_HELP = Sentence("{names} helps, but not fully", names="use-vc")
SOME_HELP_PLURAL = Sentence("{names} help, but not fully", names="use-vc and node-local")
COMPARED_ROUNDS = Sentence("Not compared: too few rounds")
COMPARED_ROUNDS_MORE = Sentence("A comparison takes {n} of both.", n="3 rounds")
COMPARED_CLOSED = Sentence("Not compared: closed loop")
COMPARED_CLOSED_MORE = Sentence("A worker that waits sends nothing. Measure with --rate to compare.")
CLEAR_MORE = Sentence("With each of them, none of {n} stalled or failed.", n="at least 8,880 lookups")
AT_LEAST = Sentence("at least {n}", n="8,880 lookups")
CLEAR_MORE_ONE = Sentence("With {name}, none of {n} stalled or failed.", name="use-vc", n="8,880 lookups")
START_WITH = Sentence("Start with {name}.", name="use-vc")
START_SERVERS_THERE = Sentence("If lookups fail there, too, fix the servers: a cache only hides their errors.")
START_MEANWHILE = Sentence("Until then, {name} hides the errors of cached names.", name="node-local")
ON_MUSL = Sentence("On musl only {names} cleared it.", names="node-local")
START_IN_CLUSTER = Sentence("This was a lab. Before you change anything, measure your cluster.")
START_WITH_SERVERS = Sentence("Fix the servers first: a cache only hides their errors.")
ON_MUSL_NOTHING = Sentence("On musl nothing tested clears it.")
ON_MUSL_UNTESTED = Sentence("musl stalls, too. No other configuration was tested with it.")
CLEAR_NAMES = Sentence("They are {names}.", names="use-vc and node-local")
GROUP_HELPS = Sentence("Helps, but not fully: {names}.", names="use-vc")
GROUP_TRADE_OFF = Sentence("Better in stalls or in failures, worse in the other: {names}.", names="use-vc")
GROUP_SAME = Sentence("No improvement shown with {names}.", names="use-vc")
GROUP_SHORTER = Sentence("Fewer stalls, but as many lookups of 1 s or longer: {names}.", names="use-vc")
GROUP_WORSE = Sentence("Worse than baseline: {names}.", names="use-vc")
GROUP_ROUNDS = Sentence("Too few rounds to compare: {names}.", names="use-vc")
EMULATED = Sentence(
    "The fault is emulated and cannot hit configurations that avoid parallel UDP queries. Confirm on your cluster."
)

COST_NOT_SLOWER = Sentence("No slower at the median")
COST_RANGE = Sentence("At the median, {least} to {most}", least="0.11 ms faster", most="0.43 ms slower")
COST_SLOWER = Sentence("{least} to {most} slower at the median", least="0.04", most="0.29 ms")
COST_ONE = Sentence("{change} at the median", change="0.11 ms faster")
COST_NONE = Sentence("The median hardly changes")
COST_IN_LAB = Sentence("{cost} in this lab", cost="The median hardly changes")
COST_LAB_MORE = Sentence("The lab's links add no delay, so a real network can change more.")
COST_P99_RISES = Sentence("The slowest 1 % become slower with {names} (p99).", names="use-vc")
COST_P99_FALLS = Sentence("The slowest 1 % become faster with {names} (p99).", names="use-vc")
COST_MORE_SLOW = Sentence("With {names}, more lookups take 1 s or longer.", names="use-vc")
COST_CACHE = Sentence("A cache on every node")
COST_CACHE_MORE = Sentence("It is installed once for the whole cluster, and then needs care like any other service.")
COST_CACHE_TOO = Sentence("node-local needs a cache on every node.")
COST_REPLICAS = Sentence("One more pod for each replica")
COST_REPLICAS_MORE = Sentence("Of what was tried:")
COST_UNKNOWN = Sentence("Not compared")
COST_NOTHING = Sentence("No remedy needed")
COST_NO_HELP = Sentence("No remedy found")
COST_MEDIAN = Sentence("The median lookup takes {median} with baseline.", median="0.62 ms")
COST_EACH = Sentence(
    "{name} makes it {change} ({bounds}).", name="node-local", change="0.11 ms faster", bounds="0.10 to 0.12"
)
FASTER = Sentence("{ms} faster", ms="0.11 ms")
SLOWER = Sentence("{ms} slower", ms="0.43 ms")
SAME_COST = Sentence("For the median, no change of 5 % or more shown: {names}.", names="single-request")

NOW_HEADING = Sentence("What to do now")
AGAIN_HEADING = Sentence("Measure again")
MEASURE_WITH_DNSLAB = Sentence("Measure with dnslab")
MEASURE_WITH_DNSLAB_MORE = Sentence(
    "It records which of the two answers was lost, and what the DNS servers dropped. So it can name a cause, and it "
    "compares the usual remedies. --dry-run prints what it would create."
)
SEE_FIRST = Sentence("To see what a conntrack race looks like")
SEE_FIRST_MORE = Sentence("This emulates one in a lab on your own machine. It says nothing about your data:")
CONFIRM = Sentence("Confirm on your cluster")
CONFIRM_MORE = Sentence(
    "This run was not made there. Run the same comparison in pods like your workload's, and read its page. --dry-run "
    "prints what it would create, and the load."
)
APPLY = Sentence("Apply {name}", name="single-request-reopen")
APPLY_MORE = Sentence("Add this to the chart or manifest, so that the next deploy keeps it:")
APPLY_NOW = Sentence("Or try it at once. The pods restart in a normal rollout:")
IF_THERE = Sentence("If lookups {trouble} there, too: {step}", trouble="stall", step="apply use-vc")
IF_SAME_CAUSE = Sentence("If its page names the same cause: {step}", step="apply use-vc")
IF_OTHER_CAUSE = Sentence("If it names another cause, do what that page says instead.")
TROUBLE_STALLS = Sentence("stall")
TROUBLE_FAILED = Sentence("fail")
TROUBLE_PARTIAL = Sentence("get only one kind of address")
TROUBLE_SLOW = Sentence("are slow")
CACHE_FIRST = Sentence("First make sure that the cache answers on every node:")
CACHE_IF_MISSING = Sentence("Install it only if it is not there:")
VERIFY = Sentence("Verify")
VERIFY_MORE = Sentence(
    "This measures the patched workload beside its old configuration, in the same minutes. It exits with 0 if the "
    "trouble is gone."
)
UNDO = Sentence("Undo")
UNDO_MORE = Sentence("This is for a workload that had no dnsConfig before. Otherwise use what dnslab fix prints.")
WHY_THIS = Sentence("Why this one")
WHY_NONE_SEEN = Sentence("No stall in {n}.", n="9,011 lookups")
WHY_NO_FAILURE = Sentence("No failure in {n}.", n="9,011 lookups")
WHY_NO_SLOW = Sentence("No lookup of 1 s or longer in {n}.", n="9,011 lookups")
WHY_CHEAPEST = Sentence(
    "{names} can be applied as easily and has no known bug either, but its median was {ms} higher than that of "
    "{picked}.",
    names="use-vc",
    picked="single-request-reopen",
    ms="0.2 ms",
)
WHY_CHEAPEST_HARDLY = Sentence(
    "{names} can be applied as easily and has no known bug either. Its median was {ms} higher than that of "
    "{picked}, which may be chance.",
    names="use-vc",
    picked="single-request-reopen",
    ms="0.01 ms",
)
WHY_ONE_WORKLOAD = Sentence("It changes one workload. There is nothing to install, and it is easy to undo.")
WHY_HIDES = Sentence(
    "It hides errors of names that are in its cache. Other names still get them, and here only {names} asked for.",
    names="1 name was",
)
WHY_CACHE = Sentence("Only the cache on each node clears it here. It has to be installed for the whole cluster.")
WHY_CACHE_HIDES = Sentence("Nothing else that was tested hides them. It has to be installed for the whole cluster.")
WHY_BUG = Sentence(
    "{name} has a known bug: glibc before 2.41 can wait 5 s for a query it never sent.", name="single-request"
)
WHY_CHEAPER = Sentence("{name} is {ms} cheaper at the median.", name="node-local", ms="0.2 ms")
WHY_NODE_LOCAL = Sentence("node-local cleared it on musl, too, but needs a cache on every node.")
WHY_NODE_LOCAL_ELSE = Sentence("node-local is meant for all C libraries, but needs a cache on every node.")
MIND = Sentence("Before you apply it")
MUSL = Sentence("Alpine and other musl images")
MUSL_MORE = Sentence(
    "musl ignores this option: the patch changes nothing there. Use the node-local cache, or an image with glibc."
)
READ_FIRST = Sentence("Or let dnslab read the workload and write the patch. This command changes nothing:")
MORE_ROUNDS = Sentence("Measure longer")
MORE_ROUNDS_MORE = Sentence("More rounds, or longer ones, show smaller differences.")
TRY_OTHERS = Sentence("Compare the usual remedies")
TRY_OTHERS_MORE = Sentence("This shows which configuration avoids the stalls, and what it costs.")
OWN_LOAD = Sentence("See whether lookups stall at less load, too")
OWN_LOAD_MORE = Sentence(
    "dnslab sent up to {all} at a time, {rate} for each configuration. If all your pods together send less, measure at "
    "a quarter of it. If nothing stalls then, it was this test that filled the buffers:",
    all="1,200 lookups/s",
    rate="200",
)
OWN_LOAD_CLOSED = Sentence(
    "dnslab asked as fast as it could. Measure at the rate of your pods. If nothing stalls then, it was this test that "
    "filled the buffers:"
)
SERVERS_ROOM = Sentence("Add DNS replicas")
SERVERS_ROOM_MORE = Sentence(
    "Each replica has its own receive buffer, so more replicas are the quickest relief. First see how many there are:"
)
SERVERS_ROOM_SCALE = Sentence("Then set NUMBER to one more than that:")
FIX_SERVERS = Sentence("Fix the DNS servers")
FIX_SERVERS_MORE = Sentence("The errors are theirs, and a cache only hides them. What do their logs say?")
UNTIL_THEN = Sentence("Until then: apply {name}, which hides errors of cached names", name="node-local")
SERVERS_UPSTREAM = Sentence("Which upstream servers do they ask? See the lines with `forward`:")
FEWER_QUERIES = Sentence("Or instead: send them fewer queries")
INSTEAD_ONE = Sentence("Or instead: {name} for one workload", name="use-vc")
INSTEAD_ONE_MORE = Sentence(
    "It cleared the stalls here, but the servers stay short of room for all others. This writes the patch and changes "
    "nothing:"
)
FEWER_QUERIES_MORE = Sentence("A cache on each node answers most queries itself.")
NOT_SHORTER = Sentence("What not to do")
NOT_SHORTER_MORE = Sentence(
    "Do not shorten the resolver's timeout. Pods would ask again sooner, and a full server would get more queries."
)
LOOK_AT_SERVERS = Sentence("Look at the DNS servers")
LOOK_AT_SERVERS_MORE = Sentence("Are all replicas ready? Do their logs name errors or slow upstreams?")
SLOW_NAMES = Sentence("Find out whether it is the servers or what they ask")
SLOW_NAMES_MORE = Sentence(
    "Measure a name of the cluster beside one from outside. If only the outside name is slow, look at the upstream "
    "DNS. If both are, look at the servers."
)
SLOW_SERVERS_MORE = Sentence(
    "Compare their CPU with their CPU limit: a throttled server answers late. Are all replicas ready? Do their logs "
    "name slow upstreams?"
)
AFTER_EACH = Sentence("Measure again after each change")
AFTER_EACH_MORE = Sentence(
    "This runs the same plan again and compares. `{run}` is this run, and `latest` is the run after the change.",
    run="results/20261128T1010Z-compare",
)
AFTER_EACH_LAB = Sentence(
    "RUN is the run of your cluster before the change, and `latest` is the one after it. Do not compare a cluster with "
    "a lab."
)
CHECK_NAMES = Sentence("Check the names")
CHECK_NAMES_MORE = Sentence("Were the right names asked? Does a name resolve from a pod?")
MEASURE_AGAIN = Sentence("Run it once more")
MEASURE_AGAIN_VOID = Sentence("The failed checks say why; fix that first.")
MEASURE_AGAIN_BUT = Sentence("This is the same plan, but {changes}:", changes="at half the rate and with 3 rounds")
AT_HALF_RATE = Sentence("at half the rate")
WITH_ROUNDS = Sentence("with {rounds}, as intervals need", rounds="3 rounds")
WITH_BASELINE = Sentence("with baseline")
MEASURE_AGAIN_SAME = Sentence("This is the same plan:")
KEEP_IT = Sentence("Keep the patch")
KEEP_IT_MORE = Sentence("Make sure that chart or manifest say the same, or the next deploy undoes it.")
NEXT_REMEDY = Sentence("Try another remedy")
NEXT_REMEDY_MORE = Sentence("The page of the earlier run lists what else helped. This measures it anew:")
LATER = Sentence("Verify again when the trouble is back")
LATER_MORE = Sentence("Run the same command at an hour when lookups suffer again.")
STILL_WAITING = Sentence("If lookups of your pods still stall")
STILL_WAITING_MORE = Sentence("Where else to look, the likeliest first:")
