"""What the commands print on a terminal beside what they found, and while a run goes on."""

from __future__ import annotations

from dnslab.sentences import Sentence

# Below the table of a summary.
NOT_APPLICABLE = Sentence("Not applicable: {reasons}.", reasons="musl ignores use-vc, single-request")
MORE_ROWS = Sentence("{n} not shown.", n="12 more rows")
MORE_NOTES = Sentence("{n} not shown.", n="2 more notes")
HOW_TO_SEE_ALL = Sentence("All columns: dnslab summary {run} --wide", run="latest")
BY_LOAD = Sentence("Load: {load}", load="200/s (poisson)")
AGAINST_BASELINE = Sentence("Against baseline, paired by round (95 % intervals, verdicts corrected for their number):")

# While a run goes on.
SETTING_UP = Sentence("setting up")
ROUND_OF_ONE = Sentence("round {number}, {variant}", number="2", variant="use-vc")
ROUND_OF_MANY = Sentence("round {number}, {n} side by side", number="2", n="6")
PROGRESS = Sentence(
    "trial {trial} of {trials} ({running}): {lookups}, {rate}/s, {failed} failed, {stalls}",
    trial="7",
    trials="54",
    running="round 2, 6 side by side",
    lookups="12,345 lookups",
    rate="1,200",
    failed="0",
    stalls="3 stalls",
)
LEFT = Sentence("about {time} left", time="2 min 10 s")
LEFT_AT_LEAST = Sentence("at least {time} left", time="2 min 10 s")
STOPPING = Sentence("stopping, keeping what was measured: {lookups} so far", lookups="12,345 lookups")
MORE_CLIENTS = Sentence("and {n}", n="12 more clients")
DONE = Sentence(
    "trial {trials} of {trials}, done in {time}: {lookups}, {failed} failed, {stalls}",
    trials="54",
    time="1 min 40 s",
    lookups="98,765 lookups",
    failed="0",
    stalls="321 stalls",
)

# Where a file is written, and what it lacks.
EXPORTED = Sentence("export: {n} in {path}", n="98,765 lookups", path="lookups.csv")
NO_TERMINAL_FOR_PARQUET = Sentence(
    "parquet is binary: send it to a file or a program, as in `--out - > lookups.parquet`"
)
INCOMPLETE = Sentence("incomplete: {problem}", problem="0003/glibc.dnsr: the stream ends without its trailer")

# What was made, and where.
CLUSTER = Sentence("cluster: {name}", name="https://10.0.0.1:6443, context prod, namespace team-a")
RUN = Sentence("run: {path}", path="results/20261129T120000Z-compare")
REPORT = Sentence("report: {path}", path="results/20261129T120000Z-compare/report.html")
REPORT_AND_LOOKUPS = Sentence(
    "report: {path}, with every lookup in {lookups} beside it", path="report.html", lookups="lookups.parquet"
)
REPORT_REDACTED = Sentence("report: {path}, redacted: read it before you share it", path="report.html")
BUNDLE = Sentence("bundle: {path}", path="compare.dnslab.zip")
BUNDLE_REDACTED = Sentence(
    "bundle: {path}, redacted: look at its report before you share it", path="compare.dnslab.zip"
)
RATE_FITTED = Sentence(
    "rate: {rate} lookups/s for each of {variants} on each of {targets}, to stay within {limit} in all "
    "(--rate, --max-rate)",
    rate="55",
    variants="6 variants",
    targets="6 targets",
    limit="2,000",
)

