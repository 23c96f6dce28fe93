"""A reverse proxy of a control server that answers `/key` or the upgrade itself while a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n"
)


def http_answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """A whole response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class LyingFront:
    """Carries every connection to `port` on the loopback, except for what it answers by itself."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self.key_answer = b""
        """What `/key` gets; empty: the server's own answer."""
        self.upgrade_answer = b""
        """What `/ts2021` gets before the connection is closed; empty: the server's own answer."""
        self.asked: list[bytes] = []
        """Method and path of each request that came."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        """Until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            request = b""
            while b"\r\n\r\n" not in request:
                more = client.recv(65536)
                if not more:
                    return
                request += more
            self.asked.append(request.partition(b"?")[0].partition(b" HTTP")[0])
            own = self.key_answer if request.startswith(b"GET /key") else self.upgrade_answer
            if own:
                client.sendall(own)
                client.shutdown(socket.SHUT_WR)
                client.recv(1)
                return
            with socket.create_connection(("127.0.0.1", self._behind)) as server:
                server.sendall(request)
                back = threading.Thread(target=_carry, args=(server, client), daemon=True)
                back.start()
                _carry(client, server)
                back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def lying_front(port: int) -> Iterator[LyingFront]:
    """The proxy, until the end of the block."""
    front = LyingFront(port)
    threading.Thread(target=front.serve, daemon=True).start()
    try:
        yield front
    finally:
        front.close()
