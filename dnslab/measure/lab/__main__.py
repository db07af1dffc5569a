"""Print docs/faults.md: ``python -m dnslab.measure.lab > docs/faults.md``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from dnslab.measure.lab.fault import ARM_OUTCOMES, ARMS, OUTCOMES, VARIANTS, Fault
from dnslab.measure.lab.faults import FAULTS, PAIRS, why_not_both
from dnslab.plan.faults import number
from dnslab.text import echo

_HEAD = """\
# Faults of the lab

Made by `python -m dnslab.measure.lab > docs/faults.md` from the data that the lab uses. `tests/measure/test_faults.py`
checks each outcome below in a real run, at strengths that it states; it does not hold those that say "varies".

`dnslab run --fault NAME` injects a fault, `dnslab lab faults` lists them, `dnslab lab shell --fault NAME` opens a shell
in a client that meets it. Parameters follow a colon: `--fault race:p=0.05`, `--fault outage:from=10s,for=3s`. In a
plan, `fault` is such a text, or a list of them.

What a fault did is written beside each trial (`trials/0001/glibc.ground-truth.json`): packets hit at the node, answers
by each server, pauses, throttled periods. Nothing that reads a run opens these files, and no counter of a run shows
them; counters of the kernel show what they would show anywhere.

`from` and `for` count from a client's first DNS query, so from the start of every trial: each trial has new clients,
and each client meets the fault anew; a fault of the servers counts from the first query that reaches each of them. The
warm-up (0.5 s by default) is part of that time. A `pause` is not tied to a trial: its first comes `every` seconds after
the lab's start.
"""

_CLASH = """\
## The race on kernels from 5.6 on: answers after 1 s

Two queries that leave one socket at the same time, on two CPUs, each make a conntrack entry. Kernels from 5.6 on do
not drop the second: its entry is put into the table for the reply direction alone, with a life of 1 s that nothing
prolongs. Where DNAT chose the same server for both, or the answer comes within that second, all is well. A later
answer meets no entry. It is forwarded as it is, from the address of the server's pod instead of the cluster IP, and the
client's connected socket refuses it.

Measured in the lab under `slow-answer` (Linux 6.18, 2 CPUs), 2,000 pairs each. Two processes, each on a CPU of its own,
share the sockets and send one query of each pair at the same instant:

| servers answer after | pairs that lost an answer | `Udp: NoPorts` | clashes resolved | insert_failed | drop |
|---|---|---|---|---|---|
| 0.5 s | 0 | 0 | 1,542 | 0 | 0 |
| 1.5 s | 772 | 772 | 1,578 | 0 | 0 |
| 2.5 s | 818 | 818 | 1,686 | 0 | 0 |

About half of the clashes lose an answer: those where DNAT chose the other server for the second query. No counter of
drops moves. What moves is the column `clashres` of /proc/net/stat/nf_conntrack at the client's node, by one for each
clash, and `Udp: NoPorts` in the client, by one for each lost answer. It takes a server that is slow, such as one that
waits for its upstream. `test_the_real_clash_of_late_answers` repeats this with fewer pairs.

The senders of dnslab use one thread for a pair, and one thread did not clash once in 100,000 pairs here. The fault
`clash-late` therefore imitates what the client sees (the late answer's address, `NoPorts`), and `clashres` stays flat.
"""

_NOT_HERE = """\
## What the lab cannot do

| cause | why not |
|---|---|
| the race of kernels before 5.6, with its counters | this kernel resolves it; `race` drops in its place |
| a full conntrack table, with its counters | nf_conntrack_max is read-only in a namespace; `table-full` counts \
in its place |
| a full neighbour table | gc_thresh3 is not there in a namespace |
| IPVS, eBPF | not in every kernel; nothing of them can be loaded from a namespace |
| two pods behind one node that take one source port at the same instant | each client has a node of its own; \
`snat-clash` comes to the same clash by few ports |
| a full receive buffer of the client | glibc's two answers never fill one |
| a DNS server that goes and comes back elsewhere | nothing here changes a Service's endpoints; the test cluster does |
| a burst of lookups, a cold cache | no faults: a plan's load and its names make them, and each client's cache \
starts empty |
"""


def page() -> Iterator[str]:
    """Lines of docs/faults.md."""
    yield from _HEAD.splitlines()
    yield from ["", "## Each fault", ""]
    yield from ["| fault | what it does | parameters (default; allowed) |", "|---|---|---|"]
    for fault in FAULTS.values():
        given = "<br>".join(
            f"`{key}`: {parameter.what} ({number(parameter.default)}; {parameter.allowed})"
            for key, parameter in fault.parameters.items()
        )
        yield f"| `{fault.name}` | {fault.summary} | {given} |"
    yield from ["", "Notes:", ""]
    yield from (f"- `{fault.name}`: {fault.note}" for fault in FAULTS.values() if fault.note)
    of_variants = "Lookups through glibc; `musl`: baseline."
    yield from ["", *_table("What each configuration sees", of_variants, VARIANTS, "expected"), ""]
    yield from (f"- {outcome}: {meaning}" for outcome, meaning in OUTCOMES.items())
    yield from ["", *_table("What each arm sees", "Raw queries of engine wire.", ARMS, "arms"), ""]
    yield from (f"- {outcome}: {meaning}" for outcome, meaning in ARM_OUTCOMES.items())
    yield from ["", *_pairs(), "", *_CLASH.splitlines(), "", *_NOT_HERE.splitlines()]


def _table(title: str, of_what: str, columns: Sequence[str], field: str) -> list[str]:
    def row(fault: Fault) -> str:
        outcomes: Mapping[str, str] = getattr(fault, field)
        return f"| `{fault.name}` | " + " | ".join(outcomes[column] for column in columns) + " |"

    head = ["| fault | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return [f"## {title}", "", of_what, "", *head, *map(row, FAULTS.values())]


def _pairs() -> list[str]:
    reasons: dict[str, list[tuple[str, str]]] = {}
    for one, other in combinations(list(FAULTS.values())[1:], 2):
        if reason := why_not_both(one, other):
            reasons.setdefault(reason, []).append((one.name, other.name))
    return [
        "## Two at once",
        "",
        "`--fault` may be given several times, up to four, or once with faults joined by `+`. A real run tests each of "
        "these pairs:",
        "",
        *(f"- `{pair}`" for pair in PAIRS),
        "",
        "Some exclude each other:",
        "",
        *(f"- {_listed(pairs)}: {reason}" for reason, pairs in sorted(reasons.items())),
    ]


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    """The faults of ``pairs``: one that excludes the others, or such that any two exclude each other."""
    names = dict.fromkeys(name for pair in pairs for name in pair)
    if len(pairs) == 1:
        return " and ".join(f"`{name}`" for name in names)
    if hub := next((name for name in names if all(name in pair for pair in pairs)), None):
        beside = ", ".join(f"`{name}`" for name in FAULTS if name not in names and name != "none")
        return f"`{hub}` and any other but {beside}"
    return "any two of " + ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    for line in page():
        echo(line)
