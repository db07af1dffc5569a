"""pacing: the time left counts in that lookups wait, and says at most how long."""

from __future__ import annotations

import itertools

import pytest

from dnslab.measure.display import line
from dnslab.measure.pacing import Pace
from dnslab.measure.progress import ClientProgress, Progress
from dnslab.plan.schedule import Trial
from dnslab.store.stream import Heartbeat


@pytest.mark.parametrize(("overrun_s", "rise_s"), [(20.0, 0.0), (0.5, 40.0)])
def test_the_time_left_goes_down_where_lookups_waited_before_the_run_as_in_it(
    overrun_s: float, rise_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four groups of 10 s load, each of which waits 20 s more. Where that was not foreseen, it rises bit by bit."""
    now_s = 1_000.0
    monkeypatch.setattr("dnslab.measure.pacing.time.monotonic", lambda: now_s)
    pace, left_s = Pace(overrun_s, 61.0), []
    for group in range(4):
        pace.begin([10.0] * (4 - group))
        for _ in range(120):
            left_s.append(pace.left_s())
            now_s += 0.25
    print([round(each) for each in left_s[::40]])
    steps_s = [after - before for before, after in itertools.pairwise(left_s)]
    assert max(steps_s) < 0.5
    assert sum(step for step in steps_s if step > 0) <= rise_s
    assert left_s[-1] < 2.0


def test_the_longest_wait_is_that_of_the_groups_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dnslab.measure.pacing.time.monotonic", lambda: 1_000.0)
    pace = Pace(1.0, 61.0)
    pace.begin([10.0] * 3)
    assert (pace.left_s(), pace.wait_s()) == (33.0, 180.0)


@pytest.mark.parametrize(
    ("sick", "n_failed", "wait_s", "said"),
    [(False, 0, 180.0, False), (True, 0, 180.0, True), (False, 1, 180.0, True), (False, 0, 3_600.0, True)],
)
def test_the_wait_is_said_where_lookups_fail_or_it_is_long(
    sick: bool, n_failed: int, wait_s: float, said: bool
) -> None:
    beat = Heartbeat(10**9, 50, n_failed, 0, 0, 0, 0, 0)
    client = ClientProgress(Trial(1, 1, 1, "baseline", 0, ("x",)), "x", beat)
    text = line(Progress(3, running=[client], left_s=33.0, wait_s=wait_s, sick=sick))
    assert "about 33 s left" in text
    assert (f", up to {wait_s:.0f} s more for lookups that wait for their deadline" in text) is said
