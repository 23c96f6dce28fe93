#!/bin/sh
# The peers that the client of tsnet.sh believes in, as JSON: [{"name": …, "addresses": […], "online": …, …}, …]
#
# The client replaces this file as a whole with each change; before its first map there is none, and this fails.
set -eu
exec cat "${NETMAP_CHECK_DIR:?is set by check-client}/peers.json"
