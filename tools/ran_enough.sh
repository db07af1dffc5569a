#!/bin/sh
# ran_enough.sh LOG TESTS LAB CLUSTER: fails when a test log shows fewer tests passed than these, or more than one
# skipped for another reason than that no cluster was asked for. A green run must have run.
set -eu
passed=$(sed -n 's/.* \([0-9][0-9]*\) passed.*/\1/p; s/^\([0-9][0-9]*\) passed.*/\1/p' "$1" | tail -n 1)
tiers=$(sed -n 's/^lab tests passed: \([0-9]*\), cluster tests passed: \([0-9]*\)$/\1 \2/p' "$1" | tail -n 1)
lab=${tiers% *} cluster=${tiers#* }
skipped=$(grep '^SKIPPED' "$1" | grep -vc 'make test-cluster' || true)
[ "${passed:-0}" -ge "$2" ] || { echo "only ${passed:-0} tests passed, at least $2 are expected" >&2; exit 1; }
[ "${lab:-0}" -ge "$3" ] || { echo "only ${lab:-0} lab tests passed, at least $3 are expected" >&2; exit 1; }
[ "${cluster:-0}" -ge "$4" ] || { echo "only ${cluster:-0} cluster tests passed, at least $4 are expected" >&2; exit 1; }
[ "$skipped" -le 1 ] || { echo "$skipped tests were skipped, at most 1 may be" >&2; exit 1; }
