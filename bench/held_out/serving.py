"""Held-out faults of the servers: how they answer, what stops them, and what else uses their links.

``server.py`` serves where unbound cannot be configured to do what a fault wants.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.held_out.path import NEIGHBOUR, NOBODY, server_counters
from dnslab.measure.lab import servers
from dnslab.measure.lab.fault import Fault, Values
from dnslab.measure.lab.namespaces import Namespaces

PROGRAM = Path(__file__).with_name("server.py")
#: the one of both that has a defect, where only one has
ONE = "server-b"

_PID = "until [ -s /run/dnslab/{0}.pid ]; do sleep 0.02; done\n"

# Stops processes for part of each period. Arguments: period and stop in seconds, then their pid files.
_DUTY = """
import os, signal, sys, time
period, stop = map(float, sys.argv[1:3])
pids = [int(open(path).read()) for path in sys.argv[3:]]
n = 0
while True:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(stop)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    n += 1
    with open("/run/dnslab/stops.new", "w") as file:
        file.write(str(n))
    os.replace("/run/dnslab/stops.new", "/run/dnslab/stops")
    time.sleep(period - stop)
"""

# Sends bursts to nobody. Arguments: address, datagrams a burst, mean seconds between bursts, file of the count.
_BURSTS = """
import os, random, socket, sys, time
to, n, every, path = (sys.argv[1], 9), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent = 0
while True:
    for _ in range(n):
        udp.sendto(bytes(1250), to)
    sent += 1
    with open(path + ".new", "w") as file:
        file.write(str(sent))
    os.replace(path + ".new", path)
    time.sleep(every * random.uniform(0.5, 1.5))
