#!/bin/sh
# Debian packages the lab and the probe need: installed where root allows, else named with the command that does it.
set -eu

want=""
need() { command -v "$1" >/dev/null 2>&1 || want="$want $2"; }

PATH="$PATH:/usr/sbin:/sbin"
need cc gcc
need unbound unbound
need nft nftables
need ip iproute2
need unshare util-linux
need nsenter util-linux
need musl-gcc musl-tools
python3 -c 'import ensurepip, venv' 2>/dev/null || want="$want python3-venv"
# Packages only for tests (name them in DNSLAB_TEST_PACKAGES) come the same way.
for package in ${DNSLAB_TEST_PACKAGES:-}; do
	dpkg -s "$package" >/dev/null 2>&1 || want="$want $package"
done
[ -n "$want" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "missing:$want; install them, on Debian or Ubuntu with: sudo apt-get install --yes$want" >&2
	exit 3
fi

began=$(date +%s)
printf 'setup: installing system packages:%s ... ' "$want"
# No daemon may start because of us: the lab runs its own servers.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if ! { apt-get update --quiet=2 && apt-get install --yes --quiet=2 --no-install-recommends $want; } >"$log" 2>&1; then
	echo failed
	tail -n 5 "$log" >&2
	rm -f "$log"
	echo "could not install:$want" >&2
	exit 3
fi
rm -f "$log"
echo "$(($(date +%s) - began)) s"
