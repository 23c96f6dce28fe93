"""A name server for one network namespace, in a thread of the test: it answers, refuses, lies or says nothing.

Commands run with the namespace's prefix ask it: `ip netns exec` lays /etc/netns/NAME over /etc.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import enum
import ipaddress
import os
import shutil
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.histories.history import boottime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.host.netns import Namespace

_CLONE_NEWNET = 0x40000000
_HEADER = struct.Struct("!HHHHHH")
_RESPONSE = 0x8580
"""It is an answer, with authority, and recursion was asked for and is there."""
_TYPES = {4: 1, 6: 28}
"""Address family -> A, AAAA."""
_LOOK = 0.1


class Mood(enum.Enum):
    """What becomes of a question."""

    WELL = 0
    SERVFAIL = 2
    NXDOMAIN = 3
    DROP = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """One that came, whatever was answered."""

    at: float
    """CLOCK_BOOTTIME."""
    name: str
    kind: int


class ScriptedResolver:
    """Every name has the same addresses. What it does may be changed at any time."""

    def __init__(self, listener: socket.socket, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self.mood = Mood.WELL
        self.questions: list[Question] = []
        self._listener = listener

    def serve(self, over: threading.Event) -> None:
        self._listener.settimeout(_LOOK)
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                query, client = self._listener.recvfrom(4096)
                answer = self._answer(query)
                if answer is not None:
                    self._listener.sendto(answer, client)

    def _answer(self, query: bytes) -> bytes | None:
        labels, end = [], _HEADER.size
        while query[end]:
            labels.append(query[end + 1 : end + 1 + query[end]].decode())
            end += 1 + query[end]
        end += 5
        (kind,) = struct.unpack_from("!H", query, end - 4)
        self.questions.append(Question(boottime(), ".".join(labels), kind))
        if self.mood is Mood.DROP:
            return None
        found = [ipaddress.ip_address(text) for text in self.addresses] if self.mood is Mood.WELL else []
        records = [one.packed for one in found if _TYPES[one.version] == kind]
        (number,) = struct.unpack_from("!H", query)
        head = _HEADER.pack(number, _RESPONSE | self.mood.value, 1, len(records), 0, 0)
        # The name is the question's; TTL 0, so that the answer is not cached.
        answers = (struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(record)) + record for record in records)
        return head + query[_HEADER.size : end] + b"".join(answers)


@contextlib.contextmanager
def resolving(
    server: Namespace, client: Namespace, *addresses: str, settings: str = ""
) -> Iterator[ScriptedResolver]:
    """A name server in `server` for whatever is run in `client`; `settings` are more lines of its resolv.conf."""
    files = Path("/etc/netns") / client.name
    over = threading.Event()
    with contextlib.ExitStack() as undo:
        listener = undo.enter_context(_socket_in(server))
        listener.bind((server.address, 53))
        made = not files.parent.exists()
        files.mkdir(parents=True)
        undo.callback(_remove, files, with_parent=made)
        (files / "resolv.conf").write_text(f"nameserver {server.address}\n{settings}")
        (files / "nsswitch.conf").write_text("hosts: files dns\n")
        resolver = ScriptedResolver(listener, addresses)
        thread = threading.Thread(target=resolver.serve, args=(over,), name="resolver", daemon=True)
        thread.start()
        try:
            yield resolver
        finally:
            over.set()
            thread.join(5.0)


def _remove(files: Path, *, with_parent: bool) -> None:
    shutil.rmtree(files)
    if with_parent:
        with contextlib.suppress(OSError):
            files.parent.rmdir()


def _socket_in(namespace: Namespace) -> socket.socket:
    """A UDP socket belongs to the namespace of the thread that made it, for good."""
    made: list[socket.socket] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(f"/run/netns/{namespace.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(descriptor, _CLONE_NEWNET) == 0:
                made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert made, f"cannot enter the network namespace {namespace.name}"
    return made[0]
