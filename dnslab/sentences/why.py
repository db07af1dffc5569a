"""Why lookups stall or fail: causes, what speaks for and against them, and what was not tested."""

from __future__ import annotations

from dnslab.sentences import Sentence

RACE = Sentence("Conntrack race")
RACE_IS = Sentence(
    "glibc sends the A and the AAAA query at the same moment from one socket. On kernels before 5.6, connection "
    "tracking (conntrack) can drop the second packet. glibc waits {waited}, then asks again.",
    waited="5 s",
)
BUFFER = Sentence("Full receive buffer of a DNS server")
BUFFER_IS = Sentence(
    "Queries arrive faster than the DNS server reads them. Its socket buffer fills up and the kernel drops the rest. "
    "The resolver waits {waited}, then asks again.",
    waited="5 s",
)
HALF_LOST = Sentence("One of two parallel answers is lost")
HALF_LOST_IS = Sentence(
    "This fits the conntrack race, but the run did not send the two queries one after the other, which would tell."
)
NOT_SHOWN = Sentence("The cause is not shown by this run")
NOT_SHOWN_IS = Sentence("The stalls fit none of the causes that dnslab knows.")

ALL_HALF_LOST = Sentence(
    "{flagged} of {stalls} lost exactly one of the two answers.", flagged="609", stalls="609 stalls"
)
ALL_HALF_LOST_MORE = Sentence("A slow or overloaded server tends to lose both.")
FEW_HALF_LOST_MORE = Sentence("The conntrack race would lose exactly one nearly every time.")
AT_STEP = Sentence(
    "{at} of {stalls} ended at {step}, give or take {near}.", at="609", stalls="609 stalls", step="5 s", near="0.25 s"
)
AT_STEP_MORE = Sentence(
    "That is when {libc} asks again after a lost packet. By chance, about {chance} would end there.",
    libc="glibc",
    chance="10 %",
)
NOT_AT_STEP = Sentence("{n} of {stalls} ended at no multiple of {step}.", n="40", stalls="609 stalls", step="5 s")
NOT_AT_STEP_MORE = Sentence("They waited for a slow answer, not for a lost packet.")
SEQUENTIAL_CLEAN = Sentence(
    "None of {lookups} stalled when A and AAAA were sent one after the other.", lookups="17,925 lookups"
)
SEQUENTIAL_MORE = Sentence("Same servers, same minutes, with {names}.", names="single-request")
SEQUENTIAL_STALLS = Sentence("Sequential queries stall too: {share}.", share="2.9 %")
SEQUENTIAL_STALLS_MORE = Sentence("The conntrack race would spare them.")
EXPOSED = Sentence(
    "{stalls} of {exposed} that could meet the race did stall ({share}).",
    stalls="609",
    exposed="12,800 lookups",
    share="4.8 %",
)
EXPOSED_MORE = Sentence("They opened a new connection-tracking entry with both queries in flight.")
EXPOSED_MODEL_MORE = Sentence("They opened a new connection-tracking entry, by a model of port reuse.")
SERVERS_DROPPED = Sentence("The DNS servers dropped {queries} for want of room.", queries="1,920 queries")
SERVERS_DROPPED_MORE = Sentence("Their kernels counted it as RcvbufErrors in the same trials.")
INSERT_FAILED = Sentence("The node's kernel counted {n} in the same trials.", n="612 failed inserts")
INSERT_FAILED_MORE = Sentence("This counter rises when conntrack drops the second of two packets.")

KERNEL_RESOLVES = Sentence("This kernel ({kernel}) resolves the race by itself.", kernel="6.18")
KERNEL_RESOLVES_MORE = Sentence("On kernels of 5.6 or later the race is not expected.")
KERNEL_RESOLVES_INJECTED = Sentence("Explained here: the run injected the fault.")
NONE_AGAINST = Sentence("None seen.")

NO_BUFFER = Sentence("The servers dropped no query (RcvbufErrors).")
SLOW_SERVER = Sentence("Slow or overloaded DNS server")
NO_SLOW_SERVER = Sentence("No lookup of the other configurations took longer than {slowest}.", slowest="31 ms")
PACKET_LOSS = Sentence("Random packet loss")
NO_PACKET_LOSS = Sentence("It would hit sequential queries too. None of {lookups} stalled.", lookups="17,925 lookups")
ONE_MOMENT = Sentence("One bad moment")
NOT_ONE_MOMENT = Sentence("Every round stalled: {least} to {most}.", least="5.6 %", most="7.9 %")
ONE_NODE = Sentence("One bad node or pod")
NOT_ONE_NODE = Sentence("All {n} stalled.", n="4 targets")
NOT_RACE = Sentence("Sequential queries stall too, and most stalls lost both answers or none.")

