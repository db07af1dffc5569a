"""Pods that are there already: the probe brought in and gone afterwards, variants with and without an edited file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import summarise
from dnslab.errors import DnslabError, NotAble, ProbeFailed, UsageError
from dnslab.explain.validity import find_vetoes
from dnslab.measure import runner
from dnslab.measure.backends import open_backend
from dnslab.measure.kubernetes import existing
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.api.exec import ExecChannel, run
from dnslab.measure.kubernetes.pods import resolv_conf as edit, upload
from dnslab.measure.kubernetes.pods.pod_facts import RESOLV_CONF
from dnslab.measure.kubernetes.pods.shell import Shell
from dnslab.measure.probe import find_probe
from dnslab.measure.protocol import Client
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Load, Plan
from dnslab.plan.resolvconf import ResolverOptions, parse
from dnslab.plan.variants import BUILT_IN, Variant, find
from tests.cli.test_cli import DNSLAB, dnslab
from tests.cluster.cluster import kubectl
from tests.runs import rows, write_run

NAME = "web.any.cluster.local."
MADE_BY_KUBELET = "search x.svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
on_cluster = pytest.mark.cluster


@pytest.mark.parametrize("original", [MADE_BY_KUBELET, MADE_BY_KUBELET.rstrip("\n"), "", "\n", "# mine\n\noptions x"])
@pytest.mark.parametrize("variant", BUILT_IN.values(), ids=lambda variant: variant.name)
def test_an_edited_file_holds_the_variant_and_its_original(original: str, variant: Variant) -> None:
    text = edit.edited(original, variant)
    assert edit.restored(text) == original
    assert parse(text) == variant.applied_to(parse(original))
    assert edit.restored(original) is None


def test_an_edited_search_list_replaces_the_original_one() -> None:
    text = edit.edited(MADE_BY_KUBELET, Variant("mine", "", search=("a.test",), nameservers=("10.0.0.9",)))
    assert parse(text) == ResolverOptions(("10.0.0.9",), ("a.test",), ndots=5)


@pytest.mark.parametrize(
    ("rate", "schedule", "variants", "void"),
    [
        # 28,232 ports and 30 s: up to 47 sockets/s leave 95 % of flows new
        (40, "side-by-side", ("baseline",), False),
        (40, "side-by-side", ("baseline", "single-request"), True),
        (20, "side-by-side", ("baseline", "single-request"), False),
        (20, "side-by-side", ("baseline", "single-request-reopen"), True),
        (40, "in-turn", ("baseline", "single-request"), False),
        (40, "in-turn", ("baseline", "single-request-reopen"), True),
        (40, "side-by-side", ("baseline", "use-vc"), False),
    ],
)
def test_what_shares_an_address_is_void_above_its_rate(
    tmp_path: Path, rate: float, schedule: Any, variants: tuple[str, ...], void: bool
) -> None:
    plan = Plan(variants=variants, rounds=3, schedule=schedule, loads=(Load(rate_per_s=rate, duration_s=1),))
    made = {(variant, "glibc", number): rows([0.5] * 100) for variant in variants for number in (1, 2, 3)}
    path = write_run(tmp_path / "run", plan, made)
    environment = json.loads((path / "environment.json").read_text())
    environment["backend"] = {"fresh_clients": False, "n_ports": 28232, "udp_timeout_s": 30}
    (path / "environment.json").chmod(0o644)
    (path / "environment.json").write_text(json.dumps(environment))
    run = open_run(path)
    vetoes = {(veto.name, veto.severity) for veto in find_vetoes(run, summarise(run))}
    assert (("exposure lost", "void") in vetoes) == void
    assert any("comparison is void" in line for line in existing.announced(plan)) == void


def test_variants_by_an_edited_file_take_turns() -> None:
    plan = Plan(backend="kubernetes", cluster=ClusterPlan(existing="app=x", edit_resolv_conf=True))
    with pytest.raises(UsageError, match="--schedule in-turn"):
        open_backend(plan)


def make_pod(namespace: str, name: str, image: str = "glibc", pod: Mapping[str, Any] = {}, **container: Any) -> str:
    """A pod of nobody's in particular; runs when this returns, unless it is one that ends."""
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "app", "image": f"dnslab.test/{image}:1", "imagePullPolicy": "Never", **container}],
        **pod,
    }
    body = {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec}
    connect(namespace=namespace).core().create_namespaced_pod(namespace, body)
    phase = "Running" if "restartPolicy" not in pod else "Succeeded"
    kubectl("-n", namespace, "wait", f"--for=jsonpath={{.status.phase}}={phase}", f"pod/{name}", "--timeout=30s")
    return name


