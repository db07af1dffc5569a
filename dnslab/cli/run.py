"""What measures: ``run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dnslab import files
from dnslab.cli.results import write_report
from dnslab.errors import InvalidPlan, Problem, UsageError
from dnslab.plan.backends import BACKEND_NAMES, IN_CLUSTER
from dnslab.text import echo, echo_text


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
    metavar="NAME[:KEY=NUMBER,...]",
    help="Fault that the lab injects, as in race:p=0.05. `dnslab lab faults` lists them.",
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
            raise UsageError("--resume continues the plan in its folder: give no other options with it")
        name_cluster(RunFolder(resume).plan)
        with shown() as on_progress:
            path = runner.resume(resume, on_progress)
    else:
        plan = _plan(plan_file, asked)
        if dry_run:
            runner.check(plan, out)
            _print_dry_run(completed(plan), out)
            return
        prepared = runner.prepare(plan, out)
        fits = _lowered_rates(plan, prepared.plan, len(prepared.targets))
        name_cluster(plan)
        for line in fits:
            echo(line)
        with shown() as on_progress:
            path = runner.run(prepared, out, on_progress=on_progress)
    echo(f"run: {path}")
    if report:
        write_report(path, None)


def given(value: object) -> bool:
    """Whether an option was given, be it with 0 or an empty text, which its own check is to refuse."""
    return value is not None and value is not False and value != ()


def name_cluster(plan: Any, err: bool = False) -> None:
    """Print which cluster will be loaded, and what will be done in pods of others; nothing for other backends."""
    if plan.in_cluster:
        from dnslab.measure.kubernetes.api.client import connect

        echo(f"cluster: {connect(plan.cluster.context, plan.cluster.namespace)}", err=err)
        for line in _announced(plan):
            echo(line, err=err)


def _lowered_rates(plan: Any, fitted: Any, n_targets: int) -> list[str]:
    """A line for each rate that nobody gave and that the run will lower."""
    if not plan.in_cluster or plan.cluster.existing:
        return []
    return [
        f"rate: {load.rate_per_s:g} lookups/s for each of {len(plan.variants)} variants on each of {n_targets} "
        f"targets, to stay within {plan.limits.max_rate_per_s:,.0f} in all (--rate, --max-rate)"
        for usual, load in zip(plan.loads, fitted.loads, strict=True)
        if usual.rate_per_s != load.rate_per_s
    ]


def _announced(plan: Any) -> Sequence[str]:
    """What is done in pods of others; nothing where there are none."""
    if not plan.cluster.existing:
        return []
    from dnslab.measure.kubernetes.existing import announced

    return announced(plan)


def _plan(plan_file: Path | None, asked: dict[str, Any]) -> Any:
    from dnslab.plan import planfile
    from dnslab.plan.model import Plan

    for option in run.params:
        value = asked.get(option.name or "")
        if value == "" or (isinstance(value, tuple) and "" in value):
            raise UsageError(f"{option.opts[0]} was given an empty text")
    base = planfile.load(files.read_given(plan_file, files.PLAN_BYTES), str(plan_file)) if plan_file else Plan()
    data = base.model_dump()
    direct = ("backend", "nameserver", "rounds", "seed", "schedule", "limit_ms", "fault")
    data.update({key: asked[key] for key in direct if asked[key] is not None})
    wanted = {key: asked[key] for key in _IN_CLUSTER if given(asked[key])}
    if wanted and data["backend"] not in IN_CLUSTER:
        raise UsageError(f"{_IN_CLUSTER[next(iter(wanted))]} is for --backend kubernetes")
    data["cluster"] = {**data["cluster"], **wanted}
    raised = {key: asked[key] for key in _LIMITS if given(asked[key])}
    if raised and data["backend"] not in IN_CLUSTER:
        raise UsageError(f"{_LIMITS[next(iter(raised))]} is for --backend kubernetes: nothing else has limits")
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
        raise UsageError(f"--expect: expected NAME=ADDRESS,..., saw {text[:80]!r}")
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
            raise UsageError(f"{path}:{number}: expected `name A` or `name AAAA`, saw {line.strip()[:80]!r}")
        names[words[0]] = None
    if not names:
        raise UsageError(f"{path} names nothing to look up")
    return list(names)


def _print_dry_run(plan: Any, out: Path | None) -> None:
    from dnslab.measure import preflight
    from dnslab.measure.backends import known_targets, usual_options
    from dnslab.plan.limits import fitted
    from dnslab.plan.schedule import forecast, longest_deadline_s

    if plan.in_cluster:
        from dnslab.measure.kubernetes.dry_run import planned

        in_cluster: Any = planned(plan)
        echo(f"# cluster: {in_cluster.client}")
        targets = in_cluster.targets()
    else:
        in_cluster, targets = None, known_targets(plan)
    usual, plan = plan, fitted(plan, targets)
    preflight.check_targets(plan, targets)
    preflight.allow_open_files(plan, targets)
    expected = forecast(plan, targets)
    echo_text(f"# The plan; give it back with `dnslab run FILE`.\n{plan.to_yaml()}")
    echo()
    echo("# trial  round  variant                            targets")
    for trial in expected.trials:
        echo(f"# {trial.number:5}  {trial.round:5}  {trial.variant:33}  {', '.join(trial.targets)}")
    for (variant, target), reason in expected.not_applicable.items():
        echo(f"# not applicable: {variant} on {target}: {reason}")
    peak, workers = expected.peak_lookups_per_s, expected.peak_workers
    rate = f"at most {peak:g} lookups/s in all" if peak else f"as fast as {workers} workers go"
    echo(f"# load: {expected.n_groups} groups one after another, {expected.load_s:.0f} s at least, {rate}")
    deadline_s = longest_deadline_s(plan, usual_options(plan))
    echo(
        f"# waits: up to {expected.n_groups * deadline_s:.0f} s more for lookups that wait for their deadline, up to "
        f"{deadline_s:.0f} s after each group where they fail"
    )
    made_in = "cluster" if in_cluster else plan.backend
    echo(f"# makes: {out or 'results/<UTC time>-' + plan.name}, and in the {made_in} what it removes again")
    for line in (*_lowered_rates(usual, plan, len(targets)), *_announced(plan)):
        echo(f"# {line}")
    if in_cluster:
        _print_in_cluster(plan, in_cluster, expected.trials)


def _print_in_cluster(plan: Any, in_cluster: Any, trials: Sequence[Any]) -> None:
    """Objects and commands, as comments: what is printed stays a plan."""
    from dnslab.measure import health
    from dnslab.measure.kubernetes.dry_run import as_yaml
    from dnslab.plan.schedule import count_clients

    echo("# libc: not known before the probe runs there; variants that it ignores will be left out")
    objects = in_cluster.objects(health.control_trial(plan, in_cluster.targets()))
    n_later = count_clients(trial for trial in trials if trial.round > 1) if objects else 0
    echo(f"# objects: {len(objects)} up to the end of the first round, {len(objects) + n_later} in all")
    for manifest in objects:
        echo_text("# ---\n" + "".join(f"# {line}\n" for line in as_yaml(manifest).splitlines()))
    echo("# commands, each an exec:")
    for line in in_cluster.commands():
        echo(f"#   {line}")
