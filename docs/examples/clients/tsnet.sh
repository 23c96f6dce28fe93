#!/bin/sh
# Go's tailscale.com/tsnet as the client of `netmap-supervisor check-client`, in a program that is looked for on PATH:
#
#   go build -C tests/interop -o "$PWD/tsnet_client" ./go/tsnet_client
#   PATH=$PWD:$PATH netmap-supervisor check-client --jobs 8 -- docs/examples/clients/tsnet.sh
#
# It reads NETMAP_CHECK_URL and so on itself, and stands in the foreground until it is ended.
set -eu
: "${NETMAP_CHECK_URL:?is set by check-client}"
exec tsnet_client
