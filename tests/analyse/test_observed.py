"""observe: what signs are read from, of records that are written out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.analyse.observed import observe
from dnslab.analyse.summary import summarise
from dnslab.explain.answers import leading_baseline
from dnslab.plan.model import Load, Plan
from tests.runs import rows, write_run

PLAN = Plan(variants=("baseline", "use-vc"), rounds=1, loads=(Load(rate_per_s=100, duration_s=1, warmup_s=0),))


@pytest.mark.parametrize(
    ("udp_ms", "tcp_ms", "udp_bad", "tcp_bad"),
    [(5_000.0, 1_010.0, 10, 10), (5_000.0, 3_020.0, 10, 10), (1_010.0, 1_300.0, 0, 0), (1_300.0, 700.0, 0, 0)],
    ids=["a cut", "a longer one", "a pause", "a short pause"],
)
def test_a_time_of_losses_is_not_one_of_late_answers(
    tmp_path: Path, udp_ms: float, tcp_ms: float, udp_bad: int, tcp_bad: int
) -> None:
    """Over TCP, what a connection lost comes right after it is tried again."""
    made = {
        (variant, "glibc", 1): rows([0.2] * 40 + [bad_ms] * 10 + [0.2] * 50)
        for variant, bad_ms in (("baseline", udp_ms), ("use-vc", tcp_ms))
    }
    run = open_run(write_run(tmp_path / "run", PLAN, made))
    summary = summarise(run)
    baseline = leading_baseline(summary)
    assert baseline
    numbers = observe(run, summary, baseline).numbers
    spans = numbers["baseline"].bad, numbers["use-vc"].bad
    assert [span.bad_inside for span in spans if span] == [udp_bad, tcp_bad]
