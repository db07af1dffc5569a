"""What says how much has to be measured: ``plan``."""

from __future__ import annotations

import math
from typing import Any

import click

from dnslab.errors import UsageError
from dnslab.sentences import terminal as said
from dnslab.text import echo


class Share(click.ParamType):  # type: ignore[type-arg]
    """A share as ``0.1%`` or ``0.001``, above 0 and under 1."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share as a number."""
        try:
            share = float(str(value).removesuffix("%")) / (100 if str(value).endswith("%") else 1)
        except ValueError:
            share = math.nan
        if not 0 < share < 1:
            self.fail(f"expected a share as 0.1% or 0.001, saw {value!r}", param, ctx)
        return share


@click.command(name="plan")
@click.option("--detect", type=Share(), required=True, metavar="0.1%", help="Share of lookups that stall.")
@click.option("--power", type=Share(), default="90%", show_default=True, help="How sure to be that the run shows it.")
@click.option(
    "--rate", type=float, default=200.0, show_default="200", metavar="N", help="Lookups a second for each variant."
)
@click.option(
    "--variants",
    "n_variants",
    type=click.IntRange(2, 1000),
    metavar="N",
    help="How many variants to compare, baseline among them (default 6).",
)
@click.option(
    "--pilot", metavar="RUN", help="An earlier run, a path or `latest`: it shows how much rounds differ there."
)
def plan_(detect: float, power: float, rate: float, n_variants: int | None, pilot: str | None) -> None:
    """Plan a run: how many rounds, and how long, to detect stalls.

    The answer holds for a share of stalls, and for a difference of that size.
    """
    from dnslab.analyse.power import sizes_needed
    from dnslab.plan.model import MOST_PER_S
    from dnslab.plan.variants import USUAL

    if not 0 < rate <= MOST_PER_S:
        raise UsageError(said.RATE_RANGE(most=f"{MOST_PER_S:,}", rate=f"{rate:g}"))
    spread = None
    if pilot:
        from dnslab.analyse.dataset import open_run
        from dnslab.analyse.summary import summarise

        spread = summarise(open_run(pilot)).spread
    for line in sizes_needed(detect, power, rate, (n_variants or len(USUAL)) - 1, spread):
        echo(line)
