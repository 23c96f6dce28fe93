"""An HTTP proxy that takes CONNECT, in threads of the test, with every way through it under the test's control."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_HEAD_LIMIT = 1 << 16


class ConnectProxy:
    """Carries each tunnel to `port` on loopback, whatever host was asked for."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Request line and headers (names in lower case) of each connection."""
        self.answer: bytes | None = None
        """Sent instead of the way on; then the connection is closed."""
        self.mute = False
        """Say nothing at all."""
        self.idle_limit: float | None = None
        """Seconds without a byte either way after which a tunnel is closed."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def targets(self) -> list[str]:
        """host:port of each request."""
        return [line.split(" ")[1] for line, _ in self.requests]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near:
            head = b""
            while b"\r\n\r\n" not in head and len(head) < _HEAD_LIMIT:
                data = near.recv(4096)
                if not data:
                    return
                head += data
            line, *fields = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)
            }
            self.requests.append((line, headers))
            if self.mute:
                near.recv(1)  # until the client gives up
            elif self.answer is not None:
                near.sendall(self.answer)
            else:
                with socket.create_connection(("127.0.0.1", self.upstream)) as far:
                    near.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
                    carry(near, far, self.idle_limit)


def carry(near: socket.socket, far: socket.socket, idle_limit: float | None = None) -> None:
    """Bytes both ways until one side closes, or for so many seconds says nothing."""
    while True:
        ready = select.select([near, far], [], [], idle_limit)[0]
        if not ready:
            return
        for source in ready:
            data = source.recv(1 << 16)
            if not data:
                return
            (far if source is near else near).sendall(data)
