"""remedies: the patches as text and as a cluster takes them, and the caveats by libc."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslab.errors import UsageError
from dnslab.plan.model import CustomVariant
from dnslab.plan.remedies import ClusterDns, Remedy, Workload, pod_dns, pod_dns_before, remedy
from dnslab.plan.resolvconf import Libc
from dnslab.plan.variants import BUILT_IN, Variant, find

CLUSTER_BIN = Path(os.environ.get("DNSLAB_CLUSTER_DIR", "~/.cache/dnslab-cluster")).expanduser() / "bin"
ENV = {**os.environ, "PATH": f"{CLUSTER_BIN}:{os.environ['PATH']}"}
WEB = Workload("deploy/web", "shop", "blue", "app")
DNS = ClusterDns("10.96.0.10", "cluster.local")


def patch_of(command: str) -> Any:
    """The pod spec that a printed kubectl command merges."""
    words = shlex.split(command)
    assert words[0] == "kubectl"
    return json.loads(words[words.index("-p") + 1])["spec"]["template"]["spec"]


def said(variant: str, libc: Libc | None = None, version: str = "", workload: Workload = WEB) -> str:
    return "\n".join(remedy(find(variant), workload, DNS, libc, version).caveats)


def test_the_command_for_an_option() -> None:
    form = remedy(find("single-request-reopen"), WEB, DNS).forms[0]
    options = '{"dnsConfig":{"options":[{"name":"single-request-reopen"}]}}'
    begin = "kubectl --context blue -n shop patch deploy/web --type strategic -p"
    assert form.apply == (f'{begin} \'{{"spec":{{"template":{{"spec":{options}}}}}}}\'',)
    assert form.undo == (f'{begin} \'{{"spec":{{"template":{{"spec":{{"dnsConfig":null}}}}}}}}\'',)
    assert yaml.safe_load(form.text)["spec"]["template"]["spec"] == patch_of(form.apply[0])


def test_node_local_names_all_that_dns_policy_none_leaves_out() -> None:
    assert pod_dns(find("node-local+single-request-reopen"), WEB, DNS) == {
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": ["169.254.20.10"],
            "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
            "options": [{"name": "ndots", "value": "5"}, {"name": "single-request-reopen"}],
        },
    }


def test_what_the_workload_has_is_kept_and_comes_back() -> None:
    had = {"options": [{"name": "timeout", "value": "2"}, {"name": "ndots", "value": "3"}], "searches": ["corp.test"]}
    workload = Workload("deploy/web", "shop", dns_config=had)
    patched = pod_dns(find("timeout-1"), workload, DNS)
    assert patched["dnsConfig"]["options"] == [
        {"name": "timeout", "value": "1"},
        {"name": "ndots", "value": "3"},
        {"name": "attempts", "value": "3"},
    ]
    assert pod_dns_before(patched, workload) == {"dnsConfig": {"options": had["options"]}}
    local = pod_dns(find("node-local"), workload, DNS)
    assert local["dnsConfig"]["searches"][-1] == "corp.test"
    assert local["dnsConfig"]["options"][0] == {"name": "ndots", "value": "3"}
    assert pod_dns_before(local, workload) == {
        "dnsPolicy": "ClusterFirst",
        "dnsConfig": {"nameservers": None, "searches": ["corp.test"], "options": had["options"]},
    }


def test_a_variant_of_the_plan() -> None:
    """A search list can only be replaced under dnsPolicy None, which then needs the cluster's nameserver."""
    variant = CustomVariant(options=("ndots:2", "edns0"), search=("shop.svc.cluster.local",)).variant("mine")
    assert pod_dns(variant, WEB, DNS) == {
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": ["10.96.0.10"],
            "searches": ["shop.svc.cluster.local"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        },
    }
    hook = yaml.safe_load(remedy(variant, WEB, DNS).forms[1].text)["spec"]["template"]["spec"]["containers"][0]
    command = hook["lifecycle"]["postStart"]["exec"]["command"]
    assert command[3:] == ["sh", "options edns0 ndots:2", "search shop.svc.cluster.local"]
    assert "shop" not in command[2]