"""

# Drops all DNS for a moment, again and again. Arguments: seconds between, milliseconds of each.
_CUTS = """
while sleep "$1"; do nft add element ip held cut "{ 6 timeout $2ms, 17 timeout $2ms }"; done
"""
_CUT_TABLE = """
table ip held {
  counter cut { }
  set cut { type inet_proto; flags timeout; }
  chain cut_in {
    type filter hook input priority 0; policy accept;
    th dport 53 meta l4proto @cut counter name cut drop
  }
}
"""


def _serving(defect: str) -> Callable[[Values], Mapping[str, object]]:
    return lambda values: {"defect": defect, "addresses": dict(servers.ADDRESSES), **values}


def _broken_upstream(values: Values, server: str, config: str) -> str:
    """One server that forwards all names to itself by another address, and refuses those: its answer is SERVFAIL."""
    if server != ONE:
        return config
    kept = [line for line in config.splitlines() if "local-zone" not in line and "local-data" not in line]
    own = ['  local-zone: "local." nodefault', "  do-not-query-localhost: no", "  access-control: 127.0.0.0/8 refuse"]
    return "\n".join([*kept, *own, "forward-zone:", '  name: "."', "  forward-addr: 127.0.0.1@53", ""])


def _small_answers(values: Values, server: str, config: str) -> str:
    return f"{config}  max-udp-size: {round(values['bytes'])}\n"


def _stopped(inside: Namespaces, server: str, values: Values) -> None:
    if server == ONE:
        inside.run(f"{_PID.format(server)}kill -STOP $(cat /run/dnslab/{server}.pid)")


def _no_carrier(inside: Namespaces, server: str, values: Values) -> None:
    if server == ONE:
        inside.run(f"ip link set {server} down")


def _unanswered(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
    """Datagrams that a stopped server has not read."""
    lines = inside.run("cat /proc/net/udp", ONE).splitlines()[1:]
    queues = [fields[4].partition(":")[2] for fields in map(str.split, lines) if fields[1].endswith(":0035")]
    return {"bytes_unread": sum(int(queue, 16) for queue in queues)}


def _duty(inside: Namespaces, server: str, values: Values) -> None:
    if server != ONE:
        return
    files = [f"/run/dnslab/{name}.pid" for name in servers.ADDRESSES]
    inside.run("".join(_PID.format(name) for name in servers.ADDRESSES))
    period_s, share = values["period"] / 1e3, values["stopped"]
    argv = [sys.executable, "-S", "-c", _DUTY, f"{period_s:g}", f"{period_s * share:g}", *files]
    inside.start(argv, server)


def _stops(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
    return {"stops": int(inside.run("cat /run/dnslab/stops 2>/dev/null || echo 0"))}


def _queue_bursts(inside: Namespaces, server: str, values: Values) -> None:
    rate = f"{round(values['bits'])}bit"
    inside.run(
        f"{NEIGHBOUR.format(device='eth0')}tc qdisc add dev eth0 root tbf rate {rate} burst 2000 limit 400000\n", server
    )
    n, every_s = f"{round(values['datagrams'])}", f"{values['every'] / 1e3:g}"
    argv = [sys.executable, "-S", "-c", _BURSTS, NOBODY, n, every_s, f"/run/dnslab/{server}.bursts"]
    inside.start(argv, server)


def _bursts(inside: Namespaces, node: str, values: Values) -> Mapping[str, int]:
    texts = (inside.run(f"cat /run/dnslab/{name}.bursts 2>/dev/null || echo 0") for name in servers.ADDRESSES)
    return {"bursts": sum(map(int, texts))}


def _periodic_cut(inside: Namespaces, server: str, values: Values) -> None:
    inside.run("nft -f -", server, data=_CUT_TABLE)
    rest_s = (values["period"] - values["cut"]) / 1e3
    inside.start(["sh", "-c", _CUTS, "sh", f"{rest_s:g}", f"{round(values['cut'])}"], server)


SERVING_FAULTS: Sequence[Fault] = (
    Fault(
        "endpoint-no-carrier",
        "the link of one of the two servers is down, as that of a machine that was switched off",
        late=True,
        at_server=_no_carrier,
    ),
    Fault(
        "endpoint-stopped",
        "the process of one of the two servers is stopped, and its queries wait in its socket",
        late=True,
        at_server=_stopped,
        did=_unanswered,
    ),
    Fault(
        "servfail-forward",
        "one of the two servers forwards all names to an upstream that refuses them, and answers SERVFAIL",
        unbound=_broken_upstream,
    ),
    Fault("unbound-truncates", "both servers truncate UDP answers over a size", unbound=_small_answers),
    Fault(
        "duty-cycle",
        "both servers are stopped for part of each period, as a quota of CPU time stops them",
        late=True,
        at_server=_duty,
        did=_stops,
    ),
    Fault(
        "queue-bursts",
        "other traffic of the servers fills the queue that their answers wait in, in bursts",
        late=True,
        at_server=_queue_bursts,
        did=_bursts,
    ),
    Fault(
        "periodic-cut",
        "both servers lose all DNS for a moment at fixed intervals",
        at_server=_periodic_cut,
        did=server_counters,
    ),
)


def _served(name: str, summary: str, late: bool = False) -> Fault:
    return Fault(name, summary, late=late, serving=_serving(name), program=PROGRAM)


PROGRAM_FAULTS: Sequence[Fault] = (
    _served("slow-exponential", "both servers take a random time for each answer", late=True),
    _served("aaaa-uniform", "both servers take a random time for each AAAA answer", late=True),
    _served("stop-the-world", "each server does nothing at all for a time, at random instants of its own", late=True),
    _served("paused-reader", "servers with a small receive buffer do not read it for part of each second", late=True),
    _served("raw-checksum", "both servers send some UDP answers with a wrong checksum"),
    _served("wrong-id", "both servers answer some UDP queries with the id of another query"),
    _served("other-port", "both servers send some UDP answers from another port"),
    _served("empty-answers", "both servers say of some queries that the name has no such record"),
    _served("one-slow-endpoint", "one of the two servers takes a fixed time for each answer", late=True),
    _served("a-late", "both servers take a fixed time for each A answer, and none for AAAA", late=True),
    _served("heavy-tail", "both servers answer some queries late, few of them very late", late=True),
)
