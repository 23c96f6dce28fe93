#!/bin/sh
# tailscaled as the client of `netmap-supervisor check-client`, without a tunnel device and without root.
#
#   netmap-supervisor check-client --jobs 8 -- docs/examples/clients/tailscaled.sh
#
# It stands in the foreground until it is ended; both programs are looked for on PATH.
set -eu
: "${NETMAP_CHECK_URL:?is set by check-client}" "${NETMAP_CHECK_DIR:?}" "${NETMAP_CHECK_AUTH_KEY_FILE:?}"
socket=$NETMAP_CHECK_DIR/sock

tailscaled --tun=userspace-networking --statedir="$NETMAP_CHECK_DIR/state" --socket="$socket" --port=0 \
  --no-logs-no-support &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; wait "$daemon" || true; exit 0' TERM INT

# It keeps trying by itself once it is told where; `up` only waits for it.
until [ -S "$socket" ]; do
  kill -0 "$daemon" 2>/dev/null || exit 1
  sleep 0.1
done
tailscale --socket="$socket" up --login-server="$NETMAP_CHECK_URL" --auth-key="file:$NETMAP_CHECK_AUTH_KEY_FILE" \
  --hostname="$NETMAP_CHECK_HOSTNAME" --accept-dns=false &
wait "$daemon"
