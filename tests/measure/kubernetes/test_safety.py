"""Safety of runs in a cluster: what is refused before anything is made, and a dry run that makes nothing."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml

from dnslab.analyse.dataset import open_run
from dnslab.measure import health, runner
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.api.exec import ExecChannel
from dnslab.measure.kubernetes.dry_run import RUN_ID, Planned
from dnslab.plan import planfile
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Limits, Load, Plan
from dnslab.plan.variants import NODE_LOCAL_ADDRESS
from tests.cli.test_cli import dnslab

pytestmark = pytest.mark.cluster

GLIBC, MUSL = "dnslab.test/glibc:1", "dnslab.test/musl:1"
INSIDE = "kubernetes.default"
READ_ONLY = [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list"]}]


def objects(namespace: str) -> list[str]:
    core = connect().core()
    items = [*core.list_namespaced_pod(namespace).items, *core.list_namespaced_config_map(namespace).items]
    return sorted(item.metadata.uid for item in items)


def run_arguments(namespace: str, *more: str) -> list[str]:
    where = ["run", "--backend", "kubernetes", "--namespace", namespace, "--image", GLIBC]
    return [*where, "--variants", "baseline,single-request", "--rounds", "1", "-d", "1", *more]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--rate", "1001"], "up to 2,002 lookups/s at once (on 1 target, with 2 configurations)"),
        (["-c", "600", "--schedule", "side-by-side"], "up to 1,200 closed-loop workers"),
        (["--rate", "10", "--max-total", "29"], "up to 30 lookups in total"),
        (["--name", "example.test"], "'example.test' is a name outside the cluster: it resolves as example.test., "
         "and the cluster's domain is cluster.local."),
    ],
)  # fmt: skip
def test_refused(more: list[str], says: str, namespace: str, tmp_path: Path) -> None:
    before = objects(namespace)
    done = dnslab(*run_arguments(namespace, *more), "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert objects(namespace) == before
    assert not list(tmp_path.iterdir())


def test_limits_are_for_clusters(tmp_path: Path) -> None:
    done = dnslab("run", "--backend", "local", "--max-rate", "9", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--max-rate is for --backend kubernetes" in done.stderr


def test_allowed_all_the_same(namespace: str, tmp_path: Path) -> None:
    limits = Limits(allow_external=True)
    where = ClusterPlan(namespace=namespace, images=(GLIBC,))
    a_plan = Plan(
        backend="kubernetes",
        cluster=where,
        variants=("baseline",),
        names=("example.test", INSIDE),
        loads=(Load(rate_per_s=20, duration_s=1),),
        rounds=1,
        limits=limits,
    )
    run = open_run(runner.run(a_plan, tmp_path / "run"))
    assert [client.status for client in run.clients()] == ["complete"]
    before = json.loads((tmp_path / "run" / "environment.json").read_text())["health_before"]
    assert before["n"] >= 45
    assert before["n_failed"] <= before["n"] // 10


def read_only(namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig of a service account that may read in ``namespace``, and make nothing."""
    client = connect()
    core, rights = client.core(), kubernetes.client.RbacAuthorizationV1Api(client.api())
    named = {"metadata": {"name": "reader"}}
    core.create_namespaced_service_account(namespace, named)
    rights.create_namespaced_role(namespace, {**named, "rules": READ_ONLY})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    rights.create_namespaced_role_binding(namespace, {**named, "roleRef": role, "subjects": [subject]})
    token = core.create_namespaced_service_account_token("reader", namespace, {"spec": {}}).status.token
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    config["users"] = [{"name": "reader", "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = "reader"
    path = tmp_path / "kubeconfig"
    path.touch(0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_dry_run_needs_no_right_to_make_and_makes_nothing(namespace: str, tmp_path: Path) -> None:
    config = str(read_only(namespace, tmp_path))
    before = objects(namespace)
    arguments = run_arguments(namespace, "--rounds", "3", "--name", INSIDE)
    done = dnslab(*arguments, "--dry-run", cwd=tmp_path, KUBECONFIG=config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# cluster: context ")
    assert f"namespace {namespace}" in done.stdout.splitlines()[0]
    assert planfile.load(done.stdout).cluster.namespace == namespace
    comments = "\n".join(line.removeprefix("#").removeprefix(" ") for line in done.stdout.splitlines())
    documents = [yaml.safe_load(text) for text in comments.partition("commands")[0].split("\n---\n")[1:]]
    # The ConfigMap, a first look, the one asked before the first trial, and two variants.
    assert [document["kind"] for document in documents] == ["ConfigMap", *["Pod"] * 4]
    assert "objects: 5 up to the end of the first round, 9 in all" in comments
    assert documents[0]["binaryData"]["probe-x86_64-glibc"].endswith(" bytes)")
    assert documents[-1]["spec"]["dnsConfig"] == {"options": [{"name": "single-request"}]}
    assert objects(namespace) == before
    made = dnslab(*arguments, "--out", "out", cwd=tmp_path, KUBECONFIG=config)
    assert made.returncode == 3, "the account may make something, so the dry run has shown nothing"
    assert "cannot make the ConfigMap" in made.stderr
    assert objects(namespace) == before


def test_a_run_makes_and_runs_what_a_dry_run_says(
    namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_plan = Plan(
        backend="kubernetes",
        cluster=ClusterPlan(namespace=namespace, images=(GLIBC, MUSL), nodes="1", node_counters=True),
        variants=("baseline", "root-first", "node-local"),
        loads=(Load(rate_per_s=10, duration_s=1),),
        names=(INSIDE,),
        rounds=1,
    )
    made: list[dict[str, Any]] = []
    ran: set[str] = set()
    create, start = kubernetes.client.CoreV1Api.create_namespaced_pod, ExecChannel.__init__

    def creates(self: Any, where: str, body: dict[str, Any], **more: Any) -> Any:
        made.append(body)
        return create(self, where, body, **more)

    def starts(self: Any, client: Any, pod: str, container: str, argv: Any, *more: Any, **keys: Any) -> None:
        ran.add(" ".join(argv))
        start(self, client, pod, container, argv, *more, **keys)

    monkeypatch.setattr(kubernetes.client.CoreV1Api, "create_namespaced_pod", creates)
    monkeypatch.setattr(ExecChannel, "__init__", starts)
    runner.run(a_plan, tmp_path / "run")
    planned = Planned(a_plan)
    _, *pods = planned.objects(health.control_trial(a_plan, planned.targets()))
    planned_lines = {line.partition("  (")[0] for line in planned.commands()}

    def specs(bodies: list[dict[str, Any]]) -> Counter[str]:
        return Counter(json.dumps(body["spec"], sort_keys=True) for body in bodies)

    # Both name what the run finds out: that musl does not know root-first, and that no cache answers here.
    pods = [pod for pod in pods if NODE_LOCAL_ADDRESS not in json.dumps(pod)]
    pods = [pod for pod in pods if pod["spec"]["containers"][0]["image"] == GLIBC or '"."' not in json.dumps(pod)]
    run_id = made[0]["metadata"]["labels"]["dnslab/run"]
    assert specs(pods) == Counter({text.replace(run_id, RUN_ID): n for text, n in specs(made).items()})
    probes = {line.split()[0] for line in planned_lines if line.endswith("--version")}
    assert {line if line in planned_lines else line.replace(line.split()[0], "PROBE") for line in ran} == (
        planned_lines - {f"{probe} --version" for probe in probes if probe.endswith("static")}
    )
    assert {line.split()[0] for line in ran} <= {*probes, "/lib/ld-musl-x86_64.so.1"}
