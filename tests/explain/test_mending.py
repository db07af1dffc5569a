"""mending: every cause has its entry, and what is printed is what `dnslab fix` and `dnslab verify` take."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dnslab.analyse.dataset import open_run
from dnslab.cli import cli
from dnslab.cli.diagnose import _base, _seconds, diagnose as diagnose_command
from dnslab.experiment import verify
from dnslab.experiment.compare import SAMPLE
from dnslab.experiment.rungs import patched
from dnslab.explain.catalogue import CAUSES
from dnslab.explain.engine import RankedCause, RankedMechanism, Support, Word
from dnslab.explain.mending import MENDS, mending, mending_of_open
from dnslab.explain.patched import NOT_NAMED, Patched
from dnslab.explain.predictions import MECHANISMS
from dnslab.plan import ladder
from dnslab.plan.arms import Places
from dnslab.plan.ladder import NAME, VARIANTS, Ladder
from dnslab.plan.model import Plan
from dnslab.plan.remedies import Workload
from dnslab.plan.variants import BUILT_IN
from tests.runs import GLIBC, rows, write_run

WEB = Patched(
    Workload("deploy/web", "shop", "blue"),
    libcs=(("glibc", "2.36"),),
    again="dnslab diagnose",
    verify="dnslab verify RUN",
)
#: what mends them is in the application, or in a network that no command reaches
BY_HAND = {"kept-flow-forgotten", "client-buffer-full"}


def test_each_cause_has_an_entry() -> None:
    assert set(MENDS) == set(CAUSES)
    assert {name for name, mend in MENDS.items() if not (mend.variants or mend.commands)} == BY_HAND
    assert {variant for mend in MENDS.values() for variant in mend.variants} <= set(BUILT_IN)
    assert all("  " not in command for mend in MENDS.values() for command in mend.commands)


@pytest.mark.parametrize("name", CAUSES)
def test_what_is_said_is_whole(name: str) -> None:
    found = mending(CAUSES[name], WEB)
    assert all((found.change, found.where, found.cost, found.watch))
    assert found.command == ("dnslab verify RUN" if found.variant else "dnslab diagnose")
    assert bool(found.variant) == bool(found.apply) == bool(found.undo) == bool(found.fix) == bool(found.patch)
    assert bool(found.variant or found.commands) == (name not in BY_HAND)
    for command in (*found.apply, *found.undo, *found.commands):
        assert command.startswith(("kubectl --context blue ", "sysctl ", "ethtool ", "modprobe "))
        assert "deploy/NAME" not in command
        assert "NAMESPACE" not in command


def test_the_patch_is_what_fix_prints() -> None:
    found = mending(CAUSES["conntrack-race"], NOT_NAMED)
    words = shlex.split(found.fix)
    printed = CliRunner().invoke(cli, words[1:], standalone_mode=False, catch_exceptions=False).output
    assert words[:2] == ["dnslab", "fix"]
    assert found.variant == "single-request-reopen"
    assert all(command in printed for command in (*found.apply, *found.undo))
    assert found.patch in printed
    caveats = [caveat for caveat in found.caveats if "already has dnsConfig" not in caveat]
    assert all(f"- {caveat}" in printed for caveat in caveats)
    assert "--workload deploy/web --context blue --namespace shop" in mending(CAUSES["conntrack-race"], WEB).fix


def test_what_the_servers_need_is_seen_by_the_same_diagnosis() -> None:
    """The old configuration of a workload gets better with the servers, too, so that nothing is left to compare."""
    assert mending(CAUSES["conntrack-race"], WEB).command == "dnslab verify RUN"
    assert mending(CAUSES["server-buffer-full"], WEB).command == "dnslab diagnose"
    unverified = Patched(again="dnslab diagnose")
    assert mending(CAUSES["conntrack-race"], unverified).command == "dnslab diagnose"


def test_a_library_that_ignores_an_option_gets_another() -> None:
    for patched_pods in (Patched(libcs=(("musl", ""),)), Patched(libcs=(("glibc", "2.36"), ("musl", "")))):
        assert mending(CAUSES["conntrack-race"], patched_pods).variant == "node-local"
    old = mending(CAUSES["slow-aaaa"], Patched(libcs=(("glibc", "2.31"),)))  # no-aaaa came with 2.36
    assert (old.variant, old.apply) == ("", ())
    assert old.commands == ("kubectl -n kube-system edit configmap coredns",)


def ranked(mechanism: str, word: Word, *causes: str) -> RankedMechanism:
    left = tuple(RankedCause(CAUSES[name], Support(word=Word.POSSIBLE)) for name in causes)
    return RankedMechanism(MECHANISMS[mechanism], Support(word=word), left)


def test_an_open_cause_has_a_remedy_where_one_helps_against_all() -> None:
    either = mending_of_open(ranked("pair-second-lost", Word.LIKELY, "conntrack-race", "burst-policer"), WEB)
    assert either
    assert either.variant == "single-request-reopen"
    assert "each of these causes" in either.change
    assert mending_of_open(ranked("all-late", Word.LIKELY, "slow-server", "slow-upstream"), WEB) is None
    assert mending_of_open(ranked("pair-second-lost", Word.LIKELY), WEB) is None


def libc_rung(path: Path, like: str | None, stalled: bool) -> Path:
    """The rung of the C library in a cluster."""
    base = Plan.of(
        {"backend": "kubernetes", "variants": ["baseline", "use-vc"], "names": [NAME], "cluster": {"like": like}}
    )
    plan = ladder.plan_of(ladder.LIBC, base, Places())
    times = [1.0] * 57 + [5_001.0] * (3 if stalled else 0)
    seen = {(variant, "glibc", number): rows(times) for variant in plan.variants for number in (1, 2, 3)}
    return write_run(path / "rungs" / "3-libc", plan, seen, known=(GLIBC,))


@pytest.mark.parametrize("like", ["deploy/web", None])
def test_what_is_printed_to_verify_is_what_verify_takes(tmp_path: Path, like: str | None) -> None:
    run = open_run(libc_rung(tmp_path, like, stalled=True))
    words = shlex.split(patched([run], Ladder(run.plan, Places())).verify)
    assert words[:3] == ["dnslab", "verify", str(tmp_path / "rungs" / "3-libc")]
    named = {"like": words[4].lower()} if len(words) > 3 else None
    assert (words[3:4] == ["--like"]) == (like is None)
    plan = verify.plan_of(open_run(words[2]), named)
    assert plan.cluster.like == (like or "deploy/name")
    assert plan.rounds >= verify.LEAST_ROUNDS
    assert plan.verifies
    assert plan.loads[0].duration_s > run.plan.loads[0].duration_s  # 9 stalls are too few


def test_where_nothing_stalled_the_diagnosis_is_made_again(tmp_path: Path) -> None:
    run = open_run(libc_rung(tmp_path, "deploy/web", stalled=False))
    asked = Ladder(run.plan.model_copy(update={"variants": VARIANTS}), Places())
    found = patched([run], asked)
    assert (found.verify, found.again) == ("", "dnslab diagnose --backend kubernetes --like deploy/web")
    lab = open_run(SAMPLE)
    in_lab = patched([lab], Ladder(lab.plan, Places()))
    assert (in_lab.first, in_lab.again, in_lab.verify) == (ladder.IN_CLUSTER, "", "")


ASKED = [
    "--backend kubernetes --like deploy/web --nodes all --context 'a b' --namespace shop --budget 5m",
    "--backend kubernetes --in app=web --container app --ephemeral-container busybox:1 --load 80",
    "--backend kubernetes --image debian:12 --image alpine:3 --node-counters --allow-external --name example.org.",
    "--backend local --nameserver 127.0.0.1:5353 --wait 6h",
    "--fault race:p=0.3 --fault loss:p=0.05,from=10s --target musl",
    "",
]


@pytest.mark.parametrize("options", ASKED)
def test_the_command_asks_for_the_same_again(options: str) -> None:
    def asked(text: str) -> Ladder:
        context = diagnose_command.make_context("diagnose", shlex.split(text), parent=click.Context(cli))
        given = context.params
        times = {key: _seconds(f"--{key}", given[key]) if given[key] else 0.0 for key in ("budget", "wait")}
        return Ladder(_base(given), Places(), times["budget"], given["most_per_s"], wait_s=times["wait"])

    first = asked(options)
    command = first.command
    assert command.startswith("dnslab diagnose")
    assert asked(command.removeprefix("dnslab diagnose")) == first


@pytest.mark.parametrize(
    ("cluster", "owners", "reference"),
    [
        ({"like": "deploy/web"}, ("",), "deploy/web"),
        ({"like": "job/nightly"}, ("",), "deploy/NAME"),
        ({"existing": "pod/app"}, ("pod/app",), "deploy/NAME"),
        ({"existing": "pod/web-5d4-x2"}, ("deploy/web",), "deploy/web"),
        ({"existing": "app=web"}, ("deploy/web", "deploy/web"), "deploy/web"),
        ({"existing": "tier=front"}, ("deploy/web", "sts/shop"), "deploy/NAME"),
        ({"existing": "sts/shop"}, ("statefulset/shop",), "sts/shop"),
    ],
)
def test_a_patch_is_for_what_has_a_pod_template(
    tmp_path: Path, cluster: dict[str, str], owners: tuple[str, ...], reference: str
) -> None:
    """The API server refuses ``spec.template`` in a pod, and a change of it in a job."""
    plan = Plan.of({"backend": "kubernetes", "cluster": {"namespace": "shop", **cluster}, "variants": ["baseline"]})
    known = [replace(GLIBC, name=f"pod-{n}", workload=owner) for n, owner in enumerate(owners)]
    lookups = {("baseline", target.name, n): rows([0.5] * 10) for target in known for n in (1, 2, 3)}
    run = open_run(write_run(tmp_path / "run", plan, lookups, known=known))
    workload = Patched.of(run).workload
    assert workload.reference == reference
    assert (workload.namespace == "shop") is (reference != "deploy/NAME")
