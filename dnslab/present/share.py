"""Give a run, or a whole diagnosis, to others: a redacted copy of its folder, the page of that copy, or one archive.

The run's folder is only read. Everything written is searched once more for originals; if one is left, nothing is given
out.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from dnslab import files
from dnslab.analyse.dataset import Run
from dnslab.errors import NotAble, ProbeFailed, RunExists, RunInvalid, StreamError
from dnslab.plan.yamltext import read_yaml
from dnslab.present.page import page as page_of
from dnslab.store import bundle as bundles, stream as records
from dnslab.store.diagnosis import DIAGNOSE, DiagnosisFolder
from dnslab.store.folder import SCRATCH_PREFIX, RunFolder, target_of
from dnslab.store.redaction import REDACTED, Redactor, StandIns

_STARTED = re.compile(r"\d{8}T\d{6}Z(?=-)")
#: what is shorter stands in bytes that are no text by chance
_LEAST_IN_BYTES = 6
_IN_BYTES = re.compile(rb"[\x20-\x7e]{%d,}" % _LEAST_IN_BYTES)
#: frames that hold nothing but numbers, and the header, which names libc and machine
_NAMELESS = (records.MAGIC, b"RECS", b"BEAT", b"CLCK", b"TAIL")


class NotRedacted(RunInvalid):
    """A name that had to be replaced would have stayed in the output, so nothing was written."""


def redacted(run_folder: Path | str, to: Path | str) -> Path:
    """A copy of a run with equal numbers, in which stand-ins replace everything that names machines or people.

    Names looked up are replaced label by label. Times, versions, kernels, resolver options and counters stay. What is
    derived (page, parquet) is not copied: it is made again from the copy.

    Parameters
    ----------
    run_folder
        The run; only read.
    to
        The folder that the copy is made in. It keeps the time of the run's name.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    NotRedacted
        An original was found in what was written.
    RunExists
        A copy already exists.
    """
    return _redact(RunFolder(Path(run_folder)), Path(to))[0]


def page(run_folder: Path | str, out: Path | None = None, of: Callable[[Path], str] | None = None) -> Path:
    """Only the page of a redacted copy. ``out`` defaults to ``<copy's name>.html`` in the current folder.

    ``of`` makes the page of the copy's folder; by default it is that of a run.

    Raises
    ------
    NotRedacted
        An original was found in the page.
    NotAble
        ``out`` cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as scratch:
        scratch_path = Path(scratch).resolve()
        copy, stand_ins = _redact(bundles.open_any(Path(run_folder)), scratch_path)
        target = out or Path(f"{copy.name}.html")
        text = (of or _page_of_run)(copy).replace(f"{scratch_path}/", "")
        _sweep(stand_ins, target, html.unescape(text))
    try:
        with files.whole(target, replace=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotAble(f"{target} cannot be written ({error.strerror}): name another place with --out") from error
    return target


def _page_of_run(copy: Path) -> str:
    return page_of(Run(RunFolder(copy)))


def bundle(run_folder: Path | str, out: Path | None = None, redact: bool = False) -> Path:
    """One archive of a run or of a diagnosis, or of its redacted copy; ``out`` defaults to ``<its name>.dnslab.zip``.

    ``open_run`` opens that of a run, ``dnslab diagnose --from`` that of a diagnosis, too.

    Raises
    ------
    RunExists
        There is something at ``out``.
    NotRedacted
    """
    folder = bundles.open_any(Path(run_folder))
    if not redact:
        return bundles.pack(folder, out or Path(f"{folder.path.resolve().name}{bundles.SUFFIX}"))
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as scratch:
        copy = bundles.open_any(_redact(folder, Path(scratch))[0])
        return bundles.pack(copy, out or Path(f"{copy.path.name}{bundles.SUFFIX}"))


def _redact(folder: RunFolder | DiagnosisFolder, to: Path) -> tuple[Path, StandIns]:
    folder_path = folder.path.resolve()
    started = _STARTED.match(folder_path.name)
    copy = to / (f"{started[0]}-{REDACTED}" if started else REDACTED)
    if copy.exists():
        raise RunExists(f"{copy} already exists")
    runs = folder.folders() if isinstance(folder, DiagnosisFolder) else [folder]
    redactor = Redactor([place for run in runs for place in run.environment.backend.places or ()])
    redactor.stand_ins.note("path", str(folder_path.parent))
    named = _STARTED.sub("", folder_path.name).lstrip("-")
    if not isinstance(folder, DiagnosisFolder) or named != DIAGNOSE:  # its answer holds that command
        redactor.stand_ins.note("run", named)
    _go_through(folder, redactor)
    redactor.texts = True
    _go_through(folder, redactor)
    redactor.stand_ins.give_out()
    temporary = files.temporary_beside(copy)
    try:
        for path, data in _rewritten(folder, redactor):
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_bytes(data)
            _sweep(redactor.stand_ins, path, path.as_posix(), *_contents(path, data))
        bundles.open_any(temporary)  # a name of very many labels may have become too long to be one
        temporary.rename(copy)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return copy, redactor.stand_ins


def _go_through(folder: RunFolder | DiagnosisFolder, redactor: Redactor) -> None:
    """Let the redactor note every name in the run."""
    for _ in _rewritten(folder, redactor):
        pass


def _rewritten(folder: RunFolder | DiagnosisFolder, redactor: Redactor) -> Iterator[tuple[Path, bytes]]:
    """The content of each file of the copy, by its path in the copy."""
    if isinstance(folder, RunFolder):
        yield from _rewritten_run(folder, redactor)
        return
    for path in folder.own_files():
        yield path, _as_json(redactor.data(folder.read(path), "file"))
    for run in folder.folders():
        for path, data in _rewritten_run(run, redactor):
            yield run.path.relative_to(folder.path) / path, data


def _as_json(content: Any) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _rewritten_run(folder: RunFolder, redactor: Redactor) -> Iterator[tuple[Path, bytes]]:
    for path in folder.files():
        if path.name == "plan.yaml":
            _, plan = read_yaml(files.text(folder.read_bytes(folder.path / path), path), path.name)
            data = redactor.data(plan, "plan")
            yield path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode()
        elif path.suffix == ".json":
            yield _renamed(path, redactor), _as_json(redactor.data(folder.read(folder.path / path), "file"))
        elif redactor.stand_ins.given_out:  # there is nothing to note in a stream
            with files.open_regular(folder.path / path) as stream:
                yield _renamed(path, redactor), _nameless(stream.read())


def _renamed(path: Path, redactor: Redactor) -> Path:
    """The path with a stand-in for the target, by which a trial's files are named."""
    target = target_of(path.name)
    return path.with_name(redactor.target(target) + path.name.removeprefix(target)) if target else path


def _nameless(stream: bytes) -> bytes:
    """A probe's stream up to its last whole frame. Only a refusal holds text, and that is left out."""
    decoder = records.StreamDecoder()
    kept, position = [], 0
    while position + records.FRAME.size <= len(stream):
        kind, sequence, size, _ = records.FRAME.unpack_from(stream, position)
        frame = stream[position : position + records.FRAME.size + size]
        try:
            whole = list(decoder.feed(frame))
        except ProbeFailed:
            kept.append(records.frame(b"FAIL", sequence, b"(its words are left out)"))
            break
        except StreamError:
            break
        if not whole or kind not in _NAMELESS:
            break
        kept.append(frame)
        position += len(frame)
    return b"".join(kept)


def _contents(path: Path, data: bytes) -> Iterator[str | bytes]:
    """The contents of a file of the copy: its bytes if it is no text, else each text in it."""
    if path.suffix == ".dnsr":
        yield data
    else:
        yield from _texts(json.loads(data) if path.suffix == ".json" else yaml.safe_load(data))


def _texts(data: Any) -> Iterator[str]:
    """Every key and every text of JSON or YAML, without the escapes that a name could hide behind."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)
    elif isinstance(data, str):
        yield data


def _sweep(stand_ins: StandIns, path: Path, *contents: str | bytes) -> None:
    """Raise NotRedacted if an original is left in a text, or in bytes that are no text."""
    for content in contents:
        least = _LEAST_IN_BYTES if isinstance(content, bytes) else 0
        texts = [content] if isinstance(content, str) else map(bytes.decode, _IN_BYTES.findall(content))
        for text in texts:
            for start, end, stand_in in stand_ins.found_in(text):
                if end - start >= least:
                    raise NotRedacted(
                        f"{path.name} would still contain {text[start:end]!r} ({stand_in}): nothing was written; "
                        "please report this, and do not share the run"
                    )
