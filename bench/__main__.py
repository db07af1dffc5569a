"""All benchmarks, in the lab and a cluster: ``python -m bench [libc|wire|read|start|memory|targets|witnesses]``.

``--before COMMIT`` has ``read`` write each report with the code of that commit, too.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.many_targets import bench_many_targets
from bench.reading import bench_reading
from bench.witnesses import bench_witnesses
from dnslab.measure.lab.backend import LabBackend, LabTarget
from dnslab.measure.lab.namespaces import environment
from dnslab.measure.probe.job import Job, wire_query
from dnslab.measure.protocol import Client
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load
from dnslab.plan.variants import find
from tests.measure.test_probe import talk_over

PAIRS = 10
SECONDS = 2.0
NAME = "web.any.cluster.local."
HERE = Path(__file__).parent


@contextlib.contextmanager
def client() -> Iterator[LabTarget]:
    """A fresh client of a fresh lab without a fault."""
    lab = LabBackend(FaultPlan(name="none"))
    with (
        contextlib.closing(lab),
        contextlib.closing(lab.open(Client("x", "glibc", find("baseline"), Load(), ()))) as target,
    ):
        yield target


def job() -> Job:
    return Job((NAME.encode(),), workers=200, duration_s=SECONDS, deadline_s=10.0, hard_deadline_s=60.0)


def bench_libc() -> None:
    """Client CPU per lookup: the libc engine with recording against a bare getaddrinfo loop, 200 workers."""
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare_libc"
        subprocess.run(["cc", "-O2", "-pthread", str(HERE / "bare_libc.c"), "-o", str(bare)], check=True)
        for _ in range(PAIRS):
            with client() as target:
                _, trailer, _ = talk_over(target.start, job())
            ours = (trailer.user_ns + trailer.system_ns) / trailer.n_records / 1e3
            with client() as target:
                argv = target.command([str(bare), NAME, "200", str(SECONDS)])
                done = subprocess.run(argv, capture_output=True, text=True, env=environment(), check=True)
            n, cpu_s = done.stdout.split()
            ratios.append(ours / (float(cpu_s) / int(n) * 1e6))
    print(f"libc engine, CPU per lookup against a bare loop: {told(ratios)} (goal <= 1.05)")


def bench_wire() -> None:
    """Queries per CPU second: the wire engine recording every query against dnsperf, equal sockets and outstanding."""
    if not shutil.which("dnsperf"):
        print("wire engine: dnsperf is missing (apt-get install dnsperf)")
        return
    entries = tuple(wire_query(NAME, rdtype) for rdtype in ("A", "AAAA"))
    task = dataclasses.replace(
        job(), engine="wire", entries=entries, workers=20, outstanding=10, mode="sticky", nameserver=("10.96.0.10", 53)
    )  # fmt: skip
    ratios, losses = [], []
    for _ in range(PAIRS):
        with client() as target:
            rows, trailer, _ = talk_over(target.start, task)
        ours = trailer.n_records / ((trailer.user_ns + trailer.system_ns) / 1e9)
        losses.append(float((rows["outcome"] != 0).mean()))
        ratios.append(ours / max(dnsperf(n_threads) for n_threads in (1, 2)))
    print(f"wire engine, queries per CPU second against dnsperf: {told(ratios)} (goal >= 1.5); loss {max(losses):.4%}")


def dnsperf(n_threads: int) -> float:
    """Queries per CPU second of one run."""
    with client() as target, tempfile.NamedTemporaryFile("w") as queries:  # it reads them again and again
        queries.write(f"{NAME} A\n{NAME} AAAA\n")
        queries.flush()
        argv = ["dnsperf", "-s", "10.96.0.10", "-c", "20", "-q", "200", "-l", f"{SECONDS:g}"]
        argv += ["-T", str(n_threads), "-d", queries.name]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(target.command(argv), capture_output=True, text=True, env=environment(), check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"Queries completed:\s+(\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1]) / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def bench_start() -> None:
    """``dnslab --help``, whole process."""
    times = []
    for _ in range(PAIRS):
        began = time.perf_counter()
        subprocess.run([Path(sys.executable).with_name("dnslab"), "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    print(f"dnslab --help: {statistics.median(times):.3f} s (goal < 0.2)")


def bench_memory() -> None:
    """The probe's peak memory at 200 workers and full speed, after 10 s and after 60 s."""
    for seconds in (10.0, 60.0):
        with client() as target:
            _, trailer, _ = talk_over(
                target.start, dataclasses.replace(job(), duration_s=seconds, hard_deadline_s=120.0)
            )
        peak = trailer.max_rss_bytes / 2**20
        print(f"probe after {seconds:.0f} s: {peak:.1f} MiB (goal < 64), {trailer.n_records:,} lookups")


def told(ratios: list[float]) -> str:
    return f"median {statistics.median(ratios):.3f} of {len(ratios)} pairs ({min(ratios):.3f} to {max(ratios):.3f})"


ALL = {
    "libc": bench_libc,
    "wire": bench_wire,
    "read": bench_reading,
    "start": bench_start,
    "memory": bench_memory,
    "targets": bench_many_targets,
    "witnesses": bench_witnesses,
}


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--before", default="", metavar="COMMIT", help="for read: also with the code of this commit")
    given = parser.parse_args()
    if unknown := set(given.names) - set(ALL):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(ALL)}")
    for name in given.names or ALL:
        if name == "read":
            bench_reading(given.before)
        else:
            ALL[name]()


if __name__ == "__main__":
    main()
