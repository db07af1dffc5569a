"""Every notebook in a real JupyterLab in a real browser: Run All on a fresh kernel, on saved runs and live."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnslab.experiment.compare import SAMPLE
from dnslab.present.report import find_notebook
from tests.browser import Browser, free_port, process, screenshots
from tests.hostile import HOSTILE, hostile_run, unseen

pytestmark = [pytest.mark.verify, pytest.mark.lab, pytest.mark.notebook]

NOTEBOOKS = find_notebook().parent
#: how many code cells there are, how many have run, how many show something, and the errors among their outputs
STATE = """
const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells].filter(c => c.type === 'code');
const errors = cells.flatMap(c => [...Array(c.outputs.length).keys()].map(i => c.outputs.get(i).toJSON()))
  .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue);
const shown = cells.filter(c => c.outputs.length);
return [cells.length, cells.filter(c => c.executionCount).length, shown.length, errors];
"""
#: pictures as the browser shows them: none broken, each with its text
PICTURES = """
const images = [...document.querySelectorAll('.jp-Notebook .jp-OutputArea img')];
return images.map(i => i.complete && i.naturalWidth > 500 && i.alt.length > 20);
"""
#: how cells that hold a sentence are set
SENTENCES = """
const cells = [...document.querySelectorAll('.jp-Notebook table.figures td')];
return cells.filter(c => c.innerText.length > 60).map(c => getComputedStyle(c).textAlign);
"""


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder that a JupyterLab serves, and its address."""
    own, root, port = tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("root"), free_port()
    argv = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    argv += [
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={root}",
    ]
    folders = {f"JUPYTER_{name}_DIR": str(own / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    folders |= {f"JUPYTERLAB_{name}_DIR": str(own / name) for name in ("WORKSPACES", "SETTINGS")}
    # No $DNSLAB_RESULTS: each notebook has results of its own, in its folder.
    environment = {**folders, "IPYTHONDIR": str(own / "ipython"), "DNSLAB_RESULTS": ""}
    with process(argv, f"http://127.0.0.1:{port}/api", **environment):
        yield root, f"http://127.0.0.1:{port}"


def wait(browser: Browser, script: str, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):  # the page is still loading
            value = browser.run(script)
            if value:
                return value
        assert time.monotonic() < deadline, script
        time.sleep(0.5)


def run_all(browser: Browser, address: str, folder: Path, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Open a notebook in ``folder`` of what is served, run all of it without an error, and give it back."""
    notebook: dict[str, Any] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    cell = next(cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", []))
    cell["source"] += [f"\n{key} = {value!r}" for key, value in parameters.items()]
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    browser.open(f"{address}/lab/tree/{folder.name}/{name}.ipynb?reset", height=6000)
    ready = "const w = window.jupyterapp && window.jupyterapp.shell.currentWidget;"
    ready += "const session = w && w.sessionContext && w.sessionContext.session;"
    ready += "return session && session.kernel && w.content.model.cells.length > 5"
    wait(browser, ready)
    browser.run("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    wait(browser, STATE.replace("return [", "const s = [") + "return s[1] === s[0] || s[3].length > 0")
    n_cells, n_run, n_shown, errors = browser.run(STATE)
    time.sleep(1)
    assert errors == []
    assert n_run == n_cells == len([one for one in notebook["cells"] if one["cell_type"] == "code"])
    assert n_shown >= n_cells - 2  # all but the parameters and what loads
    return notebook


LIVE = {"variants": ["baseline", "use-vc"], "rounds": 3, "targets": ["glibc"], "fault": "race:p=0.2"}


@pytest.mark.parametrize(
    ("name", "parameters", "n_pictures"),
    [
        ("compare", {}, 4),
        ("compare", {"run": "new", "plan": LIVE | {"loads": [{"duration_s": 1.0}]}}, 3),
        ("explore", {"run": "latest"}, 2),
        ("before_after", {}, 0),
        ("matrix", {"run": "latest"}, 1),
    ],
    ids=["compare-saved", "compare-live", "explore", "before_after", "matrix"],
)
def test_run_all(
    browser: Browser, jupyterlab: tuple[Path, str], name: str, parameters: dict[str, Any], n_pictures: int
) -> None:
    root, address = jupyterlab
    kind = f"{name}-{parameters.get('run', 'saved')}"
    results = root / kind / "results"
    results.mkdir(parents=True)
    n_saved = 0 if parameters.get("run") == "new" else 2
    for day in range(n_saved):
        shutil.copytree(SAMPLE, results / f"2026010{day + 1}T000000Z-sample")
    run_all(browser, address, results.parent, name, parameters)
    browser.screenshot(screenshots(root.with_name("screenshots")) / f"jupyterlab-{kind}.png")
    pictures = browser.run(PICTURES)
    assert all(pictures)
    assert len(pictures) >= n_pictures
    assert set(browser.run(SENTENCES)) <= {"left"}
    assert len(list(results.iterdir())) == max(n_saved, 1)


@pytest.mark.parametrize("name", ["compare", "before_after"])
def test_text_of_a_run_is_no_formula_and_no_link(browser: Browser, jupyterlab: tuple[Path, str], name: str) -> None:
    """MathJax would set what is between two dollars, and a formula may hold a link that runs a script."""
    root, address = jupyterlab
    results = root / f"hostile-{name}" / "results"
    for day in (1, 2):
        hostile_run(results / f"2026010{day}T000000Z-$\\href{{javascript:alert(1)}}{{x}}$ {HOSTILE}", whole=False)
    run_all(browser, address, results.parent, name, {})
    browser.screenshot(screenshots(root.with_name("screenshots")) / f"jupyterlab-hostile-{name}.png")
    assert browser.run("return document.querySelectorAll('.jp-Notebook mjx-container').length") == 0
    assert browser.run("return document.querySelectorAll('.jp-OutputArea [href^=javascript]').length") == 0
    said = browser.run("return [...document.querySelectorAll('.jp-OutputArea')].map(e => e.textContent).join(' ')")
    assert r"$\foo{$" in said
    assert unseen(said) == set()
    assert not list(root.rglob("X"))
