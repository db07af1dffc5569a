"""What dnslab is for, on a real cluster: find, fix, verify; by an account that has the printed Role and no more.

Patches are applied by somebody who may, as the printed Role changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import papermill
import pytest

from dnslab.analyse.dataset import open_run
from dnslab.explain.soundness import examine
from dnslab.plan.variants import USUAL
from tests import nodes
from tests.cli.test_cli import dnslab
from tests.cluster.cluster import BIN, KUBECONFIG, kubectl
from tests.measure.kubernetes.test_rights import Account
from tests.notebooks import find_notebook
from tests.present.test_states import words

pytestmark = [pytest.mark.cluster, pytest.mark.verify, pytest.mark.alone]

ON_NODES = ("dlc-n1", "dlc-n2", "dlc-n3")
#: 1,000 lookups and more of each configuration
LOAD = ("--rate", "80", "-d", "4", "--rounds", "4", "--name", "kubernetes.default.svc.cluster.local.")
WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "dnsConfig": {"options": [{"name": "attempts", "value": "3"}]},
                "containers": [
                    {
                        "name": "web",
                        "image": "dnslab.test/glibc:1",
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sleep", "86400"],
                    }
                ],
            },
        },
    },
}


@contextlib.contextmanager
def race(per_mille: int = 80) -> Iterator[None]:
    """A strong one decides sooner."""
    with contextlib.ExitStack() as stack:
        for node in ON_NODES:
            stack.enter_context(nodes.race(node, per_mille=per_mille))
        yield


@contextlib.contextmanager
def node_cache(folder: Path) -> Iterator[None]:
    """A node-local cache on every node; the test cluster's is a stand-in for the real program."""
    image = ("--image", "dnslab.test/coredns:1", "--yes")
    done = dnslab("node-cache", "install", *image, cwd=folder)
    assert done.returncode == 0, done
    try:
        yield
    finally:
        done = dnslab("node-cache", "remove", *image, cwd=folder)
        assert done.returncode == 0, done


def run_folder(done: subprocess.CompletedProcess[str]) -> str:
    return str(re.findall(r"(?m)^run: (.*)$", done.stdout)[-1])


class Story:
    """A workload, and an engineer who may do what the printed Role allows."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace, self.folder = namespace, folder
        self.account = Account(namespace, folder)
        kubectl("-n", namespace, "apply", "-f", "-", inp=json.dumps(WEB))
        self._rolled_out()
        self.account.doctor_says([])

    def _rolled_out(self) -> None:
        kubectl("-n", self.namespace, "rollout", "status", "deploy/web", "--timeout=120s")

    def dnslab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = dnslab(*arguments, cwd=self.folder, KUBECONFIG=str(self.account.kubeconfig), timeout_s=300)
        print(done.stdout[-3_000:])
        assert not done.stderr.startswith("error"), done
        return done

    def found(self, *arguments: str, load: Sequence[str] = LOAD) -> str:
        """Measure; the folder of the run."""
        where = ("--backend", "kubernetes", "--namespace", self.namespace)
        done = self.dnslab("run", *where, *load, *arguments)
        assert done.returncode == 0, done
        return run_folder(done)

    def fixed(self, variant: str) -> None:
        """Apply what `dnslab fix` prints first, and wait for the new pods."""
        what = ("fix", "--variant", variant, "--workload", "deploy/web", "--namespace", self.namespace)
        done = dnslab(*what, cwd=self.folder, KUBECONFIG=str(KUBECONFIG))
        assert done.returncode == 0, done
        command = next(line for line in done.stdout.splitlines() if line.startswith("kubectl "))
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "KUBECONFIG": str(KUBECONFIG)}
        subprocess.run(["sh", "-c", command], env=environment, check=True, capture_output=True)
        self._rolled_out()

    def unfixed(self) -> None:
        kubectl("-n", self.namespace, "replace", "-f", "-", inp=json.dumps(WEB))
        self._rolled_out()

    def verified(self, run: str, *more: str) -> tuple[int, str, str]:
        """Exit status of `dnslab verify`, its answer's first words, and the folder of its run."""
        done = self.dnslab("verify", run, *more)
        answer = re.search(
            r"(?m)^(The stalls are (?:gone|still there)|The fault is not here today|Not enough data|Worse|Better)",
            done.stdout,
        )
        assert answer, done
        return done.returncode, answer[1], run_folder(done)

    def helps(self, run: str) -> str:
        """What the page says helps."""
        page = self.page(run)
        assert "What helps?" in page, page[:3_000]
        return page.partition("What helps?")[2].partition("What does it cost?")[0]

    def page(self, run: str) -> str:
        """The page's text."""
        done = dnslab("report", run, cwd=self.folder)
        assert done.returncode == 0, done
        html = (self.folder / run / "report.html").read_text(encoding="utf-8")
        return words(html)


