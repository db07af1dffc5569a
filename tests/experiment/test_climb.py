"""What a rung is reckoned to take."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from dnslab.experiment.climb import Climb
from dnslab.explain.ladder import RungDone
from dnslab.plan import ladder
from dnslab.plan.arms import Places
from dnslab.plan.ladder import LIBC, LONG, Ladder, plan_of

PLACES = Places(("10.96.0.10",), ("10.0.0.2", "10.0.0.3"))


def test_waits_of_the_c_library_are_not_reckoned_for_raw_queries() -> None:
    base = ladder.base_plan("lab")
    arms = RungDone("arms", "rungs/1-arms", 11.0, 6.0, 12.0, 1)
    libc = RungDone(LIBC.name, "rungs/2-libc", 56.0, 15.0, 12.0, 1)
    climb = Climb(Ladder(base, PLACES), cast("Any", Path()), cast("Any", None), done=[arms, libc])
    assert climb.needs_s(plan_of(LONG, base, PLACES), True) == pytest.approx(LONG.load_s + 5.0)
    stalling = climb.needs_s(plan_of(LIBC, base, PLACES), True)
    assert stalling == pytest.approx(LIBC.load_s * LIBC.rounds + ladder.STALL_S * LIBC.rounds + 5.0)
