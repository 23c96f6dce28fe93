from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_supervisor.daemon.embedded_control import EmbeddedControl

if TYPE_CHECKING:
    import pytest


def test_each_process_gets_the_listener_as_the_first_one_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes share one socket and its state."""
    asked: list[int] = []
    monkeypatch.setattr(
        socket, "create_server", lambda address, backlog: Listener(asked, socket.socket(), address, backlog)
    )
    made = EmbeddedControl(tmp_path)
    try:
        (first,) = asked
        assert made.listen_fd == made.listen_fd
        assert asked == [first, first, first]
    finally:
        made.close()


class Listener:
    """A socket that notes how many may wait at it."""

    def __init__(self, asked: list[int], real: socket.socket, address: tuple[str, int], backlog: int) -> None:
        self._asked, self._real = asked, real
        real.bind(address)
        self.listen(backlog)
        self.getsockname, self.fileno, self.close = real.getsockname, real.fileno, real.close

    def listen(self, backlog: int) -> None:
        self._asked.append(backlog)
        self._real.listen(backlog)
