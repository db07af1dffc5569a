"""``python -m tests.cluster build | up [NODES [--proxy nftables|iptables]] | status | down``."""

from __future__ import annotations

import os
import sys
import time

from tests.cluster import cluster
from tests.cluster.build import build


def main() -> None:
    """One command, one word."""
    match sys.argv[1:]:
        case ["build"]:
            build(cluster.ROOT)
        case ["up"] | ["up", _] | ["up", _, "--proxy", "nftables" | "iptables"] if os.geteuid() == 0:
            began = time.monotonic()
            cluster.up(int(sys.argv[2]) if sys.argv[2:] else 2, proxy=sys.argv[4] if sys.argv[3:] else "nftables")
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