def a_plan(namespace: str, where: Mapping[str, Any], **more: Any) -> Plan:
    load = Load(rate_per_s=20, duration_s=1, warmup_s=0)
    fields = {"variants": ("baseline", "single-request"), "rounds": 1, "names": (NAME,), "loads": (load,), **more}
    return Plan(backend="kubernetes", cluster=ClusterPlan(namespace=namespace, **where), **fields)


def measured(path: Path, namespace: str, where: Mapping[str, Any], **more: Any) -> Run:
    return open_run(runner.run(a_plan(namespace, where, **more), path / "run"))


def files(namespace: str, pod: str, container: str = "app") -> list[str]:
    """Probe files in a container, in every place there is."""
    client = connect(namespace=namespace)
    with contextlib.closing(Shell(client, pod, container)) as shell:
        return upload.leftovers(shell, ["/scratch"])


def resolv_conf(namespace: str, pod: str) -> str:
    return kubectl("-n", namespace, "exec", pod, "--", "cat", RESOLV_CONF)


def until(holds: Any, within_s: float = 10.0) -> bool:
    end_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.3)
    return True


@contextlib.contextmanager
def killed(cwd: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A dnslab process, killed when the block ends."""
    process = subprocess.Popen([*DNSLAB, *arguments], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
        assert process.poll() is None, "it ended before it was killed"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


@on_cluster
def test_a_glibc_pod_by_res(namespace: str, tmp_path: Path) -> None:
    make_pod(namespace, "web")
    before = resolv_conf(namespace, "web")
    run = measured(tmp_path, namespace, {"existing": "app=web", "container": "app"})
    clients = list(run.clients())
    assert [client.status for client in clients] == ["complete"] * 2
    for client in clients:
        start = client.start
        assert (start.target, start.libc, start.means, start.extra.fresh) == (
            "web",
            "glibc",
            "_res",
            False,
        )
        assert start.resolv_conf == before
        assert (start.node or "").startswith("dlc-n")
    row = summarise(run).row("single-request")
    assert row
    assert row.failed == 0 < row.n
    assert files(namespace, "web") == []
    assert resolv_conf(namespace, "web") == before


@on_cluster
def test_engine_wire_opens_a_new_flow_for_each_pair_over_runs_side_by_side_and_later(
    namespace: str, tmp_path: Path
) -> None:
    make_pod(namespace, "web")
    load = Load(engine="wire", arrangement="pair-one-socket", rate_per_s=40, duration_s=2, warmup_s=0)
    variants = ("baseline", "absolute")
    ports: Counter[int] = Counter()
    for name in ("first", "second"):
        where = {"existing": "pod/web"}
        found = measured(tmp_path / name, namespace, where, loads=(load,), variants=variants, rounds=2)
        ports.update(found.lookups()["worker"].to_numpy() & 0xFFFF)
        row = summarise(found).row("baseline")
        assert row
        assert row.exposed_counted is None
        assert row.exposed_modelled == row.n > 100
    assert sum(ports.values()) > 1_000
    assert set(ports.values()) == {2}  # A and AAAA of one pair


@on_cluster
def test_a_musl_pod_measures_what_applies(namespace: str, tmp_path: Path) -> None:
    make_pod(namespace, "web", "musl")
    variants = ("baseline", "single-request", "timeout-1", "absolute")
    run = measured(tmp_path, namespace, {"existing": "pod/web"}, variants=variants)
    assert {client.start.variant for client in run.clients() if client.status == "complete"} == {"baseline", "absolute"}
    reasons = {row.variant: row.reason for row in summarise(run).not_applicable}
    assert "musl ignores" in reasons["single-request"]
    assert "musl reads only resolv.conf" in reasons["timeout-1"]
    assert files(namespace, "web") == []


@on_cluster
def test_killed_the_probe_goes_and_the_file_is_put_back(namespace: str, tmp_path: Path) -> None:
    make_pod(namespace, "web")
    before = resolv_conf(namespace, "web")
    where = ["--backend=kubernetes", f"--namespace={namespace}", "--in=pod/web", "--edit-resolv-conf", f"--name={NAME}"]
    with killed(tmp_path, "run", *where, "--variants=timeout-1", "-d", "60", "--rate=5"):
        # Lookups arrive: from then on the file stays edited until the trial ends.
        assert until(lambda: any(stream.stat().st_size for stream in tmp_path.rglob("*.dnsr")), 60)
        assert edit.restored(resolv_conf(namespace, "web")) == before
        assert len(files(namespace, "web")) == 1
        with pytest.raises(NotAble, match=r"still edited.*dnslab clean --in pod/web"):
            open_backend(a_plan(namespace, {"existing": "pod/web"}))
    assert until(lambda: resolv_conf(namespace, "web") == before)
    assert until(lambda: files(namespace, "web") == [])
    processes = kubectl("-n", namespace, "exec", "web", "--", "ps")
    assert ".dnslab-" not in processes


@on_cluster
def test_each_means_puts_the_same_options_in_force(namespace: str, tmp_path: Path) -> None:
    """By the pod's dnsConfig and by an edited file, as they stand there; by _res, as the probe is told."""
    make_pod(namespace, "web")
    before = resolv_conf(namespace, "web")
    for name in ("single-request", "timeout-1", "ndots-1"):
        variant, load = find(name), Load(rate_per_s=5, duration_s=1)
        by_means = {}
        for means, where in (
            ("dnsConfig", {"images": ("dnslab.test/glibc:1",)}),
            ("file", {"existing": "pod/web", "edit_resolv_conf": True}),
            ("_res", {"existing": "pod/web"}),
        ):
            plan = a_plan(namespace, where, variants=(name,))
            with contextlib.closing(open_backend(plan)) as backend:
                target = backend.open(Client("1", backend.targets()[0].name, variant, load, (NAME,)))
                facts = target.facts()
                target.close()
            options = parse(facts.resolv_conf)
            by_means[means] = variant.applied_to(options) if facts.means == "_res" else options
        assert by_means["dnsConfig"] == by_means["file"] == by_means["_res"], name
        assert resolv_conf(namespace, "web") == before


@on_cluster
def test_an_edited_file_run_restores_after_each_trial(namespace: str, tmp_path: Path) -> None:
    make_pod(namespace, "web", "musl")
    before = resolv_conf(namespace, "web")
    where = {"existing": "pod/web", "edit_resolv_conf": True}
    run = measured(tmp_path, namespace, where, variants=("baseline", "timeout-1"), schedule="in-turn")
    options = {
        client.start.variant: parse(client.start.resolv_conf) for client in run.clients() if client.status == "complete"
    }
    assert options["baseline"] == parse(before)
    assert (options["timeout-1"].timeout_s, options["timeout-1"].attempts) == (1, 3)
    assert {client.start.means for client in run.clients()} == {"file"}
    assert resolv_conf(namespace, "web") == before


@on_cluster
def test_without_head_the_shell_alone_brings_it(namespace: str) -> None:
    make_pod(namespace, "web")
    client = connect(namespace=namespace)
    data = find_probe("static", "x86_64").read_bytes()
    with contextlib.closing(Shell(client, "web", "app")) as shell:
        path = upload.find_path(shell, [])
        upload.send_printed(shell, path, data)
        assert shell.ask(f"sha256sum {path}")[1].split()[0] == hashlib.sha256(data).hexdigest()
        header = upload.read_header(ExecChannel(client, "web", "app", [path]))
    assert (header.executable_size, header.executable_crc) == (len(data), zlib.crc32(data))


READ_ONLY = {"readOnlyRootFilesystem": True, "runAsUser": 65534}


@on_cluster
def test_places(namespace: str) -> None:
    """A read-only root offers nothing; a writable emptyDir does, and is found before /tmp."""
    make_pod(namespace, "sealed", securityContext=READ_ONLY)
    with pytest.raises(NotAble, match=r"no place to run the probe from.*--ephemeral-container"):
        open_backend(a_plan(namespace, {"existing": "pod/sealed"}))
    mounts = [{"name": "scratch", "mountPath": "/scratch"}, {"name": "ro", "mountPath": "/ro", "readOnly": True}]
    volumes = {"volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "ro", "emptyDir": {}}]}
    make_pod(namespace, "web", pod=volumes, securityContext=READ_ONLY, volumeMounts=mounts)
    with contextlib.closing(open_backend(a_plan(namespace, {"existing": "pod/web"}))) as backend:
        places = backend.describe().places or []
        assert [(place.probe or "")[:17] for place in places] == ["/scratch/.dnslab-"]
    assert files(namespace, "web") == []
    with pytest.raises(NotAble, match=f"may not write {RESOLV_CONF}"):
        open_backend(a_plan(namespace, {"existing": "pod/web", "edit_resolv_conf": True}, schedule="in-turn"))


@on_cluster
def test_without_a_shell_an_ephemeral_container_measures(namespace: str, tmp_path: Path) -> None:
    make_pod(namespace, "web", "distroless")
    with pytest.raises(NotAble, match=r"has no shell.*--ephemeral-container IMAGE"):
        open_backend(a_plan(namespace, {"existing": "pod/web"}))
    run = measured(
        tmp_path, namespace, {"existing": "pod/web", "debug_image": "dnslab.test/musl:1"}, variants=("baseline",)
    )
    (client,) = run.clients()
    address = kubectl("-n", namespace, "get", "pod", "web", "-o", "jsonpath={.status.podIP}")
    assert (client.status, client.start.libc, client.start.extra.address) == ("complete", "musl", address)
    assert client.start.extra.debug_image == "dnslab.test/musl:1"
    ended = "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}"
    assert until(lambda: kubectl("-n", namespace, "get", "pod", "web", "-o", ended) == "0")


@on_cluster
def test_a_restarted_container_gets_the_probe_again(namespace: str) -> None:
    make_pod(namespace, "web", command=["sh", "-c", "trap exit TERM; sleep 1000 & wait"])
    plan = a_plan(namespace, {"existing": "pod/web"})
    with contextlib.closing(open_backend(plan)) as backend:
        with contextlib.suppress(ProbeFailed):
            run(connect(namespace=namespace), "web", "app", ["kill", "1"])
        path = "jsonpath={.status.containerStatuses[0].restartCount}"
        assert until(lambda: kubectl("-n", namespace, "get", "pod", "web", "-o", path) == "1", 30)
        client = Client("1", "web", find("baseline"), plan.loads[0], (NAME,))
        assert until(lambda: opens(backend, client), 15)
    assert files(namespace, "web") == []


def opens(backend: Any, client: Client) -> bool:
    try:
        return bool(backend.open(client).facts().kernel)
    except DnslabError:  # until the kubelet has started it again
        return False


@on_cluster
def test_what_cannot_be_measured_in_is_named(namespace: str, tmp_path: Path) -> None:
    make_pod(namespace, "done", pod={"restartPolicy": "Never"}, command=["true"])
    make_pod(namespace, "web")
    for arguments, status, words in (
        (["--in=pod/nowhere"], 2, f"no pod 'nowhere' in namespace {namespace}"),
        (["--in=pod/done"], 3, "pod done has completed (phase Succeeded)"),
        (["--in=app=done"], 2, "no running pod matches"),
        (["--in=rs/web"], 2, "expected pod/NAME, deploy/NAME or a label selector"),
        (["--in=pod/web", "--container=sidecar"], 2, "pod web has no container 'sidecar': there are app"),
        (["--in=pod/web", "--image=x"], 2, "have their own image"),
    ):
        done = dnslab("run", "--backend=kubernetes", f"--namespace={namespace}", *arguments, "--out=r", cwd=tmp_path)
        assert done.returncode == status, done.stderr
        assert words in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert not (tmp_path / "r").exists()
    assert files(namespace, "web") == []


@on_cluster
def test_every_pod_of_a_deployment_is_a_target(namespace: str, tmp_path: Path) -> None:
    template = {
        "metadata": {"labels": {"app": "many"}},
        "spec": {"containers": [{"name": "app", "image": "dnslab.test/glibc:1", "imagePullPolicy": "Never"}]},
    }
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "many"}}, "template": template}
    connect(namespace=namespace).apps().create_namespaced_deployment(
        namespace, {"metadata": {"name": "many"}, "spec": spec}
    )
    kubectl("-n", namespace, "rollout", "status", "deploy/many", "--timeout=60s")
    run = measured(tmp_path, namespace, {"existing": "deploy/many"}, variants=("baseline",))
    assert len({client.target for client in run.clients() if client.status == "complete"}) == 3
    for client in run.clients():
        assert files(namespace, client.target) == []


@on_cluster
def test_a_dry_run_brings_nothing_in(namespace: str, tmp_path: Path) -> None:
    make_pod(namespace, "web")
    where = [f"--namespace={namespace}", "--in=pod/web", "--variants=baseline,single-request"]
    done = dnslab("run", "--backend=kubernetes", *where, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "# in each pod: the probe is brought in by exec" in done.stdout
    assert "# rate: chosen when the run begins, so that 95% of the flows" in done.stdout
    done = dnslab("run", "--backend=kubernetes", *where, "--rate", "200", "--dry-run", cwd=tmp_path)
    assert "# rate: at 200 lookups/s under 95% of the flows from a pod's one address are new" in done.stdout
    assert "at most 24 fit" in done.stdout
    assert files(namespace, "web") == []
