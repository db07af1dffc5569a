"""A run to one self-contained HTML page: notebook by papermill, page by nbconvert, nothing from outside.

Knows files and processes; figures and words are made elsewhere.
"""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnslab.dataset import Run
from dnslab.errors import NotAble, RunInvalid

NOTEBOOK = "compare.ipynb"
EXECUTE_TIMEOUT_S = 300


class NotebookFailed(RunInvalid):
    """A cell failed. The page was still written, with the failure as its headline."""


def measured_on(run: Run) -> str:
    """What the run was measured on, as an HTML table."""
    environment = run.environment
    backend = environment.get("backend", {})
    rows = {
        "kernel": environment.get("kernel"),
        "machine": f"{environment.get('cpu') or environment.get('machine')}, {environment.get('n_cpus')} CPUs",
        "C libraries": ", ".join(f"{t.libc} {t.libc_version}" for t in run.targets),
        "measured in": backend.get("name"),
        "servers": backend.get("unbound", ""),
        "fault injected": f"{environment.get('fault')} ({backend.get('fault_summary', 'none')})",
        "names": ", ".join(run.plan.names[:5]) + (" ..." if len(run.plan.names) > 5 else ""),
        "load": "; ".join(
            f"{load.label}, {load.duration_s:g} s after {load.warmup_s:g} s of warm-up" for load in run.plan.loads
        ),
        "schedule": f"{run.plan.rounds} rounds, {run.plan.order}, seed {run.plan.seed}",
        "started": environment.get("started"),
        "dnslab": environment.get("dnslab"),
    }
    body = "".join(
        f"<tr><th scope='row'>{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>"
        for key, value in rows.items()
        if value
    )
    return f"<div class='scroll'><table class='facts'><tbody>{body}</tbody></table></div>"


def render(run: Path | str, out: Path | None = None) -> Path:
    """Write the report of ``run`` and give back its path.

    Parameters
    ----------
    run
        A run folder.
    out
        The HTML file; default ``report.html`` in the run folder. The executed notebook lands beside it.

    Raises
    ------
    NotebookFailed
        After writing the page, which then says what failed.
    NotAble
        The place cannot be written to; name another with ``out``.
    """
    folder = Path(run).resolve()
    target = (out or folder / "report.html").resolve()
    if not os.access(target.parent, os.W_OK):
        raise NotAble(f"{target.parent} cannot be written to: name another place with --out")
    executed = target.with_suffix(".ipynb")
    problem = _execute(find_notebook(), executed, {"run": str(folder)})
    page = _export(executed, folder.name, problem)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(target)
    if problem:
        raise NotebookFailed(f"the notebook failed ({problem}); {target} shows where")
    return target


def find_notebook(name: str = NOTEBOOK) -> Path:
    """A notebook of the wheel or of the source tree; NotAble when it is in neither."""
    package = Path(__file__).parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / name).exists():
            return folder / name
    raise NotAble(f"the notebook {name} is not installed: install dnslab again")


_KERNEL = {"display_name": "Python 3 (dnslab)", "language": "python"}


