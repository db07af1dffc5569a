"""compare.ipynb in a real JupyterLab in a real browser: Run All on a fresh kernel, on a saved run and live."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnslab.notebook import SAMPLE
from dnslab.report import find_notebook, render

pytestmark = [pytest.mark.verify, pytest.mark.lab, pytest.mark.notebook]

CHROMIUM = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
CHROMIUM += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
#: how many code cells there are, how many have run, and the errors among their outputs
STATE = """
const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells].filter(c => c.type === 'code');
const errors = cells.flatMap(c => [...Array(c.outputs.length).keys()].map(i => c.outputs.get(i).toJSON()))
  .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue);
return [cells.length, cells.filter(c => c.executionCount).length, errors];
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Browser:
    """Chromium by chromedriver, spoken to in the WebDriver protocol."""

    def __init__(self, port: int, profile: Path) -> None:
        self._base = f"http://127.0.0.1:{port}/session"
        options = {"args": [*CHROMIUM, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        capabilities = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self._base += "/" + self._call("POST", "", capabilities)["sessionId"]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())["value"]

    def open(self, url: str, width: int = 1400, height: int = 1800) -> None:
        self._call("POST", "/window/rect", {"width": width, "height": height})
        self._call("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def close(self) -> None:
        self._call("DELETE", "")


@contextlib.contextmanager
def process(argv: list[str], url: str, **environment: str) -> Iterator[None]:
    """A server, once it answers; ended by its own number."""
    started = subprocess.Popen(
        argv,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                break
            assert time.monotonic() < deadline, f"{argv[0]} does not answer"
            time.sleep(0.2)
        yield
    finally:
        started.terminate()
        started.wait(20)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    assert driver, "apt-get install chromium chromium-driver"
    port = free_port()
    started = process([driver, f"--port={port}"], f"http://127.0.0.1:{port}/status")
    with started, contextlib.closing(Browser(port, tmp_path / "profile")) as opened:
        yield opened


def screenshots(tmp_path: Path) -> Path:
    """Where pictures go for a person to look at."""
    folder = Path(os.environ.get("DNSLAB_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wait(browser: Browser, script: str, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):  # the page is still loading
            value = browser.run(script)
            if value:
                return value
        assert time.monotonic() < deadline, script
        time.sleep(0.5)


@pytest.mark.parametrize("kind", ["saved", "live"])
def test_run_all(browser: Browser, tmp_path: Path, kind: str) -> None:
    root, port = tmp_path / "root", free_port()
    results = root / "results"
    results.mkdir(parents=True)
    notebook = json.loads(find_notebook().read_text(encoding="utf-8"))
    if kind == "saved":
        shutil.copytree(SAMPLE, results / "20260101T000000Z-sample")
    else:
        cell = next(cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", []))
        plan = {"variants": ["baseline", "use-vc"], "rounds": 3, "targets": ["glibc"], "fault": "race:p=0.2"}
        cell["source"] = ['run = "new"\n', f"plan = {plan | {'loads': [{'duration_s': 1.0}]}}"]
    (root / "compare.ipynb").write_text(json.dumps(notebook))
    argv = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    argv += [
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={root}",
    ]
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    folders |= {"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces")}
    environment = {**folders, "DNSLAB_RESULTS": str(results), "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings")}
    with process(argv, f"http://127.0.0.1:{port}/api", **environment):
        browser.open(f"http://127.0.0.1:{port}/lab/tree/compare.ipynb?reset")
        ready = "const w = window.jupyterapp && window.jupyterapp.shell.currentWidget;"
        ready += "const session = w && w.sessionContext && w.sessionContext.session;"
        ready += "return session && session.kernel && w.content.model.cells.length > 5"
        wait(browser, ready)
        browser.run("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait(browser, STATE.replace("return [", "const s = [") + "return s[1] === s[0] || s[2].length > 0")
        n_cells, n_run, errors = browser.run(STATE)
        time.sleep(1)
        browser.screenshot(screenshots(tmp_path) / f"jupyterlab-{kind}.png")
    assert errors == []
    assert n_run == n_cells >= 8
    assert len(list(results.iterdir())) == 1


@pytest.mark.parametrize("width", [380, 800, 1400])
def test_the_page_fits_its_width(browser: Browser, tmp_path: Path, width: int) -> None:
    page = render(SAMPLE, tmp_path / "report.html")
    browser.open(page.as_uri(), width, 2600)
    time.sleep(1)
    browser.screenshot(screenshots(tmp_path) / f"report-{width}.png")
    inner, scroll = browser.run("return [window.innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= inner
    assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 500)")
