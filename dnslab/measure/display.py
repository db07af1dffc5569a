"""Shows a run's progress: a bar on a terminal, one line below a notebook's cell, sparse lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dnslab.sentences import terminal as said
from dnslab.text import as_html, counted, duration, echo, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dnslab.measure.progress import OnProgress, Progress

#: a plain line follows when another tenth of the time has passed, but not at once, and at the latest after a minute
TENTHS = 10
SHORTEST_S, LONGEST_S = 5.0, 60.0
#: clients shown one by one
MOST_CLIENTS = 12
_BAR_WIDTH = 30


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
    return _so_far(progress) + ("" if progress.stopping else f", {time_left(progress)}")


def _so_far(progress: Progress) -> str:
    n_lookups, n_failed, n_stalls, rate = _totals(progress)
    if progress.stopping:
        return said.STOPPING(lookups=counted(n_lookups, "lookup"))
    trials = list({client.trial.number: client.trial for client in progress.running}.values())
    if not trials:
        running = said.SETTING_UP()
    elif len({trial.variant for trial in trials}) == 1:
        running = said.ROUND_OF_ONE(number=str(trials[0].round), variant=trials[0].variant)
    else:
        running = said.ROUND_OF_MANY(number=str(trials[0].round), n=str(len(trials)))
    return said.PROGRESS(
        trial=str(min(progress.n_done + len(trials), progress.n_trials)),
        trials=str(progress.n_trials),
        running=running,
        lookups=counted(n_lookups, "lookup"),
        rate=f"{rate:,.0f}",
        failed=f"{n_failed:,}",
        stalls=counted(n_stalls, "stall"),
    )


def time_left(progress: Progress) -> str:
    """How long it takes yet; the wait for stalled lookups is counted in."""
    sentence = said.LEFT_AT_LEAST if progress.is_behind else said.LEFT
    return sentence(time=duration(progress.left_s))


def done(progress: Progress) -> str:
    """The line that stays when the run has ended."""
    n_lookups, n_failed, n_stalls, _ = _totals(progress)
    return said.DONE(
        trials=str(progress.n_trials),
        time=duration(progress.passed_s),
        lookups=counted(n_lookups, "lookup"),
        failed=f"{n_failed:,}",
        stalls=counted(n_stalls, "stall"),
    )


@contextlib.contextmanager
def shown() -> Iterator[OnProgress]:
    """Give an ``on_progress`` that shows progress. If nothing can be written, the run goes on without it."""
    seen: list[Progress] = []
    with _in_cell() if _in_notebook() else _live() if sys.stderr.isatty() else _plain() as (update, end):

        def on_progress(progress: Progress) -> None:
            seen[:] = [progress]
            update(progress)

        yield on_progress
        if seen:
            end(done(seen[0]))


#: shows how far a run is; shows the last line of one that ended well
_Shown = tuple[Callable[["Progress"], None], Callable[[str], None]]


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        echo(text, err=True)


@contextlib.contextmanager
def _plain() -> Iterator[_Shown]:
    last_s, tenth, stopping = -LONGEST_S, -1, False

    def update(progress: Progress) -> None:
        nonlocal last_s, tenth, stopping
        since_s = time.monotonic() - last_s
        another = int(progress.share * TENTHS) > tenth and since_s >= SHORTEST_S
        if another or since_s >= LONGEST_S or progress.stopping > stopping:
            last_s, tenth, stopping = time.monotonic(), int(progress.share * TENTHS), progress.stopping
            _say(line(progress))

    yield update, _say


def _in_notebook() -> bool:
    # A notebook's kernel has imported IPython before us, and only its shell has a kernel.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


@contextlib.contextmanager
def _in_cell() -> Iterator[_Shown]:
    """One line below the cell with a bar; at the end it says what was measured, and stays."""
    from IPython.display import HTML, display

    handle = display(HTML(f"<p>{said.SETTING_UP()}</p>"), display_id=True)  # type: ignore[no-untyped-call]

    def show(text: str, share: float | None = None) -> None:
        bar = "" if share is None else f"<progress max='1' value='{share:.3f}'></progress> "
        handle.update(HTML(f"<p>{bar}{as_html(text)}</p>"))  # type: ignore[no-untyped-call]

    last: list[Progress] = []

    def update(progress: Progress) -> None:
        last[:] = [progress]
        show(line(progress), progress.share)

    try:
        yield update, show
    except BaseException:
        if last:  # the error says the rest; no time is left
            show(_so_far(last[0]))
        raise


@contextlib.contextmanager
def _live() -> Iterator[_Shown]:
    from rich.console import Console
    from rich.live import Live

    # No thread refreshes it: the thread would end with a traceback when the terminal has gone.
    live = Live(said.SETTING_UP(), console=Console(stderr=True), auto_refresh=False, transient=True)

    def update(progress: Progress) -> None:
        with contextlib.suppress(OSError):
            live.update(_table(progress), refresh=True)

    def stop() -> None:
        with contextlib.suppress(OSError):
            live.stop()

    def end(text: str) -> None:
        stop()
        _say(text)

    live.start()
    try:
        yield update, end
    finally:
        stop()


def _table(progress: Progress) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = Table.grid(padding=(0, 1))
    left = f"{100 * progress.share:.0f} %, {time_left(progress)}"
    bar.add_row(ProgressBar(total=1.0, completed=progress.share, width=_BAR_WIDTH), Text(left))
    table = Table(box=None)
    table.add_column("variant")
    table.add_column("target")
    for heading in ("lookups", "lookups/s", "failed", "stalls", "in flight"):
        table.add_column(heading, justify="right")
    for client in progress.running[:MOST_CLIENTS]:
        beat = client.heartbeat
        numbers = [""] * 5
        if beat:
            rate = beat.n_done / max(1e-9, beat.elapsed_ns / 1e9)
            numbers = [f"{n:,.0f}" for n in (beat.n_done, rate, beat.n_failed, beat.n_stalls, beat.n_in_flight)]
        # As Text, because rich takes [words in brackets] of a plain string for styles.
        table.add_row(Text(visible(client.trial.variant)), Text(visible(client.target)), *numbers)
    n_more = len(progress.running) - MOST_CLIENTS
    more = [Text(said.MORE_CLIENTS(n=counted(n_more, "more client")))] if n_more > 0 else []
    return Group(bar, Text(visible(_so_far(progress))), table, *more)
