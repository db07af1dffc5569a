"""Print the held-out faults, or run a command of dnslab in a process that has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bench.held_out import HELD_OUT
from dnslab.cli import main
from dnslab.plan.faults import number


def table() -> Iterator[str]:
    """A row for each fault: its parameters, and what a right answer says."""
    yield "| fault | what it does | parameters | right | also defensible |"
    yield "|---|---|---|---|---|"
    for one in HELD_OUT:
        given = ", ".join(f"{key}={number(parameter.default)}" for key, parameter in one.parameters.items())
        right = one.truth.cause or "none of the catalogue"
        also = ", ".join((*one.truth.also, *one.truth.mechanisms))
        yield f"| `{one.fault.name}` | {one.fault.summary} | {given} | {right} | {also} |"


if __name__ == "__main__":
    if sys.argv[1:]:
        main()
    else:
        print("\n".join(table()))
