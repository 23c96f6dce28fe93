"""One HEAD request, the answer to a plain ping; its response does not matter. Pure.

Not here: which URLs may be asked (`ping`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.protocol.http1_exchange import HttpExchange
from netmap_actors.web_url import WebUrl

if TYPE_CHECKING:
    from netmap_actors.control_connection.client.server.control_url import ControlUrl

__all__ = ["HeadRequest"]

_MAX_BODY = 4096


class HeadRequest:
    """No cookies, no credentials, no redirects."""

    def __init__(self, url: ControlUrl, target: str) -> None:
        """`target`: a URL below `url`. Raises BadUrl."""
        path = WebUrl.parse(target).target
        headers = [("Host", url.host_header), ("Connection", "close")]
        self._exchange = HttpExchange(
            "answer a ping", "HEAD", path, headers, expected=200, max_body=_MAX_BODY
        )

    def data_to_send(self) -> bytes:
        """The request, once."""
        return self._exchange.data_to_send()

    def receive(self, data: bytes) -> int | None:
        """The status, or None while it is not there. Raises RemoteProtocolError."""
        self._exchange.receive(data)
        return self._exchange.status

    def eof(self) -> int:
        """The server closed. Raises RemoteProtocolError when it did so without an answer."""
        self._exchange.eof()
        assert self._exchange.status is not None, "eof raises unless the exchange is complete"
        return self._exchange.status
