"""Compares runs: what changed from the first run to later ones, and what else differs between them.

Rounds of two runs are not pairs, because each run has its own hour and its own order. So intervals are unpaired, and
other known differences are listed beside them, or forbid the comparison.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dnslab.analyse import intervals
from dnslab.analyse.dataset import Run
from dnslab.analyse.effects import SHARES, column, judge
from dnslab.analyse.intervals import Interval
from dnslab.analyse.quantiles import LEVELS
from dnslab.analyse.summary import Row, Summary
from dnslab.explain.comparison import ComparedRow, Comparison, labels
from dnslab.explain.matching import MatchedBy, match_targets
from dnslab.explain.soundness import examine
from dnslab.explain.validity import voids
from dnslab.explain.veto import parts_left_out
from dnslab.sentences import comparison as sentences
from dnslab.text import first_of

#: values of a list that are shown
MOST = 5


def compare(before: Run, *after: Run) -> Comparison:
    """Compare each run in ``after`` with ``before``.

    Differences are later minus earlier: of the rounds' shares (Welch's, never narrower than Newcombe's), and of the
    rounds' quantiles, censored at the common deadline (Welch's). Verdicts are Holm's over all of a measure and load.
    """
    base = _Side.of("before", before)
    void = base.warnings
    rows: list[ComparedRow] = []
    differences: list[str] = []
    unmatched: list[str] = []
    for label, run in zip(labels(len(after) + 1)[1:], after, strict=True):
        side = _Side.of(label, run)
        void += side.warnings
        targets, lonely = match_targets(base.targets, side.targets)
        compared, missing = _pairs(base, side, targets)
        rows += compared
        unmatched += [*_lonely(base, side, lonely), *missing]
        differences += _differences(base, side, compared)
    given = judge([row.effects for row in rows], [row.load for row in rows])
    rows = [replace(row, verdicts=verdicts) for row, verdicts in zip(rows, given, strict=True)]
    return Comparison(
        (before.path.name, *(run.path.name for run in after)),
        base.summary.load_labels,
        tuple(rows),
        tuple(differences),
        tuple(unmatched),
        tuple(void),
    )


@dataclass(frozen=True)
class _Side:
    label: str
    run: Run
    summary: Summary
    void: str | None
    left_out: str

    @classmethod
    def of(cls, label: str, run: Run) -> _Side:
        sound = examine(run)
        void = next(iter(voids(sound.vetoes)), None)
        return cls(label, sound.run, sound.summary, void.reason if void else None, parts_left_out(sound.vetoes))

    @property
    def warnings(self) -> list[str]:
        """A sentence that says that the run is void and why, or what of it is left out."""
        if self.void:
            return [sentences.VOID(label=self.label, why=self.void)]
        return [sentences.LEFT_OUT(label=self.label, parts=self.left_out)] if self.left_out else []

    @property
    def targets(self) -> list[MatchedBy]:
        """Each target with a row."""
        libcs = {row.target: row.libc for row in self.summary.rows}
        workloads = {target.name: target.workload for target in self.run.targets}
        nodes = {place.target: place.node for place in self.run.environment.backend.places or ()}
        return [MatchedBy(name, libc, workloads.get(name, ""), nodes.get(name)) for name, libc in libcs.items()]


def _lonely(before: _Side, after: _Side, lonely: tuple[Sequence[str], Sequence[str]]) -> list[str]:
    pairs = zip((before, after), lonely, strict=True)
    return [
        sentences.TARGET_ALONE(target=target.name, libc=target.libc, label=side.label)
        for side, names in pairs
        for target in side.targets
        if target.name in names
    ]


def _pairs(before: _Side, after: _Side, targets: Mapping[str, str]) -> tuple[list[ComparedRow], list[str]]:
    """Pairs of rows that both runs measured, and a line for each row that only one measured."""
    measured = [(side, row) for side in (before, after) for row in side.summary.measured()]
    row_of = {(side is before, row.variant, row.target, row.load): row for side, row in measured}
    earlier = {later: name for name, later in targets.items()}
    rows: list[ComparedRow] = []
    missing: list[str] = []
    done = set()
    for side, row in measured:
        target = row.target if side is before else earlier.get(row.target)
        key = (row.variant, target, row.load)
        if target is None or target not in targets or key in done:
            continue
        done.add(key)
        earlier_row = row_of.get((True, row.variant, target, row.load))
        later_row = row_of.get((False, row.variant, targets[target], row.load))
        if earlier_row is None or later_row is None:
            load = side.summary.load_labels[row.load]
            missing.append(sentences.ROW_ALONE(variant=row.variant, target=target, load=load, label=side.label))
        else:
            rows.append(_compared(before, after, earlier_row, later_row))
    return rows, missing


def _compared(before: _Side, after: _Side, before_row: Row, after_row: Row) -> ComparedRow:
    refused = next(_refusals(before, after, before_row, after_row), None)
    return ComparedRow(
        after.label,
        after_row.target,
        refused,
        before_row,
        after_row,
        {} if refused else _effects(before_row, after_row),
    )


def _refusals(before: _Side, after: _Side, earlier: Row, later: Row) -> Iterator[str]:
    """Reasons why the two rows cannot be compared."""
    for side in (before, after):
        if side.void:
            yield sentences.REFUSED_VOID(label=side.label, why=side.void)
    if earlier.load in before.summary.closed_loops | after.summary.closed_loops:
        yield str(sentences.CLOSED_LOOP)
    first, second = (_asked(side.run, earlier.variant, earlier.load) for side in (before, after))
    libc = str(sentences.C_LIBRARY)
    ours, theirs = {**first, libc: earlier.libc}, {**second, libc: later.libc}
    for what, value in ours.items():
        if value != theirs[what]:
            yield sentences.DIFFERS(what=what, values=_both(value, theirs[what], before, after))


def _asked(run: Run, variant: str, load: int) -> dict[str, object]:
    """What must be equal in both runs: load, names and the meaning of the variant.

    ``workers`` may differ, because in an open loop they only limit how many lookups are in flight.
    """
    custom = run.plan.custom_variants.get(variant)
    asked = run.plan.loads[load].model_dump(exclude={"duration_s", "warmup_s", "workers"})
    return {
        **{sentences.OF_THE_LOAD(setting=name): value for name, value in asked.items()},
        str(sentences.NAMES): list(run.plan.names),
        sentences.MEANING(variant=variant): custom.model_dump(exclude={"summary"}) if custom else "built in",
    }


def _effects(before: Row, after: Row) -> dict[str, Interval]:
    effects = {}
    for name in SHARES:
        columns = [column(row.by_round, key) for row in (after, before) for key in (name, "n")]
        effects[f"{name}_share"] = intervals.unpaired_difference(*columns)
    deadline_ms = min(before.deadline_ms, after.deadline_ms)
    for name in LEVELS:
        values = [[min(ms, deadline_ms) for ms in column(row.by_round, name)] for row in (after, before)]
        effects[name] = intervals.unpaired(*values)
    return effects


def _differences(before: _Side, after: _Side, rows: Sequence[ComparedRow]) -> Iterator[str]:
    """Lines on what else differs, with both values."""
    first, second = conditions(before.run), conditions(after.run)
    for what in first:
        if first[what] != second[what]:
            yield sentences.CONDITION(what=what, values=_both(first[what], second[what], before, after))
    versions = [{target.name: target.libc_version for target in side.run.targets} for side in (before, after)]
    for target, later in dict.fromkeys((row.target, row.target_after) for row in rows):
        if target != later:
            names = _both(target, later, before, after)
            yield sentences.CONDITION(what=str(sentences.MATCHED), values=names)
        ours, theirs = versions[0][target], versions[1][later]
        if ours != theirs:
            what = sentences.LIBC_VERSION(target=target)
            yield sentences.CONDITION(what=what, values=_both(ours, theirs, before, after))
    for row in rows:
        if row.before.stall_ms != row.after.stall_ms and not row.refused:
            limits = _both(f"{row.before.stall_ms:,.0f} ms", f"{row.after.stall_ms:,.0f} ms", before, after)
            yield sentences.STALL_LIMITS(variant=row.variant, target=row.target, values=limits)


def conditions(run: Run) -> dict[str, object]:
    """The conditions of a run, besides variants, load and names. Every run has the same keys; None means not known."""
    plan, environment = run.plan, run.environment
    backend = environment.backend
    cluster, dns = backend.surroundings, backend.surroundings.dns
    return {
        "dnslab": environment.dnslab,
        "kernel": environment.kernel,
        "machine": environment.machine,
        "CPUs": environment.n_cpus,
        "CPU model": environment.cpu,
        "backend": backend.name or None,
        "images": run.images or None,
        "context": backend.context,
        "API server": backend.server,
        "nameserver": backend.nameserver,
        "unbound": backend.unbound,
        "fault": environment.fault,
        "cluster version": cluster.server_version,
        "nodes' kernels": _each(cluster.nodes, "kernel"),
        "CoreDNS version": _each(dns.pods, "version"),
        "CoreDNS image": _each(dns.pods, "image"),
        "CoreDNS limits": _each(dns.pods, "limits"),
        "CoreDNS replicas": _each(dns.deployments, "replicas"),
        "Corefile": dns.corefile,
        "kube-proxy mode": cluster.kube_proxy_mode,
        str(sentences.OWNS_CLUSTER_IP): backend.node_cache.owns_cluster_ip,
        "rounds": plan.rounds,
        "duration, s": [load.duration_s for load in plan.loads],
        "workers": [load.workers for load in plan.loads],
        "schedule": plan.order,
        "deadline, s": plan.deadline_s or "the resolver's",
        "limit, ms": plan.limit_ms,
    }


def _each(items: Sequence[object] | None, name: str) -> list[str] | None:
    """Each value once."""
    return None if items is None else sorted({_text(getattr(item, name)) for item in items})


def _both(ours: object, theirs: object, before: _Side, after: _Side) -> str:
    first, second = _text(ours), _text(theirs)
    values = sentences.VALUES(one=first, label=before.label, other=second, later=after.label)
    return sentences.HIDDEN_DIFFERENCE(values=values) if first == second else values


def _text(value: object) -> str:
    if value is None:
        return str(sentences.UNKNOWN)
    if isinstance(value, list) and all(isinstance(each, (str, int, float)) for each in value):
        return first_of([str(each) for each in value], MOST)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
