"""The channel to a probe that is a child of this process, for the lab and the local backend.

It moves bytes through pipes and ends the child. It knows nothing of jobs, streams or trials.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from dnslab.errors import NotAble, ProbeFailed
from dnslab.sentences import machine as sentences


class ProcessChannel:
    """The channel to a probe that is a child of this process.

    The child ends when this process does, whatever way: its stdin closes. ``argv`` may be a command that enters a
    namespace first.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        # In memory where the system can: there may be no folder for temporary files.
        in_memory = hasattr(os, "memfd_create")
        self._stderr = open(os.memfd_create("stderr"), "w+b") if in_memory else tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=0,
                env=dict(env) if env is not None else None,
                start_new_session=True,  # Ctrl-C is the runner's to handle: the probe ends by STOP or EOF
            )
        except OSError as error:
            self._stderr.close()
            raise NotAble(sentences.CANNOT_START(program=argv[0], why=str(error.strerror))) from error
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises ProbeFailed if the probe has ended."""
        view = memoryview(data)
        try:
            while view:  # an unbuffered pipe takes what fits
                view = view[self._stdin.write(view) or 0 :]
        except (BrokenPipeError, ValueError) as error:
            why = self.errors() or str(sentences.NO_ERROR_PRINTED)
            raise ProbeFailed(sentences.PROBE_ENDED(why=why)) from error

    def read(self, timeout_s: float) -> bytes:
        """At least one byte from the probe; ``b""`` at the end; TimeoutError if nothing comes."""
        waiting = select.poll()  # unlike select, for descriptors over 1,023 too
        waiting.register(self._stdout, select.POLLIN)
        if not waiting.poll(timeout_s * 1e3):
            raise TimeoutError(sentences.PROBE_SILENT(time=f"{timeout_s:g} s"))
        return os.read(self._stdout.fileno(), 1 << 18)

    def errors(self) -> str:
        if self._stderr.closed:
            return ""
        end = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, end - 4096))
        return self._stderr.read().decode("utf-8", "replace").strip()

    def hang_up(self) -> None:
        """Close the probe's stdin, so that it ends at once whatever it is doing, and ``read`` returns ``b""``."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def close(self) -> None:
        if self._stderr.closed:
            return
        with contextlib.suppress(OSError):
            self._stdin.close()
        deadline = time.monotonic() + 1.0
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._stderr.close()
