"""Rights: what the printed Role gives is enough, each rule of it is needed, and doctor names the one that is not there.

And the ways to a cluster that do not lead there, each one line and its stated status.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("kubernetes")

from dnslab.errors import UsageError
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.node_cache.manifest import node_cache_manifest
from dnslab.measure.kubernetes.rights import DIAGNOSE, FEATURES, RULES, Rule, cluster_role_yaml, role_yaml
from dnslab.sentences.terminal import APPLY_FOR_DIAGNOSE
from tests.cli.test_cli import dnslab
from tests.cluster.cluster import kubeconfig, kubectl
from tests.pods import fresh_namespace

DOCTOR = ("doctor", "--backend", "kubernetes")
#: RBAC takes effect when its cache has seen the change
RBAC_WITHIN_S = 10.0
NEEDED = [rule for rule in RULES if rule.needed]


def granted(text: str) -> list[dict[str, Any]]:
    """Every rule of every role in a text."""
    return [rule for document in yaml.safe_load_all(text) for rule in document.get("rules", ())]


@pytest.mark.parametrize("text", [role_yaml("web"), cluster_role_yaml("web")], ids=["needed", "optional"])
def test_no_wildcard_and_no_way_through_the_kubelet(text: str) -> None:
    assert "*" not in text
    for rule in granted(text):
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert not {"nodes/proxy", "secrets"} & set(rule["resources"])
        assert set(rule["verbs"]) <= {"get", "list", "create", "patch", "delete"}


def test_what_is_needed_is_in_one_namespace() -> None:
    made = list(yaml.safe_load_all(role_yaml("web")))
    assert [document["kind"] for document in made] == ["ServiceAccount", "Role", "RoleBinding"]
    assert {document["metadata"]["namespace"] for document in made} == {"web"}
    assert made[2]["subjects"] == [{"kind": "ServiceAccount", "name": "dnslab", "namespace": "web"}]
    assert made[2]["roleRef"]["name"] == made[1]["metadata"]["name"]


def test_every_rule_is_printed_once_where_it_is_asked_for() -> None:
    printed = []
    for document in yaml.safe_load_all(f"{role_yaml('web')}---\n{cluster_role_yaml('web')}"):
        for rule in document.get("rules", ()):
            where = document["metadata"].get("namespace", "")
            printed.append((where, *rule["apiGroups"], *rule["resources"], tuple(rule["verbs"])))
    assert sorted(printed) == sorted((rule.namespace("web"), rule.group, rule.resource, rule.verbs) for rule in RULES)
    assert {rule.feature for rule in RULES} == {"", *FEATURES}


def test_a_namespace_that_looks_like_a_number_stays_a_name() -> None:
    for document in yaml.safe_load_all(f"{role_yaml('1234')}---\n{cluster_role_yaml('1234')}"):
        assert document["metadata"].get("namespace", "1234") in ("1234", "kube-system")
        assert all(subject["namespace"] == "1234" for subject in document.get("subjects", ()))


def test_accounts_of_two_namespaces_share_roles_and_no_binding() -> None:
    names = [
        {
            document["metadata"]["name"]
            for document in yaml.safe_load_all(cluster_role_yaml(namespace))
            if "roleRef" in document
        }
        for namespace in ("web", "shop")
    ]
    assert len(names[0]) == len(FEATURES)
    assert not names[0] & names[1]


def test_manifests_rbac(tmp_path: Path) -> None:
    done = dnslab("manifests", "rbac", "--namespace", "web", cwd=tmp_path, KUBECONFIG=str(tmp_path / "none"))
    assert done.returncode == 0, done
    both = [document for text in (role_yaml("web"), cluster_role_yaml("web")) for document in yaml.safe_load_all(text)]
    assert list(yaml.safe_load_all(done.stdout)) == both
    assert re.search(r"(?m)^---\n# From here on optional", done.stdout)
    with pytest.raises(UsageError):
        role_yaml("web}\n---\nkind: ClusterRole")


def test_options_of_a_cluster_are_for_one(tmp_path: Path) -> None:
    done = dnslab("doctor", "--namespace", "web", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: --namespace is for --backend kubernetes\n")


class Account:
    """A ServiceAccount with the printed Role, and dnslab as that account."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace, self._folder = namespace, folder
        kubectl("apply", "-f", "-", inp=role_yaml(namespace))
        self.token = kubectl("-n", namespace, "create", "token", "dnslab").strip()
        self.kubeconfig = kubeconfig(folder / "kubeconfig", self.token)
        assert self.kubeconfig.stat().st_mode & 0o777 == 0o600

    def dnslab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = ("--namespace", self.namespace)
        done = dnslab(*arguments, *where, cwd=self._folder, KUBECONFIG=str(self.kubeconfig))
        assert self.token not in done.stdout + done.stderr
        return done

    def doctor_says(self, missing: list[str]) -> subprocess.CompletedProcess[str]:
        """Ask until the rights missing are these: RBAC takes a moment."""
        deadline_s = time.monotonic() + RBAC_WITHIN_S
        while (done := self.dnslab(*DOCTOR)) and lines(done, "MISSING") != missing:
            assert time.monotonic() < deadline_s, done
            time.sleep(0.5)
        return done


