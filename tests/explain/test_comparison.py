"""comparison: figures worked out by scipy, what is refused, what is said beside, which target is which."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from dnslab.analyse.dataset import open_run
from dnslab.analyse.intervals import newcombe
from dnslab.explain.compare import compare
from dnslab.explain.comparison import Comparison
from dnslab.explain.matching import MatchedBy, match_targets
from dnslab.plan.cluster import DEFAULT_IMAGE
from dnslab.plan.model import Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.present.report import measured_on
from tests.runs import GLIBC, MUSL, rows, write_run

N = 100
PLAN = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),))


def with_stalls(n_stalls: int, fast_ms: float = 0.5) -> Any:
    return rows([fast_ms] * (N - n_stalls) + [5004.0] * n_stalls)


def made(
    path: Path,
    stalls: Mapping[str, Sequence[int]],
    plan: Plan = PLAN,
    targets: Sequence[TargetInfo] = (GLIBC,),
    *,
    fast_ms: Sequence[float] = (0.5, 0.5, 0.5),
    environment: Mapping[str, Any] = {},
) -> Path:
    """A run in which each variant stalled that often in each round, on every target."""
    lookups = {
        (variant, target.name, number): with_stalls(count, fast)
        for variant, counts in stalls.items()
        for number, (count, fast) in enumerate(zip(counts, fast_ms, strict=False), 1)
        for target in targets
    }
    changes = {"libc": targets[0].libc} if len({target.libc for target in targets}) == 1 else {}
    write_run(path, plan, lookups, known=targets, start_changes=changes)
    file = path / "environment.json"
    told = json.loads(file.read_text())
    file.write_text(
        json.dumps({**told, **environment, "backend": {**told["backend"], **environment.get("backend", {})}})
    )
    return path


def compared(*paths: Path) -> Comparison:
    first, *later = [open_run(path) for path in paths]
    return compare(first, *later)


BEFORE = {"baseline": (20, 25, 30), "use-vc": (0, 0, 0)}


def test_images_are_told_and_compared_by_digest(tmp_path: Path) -> None:
    """A tag, as that of the default image, is moved to another image without a word."""
    plan = Plan(variants=("baseline",), rounds=1, loads=(Load(duration_s=1),))
    runs = []
    for digest in ("sha256:abc", "sha256:def"):
        extra = {"extra": {"image": f"docker.io/library/debian@{digest}"}}
        path = write_run(
            tmp_path / digest[-3:], plan, {("baseline", "glibc", 1): rows([1.0] * 10)}, start_changes=extra
        )
        environment = json.loads((path / "environment.json").read_text())
        environment["backend"]["places"] = [{"target": "glibc", "image": DEFAULT_IMAGE}]
        (path / "environment.json").write_text(json.dumps(environment))
        runs.append(open_run(path))
    assert runs[0].images == ["debian:stable-slim (docker.io/library/debian@sha256:abc)"]
    assert "debian:stable-slim (docker.io/library/debian@sha256:abc)" in measured_on(runs[0])
    told = [line for line in compare(*runs).differences if line.startswith("images: ")]
    assert len(told) == 1
    assert "sha256:abc) before" in told[0]
    assert "sha256:def) after" in told[0]


def test_changes_are_welchs_of_unpaired_rounds(tmp_path: Path) -> None:
    before = made(tmp_path / "a", BEFORE, fast_ms=(0.5, 0.6, 0.9))
    after = made(tmp_path / "b", {"baseline": (2, 1, 0), "use-vc": (0, 0, 0)}, fast_ms=(1.5, 1.7, 1.6))
    found = compared(before, after)
    row = found.rows[0]
    assert (row.run, row.variant, row.target, row.refused) == ("after", "baseline", "glibc", None)

    share = row.effects["stalls_share"]
    welch = scipy.stats.ttest_ind([0.02, 0.01, 0.0], [0.2, 0.25, 0.3], equal_var=False)
    bounds = welch.confidence_interval()
    low, high = newcombe(3, 300, 75, 300)
    expected = (-0.24, min(bounds.low, low), max(bounds.high, high))
    assert (share.estimate, share.low, share.high) == pytest.approx(expected)
    assert row.verdicts["stalls_share"].word == "lower"
    assert row.effects["slow_share"] == share

    p50 = row.effects["p50_ms"]
    welch = scipy.stats.ttest_ind([1.5, 1.7, 1.6], [0.5, 0.6, 0.9], equal_var=False)
    bounds = welch.confidence_interval()
    expected_p50 = (0.9333333, bounds.low, bounds.high, welch.pvalue)
    assert (p50.estimate, p50.low, p50.high, p50.p) == pytest.approx(expected_p50)
    # Holm: both variants became slower alike, so each p value counts twice
    assert row.verdicts["p50_ms"].p == pytest.approx(2 * p50.p)


def test_quantiles_are_censored_at_the_shorter_deadline(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    failed = {("baseline", "glibc", n): rows([20_000.0] * 100, outcome=np.int16(-3)) for n in (1, 2, 3)}
    before = write_run(tmp_path / "a", plan, failed, start_changes={"deadline_s": 10.0}, known=[GLIBC])
    after = write_run(tmp_path / "b", plan, failed, start_changes={"deadline_s": 16.0}, known=[GLIBC])
    effect = compared(before, after).rows[0].effects["p99_ms"]
    assert (effect.estimate, effect.p) == (0.0, 1.0)


def test_verdicts_of_several_runs_are_one_family(tmp_path: Path) -> None:
    paths = [made(tmp_path / name, BEFORE, fast_ms=fast) for name, fast in (("a", (1, 2, 3)), ("b", (2, 3, 5)))]
    alone = compared(*paths)
    together = compared(*paths, paths[1])
    assert [row.run for row in together.rows] == ["after", "after", "after 2", "after 2"]
    p = alone.rows[0].effects["p50_ms"].p
    assert alone.rows[0].verdicts["p50_ms"].p == pytest.approx(min(1.0, 2 * p))
    assert together.rows[0].verdicts["p50_ms"].p == pytest.approx(min(1.0, 4 * p))
    assert "run" in together.changes.frame
    assert "run" not in alone.changes.frame


def test_too_few_rounds_give_figures_without_verdict(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"rounds": 2})
    row = compared(made(tmp_path / "a", BEFORE, plan), made(tmp_path / "b", BEFORE)).rows[0]
    assert row.effects["stalls_share"].estimate == pytest.approx(0.025)
    assert row.verdicts["stalls_share"].word == "too few rounds"


def load(**changes: Any) -> Plan:
    return PLAN.model_copy(update={"loads": (Load(**{"duration_s": 1, **changes}),)})


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (load(rate_per_s=50), "The rate_per_s of the load differs: 200.0 before, 50.0 after."),
        (load(loop="fixed"), "The loop of the load differs: poisson before, fixed after."),
        (load(loop="closed"), "A closed loop shows only throughput and the slowest lookup."),
        (
            PLAN.model_copy(update={"names": ("kubernetes.default", "a.test.")}),
            "The list of names differs: kubernetes.default before, kubernetes.default, a.test. after",
        ),
        (PLAN.model_copy(update={"rounds": 4}), 'Run "after" is void. Trials missing: Trial 7'),
    ],
)
def test_what_is_not_comparable_is_refused(tmp_path: Path, plan: Plan, says: str) -> None:
    found = compared(made(tmp_path / "a", BEFORE), made(tmp_path / "b", BEFORE, plan))
    assert [row.effects for row in found.rows] == [{}, {}]
    [line] = found.refused
    assert line.startswith(says)
    assert line.endswith(" This concerns baseline on glibc and use-vc on glibc.")
    assert "Nothing was compared." in found.to_text()


def test_names_that_differ_beyond_what_is_shown_are_refused_too(tmp_path: Path) -> None:
    names = [f"{letter}.test." for letter in "abcdef"]
    plans = [PLAN.model_copy(update={"names": (*names, last)}) for last in ("x.test.", "y.test.")]
    [line] = compared(*(made(tmp_path / str(number), BEFORE, plan) for number, plan in enumerate(plans))).refused
    shown = "a.test., b.test., c.test., d.test., e.test. and 2 more"
    assert f"{shown} before, {shown} after (the difference is in the part not shown)" in line


def test_a_variant_of_ones_own_has_to_mean_the_same(tmp_path: Path) -> None:
    plans = [
        Plan.model_validate(
            {
                **PLAN.model_dump(),
                "variants": ("baseline", "mine"),
                "custom_variants": {"mine": {"options": (option,)}},
            }
        )
        for option in ("ndots:2", "ndots:1")
    ]
    stalls = {"baseline": (1, 1, 1), "mine": (1, 1, 1)}
    found = compared(*(made(tmp_path / str(number), stalls, plan) for number, plan in enumerate(plans)))
    assert [bool(row.refused) for row in found.rows] == [False, True]
    assert "ndots:2" in found.refused[0]
    assert "ndots:1" in found.refused[0]


def test_what_differs_besides_is_said_with_both_values(tmp_path: Path) -> None:
    def cluster(version: str, replicas: int) -> dict[str, Any]:
        dns = {"pods": [{"version": version, "limits": {}}] * 2, "deployments": [{"replicas": replicas}]}
        return {"surroundings": {"kube_proxy_mode": "ipvs", "dns": dns}}

    before = made(tmp_path / "a", BEFORE, environment={"backend": cluster("1.11.1", 2)})
    newer = TargetInfo("glibc", "glibc", "2.41")
    environment = {"kernel": "Linux 6.8.0", "backend": cluster("1.14.7", 3)}
    after = made(tmp_path / "b", BEFORE, load(duration_s=2), [newer], environment=environment)
    found = compared(before, after)
    assert found.differences == (
        "kernel: Linux 6.1.0 before, Linux 6.8.0 after",
        "CoreDNS version: 1.11.1 before, 1.14.7 after",
        "CoreDNS replicas: 2 before, 3 after",
        "duration, s: 1.0 before, 2.0 after",
        "C library version of glibc: 2.36 before, 2.41 after",
    )
    assert all(row.effects for row in found.rows)
    assert not compared(before, before).differences


def test_another_length_of_a_stall_is_said(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", number): with_stalls(1) for number in (1, 2, 3)}
    before = write_run(tmp_path / "a", plan, lookups, known=[GLIBC])
    after = write_run(tmp_path / "b", plan, lookups, known=[GLIBC], start_changes={"stall_ms": 900.0})
    (line,) = compared(before, after).differences
    assert line.startswith("The limit of a stall differs for baseline on glibc: 4,500 ms before, 900 ms after.")


@pytest.mark.parametrize(
    ("before", "after", "matched", "alone"),
    [
        ({"a": "glibc", "b": "musl"}, {"b": "glibc", "a": "musl"}, {"a": "b", "b": "a"}, ([], [])),
        ({"n1": "glibc", "n2": "glibc"}, {"n2": "glibc", "n3": "glibc"}, {"n2": "n2"}, (["n1"], ["n3"])),
        ({"n1": "glibc"}, {"n1": "musl"}, {"n1": "n1"}, ([], [])),
        ({"n1": "glibc"}, {"n1": "glibc", "n2": "glibc"}, {"n1": "n1"}, ([], ["n2"])),
        ({"n1": "glibc"}, {"n9": "musl"}, {}, (["n1"], ["n9"])),
    ],
)
def test_targets_are_matched_by_a_libc_of_their_own_else_by_name(
    before: dict[str, str], after: dict[str, str], matched: dict[str, str], alone: tuple[list[str], list[str]]
) -> None:
    sides = [[MatchedBy(name, libc) for name, libc in side.items()] for side in (before, after)]
    assert match_targets(*sides) == (matched, alone)


def test_pods_of_a_workload_are_matched_after_a_rollout_those_on_one_node_first() -> None:
    before = [MatchedBy(f"web-1-{i}", "glibc", "deploy/web", f"node-{i}") for i in (1, 2, 3)]
    after = [MatchedBy(f"web-2-{i}", "glibc", "deploy/web", f"node-{4 - i}") for i in (1, 2)]
    others = [MatchedBy("web-2-4", "musl", "deploy/web"), MatchedBy("db-1", "glibc", "sts/db")]
    matched, alone = match_targets(before, [*after, *others])
    assert matched == {"web-1-2": "web-2-2", "web-1-3": "web-2-1"}
    assert alone == (["web-1-1"], ["web-2-4", "db-1"])


def test_pods_of_other_names_are_compared_and_another_libc_is_refused(tmp_path: Path) -> None:
    before = made(tmp_path / "a", BEFORE, targets=[TargetInfo("pod-1", "glibc", "2.36")])
    after = made(tmp_path / "b", BEFORE, targets=[TargetInfo("pod-2", "glibc", "2.36")])
    found = compared(before, after)
    row = found.rows[0]
    assert (row.target, row.target_after, row.refused) == ("pod-1", "pod-2", None)
    assert found.differences == ("target, matched by its workload or C library: pod-1 before, pod-2 after",)
    musl = made(tmp_path / "c", {"baseline": (1, 1, 1)}, targets=[TargetInfo("pod-1", "musl", "1.2.3")])
    found = compared(before, musl)
    assert found.refused == ["The C library differs: glibc before, musl after. This concerns baseline on pod-1."]
    assert found.unmatched == ('use-vc on pod-1, load 200/s (poisson), is only in run "before".',)


def test_what_only_one_run_measured_is_listed(tmp_path: Path) -> None:
    both = [GLIBC, MUSL]
    stalls = {"baseline": (1, 1, 1)}
    found = compared(made(tmp_path / "a", BEFORE), made(tmp_path / "b", stalls, PLAN, both))
    assert found.unmatched[0] == 'Target musl (musl) is only in run "after".'
    assert found.unmatched[1] == 'use-vc on glibc, load 200/s (poisson), is only in run "before".'
    assert [row.variant for row in found.rows if row.target == "glibc"] == ["baseline"]


def dnslab(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from dnslab.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_void_run_is_said_first(tmp_path: Path) -> None:
    sound, void = made(tmp_path / "a", BEFORE), made(tmp_path / "b", BEFORE)
    next(void.glob("trials/*/glibc.end.json")).unlink()
    found = compared(sound, void)
    (said,) = found.void
    assert said.startswith('Cannot tell: run "after" is void. Trials missing: Trial ')
    assert found.to_text().startswith(f"{said}\nbefore: a\n")
    assert found.to_markdown().startswith(f"## Comparison\n\n- {said}\n")
    assert found._repr_html_().startswith(
        "<div class='dnslab-output mathjax_ignore'><p class='headline'>Cannot tell: run &quot;after&quot; is void."
    )
    assert compared(void, sound).void[0].startswith('Cannot tell: run "before" is void.')
    assert compared(sound, sound).void == ()
    for command in (("compare", sound, void), ("summary", void), ("gate", void)):
        done = dnslab(*command)
        line = done.stdout.splitlines()[-1 if command[0] == "summary" else 0]  # a summary has its answer last
        assert line.startswith("Cannot tell: "), command
        assert "is void" in line


def test_command_line(tmp_path: Path) -> None:
    before = made(tmp_path / "a", BEFORE)
    after = made(tmp_path / "b", {"baseline": (0, 0, 0), "use-vc": (0, 0, 0)})
    done = dnslab("compare", before, after, "--format", "markdown")
    assert (done.returncode, done.stderr) == (0, "")
    assert "- before: a\n- after: b\n" in done.stdout
    assert "| stalled | baseline | glibc | 25 % | 0 | −25 (−37 to −13) | lower |" in done.stdout
    slower = made(tmp_path / "c", BEFORE, load(rate_per_s=50))
    refused = dnslab("compare", before, slower)
    assert refused.returncode == 4
    assert "rate_per_s of the load differs" in refused.stdout
    assert dnslab("compare", before).returncode == 2
