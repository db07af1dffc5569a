"""The command line: parse, call, print. All work is done elsewhere; imports are late so that --help is quick."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from dnslab.errors import DnslabError, Interrupted, InvalidPlan, NotAble, RunInvalid, UsageError

EPILOG = "Exit status: 0 done, 1 a verdict is bad, 2 usage, 3 this machine is not able, 4 run invalid, incomplete or undecided, 130 interrupted."  # noqa: E501


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="dnslab")
def cli(debug: bool) -> None:
    """Settle which DNS resolver configuration stalls, how often and why: by measuring each lookup."""


@cli.command()
@click.argument("plan_file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--backend", type=click.Choice(["lab", "local", "kubernetes"]), help="Where to measure; default lab.")
@click.option("--nameserver", metavar="ADDRESS[:PORT]", help="Whom to ask (backend local).")
@click.option("--target", "targets", multiple=True, metavar="NAME[=VARIANT,...]", help="Repeatable; default all.")
@click.option("--variants", metavar="NAME,...", help="Configurations to compare; see `dnslab variants`.")
@click.option("--name", "names", multiple=True, help="Name to look up; repeatable.")
@click.option(
    "--names-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Names in dnsperf's form, `name TYPE` a line.",
)
@click.option(
    "-c", "workers", type=int, help="Closed loop with this many workers (or the most in flight, with --rate)."
)
@click.option("--rate", type=float, help="Open loop: lookups a second of each variant (default 200).")
@click.option("--loop", type=click.Choice(["poisson", "fixed"]), help="Arrivals of the open loop; default poisson.")
@click.option(
    "--mode", type=click.Choice(["fresh", "sticky"]), help="Clear glibc's half-lost state before each lookup."
)
@click.option("-d", "duration_s", type=float, help="Seconds a trial (default 10).")
@click.option("-l", "limit_ms", type=float, help="Limit in ms: lookups at or over it are counted (default 4900).")
@click.option("--rounds", type=int, help="Rounds; the round is the replicate (default 9).")
@click.option("--schedule", type=click.Choice(["side-by-side", "in-turn"]), help="Default: by the kind of load.")
@click.option("--seed", type=int, help="Fixes order and arrivals (default 1).")
@click.option("--context", metavar="NAME", help="Of the kubeconfig; default its current one (backend kubernetes).")
@click.option("--namespace", metavar="NAME", help="Where pods are; default the context's (backend kubernetes).")
@click.option("--image", "images", multiple=True, help="What own pods run, repeatable: its libc is what is measured.")
@click.option("--like", metavar="deploy/NAME", help="Own pods with that workload's image, placement and resources.")
@click.option("--nodes", metavar="all|N|NAME", help="Nodes to measure on (default 1).")
@click.option("--pods-per-node", type=int, help="Targets on each node (default 1).")
@click.option("--in", "existing", metavar="pod/NAME|deploy/NAME|SELECTOR", help="Measure in pods that are there.")
@click.option("--container", metavar="NAME", help="Of each existing pod; default its first.")
@click.option(
    "--edit-resolv-conf", is_flag=True, help="Variants by editing an existing pod's file, and putting it back."
)
@click.option("--ephemeral-container", "debug_image", metavar="IMAGE", help="For pods without a shell: one beside it.")
@click.option("--node-counters", is_flag=True, help="Read each node's conntrack from a pod in its network namespace.")
@click.option("--max-rate", "max_rate_per_s", type=float, help="Lookups/s allowed in a cluster, in all (default 2000).")
@click.option("--max-workers", type=int, help="Closed-loop workers allowed in a cluster, in all (default 1000).")
@click.option("--max-total", "max_lookups", type=int, help="Paced lookups allowed in a cluster (default 5000000).")
@click.option("--allow-external", is_flag=True, help="Look up names outside the cluster's domain, too.")
@click.option("--fault", metavar="NAME[:KEY=NUMBER,...]", help="Fault the lab injects, as in race:p=0.05.")
@click.option("--run-name", metavar="NAME", help="Ends the run folder's name (default compare).")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to make (default results/<UTC time>-<name>).")
@click.option("--resume", type=click.Path(exists=True, path_type=Path), help="Go on with an interrupted run.")
@click.option("--dry-run", is_flag=True, help="Print plan and trials, the load they mean, what would be made.")
@click.option("--report", is_flag=True, help="Write report.html when done.")
def run(
    plan_file: Path | None, out: Path | None, resume: Path | None, dry_run: bool, report: bool, **asked: Any
) -> None:
    """Compare resolver configurations: every variant, in a fresh client each time, lookup by lookup.

    PLAN_FILE is YAML as --dry-run prints it; options given beside it win.
    """
    from dnslab import runner
    from dnslab.progress import shown

    if resume is not None:
        if plan_file or out or any(asked.values()):
            raise UsageError("--resume goes on with the plan in its folder: give no other option with it")
        with shown() as on_progress:
            path = runner.resume(resume, on_progress)
    else:
        plan = _plan(plan_file, asked)
        if dry_run:
            _print_dry_run(plan, out)
            return
        if plan.backend == "kubernetes":
            from dnslab.backends.kubernetes.client import connect

            click.echo(f"cluster: {connect(plan.cluster.context, plan.cluster.namespace)}")
            for line in _announced(plan):
                click.echo(line)
        with shown() as on_progress:
            path = runner.run(plan, out, on_progress=on_progress)
    click.echo(f"run: {path}")
    if report:
        _report(path, None)


def _announced(plan: Any) -> Sequence[str]:
    """What is done in pods of others; nothing where there are none."""
    if not plan.cluster.existing:
        return []
    from dnslab.backends.kubernetes.existing import announced

    return announced(plan)


def _plan(plan_file: Path | None, asked: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from dnslab import plan as plans
    from dnslab.backends import completed

    base = plans.load(plan_file.read_text(encoding="utf-8"), str(plan_file)) if plan_file else plans.Plan()
    data = base.model_dump()
    direct = ("backend", "nameserver", "rounds", "seed", "schedule", "limit_ms", "fault")
    data.update({key: asked[key] for key in direct if asked[key] is not None})
    wanted = {key: asked[key] for key in _IN_CLUSTER if asked[key]}
    if wanted and data["backend"] != "kubernetes":
        raise UsageError(f"{_IN_CLUSTER[next(iter(wanted))]} is for --backend kubernetes")
    data["cluster"] = {**data["cluster"], **wanted}
    raised = {key: asked[key] for key in _LIMITS if asked[key]}
    if raised and data["backend"] != "kubernetes":
        raise UsageError(f"{_LIMITS[next(iter(raised))]} is for --backend kubernetes: nothing else has limits")
    data["limits"] = {**data["limits"], **raised}
    if asked["run_name"]:
        data["name"] = asked["run_name"]
    if asked["variants"]:
        data["variants"] = [name for name in asked["variants"].split(",") if name]
    if asked["targets"]:
        data["targets"] = [_target(text) for text in asked["targets"]]
    names = [*asked["names"], *(_names_in(asked["names_file"]) if asked["names_file"] else ())]
    if names:
        data["names"] = names
    load = {key: asked[key] for key in ("workers", "mode", "duration_s") if asked[key] is not None}
    if asked["rate"] is not None:
        load |= {"rate_per_s": asked["rate"], "loop": asked["loop"] or "poisson"}
    elif asked["loop"]:
        load["loop"] = asked["loop"]
    elif asked["workers"] is not None and plan_file is None:
        load |= {"loop": "closed", "rate_per_s": None}
    data["loads"] = [{**one, **load} for one in data["loads"]]
    try:
        return completed(plans.Plan.model_validate(data).check())
    except ValidationError as error:
        raise InvalidPlan("; ".join(_spoken(one, asked) for one in error.errors())) from error


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
_OPTION = {
    **_LIMITS,
    "workers": "-c",
    "rate_per_s": "--rate",
    "duration_s": "-d",
    "limit_ms": "-l",
    "name": "--run-name",
}


def _spoken(error: Any, asked: dict[str, Any]) -> str:
    """A validation error in the words of the command line."""
    key = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "plan")
    option = _OPTION.get(key, f"--{key}" if key in asked else key)
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{option}: should be {message}, is {error['input']!r}" if "ctx" in error else f"{option}: {message}"


def _target(text: str) -> dict[str, Any]:
    name, equals, variants = text.partition("=")
    return {"name": name, "variants": variants.split(",")} if equals else {"name": name}


def _names_in(path: Path) -> list[str]:
    """Names of a file in dnsperf's form. The resolver always asks A and AAAA, so other types are refused."""
    names: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith((";", "#")):
            continue
        if len(words) > 2 or (len(words) == 2 and words[1].upper() not in ("A", "AAAA")):
            raise UsageError(f"{path} line {number}: expected `name A` or `name AAAA`, saw {line.strip()!r}")
        if words[0] not in names:
            names.append(words[0])
    if not names:
        raise UsageError(f"{path} names nothing to look up")
    return names


