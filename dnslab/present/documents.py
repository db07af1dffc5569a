"""What commands found as plain data for JSON; docs/summary.md describes each key. Numbers are exact, keys stable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dnslab.analyse.summary import Row, Summary, jsonable
from dnslab.explain.comparison import MEASURES, ComparedRow, Comparison
from dnslab.explain.findings import Findings
from dnslab.explain.gates import Gated
from dnslab.explain.verification import Side, verify
from dnslab.plan.resolvconf import Libc
from dnslab.plan.variants import BUILT_IN, not_applicable

#: raised when a key changes its meaning or goes away
VERSION = 1


def gate(gated: Gated, run: str) -> dict[str, Any]:
    """Decisions of ``dnslab gate``."""
    decisions = [
        {
            "measure": decision.gate.measure,
            "limit": decision.gate.limit,
            "strict": decision.gate.strict,
            **_names(decision.row),
            "verdict": decision.word,
            "why": decision.why or None,
            "interval": decision.measured,
        }
        for decision in gated.decisions
    ]
    head = {"version": VERSION, "run": run, "status": gated.status, "loads": gated.load_labels}
    reasons = {"void": gated.void or None, "left_out": gated.left_out or None, "outage": gated.outage}
    return _plain({**head, **reasons, "decisions": decisions})


def comparison(compared: Comparison, status: int) -> dict[str, Any]:
    """What ``dnslab compare`` found."""
    lists = {name: getattr(compared, name) for name in ("void", "refused", "unmatched", "differences")}
    rows = [_compared(row) for row in compared.rows]
    head = {"version": VERSION, "runs": compared.names, "status": status, "loads": compared.load_labels}
    return _plain({**head, **lists, "rows": rows})


def _compared(row: ComparedRow) -> dict[str, Any]:
    names = {**_names(row.before), "target_after": row.target_after, "run": row.run, "refused": row.refused}
    sides = {side: _numbers(getattr(row, side)) for side in ("before", "after")}
    return {**names, **sides, "effects": row.effects or None, "verdicts": row.verdicts or None}


def _numbers(row: Row) -> dict[str, Any]:
    keys = ("rounds", "n", "stalls", "slow", "failed", *(measure for _, measure in MEASURES))
    return {key: getattr(row, key) for key in keys}


def verification(summary: Summary, findings: Findings, status: int, path: str) -> dict[str, Any]:
    """What ``dnslab verify`` found."""
    answers = [
        {
            "libc": answer.libc,
            "word": answer.word,
            "sentence": answer.sentence,
            "now": _side(answer.now),
            "before": _side(answer.before),
        }
        for answer in verify(summary)
    ]
    earlier = summary.verifies.model_dump() if summary.verifies else None
    head = {"version": VERSION, "run": path, "verifies": earlier, "status": status, "void": findings.void}
    return _plain({**head, "answers": answers, "vetoes": [veto.to_dict() for veto in findings.vetoes]})


def _side(side: Side) -> dict[str, Any]:
    return {"n": side.total, "count": side.k, "worse": sum(side.worse)}


def variants(libc: Libc | None) -> dict[str, Any]:
    """The variants that dnslab knows, and with ``libc`` why it ignores one."""
    listed = [
        {
            "name": variant.name,
            "summary": variant.summary,
            "libcs": sorted(variant.libcs),
            "options": variant.options,
            "since_glibc": ".".join(map(str, variant.since)) if variant.options else None,
            "not_applicable": not_applicable(variant, libc) if libc else None,
        }
        for variant in BUILT_IN.values()
    ]
    return _plain({"version": VERSION, "libc": libc, "variants": listed})


def _names(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("variant", "target", "load", "libc")}


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = jsonable(document)
    return plain
