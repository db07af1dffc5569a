#!/bin/sh
# ran_enough.sh LOG TESTS LAB_TESTS: fails when a test log shows fewer than these passed, or more than one skipped.
# A green run must have run.
set -eu
passed=$(sed -n 's/.* \([0-9][0-9]*\) passed.*/\1/p; s/^\([0-9][0-9]*\) passed.*/\1/p' "$1" | tail -n 1)
skipped=$(sed -n 's/.* \([0-9][0-9]*\) skipped.*/\1/p' "$1" | tail -n 1)
lab=$(sed -n 's/^lab tests passed: \([0-9][0-9]*\)$/\1/p' "$1" | tail -n 1)
[ "${passed:-0}" -ge "$2" ] || { echo "only ${passed:-0} tests passed, at least $2 are expected" >&2; exit 1; }
[ "${lab:-0}" -ge "$3" ] || { echo "only ${lab:-0} lab tests passed, at least $3 are expected" >&2; exit 1; }
[ "${skipped:-0}" -le 1 ] || { echo "$skipped tests were skipped, at most 1 may be" >&2; exit 1; }
