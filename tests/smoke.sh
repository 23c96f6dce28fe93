#!/usr/bin/env bash
# The first minute of the README against an installed program: run, status, netmap, watch, a killed connection, stop.
# Usage: smoke.sh DIRECTORY-OF-THE-PROGRAM. Prints one line, or what went wrong.
set -euo pipefail
program=$1/netmap-supervisor
work=$(mktemp -d)
export NETMAP_SUPERVISOR_RUNTIME_DIR=$work/run
"$program" run --control-url embedded --state-dir "$work/state" --view off --log-format json 2>"$work/log" &
daemon=$!
finish() {
  status=$?
  kill "$daemon" 2>/dev/null || true
  [ "$status" = 0 ] || { echo "the smoke test failed; the daemon's last lines:" >&2; tail -n 20 "$work/log" >&2; }
  rm -rf "$work"
}
trap finish EXIT

# `wait` waits for the daemon as well.
"$program" wait --for fresh --timeout 60s >/dev/null
peers=$("$program" netmap --json | "$1/python" -c 'import json, sys; print(len(json.load(sys.stdin)["peers"]))')
[ "$peers" = 8 ] || { echo "the netmap has $peers peers, not 8" >&2; exit 1; }
"$program" status --json | "$1/python" -c 'import json, sys; assert json.load(sys.stdin)["netmap"]["state"] == "fresh"'
"$program" watch --json | head -n 1 | grep -q '"type":"snapshot"'
"$program" fault kill control_connection >/dev/null
"$program" wait --for fresh --timeout 60s >/dev/null
forked() { "$program" status --json | "$1/python" -c 'import json, sys; sys.exit(not (json.load(sys.stdin)["nursery"] or {}).get("forked"))'; }
for _ in {1..300}; do forked "$1" && break; sleep 0.1; done
forked "$1" || { echo "no child was forked" >&2; exit 1; }
"$program" stop >/dev/null
wait "$daemon"
echo "smoke test passed: $("$program" --version), Python $("$1/python" -V | cut -d ' ' -f 2)"
