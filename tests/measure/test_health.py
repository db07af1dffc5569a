"""health: a run ends when DNS fails more than before it, and goes on when it is sick, slow, or one variant fails."""

from __future__ import annotations

import json
import math
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.errors import RunInvalid
from dnslab.measure import runner
from dnslab.measure.asking import TIMES
from dnslab.measure.health import Cohorts, Tally, Watch, control_trial, is_judged, min_failed
from dnslab.measure.progress import Progress
from dnslab.plan.arms import arm_load
from dnslab.plan.model import Limits, Load, Plan
from dnslab.plan.schedule import TargetInfo, trials
from dnslab.store import stream as records
from tests.nameserver import Nameserver, nameserver

NAME = "web.any.cluster.local."


def watch(n: int = 50, n_failed: int = 5, margin: float = 0.2) -> Watch:
    return Watch("baseline", Tally(n, n_failed), margin)


def seconds(*counts: tuple[int, int]) -> dict[str, list[Tally]]:
    return {"baseline": [Tally(*count) for count in counts]}


def test_worse_by_more_than_the_margin_is_a_reason() -> None:
    good = [(200, 60)] * 5
    assert watch().judge(seconds(*good)) == ""
    assert watch().judge(seconds(*good, *[(200, 60)] * 4, (200, 61))) == (
        "DNS got worse: 30 % (301 of 1,000) of baseline lookups failed in seconds 5 to 10 of a trial, "
        "against 10 % (5 of 50) before the run (limit: 20 points more)"
    )


@pytest.mark.parametrize(
    ("before", "counts"),
    [
        ((50, 40), [(200, 200)] * 5),  # as sick as it was, within the margin
        ((50, 0), [(9, 9)] * 5),  # too few
        ((50, 0), [(200, 200)] * 4),  # not long enough
        ((0, 0), [(200, 40)] * 5),
    ],
)
def test_no_reason(before: tuple[int, int], counts: list[tuple[int, int]]) -> None:
    assert watch(*before).judge(seconds(*counts)) == ""


def test_at_a_margin_of_one_nothing_aborts() -> None:
    assert watch(50, 0, margin=1.0).judge(seconds(*[(20, 20)] * 60)) == ""


def test_five_seconds_count_beside_the_whole_trial() -> None:
    steady = [(100, 0)] * 60
    assert watch().judge(seconds(*steady)) == ""
    assert watch().judge(seconds(*steady, (100, 80))) == ""
    assert "32 % (160 of 500) of baseline lookups failed in seconds 57 to 62" in watch().judge(
        seconds(*steady, (100, 80), (100, 80))
    )
    slow = watch(50, 0)  # 4 lookups/s: never fifty in five seconds
    assert "50 % (50 of 100) of baseline lookups failed in seconds 0 to 25" in slow.judge(seconds(*[(4, 2)] * 25))


def test_a_short_trial_is_judged_when_it_is_over() -> None:
    a_watch = watch()
    assert a_watch.judge(seconds((100, 90))) == ""
    assert "90 % (90 of 100)" in a_watch.judge(seconds((100, 90)), over=True)


def test_beside_the_control_others_may_fail() -> None:
    assert watch().judge({"baseline": [Tally(100, 0)] * 10, "use-vc": [Tally(100, 100)] * 10}) == ""


def test_alone_a_variant_is_judged_against_its_first_trial() -> None:
    a_watch, failing, fine = watch(), {"use-vc": [Tally(10, 10)] * 9}, {"no-aaaa": [Tally(10, 0)] * 9}
    for _ in range(2):
        assert a_watch.judge(failing, over=True) == ""
        assert a_watch.judge(fine, over=True) == ""
    reason = a_watch.judge({"no-aaaa": [Tally(10, 0)] * 4 + [Tally(12, 12)] * 5})
    assert (
        "100 % (60 of 60) of no-aaaa lookups failed in seconds 4 to 9 of a trial, against 0 % (0 of 90) in its first"
        in reason
    )


def block(*lookups: tuple[float, bool]) -> memoryview:
    """Records by (second in which a lookup was due, whether it failed), in the order in which they ended."""
    data = b"".join(
        struct.pack("<QQQIhHII", int(due_s * 1e9), 0, 0, 0, -1 if failed else 0, 0, 0, 1) for due_s, failed in lookups
    )
    return memoryview(data)


