"""One HTTP/2 connection over h2, common to client and server: windows refilled, output queued.

Not here: requests and responses (`client`, `server`), the only difference of the two roles.
"""

from __future__ import annotations

import abc
import collections
from typing import TYPE_CHECKING, Generic, TypeVar

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.frame_buffer
import h2.settings

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError, escape
from netmap_actors.protocol.http2.events import GoAway, PingAcked
from netmap_actors.protocol.http2.frame_guard import MAX_DATA_FRAME, FrameGuard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hyperframe.frame import Frame

    from netmap_actors.protocol.headers import Headers

__all__ = ["CONNECTION_WINDOW", "MAX_HEADER_LIST", "STREAM_WINDOW", "Http2Connection", "Stream"]

STREAM_WINDOW = 4 << 20
"""Flow-control window of one stream in octets; refilled when half of it is used."""
CONNECTION_WINDOW = 16 << 20
"""The same of the connection."""
MAX_HEADER_LIST = 64 << 10
"""Decoded octets of one header list, as RFC 9113 section 6.5.2 counts; h2 refuses more while it decodes."""
MAX_PENDING_REPLIES = 256 << 10
"""Bytes of unread replies (to PING, SETTINGS, DATA on dead streams) that may wait for a peer."""
MAX_EMPTY_DATA = 100
"""Consecutive DATA frames without data (padding is none) and without END_STREAM."""

_DEFAULT_WINDOW = 65_535
_PREFACE_LENGTH = 24

StreamT = TypeVar("StreamT", bound="Stream")
EventT = TypeVar("EventT")


class Stream:
    """One exchange: its unsent output and how much has been received."""

    __slots__ = ("end_queued", "queue", "queued", "received")

    def __init__(self) -> None:
        self.queue: collections.deque[memoryview] = collections.deque()
        self.queued = 0
        self.end_queued = False
        self.received = 0


class _Frames(h2.frame_buffer.FrameBuffer):
    """Received frames without a body to show.

    h2 takes the `repr` of each, for a trace that is off, with the body in hex (h2: connection.py, _receive_frame):
    more than half of what a large map costs in HTTP/2.
    """

    def __next__(self) -> Frame:
        frame = super().__next__()
        frame.serialize_body = bytes  # type: ignore[method-assign]
        return frame


