"""The server's side of one HTTP/1.1 connection, over h11, one request at a time.

Not here: the responses, and the switch to Noise (`upgrade`).
"""

from __future__ import annotations

import enum
import http

import h11
import msgspec

from netmap_actors.errors import LocalProtocolError
from netmap_actors.protocol.headers import Headers, first_header
from netmap_actors.protocol.http1_exchange import MAX_HEAD, decoded_headers
from netmap_actors.protocol.http1_syntax import BadSyntax, check_framing, check_head, effective_target

__all__ = ["MAX_AHEAD", "MAX_CHUNKS", "MAX_REQUEST_BODY", "HttpRequest", "HttpServer"]

MAX_REQUEST_BODY = 64 << 10
"""Bytes of a request body."""
MAX_AHEAD = 64 << 10
"""Bytes a client may send before our response (pipelining)."""
MAX_CHUNKS = 1000
"""Chunks of a request body: each is cheaper to send than to parse."""


class HttpRequest(msgspec.Struct, frozen=True):
    """One complete request. `target`: path and query, or `*`; the authority of an absolute form replaces Host."""

    method: str
    target: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return first_header(self.headers, name)


class _Phase(enum.Enum):
    READING = "reading a request"
    WAITING = "waiting for our answer"
    SWITCHED = "another protocol took over"
    CLOSED = "closed"


