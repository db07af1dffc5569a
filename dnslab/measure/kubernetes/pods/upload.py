"""Uploads the probe into an existing container: tries directories, counts the bytes, checks the file.

Needs a shell and ``chmod``, no ``tar`` and no right but exec. The shell session that brings the file removes it when it
ends, whatever ends it. Knows nothing of trials.
"""

from __future__ import annotations

import contextlib
import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from dnslab.errors import NotAble, ProbeFailed, StreamForeign
from dnslab.measure.asking import READY_TIMEOUT_S
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, answered
from dnslab.measure.kubernetes.api.exec import ExecChannel, run
from dnslab.measure.kubernetes.api.names import MACHINES
from dnslab.measure.kubernetes.pods import pod_facts
from dnslab.measure.kubernetes.pods.shell import Shell, octal, word
from dnslab.measure.probe import find_probe
from dnslab.measure.probe.job import Job, encode
from dnslab.measure.protocol import Channel
from dnslab.store import stream as records

PREFIX = ".dnslab-"
#: after the pod's own emptyDir mounts, before $HOME and the working directory
DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm", "/run")
#: bytes in one printf of the form without ``head``
PRINTF_BYTES = 2048
#: a shell runs a file without an interpreter line itself, and is told EACCES where the mount is noexec
_FIND = (
    "for d in {directories}; do F=$d/{name}; "
    '(umask 077; printf "exit 0\\n" >"$F") 2>/dev/null && chmod 700 "$F" 2>/dev/null && "$F" </dev/null 2>/dev/null '
    '&& break; {remove}; F=; done; printf %s "$F"'
)
#: not ``:``, a special builtin, whose failed redirection would end the shell
_REMOVE = '{ [ -z "$F" ] || rm -f "$F" 2>/dev/null || printf "" >"$F"; } 2>/dev/null'


class Upload:
    """The probe for a container's C library and CPU, which stays in the container until ``close``.

    ``leaving`` names further commands that the shell runs when its session ends.

    Raises
    ------
    NotAble
        No shell, no place that is writable and executable, or no probe for this CPU; says what can be done.
    StreamForeign
        What arrived is not what was sent.
    """

    def __init__(self, client: Client, pod: Mapping[str, Any], container: str, leaving: Mapping[str, str]) -> None:
        self.client, self.pod, self.container = client, str(pod["metadata"]["name"]), container
        self.shell = Shell(client, self.pod, container)
        try:
            self.shell.on_leaving({"file": _REMOVE, **leaving})
            self.path = find_path(self.shell, mounts(pod, container))
            self._machine = _machine(self.shell, client, pod)
            self.probe = pod_facts.choose_probe(self.run, self._bring, self._machine)
            self._check()
        except BaseException:
            self.close()
            raise

    def run(self, argv: Sequence[str]) -> tuple[int, bytes]:
        """Exit code and output of a short command in the container."""
        return run(self.client, self.pod, self.container, argv)

    def _bring(self, kind: str) -> str:
        send(self.shell, self.path, find_probe(kind, self._machine).read_bytes())
        return self.path

    def _check(self) -> None:
        """Check the file by the size and checksum that the probe reports of its own executable."""
        sent = find_probe(self.probe.kind, self._machine).read_bytes()
        header = read_header(ExecChannel(self.client, self.pod, self.container, [self.path]))
        if (header.executable_size, header.executable_crc) != (len(sent), zlib.crc32(sent)):
            raise StreamForeign(
                f"the probe arrived in pod {self.pod} as {header.executable_size} bytes with checksum "
                f"{header.executable_crc:08x}, dnslab sent {len(sent)} with {zlib.crc32(sent):08x}: try again"
            )

    def close(self) -> None:
        """Remove the file. May be called twice."""
        self.shell.close()


def mounts(pod: Mapping[str, Any], container: str) -> list[str]:
    """Paths at which ``container`` has an emptyDir mounted for writing."""
    empty = {volume["name"] for volume in pod["spec"].get("volumes") or [] if "emptyDir" in volume}
    containers = {entry["name"]: entry for entry in pod["spec"]["containers"]}
    return [
        mount["mountPath"]
        for mount in containers.get(container, {}).get("volumeMounts") or []
        if mount["name"] in empty and not mount.get("readOnly")
    ]


def candidates(first: Sequence[str]) -> str:
    """Directories to try, as shell words, ``first`` before the others."""
    return " ".join([*(word(path.rstrip("/") or "/") for path in first), *DIRECTORIES, '"${HOME:-/tmp}"', '"$PWD"'])


