"""CPU quotas for what runs in the lab, by the cgroup controller ``cpu``, version 1 or 2.

cgroups outlive a process that dies. So a helper holds a pipe of ours: when this process ends, however it ends, the pipe
closes, the kernel kills what runs in the lab, and the helper removes the groups as soon as they are empty.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

from dnslab.errors import NotAble
from dnslab.sentences import machine as sentences

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000

_REMOVE = """
cat >/dev/null
n=0
while [ -d "$1" ] && [ $n -lt 100 ]; do
  find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
  n=$((n + 1))
  sleep 0.05
done
"""


class Cgroups:
    """A group for this lab, below which others are made. NotAble where there is no right to make one."""

    def __init__(self) -> None:
        self._version = 1 if (ROOT / "cpu" / "tasks").exists() else 2
        above = ROOT / "cpu" if self._version == 1 else ROOT
        self.path = above / f"dnslab-{os.getpid()}-{random.getrandbits(32):08x}"
        self._remover = subprocess.Popen(
            ["sh", "-c", _REMOVE, "sh", str(self.path)], stdin=subprocess.PIPE, start_new_session=True
        )
        try:
            self.path.mkdir()
            if self._version == 2:
                for group in (above, self.path):
                    (group / "cgroup.subtree_control").write_text("+cpu")
        except OSError as error:
            self.close()
            raise NotAble(sentences.NO_QUOTA(why=f"{error.strerror}: {error.filename}")) from error

    def make(self, name: str, cores: float) -> Path:
        """Make the group ``name`` that may use ``cores``, and return the file that takes its processes."""
        group = self.path / name
        quota_us = max(1000, round(cores * PERIOD_US))
        group.mkdir()
        if self._version == 1:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        return group / "cgroup.procs"

    def throttled(self, name: str) -> int:
        """Periods in which the group ``name`` ran out of CPU time."""
        lines = (self.path / name / "cpu.stat").read_text(encoding="ascii").splitlines()
        return int(dict(line.split() for line in lines)["nr_throttled"])

    def close(self) -> None:
        """Remove the groups, once what runs in them has ended. May be called twice."""
        if self._remover.stdin and not self._remover.stdin.closed:
            self._remover.stdin.close()
            self._remover.wait()
