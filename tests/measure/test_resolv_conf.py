"""Runs over a resolv.conf that is not a usual pod's: baseline is what the file says, all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import Row, summarise
from dnslab.explain.findings import conclude
from dnslab.measure.lab import responder

#: in namespaces of its own: a server that answers on each address but 127.0.0.2, the file in place of the machine's
SCRIPT = r"""
set -e
ip link set lo up
mount --bind "$1" "$(readlink -f /etc/resolv.conf)"
nft add table ip t
nft 'add chain ip t in { type filter hook input priority 0; }'
nft 'add rule ip t in ip daddr 127.0.0.2 meta l4proto { udp, tcp } th dport 53 drop'
"$2" -S "$3" '{"address": "::"}' & server=$!
until getent -s dns ahosts kubernetes.default.svc.cluster.local. > /dev/null; do sleep 0.1; done
python=$2; shift 3
for i in 1 2 3; do
  from=$(date +%s%N)
  { getent ahosts kubernetes.default > answer$i || true; echo $((($(date +%s%N) - from) / 1000000)) > getent$i; } &
  asking="$asking $!"
done
"$python" -m dnslab run --out run "$@" || status=$?
wait $asking
kill $server
exit ${status:-0}
"""

SEARCH = "search default.svc.cluster.local svc.cluster.local cluster.local\n"


def run(tmp_path: Path, resolv_conf: str, *arguments: str) -> dict[str, Any]:
    """Rows of the run's summary, by variant."""
    conf = tmp_path / "resolv.conf"
    conf.write_text(resolv_conf)
    usual = ["--backend", "local", "--rounds", "1", "--name", "kubernetes.default"]
    argv = ["unshare", "-Urnm", "sh", "-c", SCRIPT, "sh", str(conf), sys.executable, responder.__file__]
    done = subprocess.run(
        [*argv, *usual, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done
    # All of it, as the command leaves out what a busy machine spoiled.
    summary = summarise(open_run(tmp_path / "run")).to_dict()
    return {row["variant"]: row for row in summary["rows"]}


@pytest.mark.lab
def test_a_silent_first_nameserver_is_asked_as_the_c_library_asks_it(tmp_path: Path) -> None:
    """glibc waits 5 s for it at each of the two names it tries, then asks the second (kubernetes#78138)."""
    text = f"{SEARCH}nameserver 127.0.0.2\nnameserver 127.0.0.1\noptions ndots:5\n"
    plan = tmp_path / "plan.yaml"
    plan.write_text(json.dumps({"loads": [{"rate_per_s": 52, "loop": "fixed", "duration_s": 2, "warmup_s": 0}]}))
    rows = run(tmp_path, text, str(plan), "--variants", "baseline,timeout-1")
    baseline, quick = rows["baseline"], rows["timeout-1"]
    assert baseline["n"] == baseline["stalls"] >= 100
    assert baseline["failed"] == 0
    getent = [int((tmp_path / f"getent{number}").read_text()) for number in (1, 2, 3)]
    print({name: baseline[name] for name in ("n", "min_ms", "avg_ms", "max_ms")}, "getent", getent)
    assert all("10.96.0.1 " in (tmp_path / f"answer{number}").read_text() for number in (1, 2, 3))
    for time_ms in (baseline["min_ms"], baseline["avg_ms"]):
        assert time_ms == pytest.approx(10_020, abs=100)
    for time_ms in (baseline["max_ms"], *getent):  # one of them may be late on a busy machine
        assert 9_990 < time_ms < 10_500
    assert quick["failed"] == 0
    assert quick["min_ms"] == pytest.approx(2_000, abs=50)


@pytest.mark.lab
def test_a_nameserver_with_an_ipv6_address_is_asked(tmp_path: Path) -> None:
    text = f"{SEARCH}nameserver ::1\noptions ndots:5\n"
    rows = run(tmp_path, text, "--variants", "baseline,use-vc", "--rate", "20", "-d", "1")
    assert [(row["failed"], row["n"] > 5, row["max_ms"] < 1_000) for row in rows.values()] == [(0, True, True)] * 2


@pytest.mark.lab
@pytest.mark.parametrize("nameserver", ["::1", "[::1]:53", "127.0.0.1"])
def test_the_nameserver_of_the_run_takes_the_place_of_all(nameserver: str, tmp_path: Path) -> None:
    """The file's two are one that is silent, and one of the other family."""
    text = f"{SEARCH}nameserver ::1\nnameserver 127.0.0.2\noptions ndots:5\n"
    arguments = ["--nameserver", nameserver, "--variants", "baseline,single-request", "--rate", "20", "-d", "1"]
    rows = run(tmp_path, text, *arguments)
    assert [(row["failed"], row["n"] > 5, row["max_ms"] < 1_000) for row in rows.values()] == [(0, True, True)] * 2


@pytest.mark.lab
def test_another_whole_configuration_is_asked_beside_that_of_the_file(tmp_path: Path) -> None:
    """As a verifying run does in a pod: what the file has and the old configuration had not is taken back."""
    now = f"{SEARCH}nameserver 127.0.0.1\noptions ndots:5 no-aaaa attempts:1\n"
    before = {"resolv_conf": f"{SEARCH}nameserver 127.0.0.1\noptions ndots:5\n"}
    silent = {"resolv_conf": f"{SEARCH}nameserver 127.0.0.2\noptions ndots:5 timeout:1\n"}
    plan = tmp_path / "plan.yaml"
    plan.write_text(json.dumps({"custom_variants": {"before": before, "silent": silent}}))
    both = ("--expect", "kubernetes.default=10.96.0.1,fd00::1")  # the file alone would not let AAAA be expected
    rows = run(tmp_path, now, str(plan), *both, "--variants", "baseline,before,silent", "--rate", "50", "-d", "1")
    assert rows["baseline"]["partial"] == rows["baseline"]["n"] > 30
    assert (rows["before"]["partial"], rows["before"]["failed"]) == (0, 0)
    # A second at each of two tries, for two names: glibc ends its search at the first that is not answered.
    assert rows["silent"]["failed"] == rows["silent"]["n"] > 30
    assert rows["silent"]["min_ms"] == pytest.approx(4_000, abs=200)


ANSWERS = "127.0.0.1"


def measured(tmp_path: Path, resolv_conf: str, *arguments: str, rules: str = "") -> subprocess.CompletedProcess[str]:
    """A run in such a namespace, with more nft rules in it."""
    conf = tmp_path / "resolv.conf"
    conf.write_text(resolv_conf)
    script = SCRIPT.replace('"$2" -S', f'{rules}\n"$2" -S', 1)
    if rules:
        script = script.replace("until getent", "sleep 1; false && until getent")
    usual = ["--backend", "local", "--rounds", "1", "--variants", "baseline", "--rate", "20", "-d", "3"]
    argv = ["unshare", "-Urnm", "sh", "-c", script, "sh", str(conf), sys.executable, responder.__file__]
    return subprocess.run(
        [*argv, *usual, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )


def row_of(tmp_path: Path) -> Row:
    (row,) = summarise(open_run(tmp_path / "run")).measured()
    return row


@pytest.mark.lab
def test_a_name_that_nothing_answers_is_measured_as_unknown_and_one_that_is_not_there_refused(tmp_path: Path) -> None:
    text = f"nameserver {ANSWERS}\noptions timeout:1 attempts:1\n"
    silent = "nft 'add rule ip t in ip daddr 127.0.0.1 udp dport 53 drop'"
    done = measured(tmp_path, text, "--name", "web.any.cluster.local.", rules=silent)
    assert done.returncode == 0, done
    row = row_of(tmp_path)
    assert row.failed == row.n > 30
    limits = conclude(summarise(open_run(tmp_path / "run")), []).limits
    assert any("So any address counts as right." in line for line in limits)
    (tmp_path / "run").rename(tmp_path / "first")
    done = measured(tmp_path, text, "--name", "nowhere.test.")
    assert done.returncode == 2
    assert "'nowhere.test.' does not exist, even with the search list" in done.stderr
    done = measured(tmp_path, text, "--name", "nowhere.test.", "--expect", "nowhere.test.=192.0.2.1")
    assert done.returncode == 0, done
    row = row_of(tmp_path)
    assert row.failed == row.n > 30


@pytest.mark.lab
def test_half_of_all_queries_lost_from_before_the_run_on_is_measured_to_the_end(tmp_path: Path) -> None:
    text = f"nameserver {ANSWERS}\noptions timeout:1 attempts:1\n"
    half = "nft 'add rule ip t in ip daddr 127.0.0.1 udp dport 53 numgen random mod 2 == 0 drop'"
    done = measured(tmp_path, text, "--name", "web.any.cluster.local.", rules=half)
    assert done.returncode == 0, done
    row = row_of(tmp_path)
    assert 0.2 < row.failed_share < 0.95
    assert row.rounds == 1
