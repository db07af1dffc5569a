"""where: which targets are hit, and that the others are spared beyond chance."""

from __future__ import annotations

import pandas as pd
import pytest

from dnslab.analyse.observed import Observed
from dnslab.explain.where import hit_targets

NODES = ("node-1", "node-2", "node-3")


def frame(**lost: tuple[int, int, int]) -> pd.DataFrame:
    """200 queries of each arm on each node, of which so many were lost."""
    rows = [
        {"arm": arm.replace("_", "-"), "target": node, "n": 200, "lost": k, "errors": 0, "truncated": 0, "late": 0}
        for arm, of_node in lost.items()
        for node, k in zip(NODES, of_node, strict=True)
    ]
    return pd.DataFrame(rows)


def test_the_node_that_is_hit_is_named_by_the_arms_that_are() -> None:
    arms = frame(a=(0, 0, 0), pair_one_socket=(0, 18, 0))
    assert hit_targets(arms, None) == "Hit: node-2, 18 of 200 queries. Spared: node-1, node-3, 0 of 400."


@pytest.mark.parametrize(
    "lost", [(0, 0, 0), (20, 20, 20), (20, 21, 8), (0, 1, 0)], ids=["none", "all", "some less", "too few"]
)
def test_no_node_is_named_where_that_is_open(lost: tuple[int, int, int]) -> None:
    assert hit_targets(frame(a=lost), None) == ""


def test_lookups_say_it_where_queries_do_not() -> None:
    observed = Observed(targets={"node-1": (400, 0), "node-2": (400, 30)})
    assert hit_targets(frame(a=(0, 0, 0)), observed) == "Hit: node-2, 30 of 400 lookups. Spared: node-1, 0 of 400."
    assert hit_targets(pd.DataFrame(columns=["arm"]), Observed()) == ""
