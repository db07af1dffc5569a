"""Shows a run's progress: live on a terminal or below a cell, in plain lines elsewhere."""

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
#: so long a wait is told even if no lookup has failed yet: half an hour
LONG_WAIT_S = 1_800.0


def _totals(progress: Progress) -> tuple[int, int, int, float]:
    """Lookups, failed lookups and stalls so far, and the lookups/s of the clients that run now."""
    beats = [client.heartbeat for client in progress.running if client.heartbeat]
    rate = sum(beat.n_done / (beat.elapsed_ns / 1e9) for beat in beats if beat.elapsed_ns)
    return (
        progress.n_lookups_done + sum(beat.n_done for beat in beats),
        progress.n_failed_done + sum(beat.n_failed for beat in beats),
        progress.n_stalls_done + sum(beat.n_stalls for beat in beats),
        rate,
    )


def line(progress: Progress) -> str:
    """One line: trials, the clients that run, lookups/s, failures and stalls so far, time left."""
    n_lookups, n_failed, n_stalls, rate = _totals(progress)
    trials = list({client.trial.number: client.trial for client in progress.running}.values())
    if not trials:
        running = "setting up"
    elif len({trial.variant for trial in trials}) == 1:
        running = f"round {trials[0].round}, {trials[0].variant}"
    else:
        running = f"round {trials[0].round}, {len(trials)} side by side"
    return (
        f"trial {min(progress.n_done + len(trials), progress.n_trials)}/{progress.n_trials} ({running}): "
        f"{n_lookups:,} lookups, {rate:,.0f}/s, {n_failed:,} failed, {n_stalls:,} stalls, "
        f"about {progress.left_s:.0f} s left{_waits(progress, n_failed + n_stalls > 0)}"
    )


def _waits(progress: Progress, unwell: bool) -> str:
    """How much longer it may take where lookups fail; empty where none does and a short wait would be all."""
    may_wait = progress.sick or unwell or progress.wait_s > LONG_WAIT_S
    return f", up to {progress.wait_s:.0f} s more for lookups that wait for their deadline" if may_wait else ""


@contextlib.contextmanager
def shown() -> Iterator[OnProgress]:
    """Give an ``on_progress`` that shows progress. If nothing can be written, the run goes on without it."""
    if _in_notebook():
        with _in_cell() as on_progress:
            yield on_progress
    elif sys.stderr.isatty():
        with _live() as on_progress:
            yield on_progress
    else:
        last_s = -PLAIN_INTERVAL_S

        def plain(progress: Progress) -> None:
            nonlocal last_s
            if time.monotonic() - last_s >= PLAIN_INTERVAL_S:
                last_s = time.monotonic()
                with contextlib.suppress(OSError):
                    echo(line(progress), err=True)

        yield plain


def _in_notebook() -> bool:
    # A notebook's kernel has imported IPython before us, and only its shell has a kernel.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


@contextlib.contextmanager
def _in_cell() -> Iterator[OnProgress]:
    """One line below the cell, which disappears when the run has ended."""
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

    # No thread refreshes it: the thread would end with a traceback when the terminal has gone.
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
    for client in progress.running:
        beat = client.heartbeat
        numbers = [""] * 5
        if beat:
            rate = beat.n_done / max(1e-9, beat.elapsed_ns / 1e9)
            numbers = [f"{n:,.0f}" for n in (beat.n_done, rate, beat.n_failed, beat.n_stalls, beat.n_in_flight)]
        # As Text, because rich takes [words in brackets] of a plain string for styles.
        table.add_row(Text(visible(client.trial.variant)), Text(visible(client.target)), *numbers)
    return Group(Text(visible(line(progress))), table)
