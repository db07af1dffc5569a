"""Make one self-contained HTML page of a run: papermill executes the notebook, nbconvert makes the page.

Knows files and processes. Figures and sentences are made elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dnslab.analyse.dataset import Run
from dnslab.errors import NotAble, RunInvalid
from dnslab.files import PACKAGE, whole
from dnslab.store.folder import RunFolder
from dnslab.style import STYLE
from dnslab.text import as_html, as_html_lines, as_output

NOTEBOOK = "compare.ipynb"
EXECUTE_TIMEOUT_S = 300
KILLED = "the report was ended from outside, as a system does that is short of memory"


class NotebookFailed(RunInvalid):
    """A cell failed. The page was still written, with the failure as its headline."""


def measured_on(run: Run) -> str:
    """What the run was measured on, as an HTML table."""
    environment, backend = run.environment, run.environment.backend
    rows = {
        "kernel": environment.kernel,
        "machine": f"{environment.cpu or environment.machine}, {environment.n_cpus} CPUs",
        "C libraries": ", ".join(f"{t.libc} {t.libc_version}" for t in run.targets),
        "measured in": backend.name,
        "images": ", ".join(run.images),
        "servers": backend.unbound,
        "fault injected": f"{environment.fault} ({backend.fault_summary})",
        "names": ", ".join(run.plan.names[:5]) + (" ..." if len(run.plan.names) > 5 else ""),
        "load": "; ".join(
            f"{load.label}, {load.duration_s:g} s after {load.warmup_s:g} s of warm-up" for load in run.plan.loads
        ),
        "schedule": f"{run.plan.rounds} rounds, {run.plan.order}, seed {run.plan.seed}",
        "started": environment.started,
        "dnslab": environment.dnslab,
    }
    body = "".join(
        f"<tr><th scope='row'>{as_html(key)}</th><td>{as_html(value)}</td></tr>" for key, value in rows.items() if value
    )
    return as_output(f"<table class='facts'><tbody>{body}</tbody></table>")


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
    RunInvalid
        The run's folder holds anything but regular files.
    """
    folder = Path(run).resolve()
    RunFolder(folder)  # nothing is written through a link that stands in it
    target = (out or folder / "report.html").resolve()
    if not os.access(target.parent, os.W_OK):
        raise NotAble(f"{target.parent} cannot be written to: name another place with --out")
    executed = target.with_suffix(".ipynb")
    problem = _execute(find_notebook(), executed, {"run": str(folder)})
    page = _export(executed, folder.name, problem)
    with whole(target, replace=True) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if problem.startswith(KILLED):
        raise NotAble(f"{problem}: free some memory; {target} shows how far it came")
    if problem:
        raise NotebookFailed(f"the notebook failed ({problem}): see {target} for where")
    return target


def find_notebook(name: str = NOTEBOOK) -> Path:
    """A notebook of the wheel or of the source tree; NotAble when it is in neither."""
    for folder in (PACKAGE / "notebooks", PACKAGE.parent / "notebooks"):
        if (folder / name).exists():
            return folder / name
    raise NotAble(f"the notebook {name} is not installed: install dnslab again")


_KERNEL = {"display_name": "Python 3 (dnslab)", "language": "python"}