def find_path(shell: Shell, first: Sequence[str]) -> str:
    """The path for the file, in the first directory that allows writing and executing.

    Raises
    ------
    NotAble
        There is no such directory.
    """
    name = PREFIX + secrets.token_hex(4)
    _, path = shell.ask(_FIND.format(directories=candidates(first), name=name, remove=_REMOVE))
    if not path.strip():
        tried = ", ".join([*first, *DIRECTORIES])
        raise NotAble(
            f"container {shell.container} of pod {shell.pod} has no place to run the probe from: {tried}, $HOME and "
            "the working directory are read-only or noexec (or the image has no chmod): mount an emptyDir, or "
            "--ephemeral-container IMAGE measures the pod's network through a container beside it"
        )
    return path.strip()


def send(shell: Shell, path: str, data: bytes) -> None:
    """Write ``data`` to ``path`` and make it executable, through ``head -c`` or, without it, through ``printf``.

    Raises
    ------
    ProbeFailed
        The file cannot be written, or the session has ended.
    """
    has_head, _ = shell.ask("head -c 1 </dev/null >/dev/null 2>&1")
    (send_counted if has_head == 0 else send_printed)(shell, path, data)


def send_counted(shell: Shell, path: str, data: bytes) -> None:
    """As ``send``, through ``head -c``.

    If that fails the shell ends, since it would run the remaining bytes as commands.
    """
    code = shell.feed(f"head -c {len(data)} >{word(path)} || exit 9; chmod 700 {word(path)}", data)
    _check_written(code, shell, path)


def send_printed(shell: Shell, path: str, data: bytes) -> None:
    """As ``send``, through the shell's own ``printf``, with four times the bytes. For images with only a shell."""
    file = word(path)
    parts = [data[start : start + PRINTF_BYTES] for start in range(0, len(data), PRINTF_BYTES)]
    lines = [f"printf '{octal(part)}' >>{file} || exit 9" for part in parts]
    code, _ = shell.ask("\n".join([f": >{file} || exit 9", *lines, f"chmod 700 {file}"]))
    _check_written(code, shell, path)


def _check_written(code: int, shell: Shell, path: str) -> None:
    if code:
        raise ProbeFailed(f"the probe could not be written to {path} in pod {shell.pod}: chmod ended with {code}")


def read_header(channel: Channel) -> records.Header:
    """The header that the probe behind ``channel`` sends before any lookup. Ends the probe.

    Raises
    ------
    ProbeFailed
        It ended before it was ready.
    """
    job = Job(entries=(b"localhost.",), workers=1, duration_s=1.0, deadline_s=1.0, hard_deadline_s=10.0)
    decoder = records.StreamDecoder()
    with contextlib.closing(channel):
        channel.write(encode(job))
        while decoder.header is None:
            data = channel.read(READY_TIMEOUT_S)
            if not data:
                raise ProbeFailed(f"the probe ended before it was ready: {channel.errors() or 'it printed no error'}")
            for _ in decoder.feed(data):
                pass
    return decoder.header


def _machine(shell: Shell, client: Client, pod: Mapping[str, Any]) -> str:
    code, output = shell.ask("uname -m 2>/dev/null")
    machine = output.strip()
    if code:
        node = pod["spec"]["nodeName"]
        with answered(f"read node {node} (its CPU's kind, which the container has no uname to tell)"):
            info = client.core().read_node(node, _request_timeout=TIMEOUT_S).status.node_info
        machine = MACHINES.get(info.architecture, info.architecture)
    if machine not in MACHINES.values():
        raise NotAble(f"pod {shell.pod} runs on {machine}: there are probes for {' and '.join(MACHINES.values())}")
    return machine


def leftovers(shell: Shell, first: Sequence[str]) -> list[str]:
    """Probe files in the directories in which an earlier run may have left one."""
    each = f'for f in "$d"/{PREFIX}*; do [ -e "$f" ] && printf "%s\\n" "$f"; done'
    _, output = shell.ask(f"for d in {candidates(first)}; do {each}; done")
    return list(dict.fromkeys(output.splitlines()))


def remove(shell: Shell, paths: Sequence[str]) -> None:
    """Remove files that an earlier run left.

    Raises
    ------
    NotAble
        They cannot be removed.
    """
    code, output = shell.ask(f"rm -f {' '.join(map(word, paths))} 2>&1")
    if code:
        raise NotAble(f"cannot remove {', '.join(paths)} in pod {shell.pod}: {' '.join(output.split())}")
