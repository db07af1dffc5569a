"""What ``run --dry-run`` prints: the plan, and as comments below it what a run of it would do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dnslab.sentences import terminal as said
from dnslab.text import counted, echo, echo_text


def announced(plan: Any) -> Sequence[str]:
    """What is done in pods of others; nothing where there are none."""
    if not plan.cluster.existing:
        return []
    from dnslab.measure.kubernetes import existing

    return existing.announced(plan)


def lowered_rates(plan: Any, fitted: Any, n_targets: int) -> list[str]:
    """A line for each rate that nobody gave and that the run will lower."""
    if not plan.in_cluster or plan.cluster.existing:
        return []
    return [
        said.RATE_FITTED(
            rate=f"{load.rate_per_s:g}",
            variants=counted(len(plan.variants), "variant"),
            targets=counted(n_targets, "target"),
            limit=f"{plan.limits.max_rate_per_s:,.0f}",
        )
        for usual, load in zip(plan.loads, fitted.loads, strict=True)
        if usual.rate_per_s != load.rate_per_s
    ]


def print_dry_run(plan: Any, out: Path | None) -> None:
    """Print the plan, its trials and its load."""
    from dnslab.measure import preflight
    from dnslab.measure.backends import known_targets, usual_options
    from dnslab.plan.limits import fitted
    from dnslab.plan.schedule import forecast, longest_deadline_s

    if plan.in_cluster:
        from dnslab.measure.kubernetes.dry_run import planned

        in_cluster: Any = planned(plan)
        echo(f"# {said.CLUSTER(name=str(in_cluster.client))}")
        targets = in_cluster.targets()
    else:
        in_cluster, targets = None, known_targets(plan)
    usual, plan = plan, fitted(plan, targets)
    preflight.check_targets(plan, targets)
    preflight.allow_open_files(plan, targets)
    expected = forecast(plan, targets)
    echo_text(f"{said.DRY_PLAN}\n{plan.to_yaml()}")
    echo()
    echo("# trial  round  variant                            targets")
    for trial in expected.trials:
        echo(f"# {trial.number:5}  {trial.round:5}  {trial.variant:33}  {', '.join(trial.targets)}")
    for (variant, target), reason in expected.not_applicable.items():
        echo(said.DRY_NOT_APPLICABLE(variant=variant, target=target, reason=reason))
    peak, workers = expected.peak_lookups_per_s, expected.peak_workers
    rate = said.DRY_PACED(rate=f"{peak:g}") if peak else said.DRY_CLOSED(workers=counted(workers, "worker"))
    echo(said.DRY_LOAD(groups=counted(expected.n_groups, "group"), seconds=f"{expected.load_s:.0f}", rate=rate))
    deadline_s = longest_deadline_s(plan, usual_options(plan))
    echo(said.DRY_WAITS(total=f"{expected.n_groups * deadline_s:.0f}", each=f"{deadline_s:.0f}"))
    made_in = "cluster" if in_cluster else plan.backend
    echo(said.DRY_MAKES(path=str(out or f"results/<UTC time>-{plan.name}"), backend=made_in))
    for line in (*lowered_rates(usual, plan, len(targets)), *announced(plan)):
        echo(f"# {line}")
    if in_cluster:
        _print_in_cluster(plan, in_cluster, expected.trials)


def _print_in_cluster(plan: Any, in_cluster: Any, trials: Sequence[Any]) -> None:
    """Objects and commands, as comments: what is printed stays a plan."""
    from dnslab.measure import health
    from dnslab.measure.kubernetes.dry_run import as_yaml
    from dnslab.plan.schedule import count_clients

    echo(said.DRY_LIBC)
    objects = in_cluster.objects(health.control_trial(plan, in_cluster.targets()))
    n_later = count_clients(trial for trial in trials if trial.round > 1) if objects else 0
    echo(said.DRY_OBJECTS(first=str(len(objects)), all=str(len(objects) + n_later)))
    for manifest in objects:
        echo_text("# ---\n" + "".join(f"# {line}\n" for line in as_yaml(manifest).splitlines()))
    echo(said.DRY_COMMANDS)
    for line in in_cluster.commands():
        echo(f"#   {line}")