def _execute(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> str:
    """Run papermill in another process, with this interpreter as kernel. Gives ``""``, or one line on what failed."""
    with tempfile.TemporaryDirectory(prefix="dnslab-") as scratch:
        kernel = Path(scratch) / "kernels" / "dnslab"
        kernel.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (kernel / "kernel.json").write_text(json.dumps({**_KERNEL, "argv": argv}), encoding="utf-8")
        # YAML: papermill reads JSON as if it were, and then half of a character beyond U+FFFF is none.
        (Path(scratch) / "parameters.yaml").write_text(yaml.safe_dump(dict(parameters)), encoding="utf-8")
        paths = [scratch, *filter(None, [os.environ.get("JUPYTER_PATH")])]
        environment = {**os.environ, "JUPYTER_PATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}
        environment |= {"MPLBACKEND": "agg", "IPYTHONDIR": str(Path(scratch) / "ipython")}
        environment |= {"JUPYTER_RUNTIME_DIR": str(Path(scratch) / "runtime")}
        made = Path(scratch) / "executed.ipynb"  # not in its place at once: papermill fills in what {stands} in a path
        command = [sys.executable, "-m", "papermill", str(notebook), str(made), "--no-progress-bar", "-k", "dnslab"]
        command += ["-f", str(Path(scratch) / "parameters.yaml"), "--log-level", "ERROR"]
        problem = _problem(command, environment)
        if not made.exists() or not made.stat().st_size:
            raise NotAble(f"papermill could not run the notebook: {problem}")
        shutil.copyfile(made, executed)
    return problem


def _problem(command: list[str], environment: Mapping[str, str]) -> str:
    """One line on what failed in papermill; ``""`` if nothing failed."""
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=EXECUTE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it took over {EXECUTE_TIMEOUT_S} s"
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"{KILLED} (signal {-done.returncode})"
    lines = [
        line
        for line in done.stderr.splitlines()
        if re.match(r"^[\w.]*(Error|Exception|Invalid|Failed|NotAble|\w+): ", line)
    ]
    if any("DeadKernelError" in line for line in lines):
        return f"{KILLED} (its kernel died)"
    message = lines[-1] if lines else (done.stderr.strip() or "papermill printed no error").splitlines()[-1]
    return re.sub(r"\x1b\[[0-9;]*m", "", message)


def _export(executed: Path, title: str, problem: str) -> str:
    """One page of the executed notebook: Markdown and outputs without the code."""
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
    return _PAGE.format(title=as_html(f"dnslab: {title}"), style=_STYLE, body=body)


def _failure(problem: str) -> str:
    return f"<p class='headline failed'>The report failed: {as_html(problem)}. What follows is incomplete.</p>"


def _output(output: Any) -> str:
    if output.output_type in ("display_data", "execute_result"):
        data = output.data
        if "text/html" in data:
            return str(data["text/html"]).replace(STYLE, "")  # the page has its own
        return f"<pre>{as_html_lines(str(data.get('text/plain', '')))}</pre>"
    if output.output_type == "stream" and output.name == "stdout":
        return f"<p class='said'>{as_html_lines(output.text.strip())}</p>"
    if output.output_type == "error":
        return f"<pre class='failed'>{as_html(output.ename)}: {as_html_lines(output.evalue)}</pre>"
    return ""


#: contrast of text is 4.5:1 at least, in light and in dark; paper is light
_STYLE = """
:root { color-scheme: light; --page: #fff; --text: #1a1a1a; --quiet: #4a4a4a; --line: #dde; --rule: #99a;
  --box: #f3f4f8; --mark: #0b6e99; --warning: #fff4e0; --warning-mark: #b45309; --failed: #7a0016; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --page: #000; --text: #e8e8e8; --quiet: #b8b8b8; --line: #333a44; --rule: #667;
    --box: #1c1f26; --mark: #4db8e0; --warning: #33230a; --warning-mark: #e0913a; --failed: #ff9aa8; }
  figure img { filter: invert(1) hue-rotate(180deg); }
}
body { margin: 0; background: var(--page); color: var(--text); }
body { font: 1rem/1.55 system-ui, "Liberation Sans", sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem clamp(0.8rem, 3vw, 2.5rem) 3rem; }
h1 { font-size: clamp(1.35rem, 4vw, 1.9rem); line-height: 1.2; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid var(--rule); padding-bottom: 0.25rem; }
p, li, dd { max-width: 70ch; overflow-wrap: anywhere; }
.answers, .headline { border-left: 5px solid var(--mark); margin: 1rem 0; padding: 0.1rem 0 0.1rem 0.9rem; }
.answers div { margin: 0 0 0.6rem; }
.answers dt { color: var(--quiet); font-size: 0.9rem; }
.answers dd { margin: 0; line-height: 1.4; }
.answers div:first-child dd, .headline { font-size: 1.15rem; font-weight: 600; }
.vetoes { background: var(--warning); border-left: 5px solid var(--warning-mark); padding: 0.6rem 0.8rem 0.6rem 2rem; }
.failed { border-color: var(--failed); color: var(--failed); }
.said, pre { background: var(--box); padding: 0.5rem 0.8rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.anchor-link { display: none; }
.figures td.reason { text-align: left; color: var(--quiet); }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.65rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th[scope=row], thead th:first-child, .facts td { text-align: left; }
.figures th[scope=row] { position: sticky; left: 0; background: var(--page); }
.facts td { white-space: normal; overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid var(--rule); vertical-align: bottom; }
caption { text-align: left; padding-bottom: 0.4rem; }
figure { margin: 1rem 0; }
figcaption p { margin: 0.4rem 0; }
figure img { width: 100%; max-width: 46rem; height: auto; }
figcaption { color: var(--quiet); font-size: 0.92rem; }
details { margin: 0.5rem 0; }
summary { color: var(--quiet); cursor: pointer; font-size: 0.92rem; }
@media (max-width: 40rem) {
  h1 { margin: 0; }
  h2 { margin-top: 1.4rem; }
  h1 + h2 { margin-top: 0.5rem; }
  .figures th[scope=row] { white-space: normal; min-width: 7rem; max-width: 9rem; overflow-wrap: anywhere; }
}
@page { margin: 12mm; }
@media print {
  main { padding: 0; max-width: none; }
  h2 { break-after: avoid; }
  figure, tr, .answers { break-inside: avoid; }
  figure img { width: auto; max-width: 100%; max-height: 9.5cm; }
  details:not([open]) { display: none; }
  .scroll { overflow: visible; }
  .facts { font-size: 0.8rem; }
  .figures { font-size: 0.56rem; }
  .figures th, .figures td { white-space: normal; padding: 0.2rem 0.1rem; }
  .figures tbody th, .figures td:nth-child(2) { min-width: 3.4rem; overflow-wrap: anywhere; }
}
"""

#: the policy holds whatever a name in it may hold: no script runs, nothing is asked for
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
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