def _print_dry_run(plan: Any, out: Path | None) -> None:
    from dnslab import limits
    from dnslab import plan as plans
    from dnslab.backends import known_targets

    if plan.backend == "kubernetes":
        from dnslab.backends.kubernetes.planned import planned

        in_cluster: Any = planned(plan)
        click.echo(f"# cluster: {in_cluster.client}")
        targets = in_cluster.targets()
        limits.check_load(plan, targets)
    else:
        in_cluster, targets = None, known_targets(plan)
    described = plans.describe(plan, targets)
    click.echo(f"# The plan; give it back with `dnslab run FILE`.\n{plan.to_yaml()}")
    click.echo("# trial  round  variant                            targets")
    for trial in described["trials"]:
        click.echo(f"# {trial.number:5}  {trial.round:5}  {trial.variant:33}  {', '.join(trial.targets)}")
    for (variant, target), reason in described["not_applicable"].items():
        click.echo(f"# not applicable: {variant} on {target}: {reason}")
    peak, workers = described["peak_lookups_per_s"], described["peak_workers"]
    rate = f"at most {peak:g} lookups/s in all" if peak else f"as fast as {workers} workers go"
    click.echo(
        f"# load: {described['n_groups']} groups one after another, {described['load_s']:.0f} s at least, {rate}"
    )
    place = "cluster" if in_cluster else plan.backend
    click.echo(f"# makes: {out or 'results/<UTC time>-' + plan.name}, and in the {place} what it removes again")
    for line in _announced(plan):
        click.echo(f"# {line}")
    if in_cluster:
        _print_in_cluster(plan, in_cluster, described["trials"])


