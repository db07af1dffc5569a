"""What measures: ``run``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dnslab import files
from dnslab.cli.dry_run import announced, lowered_rates, print_dry_run
from dnslab.cli.results import write_report
from dnslab.errors import InvalidPlan, Problem, UsageError
from dnslab.plan.backends import BACKEND_NAMES, IN_CLUSTER
from dnslab.sentences import terminal as said
from dnslab.text import echo, plain


@click.command()
@click.argument("plan_file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--backend", type=click.Choice(BACKEND_NAMES), help="Where to measure (default lab).")
@click.option(
    "--nameserver",
    metavar="ADDRESS[:PORT]",
    help="DNS server to query (local backend). Write IPv6 as [ADDRESS]:PORT.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME[=VARIANT,...]",
    help="Where to measure, and with which variants (default all). Repeatable.",
)
@click.option("--variants", metavar="NAME,...", help="Configurations to compare. `dnslab variants` lists them.")
@click.option("--name", "names", multiple=True, metavar="NAME", help="Name to look up. Repeatable.")
@click.option(
    "--names-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of names to look up, with `NAME TYPE` on each line, as for dnsperf.",
)
@click.option(
    "--expect",
    "expect",
    multiple=True,
    metavar="NAME=ADDRESS,...",
    help="What a name should resolve to (default what is answered when the run begins). Repeatable.",
)
@click.option(
    "-c",
    "workers",
    type=int,
    metavar="N",
    help="Closed loop with this many workers. With --rate, the most lookups in flight.",
)
@click.option(
    "--rate",
    type=float,
    metavar="N",
    help="Open loop with this many lookups a second for each variant (default 200).",
)
@click.option(
    "--loop", type=click.Choice(["poisson", "fixed"]), help="How the open loop spaces lookups (default poisson)."
)
@click.option(
    "--mode",
    type=click.Choice(["fresh", "sticky"]),
    help="fresh clears what glibc learned from lost answers before each lookup, sticky keeps it (default fresh).",
)
@click.option("-d", "duration_s", type=float, metavar="SECONDS", help="Length of a trial (default 10).")
@click.option(
    "-l", "limit_ms", type=float, metavar="MS", help="Count lookups that took this long or longer (default 4900)."
)
@click.option(
    "--rounds",
    type=int,
    metavar="N",
    help="How often to measure everything (default 9). Intervals come from rounds.",
)
@click.option(
    "--schedule",
    type=click.Choice(["side-by-side", "in-turn"]),
    help="Order of variants (default side-by-side for open loops, in-turn for closed ones).",
)
@click.option("--seed", type=int, metavar="N", help="Seed for the order and the arrivals (default 1).")
@click.option("--context", metavar="NAME", help="Context of the kubeconfig (default the current one).")
@click.option("--namespace", metavar="NAME", help="Namespace of the pods (default that of the context).")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="IMAGE",
    help="Image of the pods. Its C library is measured. Repeatable.",
)
@click.option(
    "--like",
    metavar="deploy/NAME",
    help="Make pods like those of this workload: image, DNS settings, placement, resources.",
)
@click.option("--nodes", metavar="all|N|NAME", help="Nodes to measure on (default 1).")
@click.option("--pods-per-node", type=int, metavar="N", help="Targets on each node (default 1).")
@click.option("--in", "existing", metavar="pod/NAME|deploy/NAME|SELECTOR", help="Measure in existing pods.")
@click.option(
    "--container", metavar="NAME", help="Container to copy, or to measure in (default the pods' own, or the first)."
)
@click.option(
    "--edit-resolv-conf", is_flag=True, help="Change resolv.conf in existing pods for each variant, and restore it."
)
@click.option(
    "--ephemeral-container",
    "debug_image",
    metavar="IMAGE",
    help="For pods without a shell: measure from a debug container of this image beside it.",
)
@click.option("--node-counters", is_flag=True, help="Read each node's conntrack from a pod in its network namespace.")
@click.option(
    "--max-rate",
    "max_rate_per_s",
    type=float,
    metavar="N",
    help="Most lookups a second in a cluster, all together (default 2000).",
)
@click.option(
    "--max-workers",
    type=int,
    metavar="N",
    help="Most closed-loop workers in a cluster, all together (default 1000).",
)
@click.option(
    "--max-total",
    "max_lookups",
    type=int,
    metavar="N",
    help="Most open-loop lookups of a run in a cluster (default 5000000).",
)
@click.option("--allow-external", is_flag=True, help="Allow names outside the cluster's domain.")
@click.option(
    "--fault",
    multiple=True,
    metavar="NAME[:KEY=NUMBER,...]",
    help="Fault that the lab injects, as in race:p=0.05. Repeatable; `dnslab lab faults` lists them.",
)
@click.option(
    "--run-name", metavar="NAME", help="Name of the run, which ends the name of its folder (default compare)."
)
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to make. Default: results/<UTC time>-<name>.")
@click.option(
    "--resume",
    type=click.Path(exists=True, path_type=Path),
    help="Continue an interrupted run: measure what is missing.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan, its trials and its load. Measure nothing.")
@click.option("--report", is_flag=True, help="Write report.html at the end.")
def run(
    plan_file: Path | None, out: Path | None, resume: Path | None, dry_run: bool, report: bool, **asked: Any
) -> None:
    """Compare resolver configurations, and keep every lookup.

    Each variant is measured in a new client each time. PLAN_FILE is YAML as --dry-run prints it. Options override it.
    """
    from dnslab.measure import preflight, runner
    from dnslab.measure.backends import completed
    from dnslab.measure.display import shown
    from dnslab.store.folder import RunFolder

    if report:
        preflight.check_report()
    if resume is not None:
        if plan_file or out or dry_run or any(given(value) for value in asked.values()):
            raise UsageError(said.RESUME_ALONE())
        name_cluster(RunFolder(resume).plan)
        with shown() as on_progress:
            path = runner.resume(resume, on_progress)
    else:
        plan = _plan(plan_file, asked)
        if dry_run:
            runner.check(plan, out)
            print_dry_run(completed(plan), out)
            return
        prepared = runner.prepare(plan, out)
        fits = lowered_rates(plan, prepared.plan, len(prepared.targets))
        name_cluster(plan)
        for line in fits:
            echo(line)
        with shown() as on_progress:
            path = runner.run(prepared, out, on_progress=on_progress)
    echo(said.RUN(path=str(path)))
    if report:
        from dnslab.explain.findings import findings_of
        from dnslab.explain.soundness import examine

        sound = examine(write_report(path, None))
        echo(plain(findings_of(sound).headline))


def given(value: object) -> bool:
    """Whether an option was given, be it with 0 or an empty text, which its own check is to refuse."""
    return value is not None and value is not False and value != ()


def of_cluster(asked: Mapping[str, Any], backend: str) -> dict[str, Any]:
    """The options of ``asked`` that say where in a cluster, by the plan's key.

    Raises
    ------
    UsageError
        There are some, and ``backend`` is not in a cluster.
    """
    wanted = {key: asked[key] for key in _IN_CLUSTER if given(asked.get(key))}
    if wanted and backend not in IN_CLUSTER:
        raise UsageError(said.FOR_CLUSTERS(option=_IN_CLUSTER[next(iter(wanted))]))
    return wanted


def name_cluster(plan: Any, err: bool = False) -> None:
    """Print which cluster will be loaded, and what will be done in pods of others; nothing for other backends."""
    if plan.in_cluster:
        from dnslab.measure.kubernetes.api.client import connect

        echo(said.CLUSTER(name=str(connect(plan.cluster.context, plan.cluster.namespace))), err=err)
        for line in announced(plan):
            echo(line, err=err)


def _plan(plan_file: Path | None, asked: dict[str, Any]) -> Any:
    from dnslab.plan import planfile
    from dnslab.plan.model import Plan

    for option in run.params:
        value = asked.get(option.name or "")
        if value == "" or (isinstance(value, tuple) and "" in value):
            raise UsageError(said.EMPTY_TEXT(option=option.opts[0]))
    base = planfile.load(files.read_given(plan_file, files.PLAN_BYTES), str(plan_file)) if plan_file else Plan()
    data = base.model_dump()
    direct = ("backend", "nameserver", "rounds", "seed", "schedule", "limit_ms")
    data.update({key: asked[key] for key in direct if asked[key] is not None})
    if asked["fault"]:
        data["fault"] = list(asked["fault"])
    data["cluster"] = {**data["cluster"], **of_cluster(asked, data["backend"])}
    raised = {key: asked[key] for key in _LIMITS if given(asked[key])}
    if raised and data["backend"] not in IN_CLUSTER:
        raise UsageError(said.LIMITS_FOR_CLUSTERS(option=_LIMITS[next(iter(raised))]))
    data["limits"] = {**data["limits"], **raised}
    if asked["run_name"] is not None:
        data["name"] = asked["run_name"]
    if asked["variants"] is not None:
        data["variants"] = [name for name in asked["variants"].split(",") if name]
    if asked["targets"]:
        data["targets"] = [_target(text) for text in asked["targets"]]
    names = [*asked["names"], *(_names_in(asked["names_file"]) if asked["names_file"] else ())]
    if names:
        data["names"] = names
    if asked["expect"]:
        data["expect"] = dict(map(_expectation, asked["expect"]))
    load = _load(asked, of_a_file=plan_file is not None)
    # Only what was given: a rate that nobody chose may be lowered to fit.
    data["loads"] = [{**planned.model_dump(exclude_unset=True), **load} for planned in base.loads]
    try:
        return Plan.of(data)
    except InvalidPlan as error:
        lines = dict.fromkeys(_as_asked(problem, asked) for problem in error.problems)
        raise InvalidPlan(*error.problems, lines=tuple(lines)) from None


def _load(asked: Mapping[str, Any], of_a_file: bool) -> dict[str, Any]:
    """What the options change in each load of the plan."""
    load = {key: asked[key] for key in ("workers", "mode", "duration_s") if asked[key] is not None}
    if asked["rate"] is not None:
        load |= {"rate_per_s": asked["rate"], "loop": asked["loop"] or "poisson"}
    elif asked["loop"]:
        load["loop"] = asked["loop"]
    elif asked["workers"] is not None and not of_a_file:
        load |= {"loop": "closed", "rate_per_s": None}
    return load


_IN_CLUSTER = {
    "context": "--context",
    "namespace": "--namespace",
    "images": "--image",
    "like": "--like",
    "nodes": "--nodes",
    "pods_per_node": "--pods-per-node",
    "node_counters": "--node-counters",
    "existing": "--in",
    "container": "--container",
    "edit_resolv_conf": "--edit-resolv-conf",
    "debug_image": "--ephemeral-container",
}
_LIMITS = {
    "max_rate_per_s": "--max-rate",
    "max_workers": "--max-workers",
    "max_lookups": "--max-total",
    "allow_external": "--allow-external",
}


def _as_asked(problem: Problem, asked: Mapping[str, Any]) -> str:
    """A problem by the name of the option that gave the value."""
    first, *_ = (*problem.location, "")
    key = next((part for part in reversed(problem.location) if isinstance(part, str)), "")
    parameter = str(first) if first in ("targets", "names", "expect", "variants") else key
    parameter = "run_name" if problem.location == ("name",) else "rate" if key == "rate_per_s" else parameter
    if not given(asked.get(parameter)):
        return str(problem)
    option = next(option.opts[0] for option in run.params if option.name == parameter)
    return f"{option}: {problem.text}"


def _target(text: str) -> dict[str, Any]:
    name, equals, variants = text.partition("=")
    return {"name": name, "variants": variants.split(",")} if equals else {"name": name}


def _expectation(text: str) -> tuple[str, list[str]]:
    name, equals, addresses = text.partition("=")
    if not equals or not addresses:
        raise UsageError(said.EXPECT_FORM(text=repr(text[:80])))
    return name, addresses.split(",")


def _names_in(path: Path) -> list[str]:
    """Names of a file in dnsperf's form. The resolver always asks A and AAAA, so other types are refused."""
    names: dict[str, None] = {}
    text = files.text(files.read_given(path, files.PLAN_BYTES), path)
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith((";", "#")):
            continue
        if len(words) > 2 or (len(words) == 2 and words[1].upper() not in ("A", "AAAA")):
            raise UsageError(said.NAMES_FORM(path=str(path), line=str(number), text=repr(line.strip()[:80])))
        names[words[0]] = None
    if not names:
        raise UsageError(said.NO_NAMES(path=str(path)))
    return list(names)
