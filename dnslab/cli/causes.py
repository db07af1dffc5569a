"""``causes``: the catalogue of causes, or one of them."""

from __future__ import annotations

import click

from dnslab.errors import UsageError
from dnslab.sentences import catalogue as said
from dnslab.text import echo, echo_json, nearest


@click.command()
@click.argument("name", required=False)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def causes(name: str | None, form: str) -> None:
    """List the causes that dnslab knows, or say all of the cause NAME.

    What happens, which signs show it, what tells it from look-alikes, and what helps.
    """
    from dnslab.explain.catalogue import CAUSES
    from dnslab.explain.catalogue_page import described

    if name is not None and name not in CAUSES:
        raise UsageError(said.NO_CAUSE(name=repr(name[:80]), hint=nearest(name, list(CAUSES), or_all=False)))
    chosen = [CAUSES[name]] if name else list(CAUSES.values())
    if form == "json":
        known = {
            one.name: {"title": str(one.text.title), "part": one.group, "mechanism": one.mechanism}
            | dict(described(one))
            for one in chosen
        }
        echo_json(known)
    elif name:
        echo(f"{chosen[0].text.title} ({chosen[0].group})")
        for title, text in described(chosen[0]):
            echo(f"{title}: {text}")
    else:
        for one in chosen:
            echo(f"{one.name:24} {one.group:9} {one.text.title}")
