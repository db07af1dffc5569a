"""What a veto is: a reason to distrust a run or a part of it. Knows no check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dnslab.analyse.summary import Summary
from dnslab.sentences import checks
from dnslab.store.client import ClientName, Key
from dnslab.text import first_of

VOID = str(checks.VOID)
#: parts left out that are named one by one
MOST_PLACES = 6
#: what a veto spoils: the whole run, or on the targets of its clients and under their loads the rounds in which it was
#: seen (of all variants, so that they stay comparable), its variants (in all rounds), or all that was measured
Reach = Literal["run", "round", "variant", "target"]


@dataclass(frozen=True)
class Veto:
    """A reason to distrust a run or a part of it.

    ``void`` empties the headline, ``left out`` says which part is not in the figures (``left_out`` names its places),
    ``note`` only stands beside the headline. ``seen`` and ``advice`` are whole sentences. ``clients`` are those in
    which the trouble was seen, none where it is about the run as a whole; ``reach`` says what it spoils besides them.
    """

    name: str
    severity: Literal["void", "left out", "note"]
    seen: str
    advice: str
    clients: frozenset[ClientName] = frozenset()
    reach: Reach = "run"
    left_out: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What a line about the veto begins with."""
        return "left out" if self.left_out else self.name

    @property
    def details(self) -> str:
        """What follows the title: a sentence on what was seen, or on which part was left out and why."""
        if not self.left_out:
            return self.seen
        places = first_of(self.left_out, MOST_PLACES)
        return checks.LEFT_OUT_PART(places=places, why=self.seen.removesuffix("."))

    @property
    def reason(self) -> str:
        """A sentence with the name and what was seen."""
        if self.left_out:
            return self.details
        return checks.REASON(name=f"{self.name[0].upper()}{self.name[1:]}", seen=self.seen)

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON, described in docs/summary.md."""
        plain = {"name": self.name, "severity": self.severity, "seen": self.seen, "advice": self.advice}
        return {**plain, "left_out": list(self.left_out)} if self.left_out else plain


def left_out(vetoes: Sequence[Veto]) -> str:
    """A sentence on what the figures leave out, and why; ``""`` if nothing."""
    parts = parts_left_out(vetoes)
    return checks.LEFT_OUT(parts=parts) if parts else ""


def parts_left_out(vetoes: Sequence[Veto]) -> str:
    """The parts that the figures leave out, each with the reason; ``""`` if none."""
    return "; ".join(veto.details.removesuffix(".") for veto in vetoes if veto.left_out)


def clients_of(summary: Summary, key: Key) -> frozenset[ClientName]:
    """The clients of a row."""
    return frozenset(client.name for client in summary.clients if client.key == key)
