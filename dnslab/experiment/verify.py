"""Did the patch help? Measures a patched workload beside the configuration that it had in an earlier run."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import Row
from dnslab.errors import RunInvalid, UsageError
from dnslab.experiment.compare import run as measure
from dnslab.explain.findings import findings_of
from dnslab.explain.ranking import late_from_ms
from dnslab.explain.soundness import Examined, examine
from dnslab.explain.validity import voids
from dnslab.explain.verification import Suffered
from dnslab.measure import runner
from dnslab.plan.model import CustomVariant, Earlier, Plan, Trouble
from dnslab.plan.remedies import Workload
from dnslab.plan.resolvconf import parse, render
from dnslab.plan.variants import BEFORE
from dnslab.store.folder import results_folder, resume_call

#: what the verdict on a run calls what is verified after it
_TROUBLES: Mapping[str, Trouble] = {
    "stalls": "stalls",
    "failing": "failed",
    "slow": "slow",
    "partial": "partial",
    "delayed": "over_limit",
}
#: how many lookups with the trouble are to be expected of the old configuration. Of 30 that come one by one, none of as
#: many lookups is below a tenth (``intervals.ratio_bounds``). With 100, six rounds that differ by chance end at "gone"
#: 99 times of 100, in simulation.
ENOUGH = 100
#: by run and workload, the verifying runs that this process made
_made: dict[tuple[str, str, str], Path] = {}
#: fewer rounds than this would hardly ever end at "gone"
LEAST_ROUNDS = 6
#: trials are made no longer than this by themselves, s
LONGEST_TRIAL_S = 60.0


def plan_of(before: Run, workload: Mapping[str, str] | None = None) -> Plan:
    """The plan that verifies a patch after the run ``before``: the workload as it stands beside its old configuration.

    Load, names, nodes and rounds are those of ``before``; there are more rounds, and longer trials, where those were so
    few that the answer would be "not enough data".

    Parameters
    ----------
    workload
        Which workload was patched, where ``before`` does not say it: ``{"like": "deploy/NAME"}`` or
        ``{"existing": ...}``, as ``ClusterPlan`` has them.

    Raises
    ------
    UsageError
        ``before`` measured no workload, or closed loops, or its baseline was fine, or had more than one configuration.
    RunInvalid
        Nothing can be concluded from ``before``.
    """
    plan = before.plan
    if not plan.in_cluster:
        raise UsageError(
            f"{before.path.name} was not measured in a cluster, so there is no workload to verify: name a run of "
            "`dnslab run --backend kubernetes --like deploy/NAME`"
        )
    cluster = plan.cluster.model_copy(update=dict(workload or {}))
    if workload:
        other = {"like": "existing", "existing": "like"}[next(iter(workload))]
        cluster = cluster.model_copy(update={other: None, "images": (), "container": None})
    if not (cluster.like or cluster.existing):
        raise UsageError(
            f"{before.path.name} measured pods like no workload: name the patched one with --like deploy/NAME"
        )
    load = plan.loads[0]
    if load.loop == "closed":
        raise UsageError(f"{before.path.name} is of a closed loop, which cannot be compared: measure with --rate first")
    sound = examine(before)
    rows, old = _baseline(sound)
    suffered = suffered_in(sound, rows)
    earlier = suffered.earlier
    rounds = max(plan.rounds, LEAST_ROUNDS)
    wanted_s = ENOUGH * earlier.n / earlier.count / ((load.rate_per_s or 1.0) * rounds * len(rows))
    longer_s = min(LONGEST_TRIAL_S, float(math.ceil(wanted_s)))
    data: dict[str, Any] = plan.model_dump()
    data |= {
        "name": "verify",
        "cluster": cluster.model_dump(),
        "targets": (),
        "rounds": rounds,
        "variants": ("baseline", BEFORE),
        "custom_variants": {BEFORE: CustomVariant(resolv_conf=old, summary=f"as in {before.path.name}").model_dump()},
        "loads": (load.model_copy(update={"duration_s": max(load.duration_s, longer_s)}).model_dump(),),
        "limit_ms": suffered.limit_ms,
        "verifies": earlier.model_dump(),
    }
    return Plan.of(data)


def command(before: Run) -> str:
    """The command that verifies a patch after the run ``before``; ``""`` if nothing can be verified after it."""
    cluster = before.plan.cluster
    named = cluster.like or cluster.existing
    try:
        plan_of(before, None if named else {"like": "deploy/name"})
    except (UsageError, RunInvalid):
        return ""
    words = shlex.join(["dnslab", "verify", str(before.path)])
    return words if named else f"{words} --like {Workload.reference}"


def suffered_in(sound: Examined, rows: Sequence[Row]) -> Suffered:
    """What lookups suffered by the verdict on a run, and how many did of those that ``rows`` are of: baseline's.

    Raises
    ------
    UsageError
        The verdict is that nothing was wrong.
    """
    name, limit_ms = sound.run.path.name, sound.run.plan.limit_ms
    trouble = _TROUBLES.get(findings_of(sound).verdict.state)
    if trouble is None:
        raise UsageError(f"nothing was wrong with baseline in {name}: there is nothing to verify")
    if trouble == "over_limit":
        limit_ms = late_from_ms(max(rows, key=lambda row: row.p50_ms))
        count = sum(
            int((lookups.service_ms >= limit_ms).sum())
            for lookups in sound.run.decoded()
            if (lookups.client.start.variant, lookups.client.start.load) == ("baseline", 0)
        )
    else:
        count = sum(int(getattr(row, trouble)) for row in rows)
    return Suffered(Earlier(run=name, trouble=trouble, count=count, n=sum(row.n for row in rows)), limit_ms)


def _baseline(sound: Examined) -> tuple[list[Row], str]:
    """Baseline's rows, and the text of the resolv.conf that all of them had."""
    before = sound.run
    for void in voids(sound.vetoes):
        raise RunInvalid(f"{before.path.name} is void, so there is nothing to verify against. {void.reason}")
    rows = [row for row in sound.summary.measured(load=0) if row.variant == "baseline" and row.n]
    had = {parse(client.start.resolv_conf) for client in sound.run.clients() if client.start.variant == "baseline"}
    if len(had) > 1:
        raise UsageError(
            f"targets of {before.path.name} had different resolv.conf files: verify one workload at a time"
        )
    if not rows or not had:
        raise UsageError(f"{before.path.name} has no baseline: there is nothing to verify against")
    return rows, render(next(iter(had)))


