"""The lab's namespaces: one holder process that owns them all, and how to run commands inside.

The holder is a process that waits on a pipe of ours. It is init of a PID namespace and owns a mount and a network
namespace (and, without root, a user namespace); /run is private to it, so named network namespaces inside are too.
When this process ends, however it ends, the pipe closes and the holder exits. The kernel then kills what runs inside
and removes the rest, so dnslab has nothing to clean up.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dnslab.errors import NotAble
from dnslab.sentences import machine as sentences
from dnslab.text import listed

TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "nft": "nftables", "unbound": "unbound"}
SETUP_TIMEOUT_S = 20.0

_HOLDER = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/dnslab
ip link set lo up
read -r pid rest </proc/self/stat
echo "$pid"
exec cat >/dev/null
"""


def environment() -> dict[str, str]:
    """Environment variables for what runs inside: the tools of /usr/sbin are found, and messages are English."""
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {**os.environ, "PATH": f"{path}:/usr/sbin:/sbin", "LC_ALL": "C"}


def check_tools() -> None:
    """Check the platform and the tools; NotAble, with the command that installs it, for what is missing."""
    if platform.system() != "Linux":
        raise NotAble(sentences.NEEDS_LINUX(system=platform.system()))
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool, path=environment()["PATH"])})
    if missing:
        raise NotAble(sentences.NEEDS_TOOLS(tools=listed(missing), packages=" ".join(missing)))


class Namespaces:
    """A holder and what runs inside it. NotAble where the kernel or the machine's policy does not allow namespaces."""

    def __init__(self) -> None:
        check_tools()
        self._rootless = os.geteuid() != 0
        argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL"]
        argv += ["--user", "--map-root-user"] if self._rootless else []
        self._holder = subprocess.Popen(
            [*argv, "sh", "-c", _HOLDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environment(),
            text=True,
        )
        assert self._holder.stdout
        pid = self._holder.stdout.readline().strip()
        if not pid:
            _, reason = self._holder.communicate()
            message = (reason.strip() or "no reason given").splitlines()[-1]
            raise NotAble(sentences.NO_NAMESPACES(why=message))
        self._pid = pid
        self._servers: list[subprocess.Popen[bytes]] = []

    def enter(self, argv: Sequence[str], namespace: str | None = None, group: Path | None = None) -> list[str]:
        """The command line that runs ``argv`` inside, in the network namespace called ``namespace``.

        ``group`` is the file that takes the processes of a cgroup; it is joined first.
        """
        user = ["--user", "--preserve-credentials"] if self._rootless else []
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        if group:  # before `ip netns exec`, which mounts another /sys
            inside = ["sh", "-c", 'echo 0 >"$0"; exec "$@"', str(group), *inside]
        return ["nsenter", "--target", self._pid, *user, "--mount", "--net", "--pid", "--", *inside, *argv]

    def run(self, script: str, namespace: str | None = None, data: str = "") -> str:
        """Run a shell script inside and return its stdout; NotAble with its error message when it fails.

        ``script`` is dnslab's own text. What comes from a plan or a run is ``data``, which the script reads from stdin,
        so that nothing in it can become a command.
        """
        done = subprocess.run(
            self.enter(["sh", "-ec", script], namespace),
            input=data,
            capture_output=True,
            text=True,
            env=environment(),
            timeout=SETUP_TIMEOUT_S,
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            lines = (done.stderr.strip() or "it printed no error").splitlines()
            message = next((line for line in lines if "rror" in line), lines[0])
            raise NotAble(sentences.SET_UP_FAILED(why=message))
        return done.stdout

    def start(self, argv: Sequence[str], namespace: str, group: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a server inside, in the cgroup ``group`` if given. It ends with the holder at the latest."""
        server = subprocess.Popen(
            self.enter(argv, namespace, group),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment(),
        )
        self._servers.append(server)
        return server

    def close(self) -> None:
        """End the holder, and with it all that runs inside. May be called twice."""
        if self._holder.stdin and not self._holder.stdin.closed:
            self._holder.stdin.close()
            try:
                self._holder.wait(5)
            except subprocess.TimeoutExpired:
                self._holder.kill()  # unshare takes its child with it
                self._holder.wait()
            for server in self._servers:  # the kernel has killed them; this collects their exit status
                server.wait()
            for pipe in (self._holder.stdout, self._holder.stderr):
                if pipe:
                    pipe.close()
