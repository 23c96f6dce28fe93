"""A client that somebody starts elsewhere: one server for the whole course, to which it comes back for each scenario.

Not here: what is done to it (`attempt`).
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_supervisor.devtools.client_check.place.place import (
    ELSEWHERE,
    CannotStart,
    CheckInterrupted,
    Place,
)
from netmap_supervisor.devtools.client_check.scenarios.scenario import Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import RestartClient

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from netmap_actors.dev_control.http.state import Seen
    from netmap_actors.dev_control.operator.listings import ClientView
    from netmap_actors.dev_control.standalone import RunningServer
    from netmap_supervisor.devtools.client_check.place.place import Settings, TestedClient
    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario

__all__ = ["AttachedClients", "how_to_attach", "unsuited"]

_LOOK_EVERY = 0.05
_QUIET = 2.0
"""Seconds in which most clients are back, so that nothing is said."""
_WORDS = {
    "accept": "connected",
    "tls": "TLS is set up",
    "key": "asked for the server's Noise key",
    "upgrade": "the Noise handshake is done",
    "register": "asked to register",
    "map": "asked for a map",
    "refused": "was refused:",
    "end": "the connection ended:",
}
"""What is told of a client that does not come, by the kind of what the server saw."""
_DETAILED = frozenset({"refused", "end"})


def how_to_attach(server: RunningServer) -> list[str]:
    """Lines that say how clients of the field are told where the server is."""
    trust = device = ""
    if server.ca_file:
        trust = f"SSL_CERT_FILE={server.ca_file} "
        device = f", and as trusted root the certificate in {server.ca_file}"
    return [
        "start the client, let it join, and leave it alone:",
        f"  tailscaled    {trust}tailscaled … and then",
        f"                tailscale up --login-server={server.url} --auth-key={server.auth_key}",
        f"  a program     {trust}with this URL and key as control URL and auth key",
        f"  a device      the URL as its control (or login) server, the key as its auth key{device}",
    ]


def unsuited(scenario: CheckScenario, *, local: bool) -> str:
    """Why a client that is started elsewhere cannot be put through it; empty if it can. `local`: on this machine."""
    if scenario.before or scenario.one_shot_key:
        return "needs a client that joins for the first time: give check-client a command that starts it"
    if scenario.nodes is not None:
        return "needs a tailnet of its own: give check-client a command that starts the client"
    if any(isinstance(action, RestartClient) for step in scenario.steps for action in step.actions):
        return "restarts the client: give check-client a command that starts it"
    if scenario.fault == "map/foreign-ping" and not local:
        return "the other address is one of loopback, which only a client on this machine could call"
    return ""


class AttachedClients:
    """The server that waits, and the client whenever it is there."""

    def __init__(self, given: dict[str, Any], limit: float, tell: Callable[[str], object]) -> None:
        """`given`: of `running_server`. `limit`: seconds the client may stay away. `tell(line)` says what it waits for.

        Nothing listens before it is entered.
        """
        self._given = given
        self._limit = limit
        self._tell = tell
        self._clock = SystemClock()
        self._servers = contextlib.ExitStack()
        self._all = contextlib.ExitStack()
        self._came_before = False

    def __enter__(self) -> RunningServer:
        """Raises ConfigurationError."""
        with contextlib.ExitStack() as stack:
            # A short name: commands may put Unix sockets there, whose paths are limited to 107 bytes.
            self._directory = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="nmc-", dir="/tmp"))
            )
            # Kept for a server that goes away and comes back within a scenario.
            self._given["state_dir"] = self._given.get("state_dir") or str(self._directory / "server")
            stack.enter_context(self._servers)
            self._server = self._open_server()
            key_file = self._directory / "auth_key"
            key_file.touch(mode=0o600)
            key_file.write_text(self._server.auth_key)
            self._all = stack.pop_all()
        return self._server

    def __exit__(self, *_: object) -> None:
        self._all.close()

    @contextlib.contextmanager
    def place(
        self, scenario: CheckScenario, settings: Settings, log: Path, stop: threading.Event
    ) -> Iterator[Place]:
        """The same server, and the client once it is there. What the scenario has left behind ends on leaving.

        Nothing is written to the log. `Place.start` raises CannotStart for a client that stays away.
        """
        del settings, log
        with socket.create_server((ELSEWHERE, 0)) as elsewhere:
            elsewhere.setblocking(False)
            values = {
                "url": self._server.url,
                "auth_key": self._server.auth_key,
                "auth_key_file": str(self._directory / "auth_key"),
                "dir": str(self._directory),
                "hostname": "",
            }
            nodes = {node.id for node in self._server.nodes()}

            def start_client() -> TestedClient:
                client = self._wait_for_client(scenario, values, stop)
                place.since = client.started_at
                return client

            place = Place(
                lambda port: self._open_server() if port else self._server,
                self._servers.close,
                start_client,
                elsewhere,
                values,
            )
            try:
                yield place
            finally:
                if self._server.stopped.is_set():
                    self._open_server()  # interrupted while it was away
                self._server.heal()
                for node in self._server.nodes():
                    if node.id not in nodes and not node.registered:
                        self._server.tailnet.remove_node(node.id)

    def _open_server(self) -> RunningServer:
        # Loaded here: a server has no place in a client's processes.
        from netmap_actors.dev_control.standalone import running_server  # noqa: PLC0415

        server = self._servers.enter_context(running_server(**self._given))
        # The same ports from now on.
        self._given["port"] = server.port
        if self._given.get("tls") is not None:
            self._given["tls"] = msgspec.structs.replace(self._given["tls"], port=server.tls_port)
        self._server = server
        return server

    # The client

    def _wait_for_client(
        self, scenario: CheckScenario, values: dict[str, str], stop: threading.Event
    ) -> _AttachedClient:
        """Raises CannotStart for one that does not come, CheckInterrupted."""
        from_now, old = 0.0, frozenset[int]()
        if self._came_before:
            # As fresh as in a scenario with a server of its own.
            from_now, old = self._clock.boottime(), frozenset(one.number for one in self._server.clients())
            self._server.drop_all(reset=False)
        before = scenario.name if self._came_before else ""
        # How a client joins is seen from the handshake on; before, it is told what it still lacks.
        view = self._wait(from_now, old, stop, before, scenario.shape is not Shape.JOIN)
        self._came_before = True
        values["hostname"] = next((stream.node for stream in view.map_streams), "")
        accepted = (
            event.at
            for event in self._server.seen()
            if event.kind == "accept" and event.connection == view.number
        )
        return _AttachedClient(next(accepted, self._clock.boottime() - view.age))

    def _wait(
        self, from_now: float, old: frozenset[int], stop: threading.Event, before: str, has_joined: bool
    ) -> ClientView:
        """Until a client has a map session, or a handshake, on a connection that is none of the old ones.

        `before`: the scenario that follows; empty: the client was not there yet.
        """
        began = self._clock.boottime()
        said: set[str] | None = None
        while True:
            events = [event for event in self._server.seen() if event.at >= from_now]
            if said is None and (not before or self._clock.boottime() >= began + _QUIET):
                said = set()
                self._tell(_waiting(before, self._limit))
            if said is not None:
                # Each line once: a client that fails tries again and again.
                lines = dict.fromkeys(map(_line, events))
                for line in [line for line in lines if line and line not in said]:
                    said.add(line)
                    self._tell(f"  {line}")
            found = next(
                (
                    one
                    for one in self._server.clients()
                    if one.number not in old and (_has_session(one) if has_joined else one.machine)
                ),
                None,
            )
            if found is not None:
                if said is not None:
                    self._tell(f"the client is there: {escape(found.remote_address, 60)}")
                return found
            if self._clock.boottime() >= began + self._limit:
                break
            if stop.wait(_LOOK_EVERY):
                raise CheckInterrupted
        last = next((line for line in map(_line, reversed(events)) if line), "")
        seen = f"; the last seen of it: {last}" if last else "; nothing connected"
        raise CannotStart(f"the client did not come within {self._limit:g} s{seen}")


class _AttachedClient:
    """Nothing is known of its process."""

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at

    def ended(self) -> str:
        return ""

    def last_words(self) -> str:
        return ""

    def end(self) -> None:
        return


def _has_session(view: ClientView) -> bool:
    return any(stream.messages and not stream.held for stream in view.map_streams)


def _waiting(before: str, limit: float) -> str:
    if not before:
        return f"waiting for the client, {limit:g} s at most"
    again = "restart it if it does not by itself"
    return f"waiting for the client to come back before {before}, {limit:g} s at most; {again}"


def _line(event: Seen) -> str:
    """Empty for what is not told."""
    words = _WORDS.get(event.kind)
    if words is None or event.detail == "dropped":
        return ""
    host = event.remote.rpartition(":")[0]
    return escape(f"{host} {words}{' ' + event.detail if event.kind in _DETAILED else ''}", 160)
