"""A private unix socket on which whoever has a ticket gets a copy of what passes, from a beginning on.

The sender never waits: who falls behind is told so and cut off. While nobody is there it costs a descriptor that
nothing wakes. Not here: what passes (`publisher`), and who listens (the `record` command).
"""

from __future__ import annotations

import collections
import hmac
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors.bus.acceptor import Acceptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.admission import Origin
    from netmap_actors.bus.loop import Loop

__all__ = ["MAX_BEHIND", "MAX_RECORDERS", "PREFIX", "Tap"]

PREFIX: Final = struct.Struct(">II")
"""Before each message: the bytes of its header, which is JSON, and of the body behind that."""
MAX_RECORDERS: Final = 4
MAX_BEHIND: Final = 64 << 20
"""Bytes that may wait for a recorder behind the message it is taking."""
_MAX_TICKETS: Final = 16
"""Not used yet; the oldest go first."""
_MAX_TICKET: Final = 64
"""Bytes."""
_TICKET_LIMIT: Final = 5.0
"""Seconds from the connection until its ticket is there and known."""
_LAST_WORDS: Final = 10.0
"""Seconds in which one that is cut off can take the message it is at, and that it is cut off."""
_BYTES_PER_TURN: Final = 1 << 20
_encode = msgspec.json.Encoder().encode


class Tap:
    """The recorders at one listening socket."""

    def __init__(self, loop: Loop, descriptor: int, greeting: Callable[[], dict[str, Any]]) -> None:
        """`descriptor`: of the socket, ours to close from now on. `greeting()`: the first message to one that comes."""
        self.loop = loop
        self.recorders: dict[_Recorder, None] = {}
        self.cut_off = 0
        """Recorders that fell behind."""
        self._greeting = greeting
        self._tickets: collections.deque[bytes] = collections.deque(maxlen=_MAX_TICKETS)
        self._listener = socket.socket(fileno=descriptor)
        # With room for those that take their last words.
        self.acceptor: Acceptor[_Recorder] = Acceptor(
            loop, self._listener, capacity=2 * MAX_RECORDERS, welcome=self._welcome
        )

    def admit(self, ticket: str) -> None:
        """Let one in who shows this, or has shown it already."""
        self._tickets.append(ticket.encode())
        for connection in list(self.acceptor):
            connection.look()

    def redeem(self, ticket: bytes) -> bool:
        """Whether it lets in; never a second time."""
        known = next((one for one in self._tickets if hmac.compare_digest(one, ticket)), None)
        if known is not None:
            self._tickets.remove(known)
        return known is not None

    def let_in(self, recorder: _Recorder) -> None:
        """It has shown its ticket."""
        if len(self.recorders) >= MAX_RECORDERS:
            recorder.cut(f"{MAX_RECORDERS} recorders are here already")
        else:
            self.recorders[recorder] = None
            recorder.flush()

    def begin(self, header: dict[str, Any]) -> None:
        """What follows is of something new: everybody takes part from here on, and who waits at the socket too."""
        self.acceptor.look()
        data = _message(header, b"")
        for connection in list(self.acceptor):
            connection.takes_part = True
            connection.send(data)

    def tell(self, header: dict[str, Any], body: bytes = b"") -> None:
        """A message to those who were there at its beginning."""
        if there := [connection for connection in self.acceptor if connection.takes_part]:
            data = _message(header, body)
            for connection in there:
                connection.send(data)

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in list(self.acceptor):
            connection.close()
        self.acceptor.close()
        self._listener.close()

    def _welcome(self, sock: socket.socket, peer: Origin) -> _Recorder | None:
        if peer.user not in {os.geteuid(), 0}:
            sock.close()  # the socket's mode keeps others out; this is for a directory that was opened to them
            return None
        return _Recorder(self, sock, _message(self._greeting(), b""))


