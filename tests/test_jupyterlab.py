"""compare.ipynb in a real JupyterLab in a real browser: Run All on a fresh kernel, on a saved run and live."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dnslab.notebook import SAMPLE
from dnslab.report import find_notebook
from tests.browser import Browser, free_port, process, screenshots

pytestmark = [pytest.mark.verify, pytest.mark.lab, pytest.mark.notebook]

#: how many code cells there are, how many have run, and the errors among their outputs
STATE = """
const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells].filter(c => c.type === 'code');
const errors = cells.flatMap(c => [...Array(c.outputs.length).keys()].map(i => c.outputs.get(i).toJSON()))
  .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue);
return [cells.length, cells.filter(c => c.executionCount).length, errors];
"""


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
