"""runner: what ends a trial and what ends a run, with the real probe against a nameserver on loopback."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.errors import Interrupted, RunInvalid
from dnslab.explain.validity import find_vetoes
from dnslab.measure import runner
from dnslab.measure.display import line
from dnslab.measure.progress import Progress
from dnslab.plan.model import Limits, Load, Plan
from dnslab.store.folder import RunFolder
from tests.nameserver import nameserver

pytestmark = pytest.mark.probe

NAME = "web.any.cluster.local."


@pytest.fixture
def plan() -> Iterator[Plan]:
    with nameserver() as server:
        yield Plan(
            backend="local",
            nameserver=f"127.0.0.1:{server.port}",
            names=(NAME,),
            variants=("baseline", "single-request"),
            rounds=2,
            loads=(Load(rate_per_s=100, duration_s=1.5, warmup_s=0.1, workers=10),),
        )


def probes() -> list[int]:
    """Process numbers of the probes that are children of this process."""
    children = [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
    return [pid for pid in children if b"probe-" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def once(
    action: Callable[[], object], when: Callable[[Progress], bool]
) -> tuple[Callable[[Progress], None], list[str]]:
    """An ``on_progress`` that does ``action`` the first time ``when`` holds, and the lines it saw."""
    lines: list[str] = []
    done = False

    def on_progress(progress: Progress) -> None:
        nonlocal done
        lines.append(line(progress))
        if not done and when(progress):
            done = True
            action()

    return on_progress, lines


def measuring(progress: Progress) -> bool:
    beats = [client.heartbeat for client in progress.running]
    return bool(beats) and all(beat is not None and beat.n_done > 30 for beat in beats)


def test_a_probe_that_dies_ends_its_trial_only(plan: Plan, tmp_path: Path) -> None:
    on_progress, _ = once(lambda: os.kill(probes()[0], signal.SIGKILL), measuring)
    with pytest.raises(RunInvalid, match=r"incomplete trials: 1 of 4 .*--resume"):
        runner.run(plan, tmp_path / "run", on_progress=on_progress)
    run = open_run(tmp_path / "run")
    assert sorted(client.status for client in run.clients()) == ["complete"] * 3 + ["failed"]
    assert "ended without its trailer" in run.problems[0]
    assert probes() == []
    runner.resume(tmp_path / "run")
    resumed = open_run(tmp_path / "run")
    assert resumed.problems == []
    # Side by side a round counts only whole: both of its trials were measured again.
    assert [client.attempt for client in resumed.clients()] == [2, 2, 1, 1]
    assert len(RunFolder(tmp_path / "run").clients()) == 6


def test_ctrl_c_keeps_what_was_measured(plan: Plan, tmp_path: Path) -> None:
    on_progress, _ = once(lambda: os.kill(os.getpid(), signal.SIGINT), measuring)
    with pytest.raises(Interrupted, match=r"interrupted after 0 of 4 trials; all is kept: .*--resume"):
        runner.run(plan, tmp_path / "run", on_progress=on_progress)
    run = open_run(tmp_path / "run")
    assert [client.status for client in run.clients()] == ["stopped", "stopped"]
    assert len(run.lookups()) > 40
    assert probes() == []


@pytest.mark.alone
def test_progress_names_all_that_one_waits_for(plan: Plan, tmp_path: Path) -> None:
    on_progress, lines = once(lambda: None, measuring)
    runner.run(plan, tmp_path / "run", on_progress=on_progress)
    assert "trial 2 of 4 (round 1, 2 side by side): " in lines[0]
    for word in ("lookups, ", "/s, ", "0 failed, ", "0 stalls, about "):
        assert word in lines[-1]
    left_s = [float(text.split("about ")[1].split(" s")[0]) for text in lines]
    assert left_s[0] >= 3.0
    assert left_s[-1] <= 1.0
    assert left_s == sorted(left_s, reverse=True)
    assert (tmp_path / "run" / "environment.json").exists()


@pytest.mark.parametrize(("most", "lost"), [(3, True), (100, False)])
def test_workers_that_cannot_be_replaced_void_the_run(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, lost: bool
) -> None:
    """A server that accepts TCP and says nothing: under use-vc glibc never comes back."""
    monkeypatch.setattr("dnslab.measure.trial.MAX_REPLACED", most)
    with nameserver(tcp_answers=False) as server:
        asked = {"variants": ("use-vc",), "rounds": 1, "deadline_s": 0.3, "limits": Limits(abort_margin=1.0)}
        load = Load(rate_per_s=20, duration_s=1.5, warmup_s=0.2, workers=30)
        path = runner.run(
            plan.model_copy(update={**asked, "nameserver": f"127.0.0.1:{server.port}", "loads": (load,)}),
            tmp_path / "run",
        )
    run = open_run(path)
    (client,) = run.clients()
    assert (client.status, run.problems) == ("complete", [])
    summary = summarise(run)
    assert summary.clients[0].abandoned > 10
    vetoes = {veto.name: veto.severity for veto in find_vetoes(run, summary)}
    assert vetoes.get("workers lost") == ("void" if lost else None)
    assert vetoes["lookups given up"] == "note"
