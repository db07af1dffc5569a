"""Causes of lost packets, in words."""

from __future__ import annotations

from dnslab.sentences.cause_text import text_of

RACE = text_of(
    "Conntrack race",
    "glibc sends the A and the AAAA query at the same moment from one socket. On kernels before 5.6, connection "
    "tracking (conntrack) can drop the second packet.",
    "Pairs sent from two sockets are spared, and insert_failed and drop rise with each loss.",
    "Set single-request-reopen, or use a node-local cache, or a kernel from 5.6 on.",
    "dnsConfig of the pods; the nodes' kernel",
    "One more round trip for each lookup.",
    "Stalls, and insert_failed of the node",
)
BURST_POLICER = text_of(
    "A packet limit that allows no burst",
    "Something on the path drops a packet that follows another one too closely, from whatever socket.",
    "Pairs sent from two sockets are lost as well. The conntrack race spares these.",
    "Let the limit pass short bursts, or set single-request-reopen.",
    "Traffic shaping of the network plugin, the node or the cloud",
    "One more round trip for each lookup, if the limit has to stay.",
    "Losses of pairs from two sockets",
)
SNAT_CLASH = text_of(
    "Source ports clash behind one address",
    "Many clients share one address towards the DNS server. Two of them get the same source port, and conntrack drops "
    "one.",
    "insert_failed and drop rise with each loss, and single queries are hit, too.",
    "Choose source ports at random (--random-fully), or do not hide queries to the DNS server behind NAT.",
    "kube-proxy, the network plugin's masquerade rules",
    "Without NAT, the DNS server has to know the pods' addresses.",
    "insert_failed of the node",
)
TABLE_FULL = text_of(
    "Full conntrack table",
    "The node tracks as many flows as its table holds. Packets that would open another flow are dropped.",
    "drop and early_drop rise, insert_failed does not. Sockets that are kept are spared.",
    "Raise nf_conntrack_max, shorten the UDP timeouts, or use a node-local cache.",
    "sysctl of the node",
    "About 300 bytes of kernel memory for each flow.",
    "nf_conntrack_count against nf_conntrack_max",
)
CLOUD_FLOWS = text_of(
    "The cloud tracks only so many flows",
    "The cloud's own connection tracking for this machine is full. New flows of the whole node are lost.",
    "The node's own conntrack counters stay flat, and pods in the host's network are hit alike.",
    "Use a larger machine type, security rules that do not track, or a node-local cache.",
    "The cloud's network interface of the node",
    "Larger machines cost more.",
    "conntrack_allowance_exceeded (ethtool -S on the node)",
)
EBPF_MAP = text_of(
    "Full eBPF map of the network plugin",
    "The network plugin keeps its flows in an eBPF map, and that map is full or busy.",
    "netfilter's counters stay flat, and new flows are lost.",
    "Enlarge the maps for connection tracking and NAT.",
    "Configuration of the network plugin, such as Cilium's",
    "Memory of the node.",
    "Pressure of the maps, in the plugin's metrics",
)
PACKET_LOSS = text_of(
    "Random packet loss",
    "The network between client and DNS server loses packets now and then.",
    "The loss is the same at any rate, and TCP has to send again.",
    "Find the lossy link: compare nodes, then DNS servers one by one.",
    "Network between the nodes",
    "Until then, TCP (use-vc) turns stalls into short delays.",
    "Retransmitted segments, and errors of the nodes' interfaces",
)
OUTAGE = text_of(
    "The path to DNS was cut for some time",
    "For some time nothing passed between client and DNS servers, over UDP and over TCP.",
    "All lookups of that time are bad, and none outside.",
    "Look at what happened at that time: the node, its network plugin, kube-proxy, a firewall.",
    "Node and network",
    "Nothing.",
    "Events of the node and of the network's pods at that time",
)
DNS_RESTART = text_of(
    "DNS servers went away without warning",
    "A DNS server ended while clients still sent queries to it, because it has no time to finish (lameduck).",
    "Its pod's restart or deletion lies at the beginning of the loss.",
    "Give CoreDNS a lameduck time and a ready check, and a disruption budget.",
    "Corefile, Deployment of CoreDNS",
    "A rollout takes some seconds longer.",
    "Lookups during `kubectl rollout restart` of CoreDNS",
)
LATE_POLICY = text_of(
    "Network rules come late to new pods",
    "A pod starts before its network rules are in place. Its first queries are dropped.",
    "Only pods that are some seconds old are hit, whatever they ask.",
    "Let the pod wait until DNS answers, or let the network plugin set the rules first (strict mode).",
    "An init container, or the network plugin's configuration",
    "Pods start some seconds later.",
    "Lookups in the first seconds of a new pod",
)
PACKET_CAP = text_of(
    "A limit on packets per second",
    "The cloud or the network plugin lets only so many packets per second pass, and drops the rest.",
    "At a quarter of the rate nothing is lost.",
    "Ask less: a node-local cache, a lower ndots, fewer AAAA queries. Or lift the limit.",
    "The machine type, or the bandwidth settings of the network plugin",
    "A cache on each node takes about 30 MB of memory.",
    "pps_allowance_exceeded or linklocal_allowance_exceeded (ethtool -S on the node)",
)
STALE_NAT = text_of(
    "Stale NAT entries to a server that has gone",
    "conntrack still sends the packets of some ports to a DNS server that is not there any more.",
    "The same ports fail again and again, while each DNS server by itself answers.",
    "Use kube-proxy 1.32 or later, and give CoreDNS a lameduck time.",
    "kube-proxy, Corefile",
    "Nothing.",
    "Lookups after a DNS pod was replaced",
)
KEPT_FLOW = text_of(
    "Something on the path forgets flows that are kept",
    "A load balancer, firewall or stale NAT entry drops packets of flows that are older than some time.",
    "Only sockets that are kept are hit; a C library's lookups are not.",
    "Open a new socket now and then, or raise the timeout of what forgets the flows.",
    "The application's resolver, the load balancer",
    "A new flow for each new socket.",
    "Lookups of programs that keep their sockets",
)
AAAA_DROPPED = text_of(
    "A DNS server or firewall drops AAAA queries",
    "Something that does not know AAAA drops the query. It should send an answer without addresses.",
    "AAAA alone is lost, A alone is not, in whatever order.",
    "Repair the upstream, or answer AAAA with an empty answer in CoreDNS (template), or set no-aaaa.",
    "The upstream, Corefile, or dnsConfig of the pods",
    "With an empty answer or no-aaaa, no name has an IPv6 address.",
    "Lookups of AAAA alone",
)
MTU = text_of(
    "Large answers do not fit through the network",
    "Answers over a size are dropped on the way, because the path's largest packet (MTU) is smaller than both ends "
    "believe.",
    "Names with small answers are fine, and TCP is fine.",
    "Set bufsize 1232 in CoreDNS, and the right MTU in the network plugin.",
    "Corefile, network plugin",
    "Larger answers come over TCP, with one more round trip.",
    "Lookups of names with many addresses",
)
UDP_BLOCKED = text_of(
    "UDP to DNS is blocked",
    "A network policy, firewall or missing rule drops each UDP query, but lets TCP pass.",
    "Nothing over UDP is answered, whatever its size and from whatever port.",
    "Allow UDP port 53 to the DNS servers, and their answers.",
    "NetworkPolicy, security group, kube-proxy of this node",
    "Nothing.",
    "A single lookup from the pod",
)
CHECKSUM = text_of(
    "Checksums are spoiled on the way",
    "A network card or tunnel writes wrong checksums. The client's kernel throws these answers away.",
    "InCsumErrors of the client rises with each loss. Pods on the same node are spared.",
    "Switch off checksum offload on the tunnel's device (ethtool -K DEVICE tx-checksum-ip-generic off).",
    "The nodes' tunnel device, such as flannel.1",
    "Some CPU of the nodes.",
    "InCsumErrors in the pods",
)
UNEXPECTED_SOURCE = text_of(
    "Answers do not pass through the Service's translation",
    "Pods ask the Service's address, and the answer comes from the server's own address. The client refuses it.",
    "NoPorts of the client rises with each loss, and dig says “reply from unexpected source”. Often only pods on"
    " the same node as a DNS server are hit.",
    "Switch on net.bridge.bridge-nf-call-iptables (module br_netfilter), so that traffic between pods of a node passes"
    " the Service's rules.",
    "The nodes, or the network plugin",
    "Traffic between pods of a node passes the node's firewall rules, too.",
    "NoPorts in the pods",
)
LATE_CLASH = text_of(
    "Late answers to a pair miss their flow",
    "On kernels from 5.6 on, the second flow of a pair lives for 1 s. A later answer keeps the server's own address.",
    "NoPorts of the client rises, insert_failed does not. Only names that are answered after 1 s are hit.",
    "Make the server answer within 1 s, or set single-request-reopen.",
    "The upstream of slow names, or dnsConfig of the pods",
    "One more round trip for each lookup.",
    "NoPorts in the pods",
)
SERVER_BUFFER = text_of(
    "Full receive buffer of a DNS server",
    "Queries arrive faster than the DNS server reads them. Its socket buffer fills up and the kernel drops the rest.",
    "RcvbufErrors rises at the server. At a quarter of the rate nothing is lost, and TCP loses nothing.",
    "Add DNS servers, or sockets (multisocket), or raise net.core.rmem_default on their nodes.",
    "Deployment of CoreDNS, Corefile, sysctl of the nodes",
    "CPU and memory of the DNS servers.",
    "RcvbufErrors of the servers, drops in /proc/net/udp6",
)
CACHE_BUFFER = text_of(
    "Full receive buffer of the node-local cache",
    "All pods of a node send their queries to one socket of the cache. It fills up and the kernel drops the rest.",
    "The drops stand at the cache's own socket. The DNS servers drop nothing.",
    "Raise net.core.rmem_default on the nodes, or give the cache more CPU, or ask less.",
    "sysctl of the nodes, DaemonSet of the cache",
    "Memory and CPU of each node.",
    "drops at 169.254.20.10:53 in /proc/net/udp of the node",
)
CLIENT_BUFFER = text_of(
    "Full receive buffer of the client",
    "Answers arrive faster than the client reads them. Its own kernel drops the rest.",
    "RcvbufErrors rises in the pod itself.",
    "Have fewer queries in flight, or a larger SO_RCVBUF in the program.",
    "The application",
    "Memory of the pod.",
    "RcvbufErrors of the pod",
)
DEAD_ENDPOINT = text_of(
    "One DNS server is dead but still in the Service",
    "One of several DNS servers does not answer. Queries that reach it are lost, over UDP and over TCP.",
    "Asked one by one, only this server is silent.",
    "Delete its pod, and give CoreDNS a ready check.",
    "Deployment of CoreDNS",
    "Nothing.",
    "Each DNS server asked by itself",
)
NAME_SILENT = text_of(
    "The servers of one name do not answer",
    "Only some names get no answer: those whose own DNS servers, or the forward for them, are dead.",
    "Other names are answered at the same time by the same DNS server.",
    "Repair the servers of that zone, or its forward or stub entry.",
    "The zone's DNS servers, Corefile",
    "Nothing.",
    "Lookups of that name alone",
)
TCP_BLOCKED = text_of(
    "TCP to DNS is blocked",
    "A network policy or firewall drops TCP to port 53. A resolver that needs TCP waits for minutes.",
    "UDP is answered at the same address.",
    "Allow TCP port 53 to the DNS servers. Until then do not set use-vc.",
    "NetworkPolicy, security group",
    "Nothing.",
    "A lookup over TCP from the pod",
)
