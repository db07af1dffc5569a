"""The error tree: what can go wrong, and the exit status each error ends the command line with.

DnslabError
├── UsageError (2)               what was asked for cannot be: a name, an option, a plan, a path
├── NotAble (3)                  this machine or target cannot do it: rights, tools, platform
├── RunInvalid (4)               a run is invalid or incomplete
│   ├── StreamError              the probe's bytes cannot be trusted
│   │   ├── StreamTruncated      they end early
│   │   ├── StreamForeign        they are not, or no longer, a probe's
│   │   └── StreamVersion        they are of a newer or older format
│   ├── ProbeFailed              the probe refused its job or died
│   └── StorageFailed            the run's files cannot be written any more
│       └── StorageFull          the disk is full
└── Interrupted (130)            the user ended it; what was measured is kept

Status 1 is no error: a limit of a gate is broken, or stalls are not gone.
Any other exception is a defect of dnslab, and ends with status 5.

Messages are one line: what was expected, what was seen, what can be done.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from dnslab.sentences import files as sentences
from dnslab.text import visible

#: exit status of the command line after an exception that nobody foresaw
DEFECT = 5


class DnslabError(Exception):
    """Root of all errors dnslab raises on purpose; ``status`` is the exit status of the command line."""

    status = 4

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows, which asks for this by name: one line, for nothing in dnslab's code was wrong."""
        return [f"{type(self).__name__}: {visible(str(self))}"]


class UsageError(DnslabError):
    """The user asked for something that cannot be done in this way."""

    status = 2


class InvalidName(UsageError):
    """A domain name has an empty or overlong label, or is overlong."""


class UnknownVariant(UsageError):
    """A variant that is neither built in nor in the plan."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a plan. ``location`` leads from the plan to the value: ``("loads", 0, "workers")``.

    ``text`` says what was expected and what stood there.
    """

    location: tuple[int | str, ...]
    text: str
    of_unknown_key: bool = False

    def __str__(self) -> str:
        key = ".".join(part if part.isprintable() else ascii(part) for part in map(str, self.location))
        return f"{key[:120]}: {self.text}" if key else self.text


class InvalidPlan(UsageError):
    """A plan is not valid.

    Parameters
    ----------
    problems
        All that is wrong with it: texts, or where the place is known ``Problem``.
    lines
        How each is told, if not by its key.
    """

    def __init__(self, *problems: Problem | str, lines: Sequence[str] = ()) -> None:
        self.problems = tuple(problem if isinstance(problem, Problem) else Problem((), problem) for problem in problems)
        #: a line for each problem
        self.lines = tuple(lines or dict.fromkeys(map(str, self.problems)))
        super().__init__("; ".join(self.lines))

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {visible(line)}" for line in self.lines]


class RunExists(UsageError):
    """The run folder already exists. Nothing is ever overwritten."""


class RunNotFound(UsageError):
    """There is no run folder at that path."""


class NotAble(DnslabError):
    """The machine or the target cannot do it: a right or a tool is missing, or the platform does not fit."""

    status = 3


class RunInvalid(DnslabError):
    """A run is invalid or incomplete."""

    status = 4


class StreamError(RunInvalid):
    """The probe's bytes cannot be trusted from some point on."""


class StreamTruncated(StreamError):
    """The bytes end before the trailer."""


class StreamForeign(StreamError):
    """The bytes were not written by a probe, or were changed later."""


class StreamVersion(StreamError):
    """The bytes have a format version that this dnslab cannot read."""


class ProbeFailed(RunInvalid):
    """The probe refused its job, or ended without a message."""


class StorageFailed(RunInvalid):
    """The run's files cannot be written any more. The run stopped, and keeps what was measured."""


class StorageFull(StorageFailed):
    """The disk is full."""


#: the operating system refused, and dnslab cannot help it
_REFUSALS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
    | {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENAMETOOLONG}
)


def refusal(error: BaseException) -> str:
    """What the operating system refused, in words; ``""`` if ``error`` is not such a refusal."""
    match error:
        case MemoryError():
            return str(sentences.NO_MEMORY)
        case ImportError() if "failed to map segment" in str(error) or "annot allocate memory" in str(error):
            return str(sentences.NO_MEMORY)
        case RuntimeError() if "can't start new thread" in str(error):
            return str(sentences.NO_THREADS)
        case FileNotFoundError() if "temporary directory" in str(error):
            return str(sentences.NO_TEMPORARY_FOLDER)
        case OSError() if error.errno in _REFUSALS:
            why = (error.strerror or str(sentences.REFUSED)).lower()
            return sentences.UNREADABLE(path=str(error.filename), why=why) if error.filename else why
    return ""


class Interrupted(DnslabError):
    """Ended by the user; what was measured until then is kept."""

    status = 130

    def _render_traceback_(self) -> list[str]:
        text = visible(str(self))
        return [text[:1].upper() + text[1:]]
