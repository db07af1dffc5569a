"""What can be measured, and where: ``variants``, ``doctor``, ``lab``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from dnslab.cli.cluster import connected
from dnslab.errors import NotAble, UsageError
from dnslab.text import echo, echo_text


@click.command()
@click.option("--libc", type=click.Choice(["glibc", "musl"]), help="Say what applies to this libc only.")
def variants(libc: str | None) -> None:
    """The configurations known, and what honours them."""
    from dnslab.plan.variants import BUILT_IN, not_applicable

    for variant in BUILT_IN.values():
        reason = not_applicable(variant, libc) if libc else None  # type: ignore[arg-type]
        honoured = f"not applicable: {reason}" if reason else f"({', '.join(sorted(variant.libcs))})"
        since = f", glibc {variant.since[0]}.{variant.since[1]} or later" if variant.options else ""
        echo(f"{variant.name:34} {variant.summary}{'' if reason else since} {honoured}")


@click.command()
@click.option("--backend", type=click.Choice(["lab", "kubernetes"]), default="lab", show_default=True)
@click.option("--context", metavar="NAME", help="Of the kubeconfig; default its current one (backend kubernetes).")
@click.option("--namespace", metavar="NAME", help="Where pods will be; default the context's (backend kubernetes).")
def doctor(backend: str, context: str | None, namespace: str | None) -> None:
    """Say what this machine, or a cluster, can do, and what is missing, with what mends it."""
    from dnslab.measure import doctor as checks

    if backend == "kubernetes":
        _doctor_of_cluster(context, namespace)
        return
    if context or namespace:
        raise UsageError(f"--{'context' if context else 'namespace'} is for --backend kubernetes")
    if not _print_checks(checks.checks()):
        raise NotAble("this machine is not able to run the lab: see MISSING above")


def _doctor_of_cluster(context: str | None, namespace: str | None) -> None:
    from dnslab.measure import doctor as checks
    from dnslab.measure.kubernetes import rights as access

    client = connected(context, namespace)
    rights = access.check(client, optional=True)
    ok = _print_checks(checks.cluster_checks(client, rights))
    missing = [one for one in rights if one.rule.needed and not one.ok]
    if missing:
        echo_text("# What is missing; whoever may applies it with `kubectl apply -f`.\n---")
        echo_text(access.missing_yaml(client, missing))
    if not ok:
        raise NotAble(f"not able to measure in namespace {client.namespace}: see MISSING above")


def _print_checks(checks: Iterable[Any]) -> bool:
    """Print each; whether nothing needed is missing."""
    ok = True
    for line in checks:
        echo(f"{'ok     ' if line.ok else 'MISSING' if line.needed else 'no     '}  {line.what}: {line.detail}")
        ok = ok and (line.ok or not line.needed)
    return ok


@click.group()
def lab() -> None:
    """The lab of network namespaces by hand."""


@lab.command()
@click.option("--fault", default="none", show_default=True, metavar="NAME[:KEY=NUMBER,...]")
@click.option("--variant", default="baseline", show_default=True)
@click.option("--target", default="glibc", show_default=True)
@click.argument("command", nargs=-1)
def shell(fault: str, variant: str, target: str, command: Sequence[str]) -> None:
    """A shell (or COMMAND) in a fresh client namespace of a fresh lab."""
    from dnslab.measure.lab.backend import shell as open_shell
    from dnslab.plan.model import FaultPlan
    from dnslab.plan.variants import find

    raise SystemExit(open_shell(FaultPlan.parse(fault), find(variant), target, command))


@lab.command()
def faults() -> None:
    """The faults the lab can inject, with their parameters."""
    from dnslab.measure.lab.faults import describe_all

    for line in describe_all():
        echo(line)
