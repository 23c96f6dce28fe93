#!/bin/sh
# Tailscale's tsp (tailscale.com/cmd/tsp) as the client of `netmap-supervisor check-client`.
#
#   netmap-supervisor check-client --jobs 8 -- docs/examples/clients/tsp.sh
#
# tsp takes single steps and has no loop of its own: this one starts the step that failed or ended anew after 5 s, as a
# service manager would.
set -u
: "${NETMAP_CHECK_URL:?is set by check-client}" "${NETMAP_CHECK_DIR:?}" "${NETMAP_CHECK_AUTH_KEY_FILE:?}"
node=$NETMAP_CHECK_DIR/node.json

tsp -s "$NETMAP_CHECK_URL" new-node -o "$node" || exit 1
until tsp -s "$NETMAP_CHECK_URL" register -n "$node" -auth-key "$NETMAP_CHECK_AUTH_KEY_FILE" \
  -hostname "$NETMAP_CHECK_HOSTNAME"; do
  sleep 5
done
while :; do
  tsp -s "$NETMAP_CHECK_URL" map -n "$node" -stream
  sleep 5
done
