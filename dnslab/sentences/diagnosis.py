"""What the page of a diagnosis says: the answer, how sure it is, the arms, the rungs, and what to do."""

from __future__ import annotations

from dnslab.sentences import Sentence

DIAGNOSIS = Sentence("Diagnosis {name}", name="20261124T101500Z-diagnose")

# The verdict.
SHOWN_TITLE = Sentence("Cause shown")
LIKELY_TITLE = Sentence("Likely cause found")
OPEN_TITLE = Sentence("Trouble found, cause open")
TWO_TITLE = Sentence("Two causes found")
NOTHING_TITLE = Sentence("Nothing found")
NONE_FITS_TITLE = Sentence("No known cause fits")
INSUFFICIENT_TITLE = Sentence("Too little to tell")
STOPPED_TITLE = Sentence("Stopped early")

LEAD = Sentence("{title}.", title="One of two parallel answers is lost")
LEAD_TWO = Sentence("{first}, and {second}.", first="TCP to DNS is blocked", second="AAAA answers come late")
LEAD_NOTHING = Sentence("None of {queries} was lost, late or wrong.", queries="1,231 queries")
LEAD_NOTHING_BUT = Sentence(
    "Of {queries}, {bad}. That is no more than chance gives.", queries="1,231 queries", bad="2 got no answer in time"
)
LEAD_NONE_FITS = Sentence("DNS is in trouble, but no cause that dnslab knows explains what was seen.")
LEAD_INSUFFICIENT = Sentence("Something was seen, but too little of it to name a cause.")
LEAD_BUDGET = Sentence("The limit of {time} was too short to tell.", time="30 s")
LEAD_STOPPED = Sentence("{why}.", why="DNS got worse")
FELT = Sentence(
    "Applications feel it: {lead}", lead="About 1 lookup in 12 waited 5 s for an answer that normally takes 0.4 ms."
)
AT_MOST = Sentence(
    "If queries are lost here at all, it is {fewer} (95 % sure, for losses that come evenly over time).",
    fewer="fewer than 1 query in 330",
)
NEXT_WOULD = Sentence("The next experiment would tell {separates}.", separates="whether one server alone loses queries")

# The number: one kind of query beside another one.
NUMBER = Sentence(
    "{arm}: {bad} of {n} {what}, {share} (95 % interval {bounds}).",
    arm="A and AAAA together from one socket",
    bad="46",
    n="298 queries",
    what="got no answer within 1 s",
    share="15 %",
    bounds="12 to 20 %",
)
NUMBER_ALL = Sentence("{arm}: all {n} {what}.", arm="Over TCP", n="112 queries", what="got no answer within 1 s")
BESIDE = Sentence(
    "{arm}: this happened to {bad} of {n}.", arm="A and AAAA together from two sockets", bad="none", n="298"
)
NOT_SO = Sentence("Not so: {what}", what="TCP gets no answer.")
MEDIAN = Sentence("The median answer took {median}.", median="201 ms")
STRIP = Sentence("{what}: share of queries, with 95 % interval", what="No answer in time")
EVERY_KIND = Sentence("Every kind of query is hit.")
SERVER = Sentence("Server {address}", address="10.0.0.3")

# How sure.
SURE_SHOWN = Sentence("It explains all that was seen, and no other known cause does.")
SURE_LIKELY = Sentence("It fits all that was seen. Something that would show it was not measured, or not seen.")
SURE_OPEN = Sentence("That is what happens. Which of its causes makes it is still open.")
SURE_TWO = Sentence("Together they explain all that was seen. No single cause does.")
AT_MOST_RATE = Sentence("at most {rate} queries/s for each server", rate="49")
SURE_NOTHING = Sentence("For this time, this rate and these places only")
STILL_POSSIBLE = Sentence("Still possible: {causes}.", causes="“Random packet loss”")
SURE_NOT = Sentence("Not sure: no cause is named")
SURE_NONE_FITS = Sentence("That there is trouble is sure; why is open")
SURE_STOPPED = Sentence("Only what was seen until then")
BOTH = Sentence("{first} and {second}", first="Likely", second="likely")

# In short.
WHAT_Q = Sentence("What is it?")
SURE_Q = Sentence("How sure?")
DO_Q = Sentence("What do I do now?")
TRUST_Q = Sentence("Can you trust it?")

# Why.
WHY_HEADING = Sentence("Why it happens")
WHY_HEAD = Sentence(
    "The surest cause comes first. Shown: it explains all that was seen, and no other known cause does. Likely: it "
    "fits best. Possible: others fit as well, or something was not measured."
)
WHAT_IS_LEFT = Sentence("What is left")
WHAT_IS_LEFT_HEAD = Sentence("No cause is named. These are still possible, and these are ruled out.")
NO_CAUSE_HEAD = Sentence("No cause is named.")
MISSED_HEADING = Sentence("What it could have missed")
MISSED_HEAD = Sentence("Nothing was found. That holds for what was asked, and not for the rest.")
ALSO_POSSIBLE = Sentence("Also possible")
RULED_OUT = Sentence("Ruled out")
NOT_TESTED = Sentence("Not tested")
RULED_OUT_MORE = Sentence("{n} more; Details has all.", n="22")
SEPARATE = Sentence("What would tell more")

