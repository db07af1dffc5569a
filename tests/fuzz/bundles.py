"""Bundles: archives whose names, sizes, kinds or bytes are not those of one run. Nothing gets out of the folder."""

from __future__ import annotations

import io
import random
import stat
import struct
import tempfile
import warnings
import zipfile
from collections import Counter
from pathlib import Path

from dnslab.analyse.dataset import open_run
from dnslab.store.bundle import open_bundle
from tests.fuzz import facts, mutate
from tests.fuzz.harness import Defect, reading

NAMES = (
    "../x", "run/../x", "run/../../x", "/etc/x", "//x", "run//x", "run/./plan.yaml", "run\\..\\x", "C:\\x",
    "run/plan.yaml", "run/plan.yaml/x", "RUN/plan.yaml", "other/plan.yaml", "run/", "",
    "run/trials/0001/../../../x.dnsr",
    "run\0/plan.yaml", "run/trials/0001/glibc.dnsr", "run/trials/0001",
    "run/trials/0001/\u202eglibc.dnsr", "run/environment.2.json",
    "run/trials/9999/" + "a" * 300 + ".dnsr", "run/trials/" + "9" * 300 + "/a.dnsr", "-/plan.yaml", "~/plan.yaml",
    ".hidden/plan.yaml", "run/lookups.parquet", "run/report.html", "run/trials/0001/a b\n.dnsr", "run/\udcff.json",
)  # fmt: skip
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
#: fields that a reader may follow: sizes of zip64, no size at all
EXTRAS = (struct.pack("<HHQQ", 1, 16, 2**62, 2**62), b"\1\0\xff\xff", b"x", b"")
KINDS = (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, 0)


def archive(rng: random.Random) -> bytes:
    """A bundle with members that do not belong there, then perhaps with its records or bytes changed."""
    members = [(f"run/{name}", data, stat.S_IFREG) for name, data in facts.files().items()]
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = rng.randrange(len(members))
        name, data, kind = members[at]
        action = rng.randrange(6)
        if action == 0:
            del members[at]
        elif action == 1:
            members[at] = (rng.choice(NAMES), data, kind)
        elif action == 2:
            members.insert(
                at, (rng.choice(NAMES), rng.choice((data, b"/etc/passwd", bytes(2_000_000))), rng.choice(KINDS))
            )
        elif action == 3:
            members[at] = (name, data, rng.choice(KINDS))
        elif action == 4:
            members.insert(at, members[rng.randrange(len(members))])
        else:
            members[at] = (name, mutate.raw(rng, data), kind)
    made = bytearray(_packed(rng, members))
    if rng.random() < 0.4:
        _change_record(rng, made)
    return mutate.raw(rng, bytes(made)) if rng.random() < 0.2 else bytes(made)


def _packed(rng: random.Random, members: list[tuple[str, bytes, int]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        odd = rng.choice(members)[0] if members and rng.random() < 0.2 else None
        for name, data, kind in members:
            plain = name != odd
            info = zipfile.ZipInfo(name.replace("\udcff", "\xff"), (1980, 1, 1, 0, 0, 0))
            info.external_attr = (kind | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED if plain else rng.choice(METHODS)
            info.extra = b"" if plain else rng.choice(EXTRAS)
            with _unwarned(), packed.open(info, "w", force_zip64=not plain) as target:
                target.write(data)
        packed.comment = rng.choice((b"",) * 9 + (b"PK\5\6" + bytes(30),))
    return made.getvalue()


def _unwarned() -> warnings.catch_warnings[None]:
    """zipfile warns of names that come twice."""
    return warnings.catch_warnings(action="ignore")


def _change_record(rng: random.Random, made: bytearray) -> None:
    """A number in a local header, in the directory or at its end: sizes, offsets, methods, flags, counts."""
    signature, fields = rng.choice(
        (
            (b"PK\1\2", {8: 2, 10: 2, 16: 4, 20: 4, 24: 4, 28: 2, 30: 2, 32: 2, 34: 2, 38: 4, 42: 4}),
            (b"PK\3\4", {6: 2, 8: 2, 14: 4, 18: 4, 22: 4, 26: 2, 28: 2}),
            (b"PK\5\6", {4: 2, 6: 2, 8: 2, 10: 2, 12: 4, 16: 4, 20: 2}),
        )
    )
    places = [at for at in range(len(made) - 46) if made[at : at + 4] == signature] or [max(0, len(made) - 22)]
    at = rng.choice(places)
    offset, size = rng.choice(list(fields.items()))
    value = rng.choice((0, 1, 2, 8, 99, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), rng.getrandbits(8 * size)))
    made[at + offset : at + offset + size] = value.to_bytes(size, "little")


def case(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    path, scratch = folder / "run.dnslab.zip", folder / "scratch"
    path.write_bytes(archive(rng))
    scratch.mkdir(exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)
    try:
        with reading(counts, "bundles"):
            opened = open_bundle(path)
            counts["bundles opened"] += 1
            _check_inside(opened.path, scratch)
            del opened
        if counts["bundles"] % 20 == 0:
            with reading(counts, "bundles read"):
                len(open_run(path).problems)
    finally:
        tempfile.tempdir = before
    if {one.name for one in folder.iterdir()} != {"run.dnslab.zip", "scratch"} or any(scratch.iterdir()):
        raise Defect("something was left, or got out of the folder")


def _check_inside(run: Path, scratch: Path) -> None:
    (holder,) = scratch.iterdir()
    if [run] != list(holder.iterdir()):
        raise Defect("a bundle is unpacked beside its run")
    if any(one.is_symlink() or not (one.is_file() or one.is_dir()) for one in holder.rglob("*")):
        raise Defect("a bundle makes what is not a regular file")