class Http2Connection(abc.ABC, Generic[StreamT, EventT]):
    """One HTTP/2 connection. It is over after one error, or a GOAWAY of either side."""

    def __init__(self, *, client_side: bool, settings: dict[h2.settings.SettingCodes, int]) -> None:
        # A malformed request is an error of its stream (RFC 9113, 8.1.1), with h2 it is one of the connection.
        config = h2.config.H2Configuration(
            client_side=client_side, header_encoding=None, validate_inbound_headers=client_side
        )
        self._h2 = h2.connection.H2Connection(config)
        self._h2.incoming_buffer = _Frames(server=not client_side)
        # Set before the first SETTINGS frame, they hold for the first stream, too.
        self._h2.local_settings = h2.settings.Settings(
            client=client_side,
            initial_values={
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                h2.settings.SettingCodes.MAX_FRAME_SIZE: MAX_DATA_FRAME,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST,
                **settings,
            },
        )
        self._h2.max_inbound_frame_size = MAX_DATA_FRAME
        self._h2.decoder.max_header_list_size = MAX_HEADER_LIST
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - _DEFAULT_WINDOW)
        self._streams: dict[int, StreamT] = {}
        self._guard = FrameGuard(self._streams, preface=0 if client_side else _PREFACE_LENGTH)
        self._output = bytearray(self._h2.data_to_send())
        self._pending_replies = 0
        self._empty_data = 0
        self._over: str | None = None
        self._failed = False
        self.window_low = 1.0
        """The lowest share of a receive window (stream or connection) ever left after a `receive`."""

    @property
    def over(self) -> bool:
        """Whether the connection has failed or had a GOAWAY: nothing more is read or begun on it."""
        return self._over is not None

    def receive(self, data: bytes | memoryview, now: float) -> list[EventT | PingAcked | GoAway]:
        """Events of the frames completed by `data`; replies are in `data_to_send` afterwards.

        `now`, in seconds, only serves the flood limits. Bytes after a GOAWAY are ignored. Raises RemoteProtocolError,
        which ends the connection; events of the same call are lost.
        """
        if self._over is not None:
            if self._failed:
                raise RemoteProtocolError(f"cannot read on: the HTTP/2 connection is over, {self._over}")
            return []
        try:
            data = data[: self._guard.check(data, now)]
            events = [seen for event in self._h2.receive_data(data) for seen in self._on_event(event)]
            replies = self._h2.data_to_send()
            self._output += replies
            self._pending_replies += len(replies)
            if self._pending_replies > MAX_PENDING_REPLIES:
                raise RemoteProtocolError("cannot go on with HTTP/2: the other side asks but does not read")
        except h2.exceptions.H2Error as error:
            self._fail(str(error) or type(error).__name__)
            raise RemoteProtocolError(
                f"cannot read HTTP/2: {escape(str(error)) or type(error).__name__}"
            ) from error
        except RemoteProtocolError as error:
            self._fail(str(error))
            raise
        self._note_windows()
        return events

    def data_to_send(self, limit: int | None = None) -> bytes:
        """Bytes to send: all that the other side's windows admit, or about `limit` of them.

        With a limit, call again once these are written, until the result is empty.
        """
        self._pump(limit)
        if limit is None or len(self._output) <= limit:
            data, self._output = bytes(self._output), bytearray()
            self._pending_replies = 0
        else:
            data = bytes(self._output[:limit])
            del self._output[:limit]
        return data

    def ping(self, opaque: bytes) -> None:
        """Send a PING with these eight bytes; PingAcked returns them. Raises LocalProtocolError."""
        self._demand_open("ping")
        if len(opaque) != 8:
            raise LocalProtocolError(f"cannot ping: {len(opaque)} opaque bytes instead of 8")
        self._h2.ping(opaque)
        self._collect()

    def goaway(self, code: int = 0, debug: bytes = b"") -> None:
        """Send GOAWAY with this error code. Queued output is dropped; the caller closes the transport."""
        if self._over is not None:
            return
        self._h2.close_connection(code, debug)
        self._collect()
        self._end("we sent GOAWAY")

    def queued_bytes(self, stream_id: int) -> int:
        """Octets of body that wait for the other side's window; 0 for a stream that is gone."""
        stream = self._streams.get(stream_id)
        return stream.queued if stream is not None else 0

    def octets_received(self, stream_id: int) -> int:
        """Octets of body received on this stream, those of an incomplete frame included."""
        stream = self._streams.get(stream_id)
        return stream.received + self._guard.arriving(stream_id) if stream is not None else 0

    @abc.abstractmethod
    def _on_role_event(self, event: h2.events.Event) -> Iterable[EventT]:
        """Events of the role for one event of h2 about a stream."""

    @abc.abstractmethod
    def _on_data(self, stream_id: int, stream: StreamT, data: bytes) -> Iterable[EventT]:
        """Events for body octets, whose window has been refilled."""

    def _on_event(self, event: h2.events.Event) -> Iterable[EventT | PingAcked | GoAway]:
        if isinstance(event, h2.events.DataReceived):
            return self._on_data_received(event)
        if isinstance(event, h2.events.PingAckReceived):
            return (PingAcked(event.ping_data),)
        if isinstance(event, h2.events.ConnectionTerminated):
            self._end("the other side sent GOAWAY")
            return (GoAway(int(event.error_code or 0), escape(event.additional_data or b"")),)
        return self._on_role_event(event)

    def _on_data_received(self, event: h2.events.DataReceived) -> Iterable[EventT]:
        # Every octet of the windows is given back, padding included. h2 does the same for DATA on closed streams.
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if event.data:
            self._empty_data = 0
        elif event.stream_ended is None:
            self._empty_data += 1
            if self._empty_data > MAX_EMPTY_DATA:
                raise RemoteProtocolError(
                    f"cannot go on with HTTP/2: {self._empty_data} empty DATA frames in a row"
                )
        if stream is None or not event.data:
            return ()
        stream.received += len(event.data)
        return self._on_data(event.stream_id, stream, event.data)

    def _send_headers(self, stream_id: int, headers: Iterable[tuple[str, str]], *, end: bool) -> None:
        try:
            self._h2.send_headers(stream_id, list(headers), end_stream=end)
        except (h2.exceptions.H2Error, ValueError) as error:
            raise LocalProtocolError(f"cannot send HTTP/2 headers: {error}") from error
        self._collect()

    def _queue(self, stream: StreamT, data: bytes, *, end: bool) -> None:
        if stream.end_queued:
            raise LocalProtocolError("cannot send HTTP/2 data: the body has been ended before")
        if data:
            stream.queue.append(memoryview(data))
            stream.queued += len(data)
        stream.end_queued = end

    def _reset(self, stream_id: int, code: int) -> None:
        """Send RST_STREAM and forget the stream."""
        self._streams.pop(stream_id, None)
        try:
            self._h2.reset_stream(stream_id, code)
        except (h2.exceptions.StreamClosedError, h2.exceptions.NoSuchStreamError):
            return  # it has ended meanwhile
        self._collect()

    def _pump(self, limit: int | None) -> None:
        """Turn queued bodies into frames, round robin, as far as windows and `limit` admit."""
        waiting = (
            [(i, s) for i, s in self._streams.items() if s.queue or s.end_queued] if not self.over else []
        )
        while waiting:
            waiting = [pair for pair in waiting if self._send_frame(*pair)]
            if limit is not None and len(self._output) >= limit:
                return

    def _send_frame(self, stream_id: int, stream: StreamT) -> bool:
        """Send one DATA frame. False when the stream has nothing more to send now."""
        if stream.queue:
            head = stream.queue[0]
            room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            if room <= 0:
                return False
            piece = head[:room]
            if len(piece) == len(head):
                stream.queue.popleft()
            else:
                stream.queue[0] = head[room:]
            stream.queued -= len(piece)
            end = stream.end_queued and not stream.queue
            self._h2.send_data(stream_id, bytes(piece), end_stream=end)
            self._guard.sent(len(piece))
        else:
            end = True
            self._h2.end_stream(stream_id)
        self._collect()
        if end:
            self._sent_end(stream_id, stream)
        return bool(stream.queue) and not end

    def _sent_end(self, stream_id: int, stream: StreamT) -> None:  # noqa: ARG002  # the server's needs the id
        """Our side of the stream has been ended."""
        stream.end_queued = False

    def _collect(self) -> None:
        self._output += self._h2.data_to_send()

    def _note_windows(self) -> None:
        low = self._h2.inbound_flow_control_window / CONNECTION_WINDOW
        for stream_id in self._streams:
            try:
                left = self._h2.remote_flow_control_window(stream_id)
            except h2.exceptions.H2Error:
                continue  # closed by the other side
            low = min(low, left / STREAM_WINDOW)
        self.window_low = min(self.window_low, low)

    def _demand_open(self, what: str) -> None:
        if self._over is not None:
            raise LocalProtocolError(f"cannot {what}: the HTTP/2 connection is over, {self._over}")

    def _fail(self, why: str) -> None:
        """The other side violated the protocol: send a GOAWAY after what is queued, and nothing else."""
        self._failed = True
        self._h2.close_connection(h2.errors.ErrorCodes.PROTOCOL_ERROR)
        self._collect()
        self._end(why)

    def _end(self, why: str) -> None:
        self._over = why
        self._streams.clear()

    @staticmethod
    def _plain_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], Headers]:
        """Pseudo-headers by name, and the others in order."""
        decoded = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        pseudo = {name: value for name, value in decoded if name.startswith(":")}
        return pseudo, tuple(pair for pair in decoded if not pair[0].startswith(":"))