# The arms.
ARMS_TABLE = Sentence("raw queries by arm and address")
ARMS_HEADING = Sentence("Each kind of query")
ARMS_HEAD = Sentence(
    "Each row is one arm: raw queries that differ from the other arms in one point. All arms of a rung ran in the same "
    "seconds. The dot is what was measured, and the bar its 95 % interval."
)
ARMS_CAPTION = Sentence("Queries without an answer, late ones and errors, by arm and address")
ARM_OPEN_DOT = Sentence(
    "An open dot: none was seen. Its bar ends at the highest share that is still possible (95 % sure, if queries are "
    "independent)."
)
NONE_OF_ELSE = Sentence("{what}: none of {n}.", what="Late answers and error codes", n="1,231 queries")
ARM_A = Sentence("One A query at a time, each from a new socket")
ARM_AAAA = Sentence("One AAAA query at a time, each from a new socket")
ARM_PAIR = Sentence("A and AAAA together from one socket, as glibc asks")
ARM_TWO = Sentence("A and AAAA together, each from its own socket")
ARM_TCP = Sentence("One A query at a time, each over a new TCP connection")
ARM_STANDING = Sentence("One A query at a time, from 16 sockets that stay open")
SHORT_A = Sentence("A alone")
SHORT_AAAA = Sentence("AAAA alone")
SHORT_PAIR = Sentence("A and AAAA from one socket")
SHORT_TWO = Sentence("A and AAAA from two sockets")
SHORT_TCP = Sentence("Over TCP")
SHORT_STANDING = Sentence("On kept sockets")
USUAL_WAY = Sentence("The way of an application: {address}, the first nameserver", address="10.96.0.10")
SERVICE = Sentence("The address of the DNS Service: {address}", address="10.96.0.10")
ENDPOINT = Sentence("One DNS server by itself: {address}", address="10.0.0.3")
OTHER_PLACE = Sentence("Another address: {address}", address="169.254.20.10")

LOST = Sentence("No answer in time")
LOST_MORE = Sentence("share after 1 s")
LATE = Sentence("Late answers")
LATE_MORE = Sentence("share after 150 ms or more")
ERRORS = Sentence("Error codes")
ERRORS_MORE = Sentence("share of queries")
TRUNCATED = Sentence("Cut-short answers")
TRUNCATED_MORE = Sentence("share of queries")
DID_LOST = Sentence("got no answer within 1 s")
DID_LATE = Sentence("were answered after 150 ms or more")
DID_ERRORS = Sentence("got an error code")
DID_TRUNCATED = Sentence("got an answer that was cut short")

SEEN_CLEAN = Sentence("Clean")
SEEN_UNCLEAR = Sentence("Too few to tell")
SEEN_SILENT = Sentence("No answer at all")
SEEN_LOST = Sentence("Loses queries")
SEEN_ERRORS = Sentence("Error codes")
SEEN_TRUNCATED = Sentence("Cut-short answers")
SEEN_LATE = Sentence("Late answers")
SEEN_SENT_LATE = Sentence("Sent late")
SEEN_SLOW = Sentence("Slow median")

# The rungs.
RUNGS_HEADING = Sentence("The rungs of the ladder")
RUNGS_HEAD = Sentence("dnslab climbed these in turn, and went on where the evidence pointed.")
RUNG_TITLE = Sentence("{name}: {time}, at most {rate} queries/s for each server", name="arms", time="11 s", rate="21")
RUNG_TITLE_READ = Sentence("{name}: at most {rate} queries/s for each server", name="arms", rate="21")
RUNG_TELLS = Sentence("This tells {separates}.", separates="whether TCP is blocked")
RUNG_STOPPED = Sentence("It ended early: {why}.", why="DNS got worse")
RUNG_NEXT = Sentence("{name}: not climbed, the time was over", name="place")
RUNG_NOT = Sentence("{name}: not climbed", name="place")
RUNG_NOT_NEEDED = Sentence("The evidence did not ask for it.")
RUNG_NOT_REACHED = Sentence("The ladder ended before it.")