def _execute(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> str:
    """Run papermill in a process of its own, with this interpreter as kernel. ``""``, or what failed in a line."""
    with tempfile.TemporaryDirectory(prefix="dnslab-") as scratch:
        kernel = Path(scratch) / "kernels" / "dnslab"
        kernel.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (kernel / "kernel.json").write_text(json.dumps({**_KERNEL, "argv": argv}), encoding="utf-8")
        (Path(scratch) / "parameters.json").write_text(json.dumps(dict(parameters)), encoding="utf-8")
        paths = [scratch, *filter(None, [os.environ.get("JUPYTER_PATH")])]
        environment = {**os.environ, "JUPYTER_PATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}
        environment |= {"MPLBACKEND": "agg", "IPYTHONDIR": str(Path(scratch) / "ipython")}
        environment |= {"JUPYTER_RUNTIME_DIR": str(Path(scratch) / "runtime")}
        command = [sys.executable, "-m", "papermill", str(notebook), str(executed), "--no-progress-bar", "-k", "dnslab"]
        command += ["-f", str(Path(scratch) / "parameters.json"), "--log-level", "ERROR"]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=EXECUTE_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"it took over {EXECUTE_TIMEOUT_S} s"
    if done.returncode == 0:
        return ""
    lines = [
        line
        for line in done.stderr.splitlines()
        if re.match(r"^[\w.]*(Error|Exception|Invalid|Failed|NotAble|\w+): ", line)
    ]
    said = lines[-1] if lines else (done.stderr.strip() or "papermill said nothing").splitlines()[-1]
    if not executed.exists():
        raise NotAble(f"papermill could not run the notebook: {said}")
    return re.sub(r"\x1b\[[0-9;]*m", "", said)


def _export(executed: Path, title: str, problem: str) -> str:
    """The executed notebook's outputs as one page: Markdown and outputs, no code."""
    import nbformat
    from nbconvert.filters import markdown2html_mistune

    notebook = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
    parts = [_failure(problem)] if problem else []
    for cell in notebook.cells:
        if "papermill-error-cell-tag" in cell.metadata.get("tags", []):
            continue
        if cell.cell_type == "markdown":
            parts.append(markdown2html_mistune(cell.source))
        for output in cell.get("outputs", []):
            parts.append(_output(output))
    body = "\n".join(part for part in parts if part)
    return _PAGE.format(title=html.escape(f"dnslab: {title}"), style=_STYLE, body=body)


def _failure(problem: str) -> str:
    return f"<p class='headline failed'>The report failed: {html.escape(problem)}. What follows is incomplete.</p>"


def _output(output: Any) -> str:
    if output.output_type in ("display_data", "execute_result"):
        data = output.data
        if "text/html" in data:
            return str(data["text/html"])
        return f"<pre>{html.escape(str(data.get('text/plain', '')))}</pre>"
    if output.output_type == "stream" and output.name == "stdout":
        return f"<p class='said'>{html.escape(output.text.strip())}</p>"
    if output.output_type == "error":
        return f"<pre class='failed'>{html.escape(output.ename)}: {html.escape(output.evalue)}</pre>"
    return ""


_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 1rem/1.55 system-ui, "Liberation Sans", sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem clamp(0.8rem, 3vw, 2.5rem) 3rem; }
h1 { font-size: clamp(1.35rem, 4vw, 1.9rem); line-height: 1.2; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid #ccd; padding-bottom: 0.25rem; }
p, li { max-width: 70ch; overflow-wrap: anywhere; }
.headline { font-size: 1.15rem; font-weight: 600; border-left: 5px solid #0b6e99; margin: 1rem 0; }
.headline { padding: 0.4rem 0 0.4rem 0.9rem; }
.vetoes { background: #fff4e0; border-left: 5px solid #b45309; padding: 0.6rem 0.8rem 0.6rem 2rem; }
.failed { border-color: #b00020; color: #7a0016; }
.said { background: #f3f4f8; padding: 0.5rem 0.8rem; }
.scroll { overflow-x: auto; }
.anchor-link { display: none; }
.figures td.reason { text-align: left; color: #555; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.65rem; border-bottom: 1px solid #dde; text-align: right; white-space: nowrap; }
th[scope=row], thead th:first-child, .facts td { text-align: left; }
.figures th[scope=row] { position: sticky; left: 0; background: #fff; }
@media (max-width: 40rem) { .figures th[scope=row] { white-space: normal; min-width: 7rem; max-width: 9rem; } }
.facts td { white-space: normal; overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid #99a; vertical-align: bottom; }
caption { text-align: left; padding-bottom: 0.4rem; }
figure { margin: 1rem 0; }
figure img { width: 100%; max-width: 62rem; height: auto; }
figcaption { color: #444; font-size: 0.92rem; max-width: 70ch; }
pre { overflow-x: auto; background: #f3f4f8; padding: 0.6rem; }
@media print {
  main { padding: 0; max-width: none; }
  figure, tr { break-inside: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 0.62rem; }
}
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
