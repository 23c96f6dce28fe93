#!/bin/sh
# The peers that the tailscaled of tailscaled.sh believes in, as JSON: [{"name": …, "addresses": […], "online": …}, …]
set -eu
tailscale --socket="${NETMAP_CHECK_DIR:?is set by check-client}/sock" status --json | python3 -c '
import json, sys

peers = (json.load(sys.stdin)["Peer"] or {}).values()
print(json.dumps([{"name": it["DNSName"], "addresses": it["TailscaleIPs"], "online": it["Online"]} for it in peers]))
'
