"""A stranger's plan, folder, pod or cluster: nothing in it is run by a shell, and each field is what it says it is."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslab.errors import InvalidPlan, UsageError
from dnslab.experiment.compare import SAMPLE
from dnslab.measure.lab.backend import BASELINE, LabBackend
from dnslab.measure.protocol import Client
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load, Plan
from dnslab.plan.planfile import load
from dnslab.plan.resolvconf import FLAGS, check_domain, is_address, render
from dnslab.plan.variants import Variant
from tests.cli.test_cli import dnslab

pytest.importorskip("kubernetes")

from dnslab.measure.kubernetes.node_cache.detect import bound_in, listens_on
from dnslab.measure.kubernetes.node_cache.manifest import node_cache_manifest
from dnslab.measure.kubernetes.pods import resolv_conf as edit, upload
from dnslab.measure.kubernetes.pods.shell import octal, word

SHELLS = [[found] for name in ("sh", "bash") if (found := shutil.which(name))]
SHELLS += [[found, "sh"] for name in ("busybox",) if (found := shutil.which(name))]


def attacks(marker: Path) -> list[str]:
    """Texts that would make ``marker`` in a shell that took them for its own."""
    touch = f"touch {marker}"
    return [
        f"x\nEND_OF_FILE\n{touch}\ncat <<'END_OF_FILE'\n",
        f"x\nE\n{touch}\n",
        f"$({touch})",
        f"`{touch}`",
        f"';{touch};'",
        f'";{touch};"',
        f"x;{touch}",
        f"x|{touch}",
        f"x\n{touch}",
        f"x\r\n{touch}\r\n",
        f"\x1b]0;x\x07;{touch}",
        f"\u202e;{touch}",
        f"%s%n\\n\\0{touch}",
        f"{{{{{touch}}}}} $HOME ${{HOME}} ~ * ? [a]",
    ]


#: where a plan has a text: a YAML value in which VALUE stands for it
FIELDS = {
    "name": "VALUE",
    "backend": "VALUE",
    "nameserver": "VALUE",
    "fault": "VALUE",
    "fault.each": {"fault": ["race", "VALUE"]},
    "fault.name": {"fault": {"name": "VALUE"}},
    "fault.also": {"fault": {"name": "race", "also": [{"name": "VALUE"}]}},
    "fault.parameters": {"fault": {"name": "race", "parameters": {"VALUE": 1}}},
    "targets": ["VALUE"],
    "targets.name": {"targets": [{"name": "VALUE"}]},
    "targets.variants": {"targets": [{"name": "glibc", "variants": ["VALUE"]}]},
    "variants": ["VALUE"],
    "custom_variants.name": {"custom_variants": {"VALUE": {}}},
    "custom_variants.options": {"custom_variants": {"x": {"options": ["VALUE"]}}},
    "custom_variants.options.ndots": {"custom_variants": {"x": {"options": ["ndots:VALUE"]}}},
    "custom_variants.nameservers": {"custom_variants": {"x": {"nameservers": ["VALUE"]}}},
    "custom_variants.nameservers.zone": {"custom_variants": {"x": {"nameservers": ["fe80::1%VALUE"]}}},
    "custom_variants.search": {"custom_variants": {"x": {"search": ["VALUE"]}}},
    "names": ["VALUE"],
    "expect": {"names": ["a.test"], "expect": {"a.test": ["VALUE"]}},
    "loads.engine": {"loads": [{"engine": "VALUE"}]},
    "loads.loop": {"loads": [{"loop": "VALUE"}]},
    "schedule": "VALUE",
    "cluster.namespace": {"cluster": {"namespace": "VALUE"}},
    "cluster.images": {"cluster": {"images": ["VALUE"]}},
    "cluster.like": {"cluster": {"like": "deploy/VALUE"}},
    "cluster.nodes": {"cluster": {"nodes": "VALUE"}},
    "cluster.container": {"cluster": {"existing": "app=x", "container": "VALUE"}},
    "cluster.node_local": {"cluster": {"node_local": "VALUE"}},
    "cluster.debug_image": {"cluster": {"existing": "app=x", "debug_image": "VALUE"}},
}
#: one line of free text: control and bidirectional characters are refused, the rest is only ever shown or quoted
LINES = {
    "custom_variants.summary": {"custom_variants": {"x": {"summary": "VALUE"}}},
    "verifies.run": {"verifies": {"run": "VALUE", "trouble": "stalls", "count": 1, "n": 2}},
    "cluster.context": {"cluster": {"context": "VALUE"}},
    "cluster.existing": {"cluster": {"existing": "VALUE"}},
}


def with_value(field: str, shape: object, value: str) -> str:
    """A plan's YAML with ``value`` in that field."""

    def filled(node: object) -> object:
        if isinstance(node, dict):
            return {filled(key): filled(one) for key, one in node.items()}
        if isinstance(node, list):
            return [filled(one) for one in node]
        return node.replace("VALUE", value) if isinstance(node, str) else node

    return yaml.safe_dump(filled(shape if isinstance(shape, dict) else {field: shape}))


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_of_a_plan_is_what_it_says(field: str, tmp_path: Path) -> None:
    for value in attacks(tmp_path / "X"):
        with pytest.raises(UsageError) as caught:
            load(with_value(field, FIELDS[field], value))
        assert str(caught.value).isprintable(), str(caught.value)