def test_failed_lookups_that_end_late_are_counted_where_they_began() -> None:
    """Seven of ten fail from the start, each after 15 s; every answer is there at once. It is 70 %, always."""
    cohorts, closed = Cohorts(16.0, 10.0), Cohorts(16.0)
    for second in range(20):
        answered = [(second + 0.5, False)] * 3
        failed = [(second - 15 + 0.5, True)] * 7 if second >= 15 else []
        cohorts.add(block(*answered, *failed))
        closed.add(block(*answered, *failed))
    assert cohorts.past(20.0)[:3] == [Tally(10, 7)] * 3
    assert cohorts.past(20.0)[5:] == [Tally(10, 0)] * 15, "those that are missing count as answered"
    assert closed.past(20.0) == [Tally(10, 7)] * 3, "of a closed loop nobody knows how many are missing"
    drained = Cohorts()
    drained.add(block(*[(0.5, False)] * 3, *[(0.5, True)] * 7))
    assert drained.past(math.inf) == [Tally(10, 7)], "the last to end are failures, and belong to where they began"


def test_lookups_that_found_every_worker_waiting_say_nothing_of_dns() -> None:
    cohorts = Cohorts()
    cohorts.add(block((0.1, True), (0.2, False)))
    not_started = struct.pack("<QQQIhHII", int(3e8), 0, 0, 0, records.OUTCOME_NOT_STARTED, 0, 0, 0)
    cohorts.add(memoryview(not_started * 100))
    assert cohorts.past(math.inf) == [Tally(2, 1)]


def test_a_nameserver_that_dies_is_noticed_before_the_deadline() -> None:
    """Failures take 5 s of at most 61 s."""
    cohorts = Cohorts(61.0, 20.0)
    cohorts.add(block(*[(at, False) for at in range(10) for _ in range(20)]))
    cohorts.add(block(*[(at, True) for at in range(10, 15) for _ in range(20)]))
    reason = watch(50, 0).judge({"baseline": cohorts.past(20.5)})
    assert "failed in seconds 8 to 13" in reason


def test_before_the_run_baseline_is_asked_on_targets_of_every_node() -> None:
    targets = [TargetInfo(f"pod@{node}.{number}", "glibc") for node in ("a", "b", "c") for number in range(34)]
    trial = control_trial(Plan(variants=("use-vc", "baseline")), targets)
    assert trial.variant == "baseline"
    assert 17 <= len(trial.targets) <= 25
    assert {name[4] for name in trial.targets} == {"a", "b", "c"}
    alone = control_trial(Plan(variants=("use-vc",)), targets[:2])
    assert (alone.variant, alone.targets) == ("use-vc", ("pod@a.0", "pod@a.1"))


class Sick:
    """A nameserver's rule that withholds answers: all, each port's first two, or for good those to odd ports.

    The very first are the backend's own, by which it learns what the name resolves to.
    """

    def __init__(self, half: bool = False) -> None:
        self.dead, self.slow = threading.Event(), threading.Event()
        self.half, self.n = half, 0

    def __call__(self, rdtype: int, port: int, seen: int) -> bool:
        self.n += 1
        return not (
            self.dead.is_set() or (self.slow.is_set() and seen < 2) or (self.half and self.n > 2 * TIMES and port % 2)
        )


def plan(server: Nameserver, duration_s: float, **keys: Any) -> Plan:
    usual = {
        "backend": "local",
        "nameserver": f"127.0.0.1:{server.port}",
        "names": (NAME,),
        "variants": ("baseline",),
        "rounds": 1,
        "loads": (Load(rate_per_s=100, duration_s=duration_s, warmup_s=0.1),),
        # An unanswered lookup fails soon, not after the resolver's own 15 s.
        "deadline_s": 0.5,
    }
    return Plan(**{**usual, **keys})


def when_measuring(event: threading.Event, reported: list[Progress]) -> Any:
    def on_progress(progress: Progress) -> None:
        beats = [client.heartbeat for client in progress.running]
        if any(beat and beat.n_done > 50 for beat in beats) and not reported:
            reported.append(progress)
            event.set()

    return on_progress


def failed_before(path: Path) -> Sequence[int]:
    before = json.loads((path / "environment.json").read_text())["health_before"]
    return before["n"], before["n_failed"]


