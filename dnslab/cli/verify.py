"""What says whether a patch helped: ``verify``."""

from __future__ import annotations

from pathlib import Path

import click

from dnslab.cli.results import write_report
from dnslab.cli.run import name_cluster
from dnslab.errors import UsageError
from dnslab.text import echo


@click.command(name="verify")
@click.argument("run_folder", default="latest", metavar="RUN")
@click.option("--like", metavar="deploy/NAME", help="The patched workload, if RUN does not name it: pods like its own.")
@click.option("--in", "existing", metavar="pod/NAME|deploy/NAME|SELECTOR", help="The same, measured in existing pods.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to make. Default: results/<UTC time>-verify.")
@click.option("--report", is_flag=True, help="Write report.html at the end.")
def verify_(run_folder: str, like: str | None, existing: str | None, out: Path | None, report: bool) -> int:
    """Say whether a patch helped: measure the workload as it stands now beside its old configuration.

    RUN is the run that found the stalls: a path, a bundle, or `latest`. Both configurations are measured in the same
    minutes, so that a quiet hour is not taken for a cure. The exit status is 0 if the stalls are gone, 1 if they are
    not, and 4 if this run cannot tell.
    """
    from dnslab.analyse.dataset import open_run
    from dnslab.experiment.verify import plan_of
    from dnslab.explain.findings import conclude
    from dnslab.explain.soundness import examine
    from dnslab.explain.verification import status
    from dnslab.measure import preflight, runner
    from dnslab.measure.display import shown
    from dnslab.present.terminal import print_summary

    if like and existing:
        raise UsageError("the patched workload is one: give either --like or --in")
    if report:
        preflight.check_report()
    named = {"like": like} if like else {"existing": existing} if existing else None
    plan = plan_of(open_run(run_folder), named)
    runner.check(plan, out)
    name_cluster(plan)
    with shown() as on_progress:
        path = runner.run(plan, out, on_progress=on_progress)
    echo(f"run: {path}")
    sound = examine(open_run(path))
    findings = conclude(sound.summary, sound.vetoes)
    print_summary(sound.summary, findings)
    if report:
        write_report(path, None)
    return status(sound.summary, findings.void)
