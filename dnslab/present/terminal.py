"""A summary on a terminal: the answer, its limits, and the tables."""

from __future__ import annotations

import textwrap

from dnslab.analyse.summary import Summary
from dnslab.explain.findings import Findings
from dnslab.explain.tables import against_baseline, by_configuration
from dnslab.text import echo_text, item, terminal_width, visible


def print_summary(summary: Summary, findings: Findings) -> None:
    """Print the answer, the reasons to distrust it, and the tables on stdout, no wider than the terminal."""
    width = terminal_width()
    echo_text(textwrap.fill(visible(findings.headline), min(width or 100, 100)))
    for veto in findings.vetoes:
        echo_text(item(f"{veto.title}: {veto.details}. {veto.advice[0].upper()}{veto.advice[1:]}.", width))
    echo_text(f"\n{by_configuration(summary).to_text(width)}")
    changes = against_baseline(summary)
    if len(changes.frame):
        echo_text("\nAgainst baseline, paired by round (95 % intervals; verdicts corrected for their number):")
        echo_text(f"\n{changes.to_text(width)}")
