"""The client's half of HTTP/2: requests out, responses in.

Not here: which requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.headers import MAX_INFORMATIONAL
from netmap_actors.protocol.http2.connection import Http2Connection, Stream
from netmap_actors.protocol.http2.events import (
    ClientEvent,
    ResponseData,
    ResponseEnded,
    ResponseHeaders,
    ResponseReset,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_RESPONSE_BODY", "Http2Client"]

MAX_RESPONSE_BODY = 1 << 20
"""Octets of a response that is not a stream, and of an error response to a request for a stream."""


class _Response(Stream):
    """One request and its response."""

    __slots__ = ("endless", "informational")

    def __init__(self, *, endless: bool) -> None:
        super().__init__()
        self.endless = endless
        self.informational = 0


class Http2Client(Http2Connection[_Response, ClientEvent]):
    """Sends requests. `data_to_send` begins with the preface and SETTINGS: send them at once."""

    def __init__(self, authority: str) -> None:
        """`authority`: host[:port] of the control URL, for the `:authority` of every request."""
        super().__init__(client_side=True, settings={h2.settings.SettingCodes.ENABLE_PUSH: 0})
        self._authority = authority

    def request(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        stream: bool = False,
    ) -> int:
        """Begin a request and return its stream id. A body beyond the server's window waits for it.

        `stream`: the body of a 200 has no limit (a long poll), else it is MAX_RESPONSE_BODY. Raises LocalProtocolError
        when the connection is over or the server admits no more streams.
        """
        self._demand_open("send a request")
        try:
            stream_id = self._h2.get_next_available_stream_id()
        except h2.exceptions.NoAvailableStreamIDError as error:
            raise LocalProtocolError("cannot send a request: no stream ids are left") from error
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self._authority), (":path", path)]
        plain = [(name.lower(), value) for name, value in headers]
        length = [("content-length", str(len(body)))] if body else []
        self._send_headers(stream_id, [*pseudo, *plain, *length], end=not body)
        response = _Response(endless=stream)
        self._streams[stream_id] = response
        if body:
            self._queue(response, body, end=True)
        return stream_id

    def cancel(self, stream_id: int) -> None:
        """Cancel a request: RST_STREAM(CANCEL), no further events. No effect on a stream that is over."""
        if stream_id in self._streams:
            self._reset(stream_id, h2.errors.ErrorCodes.CANCEL)

    def _on_role_event(self, event: h2.events.Event) -> Iterable[ClientEvent]:
        if isinstance(event, h2.events.ResponseReceived):
            return self._on_response(event)
        if isinstance(event, h2.events.StreamEnded):
            return self._on_ended(event.stream_id)
        if isinstance(event, h2.events.StreamReset):
            known = self._streams.pop(event.stream_id, None) is not None
            return (ResponseReset(event.stream_id, int(event.error_code)),) if known else ()
        if isinstance(event, h2.events.InformationalResponseReceived):
            self._count_informational(event.stream_id)
        return ()

    def _on_data(self, stream_id: int, stream: _Response, data: bytes) -> Iterable[ClientEvent]:
        if not stream.endless and stream.received > MAX_RESPONSE_BODY:
            raise RemoteProtocolError(f"cannot read a response: its body exceeds {MAX_RESPONSE_BODY} bytes")
        return (ResponseData(stream_id, data),)

    def _on_response(self, event: h2.events.ResponseReceived) -> Iterable[ClientEvent]:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return ()
        pseudo, headers = self._plain_headers(event.headers)
        status = pseudo.get(":status", "")
        if not (len(status) == 3 and status.isascii() and status.isdigit()):
            raise RemoteProtocolError("cannot read a response: its status is not a number of three digits")
        stream.endless = stream.endless and status == "200"
        return (ResponseHeaders(event.stream_id, int(status), headers),)

    def _on_ended(self, stream_id: int) -> Iterable[ClientEvent]:
        stream = self._streams.get(stream_id)
        if stream is None:
            return ()
        if stream.queue or stream.end_queued:
            # Answered before it had read our whole body: the rest is not sent.
            self._reset(stream_id, h2.errors.ErrorCodes.NO_ERROR)
        else:
            del self._streams[stream_id]
        return (ResponseEnded(stream_id),)

    def _count_informational(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.informational += 1
        if stream.informational > MAX_INFORMATIONAL:
            raise RemoteProtocolError(
                f"cannot read a response: more than {MAX_INFORMATIONAL} informational ones"
            )
