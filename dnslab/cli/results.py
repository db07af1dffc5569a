"""What reads runs: ``summary``, ``compare``, ``gate``, ``import``, ``export``, ``report``, ``bundle``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnslab.errors import RunInvalid, UsageError
from dnslab.sentences import terminal as said
from dnslab.text import counted, echo, echo_json, echo_text, terminal_width

if TYPE_CHECKING:
    from dnslab.analyse.dataset import Run


@click.command()
@click.argument("run_folder", default="latest", metavar="[RUN]")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--wide", is_flag=True, help="Show all columns and all notes.")
def summary(run_folder: str, form: str, wide: bool) -> None:
    """Show what a run found: a row for each variant, and the answer.

    RUN is a path, a bundle, or `latest`, which is the default.
    """
    from dnslab.analyse.dataset import open_run
    from dnslab.explain.findings import findings_of
    from dnslab.explain.soundness import examine
    from dnslab.present.exports import csv_text

    opened = open_run(run_folder)  # what a bundle is unpacked to lasts as long as this
    part = examine(opened)
    summed, findings = part.summary, findings_of(part)
    if form == "json":
        echo_json({**summed.to_dict(), "findings": findings.to_dict()})
    elif form == "csv":
        echo_text(csv_text(summed.to_frame()))
    else:
        from dnslab.present.terminal import print_summary

        print_summary(summed, findings, wide, run_folder)


_FORMS = click.Choice(["table", "markdown", "json"])
_FORM = click.option("--format", "form", type=_FORMS, default="table", show_default=True)
_PAGE = click.option(
    "--report", "out", type=click.Path(path_type=Path), metavar="FILE", help="Also write an HTML page."
)


@click.command(name="compare")
@click.argument("before")
@click.argument("after", nargs=-1, required=True)
@_FORM
@_PAGE
def compare_(before: str, after: Sequence[str], form: str, out: Path | None) -> int:
    """Compare later runs with an earlier one (docs/gates.md).

    Each run is a path, a bundle, or `latest`. The exit status is 4 if nothing could be compared.
    """
    from dnslab.analyse.dataset import open_run
    from dnslab.explain.compare import compare

    named = {path: open_run(path) for path in (before, *after)}
    places: dict[Path, str] = {}
    for path in (before, *after):
        place = Path(path if Path(path).is_file() else named[path].path).resolve()
        if place in places:
            raise UsageError(said.SAME_RUN(one=places[place], other=path))
        places[place] = path
    comparison = compare(*named.values())
    if out:
        from dnslab.present.page import compared_page

        _write_page(compared_page(comparison), out)
    status = 0 if len(comparison.changes.frame) else RunInvalid.status
    if form == "json":
        from dnslab.present import documents

        echo_json(documents.comparison(comparison, status))
    else:
        echo_text(comparison.to_markdown() if form == "markdown" else comparison.to_text(terminal_width()))
    return status


@click.command()
@click.argument("run_folder", default="latest", metavar="[RUN]")
@click.option(
    "--gate",
    "asked",
    multiple=True,
    metavar="MEASURE<LIMIT",
    help="A limit in quotes, such as 'slow_share<0.1%' or 'p99<=100ms'. Repeatable.",
)
@click.option("--variant", default="baseline", show_default=True, metavar="NAME", help="The variant to check.")
@_FORM
def gate(run_folder: str, asked: Sequence[str], variant: str, form: str) -> int:
    """Check a run against limits (docs/gates.md).

    The exit status is 1 if a limit is broken, and 4 if the run cannot decide.

    Without --gate the limits are those of Kubernetes' scale tests for cluster DNS: failed_share<=0.1%, p50<=20ms,
    p99<=100ms.
    """
    from dnslab.analyse.dataset import open_run
    from dnslab.explain import gates
    from dnslab.explain.soundness import examine

    wanted = [gates.Gate.parse(text) for text in asked] or gates.DEFAULT
    opened = open_run(run_folder)
    part = examine(opened)
    gated = gates.decide(part.summary, part.vetoes, wanted, variant)
    if form == "json":
        from dnslab.present import documents

        echo_json(documents.gate(gated, part.summary.run))
    else:
        echo_text(gated.to_markdown() if form == "markdown" else gated.to_text(terminal_width()))
    return gated.status


@click.command(name="import")
@click.argument("kind", type=click.Choice(["stress-client", "dnsperf", "dnspyre", "csv", "counts"]))
@click.argument("files", nargs=-1, required=True, metavar="[VARIANT=]FILE...")
@click.option(
    "-l",
    "limit_ms",
    type=float,
    metavar="MS",
    help="The limit that the tool counted with, if it counted (default 4900).",
)
@click.option(
    "--columns",
    metavar="latency_ms=COLUMN,...",
    help="Columns of a CSV to read. Other keys: outcome, variant, round, time_s.",
)
@click.option("--unit", type=click.Choice(["s", "ms", "us", "ns"]), help="Unit of the latency in a CSV (default ms).")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@_PAGE
def import_(kind: str, files: Sequence[str], form: str, columns: str | None, out: Path | None, **how: Any) -> None:
    """Compare what other tools measured (docs/import.md).

    It also says what their data cannot show.

    Each FILE is one round of VARIANT. Give several files of one variant for several rounds. Without VARIANT= the file's
    own name is the variant.
    """
    from dnslab.imports import readers as imports
    from dnslab.imports.summary import summarise_imported
    from dnslab.present.exports import csv_text

    mapped = dict(_pair(text) for text in columns.split(",")) if columns else None
    imported = summarise_imported(imports.load(kind, [imports.named(text) for text in files], columns=mapped, **how))
    if out:
        from dnslab.present.page import imported_page

        _write_page(imported_page(imported), out)
    if form == "json":
        echo_json(imported.to_dict())
    elif form == "csv":
        echo_text(csv_text(imported.to_frame()))
    else:
        echo_text(imported.to_text(terminal_width()))


def _write_page(page: str, out: Path) -> None:
    """Write a page, in place of an earlier one."""
    from dnslab.errors import NotAble
    from dnslab.files import whole

    try:
        with whole(out, replace=True) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise NotAble(f"{out} cannot be written ({error.strerror}): name another place with --report") from error


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not value:
        raise UsageError(said.COLUMNS_FORM(text=repr(text)))
    return key.strip(), value.strip()


@click.command()
@click.argument("run_folder", default="latest", metavar="[RUN]")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write, or - for stdout. An existing file is never replaced.",
)
def export(run_folder: str, form: Any, out: Path) -> None:
    """Write every lookup of a run to one file.

    RUN is a path, a bundle, or `latest`, which is the default.
    """
    from dnslab.analyse.dataset import open_run
    from dnslab.present.exports import export as write, export_to

    opened = open_run(run_folder)
    if str(out) == "-":
        if form == "parquet" and sys.stdout.isatty():
            raise UsageError(said.NO_TERMINAL_FOR_PARQUET())
        export_to(opened, sys.stdout.buffer, form)
    else:
        echo(said.EXPORTED(n=counted(write(opened, out, form), "lookup"), path=str(out)))
    for problem in opened.problems:
        echo(said.INCOMPLETE(problem=problem), err=True)


@click.command(name="report")
@click.argument("run_folder", default="latest", metavar="[RUN]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="HTML file to write (default report.html in the run folder; for a bundle or with --redact in this folder).",
)
@click.option(
    "--redact", is_flag=True, help="Replace names, addresses, nodes and pods by stand-ins. Writes the page only."
)
def report_(run_folder: str, out: Path | None, redact: bool) -> None:
    """Write a run, or a whole diagnosis, as one HTML page.

    RUN is a path, a bundle, or `latest`, which is the default.
    """
    from dnslab.analyse.dataset import open_run
    from dnslab.store.diagnosis import is_diagnosis

    path = Path(run_folder)
    if run_folder != "latest" and (path.is_file() or is_diagnosis(path)) and _write_diagnosis(path, out, redact):
        return
    opened = open_run(run_folder)  # what a bundle is unpacked to lasts as long as this
    if redact:
        from dnslab.present import share

        echo(said.REPORT_REDACTED(path=str(share.page(opened.path, out))))
    elif path.is_file():
        write_report(opened.path, out or Path(f"{opened.path.name}.html"), parquet=False)
    else:
        write_report(opened.path, out)


def _write_diagnosis(path: Path, out: Path | None, redact: bool) -> bool:
    """Write the page of the diagnosis at ``path``, a folder or a bundle, and print where; False if it is a run."""
    from dnslab.experiment.diagnose import opened
    from dnslab.present import share
    from dnslab.present.page import diagnosis_page
    from dnslab.present.report import render
    from dnslab.store.bundle import open_any
    from dnslab.store.diagnosis import DiagnosisFolder

    folder = open_any(path)  # what a bundle is unpacked to lasts as long as this
    if not isinstance(folder, DiagnosisFolder):
        return False
    if redact:
        made = share.page(folder.path, out, lambda copy: diagnosis_page(opened(copy)))
        echo(said.REPORT_REDACTED(path=str(made)))
    else:
        usual = Path(f"{folder.path.name}.html") if path.is_file() else None
        echo(said.REPORT(path=str(render(opened(folder.path), out or usual))))
    return True


@click.command()
@click.argument("run_folder", default="latest", metavar="[RUN]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Archive to write (default <run>.dnslab.zip in this folder)."
)
@click.option("--redact", is_flag=True, help="Replace names, addresses, nodes and pods by stand-ins.")
def bundle(run_folder: str, out: Path | None, redact: bool) -> None:
    """Write a run or a diagnosis as one archive.

    Summary and report open that of a run, and `diagnose --from` both. RUN is a path, or `latest`, which is the default.
    """
    from dnslab.analyse.dataset import open_run
    from dnslab.present import share

    path = open_run(run_folder).path if run_folder == "latest" else Path(run_folder)
    made = share.bundle(path, out, redact)
    echo((said.BUNDLE_REDACTED if redact else said.BUNDLE)(path=str(made)))


def write_report(path: Path, out: Path | None, parquet: bool = True, err: bool = False) -> Run:
    """Render a run, print where (with ``err`` on stderr), and beside it (not of a bundle) every lookup as parquet.

    Gives the run, of which all is read by then.
    """
    from dnslab.analyse.dataset import open_run
    from dnslab.present.exports import keep_parquet
    from dnslab.present.report import render

    run = open_run(path.resolve())  # one for both, so that raw bytes are decoded once
    page = render(run, out)
    if parquet:
        lookups = keep_parquet(run, page.parent)
        echo(said.REPORT_AND_LOOKUPS(path=str(page), lookups=lookups.name), err=err)
    else:
        echo(said.REPORT(path=str(page)), err=err)
    return run
