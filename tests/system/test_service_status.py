from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes.daemon import Daemon

LIMIT = 30.0


@pytest.mark.slow
def test_systemctl_status_never_says_fresh_of_what_is_stale(daemon: Callable[..., Daemon]) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="nm-") as place,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(str(Path(place) / "notify"))
        manager.settimeout(LIMIT)
        running = daemon(env={"NOTIFY_SOCKET": str(Path(place) / "notify")})
        seen: list[str] = []

        def told(state: str) -> bool:
            seen.extend(
                word for word in manager.recv(4096).decode().split("\n") if word.startswith("STATUS=")
            )
            return bool(seen) and seen[-1].startswith(f"STATUS={state}, ")

        wait_for(lambda: told("fresh"), LIMIT, "fresh", every=0.0)
        netmap = running.wait_fresh()["netmap"]
        assert seen[-1].startswith(f"STATUS=fresh, {netmap['peers']} peers, last map ")
        # Another one is up long before the line is told again for its age.
        running.signal_actor("publisher")
        wait_for(lambda: told("stale"), LIMIT, "stale, if only for a moment", every=0.0)
        wait_for(lambda: told("fresh"), LIMIT, "fresh again", every=0.0)