def _print_in_cluster(plan: Any, in_cluster: Any, trials: Sequence[Any]) -> None:
    """Objects and commands, as comments: what is printed stays a plan."""
    from dnslab import health
    from dnslab.backends.kubernetes.planned import as_yaml

    click.echo("# libc: not known before the probe runs there; variants that it ignores will be left out")
    objects = in_cluster.objects(health.control_trial(plan, in_cluster.targets()))
    n_later = sum(len(trial.targets) for trial in trials if trial.round > 1) if objects else 0
    click.echo(f"# objects: {len(objects)} up to the end of the first round, {len(objects) + n_later} in all")
    for one in objects:
        click.echo("# ---\n" + "".join(f"# {line}\n" for line in as_yaml(one).splitlines()), nl=False)
    click.echo("# commands, each an exec:")
    for line in in_cluster.commands():
        click.echo(f"#   {line}")


class Share(click.ParamType):  # type: ignore[type-arg]
    """A share as ``0.1%`` or ``0.001``, above 0 and under 1."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share as a number."""
        try:
            share = float(str(value).removesuffix("%")) / (100 if str(value).endswith("%") else 1)
        except ValueError:
            share = math.nan
        if not 0 < share < 1:
            self.fail(f"expected a share as 0.1% or 0.001, saw {value!r}", param, ctx)
        return share


