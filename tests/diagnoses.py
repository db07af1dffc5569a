"""Kept diagnoses, one for each state of the answer. All were measured: in the lab, and one in a cluster.

``python -m tests.diagnoses NAME FOLDER`` keeps the diagnosis in ``FOLDER``, without what a lab knows of its faults.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from typing import Any

from dnslab.experiment.diagnose import opened
from dnslab.explain.diagnosed import Diagnosed

KEPT = Path(__file__).parent / "present" / "diagnoses"
#: Python before 3.11.4, which Debian 12 has, knows no filters
SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
NAMES = sorted(path.name.partition(".")[0] for path in KEPT.glob("*.tar.xz"))


def unpacked(name: str, folder: Path) -> Path:
    """The folder of a kept diagnosis, unpacked into ``folder``."""
    with tarfile.open(KEPT / f"{name}.tar.xz") as archive:
        archive.extractall(folder, **SAFELY)
    return folder / name


def kept(name: str, folder: Path) -> Diagnosed:
    """A kept diagnosis, unpacked into ``folder`` and opened."""
    return opened(unpacked(name, folder))


def keep(name: str, folder: Path) -> Path:
    """Pack the diagnosis in ``folder``."""
    KEPT.mkdir(exist_ok=True)
    with tarfile.open(KEPT / f"{name}.tar.xz", "w:xz") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in (".json", ".yaml", ".dnsr") and "ground-truth" not in path.name:
                archive.add(path, f"{name}/{path.relative_to(folder)}", filter=_plain)
    return KEPT / f"{name}.tar.xz"


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs from machine to machine."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime, info.mode = 0, 0o644
    return info


if __name__ == "__main__":
    print(keep(sys.argv[1], Path(sys.argv[2])))
