"""The dev_control actor: the embedded control server as one process of the tree.

Not here: the server itself (`dev_control.http.server`). Its listener is inherited and its state kept, so that a new
process after a crash is the same control server, restarted.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.boot import DevControlSettings, decode_settings
from netmap_actors.dev_control.assembly import Setup, assemble
from netmap_actors.dev_control.http.state import Options
from netmap_actors.dev_control.operator.commands import Commands
from netmap_actors.errors import NetmapError
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.wire import internal_pb2

if TYPE_CHECKING:
    from netmap_actors.boot import Boot
    from netmap_actors.dev_control.http.server import ControlServer

__all__ = ["DevControlActor"]


class DevControlActor(ActorBase):
    """Serves on the inherited socket; takes commands of the fault tool from the Supervisor."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self._settings = decode_settings(boot, DevControlSettings)
        self._server: ControlServer | None = None

    @classmethod
    def prepare(cls, boot: Boot) -> None:
        """Make the server's directory should it be gone: later what is around it is out of reach."""
        # `Store` reports what cannot be made here.
        with contextlib.suppress(OSError):
            Path(decode_settings(boot, DevControlSettings).state_dir).mkdir(
                0o700, parents=True, exist_ok=True
            )

    def setup(self) -> None:
        settings = self._settings
        options = Options(keep_alive=settings.keep_alive, keep_alive_jitter=settings.keep_alive_jitter)
        setup = Setup(
            nodes=settings.nodes,
            seed=settings.seed,
            churn=settings.churn,
            state_dir=settings.state_dir,
            options=options,
        )
        listener = socket.socket(fileno=settings.listen_fd)
        self._server, url, _ = assemble(self.loop, listener, setup, self.log.warning)
        self._commands = Commands(self._server, self.loop.now)
        self.ready({"url": url})

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        match envelope.WhichOneof("body"):
            case "dev_command":
                self._on_command(envelope.dev_command)
            case other:
                self.log.warning("unexpected_message", body=other)

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        server = self._server
        if server is None:
            return
        heartbeat.dev_control.CopyFrom(
            internal_pb2.DevControlStatistics(
                nodes=len(server.control.tailnet),
                clients=len(server.connections),
                map_streams=len(server.control.streams),
            )
        )
        heartbeat.counters["dev_control_changes"] = server.churn.changes
        heartbeat.counters["dev_control_connections_refused"] = server.refused

    def teardown(self) -> None:
        if self._server is not None:
            self._server.close()

    def _on_command(self, command: internal_pb2.DevCommand) -> None:
        try:
            reply = internal_pb2.DevReply(
                token=command.token, ok=True, json=self._commands.execute(command.json)
            )
        except NetmapError as error:
            reply = internal_pb2.DevReply(token=command.token, ok=False, json=_error(str(error)))
        self.tell_supervisor(reply)


def _error(text: str) -> bytes:
    return msgspec.json.encode({"error": text})
