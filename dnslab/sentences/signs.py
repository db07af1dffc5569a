"""What each sign of a cause says when it is seen, and when it is looked for and not seen."""

from __future__ import annotations

from dnslab.sentences import Sentence

STALLS = Sentence(
    "{stalls} in {lookups} with {variant}.", stalls="29 stalls", lookups="735 lookups", variant="baseline"
)
NO_STALLS = Sentence("None of {lookups} stalled with {variant}.", lookups="735 lookups", variant="baseline")
FEW = Sentence("{seen} of {lookups}: too few to tell.", seen="2", lookups="735 lookups")
HALF_LOST = Sentence("{flagged} of {stalls} lost exactly one of the two answers.", flagged="29", stalls="29 stalls")
FEW_HALF_LOST = Sentence(
    "Only {flagged} of {stalls} lost exactly one of the two answers.", flagged="2", stalls="70 stalls"
)
SPARED = Sentence(
    "{variant}: {seen} of {lookups} stalled or never ended. Baseline's share is {share}.",
    variant="use-vc",
    seen="0",
    lookups="773 lookups",
    share="3.9 %",
)
AGAIN = Sentence("After {again} of {stalls}, the second try was lost, too.", again="40", stalls="43 stalls")
HANG = Sentence("{seen} of {lookups} over TCP got no answer at all.", seen="770", lookups="773 lookups")
RETRANSMIT = Sentence(
    "{seen} of {lookups} over TCP took {least} or longer, and ended well.",
    seen="80",
    lookups="773 lookups",
    least="150 ms",
)
ALWAYS = Sentence("{bad} of {lookups} were bad with {variant}.", bad="735", lookups="735 lookups", variant="baseline")
FAILS_FAST = Sentence("{seen} of {lookups} failed before the resolver asked again.", seen="12", lookups="735 lookups")
ONLY_A = Sentence("{seen} of {lookups} got only IPv4 addresses, no IPv6 ones.", seen="735", lookups="735 lookups")
ONLY_AAAA = Sentence(
    "{seen} of {lookups} got only IPv6 addresses. A pod with IPv4 alone cannot connect to them.",
    seen="12",
    lookups="735 lookups",
)
CACHE_FAILS = Sentence("{seen} of {lookups} failed with the node-local cache.", seen="12", lookups="735 lookups")
DELAY_ALL = Sentence(
    "Nearly every lookup takes {least} or more; the median is {median}.", least="200 ms", median="201 ms"
)
DELAY_SOME = Sentence(
    "{seen} of {lookups} took {least} or more, although the median is {median}.",
    seen="40",
    lookups="735 lookups",
    least="20 ms",
    median="0.3 ms",
)
NO_DELAY = Sentence("{seen} of {lookups} took {least} or more.", seen="3", lookups="735 lookups", least="20 ms")
DELAY_SECOND = Sentence("{seen} of {lookups} took 1 s or more, but did not stall.", seen="40", lookups="735 lookups")
DELAY_SHORT = Sentence("The longest of these delays is {most}.", most="90 ms")
DELAY_TOGETHER = Sentence("After a late lookup, {share} of the next ones were late, too.", share="80 %")
DELAY_AAAA = Sentence(
    "Without AAAA queries the median is {other}, with them {median}.", other="0.4 ms", median="201 ms"
)
DELAY_TWICE = Sentence(
    "Sent one after the other, both queries take {other} at the median; sent together, {median}.",
    other="402 ms",
    median="201 ms",
)
DELAY_TCP = Sentence(
    "Over TCP {seen} of {lookups} took {least} or more; over UDP {udp}.",
    seen="300",
    lookups="773 lookups",
    least="20 ms",
    udp="4 of 735",
)
DELAY_CONSTANT = Sentence("Most of these delays are alike: {low} to {high}.", low="101 ms", high="104 ms")
DELAY_VARIES = Sentence("These delays differ: {low} to {high}.", low="30 ms", high="89 ms")
NEW_FLOW_SLOW = Sentence(
    "In 95 % of lookups, two queries in turn take {two} or more on two flows, and {one} or more on one flow.",
    two="8.5 ms",
    one="2.9 ms",
)
WINDOW = Sentence(
    "In each trial, bad lookups lie between {start} and {end}; {inside} of the {n} lookups of that time were bad.",
    start="1.5 s",
    end="3.0 s",
    inside="80",
    n="81",
)
SPREAD = Sentence(
    "Bad lookups do not come together: between the first and the last of them, {inside} of {n} were bad.",
    inside="29",
    n="541",
)
ONE_NAME = Sentence(
    "{bad} bad lookups asked for {names}. Of lookups of other names, {other} were bad.",
    bad="180",
    names="api.test",
    other="0 of 540",
)
ALL_NAMES = Sentence("All {n} have bad lookups.", n="4 names")
ONE_TARGET = Sentence("Baseline is bad on {bad} of {n} targets.", bad="1", n="4")
RISE = Sentence(
    "{what} rose by {n} in trials of {variant}.", what="Bad checksums at the client", n="40", variant="baseline"
)
ASKS_NO_CACHE = Sentence(
    "No DNS server on the node itself listens at the address that {variant} asks.", variant="baseline"
)
NO_RISE = Sentence("{what} did not rise.", what="Bad checksums at the client")
SMALL_RISE = Sentence("{what} rose by {n}, too little for {stalls}.", what="Failed inserts", n="3", stalls="29 stalls")
THROTTLED = Sentence("The client's CPU limit stopped it in {share} of periods.", share="40 %")
NOT_THROTTLED = Sentence("The client's CPU limit did not stop it.")
SENT_LATE = Sentence("{seen} of {lookups} began {least} or more late.", seen="90", lookups="735 lookups", least="10 ms")
SERVERS_IDLE = Sentence(
    "Baseline made {sent}, but the DNS servers received {received}.", sent="735 lookups", received="6 queries"
)
SERVERS_BUSY = Sentence("The DNS servers received the queries.")
TCP_AFTER_UDP = Sentence(
    "Baseline asks over UDP, but opened {n} TCP connections in {lookups}.", n="735", lookups="735 lookups"
)
KERNEL_RESOLVES = Sentence("This kernel ({kernel}) resolves the conntrack race by itself.", kernel="6.18")
KERNEL_DROPS = Sentence("This kernel ({kernel}) is older than 5.6, so it can have the conntrack race.", kernel="5.4")
ARM = Sentence("Raw queries, {arm}: {seen} of {n} {how}.", arm="A alone", seen="12", n="400", how="were lost")
ARM_PLACES = Sentence(
    "Raw queries to {bad}: {share} were lost; to all others {other}.", bad="10.0.0.1", share="98 %", other="0 %"
)
ARM_PAIRS_MORE = Sentence(
    "Raw queries: {more} of those sent in pairs were lost, and {other} of single ones.", more="26 %", other="14 %"
)
ARM_STANDING_MORE = Sentence(
    "Raw queries: {more} of those on kept sockets were lost, and {other} on new ones.", more="75 %", other="14 %"
)
ARM_GROWS = Sentence(
    "Raw queries: {low} got an error at {low_rate}/s, and {high} at {high_rate}/s.",
    low="0 %",
    low_rate="5",
    high="40 %",
    high_rate="25",
)
ARM_KEPT = Sentence(
    "Of raw queries on new sockets, {lost} of {n} were lost; on kept sockets, {kept_lost} of {kept}.",
    lost="60",
    n="240",
    kept_lost="0",
    kept="120",
)
ARM_SAME = Sentence("Of {n} kept sockets, {seen} got no answer to any raw query.", seen="3", n="32")
ARM_ONE_OF_PAIR = Sentence(
    "Of {n} pairs of raw queries that lost one of the two, {seen} lost the one that was sent {which}.",
    seen="29",
    n="30",
    which="second",
)
ARM_WHOLE_FLOWS = Sentence(
    "{both} of {n} pairs of raw queries from one socket lost both; of pairs from two sockets, {two_both} of {two}.",
    both="14",
    n="150",
    two_both="1",
    two="150",
)
ARM_WINDOW = Sentence(
    "Between {start} and {end} of a trial, no raw query over UDP was answered.", start="1.6 s", end="2.8 s"
)
ARM_PAUSED = Sentence(
    "{times}, for up to {longest}, all raw queries over UDP had to wait at the same time.",
    times="4 times",
    longest="1.3 s",
)
ARM_NO_WINDOW = Sentence("There was no time in which all raw queries were lost.")
ARM_ALL_LATE = Sentence("Of raw A queries, {seen} of {n} took {least} or longer.", seen="118", n="120", least="20 ms")
ARM_AAAA_ALONE = Sentence(
    "Of answers to raw AAAA queries, {seen} of {n} took {least} or longer; to A queries, {a_seen} of {a} did.",
    seen="118",
    n="120",
    least="20 ms",
    a_seen="2",
    a="121",
)
ARM_SOME_HELD = Sentence(
    "Of answers to raw queries over UDP, {seen} of {n} took {least} or longer.", seen="288", n="1,032", least="20 ms"
)
ARM_TCP_SHORT = Sentence(
    "Of raw queries over TCP, {seen} of {n} took {least} to {most}. With a lost packet, they take longer.",
    seen="48",
    n="151",
    least="20 ms",
    most="190 ms",
)
ARM_TCP_HELD = Sentence(
    "Of raw queries over TCP, {seen} of {n} took {least} or longer; over UDP, few did.",
    seen="45",
    n="470",
    least="20 ms",
)
ARM_LOST_GROWS = Sentence(
    "Of raw queries in pairs, {low} were lost at {low_rate}/s, and {high} at {high_rate}/s.",
    low="0 %",
    low_rate="10",
    high="49 %",
    high_rate="24",
)
ARM_PAIR_MORE = Sentence(
    "Of pairs of raw queries from one socket, {lost} of {n} queries were lost; from two sockets, {two_lost} of {two}.",
    lost="44",
    n="240",
    two_lost="16",
    two="240",
)
ARM_REFUSED = Sentence(
    "Raw queries were refused after {refused}, and answered after {good} (medians).", refused="1.3 ms", good="101 ms"
)
ARM_MEDIAN = Sentence("{arm}: the median answer takes {median}.", arm="Raw A queries", median="61 ms")
BEYOND = Sentence(
    "The usual time of an answer is taken off here. {claim}",
    claim="Of raw queries over UDP, 90 of 1,032 took 20 ms or longer.",
)
ARM_HELD = Sentence("Of raw queries over UDP, 99 of 100 were answered within {p99}.", p99="3.1 ms")
ARM_TOGETHER = Sentence("Of raw queries sent next after a late one, {share} were late, too.", share="82 %")
ARM_FLOWS = Sentence(
    "A raw query takes {new} on a new flow, and {kept} on a kept one (medians).", new="1.0 ms", kept="0.3 ms"
)