def verify(
    run: Path | str = "latest",
    like: str | None = None,
    existing: str | None = None,
    out: Path | str | None = None,
    results: Path | str | None = None,
    *,
    before_load: Callable[[Plan], object] = lambda plan: None,
    how_to_resume: Callable[[Path], str] = resume_call,
) -> Run:
    """Measure the workload of ``run`` as it stands now, beside the configuration that it had then.

    Parameters
    ----------
    run
        The run that found the trouble: a folder, a bundle, or ``"latest"``.
    like, existing
        The patched workload, where ``run`` does not name it.
    out, results, how_to_resume
        As for ``runner.run``.
    before_load
        Called with the plan once it is checked, before anything is made.

    Returns
    -------
    Run
        The new run, whose page says whether the trouble is gone (``explain.verification``).

    Raises
    ------
    UsageError, RunInvalid
        As ``plan_of`` does, and as ``runner.run`` does.
    """
    named = {"like": like} if like else {"existing": existing} if existing else None
    plan = plan_of(open_run(run, results), named)
    runner.check(plan, out, results)
    before_load(plan)
    return measure(plan, out, results, how_to_resume=how_to_resume)


def obtain_verification(run: str = "latest", like: str = "", existing: str = "") -> Run:
    """Open the verifying run that a notebook shows, or measure it.

    Parameters are those of ``verify``, ``""`` for none. A verifying run is opened, and of any other the workload is
    verified, once a kernel.
    """
    opened = open_run(run, results_folder().absolute())
    if opened.plan.verifies:
        return opened
    key = (str(opened.path), like, existing)
    if key not in _made:
        results = results_folder().absolute()
        _made[key] = verify(opened.path, like or None, existing or None, results=results).path
    return open_run(_made[key])