class _Recorder:
    """One that listens."""

    def __init__(self, tap: Tap, sock: socket.socket, greeting: list[bytes]) -> None:
        self.takes_part = False
        self._tap = tap
        self._loop = tap.loop
        self._sock = sock
        self._waiting: collections.deque[memoryview] = collections.deque()
        self._bytes = 0
        """In all of them."""
        self._begun = False
        """Something was sent."""
        self._last = False
        """It is cut off: nothing more is put in."""
        self._admitted = False
        """Its ticket was good. Until then nothing is sent, and everything kept."""
        self._ticket = b""
        """The last it has shown: an earlier one may have been told to a publisher that has ended since."""
        self._shown = bytearray()
        """Of the next, as far as it has come."""
        self._limit = self._loop.deadline(self.close)
        self._limit.set(self._loop.now() + _TICKET_LIMIT)
        self._loop.watch(sock.fileno(), self._on_ready)
        self._put(greeting)

    def send(self, parts: list[bytes]) -> None:
        """A message, at once or when it is taken."""
        if self._last:
            return
        if self._waiting and self._bytes - len(self._waiting[0]) + sum(map(len, parts)) > MAX_BEHIND:
            if not self._admitted:
                self.close()
                return
            self._tap.cut_off += 1
            self.cut(f"it is more than {MAX_BEHIND >> 20} MiB behind")
            return
        self._put(parts)
        self.flush()

    def cut(self, why: str) -> None:
        """The message it is taking, and why there is no other."""
        self._tap.recorders.pop(self, None)
        self._last = True
        # A message that has begun is completed, or what follows could not be told from it.
        kept = 1 + self._rest_of_first if self._waiting and self._begun else 0
        while len(self._waiting) > kept:
            self._bytes -= len(self._waiting.pop())
        self._put(_message({"kind": "cut_off", "why": why}, b""))
        self._limit.set(self._loop.now() + _LAST_WORDS)
        self.flush()

    def close(self) -> None:
        """At once. Closing twice is allowed."""
        if self._sock.fileno() >= 0:
            self._limit.set(None)
            self._tap.recorders.pop(self, None)
            self._loop.unwatch(self._sock.fileno())
            self._sock.close()
            self._waiting.clear()
            self._tap.acceptor.left(self)

    @property
    def _rest_of_first(self) -> int:
        """Parts of the first message behind the one that is being taken: its body, while that is its header."""
        return 1 if len(self._waiting) % 2 == 0 else 0

    def _put(self, parts: list[bytes]) -> None:
        # Two of each, always: so their number says at which half of a message it is.
        self._waiting.extend(memoryview(part) for part in parts)
        self._bytes += sum(map(len, parts))

    def flush(self) -> None:
        """Send what it takes."""
        if not self._admitted:
            return
        room = _BYTES_PER_TURN
        try:
            while self._waiting and room > 0:
                first = self._waiting[0]
                sent = self._sock.send(first[:room]) if first else 0
                room -= sent
                self._begun = True
                self._bytes -= sent
                if sent == len(first):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = first[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._waiting:
            self._loop.watch(self._sock.fileno(), self._on_ready, write=True)
        elif self._last:
            self.close()
        else:
            self._loop.watch(self._sock.fileno(), self._on_ready)

    def look(self) -> None:
        """A ticket may have come, or be known now."""
        if not self._admitted and self._tap.redeem(self._ticket):
            self._admitted = True
            self._limit.set(None)
            self._tap.let_in(self)

    def _on_ready(self) -> None:
        """It shows its ticket, takes more, or has gone: it has nothing else to say."""
        try:
            data = self._sock.recv(_MAX_TICKET)
        except BlockingIOError:
            self.flush()
        except OSError:
            self.close()
        else:
            *tickets, rest = (self._shown + data).split(b"\n")
            if not data or self._admitted or len(rest) > _MAX_TICKET:
                self.close()
                return
            self._shown = rest
            if tickets:
                self._ticket = bytes(tickets[-1])
                self.look()


def _message(header: dict[str, Any], body: bytes) -> list[bytes]:
    """Its two parts; the body is not copied."""
    text = _encode(header)
    return [PREFIX.pack(len(text), len(body)) + text, body]