# What to do now.
CONFIRM_MORE = Sentence(
    "This diagnosis was not made there. Ask from pods like your workload's. --dry-run prints all that it would send."
)
AND_THEN = Sentence("And: {step}.", step="Repair the upstream")
CONFIRM_FIRST = Sentence("This was not made in your cluster. First confirm it there.")
IF_SAME = Sentence("If it finds the same there: {step}", step="allow TCP port 53 to the DNS servers")
FOR_ONE = Sentence("Spare one workload: {name}", name="use-vc")
FIND_CAUSE = Sentence("Find out which cause it is")
FIND_CAUSE_MORE = Sentence("This experiment tells the possible causes apart:")
AFTERWARDS = Sentence("Diagnose again after the change")
STILL_HEADING = Sentence("If lookups still stall")
STILL_HEAD = Sentence("Ask where and when they stall, the likeliest first.")
WHILE_IT_LASTS = Sentence("Wait for it")
WHILE_IT_LASTS_MORE = Sentence("Most faults come and go. This waits up to 6 hours for trouble, and then diagnoses it:")
IN_YOUR_CLUSTER = Sentence("Ask in your cluster")
ELSEWHERE = Sentence("Ask from other nodes")
ELSEWHERE_MORE = Sentence("A fault may be on one node only:")
MORE_QUERIES = Sentence("Ask more")
MORE_QUERIES_MORE = Sentence(
    "Some causes show only under load. This sends each server up to {rate} queries/s, so choose a quiet hour:",
    rate="200",
)
MORE_TIME = Sentence("Give it more time")
MORE_TIME_MORE = Sentence("The same diagnosis, but with up to {time}:", time="10 min")
ONCE_MORE = Sentence("Diagnose once more")
ONCE_MORE_MORE = Sentence("DNS did not stop it. See under “Can you trust it?” what did; then ask again:")
WHEN_BACK = Sentence("Diagnose again when DNS answers")
WHEN_BACK_MORE = Sentence("This asks with the fewest queries:")

# Trust.
TRUST_HEADING = Sentence("Can you trust it?")
TRUST_HEAD = Sentence("These checks look at how the diagnosis went, not at what it found.")
WHOLE = Sentence("All rungs are whole")
WHOLE_SAID = Sentence("{rungs} were measured to the end", rungs="4 rungs")
NOT_WHOLE = Sentence("A rung ended early")
ON_TIME = Sentence("Queries were sent when they were due")
ON_TIME_SAID = Sentence("{late} of {n} left 20 ms or more after their time", late="12", n="1,231 queries")
NOT_ON_TIME = Sentence("Queries were sent late")
NOT_ON_TIME_MORE = Sentence(
    "{late} of {n} left 20 ms or more after their time. The machine was busy, so late answers may be its own doing.",
    late="400",
    n="1,231 queries",
)
SOCKETS = Sentence("There was a socket for every query")
SOCKETS_SAID = Sentence("No query was left unsent")
NO_SOCKETS = Sentence("Some queries were not sent")
NO_SOCKETS_MORE = Sentence("For {unsent} no socket could be had. They are in no share.", unsent="20 queries")
CONTROL = Sentence("A control watched over DNS")
CONTROL_SAID = Sentence("Of its {n}, {lost} got no answer", n="50 queries", lost="none")
EACH_SERVER = Sentence("Servers were not asked one by one")
OF_LIBC = Sentence("Lookups: {title}", title="all trials complete")
LIBC_VOID = Sentence("Lookups of the C library failed a check")
LIBC_VOID_MORE = Sentence("So their table is left out. The evidence for causes still counts them.")

# Details.
ADDRESSES = Sentence("DNS addresses")
DETAILS_HEAD = Sentence("All numbers, how they came to be, the machine, and what the words mean.")
DETAIL_ARMS = Sentence("Raw queries")
DETAIL_LIBC = Sentence("Lookups of the C library")
DETAIL_RUNGS = Sentence("Rungs")
DETAIL_RULED_OUT = Sentence("Ruled out")
RUNGS_TABLE = Sentence("rungs")
METHOD = Sentence("How it was measured")
METHOD_RUNGS = Sentence(
    "Each rung is a run in its own folder. `dnslab summary` and `dnslab report` read it like any other run."
)
METHOD_ARMS = Sentence("The arms of a rung run together, at one rate, for the same seconds.")
METHOD_LOST = Sentence(
    "A query without an answer within 1 s is lost. A resolver waits longer, but no healthy server is so slow."
)
METHOD_INTERVALS = Sentence(
    "Intervals of raw queries are Wilson's, and take all queries of an arm as independent. Where losses come in "
    "bursts, the true share can lie outside."
)
METHOD_CHANCE = Sentence(
    "A word such as “loses queries” is used where chance alone would show as much in fewer than 1 of 1,000 cases."
)
METHOD_BLIND = Sentence(
    "Which fault a lab injected is asked nowhere. The answer comes from the measured numbers alone."
)
G_ARM = Sentence("Raw queries that differ from those of other arms in one point.")
G_RUNG = Sentence("One step of the ladder: a run whose arms were sent together.")
G_RAW = Sentence("A DNS query that dnslab sends by itself, past the C library. Nothing repeats it.")
G_SHOWN = Sentence("How sure a cause is: shown, then likely, then possible.")
G_CONTROL = Sentence("A few queries a second that watch over DNS beside the arms.")
G_FLOW = Sentence("All packets between two ports. A new socket opens a new flow.")