@cli.command(name="plan")
@click.option("--detect", type=Share(), required=True, metavar="0.1%", help="Share of lookups that stall.")
@click.option("--power", type=Share(), default="90%", show_default=True, help="How often it is to be seen.")
@click.option("--rate", type=float, default=200.0, show_default=True, help="Lookups a second of each variant.")
@click.option(
    "--variants", "n_variants", type=click.IntRange(2), help="Compared, with baseline; default the usual six."
)
@click.option("--pilot", metavar="RUN", help="A run (path, or latest) that says how much rounds differ there.")
def plan_(detect: float, power: float, rate: float, n_variants: int | None, pilot: str | None) -> None:
    """Say how many rounds of what length show a share of stalls, or a difference by it."""
    from dnslab.power import sizes_needed
    from dnslab.variants import USUAL

    spread = None
    if pilot:
        from dnslab.dataset import open_run
        from dnslab.stats import summarise

        spread = summarise(open_run(pilot)).spread
    for line in sizes_needed(detect, power, rate, (n_variants or len(USUAL)) - 1, spread):
        click.echo(line)


@cli.command()
@click.argument("run_folder", default="latest")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def summary(run_folder: str, form: str) -> None:
    """Figures of a run, variant by variant (RUN_FOLDER: a path, a bundle, or latest)."""
    from dnslab.dataset import open_run
    from dnslab.findings import conclude
    from dnslab.stats import summarise
    from dnslab.validity import find_vetoes

    opened = open_run(run_folder)
    figures = summarise(opened)
    found = conclude(figures, find_vetoes(opened, figures))
    if form == "json":
        click.echo(json.dumps({**figures.to_dict(), "findings": found.to_dict()}, indent=1, allow_nan=False))
    elif form == "csv":
        click.echo(figures.to_frame().to_csv(index=False), nl=False)
    else:
        from dnslab.progress import print_summary

        print_summary(figures, found)


_FORM = click.option("--format", "form", type=click.Choice(["table", "markdown"]), default="table", show_default=True)


@cli.command(name="compare")
@click.argument("before")
@click.argument("after", nargs=-1, required=True)
@_FORM
def compare_(before: str, after: Sequence[str], form: str) -> int:
    """What later runs changed against an earlier one (each a path, a bundle, or latest; docs/gates.md).

    Status 4 where nothing could be compared.
    """
    from dnslab.comparison import compare
    from dnslab.dataset import open_run

    found = compare(open_run(before), *(open_run(one) for one in after))
    click.echo(found.to_markdown() if form == "markdown" else found.to_text(_width()))
    return 0 if len(found.changes.frame) else RunInvalid.status


