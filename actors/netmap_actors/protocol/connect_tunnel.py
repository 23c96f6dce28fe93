"""CONNECT: asks an HTTP proxy for a way to a host and a port (RFC 9110, section 9.3.6).

Not here: which proxy (`client.server.proxy`), and what goes through the tunnel.
"""

from __future__ import annotations

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.http1_exchange import HttpExchange

__all__ = ["ConnectTunnel"]

_MAX_REFUSAL = 4096
"""Bytes of a refusal that are kept; 200 characters of it are shown."""
_AUTHENTICATION_REQUIRED = 407


class ConnectTunnel:
    """One request and its answer."""

    def __init__(self, host: str, port: int, authorization: str = "") -> None:
        """`authorization`: value of Proxy-Authorization, or empty."""
        target = self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = [("Host", target)]
        if authorization:
            headers.append(("Proxy-Authorization", authorization))
        self._exchange = HttpExchange(
            f"reach {target}", "CONNECT", target, headers, expected=200, max_body=_MAX_REFUSAL
        )

    def data_to_send(self) -> bytes:
        """The request, once."""
        return self._exchange.data_to_send()

    def receive(self, data: bytes) -> bytes | None:
        """None while the answer is incomplete, then what came behind it and belongs to the tunnel already.

        Raises RemoteProtocolError for anything but 2xx, once enough of its body is there to say why, and for what is
        no HTTP/1.1.
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
        """The proxy closed: why nothing came of it."""
        if self._exchange.status is not None:
            return self._refusal()
        return RemoteProtocolError(f"cannot reach {self._target}: the proxy closed before its answer")

    def _refusal(self) -> RemoteProtocolError:
        refused = self._exchange.unexpected()
        text = f"cannot reach {self._target}: the proxy answered {refused.status}"
        if refused.status == _AUTHENTICATION_REQUIRED:
            text += " and wants a user name and a password: write them into the variable that names it"
        return RemoteProtocolError(f"{text}: {refused.excerpt}" if refused.excerpt else text)
