"""Sentinel: fires by what heartbeats say, on the right target, and keeps no more than a window."""

from __future__ import annotations

from dnslab.experiment.sentinel import Sentinel
from dnslab.measure.progress import ClientProgress, Progress
from dnslab.plan.schedule import Trial
from dnslab.plan.sentinel import Alarm
from dnslab.store.stream import Heartbeat


def beat(n_done: int, n_failed: int = 0, n_over_limit: int = 0) -> Heartbeat:
    return Heartbeat(0, n_done, n_failed, n_over_limit, 0, 0, 0, 0)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def progress(clients: dict[tuple[int, str], Heartbeat]) -> Progress:
    running = [
        ClientProgress(Trial(number, 1, 1, "baseline", number - 1, (target,)), target, heartbeat)
        for (number, target), heartbeat in clients.items()
    ]
    return Progress(4, running=running)


def test_it_fires_where_failures_come_together() -> None:
    clock = Clock()
    watch = Sentinel([Alarm("failed", 60.0, 3), Alarm("late", 60.0, 3)], clock)
    for second, failed in ((0, 0), (10, 1), (100, 2), (150, 3)):  # never three within a minute
        clock.now_s = second
        assert not watch(progress({(1, "a"): beat(100, failed, failed), (1, "b"): beat(100)}))
    clock.now_s = 155.0
    assert watch(progress({(1, "a"): beat(100, 3, 3), (2, "a"): beat(100, 2, 2)}))
    assert watch.fired
    assert (watch.fired.target, watch.fired.kind, watch.fired.n_bad) == ("a", "failed", 4)
    assert watch(progress({}))  # and stays so


def test_targets_do_not_add_up_and_lost_is_not_late() -> None:
    watch = Sentinel([Alarm("failed", 60.0, 3), Alarm("late", 60.0, 3)], Clock())
    assert not watch(progress({(1, "a"): beat(9, 2, 4), (1, "b"): beat(9, 2, 4)}))
    assert watch(progress({(1, "a"): beat(9, 2, 5)}))
    assert watch.fired
    assert watch.fired.kind == "late"


def test_a_new_round_counts_from_nothing() -> None:
    watch = Sentinel([Alarm("failed", 60.0, 3)], Clock())
    assert not watch(progress({(1, "a"): beat(9, 2, 2)}))
    assert watch(progress({(5, "a"): beat(9, 1, 1)}))


def test_memory_is_bounded_by_the_longest_window() -> None:
    clock = Clock()
    watch = Sentinel([Alarm("failed", 60.0, 10_000), Alarm("failed", 1_800.0, 10_000)], clock)
    for second in range(20_000):
        clock.now_s = second
        watch(progress({(1, "a"): beat(second, second, second)}))
    assert max(map(len, watch._bad.values())) <= 1_801
