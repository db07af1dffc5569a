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

from dnslab.analyse.dataset import open_run
from dnslab.experiment.compare import SAMPLE
from tests import diagnoses
from tests.browser import Browser, free_port, process, screenshots
from tests.explain.test_verification import measured as verifying_run
from tests.hostile import HOSTILE, hostile_run, unseen
from tests.notebooks import find_notebook
from tests.runs import rows, write_run

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
#: text of outputs with less contrast to its ground than WCAG AA asks for
FAINT = """
const numbers = c => c.match(/[\\d.]+/g).map(Number);
const light = c => { const [r, g, b] = numbers(c).map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  const n = numbers(c); if (n.length < 4 || n[3] > 0.9) return c; } return 'rgb(255, 255, 255)'; };
const found = [];
for (const e of document.querySelectorAll('.jp-Notebook .dnslab-output *')) {
  const own = [...e.childNodes].filter(n => n.nodeType === 3 && n.textContent.trim());
  if (e.tagName === 'STYLE' || !own.length) continue;
  const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) found.push(own[0].textContent.slice(0, 40) + ' ' + ((a + 0.05) / (b + 0.05)));
}
return found;
"""
#: outputs that are wider than their cell, other than in a box that scrolls
SPREAD = """
const areas = [...document.querySelectorAll('.jp-Notebook .jp-OutputArea-output')];
return areas.filter(a => a.scrollWidth > a.clientWidth + 1).map(a => a.innerText.slice(0, 60));
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


def open_notebook(browser: Browser, address: str, path: str) -> None:
    """Open a notebook with a fresh kernel."""
    browser.open(f"{address}/lab/tree/{path}?reset", height=6000)
    ready = "const w = window.jupyterapp && window.jupyterapp.shell.currentWidget;"
    ready += "const session = w && w.sessionContext && w.sessionContext.session;"
    ready += "return session && session.kernel && w.content.model.cells.length > 0"
    wait(browser, ready)


def in_each_theme(browser: Browser, picture: Path) -> Iterator[str]:
    """Show what is open in one theme after the other, with a picture of each; at last again in the first."""
    for theme in ("Dark", "Light"):
        change = "return window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab THEME'})"
        browser.run(change.replace("THEME", theme))
        wait(browser, f"return document.body.dataset.jpThemeName === 'JupyterLab {theme}'")
        browser.screenshot(picture.with_name(f"{picture.name}-{theme.lower()}.png"))
        yield theme


def run_all(browser: Browser, address: str, folder: Path, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Open a notebook in ``folder`` of what is served, run all of it without an error, and give it back."""
    notebook: dict[str, Any] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    cell = next(cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", []))
    cell["source"] += [f"\n{key} = {value!r}" for key, value in parameters.items()]
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    open_notebook(browser, address, f"{folder.name}/{name}.ipynb")
    browser.run("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    wait(browser, STATE.replace("return [", "const s = [") + "return s[1] === s[0] || s[3].length > 0")
    n_cells, n_run, n_shown, errors = browser.run(STATE)
    time.sleep(1)
    assert errors == []
    assert n_run == n_cells == len([one for one in notebook["cells"] if one["cell_type"] == "code"])
    assert n_shown >= n_cells - 2  # all but the parameters and what loads
    return notebook


LIVE = {"variants": ["baseline", "use-vc"], "rounds": 3, "targets": ["glibc"], "fault": "race:p=0.2"}


def other_run(path: Path) -> None:
    """A run like the sample but for its stalls, its machine and what was measured."""
    plan = open_run(SAMPLE).plan.model_copy(update={"variants": ("baseline", "use-vc"), "rounds": 3})
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in (1, 2, 3):
        lookups["baseline", "glibc", number] = rows([5004.0] * 30 + [0.6] * 90)
        lookups["use-vc", "glibc", number] = rows([0.8] * 120)
    write_run(path, plan, lookups)


@pytest.mark.parametrize(
    ("name", "parameters", "n_pictures"),
    [
        ("compare", {}, 0),
        ("compare", {"run": "new", "plan": LIVE | {"loads": [{"duration_s": 1.0}]}}, 0),
        ("explore", {"run": "latest"}, 2),
        ("before_after", {}, 0),
        ("matrix", {"run": "latest"}, 1),
        ("verify", {}, 1),
        ("diagnose", {"run": "latest"}, 0),
    ],
    ids=["compare-saved", "compare-live", "explore", "before_after", "matrix", "verify", "diagnose"],
)
def test_run_all(
    browser: Browser, jupyterlab: tuple[Path, str], *, name: str, parameters: dict[str, Any], n_pictures: int
) -> None:
    root, address = jupyterlab
    kind = f"{name}-{parameters.get('run', 'saved')}"
    results = root / kind / "results"
    results.mkdir(parents=True)
    n_saved = 0 if parameters.get("run") == "new" else 2
    for day in range(n_saved):
        path = results / f"2026010{day + 1}T000000Z-sample"
        if name == "diagnose":
            diagnoses.unpacked("shown", root / f"{kind}-{day}").rename(path)
        elif name == "verify":
            verifying_run(path, [0, 0, 0], [40, 41, 39])
        elif name == "before_after" and day == 1:
            other_run(path)
        else:
            shutil.copytree(SAMPLE, path)
    run_all(browser, address, results.parent, name, parameters)
    for theme in in_each_theme(browser, screenshots(root.with_name("screenshots")) / f"jupyterlab-{kind}"):
        assert (theme, browser.run(FAINT)) == (theme, [])
    pictures = browser.run(PICTURES)
    assert all(pictures)
    assert len(pictures) >= n_pictures
    if name == "compare":  # the whole page, whose pictures are part of its text
        assert browser.run("return document.querySelectorAll('.jp-OutputArea-output svg').length") > 5
    assert set(browser.run(SENTENCES)) <= {"left"}
    assert browser.run(SPREAD) == []
    assert len(list(results.iterdir())) == max(n_saved, 1)


def test_the_stop_button(browser: Browser, jupyterlab: tuple[Path, str]) -> None:
    """In mid-run it says at once that it stops; then one line says how to go on, and that line does."""
    root, address = jupyterlab
    folder = root / "stopped"
    folder.mkdir()
    plan = LIVE | {"rounds": 2, "loads": [{"duration_s": 4.0}]}
    sources = [
        f"import dnslab\n\nplan = dnslab.Plan(**{plan})\nplan",
        "run = dnslab.run(plan)\nrun",
        "dnslab.open_run()",
        "run = dnslab.resume(dnslab.open_run())\nrun",
        "dnslab.summarise(run)",
        "dnslab.resume('nowhere')",
    ]
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [cell | {"id": f"c{i}", "source": source} for i, source in enumerate(sources)]
    notebook = json.loads((NOTEBOOKS / "explore.ipynb").read_text(encoding="utf-8"))
    text = json.dumps(notebook | {"cells": cells})
    (folder / "plain.ipynb").write_text(text, encoding="utf-8")
    open_notebook(browser, address, f"{folder.name}/plain.ipynb")
    said = (
        "return [...document.querySelectorAll('.jp-OutputArea-output')].map(e => e.innerText).join(' ').includes('{}')"
    )
    browser.run("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    wait(browser, said.format(" lookups, ").replace(".includes(' lookups, ')", ".match(/[1-9]\\d* lookups, /)"))
    browser.run("window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    wait(browser, said.format("topping, keeping what was measured"), 3)
    pictures = screenshots(root.with_name("screenshots"))
    browser.screenshot(pictures / "jupyterlab-stopping.png")
    wait(browser, said.format("Interrupted after 0 of 4 trials; all is kept"))
    # What followed was not run: the rest is asked for anew.
    run_on = "window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2;"
    browser.run(run_on + "window.jupyterapp.commands.execute('notebook:run-all-below')")
    wait(browser, said.format("RunNotFound: "))
    errors = browser.run(STATE)[3]
    assert [error.partition(":")[0] for error in errors] == ["Interrupted", "RunNotFound"]
    traces = browser.run(
        "return [...document.querySelectorAll('[data-mime-type=\"application/vnd.jupyter.stderr\"]')]"
        ".map(e => e.innerText.trim().split('\\n').length)"
    )
    assert set(traces) <= {1}
    for theme in in_each_theme(browser, pictures / "jupyterlab-stopped"):
        assert (theme, browser.run(FAINT)) == (theme, [])


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
