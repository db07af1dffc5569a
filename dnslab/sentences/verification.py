"""Whether a patch helped."""

from __future__ import annotations

from dnslab.sentences import Sentence

HELPED = Sentence("Did the patch help?")
BEFORE = Sentence("Before")
NOW_OLD = Sentence("Now, with the old configuration")
NOW = Sentence("Now, with the workload as it is")
THEN = Sentence(
    "In {run}, {share} of {lookups} {did}.", run="latest", share="3.9 %", lookups="2,700 lookups", did="stalled"
)
DID = Sentence("{share} {did}.", share="3.9 % of 2,700 lookups (95 % interval 3.2 to 4.7 %)", did="stalled")
STALLED = Sentence("stalled")
FAILED = Sentence("failed")
WERE_SLOW = Sentence("took 1 s or longer")
LACKED = Sentence("lacked addresses")
WERE_LATE = Sentence("took {limit} or longer", limit="20 ms")
STALLS = Sentence("stalls")
FAILURES = Sentence("failures")
SLOW = Sentence("slow lookups")
INCOMPLETE = Sentence("incomplete answers")
LATE = Sentence("late lookups")
NONE_OF = Sentence("none of {lookups}", lookups="2,700 lookups")
SHARE_OF = Sentence("{share} of {lookups}", share="3.9 %", lookups="2,700 lookups")
SHARE_BETWEEN = Sentence(
    "{share} of {lookups} (95 % interval {bounds} %)",
    share="3.9 %",
    lookups="2,700 lookups",
    bounds="3.2 to 4.7",
)

COMPARED = Sentence(
    "{word}: with the workload as it is now, {now} {did}. With its old configuration, in the same minutes, {before} "
    "{did}.",
    word="The stalls are gone",
    now="none of 2,700 lookups",
    before="3.9 % of 2,700 lookups",
    did="stalled",
)
WORSE = Sentence("Worse")
STAYS = Sentence("The {trouble} are still there", trouble="stalls")
NOT_GONE = Sentence("Better, but not gone")
NOT_ENOUGH = Sentence("Not enough data")
GONE = Sentence("The {trouble} are gone", trouble="stalls")
TENTH_LEFT = Sentence("So less than a tenth of them is left (95 % confidence).")
NO_DIFFERENCE = Sentence("No difference is shown.")
MORE_LOOKUPS = Sentence("About {times} times as many lookups would decide it: raise -d or --rounds by that.", times="3")
NEVER_ENOUGH = Sentence("Even {times} times as many lookups would not decide it.", times="1,000")

NOT_MEASURED = Sentence("Not enough data: {missing} could not be measured.", missing="the old configuration")
AS_IT_IS = Sentence("the workload as it is now")
OLD = Sentence("its old configuration")
MORE_FAIL = Sentence(
    "Worse: {now} of lookups {did} now, and {before} with the old configuration.",
    now="4 %",
    before="0.1 %",
    did="fail",
)
FAIL = Sentence("fail")
STALL = Sentence("stall")
FAIL_OR_STALL = Sentence("fail or stall")
NOT_HERE = Sentence(
    "The fault is not here today: with the old configuration, {before} {did}. At the share seen in {run}, it would "
    "have been about {expected}. So a patch of the workload cannot be judged now. If you changed DNS servers, nodes or "
    "the network, that may have helped, but a fault that comes and goes looks the same. Verify again later.",
    before="none of 2,700 lookups",
    did="stalled",
    run="latest",
    expected="110 lookups",
)
LIKE = Sentence(
    "In these pods {reason}. To measure in pods like the workload's own, name it with --like.",
    reason="the search list differs",
)
UNPATCHED = Sentence("The workload's resolv.conf is the same as in that run: no patch has reached it.")
