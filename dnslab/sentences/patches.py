"""How to give a workload a configuration, how to undo it, and what to be careful about."""

from __future__ import annotations

from dnslab.sentences import Sentence

TITLE = Sentence(
    "{variant} ({summary}) for {workload} in namespace {namespace}",
    variant="use-vc",
    summary="asks over TCP",
    workload="deploy/NAME",
    namespace="NAMESPACE",
)
UNCHANGED = Sentence("Nothing has been changed.")
NOT_APPLICABLE = Sentence("not applicable: {reason}", reason="musl ignores use-vc")
APPLY = Sentence("apply")
UNDO = Sentence("undo")
CAVEATS = Sentence("Before you apply it")
IS_BASELINE = Sentence("baseline changes nothing: name another configuration, see `dnslab variants`")
USELESS = Sentence("{reason}: a patch would change nothing", reason="musl ignores use-vc")

DNS_CONFIG = Sentence("With dnsConfig (Kubernetes 1.9 or later)")
ROLLOUT = Sentence(
    "This replaces the pods (a rollout). Make the same change in the chart or manifest, or the next deploy undoes it."
)
LISTS_REPLACED = Sentence(
    "If the workload already has dnsConfig, this patch replaces its lists. `dnslab fix --workload` keeps them."
)
POLICY_NONE = Sentence(
    "dnsPolicy None takes nothing from the cluster or the node: search domains of the node are gone, and the patch "
    "names the cluster's zone, {zone}.",
    zone="cluster.local",
)
POLICY_NONE_UNKNOWN = Sentence(
    "dnsPolicy None takes nothing from the cluster or the node: search domains of the node are gone. Replace {zone} "
    "with your cluster's zone. It is cluster.local unless somebody changed it; a pod's /etc/resolv.conf names it in "
    "the line `search`.",
    zone="CLUSTER-ZONE",
)
POLICY_DEFAULT = Sentence(
    "The workload has dnsPolicy Default: it asks the nameservers of its node, not the cluster's DNS."
)

POST_START = Sentence("With a postStart hook, if dnsConfig cannot be used")
NEEDS_A_SHELL = Sentence(
    "The container needs a shell (distroless images have none), must run as root, and must be able to write to its "
    "root file system."
)
RUNS_BESIDE = Sentence(
    "The hook runs while the program starts, not before. The first lookups may still use the old configuration, and "
    "glibc before 2.26 never reads the file again."
)
HOOK_FAILS = Sentence(
    "If the hook fails, the container ends. Each restart in the same pod adds the line again, which is harmless."
)
ONE_HOOK = Sentence("All containers of a pod share the file, so one hook is enough.")
HOOK_WOULD_FAIL = Sentence(
    "It would fail here: the container does not run as root, or its root file system is read-only."
)
HAS_A_HOOK = Sentence("Container {container} already has a postStart hook. Combine the two by hand.", container="app")
RUN_AS_WELL = Sentence("# also run: {command}", command="echo 'options use-vc' >> /etc/resolv.conf")
TAKE_OUT = Sentence("# remove it again")

KUBELET = Sentence("With the kubelet, for all pods of a node")
KUBELET_FILE = Sentence(
    "# in the kubelet's configuration file (its older flag is --cluster-dns={address})", address="169.254.20.10"
)
KUBELET_APPLY = Sentence(
    "# on each node: edit the file that the kubelet's --config names, then `systemctl restart kubelet`"
)
KUBELET_UNDO = Sentence("# the same with {address} (--cluster-dns={address})", address="10.96.0.10")
NEW_PODS_ONLY = Sentence("It holds for new pods of the node with dnsPolicy ClusterFirst. Running pods do not change.")
OPTIONS_STAY = Sentence(
    "The kubelet cannot set the options ({options}). They still need the workload's own dnsConfig.",
    options="single-request-reopen",
)

MUSL_IGNORES = Sentence("musl (Alpine) ignores {options}: there, nothing changes.", options="use-vc")
MUSL_NEEDS = Sentence("On musl, a node-local cache helps (`dnslab fix --variant node-local`), or an image with glibc.")
LOOKS_LIKE_ALPINE = Sentence(
    "The image is called {image}. Alpine uses musl: --libc musl shows what holds there.", image="app:3.2-alpine"
)
SINCE = Sentence("It needs glibc {version} or later. Older versions ignore it.", version="2.36")
TWO_ROUND_TRIPS = Sentence(
    "Each lookup takes two round trips instead of one, because AAAA is asked only after the answer to A. "
    "An overloaded server gets slower."
)
GO_GAINS_NOTHING = Sentence("Go's own resolver gains nothing: it already uses a socket per query.")
BUG_30081 = Sentence(
    "glibc before 2.41 may wait 5 s for a query that it never sent (its bug 30081). Some distributions have fixed it."
)
NO_LIMIT_OVER_TCP = Sentence(
    "Over TCP, glibc has no time limit: it ignores `timeout:` and `attempts:`. A server that does not answer blocks a "
    "lookup for minutes. TCP port 53 must be open everywhere, and each lookup opens a connection."
)
GO_HAS_A_LIMIT = Sentence("Go's own resolver follows it too, and keeps its time limit.")
IPV6_ONLY_LOST = Sentence(
    "Names that have only IPv6 addresses are no longer found. Go's own resolver does not know this option."
)
CACHE_EVERYWHERE = Sentence(
    "The cache must answer on every node, or no name resolves in the pod. Check with `dnslab node-cache status` first. "
    "While the cache of a node restarts, its pods have no DNS. Network policies must allow the pods to reach it."
)
SEEN_OUTSIDE = Sentence("A short name goes to upstream servers first: one more query, and others can see the name.")
DOTTED_SEEN_OUTSIDE = Sentence(
    "A short name with a dot goes to upstream servers first: one more query, and others can see the name."
)
MUSL_STOPS = Sentence("musl then does not try the search list: a name like `service.namespace` is no longer found.")
KUBERNETES_134 = Sentence("It needs Kubernetes 1.34 or later. Older versions refuse `.` in the search list (KEP-4427).")
SHORTER_STALLS = Sentence(
    "Stalls get shorter, but packets are still lost. A slow server gets more queries, and more lookups fail."
)
MUSL_FAILS_EARLY = Sentence(
    "musl takes `timeout:` as the limit of the whole lookup, so it fails after {timeout}.", timeout="1 s"
)
WRITE_IN_FULL = Sentence(
    "Nothing in the pod changes. Write names in full, with the final dot, in the application's configuration."
)
DOT_REFUSED = Sentence("Some programs refuse the final dot. TLS or HTTP may take it for another host name.")
