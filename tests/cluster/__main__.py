"""``python -m tests.cluster build | up [NODES [--proxy nftables|iptables] [--ip-family dual]] | status | down``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.cluster import cluster
from tests.cluster.build import build


def up(options: Sequence[str]) -> None:
    """Start it with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster up")
    parser.add_argument("nodes", nargs="?", type=int, default=2)
    parser.add_argument("--proxy", choices=["nftables", "iptables"], default="nftables")
    parser.add_argument("--ip-family", choices=["ipv4", "dual"], default="ipv4")
    asked = parser.parse_args(options)
    cluster.up(asked.nodes, asked.proxy, dual=asked.ip_family == "dual")


def main() -> None:
    """One command, one word."""
    match sys.argv[1:]:
        case ["build"]:
            build(cluster.ROOT)
        case ["up", *options] if os.geteuid() == 0:
            began = time.monotonic()
            up(options)
            print(f"up in {time.monotonic() - began:.0f} s: export KUBECONFIG={cluster.KUBECONFIG}")
        case ["status"] if cluster.KUBECONFIG.exists():
            print(cluster.kubectl("get", "nodes,pods", "-A", "-o", "wide"), end="")
        case ["status"]:
            raise SystemExit("not up")
        case ["down"] if os.geteuid() == 0:
            cluster.down()
        case ["up" | "down", *_]:
            raise SystemExit("the test cluster needs root")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
