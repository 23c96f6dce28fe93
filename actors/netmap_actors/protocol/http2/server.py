"""The server's half of HTTP/2: requests in, responses out. Used by the embedded control server.

Not here: the responses themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import h2.utilities

from netmap_actors.errors import LocalProtocolError, escape
from netmap_actors.protocol.http2.connection import Http2Connection, Stream
from netmap_actors.protocol.http2.events import (
    PingReceived,
    RequestData,
    RequestEnded,
    RequestReceived,
    RequestReset,
    ServerEvent,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hpack.struct import Header

__all__ = ["MAX_CONCURRENT_STREAMS", "MAX_REQUEST_BODY", "Http2Server"]

MAX_REQUEST_BODY = 1 << 20
"""Octets of a request body, as headscale and testcontrol limit it; a longer one is reset."""
MAX_CONCURRENT_STREAMS = 100


class _Exchange(Stream):
    """One request and our response."""

    __slots__ = ("request_ended", "responded", "response_ended")

    def __init__(self) -> None:
        super().__init__()
        self.request_ended = False
        self.responded = False
        self.response_ended = False


class Http2Server(Http2Connection[_Exchange, ServerEvent]):
    """Sends responses. Those to a stream that is gone (reset, or the connection over) are dropped."""

    def __init__(self) -> None:
        super().__init__(
            client_side=False,
            settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: MAX_CONCURRENT_STREAMS},
        )
        self._highest = 0

    def is_open(self, stream_id: int) -> bool:
        """Whether a response on this stream can still reach the client."""
        stream = self._streams.get(stream_id)
        return stream is not None and not stream.response_ended

    def respond(
        self,
        stream_id: int,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        *,
        end: bool = True,
    ) -> None:
        """Send status, headers and `body`; without `end` more follows by `send_data`.

        Raises LocalProtocolError for an unknown stream, or one that has its response.
        """
        exchange = self._exchange(stream_id)
        if exchange is None:
            return
        if exchange.responded:
            raise LocalProtocolError("cannot respond: this request has its response already")
        exchange.responded = True
        fields = [(":status", str(status)), *((name.lower(), value) for name, value in headers)]
        bare = end and not body
        self._send_headers(stream_id, fields, end=bare)
        if bare:
            self._sent_end(stream_id, exchange)
        else:
            self._queue(exchange, body or b"", end=end)

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Queue more of a response body; it leaves as the client's windows admit. Raises LocalProtocolError."""
        exchange = self._exchange(stream_id)
        if exchange is None:
            return
        if not exchange.responded:
            raise LocalProtocolError("cannot send a body: the response has not begun")
        self._queue(exchange, data, end=end)

    def reset(self, stream_id: int, code: int = h2.errors.ErrorCodes.INTERNAL_ERROR) -> None:
        """Send RST_STREAM with this error code. No effect on a stream that is gone."""
        if stream_id in self._streams:
            self._reset(stream_id, code)

    def _exchange(self, stream_id: int) -> _Exchange | None:
        exchange = self._streams.get(stream_id)
        if exchange is None and stream_id > self._highest:
            raise LocalProtocolError(f"cannot respond: there was no request on stream {stream_id}")
        if exchange is not None and exchange.response_ended:
            raise LocalProtocolError("cannot send more: the response has been ended before")
        return exchange

    def _on_role_event(self, event: h2.events.Event) -> Iterable[ServerEvent]:
        if isinstance(event, h2.events.RequestReceived):
            self._highest = event.stream_id
            if malformed := _what_is_malformed(event.headers, trailer=False):
                return (self._refuse(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR, malformed),)
            pseudo, headers = self._plain_headers(event.headers)
            self._streams[event.stream_id] = _Exchange()
            return (
                RequestReceived(event.stream_id, pseudo.get(":method", ""), pseudo.get(":path", ""), headers),
            )
        if isinstance(event, h2.events.TrailersReceived):
            malformed = _what_is_malformed(event.headers, trailer=True)
            if malformed and event.stream_id in self._streams:
                return (self._refuse(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR, malformed),)
            return ()
        if isinstance(event, h2.events.StreamEnded):
            exchange = self._streams.get(event.stream_id)
            if exchange is None:
                return ()
            exchange.request_ended = True
            self._forget_finished(event.stream_id, exchange)
            return (RequestEnded(event.stream_id),)
        if isinstance(event, h2.events.StreamReset):
            known = self._streams.pop(event.stream_id, None) is not None
            return (RequestReset(event.stream_id, int(event.error_code)),) if known else ()
        if isinstance(event, h2.events.PingReceived):
            return (PingReceived(event.ping_data),)
        return ()

    def _on_data(self, stream_id: int, stream: _Exchange, data: bytes) -> Iterable[ServerEvent]:
        if stream.received > MAX_REQUEST_BODY:
            why = f"its body is longer than {MAX_REQUEST_BODY} bytes"
            return (self._refuse(stream_id, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, why),)
        return (RequestData(stream_id, data),)

    def _refuse(self, stream_id: int, code: h2.errors.ErrorCodes, why: str) -> RequestReset:
        self._reset(stream_id, code)
        return RequestReset(stream_id, int(code), why)

    def _sent_end(self, stream_id: int, stream: _Exchange) -> None:
        super()._sent_end(stream_id, stream)
        stream.response_ended = True
        self._forget_finished(stream_id, stream)

    def _forget_finished(self, stream_id: int, exchange: _Exchange) -> None:
        if exchange.request_ended and exchange.response_ended:
            self._streams.pop(stream_id, None)


def _what_is_malformed(headers: list[Header], *, trailer: bool) -> str:
    """What h2 finds wrong with them, Host aside; empty: nothing.

    Beside `:authority` Host says nothing and may be anything (RFC 9113, 8.3.1), as in Go's net/http; hyper sends both.
    """
    if any(name == b":authority" for name, _ in headers):
        headers = [pair for pair in headers if pair[0] != b"host"]
    flags = h2.utilities.HeaderValidationFlags(
        is_client=False, is_trailer=trailer, is_response_header=False, is_push_promise=False
    )
    try:
        list(h2.utilities.validate_headers(headers, flags))
    except h2.exceptions.ProtocolError as error:
        return escape(str(error)) or "its headers are malformed"
    return ""