# Options that do not go together, or with what was named.
EMPTY_TEXT = Sentence("{option} was given an empty text", option="--name")
RESUME_ALONE = Sentence("--resume continues the plan in its folder: give no other options with it")
FOR_CLUSTERS = Sentence("{option} is for --backend kubernetes", option="--namespace")
LIMITS_FOR_CLUSTERS = Sentence("{option} is for --backend kubernetes: nothing else has limits", option="--max-rate")
EXPECT_FORM = Sentence("--expect: expected NAME=ADDRESS,..., saw {text}", text="'web'")
NAMES_FORM = Sentence(
    "{path}:{line}: expected `name A` or `name AAAA`, saw {text}", path="names.txt", line="2", text="'web.test. MX'"
)
NO_NAMES = Sentence("{path} names nothing to look up", path="names.txt")
LIKE_OR_IN = Sentence("the patched workload is one: give either --like or --in")
CONTAINER_NEEDS_IN = Sentence("--container is for existing pods: name them with --in")
COLUMNS_FORM = Sentence("--columns: expected KEY=COLUMN, saw {text}", text="'latency'")
RATE_RANGE = Sentence(
    "--rate should be above 0 and at most {most} lookups a second, is {rate}", most="1,000,000", rate="-5"
)

SAME_RUN = Sentence("{one} and {other} are the same run: name two runs to compare", one="a", other="latest")

# doctor, and what changes a cluster.
MISSING_HERE = Sentence("this machine cannot {what}: see what is missing above", what="run the lab")
MISSING_THERE = Sentence("cannot measure in namespace {namespace}: see what is missing above", namespace="team-a")
APPLY_MISSING = Sentence("# What is missing. Whoever has the right applies it with `kubectl apply -f`.")
APPLY_FOR_DIAGNOSE = Sentence(
    "# Optional, for `dnslab diagnose`: it then asks each DNS server by itself, and sees when one is replaced."
)
RIGHTS_NEEDED = Sentence("# Needed: all of it in namespace {namespace}.", namespace="default")
RIGHTS_OPTIONAL = Sentence("# From here on optional: take the parts that you use, leave out the others.")
LOOKED_AT = Sentence("== Looked at")
NOTHING_TO_CHANGE = Sentence("nothing to change")
NO_CACHE = Sentence("there is no node-local cache of dnslab's")
CACHE_REMOVED = Sentence("will be deleted; on each node dnslab looks for what is left:")
PODS_WITHOUT_DNS = Sentence("pods whose dnsConfig names it, and which will have no DNS: {pods}", pods="web-1, web-2")
NOTHING_TO_REMOVE = Sentence("nothing to remove")
LEFT_BY_RUN = Sentence("run {run}: {what}", run="5c0ffee5", what="pod dnslab-5c0ffee5-1")
MAY_RUN = Sentence("run {run} may still be running: its pods are only minutes old", run="5c0ffee5")
REMOVED = Sentence("removed: {objects}", objects="3 objects")
REMOVED_INSIDE = Sentence("removed: {objects}, and from {pods} what was in them", objects="3 objects", pods="2 pods")
ADD_YES = Sentence("nothing was changed: to {doing} without a terminal, add --yes", doing="delete them")
NOTHING_CHANGED = Sentence("nothing was changed")

# A dry run, below the plan.
DRY_PLAN = Sentence("# The plan; give it back with `dnslab run FILE`.")
DRY_NOT_APPLICABLE = Sentence(
    "# not applicable: {variant} on {target}: {reason}", variant="use-vc", target="musl", reason="musl ignores use-vc"
)
DRY_LOAD = Sentence(
    "# load: {groups} one after another, {seconds} s at least, {rate}",
    groups="9 groups",
    seconds="95",
    rate="at most 1200 lookups/s in all",
)
DRY_PACED = Sentence("at most {rate} lookups/s in all", rate="1200")
DRY_CLOSED = Sentence("as fast as {workers} go", workers="50 workers")
DRY_WAITS = Sentence(
    "# waits: up to {total} s more for lookups that wait for their deadline, up to {each} s after a group that fails",
    total="549",
    each="61",
)
DRY_MAKES = Sentence(
    "# makes: {path}, and in the {backend} what it removes again", path="results/<UTC time>-compare", backend="lab"
)
DRY_LIBC = Sentence("# libc: not known before the probe runs there; variants that it ignores will be left out")
DRY_OBJECTS = Sentence("# objects: {first} up to the end of the first round, {all} in all", first="12", all="108")
DRY_COMMANDS = Sentence("# commands, each an exec:")
