"""display: a bar on a terminal, a line that stays in a notebook, few lines elsewhere."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from dnslab.measure import display
from dnslab.measure.progress import ClientProgress, Progress
from dnslab.plan.schedule import Trial
from dnslab.store.stream import Heartbeat


def progress(share: float = 0.25, n_clients: int = 2, **more: Any) -> Progress:
    beat = Heartbeat(10**9, 500, 1, 0, 1, 3, 0, 0)
    running = [
        ClientProgress(Trial(7 + i, 2, 2, ("baseline", "use-vc")[i % 2], 0, ("x",)), f"target-{i}", beat)
        for i in range(n_clients)
    ]
    values = {"n_trials": 54, "n_done": 6, "left_s": 130.0, "passed_s": 43.0, "share": share, **more}
    return Progress(running=running, **values)


def test_a_line_says_how_far_it_is() -> None:
    assert display.line(progress()) == (
        "trial 8 of 54 (round 2, 2 side by side): 1,000 lookups, 1,000/s, 2 failed, 2 stalls, about 2 min 10 s left"
    )
    assert display.line(progress(is_behind=True)).endswith(", at least 2 min 10 s left")
    assert display.line(progress(n_clients=0)).startswith("trial 6 of 54 (setting up): 0 lookups, ")
    assert display.line(progress(stopping=True)) == "stopping, keeping what was measured: 1,000 lookups so far"


def test_a_terminal_shows_a_bar_and_twelve_clients() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(display._table(progress(0.25, 40)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    first, second, *rest = text.splitlines()
    assert first.strip().endswith(" 25 %, about 2 min 10 s left")
    assert "━" in first
    assert second.startswith("trial 46 of 54 (round 2, 40 side by side): 20,000 lookups")
    assert (text.count("target-"), rest[-1].strip()) == (12, "and 28 more clients")
    assert len(text.splitlines()) < 18


def lines_of_a_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    """What a run of so many seconds writes where stderr is no terminal; it is told four times a second."""
    now_s = 1_000.0
    monkeypatch.setattr("dnslab.measure.display.time.monotonic", lambda: now_s)
    with display.shown() as on_progress:
        for i in range(round(seconds * 4)):
            on_progress(progress(i / (seconds * 4), left_s=seconds - i / 4, passed_s=i / 4))
            now_s += 0.25
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(("seconds", "n"), [(2, 2), (20, 5), (100, 11), (3_600, 61)])
def test_without_a_terminal_lines_are_few(
    seconds: float, n: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = lines_of_a_run(capsys, monkeypatch, seconds)
    assert abs(len(told) - n) <= 1 + n // 10, told
    assert all(one.startswith("trial ") for one in told)
    assert ", done in " in told[-1]


class Cell:
    """A notebook's output that is renewed."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, html: Any) -> None:
        self.shown.append(html.data)


def in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> Cell:
    cell = Cell()
    ipython = pytest.importorskip("IPython")
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace(kernel=True))
    monkeypatch.setattr("IPython.display.display", lambda *what, **how: cell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return cell


def test_in_a_notebook_one_line_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = in_a_notebook(monkeypatch)
    with display.shown() as on_progress:
        on_progress(progress())
    assert cell.shown[0].startswith("<p><progress max='1' value='0.250'></progress> trial 8 of 54 ")
    assert cell.shown[-1] == "<p>trial 54 of 54, done in 43 s: 1,000 lookups, 2 failed, 2 stalls</p>"


def test_in_a_notebook_a_run_that_broke_off_has_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = in_a_notebook(monkeypatch)

    def broken() -> None:
        with display.shown() as on_progress:
            on_progress(progress())
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        broken()
    assert cell.shown[-1] == (
        "<p>trial 8 of 54 (round 2, 2 side by side): 1,000 lookups, 1,000/s, 2 failed, 2 stalls</p>"
    )