def lines(done: subprocess.CompletedProcess[str], word: str) -> list[str]:
    """Resources on the lines that begin with ``word`` and speak of a right."""
    return re.findall(rf"(?m)^{word} +right[^:]*: (\S+)", done.stdout)


@pytest.fixture(scope="module")
def account(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with fresh_namespace() as client:
        yield Account(client.namespace, tmp_path_factory.mktemp("account"))


@pytest.mark.cluster
def test_the_printed_role_is_enough(account: Account) -> None:
    """For doctor, and for a whole run of own pods."""
    done = account.doctor_says([])
    assert done.returncode == 0, done
    assert done.stdout.startswith(f"cluster: context dnslab, namespace {account.namespace}, https://")
    assert lines(done, "ok") == [rule.resource for rule in NEEDED]
    assert lines(done, "no") == [rule.resource for rule in RULES if not rule.needed]
    assert re.search(r"(?m)^ok +server: v1\.\d+", done.stdout)
    assert re.search(r"(?m)^no +namespace: not seen: .*forbidden", done.stdout)
    assert re.search(r"(?m)^ok +own pod: would be let in \(", done.stdout)
    needed, optional, text = done.stdout.partition(str(APPLY_FOR_DIAGNOSE))
    assert optional
    assert "kind:" not in needed
    second = [rule for rule in RULES if rule.feature == DIAGNOSE]
    assert [rule["resources"] for rule in granted(text)] == [[rule.resource] for rule in second]

    ran = account.dnslab(*RUN)
    assert ran.returncode == 0, ran
    assert re.search(r"(?m)^run: ", ran.stdout)
    left = kubectl("-n", account.namespace, "get", "pods,configmaps", "-l", "app.kubernetes.io/managed-by=dnslab")
    assert left == ""


RUN: tuple[str, ...] = ("run", "--backend", "kubernetes", "--image", "dnslab.test/glibc:1", "--variants", "baseline")
RUN += ("--rounds", "1", "-d", "1", "--rate", "20", "--name", "kubernetes.default.svc.cluster.local.")
#: resource -> a command that the API server refuses without it
BREAKS = {
    **dict.fromkeys(("pods/exec", "configmaps"), RUN),
    "daemonsets": (*RUN[:3], "--like", "daemonset/web"),
}


#: rules that a run misses in different ways; the others are looked at by the same lines
TAKEN_AWAY = [rule for rule in NEEDED if rule.resource in ("pods/exec", "configmaps", "daemonsets", "events")]


@pytest.mark.cluster
@pytest.mark.parametrize("without", TAKEN_AWAY, ids=[rule.resource for rule in TAKEN_AWAY])
def test_doctor_names_the_rule_that_is_not_there(without: Rule, account: Account) -> None:
    """And prints it as YAML which, applied as it stands, mends it."""
    made = list(yaml.safe_load_all(role_yaml(account.namespace)))
    rules = [rule for rule in made[1]["rules"] if rule["resources"] != [without.resource]]
    assert len(rules) == len(NEEDED) - 1
    kubectl("apply", "-f", "-", inp=yaml.safe_dump({**made[1], "rules": rules}))
    try:
        done = account.doctor_says([without.resource])
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        assert "own pod" not in done.stdout
        mends = done.stdout.partition("\n---\n")[2].partition(str(APPLY_FOR_DIAGNOSE))[0]
        assert granted(mends) == [
            {"apiGroups": [without.group], "resources": [without.resource], "verbs": list(without.verbs)}
        ]
        if without.resource in BREAKS:
            broken = account.dnslab(*BREAKS[without.resource])
            assert broken.returncode == 3, broken
            assert f'resource "{without.resource}" in API group "{without.group}"' in broken.stderr
            assert broken.stderr.count("\n") == 1
        kubectl("apply", "-f", "-", inp=mends)
        assert account.doctor_says([]).returncode == 0
        kubectl("delete", "-f", "-", inp=mends)
    finally:
        kubectl("apply", "-f", "-", inp=role_yaml(account.namespace))


@pytest.mark.cluster
def test_a_single_verb_is_named(account: Account) -> None:
    made = list(yaml.safe_load_all(role_yaml(account.namespace)))[1]
    for rule in made["rules"]:
        rule["verbs"] = [verb for verb in rule["verbs"] if (rule["resources"], verb) != (["pods/exec"], "create")]
    kubectl("apply", "-f", "-", inp=yaml.safe_dump(made))
    try:
        assert "; lacks create\n" in account.doctor_says(["pods/exec"]).stdout
    finally:
        kubectl("apply", "-f", "-", inp=role_yaml(account.namespace))


@pytest.mark.cluster
def test_with_the_optional_parts_nothing_is_denied(namespace: str, tmp_path: Path) -> None:
    account = Account(namespace, tmp_path)
    optional = cluster_role_yaml(namespace)
    kubectl("-n", namespace, "create", "quota", "few", "--hard=pods=7")
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("apply", "-f", "-", inp=optional)
    try:
        deadline_s = time.monotonic() + RBAC_WITHIN_S
        while (done := account.dnslab(*DOCTOR)) and lines(done, "no") and time.monotonic() < deadline_s:
            time.sleep(0.5)
        assert done.returncode == 0, done
        assert lines(done, "ok") == [rule.resource for rule in RULES]
        assert f"namespace: {namespace} is there, pod security restricted enforced\n" in done.stdout
        assert re.search(r"quota: few: \d of 7 pods\n", done.stdout)
        assert "own pod: would be let in (" in done.stdout
        done = dnslab("node-cache", "status", cwd=tmp_path, KUBECONFIG=str(account.kubeconfig))
        assert done.returncode == 0, done
        assert [line.partition(" (")[0] for line in done.stdout.splitlines() if "not seen" in line] == [
            "not seen: kube-proxy's mode"
        ]
        as_account = ("--field-manager=dnslab", f"--as=system:serviceaccount:{namespace}:dnslab", "-f", "-")
        manifest = node_cache_manifest("a:1", ["169.254.20.10"], ["any.test"], {"a": "b"})
        output = kubectl("apply", "--server-side", "--dry-run=server", *as_account, inp=manifest)
        assert output.count("serverside-applied (server dry run)") == 4
    finally:
        kubectl("delete", "-f", "-", inp=optional)


@pytest.mark.cluster
def test_a_namespace_that_is_not_there_or_lets_no_pod_in(namespace: str, tmp_path: Path) -> None:
    done = dnslab(*DOCTOR, "--namespace", "nowhere-at-all", cwd=tmp_path)
    assert done.returncode == 3
    assert "MISSING  namespace: there is no namespace nowhere-at-all: `kubectl create namespace" in done.stdout
    assert "own pod" not in done.stdout
    kubectl("-n", namespace, "create", "quota", "none", "--hard=pods=0")
    deadline_s = time.monotonic() + RBAC_WITHIN_S
    while (done := dnslab(*DOCTOR, "--namespace", namespace, cwd=tmp_path)).returncode == 0:
        assert time.monotonic() < deadline_s
        time.sleep(0.5)
    assert done.returncode == 3
    assert re.search(r"(?m)^MISSING  own pod: cannot make a pod .*exceeded quota: none", done.stdout)
    assert done.stderr == f"error: cannot measure in namespace {namespace}: see what is missing above\n"


def written(folder: Path, **changes: Any) -> Path:
    """A kubeconfig for no cluster at all."""
    path = kubeconfig_of("https://127.0.0.1:1", "secret-of-this-test", folder / "config")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def kubeconfig_of(server: str, token: str, path: Path, **cluster: str) -> Path:
    path.touch(mode=0o600)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "here", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
    }
    path.write_text(json.dumps(config))
    return path


