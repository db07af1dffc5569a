"""Can you trust this run: failed checks first, then what to bear in mind, passed checks folded; and the details."""

from __future__ import annotations

from collections.abc import Iterator

from dnslab.analyse.dataset import Run
from dnslab.analyse.summary import Row
from dnslab.explain.checks import passed
from dnslab.explain.tables import against_baseline, by_configuration
from dnslab.explain.veto import Veto
from dnslab.present.page.context import Context
from dnslab.present.page.hero import took
from dnslab.present.page.view import Detail, Fact, Item, Trust
from dnslab.sentences import pictures, trust as said
from dnslab.text import counted, first_of, span_of

#: names shown one by one
MOST_NAMES = 5


def trust(context: Context) -> Trust:
    """The checks."""
    failed = [veto for veto in context.findings.vetoes if veto.severity != "note"]
    notes = [veto for veto in context.findings.vetoes if veto.severity == "note"]
    limits = [limit for limit in context.findings.bear_in_mind if limit.noted]
    intro = str(pictures.TRUST_LEFT_OUT if failed and not context.findings.void else pictures.TRUST_HEAD)
    return Trust(
        str(said.VOID_HEADING if context.findings.void else said.TRUST_HEADING),
        intro,
        [_item(veto, "x", "bad") for veto in failed],
        [
            *(_item(veto, "minus", "warn") for veto in notes),
            *(Item("minus", "warn", limit.title, limit.sentence) for limit in limits),
        ],
        [
            Item("check", "good", check.name, check.said)
            for check in passed(context.run, context.summary, context.findings.vetoes)
        ],
    )


def _item(veto: Veto, icon: str, tone: str) -> Item:
    name = veto.name[:1].upper() + veto.name[1:]
    title = f"{name}: left out" if veto.left_out else name
    places = f"{first_of(veto.left_out, MOST_NAMES)}: " if veto.left_out else ""
    return Item(icon, tone, title, f"{places}{veto.seen.removesuffix('.')}. {veto.advice}")


def details(context: Context) -> list[Detail]:
    """What unfolds at the end."""
    summary = context.summary
    tables = [by_configuration(summary), against_baseline(summary)]
    n = len(summary.rows)
    limits = [
        f"{limit.title}: {limit.sentence}" if limit.title else limit.sentence for limit in context.findings.bear_in_mind
    ]
    found = [
        Detail(
            "All figures",
            str(pictures.NOT_A_RESULT) if context.findings.void else counted(n, "row"),
            [table for table in tables if len(table.frame)],
        ),
        Detail("How it was measured", "", lines=list(_method(context))),
        Detail("Environment", "", facts=environment(context.run)),
        Detail("What this run cannot show", "", lines=limits),
        Detail("Glossary", "", facts=GLOSSARY),
    ]
    return [detail for detail in found if detail.tables or detail.lines or detail.facts]


def _method(context: Context) -> Iterator[str]:
    plan = context.run.plan
    orders = {
        "side-by-side": "all side by side",
        "in-turn": "one after the other, in shuffled order",
        "together": "all loads and configurations at the same time",
    }
    yield str(pictures.METHOD_ROUNDS(order=orders[plan.order]))
    limits: dict[str, Row] = {}
    for row in context.summary.measured():
        if row.variant == "baseline":
            limits.setdefault(row.libc, row)
    if limits:
        each = ", ".join(f"{span_of(row.stall_ms / 1e3)} on {libc}" for libc, row in limits.items())
        yield pictures.METHOD_STALL(limits=each)
    for sentence in (
        pictures.METHOD_WARM_UP,
        pictures.METHOD_FAILED,
        pictures.METHOD_INTERVALS,
        pictures.METHOD_VERDICTS,
    ):
        yield str(sentence)


def environment(run: Run) -> list[Fact]:
    """What the run was measured on."""
    plan, machine, backend = run.plan, run.environment, run.environment.backend
    fault = f"{machine.fault} ({backend.fault_summary})" if str(plan.fault) != "none" else "none injected"
    facts = {
        "Run": run.path.name,
        "Kernel": machine.kernel,
        "Machine": f"{machine.cpu or machine.machine}, {machine.n_cpus} CPUs" if machine.n_cpus else "",
        "C libraries": ", ".join(dict.fromkeys(f"{one.libc} {one.libc_version}" for one in run.targets)),
        "Measured in": backend.name,
        "Images": ", ".join(run.images),
        "DNS servers": backend.unbound or backend.nameserver,
        "Fault injected": fault,
        "Names": first_of(plan.names, MOST_NAMES),
        "Load": "; ".join(
            f"{load.label}, {span_of(load.duration_s)} after {span_of(load.warmup_s)} of warm-up" for load in plan.loads
        ),
        "Schedule": f"{counted(plan.rounds, 'round')}, {plan.order}, seed {plan.seed}",
        "Started": machine.started,
        "Took": took(run),
        "dnslab": machine.dnslab,
    }
    return [Fact(name, str(text)) for name, text in facts.items() if text]


GLOSSARY = [
    Fact("Configuration", str(pictures.G_CONFIGURATION)),
    Fact("Baseline", str(pictures.G_BASELINE)),
    Fact("Lookup", str(pictures.G_LOOKUP)),
    Fact("Query", str(pictures.G_QUERY)),
    Fact("Stall", str(pictures.G_STALL)),
    Fact("Failed", str(pictures.G_FAILED)),
    Fact("Round", str(pictures.G_ROUND)),
    Fact("Target", str(pictures.G_TARGET)),
    Fact("Conntrack", str(pictures.G_CONNTRACK)),
    Fact("Median", str(pictures.G_MEDIAN)),
    Fact("95 % interval", str(pictures.G_INTERVAL)),
]
