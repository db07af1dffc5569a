"""pacing: the time left never goes up, and the wait for stalled lookups is counted in before it happens."""

from __future__ import annotations

import pytest

from dnslab.measure.pacing import STALL_S, Pace


@pytest.mark.parametrize(
    ("overrun_s", "waits_s"),
    [(20.0, [20.0] * 4), (0.5, [20.0] * 4), (0.5, [0.3] * 4), (0.5, [0.3, 0.3, 20.0, 20.0]), (0.5, [5.2] * 4)],
    ids=["waits as before the run", "waits that nothing told of", "no waits", "waits that come late", "stalls"],
)
def test_the_time_left_never_goes_up(overrun_s: float, waits_s: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Four groups of 10 s load, each of which waits longer for its last lookups."""
    now_s = 1_000.0
    monkeypatch.setattr("dnslab.measure.pacing.time.monotonic", lambda: now_s)
    pace, left_s, shares, behind = Pace(overrun_s), list[float](), list[float](), list[bool]()
    for group, wait_s in enumerate(waits_s):
        pace.begin([10.0] * (4 - group))
        for _ in range(round((10.0 + wait_s) * 4)):
            left_s.append(pace.left_s())
            shares.append(pace.share())
            behind.append(pace.is_behind)
            now_s += 0.25
    assert left_s == sorted(left_s, reverse=True)
    assert shares == sorted(shares)
    assert (shares[0], left_s[0]) == (0.0, 40.0 + 4 * max(overrun_s, STALL_S))
    assert left_s[-1] < 2.0
    assert shares[-1] > 0.9
    # Only where waits come that nothing told of, it takes longer than was told.
    assert any(behind) == (max(waits_s) > max(overrun_s, STALL_S) + 1)


def test_a_stall_is_counted_in_for_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dnslab.measure.pacing.time.monotonic", lambda: 1_000.0)
    pace = Pace(1.0)
    pace.begin([10.0] * 3)
    assert pace.left_s() == 3 * (10 + STALL_S)
