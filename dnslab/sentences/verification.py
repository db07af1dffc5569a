"""Whether a patch helped."""

from __future__ import annotations

from dnslab.sentences import Sentence

HELPED = Sentence("Did the patch help?")
BEFORE = Sentence("Before")
NOW_OLD = Sentence("Now, with the old configuration")
NOW = Sentence("Now, with the workload as it is")
THEN = Sentence("In {run}, {share} of {lookups} stalled.", run="latest", share="3.9 %", lookups="2,700 lookups")
STALLED = Sentence("Stalled: {share}.", share="3.9 % of 2,700 lookups (95 % interval 3.2 to 4.7 %)")
NONE_OF = Sentence("none of {lookups}", lookups="2,700 lookups")
SHARE_OF = Sentence("{share} of {lookups}", share="3.9 %", lookups="2,700 lookups")
SHARE_BETWEEN = Sentence(
    "{share} of {lookups} (95 % interval {bounds} %)",
    share="3.9 %",
    lookups="2,700 lookups",
    bounds="3.2 to 4.7",
)

COMPARED = Sentence(
    "{word}: with the workload as it is now, {now} stalled. With its old configuration, in the same minutes, {before} "
    "stalled.",
    word="The stalls are gone",
    now="none of 2,700 lookups",
    before="3.9 % of 2,700 lookups",
)
WORSE = Sentence("Worse")
STAYS = Sentence("The stalls are still there")
NOT_GONE = Sentence("Better, but not gone")
NOT_ENOUGH = Sentence("Not enough data")
GONE = Sentence("The stalls are gone")
TENTH_LEFT = Sentence("So less than a tenth of them is left (95 % confidence).")
NO_DIFFERENCE = Sentence("No difference is shown.")
MORE_LOOKUPS = Sentence("About {times} times as many lookups would decide it: raise -d or --rounds by that.", times="3")
NEVER_ENOUGH = Sentence("Even {times} times as many lookups would not decide it.", times="1,000")

NOT_MEASURED = Sentence("Not enough data: {missing} could not be measured.", missing="the old configuration")
AS_IT_IS = Sentence("the workload as it is now")
OLD = Sentence("its old configuration")
MORE_FAIL = Sentence(
    "Worse: {now} of lookups fail now, against {before} with the old configuration.", now="4 %", before="0.1 %"
)
NOT_HERE = Sentence(
    "The fault is not here today: with the old configuration, {before} stalled. As in {run}, there would have been "
    "about {expected}. This says nothing about the patch. Verify again when lookups stall again.",
    before="none of 2,700 lookups",
    run="latest",
    expected="110 stalls",
)
LIKE = Sentence(
    "In these pods {reason}. To measure in pods like the workload's own, name it with --like.",
    reason="the search list differs",
)
UNPATCHED = Sentence("The workload's resolv.conf is the same as in that run: no patch has reached it.")