@cli.command()
@click.argument("run_folder", default="latest")
@click.option("--gate", "asked", multiple=True, metavar="MEASURE<LIMIT", help="As slow_share<0.1%, p99<=100ms.")
@click.option("--variant", default="baseline", show_default=True, metavar="NAME", help="Which is to keep them.")
@_FORM
def gate(run_folder: str, asked: Sequence[str], variant: str, form: str) -> int:
    """Hold a run against limits: status 1 where one is broken, 4 where its rounds do not decide (docs/gates.md).

    Without --gate: failed_share<=0.1%, p50<=20ms, p99<=100ms, as Kubernetes' scale tests ask of cluster DNS.
    """
    from dnslab import gates
    from dnslab.dataset import open_run
    from dnslab.stats import summarise
    from dnslab.validity import find_vetoes

    wanted = [gates.Gate.parse(text) for text in asked] or gates.DEFAULT
    opened = open_run(run_folder)
    figures = summarise(opened)
    found = gates.decide(figures, find_vetoes(opened, figures), wanted, variant)
    click.echo(found.to_markdown() if form == "markdown" else found.table.to_text(_width()))
    return found.status


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@cli.command(name="import")
@click.argument("kind", type=click.Choice(["stress-client", "dnsperf", "csv", "counts"]))
@click.argument("files", nargs=-1, required=True, metavar="[VARIANT=]FILE...")
@click.option("-l", "limit_ms", type=float, help="Limit in ms; what a tool that counts over one had (else 4900).")
@click.option("--columns", metavar="latency_ms=COLUMN,...", help="Of a csv; also outcome, variant, round, time_s.")
@click.option("--unit", type=click.Choice(["s", "ms", "us", "ns"]), help="Of a csv's latency (default ms).")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def import_(kind: str, files: Sequence[str], form: str, columns: str | None, **how: Any) -> None:
    """Compare what other tools measured, and say what their data cannot show (docs/import.md).

    A file is a round of VARIANT, by default of its name; give several of one as its rounds.
    """
    from dnslab import imports
    from dnslab.imported import summarise_imported

    mapped = dict(_pair(one) for one in columns.split(",")) if columns else None
    found = summarise_imported(imports.load(kind, [imports.named(one) for one in files], columns=mapped, **how))
    if form == "json":
        click.echo(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    elif form == "csv":
        click.echo(found.to_frame().to_csv(index=False), nl=False)
    else:
        click.echo(found.to_text(_width()))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not value:
        raise UsageError(f"--columns: expected KEY=COLUMN, saw {text!r}")
    return key.strip(), value.strip()


@cli.command()
@click.argument("run_folder", default="latest")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write; one that is there stays.")
def export(run_folder: str, form: Any, out: Path) -> None:
    """Write every lookup of a run to one file, a row each (RUN_FOLDER: a path, or latest)."""
    from dnslab.dataset import open_run
    from dnslab.exports import export as write

    opened = open_run(run_folder)
    click.echo(f"export: {write(opened, out, form):,} lookups in {out}")
    for problem in opened.problems:
        click.echo(f"not whole: {problem}", err=True)


@cli.command(name="report")
@click.argument("run_folder", default="latest")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="HTML file to write (default report.html in the run folder; of a bundle, and redacted, here).",
)
@click.option("--redact", is_flag=True, help="With stand-ins for names, addresses, nodes, pods; the page alone.")
def report_(run_folder: str, out: Path | None, redact: bool) -> None:
    """One HTML page of a run, to share (RUN_FOLDER: a path, a bundle, or latest)."""
    from dnslab.dataset import open_run

    opened = open_run(run_folder)  # what a bundle is unpacked to lasts as long as this
    if redact:
        click.echo(f"report: {_share().page(opened.path, out)}, redacted: read it before you share it")
    elif Path(run_folder).is_file():
        _report(opened.path, out or Path(f"{opened.path.name}.html"), parquet=False)
    else:
        _report(opened.path, out)


@cli.command()
@click.argument("run_folder", default="latest")
@click.option("--out", type=click.Path(path_type=Path), help="Archive to make (default <run>.dnslab.zip here).")
@click.option("--redact", is_flag=True, help="With stand-ins for names, addresses, nodes, pods.")
def bundle(run_folder: str, out: Path | None, redact: bool) -> None:
    """One archive of a run, to share: `summary` and `report` open it (RUN_FOLDER: a path, or latest)."""
    from dnslab.dataset import open_run

    opened = open_run(run_folder)
    made = _share().bundle(opened.path, out, redact)
    click.echo(f"bundle: {made}" + (", redacted: look at its report before you share it" if redact else ""))


def _share() -> Any:
    try:
        from dnslab import share
    except ModuleNotFoundError as error:
        raise NotAble(f"{error.name} is missing: `pip install 'dnslab[notebooks]'`") from error
    return share


def _report(path: Path, out: Path | None, parquet: bool = True) -> None:
    try:
        from dnslab.report import render
    except ModuleNotFoundError as error:
        raise NotAble(f"{error.name} is missing: `pip install 'dnslab[notebooks]'`") from error
    from dnslab.dataset import open_run

    page = render(path, out)
    if not parquet:
        click.echo(f"report: {page}")
        return
    open_run(path).write_parquet(page.parent)
    click.echo(f"report: {page}, with every lookup in {page.with_name('lookups.parquet').name} beside it")