STEP = Sentence("{at} of {stalls} ended when the resolver asks again.", at="29", stalls="29 stalls")
NO_STEP = Sentence("{n} of {stalls} did not end when the resolver asks again.", n="20", stalls="29 stalls")

NO_VARIANT = Sentence("{variant} was not measured.", variant="use-vc")
NO_FLAG = Sentence("{libc} does not tell which of the two answers was lost.", libc="musl")
NO_NUMBER = Sentence("This run does not have this number.")
NO_ARMS = Sentence("No raw queries were sent.")
NO_BAD = Sentence("Too few bad lookups to compare with.")
ONE_NAME_ONLY = Sentence("Only one name was looked up.")
ONE_TARGET_ONLY = Sentence("Only one target was measured.")
NOT_READ = Sentence("{what} could not be read: {why}.", what="Bad checksums at the client", why="not read")

#: what a witness is called
CHECKSUMS = Sentence("Bad checksums at the client (InCsumErrors)")
WRONG_ADDRESS = Sentence("Answers that no socket took (NoPorts)")
CLIENT_BUFFER = Sentence("Datagrams dropped at the client's full buffer (RcvbufErrors)")
SERVER_BUFFER = Sentence("Queries dropped at full buffers of DNS servers (RcvbufErrors)")
CACHE_BUFFER = Sentence("Queries dropped at the full buffer of the node's DNS cache")
INSERT_FAILED = Sentence("Failed inserts and drops of conntrack at the client's node")
TABLE_FULL = Sentence("Flows that conntrack threw out early (early_drop)")
TCP_SENT_AGAIN = Sentence("Connection attempts over TCP that were repeated")

#: arms of raw queries, and what happened to them
ARM_ANY = Sentence("over UDP")
ARM_A = Sentence("A alone")
ARM_AAAA = Sentence("AAAA alone")
ARM_PAIR = Sentence("A and AAAA together from one socket")
ARM_TWO = Sentence("A and AAAA together from two sockets")
ARM_TCP = Sentence("over TCP")
ARM_STANDING = Sentence("on sockets that are kept")
ARM_AFTER = Sentence("AAAA and then A from one socket")
LOST = Sentence("were lost")
LATE = Sentence("were late")
LATE_1S = Sentence("were answered after 1 s or more")
LATE_WITHIN_1S = Sentence("were answered after 150 ms or more, and before 1 s")
ERRORS = Sentence("got an error code")
TRUNCATED = Sentence("were truncated")
SENT = Sentence("were sent late")
SHARED_NAMESPACE = Sentence("other clients in the same network namespace are counted, too")
