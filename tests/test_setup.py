"""What a new machine lacks is installed where root allows, else named with the command that installs it."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests import PROJECT

SCRIPT = (PROJECT / "tools" / "system.sh").read_text(encoding="utf-8")


def set_up(packages: str, *enter: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*enter, "sh", "-es"],
        input=SCRIPT,
        capture_output=True,
        text=True,
        env={**os.environ, "DNSLAB_TEST_PACKAGES": packages},
        check=False,
    )


@pytest.mark.lab
def test_nothing_is_said_where_nothing_is_missing() -> None:
    done = set_up("")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_without_root_the_command_is_named() -> None:
    done = set_up("no-such-package", "setpriv", "--reuid", "65534", "--clear-groups")
    assert done.returncode == 3
    assert "apt-get install --yes no-such-package" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
