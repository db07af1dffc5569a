"""A real run under a real CPU limit: the kernel's own counters tell it from a busy machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.explain.soundness import examine
from tests.cgroups import limited_to
from tests.nameserver import nameserver

pytestmark = [pytest.mark.verify, pytest.mark.alone]

QUOTA_US = 30_000
#: Sees the cgroup where a container sees its own, joins it, and uses up its limit beside the run.
SCRIPT = """
mount --make-rprivate / && mount --bind "$1" "$2" && echo $$ > "$2/cgroup.procs" || exit 9
shift 2
sh -c 'while :; do :; done' & burner=$!
"$@"; status=$?
kill $burner
exit $status
"""


@pytest.fixture
def limited() -> Iterator[Path]:
    """A cgroup whose processes may use 0.3 CPUs."""
    with limited_to(QUOTA_US) as folder:
        yield folder


def test_a_run_under_a_cpu_limit_says_that_the_limit_stopped_it(limited: Path, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("takes root, for a mount")
    out = tmp_path / "run"
    with nameserver() as server:
        command = [sys.executable, "-m", "dnslab", "run", "--backend", "local", "--out", str(out)]
        command += ["--nameserver", f"127.0.0.1:{server.port}", "--name", "web.any.cluster.local."]
        command += ["--variants", "baseline", "--rate", "20", "-d", "1", "--rounds", "3"]
        where = [str(limited), str(limited.parent)]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", SCRIPT, "sh", *where, *command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done
    part = examine(open_run(out))
    vetoes = {veto.name: veto for veto in part.vetoes}
    assert vetoes["pod throttled"].severity == "void"
    assert vetoes["pod throttled"].seen.startswith("The pod reached its own CPU limit in 3 of 3 trials.")
    print([(client.throttled_share, client.idle_share) for client in part.summary.clients])
    assert "CPU saturated" not in vetoes
