"""Faults on which no rule of the diagnosis was tried: they measure how well it does on what it has not seen.

Importing this package registers them in the lab of this process; ``python -m bench.held_out COMMAND ...`` runs a
command of dnslab with them, and without a command prints them. Half of them cause by other means what a cause of the
catalogue describes (docs/causes.md). The others are outside the catalogue, and a good answer names none of its causes.
Whoever changes what ``explain`` decides must not read how they do it, or what a diagnosis says of them.
"""

from __future__ import annotations

from bench.held_out.truth import HELD_OUT, TRUTHS, HeldOut, Truth
from dnslab.measure.lab import faults

__all__ = ["HELD_OUT", "TRUTHS", "HeldOut", "Truth", "register", "unregister"]


def register() -> None:
    """Let the lab inject the held-out faults; those that it has stay."""
    for one in HELD_OUT:
        if one.fault.name not in faults.FAULTS:
            faults.add(one.fault, one.parameters)


def unregister() -> None:
    """Let the lab forget them."""
    for one in HELD_OUT:
        if one.fault.name in faults.FAULTS:
            faults.remove(one.fault.name)


register()
