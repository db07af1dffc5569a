"""A run's progress, for eyes: live on a terminal or below a cell, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dnslab.text import as_html, echo, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dnslab.measure.progress import OnProgress, Progress

#: seconds between two plain lines
PLAIN_INTERVAL_S = 5.0


def _totals(progress: Progress) -> tuple[int, int, int, float]:
    """Lookups, failed, stalls so far, and lookups/s of what runs now."""
    beats = [arm.heartbeat for arm in progress.running if arm.heartbeat]
    rate = sum(beat.n_done / (beat.elapsed_ns / 1e9) for beat in beats if beat.elapsed_ns)
    return (
        progress.n_lookups_done + sum(beat.n_done for beat in beats),
        progress.n_failed_done + sum(beat.n_failed for beat in beats),
        progress.n_stalls_done + sum(beat.n_stalls for beat in beats),
        rate,
    )


def line(progress: Progress) -> str:
    """One line: trials, what runs, lookups/s, failures, stalls so far, time left."""
    n_lookups, n_failed, n_stalls, rate = _totals(progress)
    trials = list({arm.trial.number: arm.trial for arm in progress.running}.values())
    if not trials:
        what = "setting up"
    elif len({trial.variant for trial in trials}) == 1:
        what = f"round {trials[0].round}, {trials[0].variant}"
    else:
        what = f"round {trials[0].round}, {len(trials)} side by side"
    return (
        f"trial {min(progress.n_done + len(trials), progress.n_trials)}/{progress.n_trials} ({what}): "
        f"{n_lookups:,} lookups, {rate:,.0f}/s, {n_failed:,} failed, {n_stalls:,} stalls, "
        f"about {progress.left_s:.0f} s left"
    )


@contextlib.contextmanager
def shown() -> Iterator[OnProgress]:
    """Give what ``runner.run`` takes as ``on_progress``. Where it cannot be written, a run goes on without."""
    if _in_notebook():
        with _in_cell() as on_progress:
            yield on_progress
    elif sys.stderr.isatty():
        with _live() as on_progress:
            yield on_progress
    else:
        last = -PLAIN_INTERVAL_S

        def plain(progress: Progress) -> None:
            nonlocal last
            if time.monotonic() - last >= PLAIN_INTERVAL_S:
                last = time.monotonic()
                with contextlib.suppress(OSError):
                    echo(line(progress), err=True)

        yield plain


def _in_notebook() -> bool:
    # Only a kernel has imported IPython before us, and only there is there a shell with a kernel.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


@contextlib.contextmanager
def _in_cell() -> Iterator[OnProgress]:
    """One line below the cell, gone when the run has ended."""
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)  # type: ignore[no-untyped-call]
    try:
        yield lambda progress: handle.update(HTML(f"<p>{as_html(line(progress))}</p>"))  # type: ignore[no-untyped-call]
    finally:
        handle.update(HTML(""))  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _live() -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.live import Live

    # It is drawn here alone: a thread of its own would end with a traceback when the terminal has gone.
    live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def update(progress: Progress) -> None:
        with contextlib.suppress(OSError):
            live.update(_table(progress), refresh=True)

    live.start()
    try:
        yield update
    finally:
        with contextlib.suppress(OSError):
            live.stop()


def _table(progress: Progress) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    table.add_column("variant")
    table.add_column("target")
    for heading in ("lookups", "lookups/s", "failed", "stalls", "in flight"):
        table.add_column(heading, justify="right")
    for arm in progress.running:
        beat = arm.heartbeat
        figures = ("", "", "", "", "")
        if beat:
            rate = beat.n_done / max(1e-9, beat.elapsed_ns / 1e9)
            figures = tuple(f"{n:,.0f}" for n in (beat.n_done, rate, beat.n_failed, beat.n_stalls, beat.n_in_flight))  # type: ignore[assignment]
        # Text, or rich would take [words in brackets] for styles.
        table.add_row(Text(visible(arm.trial.variant)), Text(visible(arm.target)), *figures)
    return Group(Text(visible(line(progress))), table)