def test_the_hook_writes_its_lines_and_runs_none(tmp_path: Path) -> None:
    """Even where the search list of a variant holds what a shell would run."""
    evil = f"$(touch {tmp_path}/X)`touch {tmp_path}/X`';touch {tmp_path}/X;'"
    patched = yaml.safe_load(remedy(Variant("evil", "", search=(evil,)), WEB, DNS).forms[1].text)
    hook = patched["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["postStart"]["exec"]["command"]
    file = tmp_path / "resolv.conf"
    subprocess.run([word.replace("/etc/resolv.conf", str(file)) for word in hook], check=True)
    assert file.read_text() == f"search {evil}\n"
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize("name", ["single-request", "single-request-reopen", "use-vc", "no-aaaa"])
def test_for_musl_there_is_no_patch_but_what_would_help(name: str) -> None:
    found = remedy(find(name), WEB, DNS, "musl")
    assert not found.forms
    assert f"not applicable: musl ignores {name}: a patch would change nothing" in str(found)
    assert "--variant node-local" in str(found)
    assert "image with glibc" in str(found)
    assert "kubectl" not in str(found)


def test_for_an_older_glibc_there_is_no_patch_either() -> None:
    found = remedy(find("no-aaaa"), WEB, DNS, "glibc", "2.31-13+deb11u11")
    assert not found.forms
    assert "no-aaaa needs glibc 2.36, but the target has 2.31-13+deb11u11: a patch would change nothing" in str(found)


def test_caveats_follow_the_libc() -> None:
    assert "Over TCP, glibc has no time limit" in said("use-vc", "glibc")
    assert "musl" not in said("use-vc", "glibc")
    assert "musl (Alpine) ignores use-vc" in said("use-vc")
    assert "glibc 2.36 or later" in said("no-aaaa")
    assert "bug 30081" in said("single-request", "glibc")
    assert "bug 30081" not in said("single-request-reopen", "glibc")
    assert "fails after 1 s" in said("timeout-1", "musl")
    assert "fails after 1 s" not in said("timeout-1", "glibc")
    assert "is no longer found" in said("ndots-1", "musl")
    assert "is no longer found" not in said("ndots-1", "glibc")
    assert "Alpine uses musl" in said("use-vc", workload=Workload(image="shop/web:3.2-alpine"))
    assert "node-cache status" in said("node-local", "musl")


def forms(found: Remedy) -> str:
    return ",".join(form.title.split()[1] for form in found.forms)


def test_which_forms_there_are() -> None:
    """A nameserver cannot be appended; the kubelet sets nameservers only; absolute is the program's own business."""
    expected = dict.fromkeys(BUILT_IN, "dnsConfig,a") | {"absolute": ""}
    expected |= {"node-local": "dnsConfig,the", "node-local+single-request-reopen": "dnsConfig,the"}
    expected["root-first"] = "dnsConfig"  # a hook that appends cannot put an entry first
    del expected["baseline"]
    assert {name: forms(remedy(find(name), WEB, DNS)) for name in expected} == expected
    assert "--cluster-dns=169.254.20.10" in str(remedy(find("node-local"), WEB, DNS))
    with pytest.raises(UsageError, match="baseline changes nothing"):
        remedy(find("baseline"))


def test_a_hook_that_is_there_is_not_overwritten() -> None:
    busy = Workload("deploy/web", "shop", container="app", lifecycle={"postStart": {"exec": {"command": ["/warm"]}}})
    hook = remedy(find("use-vc"), busy, DNS).forms[1]
    assert hook.apply == ("# also run: echo 'options use-vc' >> /etc/resolv.conf",)
    stopping = Workload("deploy/web", "shop", container="app", lifecycle={"preStop": {"exec": {"command": ["/stop"]}}})
    undone = patch_of(remedy(find("use-vc"), stopping, DNS).forms[1].undo[0])
    assert undone == {"containers": [{"name": "app", "lifecycle": {"postStart": None}}]}


def test_a_workload_as_the_api_gives_it() -> None:
    pod = {
        "dnsPolicy": "ClusterFirst",
        "securityContext": {"runAsUser": 1000},
        "containers": [{"name": "app", "image": "web:1", "securityContext": {"readOnlyRootFilesystem": True}}],
    }
    found = Workload.of("deploy/web", "shop", None, {"spec": pod})
    assert (found.container, found.image, found.non_root, found.read_only) == ("app", "web:1", True, True)
    assert "It would fail here" in remedy(find("use-vc"), found, DNS).forms[1].caveats[0]


def dnslab(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from dnslab.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_fix_without_a_workload_needs_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    done = dnslab("fix", "--variant", "use-vc", "--namespace", "shop")
    assert done.returncode == 0
    assert "kubectl -n shop patch deploy/NAME" in done.stdout
    assert "Nothing has been changed." in done.stdout
    wrong = dnslab("fix", "--variant", "use-cv")
    assert (wrong.returncode, wrong.stderr) == (2, "error: unknown variant 'use-cv': did you mean 'use-vc'?\n")


# ---- on a cluster

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      dnsConfig: {options: [{name: attempts, value: "4"}]}
      containers:
      - {name: app, image: "dnslab.test/glibc:1", imagePullPolicy: IfNotPresent}
"""


class Web:
    """A Deployment with one pod, changed by printed commands alone."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._kubectl("apply", "-f", "-", given=DEPLOYMENT)
        self.rolled_out()

    def _kubectl(self, *words: str, given: str | None = None) -> str:
        command = ["kubectl", "-n", self.namespace, *words]
        return subprocess.run(command, env=ENV, input=given, capture_output=True, text=True, check=True).stdout

    def rolled_out(self) -> None:
        self._kubectl("rollout", "status", "deploy/web", "--timeout=90s")

    def template(self) -> Any:
        return json.loads(self._kubectl("get", "deploy/web", "-o", "json"))["spec"]["template"]

    def resolv_conf(self) -> str:
        """Of its newest pod: the one before may not be gone yet."""
        names = self._kubectl("get", "pods", "--sort-by=.metadata.creationTimestamp", "-o", "name").split()
        return self._kubectl("exec", names[-1], "--", "cat", "/etc/resolv.conf")

    def run(self, command: str) -> None:
        subprocess.run(["sh", "-c", command], env=ENV, check=True, capture_output=True)
        self.rolled_out()

    def commands(self, variant: str) -> dict[str, list[str]]:
        """What `dnslab fix` prints, by title: the command that applies and the one that undoes."""
        done = dnslab("fix", "--variant", variant, "--workload", "deploy/web", "--namespace", self.namespace)
        assert done.returncode == 0, done.stderr
        parts = re.split(r"^== ", done.stdout, flags=re.MULTILINE)
        return {part.split()[1]: [line for line in part.splitlines() if line.startswith("kubectl ")] for part in parts}


@pytest.fixture
def web(namespace: str) -> Web:
    return Web(namespace)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("variant", "form", "expected"),
    [
        ("single-request-reopen", "dnsConfig", ["attempts:4", "ndots:5", "single-request-reopen"]),
        ("single-request-reopen", "a", ["attempts:4", "ndots:5", "single-request-reopen"]),
        ("root-first", "dnsConfig", ["attempts:4", "ndots:5"]),
        ("ndots-1", "dnsConfig", ["attempts:4", "ndots:1"]),
    ],
)
def test_the_printed_patch_works_and_the_undo_restores(web: Web, variant: str, form: str, expected: list[str]) -> None:
    template, before = web.template(), web.resolv_conf()
    apply, undo = web.commands(variant)[form]
    assert web.template() == template  # fix itself changes nothing
    web.run(apply)
    lines = [line.split() for line in web.resolv_conf().splitlines()]
    assert sorted(word for words in lines if words[0] == "options" for word in words[1:]) == expected
    assert [words[1] for words in lines if words[0] == "nameserver"] == ["10.96.0.10"]
    usual = [f"{web.namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
    assert [words[1:] for words in lines if words[0] == "search"] == [
        [".", *usual] if variant == "root-first" else usual
    ]
    web.run(undo)
    assert web.template() == template
    assert sorted(web.resolv_conf().split()) == sorted(before.split())  # the kubelet writes options in any order


@pytest.mark.cluster
def test_a_patch_to_a_cache_that_is_not_there_is_refused(web: Web) -> None:
    done = dnslab("fix", "--variant", "node-local", "--workload", "deploy/web", "--namespace", web.namespace)
    assert "not applicable: no node-local cache was found at an address that pods could ask" in done.stdout
    assert "kubectl" not in done.stdout


@pytest.mark.cluster
def test_fix_refuses_what_it_cannot_read(namespace: str) -> None:
    asked = ["fix", "--variant", "use-vc", "--namespace", namespace, "--workload"]
    missing = dnslab(*asked, "deploy/none")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert f"no deploy/none in namespace {namespace}" in missing.stderr
    pod = dnslab(*asked, "pod/web")
    assert pod.returncode == 2
    assert "expected deploy/NAME, sts/NAME or ds/NAME, saw 'pod/web'" in pod.stderr
