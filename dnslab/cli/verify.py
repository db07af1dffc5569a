"""What says whether a patch helped: ``verify``."""

from __future__ import annotations

from pathlib import Path

import click

from dnslab.cli.results import write_report
from dnslab.cli.run import name_cluster
from dnslab.errors import UsageError
from dnslab.sentences import terminal as said
from dnslab.text import echo, echo_json


@click.command(name="verify")
@click.argument("run_folder", default="latest", metavar="[RUN]")
@click.option(
    "--like",
    metavar="deploy/NAME",
    help="The patched workload, if RUN does not name it. Measured in pods like its own.",
)
@click.option(
    "--in", "existing", metavar="pod/NAME|deploy/NAME|SELECTOR", help="The patched workload, measured in existing pods."
)
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to make (default results/<UTC time>-verify).")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--report", is_flag=True, help="Write report.html at the end.")
def verify_(
    run_folder: str, like: str | None, existing: str | None, *, out: Path | None, form: str, report: bool
) -> int:
    """Say whether a patch helped.

    RUN is the run that found the trouble: a path, a bundle, or `latest`, which is the default. The trouble may be
    stalls, failures, slow or late lookups, or missing addresses. dnslab measures the workload as it is now and its old
    configuration in the same minutes, because a quiet hour looks like a cure. The exit status is 0 if the trouble is
    gone, 1 if it is not, and 4 if this run cannot tell.
    """
    from dnslab.experiment.verify import verify
    from dnslab.explain.findings import findings_of
    from dnslab.explain.soundness import examine
    from dnslab.explain.verification import status
    from dnslab.measure import preflight
    from dnslab.store.folder import resume_command

    if like and existing:
        raise UsageError(said.LIKE_OR_IN())
    if report:
        preflight.check_report()
    as_json = form == "json"
    made = verify(
        run_folder,
        like,
        existing,
        out,
        before_load=lambda plan: name_cluster(plan, err=as_json),
        how_to_resume=resume_command,
    )
    echo(said.RUN(path=str(made.path)), err=as_json)
    sound = examine(made)
    findings = findings_of(sound)
    ends_with = status(sound.summary, findings.void)
    if as_json:
        from dnslab.present import documents

        echo_json(documents.verification(sound.summary, findings, ends_with, str(made.path)))
    else:
        from dnslab.present.terminal import print_summary

        print_summary(sound.summary, findings, run=str(made.path))
    if report:
        write_report(made.path, None, err=as_json)
    return ends_with
