"""Causes of late answers, errors and answers from elsewhere, in words."""

from __future__ import annotations

from dnslab.sentences.cause_text import text_of

SERVER_SLOW = text_of(
    "The DNS servers answer slowly",
    "Each answer takes the same long time, because the DNS servers or what they ask are slow.",
    "Names inside the cluster are slow as well, and each DNS server by itself.",
    "Give CoreDNS more CPU or replicas, and look at its plugins and logs.",
    "Deployment of CoreDNS, Corefile",
    "CPU and memory.",
    "coredns_dns_request_duration_seconds",
)
UPSTREAM_SLOW = text_of(
    "The upstream of outside names is slow",
    "Names outside the cluster wait for a slow upstream server. Names inside the cluster do not.",
    "Only names from outside are slow.",
    "Use a nearer or better upstream; let CoreDNS cache longer (prefetch, serve_stale).",
    "Corefile (forward, cache)",
    "Answers may be older.",
    "coredns_forward_request_duration_seconds",
)
AAAA_SLOW = text_of(
    "AAAA answers come late",
    "Something takes long to answer AAAA, for example an upstream that first waits for another one.",
    "A alone is fast, AAAA alone is slow.",
    "Repair the upstream, or set no-aaaa where no IPv6 is used.",
    "The upstream, or dnsConfig of the pods",
    "With no-aaaa, no name has an IPv6 address.",
    "The median of AAAA alone",
)
UPSTREAM_DEAD = text_of(
    "One of several upstream servers is dead",
    "Some queries are first sent to an upstream that is dead. They wait until the next one is asked.",
    "The delay has a constant length, and other queries, at the same time, have none.",
    "Remove the dead upstream from the forward, or lower max_fails and read_timeout.",
    "Corefile (forward)",
    "Nothing.",
    "coredns_proxy_healthcheck_failures_total",
)
CACHE_UPSTREAM = text_of(
    "The node-local cache cannot reach the DNS servers in time",
    "The cache asks the DNS servers over TCP and gives up after 2 s. Clients then get errors or wait.",
    "Only lookups through the cache fail; the DNS servers themselves answer.",
    "Close idle connections earlier (expire), and add DNS servers.",
    "ConfigMap of the cache, Deployment of CoreDNS",
    "More new connections.",
    "SERVFAIL of the cache, i/o timeouts in its log",
)
PAUSES = text_of(
    "The DNS servers stop for moments",
    "All answers stop together and then come at once, as when a machine or a program pauses.",
    "Delays come together and shrink towards the end of each pause, over UDP and TCP.",
    "Look for pauses of the servers: memory, CPU limit, live migration, disk.",
    "Nodes of the DNS servers",
    "Nothing.",
    "Delays by time, next to events of the nodes",
)
SERVER_CPU = text_of(
    "A CPU limit holds the DNS servers up",
    "The CPU limit stops the DNS servers for parts of each 100 ms, so many answers wait for some 10 ms.",
    "Delays stay under about 100 ms, over UDP and TCP, and vanish with less load.",
    "Remove or raise the CPU limit of CoreDNS, or add replicas.",
    "Deployment of CoreDNS",
    "CPU of the nodes.",
    "container_cpu_cfs_throttled_periods_total of CoreDNS",
)
CLIENT_CPU = text_of(
    "A CPU limit holds the client up",
    "The pod's own CPU limit stops it for parts of each 100 ms. Its lookups begin late and end late.",
    "The pod's own cgroup counts the periods in which it was stopped.",
    "Remove or raise the pod's CPU limit.",
    "The workload's resources",
    "CPU of the nodes.",
    "nr_throttled in the pod's cpu.stat",
)
NODE_BUSY = text_of(
    "The client's machine is too busy",
    "The machine has no CPU left for the client or for its network. Packets and lookups wait.",
    "Lookups begin late as well, and other machines are fine.",
    "Move load away from the node, or add CPU.",
    "The node",
    "Another node.",
    "Idle CPU, and time_squeeze in /proc/net/softnet_stat",
)
TCP_WORKERS = text_of(
    "The DNS server has few workers for TCP",
    "Each connection keeps a worker busy. More connections than workers have to wait, as with dnsmasq's 20.",
    "UDP is fast at the same time, from the same server.",
    "Add DNS servers, or let caches keep fewer connections.",
    "The DNS server behind the cache, such as kube-dns",
    "Memory of the DNS servers.",
    "Lookups over TCP while many connections are open",
)
RULE_SET = text_of(
    "A long set of rules for each new flow",
    "In iptables mode the first packet of each flow passes the rules of all Services.",
    "Only new flows are slow, and it grows with the number of Services.",
    "Use kube-proxy in nftables mode, or a node-local cache.",
    "kube-proxy",
    "nftables mode needs kernel 5.13 or later.",
    "The median of new flows against that of kept ones",
)
SERVER_ERRORS = text_of(
    "The DNS servers answer with errors",
    "The server gives an error code, such as SERVFAIL, for some queries.",
    "Errors come at any rate, and each DNS server gives them.",
    "Look at the logs of CoreDNS for SERVFAIL, and at the upstream that it names.",
    "Corefile, upstream",
    "Nothing.",
    "coredns_dns_responses_total by rcode",
)
AAAA_ERRORS = text_of(
    "The upstream does not know AAAA",
    "Every AAAA query gets an error. glibc goes on with IPv4; musl lets the whole lookup fail.",
    "A alone has no error, AAAA alone always has.",
    "Repair the upstream; or answer AAAA without addresses in CoreDNS (template); or set no-aaaa.",
    "The upstream, Corefile, or dnsConfig of the pods",
    "No name has an IPv6 address.",
    "Errors of AAAA alone",
)
MAX_CONCURRENT = text_of(
    "Too many queries wait for the upstream",
    "CoreDNS refuses queries while more than max_concurrent of them wait for a slow upstream.",
    "Queries are refused at once, while those that are answered are late. Both grow with the rate.",
    "Raise max_concurrent to rate times delay, or make the upstream faster.",
    "Corefile (forward)",
    "About 2 KB of memory for each waiting query.",
    "coredns_forward_max_concurrent_rejects_total",
)
TRUNCATION = text_of(
    "Answers do not fit into UDP",
    "The answer is larger than the resolver or the server allows over UDP. The resolver asks again over TCP.",
    "The truncated bit is set in answers over UDP.",
    "Make the answer smaller, allow 1232 bytes (bufsize), or a resolver that says how much it takes (edns0).",
    "The record, Corefile, options of the pods",
    "Until then one more round trip, and TCP has to be allowed.",
    "TCP connections of a client that asks over UDP",
)
CAPTURED = text_of(
    "A proxy in the pod or on the node answers instead",
    "A service mesh, a policy's proxy or a local resolver catches the queries and answers them itself.",
    "The DNS servers' counters stay flat while lookups are answered.",
    "If that is not wanted, switch off DNS capture for the pod.",
    "Annotations of the pod (mesh), policy of the network plugin",
    "Features of the mesh that need it.",
    "Which server's counter follows the queries",
)
SEARCH_LIST = text_of(
    "The search list multiplies queries",
    "With ndots:5, an outside name is first asked with each suffix of the search list.",
    "The same name with a dot at its end takes a fraction of the time.",
    "Write the name with a dot at its end, or set ndots:1, or put the root first in the search list.",
    "The application, or dnsConfig of the pods",
    "With ndots:1, short names with a dot inside do not find Services.",
    "NXDOMAIN answers as a share of all",
)
