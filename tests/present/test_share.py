"""What is handed out: no byte of it names anything, its figures are the run's, and what comes back is not trusted."""

from __future__ import annotations

import io
import json
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow.parquet import ParquetFile

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.errors import DnslabError, RunExists, RunInvalid, RunNotFound
from dnslab.experiment.compare import SAMPLE
from dnslab.explain.findings import findings_of
from dnslab.explain.soundness import examine
from dnslab.measure.witnesses import NO_RIGHT, NOT_IN_THERE
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import CustomVariant, Load, Plan, TargetPlan
from dnslab.plan.schedule import TargetInfo
from dnslab.present import share
from dnslab.present.exports import keep_parquet
from dnslab.store import bundle as bundles
from dnslab.store.redaction import Redactor
from dnslab.store.stream import frame
from tests.cli.test_cli import dnslab
from tests.runs import rows, write_run

NODES = ("ip-10-3-7-21.acme.internal", "worker-b17")
IMAGE = "harbor.acme.example:5000/pay/runner:2.1-rc4"
#: every one must be in the run, and in nothing that is handed out
ORIGINALS = (
    *NODES, "10.3.7.21", "10.77.0.10", "10.77.4.5", "fd00:77::4:5", "FD00:77:0::9", "172.31.9.9", "acme-prod",
    "harbor.acme.example", "pay/runner", "2.1-rc4", "sha256:feedbeef", "payments-eu", "billing.ledger", "ledger",
    "dnslab-5c0ffee5-1", "5c0ffee5", "coredns-7d9f-xq2zt", "europe-west9-b", "k8s.acme.example", "corp-forwarders",
    "checkout-worker", "jdoe", "/home/jdoe/results", "/opt/acme/probe", "quarterly-audit", "stray-pod-q7",
    "system:serviceaccount:payments-eu", "acme.example/fpga", "10.77.0.0/16", "acme", "3232235777", "8812345678901",
    "02:42:ac:11:00:0f", "21.7.3.10.in-addr.arpa", "10.3.7.30", "fe80::42:acff%ens5", "40071234", "zebra",
)  # fmt: skip
NAMES = (
    "billing.ledger.payments-eu", "kubernetes.default", "www.acme.example.", "10.3.7.21", "3232235777.acme.example",
    "21.7.3.10.in-addr.arpa.",
)  # fmt: skip
#: numbers and addresses as kernels, switches and resolvers write them
SEEN = (
    "serial 8812345678901, lladdr 02:42:ac:11:00:0f via fe80::42:acff%ens5 to 10.77.0.10#53, "
    "range 10.3.7.21-10.3.7.30, address 3232235777, zone 21.7.3.10.in-addr.arpa, after 137 of 65535: \x1bzebra"
)

