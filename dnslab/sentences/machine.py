"""What this machine, the lab or a nameserver refuses before and during a run. Each is one line, without a full stop."""

from __future__ import annotations

from dnslab.sentences import Sentence

# Before a run
NOTHING_TO_MEASURE = Sentence("nothing to measure: none of the plan's variants applies to any of its targets")
NO_TARGET = Sentence("no target {target}: the targets are {known}", target="'windows'", known="glibc and musl")
TARGET_NOT_INSTALLED = Sentence(
    "no target {target} here: to get it, run {install}",
    target="'musl'",
    install="`apt-get install musl-tools`, then `python hatch_build.py`",
)
OPEN_FILES = Sentence(
    "the plan needs {needed} open files, but only {allowed} are allowed here: raise the limit (`ulimit -n {limit}`), "
    "or use fewer workers (-c)",
    needed="2,048",
    allowed="1,024",
    limit="2048",
)
FOLDER_EXISTS = Sentence("{path} already exists: set another --out, or continue that run with --resume", path="out")
NO_FOLDER = Sentence("no run folder can be made at {path}: {why}", path="out", why="File name too long")
FILE_IN_THE_WAY = Sentence("{path} is a file", path="results")
NOT_WRITABLE = Sentence("{folder} cannot be written to: name another place with --out", folder="results")
REPORT_NEEDS = Sentence("--report needs {module}, which is missing: `pip install 'dnslab[analysis]'`", module="pandas")
NO_SUCH_NAME = Sentence(
    "{name} does not exist, even with the search list: correct it, or set what it should resolve to with "
    "--expect {plain}=ADDRESS,...",
    name="'nowhere.test.'",
    plain="nowhere.test.",
)
NOT_RESOLVED = Sentence("it did not resolve: there was no answer, or an error")
NAME_UNKNOWN = Sentence("there is no such name")
NO_CACHE = Sentence("no node-local cache answers at {addresses}", addresses="169.254.20.10")
REDIRECTED = Sentence(
    "another server answers at {address}: all DNS here is redirected to it, so no cache can be asked",
    address="169.254.20.10",
)
NAMESERVER_OPTION = Sentence("--nameserver is for --backend local: the lab and a cluster have nameservers of their own")
FAULT_NEEDS_LAB = Sentence(
    "the fault {fault} needs the lab: {why}", fault="'race'", why="dnslab injects nothing into a cluster"
)
NO_FAULT_HERE = Sentence("dnslab injects nothing into this machine")
NO_FAULT_IN_CLUSTER = Sentence("dnslab injects nothing into a cluster")
CLUSTER_ONLY = Sentence("{variant} is for --backend kubernetes", variant="cluster-dns-direct")
NOT_IN_THE_LAB = Sentence(
    "the lab's zone does not have {name}; it has {names}, and any name under {any_name}",
    name="'example.org'",
    names="kubernetes.default.svc.cluster.local.",
    any_name="any.cluster.local.",
)
NO_LAB_TARGET = Sentence("the lab has no target {target}; it has {known}", target="'musl'", known="glibc")
TOO_MANY_CLIENTS = Sentence("the lab has addresses for {most} clients, but the plan needs more", most="4,000")
NEEDS_LINUX = Sentence(
    "the lab needs the network namespaces of Linux, but this is {system}: try --backend local", system="Darwin"
)
NEEDS_TOOLS = Sentence(
    "the lab needs {tools}: `apt-get install {packages}`", tools="nftables and unbound", packages="nftables unbound"
)
NO_QUOTA = Sentence(
    "no right to limit CPU time ({why}): this fault needs root, and the cgroup controller cpu",
    why="Permission denied: /sys/fs/cgroup/cpu/dnslab-7-0a",
)
NO_NAMESPACES = Sentence(
    "no permission for namespaces ({why}): run as root, or allow unprivileged user namespaces "
    "(`sysctl kernel.unprivileged_userns_clone=1`; on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`)",
    why="unshare failed: Operation not permitted",
)
SET_UP_FAILED = Sentence("the lab could not be set up: {why}", why="Error: Could not process rule")
SERVER_NOT_READY = Sentence(
    "the lab's server in {namespace} did not start within {time}", namespace="server-a", time="5 s"
)
NO_PROBE = Sentence("no probe for {libc} on {machine}: run {build}", libc="glibc", machine="x86_64", build="`make`")
BUILD = Sentence("`python hatch_build.py`")
NO_WAY_HERE = Sentence("servers behind a nameserver are known in the lab and in clusters only")
NO_DNS_SERVICE = Sentence(
    "the Service of the cluster's DNS is not known: {why}", why="cannot list Services in kube-system: forbidden"
)
BUILD_MUSL = Sentence("`apt-get install musl-tools`, then `python hatch_build.py`")

