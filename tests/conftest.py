"""Tiers: a test that needs what is not there is skipped and says so; a tier asked for by name fails instead."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from dnslab.errors import NotAble
from dnslab.measure.lab.namespaces import Namespaces
from tests.browser import Browser, opened


def _no_lab() -> str | None:
    try:
        Namespaces().close()
    except NotAble as error:
        return str(error)
    return None


def _no_compiler() -> str | None:
    return None if shutil.which("cc") else "no C compiler: `apt-get install gcc`"


def _no_kernel() -> str | None:
    try:
        import ipykernel  # noqa: F401
        import papermill  # noqa: F401
    except ModuleNotFoundError as error:
        return f"{error.name} is missing: `pip install 'dnslab[notebooks]'`"
    return None


def _no_cluster() -> str | None:
    if os.environ.get("DNSLAB_TEST_CLUSTER"):
        return None
    return "no cluster was asked for: `make test-cluster` builds and starts one, or runs against your KUBECONFIG"


# A shell ignores SIGINT for what it runs in the background, and processes inherit that; here Ctrl-C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples may take long where other tests run beside them: Hypothesis is not to measure that.
hypothesis.settings.register_profile("side by side", deadline=None)
hypothesis.settings.load_profile("side by side")

CHECKS = {"lab": _no_lab, "probe": _no_compiler, "notebook": _no_kernel, "cluster": _no_cluster}


@pytest.fixture(scope="session")
def cluster() -> None:
    """A cluster is up and $KUBECONFIG names it."""
    from dnslab.measure.kubernetes.api.client import connect

    connect()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Chromium, with nothing kept of an earlier test."""
    with opened(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
def namespace(cluster: None) -> Iterator[str]:
    """The name of a fresh namespace, removed afterwards."""
    from dnslab.measure.kubernetes.api.client import connect

    core = connect().core()
    name = f"dnslab-test-{secrets.token_hex(3)}"
    core.create_namespace({"metadata": {"name": name}})
    # What a cluster itself puts into each namespace, sooner or later: tests compare what is there before and after.
    deadline = time.monotonic() + 30
    while not core.list_namespaced_config_map(name).items or not core.list_namespaced_service_account(name).items:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield name
    core.delete_namespace(name, grace_period_seconds=0)
    # A daemon thread that is still reading when Python ends may abort the process.
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("shell ")]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what cannot run here; tiers named in $DNSLAB_REQUIRE_TIERS are not skipped but fail."""
    required = os.environ.get("DNSLAB_REQUIRE_TIERS", "").split()
    for tier, check in CHECKS.items():
        marked = [item for item in items if item.get_closest_marker(tier)]
        reason = check() if marked and tier not in required else None
        if reason:
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many lab tests passed: CI fails when they are fewer than a stated count."""
    passed = terminalreporter.stats.get("passed", [])
    n_lab = sum(1 for report in passed if "lab" in report.keywords and report.when == "call")
    n_cluster = sum(1 for report in passed if "cluster" in report.keywords and report.when == "call")
    terminalreporter.write_line(f"lab tests passed: {n_lab}, cluster tests passed: {n_cluster}")
