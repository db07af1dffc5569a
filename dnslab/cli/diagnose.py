"""What says why DNS stalls: ``diagnose``."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnslab.cli.run import given, name_cluster, of_cluster
from dnslab.errors import RunInvalid, UsageError
from dnslab.plan.backends import BACKEND_NAMES, IN_CLUSTER
from dnslab.sentences import ladder as said, terminal
from dnslab.text import echo, echo_json, echo_text

if TYPE_CHECKING:
    from dnslab.explain.ladder import Answer
    from dnslab.plan.ladder import Ladder, Rung
    from dnslab.plan.model import Plan

_UNITS = {"s": 1, "": 1, "m": 60, "h": 3_600}


@click.command()
@click.option("--backend", type=click.Choice(BACKEND_NAMES), default="lab", show_default=True, help="Where to ask.")
@click.option("--nameserver", metavar="ADDRESS[:PORT]", help="DNS server to query (local backend).")
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Where to ask from. Repeatable.")
@click.option("--name", "names", multiple=True, metavar="NAME", help="Name to look up, in full. Repeatable.")
@click.option("--fault", multiple=True, metavar="NAME[:KEY=NUMBER,...]", help="Fault that the lab injects. Repeatable.")
@click.option("--budget", default="3m", show_default=True, metavar="TIME", help="Longest time, such as 90s or 5m.")
@click.option("--wait", metavar="TIME", help="Wait so long for trouble, such as 6h, and begin when it is there.")
@click.option(
    "--load",
    "most_per_s",
    type=click.FloatRange(min=5.0, max=10_000.0),
    default=50.0,
    show_default=True,
    metavar="N",
    help="Most queries a second for each DNS server. More than 50 raises the rates of later rungs.",
)
@click.option("--context", metavar="NAME", help="Context of the kubeconfig (default the current one).")
@click.option("--namespace", metavar="NAME", help="Namespace of the pods (default that of the context).")
@click.option("--image", "images", multiple=True, metavar="IMAGE", help="Image of the pods.")
@click.option("--like", metavar="deploy/NAME", help="Make pods like those of this workload.")
@click.option("--nodes", metavar="all|N|NAME", help="Nodes to ask from (default 1).")
@click.option("--in", "existing", metavar="pod/NAME|deploy/NAME|SELECTOR", help="Ask from existing pods.")
@click.option("--container", metavar="NAME", help="Container to copy, or to ask from.")
@click.option("--ephemeral-container", "debug_image", metavar="IMAGE", help="For pods without a shell.")
@click.option("--node-counters", is_flag=True, help="Read each node's conntrack from a pod in its network namespace.")
@click.option("--allow-external", is_flag=True, help="Allow names outside the cluster's domain.")
@click.option("--from", "source", metavar="RUN", help="Ask nothing: read a finished diagnosis or run, or a bundle.")
@click.option(
    "--resume", type=click.Path(exists=True, path_type=Path), help="Go on with a diagnosis that was interrupted."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make (default results/<UTC time>-diagnose).")
@click.option("--dry-run", is_flag=True, help="Print all rungs with their time and their queries. Ask nothing.")
@click.option("--report", is_flag=True, help="Write report.html at the end.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def diagnose(
    source: str | None,
    resume: Path | None,
    out: Path | None,
    *,
    budget: str,
    wait: str | None,
    most_per_s: float,
    dry_run: bool,
    report: bool,
    form: str,
    **asked: Any,
) -> int:
    """Find out why DNS stalls (docs/diagnosis-format.md).

    dnslab sends raw queries and lookups in arms that differ in one point. It begins with 5 a second, sends each server
    no more than --load, and goes on where the evidence points. With --wait, about one lookup a second from each target
    first watches for trouble. The exit status is 0 if nothing was found, 1 if a cause was, and 4 if the answer is open.
    """
    from dnslab.experiment import diagnose as experiment
    from dnslab.measure import preflight
    from dnslab.present.ladder import print_ladder
    from dnslab.store.diagnosis import DiagnosisFolder

    as_json = form == "json"
    if report:
        preflight.check_report()
    others = bool(out or dry_run or wait) or any(given(value) for key, value in asked.items() if key != "backend")
    if source is not None:
        if others or report or resume:
            raise UsageError(said.FROM_ALONE())
        return _said(experiment.read(source), as_json)
    if resume is not None:
        if others:
            raise UsageError(said.RESUME_ALONE())
        ladder = DiagnosisFolder(resume).asked
    else:
        wait_s = _seconds("--wait", wait) if wait else 0.0
        ladder = experiment.prepare(_base(asked), _seconds("--budget", budget), most_per_s, wait_s)
    if ladder and dry_run:
        print_ladder(ladder)
        _print_rights(ladder)
        return 0
    if ladder:
        name_cluster(ladder.base, err=as_json)
    folder, answer = _climbed(ladder, resume, out)
    status = _said(answer, as_json)
    if report:
        _write_page(folder, as_json)
    echo(said.WRITTEN(path=str(folder)), err=as_json)
    return status


def _climbed(ladder: Ladder | None, resume: Path | None, out: Path | None) -> tuple[Path, Answer]:
    """Climb, or go on climbing, and print a line before each rung."""
    from dnslab.experiment import diagnose as experiment
    from dnslab.present.ladder import rung_line, wait_line
    from dnslab.store.diagnosis import DiagnosisFolder

    numbers = itertools.count(1 + (DiagnosisFolder(resume).n_ended if resume else 0))

    def on_rung(rung: Rung, plan: Plan) -> None:
        if ladder:
            echo(rung_line(next(numbers), rung, plan, ladder), err=True)

    def on_wait(plan: Plan) -> None:
        if ladder:
            echo(wait_line(ladder), err=True)

    if resume is not None:
        return experiment.resume(resume, on_rung=on_rung, on_wait=on_wait)
    assert ladder
    return experiment.diagnose(ladder, out, on_rung=on_rung, on_wait=on_wait)


def _print_rights(ladder: Ladder) -> None:
    """Print the Role that is missing to ask each server of a cluster by itself."""
    if ladder.base.backend not in IN_CLUSTER or not ladder.places.missing:
        return
    from dnslab.measure.kubernetes import rights
    from dnslab.measure.kubernetes.api.client import connect

    cluster = ladder.base.cluster
    if text := rights.missing_for(connect(cluster.context, cluster.namespace), rights.DIAGNOSE):
        echo_text(f"{terminal.APPLY_FOR_DIAGNOSE}\n---\n{text}")


def _write_page(folder: Path, err: bool) -> None:
    """Write the page of the diagnosis, and print where."""
    from dnslab.experiment.diagnose import opened
    from dnslab.present.report import render

    echo(said.PAGE(path=str(render(opened(folder)))), err=err)


def _said(answer: Answer, as_json: bool) -> int:
    """Print ``answer``, and give the exit status."""
    from dnslab.present.ladder import print_answer

    if as_json:
        echo_json(answer.to_dict())
    else:
        print_answer(answer)
    return {"nothing found": 0, "cause": 1, "two causes": 1}.get(answer.status, RunInvalid.status)


def _base(asked: dict[str, Any]) -> Plan:
    """The plan that says where and what."""
    from dnslab.plan.ladder import base_plan

    backend = asked["backend"]
    if asked["allow_external"] and backend not in IN_CLUSTER:
        raise UsageError(terminal.FOR_CLUSTERS(option="--allow-external"))
    return base_plan(
        backend,
        asked["names"],
        asked["targets"],
        fault=list(asked["fault"]) or "none",
        nameserver=asked["nameserver"],
        cluster=of_cluster(asked, backend),
        allow_external=asked["allow_external"],
    )


def _seconds(option: str, text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(s|m|h|)", text)
    if not match or not float(match[1]):
        raise UsageError(said.TIME_FORM(option=option, text=repr(text[:80])))
    return float(match[1]) * _UNITS[match[2]]