ENVIRONMENT = {
    "context": "acme-prod", "namespace": "payments-eu", "server": "https://k8s.acme.example:6443",
    "run_id": "5c0ffee5", "fresh_clients": True, "n_ports": 28232, "udp_timeout_s": 30, "name": "kubernetes",
    "surroundings": {
        "server_version": "v1.31.4", "context": "acme-prod", "server": "https://k8s.acme.example:6443",
        "nodes": [{"name": node, "zone": "europe-west9-b", "kernel": "6.1.0-9", "os_image": "Debian GNU/Linux 12"}
                  for node in NODES],
        "dns": {
            "service": {"name": "kube-dns", "cluster_ips": ["10.77.0.10", "fd00:77::4:5"], "ports": [{"port": 53}]},
            "zone": "k8s.acme.example",
            "pods": [{"name": "coredns-7d9f-xq2zt", "node": NODES[0], "address": "10.77.4.5", "image": IMAGE,
                      "image_id": f"{IMAGE}@sha256:feedbeef", "version": "1.11.3", "restarts": 2,
                      "limits": {"memory": "170Mi", "acme.example/fpga": "1"}}],
            "corefile": [{"zones": [".:53", "ledger.:5353"], "plugins": ["cache", "forward"],
                          "settings": {"cache": ["30"], "forward": [". 172.31.9.9 /home/jdoe/results"]}}],
        },
        "denied": [
            'cannot list nodes: User "system:serviceaccount:payments-eu:jdoe" cannot list resource "nodes"', SEEN
        ],
    },
    "node_cache": {"state": "detected", "addresses": ["169.254.20.10", "10.77.0.10"], "owns_cluster_ip": True,
                   "evidence": [f"DaemonSet kube-system/node-local-dns ({IMAGE}) on 10.77.0.10: ready, 2 of 2 nodes"]},
    "resolv_conf": "search payments-eu.svc.k8s.acme.example acme\nnameserver 10.77.0.10\noptions ndots:5\n",
    "places": [{"target": node, "image": IMAGE, "node": node, "machine": "x86_64"} for node in NODES]
    + [{"target": "checkout-worker", "container": "40071234", "node": NODES[1], "probe": "/opt/acme/probe"}],
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    plan = Plan(
        name="quarterly-audit",
        backend="kubernetes",
        cluster=ClusterPlan(context="acme-prod", namespace="payments-eu", images=(IMAGE,), nodes=NODES[1]),
        nameserver="10.77.0.10:53",
        targets=tuple(TargetPlan(name=node) for node in NODES),
        variants=("baseline", "use-vc", "corp-forwarders"),
        custom_variants={
            "corp-forwarders": CustomVariant(
                nameservers=("172.31.9.9", "FD00:77:0::9"), search=("acme.example",), summary="as jdoe asked for"
            )
        },
        names=NAMES,
        rounds=3,
        loads=(Load(duration_s=1),),
    )
    targets = [TargetInfo(node, "glibc", "2.36") for node in NODES]
    made = {}
    for number in (1, 2, 3):
        for node in NODES:
            made["baseline", node, number] = rows([0.5] * 97 + [5004.0] * 3, name=2)
            made["use-vc", node, number] = rows([1.0] * 100)
            made["corp-forwarders", node, number] = rows([0.7] * 99 + [10.3721], name=1)
    extra = {"pod": "dnslab-5c0ffee5-1", "address": "10.3.7.21", "image": f"{IMAGE}@sha256:feedbeef", "probe": "static"}
    start = {
        "names": list(NAMES),
        "expected": [[1, 1]] * len(NAMES),
        "node": NODES[0],
        "resolv_conf": ENVIRONMENT["resolv_conf"],
        "extra": {**extra, "fresh": True, "zone": "europe-west9-b"},
        "counters": {"coredns.coredns-7d9f-xq2zt.requests_udp": 10377, "client.Udp.RcvbufErrors": 0},
    }
    path = tmp_path / "home" / "20261124T101500Z-quarterly-audit"
    write_run(path, plan, made, start_changes=start, known=targets)
    environment = json.loads((path / "environment.json").read_text()) | {"backend": ENVIRONMENT}
    (path / "environment.json").write_text(json.dumps(environment))
    last = sorted(path.glob("trials/*/*.end.json"))[-1]
    error = f"pod stray-pod-q7 of 10.77.0.0/16 was removed; {NODES[1]}: https://k8s.acme.example:6443/api"
    last.write_text(json.dumps(json.loads(last.read_text()) | {"status": "failed", "error": error}))
    last.with_name(last.name.replace("end.json", "dnsr")).write_bytes(frame(b"FAIL", 0, b"bad name billing.ledger"))
    return path


def texts(folder: Path) -> str:
    """Every byte of every file, and what the files are called."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    parts = [f"{path.relative_to(folder)}\n{path.read_bytes().decode('latin-1')}" for path in files]
    return re_escaped("\n".join(parts))


def re_escaped(text: str) -> str:
    return text.replace("\\n", "\n").casefold()


def left_in(text: str) -> list[str]:
    return [original for original in ORIGINALS if original.casefold() in text]


def told(parquet: Path) -> str:
    """Every text of a parquet file: cells, categories that no cell has, and what is written about the file."""
    frame = pd.read_parquet(parquet)
    categories = [list(frame[name].cat.categories) for name in frame.select_dtypes("category")]
    file = ParquetFile(parquet)
    return re_escaped(f"{frame.to_csv()} {categories} {file.metadata.metadata} {file.schema_arrow}")


def figures(path: Path) -> dict[str, Any]:
    """Of all rows, also of those that are left out, and what is said of the sound part."""
    opened = open_run(path)
    part = examine(opened)
    return {**summarise(opened).to_dict(), "findings": findings_of(part).to_dict()}


def test_no_original_is_left_in_any_byte(run: Path, tmp_path: Path) -> None:
    assert left_in(texts(run)) == list(ORIGINALS)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}
    copy = share.redacted(run, tmp_path)
    assert copy.name == "20261124T101500Z-redacted"
    assert left_in(texts(copy)) == []
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()} == before
    with zipfile.ZipFile(share.bundle(run, tmp_path / "out.zip", redact=True)) as archive:
        archive.extractall(tmp_path / "unzipped")
    assert left_in(texts(tmp_path / "unzipped")) == []
    kept = keep_parquet(open_run(copy))
    parquet = pd.read_parquet(kept)
    assert len(parquet) == 1700
    assert left_in(told(kept)) == []
    assert left_in(told(keep_parquet(open_run(run), tmp_path))) != []


def test_figures_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    before, after = figures(run), figures(share.redacted(run, tmp_path))
    names = {"run", "findings"}
    assert {row["target"] for row in after["rows"]} == {"node-1", "node-2"}
    assert {row["variant"] for row in after["rows"]} == {"baseline", "use-vc", "variant-1"}
    again = {"node-1": NODES[0], "node-2": NODES[1], "variant-1": "corp-forwarders"}
    for row in after["rows"]:
        row |= {key: again.get(row[key], row[key]) for key in ("target", "variant")}
    assert {key: after[key] for key in after.keys() - names} == {key: before[key] for key in before.keys() - names}
    assert after["findings"]["void"] == before["findings"]["void"]


def test_the_sample_says_the_same_redacted(tmp_path: Path) -> None:
    copy = share.redacted(SAMPLE, tmp_path)
    assert {**figures(copy), "run": "sample"} == {**figures(SAMPLE), "run": "sample"}
    for path in SAMPLE.rglob("*.dnsr"):
        assert (copy / path.relative_to(SAMPLE)).read_bytes() == path.read_bytes()


def test_equal_originals_get_equal_stand_ins_of_equal_shape(run: Path, tmp_path: Path) -> None:
    copy = share.redacted(run, tmp_path)
    plan, start = open_run(copy).plan, open_run(copy).clients()[0].start
    billing, default, www, address, _, reverse = plan.names
    assert billing.endswith(".namespace-1")
    assert billing.count(".") == 2
    assert default == "kubernetes.default"
    assert www.count(".") == 3
    assert www.endswith(".")
    assert start.names == list(plan.names)
    assert address == start.extra.address
    assert reverse == ".".join(reversed(address.split("."))) + ".in-addr.arpa."
    assert plan.cluster.namespace == "namespace-1"
    assert "search namespace-1.svc." in start.resolv_conf
    assert start.resolv_conf.endswith("options ndots:5\n")
    assert start.node == open_run(copy).targets[0].name
    assert start.counters == {"coredns.pod-1.requests_udp": 10377, "client.Udp.RcvbufErrors": 0}
    cache = open_run(copy).environment.backend.node_cache
    assert cache.addresses
    assert cache.addresses[0] == "169.254.20.10"
    assert cache.evidence[0].endswith(f"on {cache.addresses[1]}: ready, 2 of 2 nodes")
    assert cache.evidence[0].startswith("DaemonSet kube-system/node-local-dns (image-")


def test_a_text_keeps_only_numbers_and_words_of_dnslabs_own() -> None:
    redactor = Redactor([])
    redactor.texts = True
    text = (
        "pod zebra-1 of Xylophone on 10.1.2.3:53, fe80::1%eth0: exit code 137 after 4.5 s (see https://q.zz/a?b=Quagga)"
    )
    redactor.text(text)
    redactor.stand_ins.give_out()
    said = redactor.text(text)
    assert said.startswith("pod word-")
    assert "exit code 137 after 4.5 s" in said
    for name in ("zebra", "xylophone", "10.1.2.3", "fe80", "q.zz", "quagga"):
        assert name not in said.casefold()


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("3232235777", "number-1"),
        ("exit code 137, port 65535, 123456 lookups", "exit code 137, port 65535, 123456 lookups"),
        ("02:42:ac:11:00:0F", "02:00:00:00:00:01"),
        ("00:00:5e:ff:fe:00:53:01", "2001:db8::2"),
        ("10.0.0.1 to 10.0.0.1:53", "240.0.0.1 to 240.0.0.1:53"),
        ("10.0.0.1#5335", "240.0.0.1#5335"),
        ("10.0.0.1-10.0.0.9", "240.0.0.1-240.0.0.2"),
        ("fe80::1%eth0", "2001:db8::1"),
        ("::ffff:10.0.0.1", "2001:db8::2"),
        ("1.0.0.10.in-addr.arpa", "1.0.0.240.in-addr.arpa"),
        (f"{'1.' * 32}ip6.arpa.", f"{'1.' + '0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa."),
        ("in-addr.arpa ip6.arpa 127.0.0.1", "in-addr.arpa ip6.arpa 127.0.0.1"),
        ("0x0a030715 and 0A030715:0035", "word-2 and word-1:0035"),
        ("01020304:0035", "number-1:0035"),
        ("02-42-ac-11-00-0f 0242.ac11.000f", "word-1 name-2.name-3.name-1"),
    ],
)
def test_addresses_and_numbers_in_text(text: str, redacted: str) -> None:
    redactor = Redactor([])
    redactor.texts = True
    redactor.text(text)
    redactor.stand_ins.give_out()
    assert redactor.text(text) == redacted


def test_sockets_of_witnesses_are_redacted_and_reasons_stay() -> None:
    data = {
        "counters": {"node.udp.53.drops@10.3.7.22": 5, "node.udp.53.drops@169.254.20.10": 1, "client.Udp.NoPorts": 2},
        "missing": {"node": "pods payments-1 is forbidden", "client.udp.drops": NO_RIGHT, "coredns": NOT_IN_THERE},
    }
    redactor = Redactor([])
    redactor.data(data, "start")
    redactor.texts = True
    redactor.data(data, "start")
    redactor.stand_ins.give_out()
    assert redactor.data(data, "start") == {
        "counters": {"node.udp.53.drops@240.0.0.1": 5, "node.udp.53.drops@169.254.20.10": 1, "client.Udp.NoPorts": 2},
        "missing": {"node": "pods word-1 is forbidden", "client.udp.drops": NO_RIGHT, "coredns": NOT_IN_THERE},
    }


def test_a_name_behind_an_escape_is_found(run: Path, tmp_path: Path) -> None:
    path = next(run.glob("trials/*/*.start.json"))
    start = json.loads(path.read_text())
    start["counters"]["x.\x1bpayments-eu.y"] = 1  # no version writes such a one
    path.write_text(json.dumps(start))
    with pytest.raises(share.NotRedacted, match="would still contain 'payments-eu'"):
        share.redacted(run, tmp_path)


def test_what_would_still_hold_an_original_is_not_handed_out(run: Path, tmp_path: Path) -> None:
    environment = json.loads((run / "environment.json").read_text())
    environment["backend"]["later"] = {"payments-eu": 1}  # a key that names something: no version writes such a one
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(share.NotRedacted, match=r"environment\.json would still contain 'payments-eu' \(namespace-1\)"):
        share.bundle(run, tmp_path / "out.zip", redact=True)
    with pytest.raises(share.NotRedacted):
        share.redacted(run, tmp_path / "copies")
    assert not (tmp_path / "out.zip").exists()
    assert not list((tmp_path / "copies").iterdir())


def test_a_redacted_run_can_be_redacted_again(run: Path, tmp_path: Path) -> None:
    once = share.redacted(run, tmp_path / "once")
    twice = share.redacted(once, tmp_path / "twice")
    assert twice.name == once.name
    assert [row["n"] for row in figures(twice)["rows"]] == [row["n"] for row in figures(once)["rows"]]


@pytest.mark.notebook
def test_the_redacted_page_comes_alone(run: Path, tmp_path: Path) -> None:
    done = dnslab("report", str(run), "--redact", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "20261124T101500Z-redacted.html"
    assert sorted(tmp_path.iterdir()) == [page, tmp_path / "home"]
    text = page.read_text()
    assert left_in(re_escaped(text)) == []
    assert str(tmp_path) not in text
    assert "dnslab-" not in text  # the temporary folder
    assert "20261124T101500Z-redacted</title>" in text
    assert "node-1" in text
    assert not (run / "report.html").exists()


def test_a_bundle_opens_as_the_run(run: Path, tmp_path: Path) -> None:
    made = share.bundle(run, tmp_path / "a.dnslab.zip")
    opened = open_run(made)
    assert opened.path.name == run.name
    assert figures(made)["rows"] == figures(run)["rows"]
    again = share.bundle(opened.path, tmp_path / "b.dnslab.zip")
    assert again.read_bytes() == made.read_bytes()
    with zipfile.ZipFile(made) as members:
        assert {member.date_time for member in members.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    place = opened.path
    del opened
    assert not place.exists()
    with pytest.raises(RunExists):
        share.bundle(run, made)


def test_the_commands_take_bundles(tmp_path: Path) -> None:
    done = dnslab("bundle", str(SAMPLE), "--redact", cwd=tmp_path)
    assert done.stdout.startswith("bundle: redacted.dnslab.zip, redacted")
    said = dnslab("summary", "redacted.dnslab.zip", "--format", "json", cwd=tmp_path)
    assert json.loads(said.stdout)["rows"] == figures(SAMPLE)["rows"]
    (tmp_path / "cut.zip").write_bytes((tmp_path / "redacted.dnslab.zip").read_bytes()[:-1000])
    failed = dnslab("summary", "cut.zip", cwd=tmp_path)
    assert failed.returncode == 2
    assert failed.stderr == "error: cut.zip is neither a run folder nor a complete bundle (.dnslab.zip)\n"


def archive(members: Mapping[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda member: None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in {"run/plan.yaml": b"version: 1\n", "run/environment.json": b"{}", **members}.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.filename = name  # as it is, with what ZipInfo would tidy up
            change(member)
            file.writestr(member, data)
    return made.getvalue()


def a_link(member: zipfile.ZipInfo) -> None:
    if member.filename.endswith("environment.2.json"):
        member.external_attr = (stat.S_IFLNK | 0o777) << 16


HOSTILE = {
    "outside": archive({"run/../../gotcha.json": b"{}"}),
    "outside by a trial": archive({"run/trials/0001/../../../gotcha.start.json": b"{}"}),
    "absolute": archive({"/tmp/gotcha/plan.yaml": b"{}"}),
    "backslash": archive({"run\\..\\gotcha.json": b"{}"}),
    "hidden": archive({"../plan.yaml": b"{}"}),
    "link": archive({"run/environment.2.json": b"/etc/passwd"}, a_link),
    "more than a run": archive({"run/gotcha.py": b"import os"}),
    "two runs": archive({"other/plan.yaml": b"version: 1\n"}),
    "bomb": archive({"run/trials/0001/glibc.dnsr": bytes(3_000_000)}),
    "another packing": archive({}, lambda member: setattr(member, "compress_type", zipfile.ZIP_LZMA)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_bundles_are_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(inside))
    monkeypatch.setattr(bundles, "MAX_BYTES", 2_000_000)
    path = tmp_path / "hostile.zip"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(RunInvalid, match="is refused") as said:
        open_run(path)
    assert "\n" not in str(said.value)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", inside, path]  # nothing came out, nothing is left


def test_a_bundle_that_understates_a_size_gives_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(bundles, "MAX_BYTES", 2_000_000)
    lying = HOSTILE["bomb"].replace((3_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little"))
    assert lying != HOSTILE["bomb"]
    (tmp_path / "lying.zip").write_bytes(lying)
    with pytest.raises(RunInvalid, match="is damaged: Bad CRC"):
        open_run(tmp_path / "lying.zip")
    assert list(tmp_path.iterdir()) == [tmp_path / "lying.zip"]


def test_the_same_archive_without_what_is_hostile_opens(tmp_path: Path) -> None:
    (tmp_path / "fine.zip").write_bytes(archive({}))
    assert open_run(tmp_path / "fine.zip").path.name == "run"


def test_a_damaged_bundle_is_one_clear_line(tmp_path: Path) -> None:
    whole = share.bundle(SAMPLE, tmp_path / "whole.zip").read_bytes()
    broken = tmp_path / "broken.zip"
    for position in range(40, len(whole) - 30, len(whole) // 25):
        broken.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        with pytest.raises(DnslabError) as said:
            figures(broken)
        assert "\n" not in str(said.value)
        assert "broken.zip" in str(said.value)
    broken.write_bytes(b"PK nothing")
    with pytest.raises(RunNotFound, match="neither a run folder nor a complete bundle"):
        open_run(broken)
    shutil.rmtree(tmp_path)