TABLE_FULL = Sentence("A full conntrack table on a node")
TABLE_FULL_TELL = Sentence("dnslab run --backend kubernetes --node-counters")
SEQUENTIAL_UNTESTED = Sentence("Queries one after the other")
SEQUENTIAL_TELL = Sentence("dnslab run --variants baseline,single-request")
UPSTREAM = Sentence("Slow upstream DNS for outside names")
UPSTREAM_TELL = Sentence("dnslab run --backend kubernetes --name example.org --allow-external")
BUFFER_UNTESTED = Sentence("The receive buffers of the DNS servers")
BUFFER_UNTESTED_MORE = Sentence("Their counters could not be read here.")
OWN_CLUSTER_TELL = Sentence("dnslab run --backend kubernetes --report")

FAILED_WITH = Sentence("{n} ended with {error}.", n="412 lookups", error="EAI_AGAIN")
ERROR_AGAIN = Sentence("No server answered in time, or all said that they cannot.")
ERROR_NO_NAME = Sentence("The name does not exist, says the server.")
ERROR_NO_DATA = Sentence("The name exists, but has no address of the kind that was asked for.")
ERROR_FAIL = Sentence("The server refused, or could not answer.")
ERROR_GIVEN_UP = Sentence("No answer came before the deadline.")
ERROR_OTHER = Sentence("The C library returned this error.")
ERROR_WRONG = Sentence("Answers came, but not the addresses that were expected.")
FAILING_CAUSE = Sentence("The DNS servers do not answer usably")
FAILING_IS = Sentence("Lookups came back with an error. Which error it was tells where to look.")
SLOW_CAUSE = Sentence("Slow answers, not lost packets")
SLOW_IS = Sentence(
    "Lookups came back late, but before the resolver asked again. So packets were not lost; something was slow."
)
SLOW_SPREAD = Sentence("{n} took between 1 s and {length}.", n="180 lookups", length="4.5 s")
SLOW_ALL = Sentence("With every configuration, lookups took 1 s or longer.")
SLOW_ALL_MORE = Sentence("The configurations differ in how they ask. So the delay lies behind them: server or network.")

MISSED_NODES = Sentence("Stalls on another node")
MISSED_NODES_MORE = Sentence("{measured} of {n} nodes were measured.", measured="2", n="9")
MISSED_NODES_TELL = Sentence("dnslab run --backend kubernetes --nodes all")
MISSED_RARE = Sentence("Rarer stalls")
MISSED_RARE_MORE = Sentence("{fewer} would not have shown here.", fewer="Fewer than 1 lookup in 5,000")
MISSED_RARE_TELL = Sentence("dnslab plan --detect {share}", share="0.005%")
MISSED_IMAGE = Sentence("Another image or resolver")
MISSED_IMAGE_MORE = Sentence("Alpine uses musl, and Go programs may use a resolver of their own.")
MISSED_IMAGE_TELL = Sentence("dnslab run --backend kubernetes --like deploy/NAME")
MISSED_NAMES = Sentence("Other names")
MISSED_NAMES_MORE = Sentence("Only {names} looked up.", names="1 name was")
MISSED_NAMES_TELL = Sentence("dnslab run --name example.org --allow-external")
MISSED_CLUSTER = Sentence("Stalls in a cluster")
MISSED_CLUSTER_MORE = Sentence("This run measured {where}, not your cluster.", where="the lab of this machine")
RULED_OUT_RACE = Sentence(
    "{lookups} opened a new flow with both queries in flight; none stalled.", lookups="17,900 lookups"
)
MUSL_SHORTER = Sentence(
    "On {target}, {share} stalled. musl asks again after {step}, so its stalls are shorter than glibc's.",
    target="musl",
    share="7.5 % (6.9 to 8.0)",
    step="2.5 s",
)
NO_TARGET_BAD = Sentence("Baseline stalled or failed on none of {n} targets.", n="4")
TARGETS_BAD = Sentence("Baseline was bad on {bad} of {n} targets: {worst}.", bad="2", n="4", worst="glibc@node-1 6.8 %")
