"""What a diagnosis says of its rungs and of its answer."""

from __future__ import annotations

from dnslab.sentences import Sentence

# What each rung tells apart.
SEPARATES_ALIVE = Sentence("whether a server is dead, and whether TCP is blocked")
SEPARATES_ARMS = Sentence("which queries are hit: A, AAAA, pairs, new flows, kept flows or TCP")
SEPARATES_MORE = Sentence("whether queries are lost rarely, with more of them at a higher rate")
SEPARATES_LONG = Sentence("why few queries are hit, with more of them for longer")
SEPARATES_LIBC = Sentence("what applications feel, and which configuration of the resolver is spared")
SEPARATES_PLACE = Sentence("whether the servers lose queries or the way to them, and whether one server alone does")

# While it climbs.
RUNG = Sentence(
    "rung {number}, {name}: {arms}, {time}, at most {rate} queries/s at each server",
    number="2",
    name="arms",
    arms="6 arms",
    time="6 s",
    rate="21",
)
WAITING = Sentence(
    "waiting for trouble: at most {time}, {rate} queries/s of each target at each server", time="6 h", rate="0.75"
)
INTERRUPTED = Sentence(
    "interrupted after {rungs}, which are kept; go on with {command}",
    rungs="2 rungs",
    command="`dnslab diagnose --resume results/20261124T101500Z-diagnose`",
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
FIRED = Sentence(
    "After {time} of waiting, {queries} from {target} {bad} within {window}, so the ladder was climbed. On a sound "
    "path, chance does that in at most {share} of all such waits.",
    time="3 h 12 min",
    queries="5 queries",
    target="node-1",
    bad="failed",
    window="1 min",
    share="1 %",
)
NOT_WHOLE = Sentence("Part of the wait is missing: {why}.", why="1 of 48 trials is incomplete")
FAILED = Sentence("failed")
CAME_LATE = Sentence("came late")
GONE = Sentence("Insufficient data: what was seen while waiting had gone when the ladder was climbed.")
WHICHEVER = Sentence("Use {variant}, which helps against each of these causes", variant="single-request-reopen")
IN_DNS_CONFIG = Sentence("dnsConfig of the pods")
TWO = Sentence("Two causes together explain what was seen.")
TOO_LITTLE = Sentence("Insufficient data: something was seen, but too little to name a cause.")
NONE_FITS = Sentence("None of the known causes fits.")
NEXT = Sentence(
    "Insufficient data: the budget ends here. The next rung would be {rung}, which tells {separates}.",
    rung="place",
    separates="whether one server alone loses queries",
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
NOTHING_OF_LOOKUPS = Sentence(
    "Nothing found: of {lookups} with {variant}, {share} stalled or failed, from {targets}.",
    lookups="1,234 lookups",
    variant="baseline",
    share="fewer than 1 lookup in 400",
    targets="1 target",
)
NOT_TESTED = Sentence("Not tested: {what}.", what="higher rates and other times")

ADD = Sentence(
    "To know more, run `dnslab diagnose`: the rung {rung} would tell {separates}.",
    rung="arms",
    separates="whether TCP is blocked",
)
NOT_LOOKED_UP = Sentence("a finished run does not say where servers are")

NO_PLACES = Sentence(
    "{path}: places: expected addresses as a diagnosis writes them", path="results/x-diagnose/diagnosis.json"
)

EXPECTED_DIAGNOSIS = Sentence("run: expected the folder of a diagnosis, 'latest' or 'new', saw {run}", run="7")
NO_DIAGNOSIS = Sentence("there is no diagnosis in {folder}: `dnslab diagnose` makes one", folder="results")

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
CLUSTER_FIRST = Sentence("This was the lab. See first whether your cluster has the same trouble:")
TO_ONE_WORKLOAD = Sentence("Apply {variant} to one workload:", variant="single-request-reopen")
ALL_WAYS = Sentence("All ways to apply it, and how to undo it:")
FOR_ALL = Sentence("For all pods, the change belongs here:")
AFTERWARDS = Sentence("After the change, see whether the trouble is gone:")
PAGE = Sentence("report: {path}", path="results/20261124T101500Z-diagnose/report.html")
WRITTEN = Sentence("diagnosis: {path}", path="results/20261124T101500Z-diagnose")
DRY_RUNG = Sentence("tells {separates}; {queries}", separates="whether TCP is blocked", queries="240 queries")
DRY_PLACES = Sentence("servers asked by themselves: {places}", places="10.0.0.2 and 10.0.0.3")
DRY_NONE = Sentence("no server is asked by itself: {why}", why="EndpointSlices may not be read")
DRY_TOTAL = Sentence(
    "All rungs send {queries} from each target. Where nothing is wrong, some rungs are left out."
    " A diagnosis ends after {budget}.",
    queries="1,234 queries",
    budget="3 min",
)
TIME_FORM = Sentence("{option}: expected a time such as 90s, 5m or 1h, saw {text}", option="--budget", text="'soon'")
WAIT_TOO_LONG = Sentence("--wait: expected at most {most}", most="168h")
FROM_ALONE = Sentence("--from reads what is there: name it alone, with --format if you like")
RESUME_ALONE = Sentence("--resume goes on as it was asked: name it alone, with --format and --report if you like")
HAS_ENDED = Sentence(
    "{path} has ended: read it with `dnslab diagnose --from`", path="results/20261124T101500Z-diagnose"
)
NOT_ASKED = Sentence(
    "{path} does not say what was asked, so nothing can be resumed", path="results/20261124T101500Z-diagnose"
)
NO_RUNGS = Sentence("{path} holds no rung that was measured", path="results/20261124T101500Z-diagnose")
NOT_NOTED = Sentence("{path} is not what dnslab writes there: it was changed, or is damaged", path="rungs/1-alive.json")