@pytest.fixture
def story(namespace: str, tmp_path: Path) -> Story:
    return Story(namespace, tmp_path)


def test_with_own_pods_like_the_workloads(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find by notebook, patch wrongly, patch rightly, see that by notebook; then fault and patch are gone."""
    monkeypatch.chdir(story.folder)
    monkeypatch.setenv("KUBECONFIG", str(story.account.kubeconfig))
    plan = {
        "backend": "kubernetes",
        "cluster": {"namespace": story.namespace, "like": "deploy/web"},
        "variants": ["baseline", "ndots-1", "single-request-reopen"],
        "names": ["kubernetes.default.svc.cluster.local."],
        "loads": [{"rate_per_s": 80, "duration_s": 4}],
        "rounds": 4,
    }
    with race():
        papermill.execute_notebook(find_notebook(), "found.ipynb", {"run": "new", "plan": plan}, progress_bar=False)
        (made,) = (story.folder / "results").iterdir()
        run = f"results/{made.name}"
        assert "single-request-reopen clears it" in story.helps(run)
        story.fixed("ndots-1")
        status, answer, wrong = story.verified(run)
        assert (status, answer) == (1, "The stalls are still there")
        story.fixed("single-request-reopen")
        notebook = papermill.execute_notebook(
            find_notebook("verify.ipynb"), "verified.ipynb", {"run": run}, progress_bar=False
        )
    shown = json.dumps([cell.get("outputs") for cell in notebook.cells])
    assert "The stalls are gone: with the workload as it is now, none of" in shown
    (verified,) = {f"results/{one.name}" for one in (story.folder / "results").iterdir()} - {run, wrong}
    page = story.page(verified)
    assert "Before and after the patch" in page
    assert made.name in page
    asked = {client.start.variant: client.start.resolv_conf for client in open_run(story.folder / verified).clients()}
    assert "single-request-reopen" in asked["baseline"]
    assert "attempts:3" in asked["baseline"]
    assert "single-request-reopen" not in asked["before"]
    assert "attempts:3" in asked["before"]
    story.unfixed()
    assert story.verified(run)[:2] == (4, "The fault is not here today")


def test_in_the_workloads_own_pods(story: Story) -> None:
    # Without --rate it is chosen, so that flows from a pod's one address stay new.
    name = ("--name", "kubernetes.default.svc.cluster.local.")
    asked = ("--in", "deploy/web", "--variants", "baseline,single-request-reopen", "-d", "6", "--rounds", "4", *name)
    with race(per_mille=160):
        run = story.found(*asked, load=())
        story.fixed("single-request-reopen")
        status, answer, verified = story.verified(run)
        assert (status, answer) == (0, "The stalls are gone")
    rates = {load.rate_per_s for load in open_run(story.folder / run).plan.loads}
    assert rates == {16.0}  # 48 new flows a second, and three sockets for a lookup of both
    # The rollout gave the pods other names: they are compared all the same, as the workload is.
    compared = dnslab("compare", run, verified, cwd=story.folder)
    assert compared.returncode == 0, compared
    assert "target web-" not in compared.stdout.partition("Other differences")[0]
    assert re.search(r"(?m)^stalled +baseline +web-", compared.stdout), compared


def test_with_a_node_local_cache(story: Story) -> None:
    with node_cache(story.folder), race():
        run = story.found("--like", "deploy/web", "--variants", "baseline,node-local+single-request-reopen")
        assert "node-local+single-request-reopen clears it" in story.helps(run)
        story.fixed("node-local+single-request-reopen")
        assert story.verified(run)[:2] == (0, "The stalls are gone")


@pytest.mark.parametrize("has_cache", [False, True], ids=["no cache", "with a cache"])
def test_the_default_run_needs_nothing_more(has_cache: bool, story: Story) -> None:
    where = ("--backend", "kubernetes", "--namespace", story.namespace, "--like", "deploy/web", "--report")
    with node_cache(story.folder) if has_cache else contextlib.nullcontext():
        done = story.dnslab("run", *where, "--rounds", "2")  # which is enough to see what a run needs, or leaves out
    assert done.returncode == 0, done
    run = open_run(story.folder / run_folder(done))
    sound = examine(run)
    summary = sound.summary
    print(f"left out: {[(row.variant, row.reason) for row in summary.not_applicable]}")
    assert not run.problems
    assert not any(row.failed for row in summary.measured())
    node_local = {"node-local", "node-local+single-request-reopen"}
    assert {row.variant for row in summary.not_applicable} == (set() if has_cache else node_local)
    assert {row.variant for row in summary.measured()} == set(USUAL) - (set() if has_cache else node_local)
    # Three nodes on two cores may send late at this rate; nothing else may spoil the run.
    assert {veto.name for veto in sound.vetoes if veto.severity == "void"} <= {"generator too slow", "CPU saturated"}