def test_of_a_resolv_conf_only_what_was_checked_is_used(tmp_path: Path) -> None:
    for value in attacks(tmp_path / "X"):
        text = f"nameserver 10.0.0.1\nnameserver {value}\nsearch a.test {value}\noptions {value}\n{value}\n"
        shape = {"custom_variants": {"x": {"resolv_conf": "VALUE"}}}
        try:
            variant = load(with_value("x", shape, text)).variant("x")
        except UsageError:
            continue
        assert variant.whole is not None
        assert all(map(is_address, variant.whole.nameservers))
        assert set(variant.whole.flags) <= set(FLAGS)
        for domain in variant.whole.search:
            check_domain(domain)


@pytest.mark.parametrize("field", LINES)
def test_a_line_of_text_is_one_line(field: str, tmp_path: Path) -> None:
    for value in attacks(tmp_path / "X"):
        text = f"backend: kubernetes\n{with_value(field, LINES[field], value)}"
        if value.isprintable():
            assert load(load(text).to_yaml()) == load(text)
        else:
            with pytest.raises(InvalidPlan, match="expected one line of printable characters"):
                load(text)


def test_honest_values_of_those_fields_pass() -> None:
    plan = load(
        yaml.safe_dump(
            {
                "backend": "kubernetes",
                "nameserver": "10.0.0.1:5353",
                "targets": ["web-7c9f6d5b8-xk2vq@ip-10-120-33-214.eu-central-1.compute.internal"],
                "variants": ["baseline", "node-local+single-request-reopen", "my_own.2"],
                "custom_variants": {
                    "my_own.2": {
                        "options": ["ndots:1", "use-vc"],
                        "nameservers": ["10.96.0.10", "fd00::10", "fe80::1%eth0"],
                        "search": [".", "corp.test", "_tcp.Shop-2.test."],
                        "summary": "straße, 東京: `x` $(y)",
                    }
                },
                "names": ["kubernetes.default", "_sip._tcp.x.test", "xn--bcher-kva.test."],
                "cluster": {
                    "context": "arn:aws:eks:eu-central-1:1:cluster/prod (old)",
                    "namespace": "team-a",
                    "images": ["r.test:5000/team/web@sha256:0f", "debian:stable-slim"],
                },
            }
        )
    )
    assert load(plan.to_yaml()) == plan


@pytest.mark.parametrize(
    "text", ["no-ip", "1.2.3", "10.0.0.1%eth0", "fe80::1%", "fe80::1%a b", "::1\n", "10.0.0.1 ", ""]
)
def test_what_is_no_address(text: str) -> None:
    assert not is_address(text)


def test_a_number_of_thousands_of_digits_is_a_large_one() -> None:
    """In an option: Python itself refuses to read it."""
    text = yaml.safe_dump({"custom_variants": {"x": {"options": [f"timeout:{'9' * 5001}"]}}})
    assert load(text).custom_variants["x"].variant("x").timeout_s == 10**9


@pytest.mark.lab
def test_the_lab_writes_a_search_list_and_runs_none(tmp_path: Path) -> None:
    """Even one that got past the plan."""
    with contextlib.closing(LabBackend(FaultPlan(name="none"))) as lab:
        for text in attacks(tmp_path / "X"):
            variant = Variant("evil", "", search=(text,), nameservers=(text,))
            with contextlib.closing(lab.open(Client("x", "glibc", variant, Load(), ()))) as target:
                written = render(variant.applied_to(BASELINE))
                assert target.facts().resolv_conf == written.replace("\r\n", "\n")
    assert not (tmp_path / "X").exists()


