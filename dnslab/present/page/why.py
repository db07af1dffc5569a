"""Why it happens: the causes as cards, and beside them what is ruled out and what was not tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnslab.analyse.intervals import upper_bound_when_none
from dnslab.explain.answers import baselines
from dnslab.explain.evidence import Evidence, Explained, resolving_kernel
from dnslab.present.page.context import Context
from dnslab.present.page.view import CauseCard, Item, ItemCard, Why
from dnslab.sentences import pictures, remedies, why as said
from dnslab.text import counted, fewer_than, listed

N_BARS = 3


def why(context: Context) -> Why | None:
    """The section; None where there is nothing to explain."""
    diagnosis, state = context.findings.diagnosis, context.findings.verdict.state
    if state == "none" and not diagnosis.causes:
        cards = [
            ItemCard(str(remedies.STILL_WAITING), list(_missed(context))),
            *_others(context),
        ]
        return Why("What this run could have missed", str(remedies.STILL_WAITING_MORE), [], _filled(cards))
    if not diagnosis.causes:
        return None
    causes = [_card(context, cause, rank) for rank, cause in enumerate(diagnosis.causes, 1)]
    return Why("Why it happens", str(pictures.WHY_HEAD), causes, _filled(list(_others(context))))


def _others(context: Context) -> Iterator[ItemCard]:
    """What is known of all other causes; a mark for each kind of answer."""
    diagnosis = context.findings.diagnosis
    yield ItemCard("Ruled out", [_item(one, "ban", "soft") for one in diagnosis.ruled_out])
    yield ItemCard("Not seen", [_item(one, "ring", "soft") for one in diagnosis.not_seen])
    yield ItemCard("Not tested", [_item(one, "q", "soft") for one in diagnosis.not_tested])


def _filled(cards: Sequence[ItemCard]) -> list[ItemCard]:
    return [card for card in cards if card.items]


def _item(evidence: Evidence, icon: str, tone: str) -> Item:
    detail = f"{evidence.detail} To check:".strip() if evidence.command else evidence.detail
    return Item(icon, tone, evidence.claim, detail, evidence.command)


def _card(context: Context, cause: Explained, rank: int) -> CauseCard:
    several = len(context.findings.diagnosis.causes) > 1
    against = "" if cause.emulated or not cause.kind else str(said.NONE_AGAINST)
    if cause.emulated and cause.kind == "conntrack-race" and (kernel := resolving_kernel(context.findings.seen)):
        against = said.EMULATED_KERNEL(kernel=kernel)
    return CauseCard(
        rank=f"Cause {rank}" if several else "",
        name=cause.name,
        confidence=cause.word,
        bars=[] if cause.emulated else [number < cause.confidence.bars for number in range(N_BARS)],
        icon="flask",
        tone="fault" if cause.emulated else "bad" if cause.confidence.bars > 1 else "warn",
        summary=cause.summary,
        heading=str(said.EVIDENCE_FOR if cause.kind else said.EVIDENCE_OPEN),
        evidence_for=[_item(one, "check", "good") for one in cause.evidence_for],
        evidence_against=[_item(one, "minus", "warn") for one in cause.evidence_against],
        none_against=against,
    )


def _missed(context: Context) -> Iterator[Item]:
    """What a run without a stall could have missed, the likeliest first."""
    seen, summary = context.findings.seen, context.summary
    n = sum(row.n for row in baselines(summary))

    def item(title: object, detail: str, command: object) -> Item:
        return Item("q", "soft", str(title), f"{detail} To check:", str(command))

    if summary.backend != "kubernetes":
        where = "the lab of this machine" if summary.backend == "lab" else "this machine"
        yield item(said.MISSED_CLUSTER, said.MISSED_CLUSTER_MORE(where=where), said.OWN_CLUSTER_TELL)
    elif seen.n_nodes and seen.nodes_measured < seen.n_nodes:
        more = said.MISSED_NODES_MORE(measured=f"{seen.nodes_measured}", n=f"{seen.n_nodes}")
        yield item(said.MISSED_NODES, more, said.MISSED_NODES_TELL)
    fewer = fewer_than(upper_bound_when_none(n))
    share = f"{100 * upper_bound_when_none(n) / 4:.1g}%"
    more = said.MISSED_RARE_MORE(fewer=fewer)
    yield item(said.MISSED_RARE, more, said.MISSED_RARE_TELL(share=share))
    libcs = f"{listed(context.libcs)} {'was' if len(context.libcs) == 1 else 'were'}"
    yield item(said.MISSED_IMAGE, said.MISSED_IMAGE_MORE(libcs=libcs), said.MISSED_IMAGE_TELL)
    if not seen.external:
        names = context.run.plan.names
        were = counted(len(names), "name was", "names were")
        yield item(said.MISSED_NAMES, said.MISSED_NAMES_MORE(names=were), said.MISSED_NAMES_TELL)
