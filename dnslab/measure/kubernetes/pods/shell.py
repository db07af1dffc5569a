"""A shell that stays open in a container: runs commands, returns their output, and undoes changes when it ends.

However the session ends, killed on our side included, the shell reads end of file and runs the commands given to
``Shell.on_leaving``. Needs of the image a POSIX shell and nothing else. Knows nothing of probes or variants.

Commands are dnslab's own text. A value from a plan, a pod or a cluster goes into one as ``word``, or as ``octal`` in a
format of printf: digits and backslashes only, which no shell can take for anything else.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Mapping

from dnslab.errors import NotAble, ProbeFailed, StreamTruncated
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.exec import ExecChannel

ANSWER_TIMEOUT_S = 20.0
#: functions, so that each can be replaced by name while the trap stays; HUP and TERM come when a pod is deleted
_PRELUDE = "dnslab_leave() { :; }; trap dnslab_leave EXIT; trap 'exit 1' HUP TERM"


def octal(data: bytes) -> str:
    """``data`` as a printf format of octal digits, for use between single quotes."""
    return "".join(f"\\{byte:03o}" for byte in data)


def word(text: str) -> str:
    """A word of a shell command whose value is ``text``. The shell drops newlines at its end."""
    return f"\"$(printf '{octal(text.encode())}')\""


class Shell:
    """A session of ``sh``. A thread reads it all the time, since a connection that is not read goes stale.

    Raises
    ------
    NotAble
        The container has no shell, or the API server does not allow the exec.
    """

    def __init__(self, client: Client, pod: str, container: str) -> None:
        self.pod, self.container = pod, container
        self._mark = f"dnslab:{secrets.token_hex(6)}"
        self._answer = re.compile(rf"(?s)(.*?)\n{self._mark} (\w+)\n".encode())
        self._received = threading.Condition()
        self._text = b""
        self._ended = False
        self._problem = ""
        self._ask_lock = threading.Lock()
        self._on_leaving: dict[str, str] = {}
        self._channel = ExecChannel(client, pod, container, ["sh"])
        self._reader = threading.Thread(target=self._read, name=f"shell {pod}", daemon=True)
        self._reader.start()
        try:
            self.ask(_PRELUDE)
        except ProbeFailed as error:
            self.close()
            status = self._channel.status
            if status and status.exit_code in (None, 126, 127):
                message = " ".join(status.message.split())
                raise NotAble(
                    f"container {container} of pod {pod} has no shell, and dnslab needs one to copy its probe in: "
                    "--ephemeral-container IMAGE measures the pod's network from a container beside it (IMAGE is one "
                    f"with a shell); the runtime says: {message}"
                ) from error
            raise

    def _read(self) -> None:
        problem = ""
        while True:
            try:
                data = self._channel.read(60.0)
            except TimeoutError:
                continue
            except StreamTruncated as error:
                data, problem = b"", str(error)
            with self._received:
                self._text += data
                if not data:
                    self._ended, self._problem = True, problem or self._channel.errors()
                self._received.notify_all()
            if not data:
                return

    def ask(self, command: str, timeout_s: float = ANSWER_TIMEOUT_S) -> tuple[int, str]:
        """Exit status and output of one command. It may have several lines and must not read stdin.

        Raises
        ------
        ProbeFailed
            The session has ended, or no answer comes.
        """
        with self._ask_lock:
            self._channel.write(f"{command}\nprintf '\\n{self._mark} %s\\n' $?\n".encode())
            output, code = self._wait(timeout_s)
            return int(code), output.decode("utf-8", "replace")

    def feed(self, command: str, data: bytes, timeout_s: float = ANSWER_TIMEOUT_S) -> int:
        """Exit status of a one-line command that reads exactly ``data`` from stdin.

        The bytes are sent after the shell has read the command's line: a shell, and busybox's ``head``, read ahead.

        Raises
        ------
        ProbeFailed
            The session has ended, or no answer comes.
        """
        with self._ask_lock:
            mark = self._mark
            self._channel.write(f"printf '\\n{mark} ready\\n'; {command}; printf '\\n{mark} %s\\n' $?\n".encode())
            self._wait(timeout_s)
            self._channel.write(data)
            return int(self._wait(timeout_s)[1])

    def _wait(self, timeout_s: float) -> tuple[bytes, str]:
        deadline_s = time.monotonic() + timeout_s
        with self._received:
            while not (match := self._answer.match(self._text)):
                if self._ended:
                    raise ProbeFailed(f"the shell in pod {self.pod} ended: {self._problem or 'it printed no error'}")
                if not self._received.wait(max(0.0, deadline_s - time.monotonic())):
                    raise ProbeFailed(f"the shell in pod {self.pod} did not answer within {timeout_s:g} s")
            self._text = self._text[match.end() :]
            return match[1], match[2].decode()

    def on_leaving(self, steps: Mapping[str, str]) -> None:
        """Set commands that the shell runs when the session ends. A later call with the same name replaces them."""
        self._on_leaving |= steps
        body = "; ".join(step for step in self._on_leaving.values() if step)
        self.ask(f"dnslab_leave() {{ {body or ':'}; }}")

    @property
    def alive(self) -> bool:
        """Whether the session is still open."""
        try:
            return self.ask(":")[0] == 0
        except ProbeFailed:
            return False

    def close(self) -> None:
        """End the session and wait until its last commands have run. May be called twice."""
        try:
            self._channel.write(b"exit 0\n")
            with self._received:
                self._received.wait_for(lambda: self._ended, 5.0)
        except ProbeFailed:
            pass  # it has ended already, and left by itself
        self._channel.close()
        self._reader.join(2.0)  # one that still reads when Python ends aborts the process
