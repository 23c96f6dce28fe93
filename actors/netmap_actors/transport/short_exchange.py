"""A connection of its own for one request and its answer: the control key, a ping, or a webhook.

Not here: the requests, which are machines of their own, such as `protocol.key_endpoint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.http1_exchange import UnexpectedStatus
from netmap_actors.transport.byte_stream import why_broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.transport.address import Address
    from netmap_actors.transport.byte_stream import ByteStream
    from netmap_actors.transport.dialer import Dialer, Url

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
        dialer: Dialer[Url],
        addresses: list[Address],
        request: _Request[_Answer],
        *,
        limit: float,
        on_answer: Callable[[_Answer], None],
        on_failed: Callable[[str, UnexpectedStatus | None], None],
    ) -> None:
        """`on_failed` gets a text without secrets, and the server's refusal if there was one."""
        self._dialer = dialer
        loop = self._loop = dialer.loop
        self._request = request
        self._on_answer = on_answer
        self._on_failed = on_failed
        self._stream: ByteStream | None = None
        self.done = False
        """Whether it was answered, has failed or was given up."""
        self._timer = loop.at(loop.now() + limit, lambda: self._fail(f"no answer within {limit:g} s"))
        self._dialing = dialer.dial(addresses, self._opened, self._fail)

    def cancel(self) -> None:
        """Give up: close everything, without a callback."""
        self.done = True
        self._timer.cancel()
        self._dialing.cancel()
        if self._stream is not None:
            self._loop.unwatch(self._stream.fileno())
            self._stream.close()
            self._stream = None

    def _opened(self, stream: ByteStream) -> None:
        self._stream = stream
        try:
            stream.send(self._request.data_to_send())
        except (OSError, RemoteProtocolError) as error:
            self._broken(error)
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
            self._broken(error)
            return
        if answer is not None:
            self.cancel()
            self._on_answer(answer)

    def _broken(self, error: OSError | RemoteProtocolError) -> None:
        why = why_broken(error)
        text = self._dialer.explain(f"cannot get an answer: {why}" if isinstance(error, OSError) else why)
        self._fail(text, error if isinstance(error, UnexpectedStatus) else None)

    def _fail(self, why: str, refused: UnexpectedStatus | None = None) -> None:
        self.cancel()
        self._on_failed(why, refused)