NO_WAY: dict[str, tuple[Callable[[Path], Path], tuple[str, ...], int, str]] = {
    "no file": (lambda at: at / "none", (), 3, "no usable kubeconfig"),
    "a folder": (lambda at: at, (), 3, "no usable kubeconfig"),
    "an empty file": (lambda at: text(at, ""), (), 3, "no usable kubeconfig"),
    "not YAML": (lambda at: text(at, "{a: ["), (), 3, "no usable kubeconfig"),
    "not a mapping": (lambda at: text(at, "just a note\n"), (), 3, "no usable kubeconfig"),
    "a mapping of something else": (lambda at: text(at, "a: 1\n"), (), 3, "no usable kubeconfig"),
    "not text": (lambda at: text(at, "\0\1\2"), (), 3, "no usable kubeconfig"),
    "no current context": (lambda at: written(at, **{"current-context": ""}), (), 3, "no usable kubeconfig"),
    "a current context that is not there": (lambda at: written(at, **{"current-context": "b"}), (), 3, "kubeconfig"),
    "no clusters": (lambda at: written(at, clusters=[]), (), 3, "no usable kubeconfig"),
    "unknown context": (written, ("--context", "there"), 2, "no context 'there' in"),
    "closed port": (written, (), 3, "cannot reach the API server: no answer"),
    "no such host": (lambda at: kubeconfig_of("https://nowhere.invalid:6443", "x", at / "c"), (), 3, "no answer"),
}


