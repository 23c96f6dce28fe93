"""A receiver of webhooks: it verifies who sent a request, and prints each event once.

python receiver.py SECRET_FILE [PORT]
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MOST = 1 << 20
"""Bytes of a body."""
seen: set[str] = set()
"""Of a real receiver on disk: a request may come again after a restart of the sender, with the same ids."""


def is_authentic(secret: bytes, header: str, body: bytes, now: float) -> bool:
    """`header`: Tailscale-Webhook-Signature, "t=UNIX seconds,v1=hex"."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    at = parts.get("t", "")
    if not at.isascii() or not at.isdigit() or abs(now - int(at)) > 300:
        return False
    signed = hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(signed.encode(), parts.get("v1", "").encode())


def events_of(body: bytes) -> list[dict[str, Any]]:
    """Those of `body = "tailscale"`; what another form or a template made is printed as it is."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if isinstance(told, list):
        return told
    print(ascii(body.decode(errors="replace")), flush=True)
    return []


class Receiver(BaseHTTPRequestHandler):
    secret = b""
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MOST:
            self.send_error(411)
            return
        body = self.rfile.read(int(length))
        if not is_authentic(
            self.secret, self.headers.get("Tailscale-Webhook-Signature", ""), body, time.time()
        ):
            self.send_error(403)
            return
        for event in events_of(body):
            number = event["data"].get("eventID", "")
            if number not in seen:
                print(event["timestamp"], event["type"], ascii(event["message"]), flush=True)
                seen.add(number)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    Receiver.secret = Path(sys.argv[1]).read_bytes().strip()
    with ThreadingHTTPServer(
        ("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8099), Receiver
    ) as server:
        print("listening on port", server.server_port, flush=True)
        server.serve_forever()
