"""From addresses to a stream whose other end is a server: TCP, then a proxy's tunnel, then TLS.

Not here: name resolution (`transport.resolve`), the choice of a proxy (`proxy`), and a time limit, which is the
caller's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.connect_tunnel import ConnectTunnel
from netmap_actors.protocol.socks_tunnel import SocksTunnel
from netmap_actors.transport.byte_stream import why_broken
from netmap_actors.transport.dial import Dial

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from netmap_actors.bus.loop import Loop
    from netmap_actors.transport.address import Address
    from netmap_actors.transport.byte_stream import ByteStream
    from netmap_actors.transport.proxy import Proxy
    from netmap_actors.transport.tcp import TcpStream

__all__ = ["Dialer", "Dialing", "Url"]


class Url(Protocol):
    """Of it, where the server is."""

    @property
    def host(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def is_https(self) -> bool: ...


_Url_co = TypeVar("_Url_co", bound=Url, covariant=True)


class Dialer(msgspec.Struct, Generic[_Url_co], frozen=True):
    """How one server is reached."""

    loop: Loop
    url: _Url_co
    context: ssl.SSLContext | None
    """For TLS, with the server and with an https proxy; None where there is neither."""
    proxy: Proxy | None = None
    avoid: Sequence[str] = ()
    """Addresses as text that are tried last."""

    def dial(
        self,
        addresses: list[Address],
        on_open: Callable[[ByteStream], None],
        on_failed: Callable[[str], None],
        on_connected: Callable[[TcpStream], bool] | None = None,
    ) -> Dialing:
        """Start; `on_open` or `on_failed` is called, once. `on_connected` is called before, with the TCP connection
        still this Dialing's own, and may return False to give up.
        """
        return Dialing(self, addresses, on_open, on_failed, on_connected)

    def explain(self, why: str) -> str:
        """The text of a failure, with the proxy that may be at fault."""
        return why if self.proxy is None else f"{why} (through the proxy {self.proxy.text})"


class Dialing:
    """One attempt."""

    def __init__(
        self,
        dialer: Dialer[Url],
        addresses: list[Address],
        on_open: Callable[[ByteStream], None],
        on_failed: Callable[[str], None],
        on_connected: Callable[[TcpStream], bool] | None,
    ) -> None:
        self._dialer = dialer
        self._on_open = on_open
        self._on_failed = on_failed
        self._on_connected = on_connected
        self._stream: ByteStream | None = None
        self._tunnel: ConnectTunnel | SocksTunnel | None = None
        self._dial = Dial(dialer.loop, addresses, self._connected, self._fail, dialer.avoid)

    def cancel(self) -> None:
        """Give up: close everything, without a callback."""
        self._dial.cancel()
        stream, self._stream = self._stream, None
        if stream is not None:
            self._dialer.loop.unwatch(stream.fileno())
            stream.close()

    def _connected(self, tcp: TcpStream) -> None:
        self._stream = tcp
        if self._on_connected is not None and not self._on_connected(tcp):
            self.cancel()
        elif self._dialer.proxy is None:
            self._finish(tcp)
        else:
            self._ask(tcp, self._dialer.proxy)

    def _ask(self, tcp: TcpStream, proxy: Proxy) -> None:
        """Ask the proxy for a tunnel."""
        stream: ByteStream = tcp
        try:
            if proxy.scheme == "https":
                assert self._dialer.context is not None, "an https proxy has a context"
                stream = self._stream = _secured(tcp, self._dialer.context, proxy.host)
            url = self._dialer.url
            if proxy.is_socks:
                self._tunnel = SocksTunnel(url.host, url.port, proxy.credentials)
            else:
                self._tunnel = ConnectTunnel(url.host, url.port, proxy.authorization)
            stream.send(self._tunnel.data_to_send())
        except (OSError, RemoteProtocolError) as error:
            self._broken(error)
            return
        self._watch()

    def _watch(self) -> None:
        stream = self._stream
        assert stream is not None, "still open"
        self._dialer.loop.watch(stream.fileno(), self._ready, write=stream.wants_write)

    def _ready(self) -> None:
        stream, tunnel = self._stream, self._tunnel
        if stream is None or tunnel is None:
            return
        try:
            stream.flush()
            data = stream.receive()
            if data == b"":
                raise tunnel.eof()
            behind = tunnel.receive(data) if data else None
            if answer := tunnel.data_to_send():
                stream.send(answer)
            if behind:
                raise RemoteProtocolError("cannot use the tunnel: the proxy spoke before the server could")
        except (OSError, RemoteProtocolError) as error:
            self._broken(error)
            return
        if behind is None:
            self._watch()
            return
        self._dialer.loop.unwatch(stream.fileno())
        self._finish(stream)

    def _finish(self, stream: ByteStream) -> None:
        url, context = self._dialer.url, self._dialer.context
        try:
            if url.is_https:
                assert context is not None, "an https URL has a context"
                stream = _secured(stream, context, url.name)
        except (OSError, RemoteProtocolError) as error:
            self._broken(error)
            return
        # From here on the stream is the caller's.
        self._stream = None
        self._on_open(stream)

    def _broken(self, error: OSError | RemoteProtocolError) -> None:
        why = why_broken(error)
        self._fail(f"cannot connect: {why}" if isinstance(error, OSError) else why)

    def _fail(self, why: str) -> None:
        self.cancel()
        self._on_failed(self._dialer.explain(why))


def _secured(below: ByteStream, context: ssl.SSLContext, host: str) -> ByteStream:
    # Loaded only where a context was made: plain http has no use for OpenSSL.
    from netmap_actors.transport.tls import TlsStream  # noqa: PLC0415

    return TlsStream(below, context, host)
