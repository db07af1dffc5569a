"""How lookups suffer: a title and a sentence for each mechanism."""

from __future__ import annotations

from dataclasses import dataclass

from dnslab.sentences import Sentence


@dataclass(frozen=True)
class MechanismText:
    """A title of a few words, and what happens."""

    title: Sentence
    summary: Sentence


def _text(title: str, summary: str) -> MechanismText:
    return MechanismText(Sentence(title), Sentence(summary))


PAIR = _text(
    "One of two parallel answers is lost",
    "The resolver sends the A and the AAAA query together. One of the two gets no answer, and the resolver waits.",
)
LOSS = _text(
    "Single packets are lost at random",
    "Queries and answers are lost now and then, however one asks. TCP sends them again.",
)
OUTAGE = _text(
    "All packets are lost for some time", "For some time no query is answered. Before and after all is well."
)
AT_FIRST = _text(
    "A new client is cut off at first", "A client's first queries get no answer. After some seconds all is well."
)
OVER_RATE = _text(
    "Queries over a rate are lost", "Some queries are lost when many are sent. Fewer queries are all answered."
)
NEW_FLOWS = _text(
    "Queries that open a new flow are lost",
    "A query from a new socket may be lost. Sockets that are kept, and TCP, fare better.",
)
PORTS = _text(
    "Queries from some source ports are lost",
    "A query from some ports gets no answer, and neither does the same query again. Other ports are fine.",
)
KEPT_FLOWS = _text(
    "Queries on kept sockets are lost",
    "A socket that is kept gets no answers after some time. New sockets are fine.",
)
AAAA_LOST = _text("AAAA queries get no answer", "A queries are answered, AAAA queries are not, or not always.")
LARGE = _text("Large answers are lost", "Some names have larger answers than others. Over UDP these do not arrive.")
UDP_SILENT = _text("UDP gets no answer", "No query over UDP is answered, but TCP works.")
CHECKSUMS = _text(
    "Answers arrive damaged", "Answers reach the client with a wrong checksum. Its kernel throws them away."
)
OTHER_ADDRESS = _text(
    "Late answers come from another address",
    "An answer that comes late has another sender than the server that was asked. The client's socket refuses it.",
)
NOT_TAKEN = _text(
    "Answers come from another address than was asked",
    "An answer has another sender than the address that was asked. The client's socket refuses it.",
)
OVERFLOW = _text(
    "A full receive buffer drops packets", "Packets arrive faster than a program reads them. The kernel drops the rest."
)
ONE_SERVER = _text(
    "One of several servers does not answer",
    "Some lookups reach a server that is silent, over UDP and over TCP. To ask it again does not help.",
)
ONE_NAME = _text("Some names get no answer", "Lookups of these names get no answer. All other names are fine.")
TCP_SILENT = _text("TCP gets no answer", "Queries over UDP are answered. Connections over TCP fail.")
CACHE_FAILS = _text(
    "The node-local cache alone fails", "The DNS servers answer well. Through the cache on the node, lookups fail."
)
ERRORS = _text("Some answers are errors", "Servers answer in time, but some answers say that they cannot.")
AAAA_ERRORS = _text(
    "AAAA queries are answered with errors", "A queries are fine. AAAA queries get an error, so only IPv4 is known."
)
BUSY_ERRORS = _text(
    "Late answers, and errors when many wait",
    "All answers take long. While many queries wait, the server refuses more.",
)
TRUNCATED = _text("UDP answers are truncated", "An answer over UDP is cut short, so the resolver asks again over TCP.")
ALL_LATE = _text("All answers are late", "Each answer takes the same long time, over UDP and over TCP.")
AAAA_LATE = _text("AAAA answers are late", "Each AAAA answer takes long. A answers do not.")
SOME_LATE = _text("Some answers are late", "Some lookups wait for a second or more. Others, in between, do not.")
PAUSES = _text("Answers stop for moments", "Now and then, all answers stop together for a moment.")
HELD_UP = _text("Answers are held up for short times", "Many answers wait for some 10 ms. No packet is lost.")
CLIENT_HELD_UP = _text("The client itself is held up", "The client does not get the CPU when it needs it.")
TCP_LATE = _text("Answers over TCP are late", "Queries over UDP are answered at once. Over TCP they wait.")
FLOW_COST = _text("The first packet of each flow is slow", "A query that opens a new flow takes longer than others.")
ELSEWHERE = _text("Somebody else answers", "Lookups are answered, but the DNS servers never receive the queries.")
