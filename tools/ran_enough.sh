#!/bin/sh
# Fails when a test log shows fewer tests run than there are, or any tier skipped: a green run must have run.
set -eu
least=300
passed=$(sed -n 's/.* \([0-9][0-9]*\) passed.*/\1/p; s/^\([0-9][0-9]*\) passed.*/\1/p' "$1" | tail -n 1)
skipped=$(sed -n 's/.* \([0-9][0-9]*\) skipped.*/\1/p' "$1" | tail -n 1)
lab=$(sed -n 's/^lab tests passed: \([0-9][0-9]*\)$/\1/p' "$1" | tail -n 1)
[ "${passed:-0}" -ge "$least" ] || { echo "only ${passed:-0} tests passed, at least $least are expected" >&2; exit 1; }
[ "${lab:-0}" -ge 60 ] || { echo "only ${lab:-0} lab tests passed, at least 60 are expected" >&2; exit 1; }
[ "${skipped:-0}" -le 1 ] || { echo "$skipped tests were skipped, at most 1 may be" >&2; exit 1; }
