"""The names that real C libraries ask for, beside those that ``resolvconf`` says they ask for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dnslab.measure.protocol import glibc_version
from dnslab.plan.resolvconf import Libc, names_tried, parse

PROGRAM = r"""
#include <netdb.h>
#include <sys/socket.h>
int main(int n, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	return getaddrinfo(argv[1], "80", &hints, &found) != 0;
}
"""

#: knows no name, prints each that it is asked for in A, and hears on IPv4 and IPv6
SERVER = r"""
import socket, sys
names = []
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind(("::", 53))
print("ready", flush=True)
while True:
    query, peer = server.recvfrom(4096)
    end, labels, at = query.index(b"\0", 12), [], 12
    while at < end:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    if query[end + 1 : end + 3] == b"\0\1":
        print("".join(f"{label}." for label in labels), flush=True)
    server.sendto(query[:2] + b"\x85\x83" + query[4:6] + bytes(6) + query[12 : end + 5], peer)
"""

#: in namespaces of its own: the file in place of the machine's, then server and program until the latter ends
SCRIPT = r"""
set -e
ip link set lo up
mount --bind "$1" "$(readlink -f /etc/resolv.conf)"
"$2" -S "$3" > "$4" &
until grep -q ready "$4"; do sleep 0.05; done
"$5" "$6" || true
kill $!
"""

LONG = " ".join(f"very-long-internal-domain-number-{n}.some-department.example.com" for n in range(4))
CLUSTER = "search default.svc.cluster.local svc.cluster.local cluster.local"
FILES = {
    "a pod's": f"{CLUSTER}\nnameserver 127.0.0.1\noptions ndots:5\n",
    "IPv6": f"{CLUSTER}\nnameserver ::1\noptions ndots:5\n",
    "root first": f"{CLUSTER.replace('search', 'search .')}\nnameserver 127.0.0.1\noptions ndots:5\n",
    "root last": f"{CLUSTER} .\nnameserver 127.0.0.1\noptions ndots:5\n",
    "long line": f"{CLUSTER} {LONG}\nnameserver 127.0.0.1\noptions ndots:5\n",
    "254 bytes": f"search {'a' * 60}.{'b' * 60} {'c' * 60}.{'d' * 61}.ee\nnameserver 127.0.0.1\noptions ndots:5\n",
    "255 bytes": f"search {'a' * 60}.{'b' * 60} {'c' * 60}.{'d' * 61}.eee\nnameserver 127.0.0.1\noptions ndots:5\n",
    "long name": f"search {'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 40} e.test\nnameserver 127.0.0.1\noptions ndots:5\n",
    "indented": f"{CLUSTER}\n  search a.test\n nameserver 192.0.2.1\nnameserver 127.0.0.1\noptions ndots:5\n",
    "comments": f"{CLUSTER}\nnameserver 192.0.2.1;\nnameserver 127.0.0.1 #\noptions ndots:5 #\n;options ndots:1\n",
    "empty search": "search a.test\nsearch \nnameserver 127.0.0.1\noptions ndots:5\n",
    "bare search": "search a.test\nsearch\nnameserver 127.0.0.1\noptions ndots:5\n",
    "domain": "domain a.test b.test\nnameserver 127.0.0.1\noptions ndots:5\n",
    "last wins": "domain a.test\nsearch b.test\toptions\nnameserver 127.0.0.1\noptions\tndots:5\n",
    "dots": "search a.test. .b.test\nnameserver 127.0.0.1\noptions ndots:5\n",
    "values": "search a.test\nnameserver 127.0.0.1\noptions ndots:2 ndots:7\noptions attempts:3x ndots:x\n",
    "no newline": "search a.test\nnameserver 127.0.0.1\noptions ndots:5",
    "carriage returns": "search a.test\nnameserver 127.0.0.1\r\noptions ndots:2\r\n",
    "repeated": "search a.test a.test\nnameserver 127.0.0.1\noptions ndots:5\n",
    "ndots:0": "search a.test\nnameserver 127.0.0.1\noptions ndots:0\n",
    "more blanks": "search a.test\nnameserver 127.0.0.1\noptions\fndots:3\n",
    "seven": "search a.test b.test c.test d.test e.test f.test g.test h.test\nnameserver 127.0.0.1\noptions ndots:5\n",
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("programs")
    (folder / "ask.c").write_text(PROGRAM)
    for libc, compiler in (("glibc", "cc"), ("musl", "musl-gcc")):
        subprocess.run([compiler, "-o", folder / libc, folder / "ask.c"], check=True)
    return {libc: folder / libc for libc in ("glibc", "musl")}


@pytest.mark.lab
@pytest.mark.parametrize("name", ["x.y", "a.b.c.d.e.f", "x.y.", "x"])
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_a_real_resolver_asks_for_the_names_we_say(
    libc: Libc, file: str, name: str, programs: dict[str, Path], tmp_path: Path
) -> None:
    if libc == "musl" and (file in ("root first", "root last", "dots")):
        pytest.skip("musl before 1.2.4 sends a damaged query here")
    conf, server, asked = tmp_path / "resolv.conf", tmp_path / "server.py", tmp_path / "asked"
    conf.write_bytes(FILES[file].encode())
    server.write_text(SERVER)
    asked.touch()
    arguments = map(str, (conf, sys.executable, server, asked, programs[libc], name))
    subprocess.run(["unshare", "-Urnm", "sh", "-c", SCRIPT, "sh", *arguments], check=True, timeout=60)
    options = parse(FILES[file], libc, glibc_version() if libc == "glibc" else "")
    assert asked.read_text().split()[1:] == names_tried(name, options, libc)
