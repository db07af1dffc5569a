#!/bin/sh
# ran_enough.sh LOG TESTS LAB CLUSTER: fails when the runs in a test log have passed fewer tests than these together, or
# skipped more than one for another reason than that no cluster was asked for. A green run must have run.
set -eu
sum() { awk '{ sum += $1 } END { print sum + 0 }'; }
passed=$(sed -n 's/^\(.* \)\{0,1\}\([0-9][0-9]*\) passed.*/\2/p' "$1" | sum)
lab=$(sed -n 's/^lab tests passed: \([0-9]*\), .*/\1/p' "$1" | sum)
cluster=$(sed -n 's/^lab tests passed: .* cluster tests passed: \([0-9]*\)$/\1/p' "$1" | sum)
skipped=$(grep '^SKIPPED' "$1" | grep -vc 'make test-cluster' || true)
[ "$passed" -ge "$2" ] || { echo "only $passed tests passed, at least $2 are expected" >&2; exit 1; }
[ "$lab" -ge "$3" ] || { echo "only $lab lab tests passed, at least $3 are expected" >&2; exit 1; }
[ "$cluster" -ge "$4" ] || { echo "only $cluster cluster tests passed, at least $4 are expected" >&2; exit 1; }
[ "$skipped" -le 1 ] || { echo "$skipped tests were skipped, at most 1 may be" >&2; exit 1; }