@cli.command()
@click.option("--libc", type=click.Choice(["glibc", "musl"]), help="Say what applies to this libc only.")
def variants(libc: str | None) -> None:
    """The configurations known, and what honours them."""
    from dnslab.variants import BUILT_IN, not_applicable

    for variant in BUILT_IN.values():
        reason = not_applicable(variant, libc) if libc else None  # type: ignore[arg-type]
        honoured = f"not applicable: {reason}" if reason else f"({', '.join(sorted(variant.libcs))})"
        since = f", glibc {variant.since[0]}.{variant.since[1]} or later" if variant.options else ""
        click.echo(f"{variant.name:34} {variant.summary}{'' if reason else since} {honoured}")


@cli.group()
def manifests() -> None:
    """What to apply to a cluster before measuring there, as YAML. Prints, and changes nothing."""


@manifests.command()
@click.option("--namespace", default="default", show_default=True, metavar="NAME", help="Where pods will be.")
def rbac(namespace: str) -> None:
    """Print the rights dnslab needs in a namespace and, apart, those of each optional part."""
    from dnslab.backends.kubernetes import access

    click.echo(f"# Needed: all of it in namespace {namespace}.\n{access.role_yaml(namespace)}---")
    click.echo("# From here on optional: take the parts that you use, leave out the others.")
    click.echo(access.cluster_role_yaml(namespace), nl=False)


@cli.command()
@click.option("--backend", type=click.Choice(["lab", "kubernetes"]), default="lab", show_default=True)
@click.option("--context", metavar="NAME", help="Of the kubeconfig; default its current one (backend kubernetes).")
@click.option("--namespace", metavar="NAME", help="Where pods will be; default the context's (backend kubernetes).")
def doctor(backend: str, context: str | None, namespace: str | None) -> None:
    """Say what this machine, or a cluster, can do, and what is missing, with what mends it."""
    from dnslab import doctor as checks

    if backend == "kubernetes":
        _doctor_of_cluster(context, namespace)
        return
    if context or namespace:
        raise UsageError(f"--{'context' if context else 'namespace'} is for --backend kubernetes")
    if not _print_checks(checks.checks()):
        raise NotAble("this machine is not able to run the lab: see MISSING above")


def _doctor_of_cluster(context: str | None, namespace: str | None) -> None:
    from dnslab import doctor as checks
    from dnslab.backends.kubernetes import access

    client = _cluster(context, namespace)
    rights = access.check(client, optional=True)
    ok = _print_checks(checks.cluster_checks(client, rights))
    missing = [one for one in rights if one.rule.needed and not one.ok]
    if missing:
        click.echo("# What is missing; whoever may applies it with `kubectl apply -f`.\n---")
        click.echo(access.missing_yaml(client, missing), nl=False)
    if not ok:
        raise NotAble(f"not able to measure in namespace {client.namespace}: see MISSING above")


def _print_checks(checks: Iterable[Any]) -> bool:
    """Print each; whether nothing needed is missing."""
    ok = True
    for line in checks:
        click.echo(f"{'ok     ' if line.ok else 'MISSING' if line.needed else 'no     '}  {line.what}: {line.detail}")
        ok = ok and (line.ok or not line.needed)
    return ok


@cli.group()
def lab() -> None:
    """The lab of network namespaces by hand."""


@lab.command()
@click.option("--fault", default="none", show_default=True, metavar="NAME[:KEY=NUMBER,...]")
@click.option("--variant", default="baseline", show_default=True)
@click.option("--target", default="glibc", show_default=True)
@click.argument("command", nargs=-1)
def shell(fault: str, variant: str, target: str, command: Sequence[str]) -> None:
    """A shell (or COMMAND) in a fresh client namespace of a fresh lab."""
    from dnslab.backends.lab import shell as open_shell
    from dnslab.plan import FaultPlan
    from dnslab.variants import find

    raise SystemExit(open_shell(FaultPlan.parse(fault), find(variant), target, command))


