"""One bounded HTTP/1.1 request and its response, over h11, on a connection of its own.

Not here: the requests themselves (`key_endpoint`, `upgrade`, `connect_tunnel`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError, escape
from netmap_actors.protocol.headers import MAX_INFORMATIONAL, Headers, first_header
from netmap_actors.protocol.http1_syntax import BadSyntax, check_framing, check_head
from netmap_actors.protocol.retry_after import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MAX_HEAD",
    "MAX_REFUSAL",
    "HttpExchange",
    "UnexpectedStatus",
    "decoded_headers",
]

MAX_HEAD = 16 << 10
"""Bytes of one start line with its headers."""
MAX_EXCERPT = 200
"""Characters shown of an unexpected response's body, as in tailscale."""
_EXCERPT_BYTES = 4 * MAX_EXCERPT
MAX_REFUSAL = 4096
"""Bytes kept of the body of an unexpected response."""


class UnexpectedStatus(RemoteProtocolError):
    """The response has another status than the expected one.

    `retry_after`: seconds of its Retry-After, or None; `excerpt`: the first 200 characters of its body, escaped.
    """

    def __init__(self, what: str, status: int, retry_after: float | None, excerpt: str) -> None:
        text = f"cannot {what}: the server answered {status}"
        super().__init__(f"{text}: {excerpt}" if excerpt else text)
        self.status = status
        self.retry_after = retry_after
        self.excerpt = excerpt


def decoded_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """h11's headers as Headers."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)


class HttpExchange:
    """One request and its response. `status` and `headers` are set once the final response has begun."""

    def __init__(
        self,
        what: str,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        *,
        expected: int,
        max_body: int,
        content: bytes = b"",
    ) -> None:
        """`what` completes "cannot …" in every error; `max_body` bounds the body of an `expected` status.

        `content` is the body of the request, whose Content-Length `headers` hold.

        Raises LocalProtocolError for a request that HTTP/1.1 cannot carry.
        """
        self._what = what
        self._expected = expected
        self._max_body = max_body
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        try:
            request = h11.Request(method=method, target=target, headers=headers)
            events = (request, *((h11.Data(data=content),) if content else ()), h11.EndOfMessage())
            self._output = b"".join(self._h11.send(event) or b"" for event in events)
        except h11.LocalProtocolError as error:
            raise LocalProtocolError(f"cannot {what}: {error}") from error
        self._informational = 0
        self._body = bytearray()
        self.status: int | None = None
        self.headers: Headers = ()
        self.complete = False
        """Whether the response is complete."""

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    @property
    def trailing(self) -> bytes:
        """After a switch: the bytes after the headers, which belong to the new protocol."""
        return self._h11.trailing_data[0]

    @property
    def switched(self) -> bool:
        """Whether the connection has switched protocols: after a 101, or a successful CONNECT."""
        return self._h11.their_state is h11.SWITCHED_PROTOCOL

    def data_to_send(self) -> bytes:
        """The request, once."""
        output, self._output = self._output, b""
        return output

    def receive(self, data: bytes) -> None:
        """The next bytes of the response. Raises RemoteProtocolError, also for a body above its limit."""
        if data:
            self._feed(data)

    def eof(self) -> None:
        """The server closed, which ends a body without a length. Raises RemoteProtocolError otherwise."""
        if self._h11.their_state is not h11.SEND_RESPONSE:
            self._feed(b"")
        if not self.complete:
            raise RemoteProtocolError(
                f"cannot {self._what}: the server closed the connection before its answer"
            )

    def unexpected(self) -> UnexpectedStatus:
        """The error for a final response of another status, with as much of its body as came."""
        assert self.status is not None, "the response has begun"
        retry_after = retry_after_seconds(
            first_header(self.headers, "retry-after"), first_header(self.headers, "date")
        )
        excerpt = escape(bytes(self._body[:_EXCERPT_BYTES]).strip(), MAX_EXCERPT)
        return UnexpectedStatus(self._what, self.status, retry_after, excerpt)

    @property
    def excerpt_complete(self) -> bool:
        """Whether further body would not change `unexpected`."""
        return self.complete or len(self._body) >= _EXCERPT_BYTES

    def _feed(self, data: bytes) -> None:
        try:
            self._h11.receive_data(data)
            while self._step():
                pass
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError(f"cannot {self._what}: {escape(str(error))}") from error
        except BadSyntax as error:
            raise RemoteProtocolError(f"cannot {self._what}: the answer breaks HTTP/1.1: {error}") from error

    def _step(self) -> bool:
        """Process one event of h11. False when there is none."""
        if self._h11.their_state is h11.SEND_RESPONSE:
            check_head(self._h11.trailing_data[0], request=False)
        event = self._h11.next_event()
        if isinstance(event, h11.InformationalResponse):
            if event.status_code == 101:
                self.status, self.headers, self.complete = 101, decoded_headers(event.headers), True
                return False
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                raise RemoteProtocolError(
                    f"cannot {self._what}: more than {MAX_INFORMATIONAL} informational answers"
                )
        elif isinstance(event, h11.Response):
            if not self.switched:  # a 2xx to CONNECT has no body, whatever its fields
                check_framing(event.http_version, (name for name, _ in event.headers))
            self.status, self.headers = event.status_code, decoded_headers(event.headers)
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > self._max_body:
                if self.status == self._expected:
                    raise RemoteProtocolError(
                        f"cannot {self._what}: the answer exceeds {self._max_body} bytes"
                    )
                del self._body[self._max_body :]
        elif isinstance(event, h11.EndOfMessage):
            self.complete = True
            return False
        else:
            return False
        return True
