"""What is asked before a run, by the probe: of a real nameserver, an unsteady one, a silent one and a closed port."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.explain.validity import find_vetoes
from dnslab.measure import runner
from dnslab.measure.lab.responder import answer
from dnslab.plan.model import Load, Plan
from tests.nameserver import Nameserver

SCRIPT = r"""
ip link set lo up
ip addr add 169.254.20.10/32 dev lo
ip addr add 169.254.20.11/32 dev lo
nft add table ip t
nft 'add chain ip t in { type filter hook input priority 0; }'
nft 'add rule ip t in ip daddr 169.254.20.11 udp dport 53 drop'
"$1" -S "$2" {} &
"$1" -c "$3"
kill $!
"""
ASK = """
import time
from dnslab.measure.local import LocalBackend
time.sleep(1)
for addresses in (["169.254.20.10"], ["169.254.20.11"], ["169.254.20.10", "169.254.20.11"], ["192.0.2.1"], []):
    print([target.no_cache for target in LocalBackend(cache_addresses=addresses).targets()])
"""


@pytest.mark.lab
def test_only_what_answers_is_there() -> None:
    from dnslab.measure.lab import responder

    argv = ["unshare", "-Urn", "sh", "-c", SCRIPT, "sh", sys.executable, str(responder.__file__), ASK]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [
        "['']",
        "['no node-local cache answers at 169.254.20.11']",
        "['no node-local cache answers at 169.254.20.11']",
        "['no node-local cache answers at 192.0.2.1']",
        "['']",
    ], done


class Unsteady(Nameserver):
    """Says to the first port that asks over UDP that there is no such name, and answers all others."""

    def _serve_udp(self) -> None:
        first = None
        while True:
            data, peer = self.udp.recvfrom(4096)
            if not data:
                return
            first = first or peer
            reply = answer(data)[1]
            if peer == first:
                question = data[12 : data.index(b"\0", 12) + 5]
                reply = data[:2] + b"\x85\x83" + data[4:6] + bytes(6) + question
            self.udp.sendto(reply, peer)


@pytest.mark.probe
@pytest.mark.parametrize("unsteady", [True, False])
def test_a_run_notes_that_answers_before_it_differed(tmp_path: Path, unsteady: bool) -> None:
    with closing((Unsteady if unsteady else Nameserver)()) as server:
        plan = Plan(
            backend="local",
            nameserver=f"127.0.0.1:{server.port}",
            names=("web.any.cluster.local.",),
            variants=("baseline",),
            rounds=1,
            loads=(Load(rate_per_s=20, duration_s=1, warmup_s=0),),
        )
        run = open_run(runner.run(plan, tmp_path / "run"))
    assert run.environment.differing == ([0] if unsteady else [])
    assert run.clients()[0].start.expected == [[1, 1]]
    seen = [veto.seen for veto in find_vetoes(run, summarise(run)) if veto.name == "answers differed"]
    assert [text.partition(" were")[0] for text in seen] == (
        ["Before the run, not all answers for web.any.cluster.local."] if unsteady else []
    )
