"""A connection of its own for one request and its answer: the control key, or a ping.

Not here: the requests, which are machines of their own (`protocol.key_endpoint`, `head_request`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.transport.dial import Dial
from netmap_actors.transport.tls import TlsStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.control.control_url import ControlUrl
    from netmap_actors.transport.address import Address
    from netmap_actors.transport.byte_stream import ByteStream
    from netmap_actors.transport.tcp import TcpStream

__all__ = ["ShortExchange"]

_Answer_co = TypeVar("_Answer_co", covariant=True)
_Answer = TypeVar("_Answer")


class _Request(Protocol[_Answer_co]):
    """One request as a machine."""

    def data_to_send(self) -> bytes: ...

    def receive(self, data: bytes) -> _Answer_co | None: ...

    def eof(self) -> _Answer_co: ...


class ShortExchange(Generic[_Answer]):
    """Dials, asks, and calls one of the two, once, within `limit` seconds."""

    def __init__(
        self,
        loop: Loop,
        url: ControlUrl,
        address: Address,
        context: ssl.SSLContext | None,
        request: _Request[_Answer],
        *,
        limit: float,
        on_answer: Callable[[_Answer], None],
        on_failed: Callable[[str], None],
    ) -> None:
        """`context`: for an https URL. The text of `on_failed` holds nothing secret."""
        self._loop = loop
        self._url = url
        self._context = context
        self._request = request
        self._on_answer = on_answer
        self._on_failed = on_failed
        self._stream: ByteStream | None = None
        self.done = False
        """Whether it was answered, has failed or was given up."""
        self._timer = loop.at(loop.now() + limit, lambda: self._fail(f"no answer within {limit:g} s"))
        self._dial = Dial(loop, [address], self._connected, self._fail)

    def cancel(self) -> None:
        """Give up: everything is closed and nobody is called."""
        self.done = True
        self._timer.cancel()
        self._dial.cancel()
        if self._stream is not None:
            self._loop.unwatch(self._stream.fileno())
            self._stream.close()
            self._stream = None

    def _connected(self, tcp: TcpStream) -> None:
        stream: ByteStream = tcp
        try:
            if self._context is not None:
                stream = TlsStream(tcp, self._context, self._url.host)
            self._stream = stream
            stream.send(self._request.data_to_send())
        except (OSError, RemoteProtocolError) as error:
            self._stream = stream
            self._fail(str(error))
            return
        self._loop.watch(stream.fileno(), self._ready, write=stream.wants_write)

    def _ready(self) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            stream.flush()
            data = stream.receive()
            if data is None:
                self._loop.watch(stream.fileno(), self._ready, write=stream.wants_write)
                return
            answer = self._request.receive(data) if data else self._request.eof()
        except (OSError, RemoteProtocolError) as error:
            self._fail(str(error))
            return
        if answer is not None:
            self.cancel()
            self._on_answer(answer)

    def _fail(self, why: str) -> None:
        self.cancel()
        self._on_failed(why)
