"""Runs notebooks as papermill does, and shows what came of them as a page."""

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

from dnslab.errors import NotAble
from dnslab.files import PACKAGE
from dnslab.text import as_html, as_html_lines

EXECUTE_TIMEOUT_S = 300
KILLED = "the notebook was ended from outside, as a system does that is short of memory"


def find_notebook(name: str = "compare.ipynb") -> Path:
    """A notebook of the wheel or of the source tree; NotAble when it is in neither."""
    for folder in (PACKAGE / "notebooks", PACKAGE.parent / "notebooks"):
        if (folder / name).exists():
            return folder / name
    raise NotAble(f"the notebook {name} is not installed: install dnslab again")


_KERNEL = {"display_name": "Python 3 (dnslab)", "language": "python"}


def execute(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> str:
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


def shown(executed: Path) -> str:
    """One page of an executed notebook: Markdown and outputs without the code."""
    import nbformat
    from nbconvert.filters import markdown2html_mistune

    notebook = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
    parts = []
    for cell in notebook.cells:
        if "papermill-error-cell-tag" in cell.metadata.get("tags", []):
            continue
        if cell.cell_type == "markdown":
            parts.append(markdown2html_mistune(cell.source))
        for output in cell.get("outputs", []):
            parts.append(_output(output))
    return "\n".join(part for part in parts if part)


def _output(output: Any) -> str:
    if output.output_type in ("display_data", "execute_result"):
        data = output.data
        if "text/html" in data:
            return str(data["text/html"])
        return f"<pre>{as_html_lines(str(data.get('text/plain', '')))}</pre>"
    if output.output_type == "stream" and output.name == "stdout":
        return f"<p class='said'>{as_html_lines(output.text.strip())}</p>"
    if output.output_type == "error":
        return f"<pre class='failed'>{as_html(output.ename)}: {as_html_lines(output.evalue)}</pre>"
    return ""
