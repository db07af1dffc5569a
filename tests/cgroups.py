"""A cgroup with a CPU limit, for tests."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
#: under version 1 the cpu controller has a folder of its own
V1 = ROOT / "cpu"
PERIOD_US = 100_000


@contextlib.contextmanager
def limited_to(quota_us: int) -> Iterator[Path]:
    """A cgroup whose processes may use ``quota_us`` of CPU time in each ``PERIOD_US``; skips where none can be made."""
    folder = (V1 if V1.is_dir() else ROOT) / f"dnslab-{uuid.uuid4().hex[:8]}"
    limits = (
        {"cpu.cfs_period_us": f"{PERIOD_US}", "cpu.cfs_quota_us": f"{quota_us}"}
        if V1.is_dir()
        else {"cpu.max": f"{quota_us} {PERIOD_US}"}
    )
    try:
        folder.mkdir()
        for name, value in limits.items():
            (folder / name).write_text(value)
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"no cgroup with a CPU limit can be made here: {error}")
    yield folder
    while (folder / "cgroup.procs").read_text():
        time.sleep(0.1)
    folder.rmdir()
