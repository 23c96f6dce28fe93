#!/bin/sh
# Tailscale's crate for Rust (tailscale 0.6.1) as the client of `netmap-supervisor check-client`, in a small program.
#
#   cargo build --manifest-path tests/interop/rust/Cargo.toml
#   PATH=$PWD/tests/interop/rust/target/debug:$PATH \
#     netmap-supervisor check-client --jobs 8 -- docs/examples/clients/tailscale-rs.sh
#
# The crate gives up a server that cannot be reached, after five attempts without a pause; the program ends then, and
# this script starts it anew after 5 s, as a service manager would. What it believes of its peers is shown by
# --peers-command 'cat {dir}/peers.json'.
set -u
: "${NETMAP_CHECK_URL:?is set by check-client}" "${NETMAP_CHECK_DIR:?}" "${NETMAP_CHECK_HOSTNAME:?}"
trap 'kill "$child" 2>/dev/null; wait "$child"; exit 0' TERM INT

while :; do
  netmap-rust-client &
  child=$!
  wait "$child"
  sleep 5 &
  child=$!
  wait "$child"
done
