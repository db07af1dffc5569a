"""health: a run ends when DNS fails more than before it, and goes on when it is sick, slow, or one variant fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.errors import RunInvalid
from dnslab.measure import runner
from dnslab.measure.health import Tally, Watch, control_trial
from dnslab.measure.progress import Progress
from dnslab.plan.model import Limits, Load, Plan
from dnslab.plan.schedule import TargetInfo
from tests.nameserver import Nameserver, nameserver

NAME = "web.any.cluster.local."


def judged(watch: Watch, *totals: tuple[float, int, int]) -> list[str]:
    """What is said of baseline after each of (elapsed_s, lookups, failed)."""
    return [watch.judge(at_s, {"baseline": Tally(n, failed)}) for at_s, n, failed in totals]


def watch(n: int = 50, n_failed: int = 5, margin: float = 0.2) -> Watch:
    return Watch("baseline", Tally(n, n_failed), margin)


def test_worse_by_more_than_the_margin_is_a_reason() -> None:
    good, worse = judged(watch(), (5.0, 1000, 300), (10.0, 2000, 601))
    assert good == ""
    assert worse == (
        "DNS got worse: 30 % (301 of 1,000) of baseline's lookups failed in the last 5 s, 10 % (5 of 50) before the "
        "run, and more than 20 points above that aborts"
    )


@pytest.mark.parametrize(
    ("before", "totals"),
    [
        ((50, 40), (5.0, 1000, 1000)),  # as sick as it was, within the margin
        ((50, 0), (5.0, 49, 49)),  # too few
        ((50, 0), (4.9, 1000, 1000)),  # not long enough
        ((0, 0), (5.0, 1000, 200)),
    ],
)
def test_no_reason(before: tuple[int, int], totals: tuple[float, int, int]) -> None:
    assert judged(watch(*before), totals) == [""]


def test_at_a_margin_of_one_nothing_aborts() -> None:
    assert judged(watch(50, 0, margin=1.0), (60.0, 1000, 1000)) == [""]


def test_the_last_seconds_count_beside_the_whole_trial() -> None:
    steady = [(float(second), 100 * second, 0) for second in range(1, 60)]
    a_watch = watch()
    assert not any(judged(a_watch, *steady))
    reasons = judged(a_watch, (60.0, 6000, 80), (61.0, 6100, 160))
    assert reasons[0] == ""
    assert "32 % (160 of 500) of baseline's lookups failed in the last 5 s" in reasons[1]
    slow = watch(50, 0)  # 4 lookups/s: never fifty in five seconds
    assert (
        "50 % (50 of 100) of baseline's lookups failed in the trial" in judged(slow, (20.0, 80, 40), (25.0, 100, 50))[1]
    )


def test_a_short_trial_is_judged_when_it_is_over() -> None:
    a_watch = watch()
    assert a_watch.judge(1.0, {"baseline": Tally(100, 90)}) == ""
    assert "90 % (90 of 100)" in a_watch.judge(1.0, {"baseline": Tally(100, 90)}, over=True)
    assert judged(a_watch, (1.0, 100, 0), (5.5, 550, 10)) == ["", ""], "the next one begins anew"


def test_beside_the_control_others_may_fail() -> None:
    assert watch().judge(10.0, {"baseline": Tally(1000, 0), "use-vc": Tally(1000, 1000)}) == ""


def test_alone_a_variant_is_judged_against_its_first_trial() -> None:
    a_watch, failing, fine = watch(), {"use-vc": Tally(100, 100)}, {"no-aaaa": Tally(100, 0)}
    for _ in range(2):
        assert a_watch.judge(9.0, failing, over=True) == ""
        assert a_watch.judge(9.0, fine, over=True) == ""
    reason = a_watch.judge(9.0, {"no-aaaa": Tally(100, 60)})
    assert "60 % (60 of 100) of no-aaaa's lookups failed in the last 9 s, 0 % (0 of 100) in its first trial" in reason


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

    The very first two are the backend's own, by which it learns what the name resolves to.
    """

    def __init__(self, half: bool = False) -> None:
        self.dead, self.slow = threading.Event(), threading.Event()
        self.half, self.n = half, 0

    def __call__(self, rdtype: int, port: int, seen: int) -> bool:
        self.n += 1
        return not (self.dead.is_set() or (self.slow.is_set() and seen < 2) or (self.half and self.n > 2 and port % 2))


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
        assert "aborted with 0 of 1 trials complete, all kept: `dnslab run --resume" in str(caught.value)
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
    says = r"failed in the .*aborted with 1 of 3 trials complete"
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
        runner.run(plan(server, 6.0), path)
    n, n_failed = failed_before(path)
    assert 45 <= n <= 50
    assert 0.2 * n < n_failed < 0.8 * n
    (client,) = open_run(path).clients()
    assert client.status == "complete"
    assert (open_run(path).lookups()["outcome"] == "failed").mean() > 0.3


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
