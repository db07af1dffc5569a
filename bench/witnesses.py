"""What reading the witnesses costs: each file, each place, and as a share of a core in a run."""

from __future__ import annotations

import contextlib
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial

from dnslab.measure import witnesses
from dnslab.measure.lab.backend import LabBackend
from dnslab.measure.local import LocalBackend
from dnslab.measure.probe import find_probe
from dnslab.measure.protocol import Client
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load
from dnslab.plan.variants import find
from dnslab.store.witnesses import WITNESSES

TIMES, BLOCKS = 200, 10


def bench_witnesses() -> None:
    """Median CPU time of a reading, its own and that of processes that it starts, with making numbers of it."""
    load = Load()
    n_per_s = 2 / load.total_s
    print(f"{'file':<56}{'witnesses':>10}{'us/reading':>12}{'readings/s':>12}")
    for path in witnesses.PARSERS:
        n_witnesses = sum(path in witness.files for witness in WITNESSES)
        us = _cpu_us(partial(_one, path))
        print(f"{path:<56}{n_witnesses:>10}{us:>12.1f}{1e6 / us:>12,.0f}")
    program, files = str(find_probe("static")), witnesses.CLIENT_FILES
    places: dict[str, Callable[[], object]] = {
        "local": LocalBackend("127.0.0.1").open(_client("here")).counters,
        "a pod, in the pod": lambda: subprocess.run([program, "--show", *files], stdout=subprocess.DEVNULL, check=True),
    }
    with (
        contextlib.closing(LabBackend(FaultPlan(name="none"))) as lab,
        contextlib.closing(lab.open(_client("glibc"))) as target,
    ):
        places["lab: client, node, 2 servers"] = target.counters
        for name, reading in places.items():
            us = _cpu_us(reading, 10)
            share = us * n_per_s / 1e6
            print(
                f"{name}: {us:,.0f} us a reading, at most {1e6 / us:,.0f} readings/s; at the usual {n_per_s:.2f} "
                f"readings/s {share:.3%} of a core (goal < 1 %)"
            )


def _client(target: str) -> Client:
    return Client("x", target, find("baseline"), Load(), ())


def _one(path: str) -> None:
    """Read one file, and its numbers."""
    text = witnesses.here([path])[path]
    if isinstance(text, str):
        witnesses.PARSERS[path](text)


def _cpu_us(reading: Callable[[], object], times: int = TIMES) -> float:
    """Median over blocks, us of CPU time a call."""
    blocks = []
    for _ in range(BLOCKS):
        before = _cpu_s()
        for _ in range(times):
            reading()
        blocks.append((_cpu_s() - before) / times * 1e6)
    return statistics.median(blocks)


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
