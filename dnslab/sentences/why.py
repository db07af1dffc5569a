"""Why lookups stall or fail: causes, what speaks for and against them, and what was not tested."""

from __future__ import annotations

from dnslab.sentences import Sentence

RACE = Sentence("Conntrack race")
BUFFER = Sentence("Full receive buffer of a DNS server")
OF_ONE = Sentence(
    "This stalls {variant}, not baseline. {summary}",
    variant="node-local",
    summary="The socket of the cache fills up and the kernel drops the rest.",
)
NOT_SHOWN = Sentence("The cause is not shown by this run")
NOT_SHOWN_IS = Sentence("What was seen fits none of the causes that this run could test.")
TOO_LITTLE = Sentence(
    "Several causes fit: {causes}. This run did not measure what tells them apart.",
    causes="“Conntrack race” and “Random packet loss”",
)
TOO_LITTLE_SEEN = Sentence("Too little was seen to tell the cause.")
TOO_LITTLE_ONE = Sentence(
    "It may be “{cause}”. This run did not measure enough to say so.", cause="Answers to AAAA queries are late"
)
WOULD_SEE = Sentence("With this cause you would see: {tells}", tells="A alone is fast, AAAA alone is slow.")
FITS_TOO = Sentence("Other causes fit, too: {causes}.", causes="“A slow upstream” and “Too little CPU”")
COULD_BE = Sentence("It could be {causes}.", causes="“Conntrack race” or “A packet limit that allows no burst”")
WAITS = Sentence("{libc} waits {waited}, then asks again.", libc="glibc", waited="5 s")

ALL_HALF_LOST = Sentence(
    "{flagged} of {stalls} lost exactly one of the two answers.", flagged="609", stalls="609 stalls"
)
NONE_HALF_LOST = Sentence("None of {stalls} lost exactly one of the two answers.", stalls="70 stalls")
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
    "Only a pair of queries on a new flow can meet the race. Of {exposed}, {stalls} stalled ({share}).",
    stalls="609",
    exposed="12,800 such pairs",
    share="4.8 %",
)
EXPOSED_MORE = Sentence("The kernel counted these pairs. Here the warm-up is part of both numbers.")
EXPOSED_MODEL_MORE = Sentence("The number of pairs comes from a model of port reuse.")
SERVERS_DROPPED = Sentence("The DNS servers dropped {queries}, as their buffers were full.", queries="1,920 queries")
SENT_AT = Sentence("dnslab sent {rate} for each configuration.", rate="200 lookups/s")
SERVERS_DROPPED_MORE = Sentence(
    "Their kernels counted it as RcvbufErrors while baseline was measured, warm-up included."
)
INSERT_FAILED = Sentence("The kernel of the client's node counted {n} in the same trials.", n="612 failed inserts")
INSERT_FAILED_MORE = Sentence(
    "It rises when conntrack drops the second of two packets. The warm-up and other pods of the node count, too."
)

KERNEL_RESOLVES = Sentence("This kernel ({kernel}) resolves the race by itself.", kernel="6.18")
KERNEL_RESOLVES_MORE = Sentence("Kernels do so from 5.6 on. Something else may lose one of the two answers here.")
EMULATED = Sentence("Emulated")
EMULATED_KERNEL = Sentence(
    "A real race is not expected on this kernel ({kernel}). It resolves the race.", kernel="6.18"
)
EVIDENCE_FOR = Sentence("Evidence for")
EVIDENCE_OPEN = Sentence("What was seen")
NONE_AGAINST = Sentence("None seen.")

NO_BUFFER = Sentence("The servers dropped no query (RcvbufErrors).")
SLOW_SERVER = Sentence("Slow or overloaded DNS server")
LATE_ANSWERS = Sentence("Late answers")
NO_SLOW_SERVER = Sentence(
    "The other configurations asked the same servers in the same minutes, and no lookup took longer than {slowest}.",
    slowest="31 ms",
)
PACKET_LOSS = Sentence("Random packet loss")
NO_PACKET_LOSS = Sentence(
    "It would hit queries sent one after the other, too. None of {lookups} stalled: it hits at most {share} of them.",
    lookups="17,925 lookups",
    share="0.02 %",
)
NO_LOSS_OVER_TCP = Sentence(
    "It would hit TCP, too, and cost 200 ms or more there. None of {lookups} with {name} took that long: it hits at "
    "most {share} of them.",
    lookups="1,500 lookups",
    name="use-vc",
    share="0.2 %",
)
LOSS_BESIDE = Sentence("It may add to what the servers dropped. TCP tells: a lost packet costs 200 ms or more there.")
LOSS_BESIDE_TELL = Sentence("dnslab run --variants baseline,use-vc")
NONE_LATE = Sentence(
    "With {libc}, no lookup took between 1 s and {length}. So no answer came late.", libc="glibc", length="4.5 s"
)
SERVER_CPU = Sentence("Too little CPU fills a buffer, too. Does a server reach its CPU limit?")
SERVER_CPU_TELL = Sentence("kubectl -n kube-system top pods -l k8s-app=kube-dns")
NOT_SEEN_LOSS = Sentence(
    "At most {share} of lookups can have lost a UDP packet.",
    share="0.2 %",
)
ONE_MOMENT = Sentence("One bad moment")
NOT_ONE_MOMENT = Sentence("Every round stalled: {least} to {most}.", least="5.6 %", most="7.9 %")
ONE_NODE = Sentence("One bad node or pod of the clients")
NOT_ONE_NODE = Sentence("{all} stalled.", all="All 4 targets")
ONE_LIBC = Sentence("One C library alone")
NOT_ONE_LIBC = Sentence("Lookups stalled on {libcs}.", libcs="glibc and musl")
RACE_ALONE = Sentence("Conntrack race alone")
NOT_RACE = Sentence(
    "It spares queries sent one after the other, but they stall too. It loses exactly one answer, but {flagged} of "
    "{stalls} did so.",
    flagged="only 2",
    stalls="70 stalls",
)
NOT_RACE_SEQUENTIAL = Sentence("Sequential queries stall too: {share}. The race spares them.", share="2.9 %")
NOT_RACE_BY_FLAGS = Sentence(
    "{flagged} of {stalls} lost exactly one of the two answers. The race loses exactly one nearly every time.",
    flagged="Only 2",
    stalls="70 stalls",
)
NOT_SEEN_RACE = Sentence(
    "If it is there, it hits at most {share} of the {pairs} that could meet it.", share="0.02 %", pairs="17,900 pairs"
)
RACE_UNCLEAR = Sentence(
    "Neither shown nor ruled out: {flagged} of {stalls} lost exactly one of the two answers.",
    flagged="20",
    stalls="40 stalls",
)
RACE_FEW = Sentence("{stalls} on {target}: too few to tell.", stalls="2 stalls", target="glibc")
RACE_OTHER_LIBC = Sentence("{libc} does not tell which of the two answers was lost.", libc="musl")
RACE_NOT_MET = Sentence("No lookup is known to have opened a new flow with both queries in flight.")