@pytest.mark.probe
def test_a_nameserver_that_dies_in_the_middle_aborts_and_resume_goes_on(tmp_path: Path) -> None:
    sick, path = Sick(), tmp_path / "run"
    with nameserver(sick) as server:
        with pytest.raises(RunInvalid, match=r"^DNS got worse: \d\d % \(.* 0 % \(0 of \d\d\) before the run") as caught:
            runner.run(plan(server, 8.0), path, on_progress=when_measuring(sick.dead, []))
        assert "The run stopped with 0 of 1 trial complete; all is kept: `dnslab run --resume" in str(caught.value)
        assert "\n" not in str(caught.value)
        run = open_run(path)
        (client,) = run.clients()
        assert (client.status, client.end and client.end.error) == ("stopped", "stopped by dnslab, as DNS got worse")
        # Five seconds and a little more at 100/s, of eight.
        assert 450 < len(run.lookups()) < 720
        sick.dead.clear()
        runner.resume(path)
    assert [(client.attempt, client.status) for client in open_run(path).clients()] == [(2, "complete")]
    assert failed_before(path)[1] == 0


@pytest.mark.verify
@pytest.mark.probe
def test_what_a_short_trial_shows_ends_the_run_before_the_next(tmp_path: Path) -> None:
    sick, path = Sick(), tmp_path / "run"
    says = r"lookups failed in seconds .*The run stopped with 1 of 3 trials complete"
    with nameserver(sick) as server, pytest.raises(RunInvalid, match=says):
        runner.run(plan(server, 2.0, rounds=3), path, on_progress=when_measuring(sick.dead, []))
    assert [client.status for client in open_run(path).clients()] == ["complete"]


@pytest.mark.verify
@pytest.mark.probe
def test_who_asks_for_it_goes_on(tmp_path: Path) -> None:
    sick, path = Sick(), tmp_path / "run"
    with nameserver(sick) as server:
        wanted = plan(server, 2.0, rounds=2, limits=Limits(abort_margin=1.0))
        runner.run(wanted, path, on_progress=when_measuring(sick.dead, []))
    assert [client.status for client in open_run(path).clients()] == ["complete"] * 2


@pytest.mark.verify
@pytest.mark.probe
def test_one_that_was_sick_before_stays_measurable(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with nameserver(Sick(half=True)) as server:
        left_s: list[float] = []
        runner.run(plan(server, 6.0), path, on_progress=lambda progress: left_s.append(progress.left_s))
    assert left_s == sorted(left_s, reverse=True)
    n, n_failed = failed_before(path)
    assert 45 <= n <= 50
    assert 0.2 * n < n_failed < 0.8 * n
    (client,) = open_run(path).clients()
    assert client.status == "complete"
    assert (open_run(path).lookups()["outcome"] == "failed").mean() > 0.3


@pytest.mark.verify
@pytest.mark.probe
def test_an_outage_older_than_the_run_may_keep_every_worker_waiting(tmp_path: Path) -> None:
    """Half of all lookups take 10 s and fail: 500 would wait at a time, and there are 10 workers."""
    path, load = tmp_path / "run", Load(rate_per_s=100, duration_s=6.0, warmup_s=0.1, workers=10)
    with nameserver(Sick(half=True)) as server:
        runner.run(plan(server, 6.0, loads=(load,), deadline_s=None), path)
    run = open_run(path)
    assert [client.status for client in run.clients()] == ["complete"]
    errors = run.lookups()["error"].value_counts(normalize=True)
    print(errors.to_dict())
    assert errors["not started"] > 0.2


@pytest.mark.verify
@pytest.mark.probe
def test_stalls_do_not_abort(tmp_path: Path) -> None:
    sick, path = Sick(), tmp_path / "run"
    with nameserver(sick) as server:
        wanted = plan(server, 6.0, variants=("timeout-1",), deadline_s=None)
        runner.run(wanted, path, on_progress=when_measuring(sick.slow, []))
    run = open_run(path)
    lookups = run.lookups()
    assert [client.status for client in run.clients()] == ["complete"]
    assert lookups["stall"].mean() > 0.5
    assert (lookups["outcome"] == "answered").all()


def test_of_loads_that_run_together_only_the_control_is_judged() -> None:
    loads = (arm_load("a", 2, 10), arm_load("tcp", 5, 10))
    plan = Plan(variants=("baseline",), loads=loads, schedule="together", rounds=1)
    listed = trials(plan, [TargetInfo("glibc", "glibc")])
    assert [is_judged(plan, trial) for trial in listed] == [True, False]
    assert min_failed(plan, 1) == 10
    assert min_failed(plan, 100) == min_failed(Plan(), 1) == 50
    a_watch = Watch("baseline", Tally(4, 0), 0.2, min_failed(plan, 1))
    assert a_watch.judge(seconds(*[(2, 2)] * 4, (2, 0))) == "", "an answer among ten"
    assert "100 % (10 of 10)" in a_watch.judge(seconds(*[(2, 2)] * 5))
