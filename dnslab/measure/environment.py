"""What a run is measured on: this machine, the targets and the backend, as environment.json keeps it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from dnslab.measure.health import Tally
from dnslab.measure.protocol import Backend, Expected
from dnslab.plan.model import Plan
from dnslab.store import contents
from dnslab.store.contents import Environment


def environment(plan: Plan, backend: Backend, health_before: Tally, expected: Mapping[str, Expected]) -> Environment:
    """What a run of ``plan`` is measured on; ``health_before`` are the lookups made before any load, ``expected`` what
    names resolved to then.
    """
    uname = platform.uname()
    return Environment(
        dnslab=version("dnslab"),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        kernel=f"{uname.system} {uname.release}",
        machine=uname.machine,
        n_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        cpu=_cpu_model(),
        python=platform.python_version(),
        targets=[contents.Target(**asdict(target)) for target in backend.targets()],
        backend=backend.describe(),
        fault=str(plan.fault),
        health_before=asdict(health_before),
        differing=[index for index, name in enumerate(plan.names) if expected[name].differed],
    )


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
