"""What a diagnosis says of rungs that were measured: where something could not be read, it does not pass one cause off
as the only one."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dnslab.analyse.arms import COLUMNS
from dnslab.explain.ladder import Answer, RungDone, conclude_ladder
from dnslab.plan.arms import Places

DONE = [RungDone("arms", "rungs/1-arms", 9.0, 6.0, 12.0, 1)]


def arms(**lost: int) -> pd.DataFrame:
    """200 queries of each arm, of which these were lost."""
    zero: dict[str, Any] = dict.fromkeys(COLUMNS, 0)
    zero |= {"rcodes": {}, "rises": {}, "place": "10.96.0.10", "target": "t", "round": 1}
    zero |= {"n": 200, "p50_ms": 1.0, "p99_ms": 2.0}
    return pd.DataFrame([{**zero, "arm": arm, "lost": n, "unanswered": n} for arm, n in lost.items()])


def concluded(places: Places) -> Answer:
    frame = arms(control=0, a=0, aaaa=0, standing=12, tcp=0)
    return conclude_ladder(DONE, frame, None, places, passed_s=9.0)


def test_losses_of_kept_sockets_alone_may_be_servers_that_ended_where_nobody_could_see_it() -> None:
    seen = concluded(Places(("10.96.0.10",), ("10.0.0.2", "10.0.0.3")))
    assert (seen.status, seen.causes[0].name) == ("cause", "kept-flow-forgotten")
    unseen = concluded(Places(("10.96.0.10",), missing="EndpointSlices may not be read"))
    assert (unseen.status, unseen.causes[0].name) == ("cause", "kept-flows-lost")
    both = "“Something on the path forgets flows that are kept” or “DNS servers went away without warning”"
    assert both in unseen.causes[0].summary
    assert unseen.causes[0].remedy is None
    assert any("EndpointSlices may not be read" in line for line in unseen.lines)
