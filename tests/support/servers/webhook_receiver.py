"""A receiver of webhooks in a thread: it verifies each request by itself, and answers as it is told to."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["WebhookReceiver"]


class WebhookReceiver:
    """Listens on loopback. `answer`: a status, `hang`, `drip` or `noise`; `location` and `retry_after` go with it.

    As a program of somebody else's it knows of a request what Tailscale's page about webhooks says: the header, what is
    signed, and that both are compared in constant time.
    """

    def __init__(self, secret: str = "", port: int = 0) -> None:
        self.answer: int | str = 200
        self.location = ""
        self.retry_after = ""
        self.asked = 0
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """Paths, headers and bodies of all that came."""
        self.unsigned = 0
        """Requests without a signature that holds."""
        self._secret = secret.encode()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Of its socket."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where it takes requests, with a word that nobody else may see."""
        return f"http://127.0.0.1:{self.port}/services/T0-s3cr3t-path?token=s3cr3t-query"

    def events(self) -> list[dict[str, Any]]:
        """All that were taken, in the order in which they came, in Tailscale's form."""
        return [one for _, _, body in list(self.requests) for one in json.loads(body)]

    def close(self) -> None:
        """Refuse connections from now on."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.asked += 1
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if not self._is_signed(request.headers.get("Tailscale-Webhook-Signature", ""), body):
            self.unsigned += 1
        answer = self.answer
        if answer == "hang":
            self._ended.wait(60)
            return
        if answer == "drip":
            while not self._ended.wait(0.2):
                request.wfile.write(b"H")
            return
        if answer == "noise":
            request.wfile.write(b"SSH-2.0-s3cr3t\r\n")
            return
        if answer == 200:
            self.requests.append((request.path, dict(request.headers), body))
        request.send_response(int(answer))
        if self.location:
            request.send_header("Location", self.location)
        if self.retry_after:
            request.send_header("Retry-After", self.retry_after)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _is_signed(self, header: str, body: bytes) -> bool:
        parts = dict(part.partition("=")[::2] for part in header.split(","))
        moment, given = parts.get("t", ""), parts.get("v1", "")
        if not moment.isdigit() or abs(time.time() - int(moment)) > 300:
            return False
        made = hmac.new(self._secret, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(made, given)
