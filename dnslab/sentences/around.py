"""What a diagnosis says of where lookups are hit, of who answers, and of servers that come and go."""

from __future__ import annotations

from dnslab.sentences import Sentence

# Who answers.
REDIRECTED = Sentence(
    "Something answers at an address where no server is: port 53 of {targets} is redirected.", targets="web-1"
)
PASSED_BY = Sentence("The cluster's DNS servers did not count queries that were answered.")
ANSWERED_THERE = Sentence("The cluster's DNS servers counted the queries that were answered.")

# Servers that come and go.
LOST_AT_CHANGES = Sentence(
    "{near} of {lost} lost queries were sent within {window} of a DNS server's end. So were {share} of all queries.",
    near="11",
    lost="11",
    window="2 s",
    share="18 %",
)
LEFT = Sentence("{server} left the Service at {time} UTC.", server="10.244.1.2 (coredns-a on node-1)", time="10:15:00")
MORE_LEFT = Sentence("{n} others left it later.", n="3")
BY_ARM = Sentence(
    "On sockets that are kept, {kept} of {n_kept} queries were lost; on new ones, {new} of {n_new}.",
    kept="9",
    n_kept="227",
    new="1",
    n_new="980",
)

# The search list.
ASKS_NAMES = Sentence("A lookup of {name} asks for {n} names until one is found.", name="example.org", n="4")
WALKED = Sentence(
    "Its median is {walked}. The same name in full takes {full} by raw queries.", walked="2.9 ms", full="0.70 ms"
)

# Where.
WHERE = Sentence(
    "Hit: {bad}, {k} of {n} {what}. Spared: {good}, {rest_k} of {rest_n}.",
    bad="node-2",
    k="24",
    n="96",
    what="queries",
    good="node-1 and node-3",
    rest_k="0",
    rest_n="192",
)
QUERIES = Sentence("queries")
LOOKUPS = Sentence("lookups")
NOT_ASKED = Sentence(
    "Which DNS server it is, was not tested: {why}. `dnslab diagnose --dry-run` prints the rights for it.",
    why="EndpointSlices may not be read",
)
UNTESTED_WHO = Sentence("whether the cluster's own DNS servers answer (their metrics were not read)")