class HttpServer:
    """Requests out, responses in, alternately."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._phase = _Phase.READING
        self._output = bytearray()
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._ahead = 0
        self._chunks = 0
        self._early = b""
        """The beginning of an empty line before a request."""
        self.refused = ""
        """Status and reason of what was refused before it became a request; empty: nothing was."""

    @property
    def closed(self) -> bool:
        """Whether to close the connection once `data_to_send` is written."""
        return self._phase is _Phase.CLOSED

    @property
    def waiting(self) -> bool:
        """Whether a request has no complete response yet."""
        return self._phase is _Phase.WAITING

    def data_to_send(self) -> bytes:
        """Bytes for the wire, once."""
        output, self._output = bytes(self._output), bytearray()
        return output

    def receive(self, data: bytes) -> list[HttpRequest]:
        """The request that `data` completes, if any. The next one comes after its response.

        For invalid HTTP/1.1, or above a limit, `data_to_send` holds a 4xx and `closed` becomes true.
        """
        if not data or self._phase in (_Phase.SWITCHED, _Phase.CLOSED):
            return []
        if self._phase is _Phase.WAITING:
            self._ahead += len(data)
            if self._ahead > MAX_AHEAD:
                self._phase = _Phase.CLOSED
                return []
        if self._h11.their_state is h11.IDLE and not self._h11.trailing_data[0]:
            # An empty line before a request is ignored (RFC 9112, 2.2).
            data, self._early = self._early + data, b""
            if data in (b"\r", b"\r\n"):
                self._early = data
                return []
            data = data.removeprefix(b"\r\n")
        self._h11.receive_data(data)
        return self._read()

    def eof(self) -> None:
        """The client closed its side. The present request can still be answered."""
        if self._phase in (_Phase.READING, _Phase.WAITING):
            self._h11.receive_data(b"")
            self._read()

    def respond(
        self,
        status: int,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
        *,
        close: bool = False,
    ) -> list[HttpRequest]:
        """Send a whole response, adding Content-Length; returns the next request if it was pipelined.

        Raises LocalProtocolError when no request waits for a response.
        """
        if self._phase is not _Phase.WAITING or self._request is None:
            raise LocalProtocolError(f"cannot answer: the connection is {self._phase.value}")
        head_only = self._request.method == b"HEAD"
        self._send_response(status, headers or [], body, close=close, head_only=head_only)
        return self._next_cycle()

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Begin a response of unknown length; `send_body` and `end` continue it.

        Raises LocalProtocolError when no request waits for a response.
        """
        if self._phase is not _Phase.WAITING or self._request is None:
            raise LocalProtocolError(f"cannot answer: the connection is {self._phase.value}")
        # h11 uses chunks, or for HTTP/1.0 closes after it.
        self._send(h11.Response(status_code=status, headers=headers, reason=_reason(status)))

    def send_body(self, data: bytes) -> None:
        """A piece of the response's body."""
        self._send(h11.Data(data=data))

    def end(self) -> list[HttpRequest]:
        """End the response; returns the next request if it was pipelined."""
        self._send(h11.EndOfMessage())
        return self._next_cycle()

    def _next_cycle(self) -> list[HttpRequest]:
        # h11 accepts a lone LF between and after chunks: no request may follow it.
        chunked = self._request is not None and any(
            name == b"transfer-encoding" for name, _ in self._request.headers
        )
        if chunked or self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            self._phase = _Phase.CLOSED
            return []
        self._h11.start_next_cycle()
        self._phase, self._ahead, self._request = _Phase.READING, 0, None
        return self._read()

    def _switch_protocol(self, headers: list[tuple[str, str]]) -> bytes:
        """Send a 101; returns the bytes after the request.

        Raises LocalProtocolError, also when the request does not ask for another protocol.
        """
        if self._phase is not _Phase.WAITING:
            raise LocalProtocolError(f"cannot switch protocols: the connection is {self._phase.value}")
        self._send(h11.InformationalResponse(status_code=101, headers=headers, reason=_reason(101)))
        self._phase = _Phase.SWITCHED
        return self._h11.trailing_data[0]

    def _read(self) -> list[HttpRequest]:
        try:
            while self._phase is _Phase.READING:
                if self._h11.their_state is h11.IDLE:
                    check_head(self._h11.trailing_data[0], request=True)
                event = self._h11.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                    self._body.clear()
                    self._chunks = 0
                    check_framing(event.http_version, (name for name, _ in event.headers))
                    expected = [value.lower() for name, value in event.headers if name == b"expect"]
                    if any(one != b"100-continue" for one in expected):
                        raise BadSyntax("nothing but 100-continue can be expected", 417)
                    if event.method == b"CONNECT":
                        # A 2xx would open a tunnel.
                        self._refuse(405, "this is no proxy")
                        continue
                    if self._h11.they_are_waiting_for_100_continue:
                        self._send(
                            h11.InformationalResponse(status_code=100, headers=[], reason=_reason(100))
                        )
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > MAX_REQUEST_BODY:
                        self._refuse(413, "the body is too long")
                    self._chunks += event.chunk_start
                    if self._chunks > MAX_CHUNKS:
                        self._refuse(413, "the body has too many chunks")
                elif isinstance(event, h11.EndOfMessage):
                    complete = self._complete_request()
                    self._phase = _Phase.WAITING
                    return [complete]
                elif isinstance(event, h11.ConnectionClosed):
                    self._phase = _Phase.CLOSED
                else:
                    break
        except h11.RemoteProtocolError as error:
            # h11's text quotes the input.
            self._refuse(
                error.error_status_hint, "cannot read the request: it breaks HTTP/1.1 or a limit of ours"
            )
        except BadSyntax as error:
            self._refuse(error.status, f"cannot read the request: {error}")
        return []

    def _complete_request(self) -> HttpRequest:
        assert self._request is not None, "h11 reports the end after the beginning"
        method, target = self._request.method.decode("ascii"), self._request.target.decode("latin-1")
        headers = decoded_headers(self._request.headers)
        sent = first_header(headers, "host")
        target, host = effective_target(method, target, sent)
        if host is not None and host != sent:
            headers = (("host", host), *((name, value) for name, value in headers if name != "host"))
        return HttpRequest(method, target, headers, bytes(self._body))

    def _refuse(self, status: int, why: str) -> None:
        """Send a refusal, if HTTP/1.1 still allows one, and close."""
        self.refused = f"{status}: {why}"
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head_only = self._request is not None and self._request.method == b"HEAD"
            text = [("Content-Type", "text/plain; charset=utf-8")]
            self._send_response(status, text, f"{why}\n".encode(), close=True, head_only=head_only)
        self._phase = _Phase.CLOSED

    def _send_response(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        close: bool,
        head_only: bool = False,
    ) -> None:
        closing = [("Connection", "close")] if close else []
        # Of a 304 it would be the length of what is not sent (RFC 9110, 8.6).
        length = [] if status == 304 else [("Content-Length", str(len(body)))]
        fields = [*headers, *length, *closing]
        self._send(h11.Response(status_code=status, headers=fields, reason=_reason(status)))
        if body and not head_only:
            self._send(h11.Data(data=body))
        self._send(h11.EndOfMessage())

    def _send(self, event: h11.Event) -> None:
        try:
            self._output += self._h11.send(event) or b""
        except h11.LocalProtocolError as error:
            raise LocalProtocolError(f"cannot answer: {error}") from error


def _reason(status: int) -> bytes:
    """The phrase behind the status, which clients without an HTTP library look for."""
    try:
        return http.HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
