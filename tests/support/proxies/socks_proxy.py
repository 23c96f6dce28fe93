"""A SOCKS5 proxy in threads of the test (socketserver), which records the requests."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import socketserver
import struct
import threading
from typing import Self

from tests.support.proxies.connect_proxy import carry


class SocksProxy(socketserver.ThreadingTCPServer):
    """Carries each tunnel to `port` on loopback, whatever host was asked for."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, users: dict[str, str] | None = None, code: int = 0) -> None:
        """`users`: password by name, empty: no authentication; `code`: the reply to every request."""
        self.upstream, self.users, self.code = port, users, code
        self.targets: list[tuple[str, int]] = []
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is none."""


class _Conversation(socketserver.StreamRequestHandler):
    server: SocksProxy

    def handle(self) -> None:
        version, count = self.rfile.read(2)
        assert version == 5
        methods = self.rfile.read(count)
        wanted = 2 if self.server.users is not None else 0
        if wanted not in methods:
            self.wfile.write(b"\x05\xff")
            return
        self.wfile.write(bytes((5, wanted)))
        if self.server.users is not None and not self._authenticated(self.server.users):
            return
        version, command, _, kind = self.rfile.read(4)
        assert (version, command) == (5, 1)
        match kind:
            case 1:
                host = str(ipaddress.IPv4Address(self.rfile.read(4)))
            case 4:
                host = str(ipaddress.IPv6Address(self.rfile.read(16)))
            case _:
                host = self.rfile.read(self.rfile.read(1)[0]).decode()
        self.server.targets.append((host, struct.unpack(">H", self.rfile.read(2))[0]))
        self.wfile.write(bytes((5, self.server.code, 0, 1, 0, 0, 0, 0, 0, 0)))
        if self.server.code == 0:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.server.upstream)) as far,
            ):
                carry(self.connection, far)

    def _authenticated(self, users: dict[str, str]) -> bool:
        _, length = self.rfile.read(2)
        name = self.rfile.read(length).decode()
        password = self.rfile.read(self.rfile.read(1)[0]).decode()
        right = users.get(name) == password
        self.wfile.write(bytes((1, 0 if right else 1)))
        return right
