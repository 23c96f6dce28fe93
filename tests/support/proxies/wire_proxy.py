"""A TCP proxy between a daemon and its control server, in threads of the test, that spoils what the server says.

It knows the first bytes of a connection only: the answer to the upgrade and the Noise message behind it. What comes
later is encrypted and can be delayed, cut into pieces or held back.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

HEAD_END = b"\r\n\r\n"
NOISE_MESSAGE = 51
"""Bytes of the server's handshake message: type, length and 48 bytes."""
_LOOK = 0.05


class Harm:
    """What becomes of the server's bytes on one connection. This one passes them on."""

    hold = False
    """Nothing more is passed on; the connection stays."""

    def pieces(self, data: bytes) -> Iterable[bytes]:
        """What to send for `data`, each piece by itself and as soon as it is yielded."""
        return [data]


class Silence(Harm):
    """TCP takes the client's bytes, and nothing ever comes back."""

    def pieces(self, data: bytes) -> list[bytes]:
        return []


class Trickle(Harm):
    """One byte at a time."""

    def pieces(self, data: bytes) -> list[bytes]:
        return [data[at : at + 1] for at in range(len(data))]


class Uneven(Harm):
    """A line with jitter: slices of any size, one in ten is late and delays all behind it, both ways."""

    SLICE = 400
    LATE = 0.1
    DELAY = (1.0, 3.0)

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._healed = threading.Event()
        self.delays: list[float] = []

    def heal(self) -> None:
        """Whatever waits goes on, and nothing is late any more."""
        self._healed.set()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            size = self._dice.randint(1, self.SLICE)
            if self._dice.random() < self.LATE and not self._healed.is_set():
                self.delays.append(self._dice.uniform(*self.DELAY))
                self._healed.wait(self.delays[-1])
            yield data[:size]
            data = data[size:]


class Handshake(Harm):
    """Another handshake message than the server's; with `hold` nothing follows it."""

    def __init__(self, change: Callable[[bytes], bytes], *, hold: bool = False) -> None:
        self._change = change
        self._then_hold = hold
        self._seen = b""
        self._done = False

    def pieces(self, data: bytes) -> list[bytes]:
        if self._done:
            return [data]
        self._seen += data
        head, found, rest = self._seen.partition(HEAD_END)
        if not found or len(rest) < NOISE_MESSAGE:
            return []
        self._done = True
        self.hold = self._then_hold
        changed = head + found + self._change(rest[:NOISE_MESSAGE])
        return [changed] if self.hold else [changed + rest[NOISE_MESSAGE:]]


class WireProxy:
    """Listens on loopback and carries each connection to `port`; `harm` makes what happens to the next upgrade."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.harm: Callable[[], Harm] = Harm
        self.deaf = False
        """What clients send is not read, so that their socket fills up."""
        self._open: set[socket.socket] = set()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="wire-proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        """A TCP reset for every client."""
        for near in list(self._open):
            with contextlib.suppress(OSError):
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                near.shutdown(socket.SHUT_RD)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            first = near.recv(1 << 16)
            harm = self.harm() if first.startswith(b"POST /ts2021") else Harm()
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(near)
            try:
                with socket.create_connection(("127.0.0.1", self._upstream)) as far:
                    far.sendall(first)
                    self._carry(near, far, harm)
            finally:
                self._open.discard(near)

    def _carry(self, near: socket.socket, far: socket.socket, harm: Harm) -> None:
        while not self._over.is_set():
            sources = [] if harm.hold else [far]
            sources += [] if self.deaf else [near]
            for source in select.select(sources, [], [], _LOOK)[0]:
                data = source.recv(1 << 16)
                if not data:
                    return
                if source is near:
                    far.sendall(data)
                    continue
                for piece in harm.pieces(data):
                    near.sendall(piece)
