"""In what order a connection process begins: whatever waits for others is asked for before what it has to do itself."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.boot import Boot, ConnectionSettings, Endpoints
from netmap_actors.control_connection import actor as connection_actor
from netmap_actors.control_connection.actor import ControlConnection
from netmap_actors.exit_reason import ExitReason
from netmap_actors.protocol.keys import MachinePrivate
from netmap_actors.transport import tls
from netmap_actors.transport.address import Address
from netmap_actors.transport.dialer import Dialer
from tests.support.processes import pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADDRESS = Address("192.0.2.1", 443)
SERVER_KEY = MachinePrivate.from_raw(b"\x33" * 32).public()


class Start:
    """One process's actor in this one, and what it did, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.done: list[str] = []
        self.state_dir = directory / "state"
        self._resolved: Callable[[list[Address]], None] | None = None
        names = ("supervisor", "liveness", "publisher", "updates", "requests")
        settings = ConnectionSettings(control_url="https://control.example", state_dir=str(self.state_dir))
        boot = Boot(
            run="00" * 8,
            actor="control_connection",
            generation=1,
            parent_pid=os.getpid(),
            life_fd=-1,
            endpoints=Endpoints(**{name: f"ipc://{directory}/{name}" for name in names}),
            secrets=pairs.secrets_of("control_connection"),
            settings=msgspec.Raw(msgspec.json.encode(settings)),
        )
        self._note(monkeypatch, tls, "make_context")
        for name in ("NodeState", "ControlSession"):
            self._note(monkeypatch, connection_actor, name)
        monkeypatch.setattr(connection_actor, "resolve", self._resolve)
        monkeypatch.setattr(Dialer, "dial", self._dial)
        self.actor = ControlConnection(boot)

    def _note(self, monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
        real = getattr(where, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            self.done.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(where, name, noted)

    def _resolve(self, _loop: object, host: str, port: int, on_resolved: Any, _on_failed: object) -> None:
        self.done.append(f"resolve {host}:{port}")
        self._resolved = on_resolved

    def _dial(self, *_arguments: object) -> Any:
        self.done.append("dial")
        return _Nothing()

    def resolved(self) -> None:
        """The lookup is answered."""
        assert self._resolved is not None
        self._resolved([ADDRESS])

    def pin(self) -> None:
        """Let a handshake of an earlier process have proved the server's key."""
        node = connection_actor.NodeState(
            ConnectionSettings(control_url="https://control.example", state_dir=str(self.state_dir))
        )
        node.pin(SERVER_KEY)
        node.save()
        self.done.clear()


class _Nothing:
    def cancel(self) -> None:
        """There is no attempt."""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    # Unix socket paths are short; pytest's own directories are not.
    with tempfile.TemporaryDirectory(prefix="nm-") as directory:
        made = Start(monkeypatch, Path(directory))
        yield made
        made.actor.finish(ExitReason.NORMAL)


def test_the_name_is_looked_up_before_roots_and_keys_are_read(start: Start) -> None:
    start.pin()
    start.actor.setup()
    assert start.done == ["resolve control.example:443", "make_context", "NodeState"]


def test_the_handshake_is_prepared_while_the_server_is_being_connected_to(start: Start) -> None:
    start.pin()
    start.actor.setup()
    start.done.clear()
    start.resolved()
    assert start.done == ["dial", "ControlSession"]


def test_without_a_pinned_key_there_is_nothing_to_prepare(start: Start) -> None:
    # A node that is not registered yet needs an auth key or a person, and no pin.
    start.actor.setup()
    start.resolved()
    assert start.done[-1] == "dial"