@lab.command()
def faults() -> None:
    """The faults the lab can inject, with their parameters."""
    from dnslab.backends.lab.faults import describe_all

    for line in describe_all():
        click.echo(line)


@cli.command()
@click.option("--variant", "variant_name", required=True, metavar="NAME", help="See `dnslab variants`.")
@click.option("--workload", "reference", metavar="deploy/NAME", help="Read it, and keep what it has; else no cluster.")
@click.option("--context", metavar="NAME", help="Of the kubeconfig; default its current one.")
@click.option("--namespace", metavar="NAME", help="The workload's; default the context's.")
@click.option("--libc", type=click.Choice(["glibc", "musl"]), help="The workload's: say what holds for it only.")
def fix(variant_name: str, reference: str | None, context: str | None, namespace: str | None, libc: Any) -> None:
    """Print how to give a workload a variant, what to mind, and how to undo it. Changes nothing."""
    from dnslab.remedies import Workload, remedy
    from dnslab.variants import find

    variant = find(variant_name)
    if reference is None:
        unread = Workload(context=context, namespace=namespace or Workload.namespace)
        click.echo(remedy(variant, unread, libc=libc))
        return
    from dnslab.backends.kubernetes import node_cache as caches
    from dnslab.backends.kubernetes.client import connect

    client = connect(context, namespace)
    dns, cache = caches.seen(client)
    click.echo(remedy(variant, caches.read_workload(client, reference), dns, libc))
    for line in (*dns.denied, *([str(cache)] if variant.node_local else [])):
        click.echo(f"- {line}")


@cli.group(name="node-cache")
def node_cache() -> None:
    """A cluster's node-local DNS cache: is there one, put one there, take it away."""


_CONTEXT = click.option("--context", metavar="NAME", help="Of the kubeconfig; default its current one.")
_IMAGE = click.option("--image", metavar="IMAGE", help="Of the cache; default the newest, from where CoreDNS is.")
_ADDRESS = click.option(
    "--address", metavar="ADDRESS,...", help="To listen on; name the cluster IP too and every pod is a client."
)
_YES = click.option("--yes", is_flag=True, help="Do not ask.")


@node_cache.command()
@_CONTEXT
def status(context: str | None) -> None:
    """Say whether a node-local cache answers, by what evidence, and what could not be seen."""
    from dnslab.backends.kubernetes import node_cache as caches

    client = _cluster(context)
    dns, cache = caches.seen(client)
    click.echo(f"kube-dns: {dns.address}, zone {dns.zone}, kube-proxy mode {dns.proxy_mode}\n{cache}")
    for line in dns.denied:
        click.echo(f"  not seen: {line}")


@node_cache.command()
@_CONTEXT
@_IMAGE
@_ADDRESS
def render(context: str | None, image: str | None, address: str | None) -> None:
    """Print the manifest that install would apply."""
    from dnslab.backends.kubernetes import node_cache_install
    from dnslab.backends.kubernetes.client import connect

    click.echo(node_cache_install.render(connect(context), image, _addresses(address)), nl=False)


@node_cache.command()
@_CONTEXT
@_IMAGE
@_ADDRESS
@_YES
def install(context: str | None, image: str | None, address: str | None, yes: bool) -> None:
    """Put a node-local cache on every node, and ask through it from a pod on each. Shows the changes first."""
    from dnslab.backends.kubernetes import node_cache_install

    client = _cluster(context)
    manifest = node_cache_install.render(client, image, _addresses(address))
    changes = node_cache_install.diff(client, manifest)
    click.echo(changes or "nothing to change")
    _confirm(yes or not changes, "apply this to kube-system")
    for line in node_cache_install.install(client, manifest):
        click.echo(line)