def text(folder: Path, content: str) -> Path:
    path = folder / "config"
    path.write_text(content)
    return path


@pytest.mark.parametrize("case", NO_WAY)
def test_no_way_to_a_cluster(case: str, tmp_path: Path) -> None:
    make, arguments, status, says = NO_WAY[case]
    began_s = time.monotonic()
    done = dnslab(*DOCTOR, *arguments, cwd=tmp_path, KUBECONFIG=str(make(tmp_path)))
    assert done.returncode == status, done
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert "secret-of-this-test" not in done.stderr
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize("n_before", [0, 2], ids=["says nothing", "takes no connection"])
def test_a_server_that_never_answers_is_named_in_time(n_before: int, tmp_path: Path) -> None:
    """With its queue full the kernel drops what asks for a connection, as a firewall does."""
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0 if n_before else 8))
        for _ in range(n_before):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(silent.getsockname())
        server = f"https://user:secret-of-this-test@127.0.0.1:{silent.getsockname()[1]}"
        config = kubeconfig_of(server, "x", tmp_path / "c")
        began_s = time.monotonic()
        done = dnslab("--debug", *DOCTOR, cwd=tmp_path, KUBECONFIG=str(config))
        assert time.monotonic() - began_s < 10
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("error: cannot reach the API server: no answer")
    assert "secret-of-this-test" not in done.stderr + done.stdout


@pytest.mark.cluster
def test_a_token_that_is_refused(namespace: str, tmp_path: Path) -> None:
    """One that never was, and one whose account has gone; neither is in the output, not even with a traceback."""
    kubectl("-n", namespace, "create", "serviceaccount", "gone")
    gone = kubectl("-n", namespace, "create", "token", "gone").strip()
    kubectl("-n", namespace, "delete", "serviceaccount", "gone")
    deadline_s = time.monotonic() + 30
    for token in (secrets.token_hex(20), gone):
        config = kubeconfig(tmp_path / "config", token)
        while (done := dnslab("--debug", *DOCTOR, cwd=tmp_path, KUBECONFIG=str(config))).returncode == 0:
            assert time.monotonic() < deadline_s, "the token of an account that has gone still holds"
            time.sleep(1)
        assert done.returncode == 3
        assert done.stderr.splitlines()[-1].startswith(
            "error: cannot reach the API server: the credentials are refused, expired perhaps"
        )
        assert token not in done.stdout + done.stderr


#: where the official client looks for a pod's own credentials
IN_POD = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.mark.cluster
def test_in_a_pod_its_own_credentials_are_used(account: Account, tmp_path: Path) -> None:
    """In a mount namespace of its own, which has the files of a pod where a pod has them."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and unshare to put files where a pod has them")
    admin = connect()
    (tmp_path / "token").write_text(account.token)
    (tmp_path / "namespace").write_text(account.namespace)
    (tmp_path / "ca.crt").write_bytes(Path(admin.configuration.ssl_ca_cert).read_bytes())
    host, _, port = admin.server.removeprefix("https://").partition(":")
    enter = f'mount -t tmpfs none /run && mkdir -p {IN_POD} && cp "$0"/* {IN_POD} && exec "$@"'
    env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    env |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "HOME": str(tmp_path)}
    command = [sys.executable, "-c", "from dnslab.cli import main; main()", *DOCTOR]

    def doctor() -> subprocess.CompletedProcess[str]:
        argv = ["unshare", "--mount", "sh", "-c", enter, str(tmp_path), *command]
        return subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    done = doctor()
    assert done.returncode == 0, done
    assert done.stdout.startswith(f"cluster: context in-cluster, namespace {account.namespace}, {admin.server}\n")
    assert lines(done, "ok") == [rule.resource for rule in NEEDED]
    assert account.token not in done.stdout + done.stderr
    (tmp_path / "token").unlink()
    done = doctor()
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith("error: no credentials in this pod")
    assert not Path(IN_POD).exists()
