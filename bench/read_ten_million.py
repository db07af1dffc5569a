"""Time from raw bytes to the summary for ten million lookups: 10 variants x 10 rounds, in a cold process."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dnslab.plan import Load, Plan
from dnslab.variants import BUILT_IN
from tests.runs import rows, write_run

N_PER_TRIAL = 100_000
ROUNDS = 10


def measure_reading() -> tuple[float, int]:
    """Wall seconds and peak resident bytes of ``dnslab summary``."""
    generator = np.random.default_rng(7)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        plan = Plan(variants=tuple(BUILT_IN), rounds=ROUNDS, loads=(Load(duration_s=1),))
        lookups = {}
        for name in plan.variants:
            for number in range(1, ROUNDS + 1):
                made = rows(np.exp(generator.normal(-0.5, 0.6, N_PER_TRIAL)).tolist())
                made["end_ns"][generator.random(N_PER_TRIAL) < 0.001] += np.uint64(5_000_000_000)
                lookups[name, "glibc", number] = made
        path = write_run(Path(folder) / "run", plan, lookups)
        began = time.perf_counter()
        subprocess.run(
            [Path(sys.executable).with_name("dnslab"), "summary", str(path)], check=True, capture_output=True
        )
        seconds = time.perf_counter() - began
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


if __name__ == "__main__":
    print(measure_reading())
