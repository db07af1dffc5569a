"""What baseline's stalls look like: a cause with the evidence it rests on, from a summary alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dnslab.analyse.summary import Row, Summary
from dnslab.text import percent

#: share of stalls with the half-lost flag from which on "one of two answers was lost" is the pattern: under race
#: emulation 100 of 100 were flagged, under receive-buffer overflow 2 of 70
FLAGGED_RACE = 0.8
FLAGGED_OVERFLOW = 0.5
#: stalls from which on a flagged share says something
MIN_STALLS = 5
#: variants of glibc that ask for A and AAAA one after the other
SEQUENTIAL = ("single-request", "single-request-reopen")


class Kind(Enum):
    """What the evidence points to."""

    RACE = "the pattern of the conntrack race"
    RECEIVE_BUFFER = "a server's receive buffer that overflows"
    HALF_LOST = "one of two parallel answers lost, for a reason that is not shown"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class Cause:
    """What baseline's stalls point to, and the evidence.

    ``flagged`` is the share of stalls in which glibc saw one of two parallel answers and not the other, ``dropped`` the
    datagrams that servers dropped at a full receive buffer in the same trials.
    """

    kind: Kind
    flagged: float
    dropped: int

    def __str__(self) -> str:
        """A sentence, without a full stop, that begins with a small letter."""
        flagged = percent(self.flagged)
        match self.kind:
            case Kind.RACE:
                return (
                    f"{flagged} of the stalls lost just one of the two parallel answers and sequential queries lost "
                    f"none, which is {Kind.RACE.value}"
                )
            case Kind.RECEIVE_BUFFER:
                return (
                    f"servers dropped {self.dropped:,} datagrams at a full receive buffer in the same trials and "
                    f"{flagged} of the stalls lost just one answer, which points to the buffer"
                )
            case Kind.HALF_LOST:
                return (
                    f"{flagged} of the stalls lost just one of the two parallel answers, and without {SEQUENTIAL[0]} "
                    "beside it this run does not show why"
                )
            case Kind.NOT_SHOWN:
                return "the cause is not shown by this run"


def cause_of(summary: Summary, baseline: Row | None) -> Cause | None:
    """What the stalls of ``baseline`` point to; None where there are too few of them, and without glibc's flags."""
    if baseline is None or baseline.stalls < MIN_STALLS or baseline.libc != "glibc":
        return None
    flagged, dropped = baseline.flagged_share or 0.0, baseline.rcvbuf_errors
    sequential = [row for name in SEQUENTIAL if (row := summary.row(name, baseline.target))]
    kind = Kind.NOT_SHOWN
    if flagged >= FLAGGED_RACE and not dropped:
        if not sequential:
            kind = Kind.HALF_LOST
        elif all(row.is_clean for row in sequential):
            kind = Kind.RACE
    elif dropped and flagged < FLAGGED_OVERFLOW:
        kind = Kind.RECEIVE_BUFFER
    return Cause(kind, flagged, dropped)