TABLE_FULL = Sentence("A full conntrack table on a node")
TABLE_FULL_TELL = Sentence("dnslab run --backend kubernetes --node-counters")
SEQUENTIAL_UNTESTED = Sentence("Queries one after the other")
SEQUENTIAL_TELL = Sentence("dnslab run --variants baseline,single-request")
UPSTREAM = Sentence("Slow upstream DNS for outside names")
UPSTREAM_TELL = Sentence("dnslab run --backend kubernetes --name example.org --allow-external")
BUFFER_UNTESTED = Sentence("The receive buffers of the DNS servers")
BUFFER_UNTESTED_MORE = Sentence("Their counters could not be read here.")
OWN_CLUSTER_TELL = Sentence("dnslab run --backend kubernetes --report")

FAILED_WITH = Sentence(
    "{n}: {meaning} ({error}).", n="412 lookups", meaning="the server refused, or could not answer", error="EAI_FAIL"
)
ERROR_AGAIN = Sentence("no server answered in time, or all said that they cannot")
ERROR_AGAIN_FAST = Sentence("all servers said that they cannot answer, for example with SERVFAIL")
ERROR_NO_NAME = Sentence("the server says that the name does not exist")
ERROR_NO_DATA = Sentence("the name exists, but has no address of the kind that was asked for")
ERROR_FAIL = Sentence("the server refused, or could not answer")
ERROR_GIVEN_UP = Sentence("no answer came before the deadline")
ERROR_OTHER = Sentence("the C library returned an error")
ERROR_WRONG = Sentence("Answers came, but not the addresses that were expected.")
ONE_FAMILY_MORE = Sentence(
    "An error in answer to one of the two queries does this: {libc} uses the other answer, and hides the error.",
    libc="glibc",
)
NEVER_FAILED = Sentence("With {names}, none of {lookups} failed.", names="single-request", lookups="5,000 lookups")
NEVER_FAILED_MORE = Sentence("They asked the same servers in the same minutes. So how one asks matters.")
NEVER_FAILED_CACHE = Sentence("This asks a cache on the node first. A cache can hide the errors of the servers.")

MISSED_NODES = Sentence("Stalls on another node")
MISSED_NODES_MORE = Sentence("{measured} of {n} nodes were measured.", measured="2", n="9")
MISSED_NODES_TELL = Sentence("dnslab run --backend kubernetes --nodes all")
MISSED_RARE = Sentence("Rarer stalls")
MISSED_RARE_MORE = Sentence("This run can have missed stalls that hit {fewer}.", fewer="fewer than 1 lookup in 5,000")
MISSED_RARE_TELL = Sentence("dnslab plan --detect {share}", share="0.005%")
MISSED_IMAGE = Sentence("Another image or resolver")
MISSED_IMAGE_MORE = Sentence("Only {libcs} measured. Go programs may use a resolver of their own.", libcs="glibc was")
MISSED_IMAGE_TELL = Sentence("dnslab run --backend kubernetes --like deploy/NAME")
MISSED_NAMES = Sentence("Other names")
MISSED_NAMES_MORE = Sentence("Only {names} looked up.", names="1 name was")
MISSED_NAMES_TELL = Sentence("dnslab run --backend kubernetes --name example.org --allow-external")
MISSED_CLUSTER = Sentence("Stalls in a cluster")
MISSED_CLUSTER_MORE = Sentence("This run measured {where}, not your cluster.", where="the lab of this machine")
MUSL_SHORTER = Sentence(
    "On {target}, {share} stalled. musl asks again after {step}, so its stalls are shorter than glibc's.",
    target="musl",
    share="7.5 % (6.9 to 8.0)",
    step="2.5 s",
)
NO_TARGET_BAD = Sentence("Baseline stalled or failed on none of {n} targets.", n="4")
TARGETS_BAD = Sentence("Baseline was bad on {bad} of {n} targets: {worst}.", bad="2", n="4", worst="glibc@node-1 6.8 %")

REMEDY_WHERE = Sentence("Change it here: {where}.", where="Deployment of CoreDNS")
REMEDY_COST = Sentence("What it costs: {cost}", cost="One more round trip for each lookup.")
REMEDY_WATCH = Sentence("After the change, watch: {watch}.", watch="RcvbufErrors of the servers")
REMEDY_VERIFY = Sentence("Then measure again:")
REMEDY_OPEN = Sentence("That depends on which cause it is")
