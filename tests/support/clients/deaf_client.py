"""A control client without a watchdog: it joins and reads for ever, or gives up in a chosen way. Not a test."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
import urllib.parse
from types import SimpleNamespace
from typing import Any

from tests.support.clients.control_client import joined

GIVES_UP_AFTER = 2.0
_GOAWAY = struct.pack(">BHBBLLL", 0, 8, 7, 0, 0, 0, 0)
"""An HTTP/2 frame (RFC 9113, section 6.8)."""


def main() -> None:
    url = os.environ["NETMAP_CHECK_URL"]
    server: Any = SimpleNamespace(url=url, auth_key=os.environ["NETMAP_CHECK_AUTH_KEY"])
    manner = sys.argv[1] if len(sys.argv) > 1 else ""
    if manner == "close":
        keep_knocking(url)
    client, _stream = joined(server, os.environ["NETMAP_CHECK_HOSTNAME"])
    patience = GIVES_UP_AFTER if manner else threading.TIMEOUT_MAX
    with contextlib.suppress(TimeoutError):
        client.wait(lambda: False, patience)
    if manner == "goaway":
        client.sock.sendall(client.records.seal(_GOAWAY))
    elif manner == "close":
        client.close()
    threading.Event().wait()


def keep_knocking(url: str) -> None:
    """Another connection to the same server."""
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    sock = socket.create_connection((parts.hostname, parts.port or 80))

    def knock() -> None:
        while True:
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(65536)
            time.sleep(0.5)

    threading.Thread(target=knock, daemon=True).start()


if __name__ == "__main__":
    main()