# A probe's job
NO_WORKER = Sentence("expected at least 1 worker, saw {workers}", workers="0")
NAMES_IN_A_JOB = Sentence("expected 1 to 65,535 names, saw {names}", names="70,000")
JOB_TOO_LARGE = Sentence(
    "the names make a job of {size} bytes, more than the allowed {most}: use fewer names",
    size="20,000,000",
    most="16,777,216",
)
NOT_A_NAME = Sentence("{name} is not a domain name: {why}", name="'a..b'", why="a DNS label is empty")
OPTION_NEEDS_FILE = Sentence("the option {option} cannot be set in a process that already runs", option="'rotate'")
ZONE_NEEDS_LIBC = Sentence(
    "only the C library can ask a nameserver with a zone ({nameserver}): use engine libc", nameserver="fe80::1%eth0"
)
NOT_AN_ADDRESS = Sentence("expected an IP address for the nameserver, saw {nameserver}", nameserver="'dns.test'")
NO_NAMESERVER = Sentence("the target's resolv.conf has no nameserver to send queries to")
SEARCH_DIFFERS = Sentence(
    "the old search list differs, and a search list cannot be changed in a process that already runs"
)
NAMESERVERS_DIFFER = Sentence(
    "the old nameservers differ, and a process that already runs can be given only one nameserver"
)

# During a run
DNS_GOT_WORSE = Sentence(
    "DNS got worse: {now} of {variant} lookups failed in seconds {first} to {last} of a trial, against {reference} "
    "{since} (limit: {margin} points more)",
    now="34 % (340 of 1,000)",
    variant="baseline",
    first="5",
    last="10",
    reference="2 % (1 of 50)",
    since="before the run",
    margin="20",
)
BEFORE_THE_RUN = Sentence("before the run")
IN_ITS_FIRST_TRIAL = Sentence("in its first trial")
STOPPED = Sentence(
    "The run stopped with {n} of {trials} complete; {kept}",
    n="3",
    trials="9 trials",
    kept="all is kept: `dnslab run --resume latest` continues the run",
)
INTERRUPTED = Sentence(
    "interrupted after {n} of {trials}; {kept}",
    n="3",
    trials="9 trials",
    kept="all is kept: `dnslab run --resume latest` continues the run",
)
KEPT = Sentence("all is kept: {command} continues the run", command="`dnslab run --resume latest`")
FOLDER_GONE = Sentence("the run folder was removed")
INCOMPLETE = Sentence(
    "incomplete trials: {n} of {trials} ({first}). {command} measures them again",
    n="1",
    trials="9",
    first="baseline, round 1: the probe ended too early",
    command="`dnslab run --resume latest`",
)
IN_ROUND = Sentence(
    "{variant}, round {round}: {why}", variant="baseline", round="1", why="the probe ended before it was ready"
)
STARTED_LATE = Sentence(
    "the probe was started {late} late, because dnslab was stopped or this machine is too slow", late="2.3 s"
)
SEEN_ENOUGH = Sentence("dnslab, as it had seen enough")
STOPPED_BY = Sentence("stopped by {whom}", whom="dnslab, as DNS got worse")
PROBE_NOT_READY = Sentence("the probe ended before it was ready: {why}", why="it printed no error")
PROBE_NO_ANSWERS = Sentence("the probe ended before its answers: {why}", why="it printed no error")
PROBE_ENDED = Sentence("the probe ended: {why}", why="it printed no error")
PROBE_CUT_SHORT = Sentence("the probe ended without its trailer, after {records}", records="120 records")
PROBE_SILENT = Sentence("the probe sent nothing for {time}", time="20 s")
OTHER_NAME = Sentence("expected one of {names} names, but the probe's record has number {index}", names="3", index="7")
NO_ERROR_PRINTED = Sentence("it printed no error")
CANNOT_START = Sentence("cannot start {program}: {why}", program="unshare", why="Permission denied")

# What doctor says
EXTRA_MISSING = Sentence("{module} is missing: `pip install 'dnslab[{extra}]'`", module="pandas", extra="analysis")
INSTALLED = Sentence("installed")
AS_A_RUN_NEEDS = Sentence("as a usual run needs it")
OPENED = Sentence("opened and closed again; targets: {targets}", targets="glibc 2.36, musl 1.2.5")
DNS_FOUND = Sentence(
    "{lines}; a run measures at its start who really answers pods", lines="Service kube-dns in kube-system, 10.96.0.10"
)
NO_PROBES = Sentence("none is built: run `python hatch_build.py`")
NOT_SEEN = Sentence("not seen: {why}", why="pods is forbidden")
