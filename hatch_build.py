"""Compiles the probe: six programs for a wheel, the native ones for an editable install or by hand.

The probe runs in pods, not where the wheel is installed, so the wheel is ``py3-none-any`` with programs inside.
``ziglang`` (a build requirement) cross-compiles them; a wheel without all six is refused. Run as a program, this file
makes the native ones with ``cc`` and ``musl-gcc``.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROBE = Path(__file__).parent / "dnslab" / "measure" / "probe"
#: every C file of this folder is part of the probe and nothing is written there; sorted, so that builds are alike
SOURCES = sorted(map(str, PROBE.glob("*.c")))
FLAGS = ("-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-pthread", "-s")

#: program name without its prefix -> zig target and further flags. glibc 2.17 (2012) is the oldest that zig links for.
CROSS = {
    f"{machine}-{kind}": (f"{machine}-linux-{abi}", flags)
    for machine in ("x86_64", "aarch64")
    for kind, abi, flags in (
        ("glibc", "gnu.2.17", ()),
        ("musl", "musl", ("-dynamic",)),
        ("static", "musl", ("-static", "-DDNSLAB_STATIC")),
    )
}


def _compile(command: list[str], name: str, *flags: str) -> Path:
    output = PROBE / "bin" / f"probe-{name}"
    output.parent.mkdir(exist_ok=True)
    temporary = output.with_suffix(".new")
    subprocess.run([*command, *FLAGS, *flags, *SOURCES, "-o", str(temporary), "-lm"], check=True)
    temporary.chmod(0o755)
    temporary.replace(output)
    return output


def build_native() -> None:
    """The programs this machine can run, with its own compilers."""
    machine = platform.machine()
    _compile(["cc"], f"{machine}-glibc", "-O2")
    if shutil.which("musl-gcc"):
        _compile(["musl-gcc"], f"{machine}-musl", "-O2")
        _compile(["musl-gcc"], f"{machine}-static", "-O2", "-static", "-DDNSLAB_STATIC")
    else:
        print("no musl-gcc: the probe is built for glibc only (Debian: apt-get install musl-tools)", file=sys.stderr)


def build_all() -> None:
    """All six, with zig."""
    for name, (target, flags) in CROSS.items():
        _compile([sys.executable, "-m", "ziglang", "cc", "-target", target], name, "-Os", "-g0", *flags)


class ProbeHook(BuildHookInterface):  # type: ignore[type-arg]
    """hatchling's ``custom`` hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        if version == "editable":
            build_native()
        else:
            build_all()
        build_data["pure_python"] = True
        build_data["tag"] = "py3-none-any"


if __name__ == "__main__":
    build_native()
