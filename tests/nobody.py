"""Commands as a user without rights, who can reach interpreter and source wherever they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import dnslab

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts, users and limits of others")
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
#: in a mount namespace: the folders $CLOSED are opened to others, and what is made in /srv is brought to $KEEP
AS_NOBODY = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/keep && mount --bind "$KEEP" /mnt/keep
for folder in $CLOSED; do
  upper=$(mktemp -d -p /mnt) && mkdir -m 755 "$upper/changes" "$upper/work"
  mount -t overlay -o "lowerdir=$folder,upperdir=$upper/changes,workdir=$upper/work" overlay "$folder"
done
mount -t tmpfs -o mode=777 tmpfs /srv && cd /srv
set +e
HOME=/nonexistent "$@"
status=$?
cp -r /srv/. /mnt/keep
exit $status
"""


def as_nobody(
    argv: Sequence[str], keep: Path, enter: Sequence[str] = NOBODY, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` in an empty folder, through ``enter``, and bring what it made there to ``keep``."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", AS_NOBODY, "sh", *enter, *argv],
        capture_output=True,
        text=True,
        cwd=keep,
        env={**os.environ, "KEEP": str(keep), "CLOSED": " ".join(map(str, closed_folders())), **environment},
        timeout=90,
        check=False,
    )


def closed_folders() -> list[Path]:
    """Folders on the way to interpreter and source that others cannot read and enter, the outermost first."""
    places = [Path(place).resolve() for place in (sys.base_prefix, sys.prefix, Path(dnslab.__file__).parent.parent)]
    folders = sorted({folder for place in places for folder in (place, *place.parents)})
    return [folder for folder in folders if folder.stat().st_mode & 0o5 != 0o5]
