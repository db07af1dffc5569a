"""What a diagnosis says of its rungs and of its answer."""

from __future__ import annotations

from dnslab.sentences import Sentence

# What each rung tells apart.
SEPARATES_ALIVE = Sentence("a server that is dead, and TCP that is blocked, from all else")
SEPARATES_ARMS = Sentence("what hits A, AAAA, pairs, new flows, kept flows or TCP alone, from what hits all of them")
SEPARATES_MORE = Sentence("rare loss from none, with more queries at a higher rate")
SEPARATES_LIBC = Sentence("what applications feel, and which configuration of the resolver is spared")
SEPARATES_PLACE = Sentence("the way to the servers from the servers, and one bad server from the others")

# While it climbs.
RUNG = Sentence(
    "rung {number}, {name}: {arms}, {time}, at most {rate} queries/s at each server",
    number="2",
    name="arms",
    arms="6 arms",
    time="6 s",
    rate="21",
)
INTERRUPTED = Sentence(
    "interrupted in rung {rung}; what was measured is in {path}", rung="arms", path="results/20261124T101500Z-diagnose"
)

# The answer.
STOPPED = Sentence("The diagnosis stopped: {why}.", why="DNS got worse")
SEEN = Sentence("Raw queries: {arms}.", arms="lost: pair-one-socket; clean: a, aaaa, tcp")
SEEN_AT = Sentence("Servers asked by themselves: {places}.", places="10.0.0.2 clean; 10.0.0.3 silent")
FIRST = Sentence(
    "{word}: {title}. {summary}",
    word="Likely",
    title="the second of two queries that are sent together is lost",
    summary="It opens a new flow beside the first.",
)
REMEDY = Sentence("What helps: {remedy}.", remedy="set single-request-reopen in the pods' dnsConfig")
TWO = Sentence("Two causes together explain what was seen.")
TOO_LITTLE = Sentence("Insufficient data: something was seen, but too little to name a cause.")
NONE_FITS = Sentence("None of the known causes fits.")
NEXT = Sentence(
    "Insufficient data: the budget ends here. The next rung would be {rung}, which tells {separates}.",
    rung="place",
    separates="the way to the servers from the servers",
)
NOTHING = Sentence(
    "Nothing found: of {queries}, {share} were lost. That is {time} of load at up to {rate} queries/s for each server, "
    "from {targets}.",
    queries="1,234 queries",
    share="fewer than 1 in 400 queries",
    time="40 s",
    rate="48",
    targets="1 target",
)
NOT_TESTED = Sentence("Not tested: {what}.", what="higher rates and other times")

ADD = Sentence(
    "To know more, run `dnslab diagnose`: the rung {rung} would tell {separates}.",
    rung="arms",
    separates="new flows from kept ones",
)
NOT_LOOKED_UP = Sentence("a finished run does not say where servers are")

NO_PLACES = Sentence(
    "{path}: places: expected addresses as a diagnosis writes them", path="results/x-diagnose/diagnosis.json"
)

# What was not tested.
UNTESTED_RATE = Sentence("more than {rate} queries/s at each server", rate="48")
UNTESTED_SIZE = Sentence("large answers")
UNTESTED_OUTSIDE = Sentence("names outside the cluster")
UNTESTED_LIBC = Sentence("lookups of the C library")
UNTESTED_PLACES = Sentence("each server by itself")
MISSING_PLACES = Sentence("each server by itself ({why})", why="EndpointSlices may not be read")
UNTESTED_TIMES = Sentence("other times and other nodes")

# On the terminal.
RUNG_DONE = Sentence(
    "{name}: {time}, at most {rate} queries/s at each server ({path})",
    name="arms",
    time="11 s",
    rate="21",
    path="rungs/2-arms",
)
CAUSE = Sentence("{word}: {title}. {summary}", word="likely", title="a race", summary="The second packet is lost.")
FOR = Sentence("+ {claim}", claim="53 of 53 stalls are flagged")
AGAINST = Sentence("- {claim}", claim="the kernel resolves it")
PAGE = Sentence("report: {path}", path="results/20261124T101500Z-diagnose/report.html")
NO_PAGE = Sentence("There is no page: the ladder did not reach lookups of the C library.")
WRITTEN = Sentence("diagnosis: {path}", path="results/20261124T101500Z-diagnose")
DRY_RUNG = Sentence("tells {separates}; {queries}", separates="new flows from kept ones", queries="240 queries")
DRY_PLACES = Sentence("servers asked by themselves: {places}", places="10.0.0.2 and 10.0.0.3")
DRY_TOTAL = Sentence(
    "All rungs send {queries} from each target. A diagnosis stops earlier when one cause is shown, and after {budget}.",
    queries="1,234 queries",
    budget="3 min",
)
BUDGET_FORM = Sentence("--budget: expected a time such as 90s, 5m or 1h, saw {text}", text="'soon'")
FROM_ALONE = Sentence("--from reads what is there: name it alone, with --format if you like")
