#!/bin/sh
# The flags of k8s-dns-node-cache, on plain CoreDNS: make the link-local address, skip conntrack for it, serve.
while [ $# -gt 0 ]; do
  case $1 in
    -localip) IPS=$2; shift;;
    -conf) CONF=$2; shift;;
    -upstreamsvc) shift;;
  esac
  shift
done
ip() { /usr/sbin/ip "$@"; }  # busybox's shell would take its own
ip link show nodelocaldns >/dev/null 2>&1 || ip link add nodelocaldns type dummy || ip link add nodelocaldns type bridge
ip link set nodelocaldns up
IFS=,
for ip in $IPS; do ip addr replace $ip/32 dev nodelocaldns; done
nft -f - <<RULES
table ip node_local_dns
delete table ip node_local_dns
table ip node_local_dns {
  chain prerouting { type filter hook prerouting priority raw; ip daddr { $IPS } th dport { 53, 8080 } notrack; }
  chain output { type filter hook output priority raw; ip saddr { $IPS } th sport { 53, 8080 } notrack; ip daddr { $IPS } th dport { 53, 8080 } notrack; }
}
RULES
# the real one writes its Corefile from this template
[ -r /etc/coredns/Corefile.base ] &&
  sed "s|__PILLAR__CLUSTER__DNS__|$KUBE_DNS_UPSTREAM_SERVICE_HOST|; s|__PILLAR__UPSTREAM__SERVERS__|/etc/resolv.conf|" /etc/coredns/Corefile.base >"$CONF"
exec coredns -conf "$CONF"
