#!/bin/sh
# The flags of k8s-dns-node-cache, on plain CoreDNS. As that one (cmd/node-cache/app/cache_app.go) it makes its interface
# first, sets its rules by iptables some time after it answers, and takes both away when it is told to end.
while [ $# -gt 0 ]; do
  case $1 in
    -localip) IPS=$(echo "$2" | tr , ' '); shift;;
    -conf) CONF=$2; shift;;
    -upstreamsvc | -pidfile) shift;;
  esac
  shift
done

# rules -I | -D: set them all, or delete them
rules() {
  for ip in $IPS; do
    for protocol in tcp udp; do
      for rule in "raw PREROUTING -d $ip --dport 53 NOTRACK" "filter INPUT -d $ip --dport 53 ACCEPT" \
        "raw OUTPUT -s $ip --sport 53 NOTRACK" "filter OUTPUT -s $ip --sport 53 ACCEPT" \
        "raw OUTPUT -d $ip --dport 53 NOTRACK"; do
        one_rule "$1" $protocol $rule
      done
    done
    one_rule "$1" tcp raw OUTPUT -d "$ip" --dport 8080 NOTRACK
    one_rule "$1" tcp raw OUTPUT -s "$ip" --sport 8080 NOTRACK
  done
}

one_rule() { $(case $IPS in *:*) echo ip6tables ;; *) echo iptables ;; esac) -w -t "$3" "$1" "$4" -p "$2" "$5" "$6" "$7" "$8" -j "$9"; }

end() {
  kill "$COREDNS" "$SETTER"
  ip link delete nodelocaldns
  rules -D
  exit 0
}

ip() { /stand-in/ip "$@"; } # not in PATH: the real image has none
ip link show nodelocaldns >/dev/null 2>&1 || ip link add nodelocaldns type dummy || ip link add nodelocaldns type bridge
ip link set nodelocaldns up
for ip in $IPS; do ip addr replace "$ip" dev nodelocaldns nodad; done # a bridge without ports never ends nodad's look
# the real one writes its Corefile from this template
[ -r /etc/coredns/Corefile.base ] &&
  sed "s|__PILLAR__CLUSTER__DNS__|$KUBE_DNS_UPSTREAM_SERVICE_HOST|; s|__PILLAR__UPSTREAM__SERVERS__|/etc/resolv.conf|" /etc/coredns/Corefile.base >"$CONF"
coredns -conf "$CONF" &
COREDNS=$!
(sleep 4 && rules -I) &
SETTER=$!
trap end TERM
wait "$COREDNS"