@node_cache.command()
@_CONTEXT
@_IMAGE
@_ADDRESS
@_YES
def remove(context: str | None, image: str | None, address: str | None, yes: bool) -> None:
    """Take dnslab's node-local cache away, with interface and rules on each node. Lists what goes first."""
    from dnslab.backends.kubernetes import node_cache_install

    client = _cluster(context)
    there = node_cache_install.removable(client)
    if not there and not image:
        click.echo("no node-local cache of dnslab's is there")
        return
    click.echo("\n".join(["will be deleted, and looked for on each node:", *(f"  {one}" for one in there)]))
    asking = node_cache_install.asking(client)
    if asking:
        more = f" and {len(asking) - 5} more" if len(asking) > 5 else ""
        click.echo(f"pods whose dnsConfig names it, and which will have no DNS: {', '.join(asking[:5])}{more}")
    _confirm(yes, "delete them")
    for line in node_cache_install.remove(client, image, _addresses(address) if address else ()):
        click.echo(line)


@cli.command()
@_CONTEXT
@click.option("--namespace", metavar="NAME", help="Where to look; default the context's.")
@click.option("--run", "run_id", metavar="ID", help="What is left of this run only.")
@click.option("--in", "existing", metavar="pod/NAME|deploy/NAME|SELECTOR", help="Look into these pods, too.")
@click.option("--container", metavar="NAME", help="Of each of these pods; default its first.")
@_YES
def clean(run_id: str | None, existing: str | None, container: str | None, yes: bool, **where: Any) -> None:
    """Remove what ended runs left in a cluster, and nothing else. Lists what goes first.

    Of existing pods it mends the resolv.conf and removes the probe; they carry no mark, so name them (--in).
    """
    from dnslab.backends.kubernetes import clean as leftovers

    if container and not existing:
        raise UsageError("--container is for existing pods: name them with --in")
    client = _cluster(**where)
    left = leftovers.find(client, run_id)
    inside = leftovers.find_inside(client, existing, container) if existing else []
    if not left and not inside:
        click.echo("nothing to remove")
        return
    for one in (*left, *inside):
        click.echo(f"  {f'run {one.run}: ' if isinstance(one, leftovers.Left) else ''}{one}")
    for young in leftovers.may_go_on(left):
        click.echo(f"run {young} may be going on: it has young pods that run")
    _confirm(yes, "remove this")
    leftovers.remove(client, left)
    leftovers.remove_inside(client, inside)
    click.echo(f"removed: {len(left)} objects" + (f", and from {len(inside)} pods what was in them" if inside else ""))


def _cluster(context: str | None, namespace: str | None = None) -> Any:
    from dnslab.backends.kubernetes.client import connect

    client = connect(context, namespace)
    click.echo(f"cluster: {client}")
    return client


def _addresses(text: str | None) -> list[str]:
    from dnslab.variants import NODE_LOCAL_ADDRESS

    return [one.strip() for one in (text or NODE_LOCAL_ADDRESS).split(",")]


def _confirm(yes: bool, doing: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"nothing was changed: without a terminal, to {doing} takes --yes")
    try:
        agreed = click.confirm(f"{doing}?")
    except click.Abort:  # Ctrl-C or end of file leaves the cursor behind the question
        click.echo()
        agreed = False
    if not agreed:
        raise Interrupted("nothing was changed")


def main() -> None:
    """Entry point: every error of ours is one line on stderr and its stated status."""
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGTERM, _terminated)
    # A thread for each target: by default each that waits for the interpreter asks for it every 5 ms, and a thousand do
    # nothing else (docs/many-targets.md).
    sys.setswitchinterval(0.05)
    try:
        status = cli(standalone_mode=False)
    except Interrupted as error:
        _fail(str(error), error.status, debug)
    except DnslabError as error:
        _fail(f"error: {error}", error.status, debug)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130, debug)
    except click.ClickException as error:
        _fail(f"error: {error.format_message()}", 2, debug)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("dnslab"):
            raise
        _fail(f"error: {error.name} is missing: `pip install 'dnslab[notebooks]'`", 3, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    else:
        sys.exit(status if isinstance(status, int) else 0)


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _fail(message: str, status: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(message, err=True)
    sys.exit(status)
