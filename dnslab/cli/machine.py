"""What can be measured, and where: ``variants``, ``doctor``, ``lab``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from dnslab.cli.cluster import connected
from dnslab.errors import NotAble, UsageError
from dnslab.plan.backends import BACKEND_NAMES
from dnslab.sentences import terminal as said
from dnslab.text import echo, echo_json, echo_text

_FORM = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.command()
@click.option("--libc", type=click.Choice(["glibc", "musl"]), help="C library: say which variants it ignores.")
@_FORM
def variants(libc: Any, form: str) -> None:
    """List the configurations, and which C libraries follow them."""
    if form == "json":
        from dnslab.present import documents

        echo_json(documents.variants(libc))
        return
    from dnslab.plan.variants import BUILT_IN, not_applicable

    for variant in BUILT_IN.values():
        reason = not_applicable(variant, libc) if libc else None
        honoured = f"not applicable: {reason}" if reason else f"({', '.join(sorted(variant.libcs))})"
        since = f", glibc {variant.since[0]}.{variant.since[1]} or later" if variant.options else ""
        echo(f"{variant.name:34} {variant.summary}{'' if reason else since} {honoured}")


@click.command()
@click.option("--backend", type=click.Choice(BACKEND_NAMES), default="lab", show_default=True, help="What to check.")
@click.option("--context", metavar="NAME", help="Context of the kubeconfig (default the current one).")
@click.option("--namespace", metavar="NAME", help="Namespace for the pods (default that of the context).")
@_FORM
def doctor(backend: str, context: str | None, namespace: str | None, form: str) -> None:
    """Check whether this machine or a cluster is ready.

    It also says how to fix what is missing. The exit status is 3 if something needed is missing.
    """
    from dnslab.measure import doctor as checks
    from dnslab.plan.model import Plan

    if backend == "kubernetes":
        _doctor_of_cluster(context, namespace, form == "json")
        return
    if context or namespace:
        raise UsageError(said.FOR_CLUSTERS(option="--context" if context else "--namespace"))
    found = checks.checks(Plan.of({"backend": backend}))
    ok = _print_json(backend, found) if form == "json" else _print_checks(found)
    if not ok:
        what = "run the lab" if backend == "lab" else "measure"
        raise NotAble(said.MISSING_HERE(what=what))


def _doctor_of_cluster(context: str | None, namespace: str | None, as_json: bool) -> None:
    from dnslab.measure import doctor as checks
    from dnslab.measure.kubernetes import rights as access
    from dnslab.measure.kubernetes.api.client import connect
    from dnslab.plan.model import Plan

    plan = Plan.of({"backend": "kubernetes", "cluster": {"context": context, "namespace": namespace}})
    client = connect(context, namespace) if as_json else connected(context, namespace)
    rights = access.check(client)
    found = checks.cluster_checks(plan, client, rights)
    missing = [finding for finding in rights if finding.rule.needed and not finding.ok]
    apply = access.missing_yaml(client, missing) if missing else None
    lacking = [finding for finding in rights if finding.rule.feature == access.DIAGNOSE and not finding.ok]
    for_diagnose = access.missing_yaml(client, lacking) if lacking else None
    if as_json:
        ok = _print_json("kubernetes", found, cluster=str(client), apply=apply, apply_for_diagnose=for_diagnose)
    else:
        ok = _print_checks(found)
        for sentence, text in ((said.APPLY_MISSING, apply), (said.APPLY_FOR_DIAGNOSE, for_diagnose)):
            if text:
                echo_text(f"{sentence}\n---\n{text}")
    if not ok:
        raise NotAble(said.MISSING_THERE(namespace=client.namespace))


def _print_checks(checks: Iterable[Any]) -> bool:
    """Print each; whether nothing needed is missing."""
    ok = True
    for line in checks:
        echo(f"{'ok     ' if line.ok else 'MISSING' if line.needed else 'no     '}  {line.what}: {line.detail}")
        ok = ok and (line.ok or not line.needed)
    return ok


def _print_json(backend: str, checks: Iterable[Any], **more: str | None) -> bool:
    """The same as JSON (docs/summary.md)."""
    found = [{"what": one.what, "ok": one.ok, "needed": one.needed, "detail": one.detail} for one in checks]
    ok = all(one["ok"] or not one["needed"] for one in found)
    echo_json({"version": 1, "backend": backend, "ok": ok, **more, "checks": found})
    return ok


@click.group()
def lab() -> None:
    """Use the lab of network namespaces by hand."""


@lab.command()
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[:KEY=NUMBER,...]",
    help="Fault to inject, default none. Repeatable; `dnslab lab faults` lists them.",
)
@click.option("--variant", default="baseline", show_default=True, metavar="NAME", help="Configuration of the client.")
@click.option("--target", default="glibc", show_default=True, metavar="NAME", help="C library of the client.")
@click.argument("command", nargs=-1)
def shell(faults: Sequence[str], variant: str, target: str, command: Sequence[str]) -> None:
    """Start a shell, or COMMAND, in a client of a new lab."""
    from dnslab.measure.lab.backend import shell as open_shell
    from dnslab.plan.faultplan import FaultPlan
    from dnslab.plan.variants import find

    raise SystemExit(open_shell(FaultPlan.parse(*(faults or ["none"])), find(variant), target, command))


@lab.command()
def faults() -> None:
    """List the faults that the lab can inject (more: docs/faults.md)."""
    from dnslab.measure.lab.faults import describe_all

    for line in describe_all():
        echo(line)
