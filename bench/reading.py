"""A report of the sample and of 0.1, 1 and 10 million lookups: CPU, wall and memory of the whole command."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnslab.experiment.compare import SAMPLE
from dnslab.plan.model import Load, Plan
from dnslab.plan.variants import BUILT_IN
from tests.runs import rows, write_run

PROJECT = Path(__file__).resolve().parent.parent
ROUNDS = 10
#: lookups of a run, and how often each report is written: what is short varies more
SIZES = {100_000: 3, 1_000_000: 3, 10_000_000: 1}
HEAD = "lookups       code                  CPU       wall       memory    page"


@dataclass(frozen=True)
class Cost:
    """What a command took, with all processes that it started: seconds, and the peak memory of one of them, GiB."""

    cpu_s: float
    wall_s: float
    peak_gib: float


def write(path: Path, n: int) -> None:
    """A run of ``n`` response times around 0.6 ms, in which one lookup in a thousand waits 5 s more."""
    generator = np.random.default_rng(7)
    plan = Plan(variants=tuple(BUILT_IN), rounds=ROUNDS, loads=(Load(duration_s=1),))
    n_per_trial = n // (ROUNDS * len(BUILT_IN))
    lookups = {}
    for name in plan.variants:
        for number in range(1, ROUNDS + 1):
            made = rows(np.exp(generator.normal(-0.5, 0.6, n_per_trial)).tolist())
            made["end_ns"][generator.random(n_per_trial) < 0.001] += np.uint64(5_000_000_000)
            lookups[name, "glibc", number] = made
    write_run(path, plan, lookups)


def timed(tree: Path, *argv: str | Path) -> Cost:
    """The cost of a ``dnslab`` command with the code in ``tree``, in a process that begins with nothing imported."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-P", "-m", "dnslab", *argv]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as started:
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
    assert started.returncode == 0
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 2**20)


def bench_reading(before: str = "") -> None:
    """The reports, in turn with those by the commit ``before`` if there is one; a summary of ten million lookups."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, trees(Path(folder), before) as codes:
        print(HEAD)
        for label, path, n_times in runs(Path(folder)):
            costs: dict[str, list[Cost]] = {name: [] for name in codes}
            pages = {name: Path(folder) / f"{name}.html" for name in codes}
            for _ in range(n_times):
                for name, tree in codes.items():
                    costs[name].append(timed(tree, "report", path, "--out", pages[name]))
            for name, each in costs.items():
                print(line(label, name, each, pages[name]), flush=True)
        seconds = timed(PROJECT, "summary", path)
        print(f"summary of {label} lookups: {seconds.wall_s:.1f} s (goal < 3), {seconds.peak_gib:.2f} GiB (goal < 1.5)")


def runs(folder: Path) -> Iterator[tuple[str, Path, int]]:
    """Name, folder and number of reports of each run."""
    yield "the sample", SAMPLE, max(SIZES.values())
    for n, n_times in SIZES.items():
        path = folder / f"run-{n}"
        # A process of its own: a command started by one that holds all lookups would count them as its own.
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, n))
        writer.start()
        writer.join()
        assert writer.exitcode == 0
        yield f"{n:,}", path, n_times


def line(label: str, code: str, costs: list[Cost], page: Path) -> str:
    """A line of the table: medians."""
    columns = zip(*((cost.cpu_s, cost.wall_s, cost.peak_gib) for cost in costs), strict=True)
    cpu, wall, peak = map(statistics.median, columns)
    size = page.stat().st_size / 1e6
    return f"{label:12}  {code:16} {cpu:6.1f} s   {wall:6.1f} s   {peak:6.2f} GiB   {size:.2f} MB"


@contextlib.contextmanager
def trees(folder: Path, before: str) -> Iterator[dict[str, Path]]:
    """Code by its name: this tree, and that of the commit ``before`` in a folder that is removed afterwards."""
    if not before:
        yield {"now": PROJECT}
        return
    tree, git = folder / "before", ("git", "-C", str(PROJECT), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), before], check=True)
    try:
        yield {"now": PROJECT, before: tree}
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)