@pytest.mark.lab
def test_a_received_plan_or_folder_runs_nothing(tmp_path: Path) -> None:
    for number, value in enumerate(attacks(tmp_path / "X")):
        variants = {"variants": ["baseline", "evil"], "custom_variants": {"evil": {"search": [value]}}}
        plan = tmp_path / f"{number}.yaml"
        plan.write_text(yaml.safe_dump({**variants, "rounds": 1, "loads": [{"duration_s": 0.1, "warmup_s": 0}]}))
        folder = tmp_path / f"run-{number}"
        shutil.copytree(SAMPLE, folder)
        mine = yaml.safe_load((folder / "plan.yaml").read_text())
        (folder / "plan.yaml").write_text(yaml.safe_dump({**mine, **variants}))
        # One each of the two takes the time: which of them does not matter.
        argv = ["run", str(plan)] if number % 2 else ["run", "--resume", str(folder)]
        done = dnslab(*argv, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2 if number % 2 else 4, "")
        assert "custom_variants.evil.search" in done.stderr
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: Path(argv[0]).name)
def test_a_value_in_a_shells_command_stays_a_value(shell: list[str], tmp_path: Path) -> None:
    for text in [*attacks(tmp_path / "X"), "a\nb", "ü\\101%d", "-n", "'", '"', "\\"]:
        asked = subprocess.run([*shell, "-c", f"printf %s {word(text)}"], capture_output=True, check=True)
        assert asked.stdout.decode() == text.rstrip("\n")
    every = bytes(range(1, 256)) * 2
    asked = subprocess.run([*shell, "-c", f"printf '{octal(every)}'"], capture_output=True, check=True)
    assert asked.stdout == every
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: Path(argv[0]).name)
def test_a_pods_own_texts_run_nothing(shell: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its resolv.conf, which is written back, and where its volumes are mounted."""
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(edit, "RESOLV_CONF", str(file))
    for text in attacks(tmp_path / "X"):
        subprocess.run([*shell, "-c", edit._writing(text)], check=True)
        assert file.read_bytes() == text.encode()
        places = f"for d in {upload.candidates([text])}; do printf '%s|' \"$d\"; done"
        found = subprocess.run([*shell, "-c", places], capture_output=True, check=True)
        assert found.stdout.decode().startswith(f"{text.rstrip('/') or '/'}".rstrip("\n") + "|/tmp|")
    assert not (tmp_path / "X").exists()


def test_a_clusters_texts_make_no_line_of_a_manifest(tmp_path: Path) -> None:
    for text in attacks(tmp_path / "X"):
        hostile_fields: tuple[dict[str, Any], ...] = (
            {"addresses": [text]},
            {"addresses": [f"fe80::1%{text}"]},
            {"zones": [text]},
            {"stub_domains": {text: []}},
        )
        for changed in hostile_fields:
            arguments = {
                "image": "r.test/nc:1",
                "addresses": ["169.254.20.10"],
                "zones": ["cluster.local"],
                "selector": {},
                **changed,
            }
            with pytest.raises(UsageError):
                node_cache_manifest(**arguments)
        made = list(yaml.safe_load_all(node_cache_manifest(text, ["169.254.20.10"], ["cluster.local"], {text: text})))
        assert made[-1]["spec"]["template"]["spec"]["containers"][0]["image"] == text
        assert len(made) == 4
        bound = bound_in({"data": {"Corefile": f".:53 {{\n    bind 169.254.20.10 {text}\n}}"}})
        assert bound == ["169.254.20.10"]
        cache = {"spec": {"template": {"spec": {"containers": [{"args": ["-localip", f"169.254.20.10,{text}"]}]}}}}
        assert listens_on(None, cache) == ["169.254.20.10"]  # type: ignore[arg-type]


def test_the_hostile_fields_are_all_there_are() -> None:
    """A new field with a text in it has to be thought of here."""
    texts = {field.partition(".")[0] for field in (*FIELDS, *LINES)}
    numbers = {"version", "rounds", "seed", "limit_ms", "deadline_s", "limits"}
    assert set(Plan.model_fields) == texts | numbers
