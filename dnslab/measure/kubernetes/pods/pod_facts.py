"""What the probe in a container reports: C library, files and counters.

Needs no shell and no tool of the image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dnslab.errors import NotAble, ProbeFailed
from dnslab.measure import witnesses
from dnslab.plan.resolvconf import Libc

RESOLV_CONF = "/etc/resolv.conf"
KERNEL = "/proc/sys/kernel/osrelease"

#: runs a command line in the container: exit code (127: not there) and output
Run = Callable[[Sequence[str]], tuple[int, bytes]]


@dataclass(frozen=True)
class LoadableProbe:
    """The probe that a container can load, and its C library; ``kind`` is ``"static"`` if it has none."""

    program: str
    kind: str
    libc: Libc
    version: str


def choose_probe(run: Run, program: Callable[[str], str], machine: str) -> LoadableProbe:
    """The dynamic probe that the container can load, else the static one, which brings musl's resolver with it.

    Parameters
    ----------
    run
        Runs a command line in the container.
    program
        From ``"glibc"``, ``"musl"`` or ``"static"`` to the path of that probe in the container.
    machine
        As ``uname -m`` names it.

    Raises
    ------
    NotAble
        Not even the static probe starts: another architecture, or a place that is not executable.
    """
    output = b""
    for kind in ("glibc", "musl", "static"):
        code, output = run([program(kind), "--version"])
        match = re.search(rb", (glibc|musl) ?(\S*)$", output.strip())
        if code == 0 and match:
            version = _musl_version(run, machine) if kind == "musl" else match[2].decode()
            return LoadableProbe(program(kind), kind, "glibc" if kind == "glibc" else "musl", version)
    words = " ".join(output.decode("utf-8", "replace").split())
    raise NotAble(f"no probe starts in the container, not even the static one: {words or 'it printed no error'}")


def _musl_version(run: Run, machine: str) -> str:
    """The version that musl's loader prints when it is called without a program, which it reports as a failure."""
    _, output = run([f"/lib/ld-musl-{machine}.so.1"])
    match = re.search(rb"Version (\S+)", output)
    return match[1].decode() if match else ""


def show(run: Run, program: str, paths: Sequence[str]) -> Mapping[str, str | None]:
    """Texts of files in the container; None for a file that cannot be read.

    Raises
    ------
    ProbeFailed
        The probe does not run.
    """
    texts = read(run, program, paths)
    return {path: text if isinstance(text, str) else None for path, text in texts.items()}


def read(run: Run, program: str, paths: Sequence[str]) -> witnesses.Texts:
    """Like ``show``, with the number of the error for a file that cannot be read.

    Raises
    ------
    ProbeFailed
        The probe does not run.
    """
    code, data = run([program, "--show", *paths])
    if code:
        raise ProbeFailed(f"cannot read {paths[0]} in the container: {data.decode('utf-8', 'replace').strip()}")
    return witnesses.shown(data)


def pod_counters(run: Run, program: str) -> witnesses.Reading:
    """The pod's own counters (``client.``), and those of the machine of its node (``machine.``)."""
    return witnesses.client(read(run, program, witnesses.CLIENT_FILES))
