"""``python -m dnslab.explain.catalogue_page > docs/causes.md``: the catalogue of causes, for people."""

from __future__ import annotations

from collections.abc import Iterator

from dnslab.explain.catalogue import CAUSES, Cause
from dnslab.explain.predictions import MECHANISMS
from dnslab.sentences import catalogue as said
from dnslab.text import echo_text

GROUPS = ("client", "node", "service", "network", "cache", "server", "upstream", "policy")


def page() -> Iterator[str]:
    """Lines of Markdown."""
    yield from ("# Causes", "", str(said.MADE_BY), "", str(said.HEAD), "", str(said.WORDS), "")
    yield from ("| cause | part | what happens | how lookups suffer |", "|---|---|---|---|")
    for group in GROUPS:
        for cause in (one for one in CAUSES.values() if one.group == group):
            title = f"[{cause.text.title}](#{cause.name})"
            yield f"| {title} | {group} | {cause.text.summary} | {cause.works_by.text.title} |"
    for cause in sorted(CAUSES.values(), key=lambda one: GROUPS.index(one.group)):
        yield ""
        yield f"## {cause.name}"
        yield ""
        yield f"**{cause.text.title}** ({cause.group})"
        for title, text in described(cause):
            yield ""
            yield f"- {title}: {text}"
    yield from ("", f"## {said.MECHANISMS}", "", str(said.MECHANISMS_HEAD), "")
    yield from ("| mechanism | what happens |", "|---|---|")
    yield from (f"| `{one.name}`: {one.text.title} | {one.text.summary} |" for one in MECHANISMS.values())


def described(cause: Cause) -> Iterator[tuple[str, str]]:
    """What is known of a cause: titles and texts, in order."""
    text, predicts = cause.text, cause.predicts
    yield str(said.WHAT), str(text.summary)
    yield str(said.HOW), f"{cause.works_by.text.title} (`{cause.mechanism}`)"
    yield str(said.SIGNS), ", ".join(f"`{name}`" for name in (*predicts.must, *predicts.only_by))
    if predicts.never or predicts.unlikely:
        yield str(said.NOT_SIGNS), ", ".join(f"`{name}`" for name in (*predicts.never, *predicts.unlikely))
    if cause.shown_by:
        yield str(said.SHOWN_BY), "; or ".join(" and ".join(f"`{name}`" for name in group) for group in cause.shown_by)
    yield str(said.TELLS), f"{text.tells} `{cause.command}`"
    yield str(said.CHANGE), str(text.change)
    yield str(said.WHERE), str(text.where)
    yield str(said.COST), str(text.cost)
    yield str(said.WATCH), str(text.watch)
    if cause.faults:
        yield str(said.FAULTS), ", ".join(f"`--fault {name}`" for name in cause.faults)
    yield str(said.SOURCES), ", ".join(cause.sources)


if __name__ == "__main__":
    for line in page():
        echo_text(line)
