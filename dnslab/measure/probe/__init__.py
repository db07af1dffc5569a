"""The probe: where its programs are. Its C sources and job.py stand beside; format.h documents every byte."""

from __future__ import annotations

import platform
from pathlib import Path

from dnslab.errors import NotAble
from dnslab.files import PACKAGE
from dnslab.sentences import machine as sentences

BIN = PACKAGE / "measure" / "probe" / "bin"


def find_probe(libc: str, machine: str | None = None) -> Path:
    """The probe's program for ``libc`` (``"glibc"``, ``"musl"`` or ``"static"``) and ``machine`` (default: this one).

    Raises
    ------
    NotAble
        It was not built.
    """
    path = BIN / f"probe-{machine or platform.machine()}-{libc}"
    if not path.exists():
        build = str(sentences.BUILD if libc == "glibc" else sentences.BUILD_MUSL)
        raise NotAble(sentences.NO_PROBE(libc=libc, machine=machine or platform.machine(), build=build))
    return path
