"""CONNECT: a tunnel through an HTTP proxy to a host and port (RFC 9110, section 9.3.6).

Not here: which proxy (`transport.proxy`).
"""

from __future__ import annotations

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.http1_exchange import MAX_REFUSAL, HttpExchange

__all__ = ["ConnectTunnel"]

_AUTHENTICATION_REQUIRED = 407


class ConnectTunnel:
    """One CONNECT request and its response."""

    def __init__(self, host: str, port: int, authorization: str = "") -> None:
        """`authorization`: value of Proxy-Authorization, or empty."""
        target = self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = [("Host", target)]
        if authorization:
            headers.append(("Proxy-Authorization", authorization))
        self._exchange = HttpExchange(
            f"reach {target}", "CONNECT", target, headers, expected=200, max_body=MAX_REFUSAL
        )

    def data_to_send(self) -> bytes:
        """The request, once."""
        return self._exchange.data_to_send()

    def receive(self, data: bytes) -> bytes | None:
        """None while the response is incomplete, then the bytes after it, which belong to the tunnel.

        Raises RemoteProtocolError for a status other than 2xx, once enough of its body has come, and for invalid
        HTTP/1.1.
        """
        exchange = self._exchange
        exchange.receive(data)
        if exchange.status is None:
            return None
        if exchange.switched:
            return exchange.trailing
        if exchange.excerpt_complete:
            raise self._refusal()
        return None

    def eof(self) -> RemoteProtocolError:
        """The error of a tunnel that the proxy closed."""
        if self._exchange.status is not None:
            return self._refusal()
        return RemoteProtocolError(f"cannot reach {self._target}: the proxy closed before its answer")

    def _refusal(self) -> RemoteProtocolError:
        refused = self._exchange.unexpected()
        text = f"cannot reach {self._target}: the proxy answered {refused.status}"
        if refused.status == _AUTHENTICATION_REQUIRED:
            text += " and wants a user name and a password: write them into the variable that names it"
        return RemoteProtocolError(f"{text}: {refused.excerpt}" if refused.excerpt else text)
