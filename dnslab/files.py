"""Files: read bounded where they may come from anyone, and written whole or not at all.

The limits of all files that dnslab reads stand here, each with its reason; docs/limits.md lists them for readers.
Knows nothing of what is in a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dnslab.errors import DnslabError, RunInvalid, UsageError
from dnslab.sentences import files as sentences

#: where dnslab is installed
PACKAGE = Path(__file__).parent
MIB = 1 << 20
#: plan.yaml, and a file of names: 65,535 names of 128 bytes each, and no plan has more names
PLAN_BYTES = 8 * MIB
#: values in it: the names, and some fourteen thousand of all else; more take over a second to refuse
PLAN_NODES = 80_000
#: keys side by side: a thousand variants of one's own
PLAN_KEYS = 1_000
#: how deep YAML may be nested: the deepest place of a plan is 5 deep
PLAN_DEPTH = 20
#: environment*.json: about 20,000 targets, each with its node
ENVIRONMENT_BYTES = 16 * MIB
#: start.json: 65,535 names of 255 bytes as they are asked, what each should resolve to, and the counters
START_BYTES = 24 * MIB
#: end.json: about 80,000 counters
END_BYTES = 4 * MIB
#: lists and objects in one JSON file: a start.json has one for each name, an environment.json five for each target
JSON_CONTAINERS = 200_000
#: values of all kinds in one JSON file: of 65,535 names with their expectations about 300,000, and the counters
JSON_VALUES = 500_000
#: one file to import, and rows of a CSV
IMPORT_BYTES = 256 * MIB
IMPORT_ROWS = 10_000_000
#: one line of a file to import
IMPORT_LINE_BYTES = 64 * 1024
#: of an imported CSV
IMPORT_COLUMNS = 1_000
#: of an import in all; the comparison is for people to read
IMPORT_VARIANTS = 1_000
#: rounds of all variants of an import; a run has at most a thousand
IMPORT_ROUNDS = 50_000

_KINDS = {
    stat.S_IFLNK: sentences.SYMBOLIC_LINK,
    stat.S_IFIFO: sentences.NAMED_PIPE,
    stat.S_IFSOCK: sentences.SOCKET,
    stat.S_IFCHR: sentences.DEVICE,
    stat.S_IFBLK: sentences.DEVICE,
    stat.S_IFDIR: sentences.FOLDER,
}
# Windows has no such flags, and none of the files that they are for.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


def check_regular(path: Path, mode: int) -> None:
    """Raise RunInvalid unless ``mode``, from ``stat``, is that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = str(_KINDS.get(stat.S_IFMT(mode), sentences.NO_FILE))
        raise RunInvalid(sentences.NOT_REGULAR(path=str(path), kind=kind))


def open_regular(path: Path) -> IO[bytes]:
    """Open a file of a run for reading.

    Follows no symbolic link, and waits for nobody at the other end of a pipe.

    Raises
    ------
    RunInvalid
        It is not a regular file.
    OSError
    """
    check_regular(path, os.lstat(path).st_mode)
    try:
        # Somebody may have put another file there since.
        opened = os.open(path, os.O_RDONLY | _SAFELY | getattr(os, "O_BINARY", 0))
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise RunInvalid(sentences.NOT_REGULAR(path=str(path), kind=str(sentences.CHANGED_KIND))) from error
        raise
    file = os.fdopen(opened, "rb")
    try:
        check_regular(path, os.fstat(opened).st_mode)
    except RunInvalid:
        file.close()
        raise
    return file


def read_regular(path: Path, limit: int) -> bytes:
    """All bytes of a file of a run. Raises RunInvalid if it is not a regular file or has more than ``limit`` bytes."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(size, limit) + 1)
    _check_size(path, max(size, len(data)), limit, RunInvalid)
    return data


def read_given(path: Path, limit: int) -> bytes:
    """All bytes of a file that the user names, which may be a pipe. Raises UsageError above ``limit`` bytes."""
    with named(path), path.open("rb") as file:
        data = file.read(limit + 1)
    _check_size(path, len(data), limit, UsageError)
    return data


def blocks_given(path: Path, limit: int, line_limit: int) -> Iterator[tuple[int, list[bytes]]]:
    """Blocks of a few thousand lines of a file that the user names, each with the number of its first line.

    Raises
    ------
    UsageError
        The file cannot be read, has more than ``limit`` bytes, or a line of more than ``line_limit``.
    """
    number, n_read = 1, 0
    with named(path), path.open("rb") as file:
        while block := file.read(MIB) + file.readline(line_limit + 1):
            n_read += len(block)
            _check_size(path, n_read, limit, UsageError)
            lines = block.splitlines(keepends=True)
            if max(map(len, lines)) > line_limit:
                long = next(i for i, line in enumerate(lines) if len(line) > line_limit)
                where, most = f"{number + long}", f"{line_limit:,}"
                raise UsageError(sentences.LINE_TOO_LONG(path=str(path), number=where, most=most))
            if number == 1:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            first, number = number, number + len(lines)
            yield first, lines


def text(data: bytes, path: Path, refused: type[DnslabError] = UsageError) -> str:
    """``data`` as UTF-8 text without a byte order mark. Raises an error of type ``refused`` if it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(sentences.NOT_UTF_8(path=str(path), position=f"{error.start + 1:,}")) from None


class named:  # noqa: N801
    """Context in which an OSError of reading ``path`` becomes a UsageError that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            why = (error.strerror or str(sentences.CANNOT_BE_READ)).lower()
            raise UsageError(sentences.UNREADABLE(path=str(self._path), why=why)) from error


def _check_size(path: Path, size: int, limit: int, refused: type[DnslabError]) -> None:
    if size > limit:
        raise refused(sentences.TOO_LARGE(path=str(path), most=f"{limit // MIB}"))


def temporary_beside(path: Path) -> Path:
    """A path beside ``path`` that does not exist, with a name that is not too long for the file system."""
    return path.with_name(f".{secrets.token_hex(8)}")


@contextlib.contextmanager
def whole(path: Path, replace: bool = False) -> Iterator[Path]:
    """Context that gives a temporary path to write to. At its end that file becomes ``path``; after an error it is
    removed.

    Raises
    ------
    FileExistsError
        There is something at ``path``; with ``replace`` it is replaced.
    OSError
    """
    temporary = temporary_beside(path)
    try:
        yield temporary
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)  # unlike rename, refuses to replace
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
