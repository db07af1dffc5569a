"""Write the page of a run into a file. What it shows is made in ``present.page``."""

from __future__ import annotations

import os
from pathlib import Path

from dnslab.analyse.dataset import Run
from dnslab.errors import NotAble, UsageError
from dnslab.explain.diagnosed import Diagnosed
from dnslab.files import whole
from dnslab.present.page import diagnosis_page, page
from dnslab.present.page.trust import environment
from dnslab.sentences import files as said
from dnslab.store.folder import RunFolder
from dnslab.text import as_html, as_output


def measured_on(run: Run) -> str:
    """What the run was measured on, as an HTML table."""
    rows = "".join(
        f"<tr><th scope='row'>{as_html(fact.term)}</th><td>{as_html(fact.text)}</td></tr>" for fact in environment(run)
    )
    return as_output(f"<table class='facts'><tbody>{rows}</tbody></table>")


def render(run: Run | Diagnosed | Path | str, out: Path | None = None) -> Path:
    """Write the report of ``run`` and give back its path.

    Parameters
    ----------
    run
        A run or a diagnosis that was opened, or the folder of a run.
    out
        The HTML file; default ``report.html`` in its folder. An earlier one is replaced.

    Raises
    ------
    UsageError
        ``out`` is a folder.
    NotAble
        The place cannot be written to; name another with ``out``.
    RunInvalid
        The run's folder holds anything but regular files, or files that are damaged.
    """
    opened = run if isinstance(run, Run | Diagnosed) else Run(RunFolder(Path(run)))
    target = (out or opened.path / "report.html").resolve()
    if target.is_dir():
        raise UsageError(said.OUT_IS_A_FOLDER(path=str(out)))
    if not os.access(target.parent, os.W_OK):
        raise NotAble(said.NOT_WRITABLE(path=str(out.parent if out else target.parent)))
    text = page(opened) if isinstance(opened, Run) else diagnosis_page(opened)
    with whole(target, replace=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target
