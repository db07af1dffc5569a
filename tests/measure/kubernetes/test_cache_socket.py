"""The socket of a node-local cache fills up under many clients: what its kernel drops is what goes unanswered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.lookups import Lookups, read_stream
from dnslab.analyse.witnesses import rises_of
from dnslab.experiment import diagnose
from dnslab.measure import runner
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.node_cache.remove import remove
from dnslab.plan.model import Plan
from dnslab.plan.variants import NODE_LOCAL_ADDRESS
from dnslab.store import stream as records
from tests.measure.kubernetes.test_node_cache import IMAGE, dnslab
from tests.pods import fresh_namespace

pytestmark = [pytest.mark.cluster, pytest.mark.verify, pytest.mark.alone]

DROPS = f"node.udp.53.drops@{NODE_LOCAL_ADDRESS}"
WORKERS = 200


@pytest.fixture(scope="module")
def namespace(cluster: None) -> Iterator[str]:
    """A namespace in a cluster with a node-local cache."""
    client = connect()
    done = dnslab("install", "--image", IMAGE, "--yes")
    assert done.returncode == 0, done.stderr
    with fresh_namespace(client) as within:
        yield within.namespace
    for _ in remove(client, IMAGE, [NODE_LOCAL_ADDRESS]):
        pass


def measured(namespace: str, folder: Path, rounds: int, **load: Any) -> Run:
    """A run of node-local alone, each trial in full: what a warm-up loses is counted, too, but not kept."""
    closed = {"loop": "closed", "workers": WORKERS, "duration_s": 2, "warmup_s": 0, **load}
    asked = {
        "backend": "kubernetes",
        "cluster": {"namespace": namespace, "images": ["dnslab.test/glibc:1"], "node_counters": True},
        "variants": ["node-local"],
        "loads": [closed],
        "names": ["kubernetes.default.svc.cluster.local."],
        "rounds": rounds,
        "deadline_s": 11.0 if load.get("engine") != "wire" else 3.0,
        "limits": {"abort_margin": 1.0},
    }
    return open_run(runner.run(Plan.of(asked), folder))


def dropped(run: Run) -> list[int]:
    """What the kernel of the node dropped at the cache's socket, in each trial."""
    return [int(rises_of(client)[DROPS]) for client in run.clients()]


def unanswered(run: Run) -> list[int]:
    """Queries that were sent and to whose id no answer came, in each trial."""
    outcomes = [read_stream(client.stream)[0]["outcome"] for client in run.clients()]
    return [int((outcome == records.OUTCOME_NO_ANSWER).sum()) for outcome in outcomes]


def test_what_the_socket_drops_is_what_goes_unanswered_and_less_load_or_tcp_loses_nothing(
    namespace: str, tmp_path: Path
) -> None:
    busy = measured(namespace, tmp_path / "busy", 5, engine="wire", workers=2 * WORKERS)
    assert dropped(busy) == unanswered(busy)
    assert sum(dropped(busy)) > 0
    for name, load in (("quarter", {"workers": WORKERS // 4}), ("tcp", {"transport": "tcp"})):
        spared = measured(namespace, tmp_path / name, 1, engine="wire", **load)
        assert (dropped(spared), unanswered(spared)) == ([0], [0])


def test_lookups_that_stall_at_the_cache_are_told_from_its_socket(namespace: str, tmp_path: Path) -> None:
    """A lookup whose two queries were dropped stalls without the flag, one that lost one query stalls with it."""
    run = measured(namespace, tmp_path / "run", 3)
    stalls = list(run.once("of sockets", lost_queries))
    assert sum(dropped(run)) >= 20
    for drops, (at_least, at_most) in zip(dropped(run), stalls, strict=True):
        assert at_least <= drops <= at_most
    answer = diagnose.read(run.path)
    assert (answer.status, answer.causes[0].name, answer.causes[0].word) == ("cause", "cache-buffer-full", "shown")


def lost_queries(lookups: Lookups) -> tuple[int, int]:
    """At least and at most: the first try of a stall lost one query or both, each later one up to two more."""
    flagged = int((lookups.stall & lookups.half_lost).sum())
    stalls = int(lookups.stall.sum())
    tries = int(np.rint(lookups.service_ms[lookups.stall] / 5_000).sum())
    first = 2 * (stalls - flagged) + flagged
    return first, first + 2 * (tries - stalls)
