"""Each fuzzer for its share of the time, on this machine alone. Status 1 where any found something."""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import harness

NAMES = ("streams", "plans", "json", "bundles", "imports", "jobs")
#: modules whose name is not that of what they fuzz
MODULES = {"json": "facts"}
#: where the input of failures is kept
KEPT = Path(".cache/fuzz")
#: cases write many small files
MEMORY = Path("/dev/shm")

#: a loopback of our own, and a resolv.conf that names it
_OWN_NETWORK = """
ip link set lo up
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
printf 'nameserver 127.0.0.1\\nsearch any.cluster.local\\noptions timeout:1 attempts:1\\n' >/mnt/resolv.conf
mount --bind /mnt/resolv.conf "$(readlink -f /etc/resolv.conf)"
exec "$@"
"""
_INSIDE = "DNSLAB_FUZZ_INSIDE"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of all together (default 5)")
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument("--only", action="append", choices=NAMES, help="may be given several times")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first case")
    parser.add_argument("--cases", type=int, metavar="N", help="end after so many cases of each, whatever the time")
    asked = parser.parse_args(arguments)
    seed = secrets.randbelow(10**9) if asked.seed is None else asked.seed
    names = asked.only or NAMES
    failed = False
    for name in names:
        share = ["--minutes", str(asked.minutes / len(names)), "--seed", str(seed), "--first", str(asked.first)]
        share += ["--cases", str(asked.cases)] if asked.cases is not None else []
        if name == "jobs" and _INSIDE not in os.environ:
            failed |= enter(["--only", name, *share]) != 0
        else:
            failed |= bool(fuzz(name, seed, asked.first, asked.cases, asked.minutes * 60 / len(names)).failures)
    return int(failed)


def fuzz(name: str, seed: int, first: int, n_cases: int | None, seconds: float) -> harness.Result:
    """Run one fuzzer and tell what it did."""
    case = importlib.import_module(f"tests.fuzz.{MODULES.get(name, name)}").case
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        result = harness.run(
            name, case, Path(folder), seed, keep=KEPT, first=first, n_cases=n_cases,
            seconds=seconds if n_cases is None else None,
        )  # fmt: skip
    print(result, flush=True)
    return result


def enter(arguments: Sequence[str]) -> int:
    """This program again, in namespaces of its own: no query leaves them. Its exit status."""
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    program = [sys.executable, "-m", "tests.fuzz", *arguments]
    argv = ["unshare", "--mount", "--net", *user, "sh", "-ec", _OWN_NETWORK, "sh", *program]
    return subprocess.run(argv, env={**os.environ, _INSIDE: "1"}, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
