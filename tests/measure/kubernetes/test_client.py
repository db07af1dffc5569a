"""What a kubeconfig without usable credentials says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytest.importorskip("kubernetes")

from tests.cli.test_cli import dnslab


def kubeconfig(path: Path, command: str) -> Path:
    exec_plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "a", "user": {"exec": exec_plugin}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("command", "says"),
    [("cloud-auth", "its credential plugin 'cloud-auth' is not installed"), ("false", "exec: process returned 1")],
)
def test_credentials_that_cannot_be_had_are_named(command: str, says: str, tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "config", command)
    done = dnslab("doctor", "--backend", "kubernetes", cwd=tmp_path, KUBECONFIG=str(config))
    assert done.returncode == 3
    assert says in done.stdout + done.stderr
    assert "Errno" not in done.stdout + done.stderr
