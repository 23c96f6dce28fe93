"""Admits CURVE clients: ZeroMQ's authentication protocol (RFC 27) answered in the actor's loop.

libzmq admits every client when no handler answers, or when a socket's domain is empty. So `protect` refuses to arm
a socket before the handler is bound, gives it a domain and demands that the domain be honoured; a handler that
dies takes its process along, for it runs in the same thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq
import zmq.utils.z85

from netmap_actors.errors import LocalProtocolError, escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.bus.sockets import Sockets
    from netmap_actors.curve_keys import AllowList, ClientKey, CurvePair

__all__ = ["DOMAIN", "ZapHandler"]

_ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"netmap-subscribers"
_REQUEST_FRAMES = 7
"""Version, request id, domain, address, identity, mechanism, client key (RFC 27, CURVE)."""


class ZapHandler:
    """One for each context; counts the clients admitted and refused."""

    def __init__(
        self,
        loop: Loop,
        sockets: Sockets,
        allowed: AllowList,
        on_decision: Callable[[ClientKey | None, str, str], object],
    ) -> None:
        """`on_decision(client, address, why)` is called for each connection attempt; no client: refused, and why."""
        self._allowed = allowed
        self._on_decision = on_decision
        self._loop = loop
        self.refused = 0
        self._socket = sockets.rep_bind(_ENDPOINT)
        loop.watch(self._socket, self._answer)

    def protect(self, socket: zmq.Socket[bytes], pair: CurvePair) -> None:
        """Make a socket, before its bind, a CURVE server that asks this handler for every client."""
        if self._socket.closed:
            raise LocalProtocolError("cannot protect a socket: the authentication handler is closed")
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret.encode())

    def close(self) -> None:
        """Stop answering: from now on libzmq refuses every client of protected sockets."""
        self._loop.unwatch(self._socket)
        self._socket.close()

    def _answer(self) -> None:
        try:
            frames = self._socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return
        request_id = frames[1] if len(frames) > 1 else b""
        address = escape(frames[3], 64) if len(frames) > 3 else "unknown"
        client, why = self._decide(frames)
        status, text = (b"200", b"OK") if client is not None else (b"400", b"refused")
        self.refused += client is None
        self._socket.send_multipart(
            [b"1.0", request_id, status, text, client.name.encode() if client is not None else b"", b""],
            zmq.DONTWAIT,
        )
        self._on_decision(client, address, why)

    def _decide(self, frames: list[bytes]) -> tuple[ClientKey | None, str]:
        if len(frames) != _REQUEST_FRAMES or frames[0] != b"1.0":
            return None, "not a CURVE request of version 1.0"
        _version, _request_id, domain, _address, _identity, mechanism, key = frames
        if domain != DOMAIN or mechanism != b"CURVE" or len(key) != 32:
            return None, f"mechanism {escape(mechanism, 16)} is not admitted"
        try:
            client = self._allowed.find(zmq.utils.z85.encode(key).decode("ascii"))
        except OSError as error:
            # An allow-list that cannot be read admits no client.
            return None, f"cannot read the allow-list: {error.strerror}"
        return client, "" if client is not None else "unknown key"
