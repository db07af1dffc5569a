"""Whether a nameserver is there, asked by the probe: of a real one, a silent one and a closed port."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = r"""
ip link set lo up
ip addr add 169.254.20.10/32 dev lo
ip addr add 169.254.20.11/32 dev lo
nft add table ip t
nft 'add chain ip t in { type filter hook input priority 0; }'
nft 'add rule ip t in ip daddr 169.254.20.11 udp dport 53 drop'
"$1" -S "$2" 0 0 &
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
