"""A bundle: one run folder, or the folder of one diagnosis, in one archive; and back into a folder for as long as it is
read.

A zip with a single folder in it, and only files that a run or a diagnosis is written as. It comes from others, so
nothing in it is trusted: all else is refused, and so is what would unpack to more than a stated size.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dnslab.errors import NotAble, RunExists, RunInvalid, RunNotFound
from dnslab.files import MIB, open_regular, whole
from dnslab.sentences import files as sentences, plan_errors
from dnslab.store.diagnosis import DiagnosisFolder, is_diagnosis
from dnslab.store.folder import SCRATCH_PREFIX, RunFolder, largest

SUFFIX = ".dnslab.zip"
#: what a bundle may unpack to; a run of 50 million lookups is 2 GB
MAX_BYTES = 4 << 30
MAX_FILES = 500_000
#: by how much more than it takes: a run shrinks to a fourth, its JSON alone to a tenth, repeated bytes to a thousandth
MAX_RATIO = 100
#: what any bundle may unpack to, however small it is
FREE_BYTES = 64 * MIB
#: zip knows no earlier time; the run's own times are in its files
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_SEGMENT = r"[^./\\:\0-\x1f][^/\\:\0-\x1f]*"
_OF_RUN = (
    r"(plan\.yaml|environment(\.\d+)?\.json"
    rf"|trials/\d{{4,}}(\.\d+)?/{_SEGMENT}\.(start\.json|end\.json|ground-truth\.json|dnsr))"
)
_RUNG = r"(wait|rungs/\d{1,3}-[a-z][a-z-]{0,30})"
#: what a member is called in the bundle of a run, and in that of a diagnosis
_MEMBERS = (
    re.compile(rf"{_SEGMENT}/{_OF_RUN}"),
    re.compile(rf"{_SEGMENT}/(asked\.json|diagnosis\.json|{_RUNG}\.json|{_RUNG}/{_OF_RUN})"),
)


def pack(folder: RunFolder | DiagnosisFolder, out: Path, name: str | None = None) -> Path:
    """Write the run or the diagnosis in ``folder`` to ``out``, without derived files. Equal ones give equal bytes.

    Raises
    ------
    RunExists
        There is something at ``out``.
    NotAble
        The place cannot be written to.
    """
    if out.exists():
        raise RunExists(sentences.OUT_EXISTS(path=str(out)))
    # A folder may be called what no archive can be opened with.
    root = re.sub(r"[/\\:\0-\x1f]|^\.+", "_", name or folder.path.resolve().name)
    try:
        with whole(out) as temporary, zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED) as archive:
            for path in folder.files():
                member = zipfile.ZipInfo(f"{root}/{path.as_posix()}", _NO_TIME)
                member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
                with open_regular(folder.path / path) as source:
                    member.file_size = os.fstat(source.fileno()).st_size
                    with archive.open(member, "w") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
    except FileExistsError as error:
        raise RunExists(sentences.OUT_EXISTS(path=str(out))) from error
    except OSError as error:
        raise NotAble(sentences.OUT_NOT_WRITTEN(path=str(out), why=str(error.strerror))) from error
    return out


def open_bundle(path: Path) -> RunFolder:
    """The run in the bundle at ``path``, unpacked to a temporary folder that is removed with the ``RunFolder``.

    Raises
    ------
    RunNotFound
        It is no zip file, or holds a diagnosis.
    RunInvalid
        It is damaged, holds what is not a file of a run, or unpacks to over ``MAX_BYTES``.
    NotAble
        There is no room to unpack it.
    """
    opened = open_any(path)
    if isinstance(opened, DiagnosisFolder):
        raise RunNotFound(sentences.IS_A_DIAGNOSIS(path=str(path)))
    return opened


def open_any(path: Path) -> RunFolder | DiagnosisFolder:
    """The run or the diagnosis at ``path``: its folder, or a bundle, which is unpacked as by ``open_bundle``.

    Raises
    ------
    RunNotFound, RunInvalid, NotAble
        As ``open_bundle`` does.
    """
    if not path.is_file():
        return _folder(path)
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
    try:
        folder = _folder(_unpack(path, scratch))
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    weakref.finalize(folder, shutil.rmtree, scratch, ignore_errors=True)
    return folder


def _folder(path: Path) -> RunFolder | DiagnosisFolder:
    return DiagnosisFolder(path) if is_diagnosis(path) else RunFolder(path)


def _unpack(path: Path, into: Path) -> Path:
    if not zipfile.is_zipfile(path):
        of_a_run = (path.parent / "plan.yaml").is_file()
        hint = plan_errors.DID_YOU_MEAN(near=repr(str(path.parent))) if of_a_run else ""
        raise RunNotFound(sentences.NEITHER(path=str(path), suffix=SUFFIX, hint=hint))
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            name = _checked(path, members)
            for member in members:
                target = into / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                # No more comes out than the size it states, and those are counted: zipfile stops there.
                with archive.open(member) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split()) or str(sentences.ENDS_EARLY)
        raise RunInvalid(sentences.DAMAGED(path=str(path), why=why)) from error
    except OSError as error:
        why = str(error.strerror or error)
        raise NotAble(sentences.NOT_UNPACKED(path=str(path), folder=str(into), why=why)) from error
    return into / name


def _checked(path: Path, members: Sequence[zipfile.ZipInfo]) -> str:
    """The one folder that all ``members`` are in; RunInvalid if a member is not a file of a run."""
    for why in _objections(path, members):
        raise RunInvalid(sentences.BUNDLE_REFUSED(path=str(path), why=why))
    return members[0].filename.partition("/")[0]


def _objections(path: Path, members: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    """What is wrong with ``members``. Each is only asked for if what was asked before is right."""
    called = next((form for form in _MEMBERS if members and form.fullmatch(members[0].filename)), _MEMBERS[0])
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if not called.fullmatch(member.filename) or kind not in (0, stat.S_IFREG):
            yield sentences.STRANGE_MEMBER(member=repr(member.filename[:200]))
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield sentences.PACKED_OTHERWISE(member=repr(member.filename))
    names = {member.filename for member in members}
    if len({name.partition("/")[0] for name in names}) != 1 or len(names) != len(members):
        yield str(sentences.ONE_RUN)
    size = sum(member.file_size for member in members)
    if size > MAX_BYTES or len(members) > MAX_FILES:
        yield sentences.UNPACKS_TOO_LARGE(gib=f"{MAX_BYTES >> 30}", files=f"{MAX_FILES:,}")
    for member in members:
        if member.file_size > largest(member.filename):
            yield sentences.MEMBER_TOO_LARGE(member=repr(member.filename))
    if size > max(FREE_BYTES, MAX_RATIO * path.stat().st_size):
        yield sentences.UNPACKS_TOO_FAR(ratio=f"{MAX_RATIO}")
