"""Statistics and report of ten million lookups, 11 variants x 10 rounds, each in a cold process."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dnslab.plan.model import Load, Plan
from dnslab.plan.variants import BUILT_IN
from tests.runs import rows, write_run

ROUNDS = 10
N_PER_TRIAL = 10_000_000 // (ROUNDS * len(BUILT_IN))


def write(path: Path) -> None:
    """A run of response times around 0.6 ms, in which one lookup in a thousand waits 5 s more."""
    generator = np.random.default_rng(7)
    plan = Plan(variants=tuple(BUILT_IN), rounds=ROUNDS, loads=(Load(duration_s=1),))
    lookups = {}
    for name in plan.variants:
        for number in range(1, ROUNDS + 1):
            made = rows(np.exp(generator.normal(-0.5, 0.6, N_PER_TRIAL)).tolist())
            made["end_ns"][generator.random(N_PER_TRIAL) < 0.001] += np.uint64(5_000_000_000)
            lookups[name, "glibc", number] = made
    write_run(path, plan, lookups)


def timed(*argv: str | Path) -> tuple[float, float]:
    """Wall seconds and peak GiB, its own or a process's that it started, of a ``dnslab`` command."""
    began = time.perf_counter()
    command = [Path(sys.executable).with_name("dnslab"), *argv]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as started:
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
    assert started.returncode == 0
    return time.perf_counter() - began, used.ru_maxrss / 2**20


def bench_reading() -> None:
    """From raw bytes to all that ``summary`` prints, and to the page."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "run"
        # A process of its own: a command started by one that holds all lookups would count them as its own.
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(path,))
        writer.start()
        writer.join()
        millions = N_PER_TRIAL * ROUNDS * len(BUILT_IN) / 1e6
        seconds, peak = timed("summary", path)
        print(f"summary of {millions:.0f} million lookups: {seconds:.2f} s (goal < 3), {peak:.2f} GiB (goal < 1.5)")
        seconds, peak = timed("report", path)
        size = (path / "report.html").stat().st_size / 1e6
        print(f"report: {seconds:.1f} s (goal < 30), {peak:.2f} GiB (goal < 1.5), page {size:.2f} MB (goal < 3)")
