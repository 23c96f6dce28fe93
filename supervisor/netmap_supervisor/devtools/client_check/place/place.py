"""Where one attempt takes place: a server of its own, a directory, and a fresh client.

The server can go away and come back, and the client be started anew: what the server saw and who is connected are told
as if there had been one server only.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from netmap_actors.clock import SystemClock
from netmap_actors.errors import NetmapError
from netmap_supervisor.devtools.client_check.place.client import Client
from netmap_supervisor.devtools.client_check.scenarios.steps import ServerAway

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from netmap_actors.dev_control.http.state import Seen
    from netmap_actors.dev_control.operator.listings import ClientView
    from netmap_actors.dev_control.standalone import RunningServer
    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Limits

    OpenPlace = Callable[
        [CheckScenario, "Settings", Path, threading.Event], contextlib.AbstractContextManager["Place"]
    ]

__all__ = ["ELSEWHERE", "CannotStart", "CheckInterrupted", "Place", "Settings", "TestedClient", "fresh_place"]

ELSEWHERE = "127.0.0.2"
"""Where a client has no reason to call."""


class CannotStart(NetmapError):
    """There is no client, and there will be none."""


class CheckInterrupted(Exception):
    """Ctrl-C."""


class TestedClient(Protocol):
    """The client of one attempt."""

    started_at: float
    """Seconds of CLOCK_BOOTTIME."""

    def ended(self) -> str:
        """How it ended; empty while it runs."""

    def last_words(self) -> str:
        """The end of its log, behind a colon; empty where there is none."""

    def end(self) -> None:
        """End it, if it is ours."""


class Place:
    """One attempt's. Made by `fresh_place`."""

    def __init__(
        self,
        open_server: Callable[[int], RunningServer],
        close_server: Callable[[], object],
        start_client: Callable[[], TestedClient],
        elsewhere: socket.socket,
        values: dict[str, str],
    ) -> None:
        self._open_server = open_server
        self._close_server = close_server
        self._start_client = start_client
        self._elsewhere = elsewhere
        self.values = values
        """What is filled in in commands."""
        self._before: list[Seen] = []
        """What servers saw that are gone."""
        self._last_number = 0
        """Of their connections."""
        self.since = 0.0
        """What servers saw before is nothing to this attempt."""
        self.server = open_server(0)

    def start(self) -> None:
        """Start the client. Raises CannotStart."""
        self.client = self._start_client()

    @property
    def elsewhere_url(self) -> str:
        """A place that a client has no reason to call."""
        host, port = self._elsewhere.getsockname()
        return f"http://{host}:{port}/machine/ping-response?id=foreign"

    def foreign_calls(self) -> int:
        """Calls there since the last look."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._elsewhere.accept()[0].close()
                count += 1
        return count

    def events(self) -> list[Seen]:
        """What servers saw."""
        seen = [event for event in self.server.seen() if event.at >= self.since]
        return [*self._before, *(self._renumbered(event) for event in seen)]

    def clients(self) -> list[ClientView]:
        """Who is connected."""
        return [
            msgspec.structs.replace(view, number=view.number + self._last_number)
            for view in self.server.clients()
        ]

    def end_server(self) -> None:
        """The server is gone, with all its connections."""
        self._before = self.events()
        self._last_number = max((event.connection for event in self._before), default=self._last_number)
        self._port = self.server.port
        self._close_server()

    def reopen_server(self) -> None:
        """It is there again: same port, same state, same keys."""
        self.server = self._open_server(self._port)

    def restart_client(self) -> None:
        """End the client, and start it anew with the same directory."""
        self.client.end()
        self.client = self._start_client()

    def _renumbered(self, event: Seen) -> Seen:
        if not event.connection or not self._last_number:
            return event
        return msgspec.structs.replace(event, connection=event.connection + self._last_number)


@contextlib.contextmanager
def fresh_place(
    scenario: CheckScenario,
    settings: Settings,
    log: Path,
    stop: threading.Event,  # noqa: ARG001  # nothing is waited for here
) -> Iterator[Place]:
    """A new server and directory; all of it ends on leaving, with the client that `Place.start` has started.

    Raises NetmapError, OSError.
    """
    # Loaded here and nowhere else: a server has no place in a client's processes.
    from netmap_actors.dev_control.standalone import running_server  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        # A short name: clients may put Unix sockets there, whose paths are limited to 107 bytes.
        directory = Path(stack.enter_context(_directory("nmc-")))
        given: dict[str, Any] = {
            "nodes": settings.nodes if scenario.nodes is None else scenario.nodes,
            "keep_alive": settings.limits.keep_alive,
            "trace": True,
        }
        if any(isinstance(action, ServerAway) for step in scenario.steps for action in step.actions):
            given["state_dir"] = stack.enter_context(_directory("nms-"))
        servers = stack.enter_context(contextlib.ExitStack())
        elsewhere = stack.enter_context(socket.create_server((ELSEWHERE, 0)))
        elsewhere.setblocking(False)
        starts = 0

        def open_server(port: int) -> RunningServer:
            return servers.enter_context(running_server(port=port, **given))

        def start_client() -> Client:
            nonlocal starts
            starts += 1
            path = log if starts == 1 else log.with_suffix(f".{starts}.log")
            try:
                client = Client(settings.command, values, path, SystemClock())
            except OSError as error:
                raise CannotStart(f"cannot start {settings.command[0]}: {error.strerror}") from None
            stack.callback(client.end)
            return client

        values: dict[str, str] = {}
        place = Place(open_server, servers.close, start_client, elsewhere, values)
        server = place.server
        key = (
            server.call(lambda commands: commands.add_auth_key(reusable=False))
            if scenario.one_shot_key
            else server.auth_key
        )
        key_file = directory / "auth_key"
        key_file.touch(mode=0o600)
        key_file.write_text(key)
        values.update(
            url=server.url,
            auth_key=key,
            auth_key_file=str(key_file),
            dir=str(directory),
            hostname=f"check-{scenario.name.replace('/', '-')}",
        )
        yield place


def _directory(prefix: str) -> contextlib.AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix=prefix, dir="/tmp", ignore_cleanup_errors=True)


class Settings(msgspec.Struct, frozen=True):
    """What is the same for all scenarios."""

    command: Sequence[str]
    limits: Limits
    output: Path
    """Directory of the clients' logs."""
    nodes: int = 8
    peers_command: Sequence[str] = ()
    """Prints what the client believes; empty: there is none."""
    open_place: OpenPlace = fresh_place
    """Where an attempt gets server and client from."""
