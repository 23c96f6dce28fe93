"""Plays a recording to the clients of a server. Not here: what is due when (`replay.player`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.dev_control.replay.recorded_netmap import RecordedNetmap

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.dev_control.http.map_stream import MapStream
    from netmap_actors.dev_control.http.server import ControlServer
    from netmap_actors.dev_control.replay.player import Due, ReplayPlayer
    from netmap_actors.dev_control.tailnet.tailnet import Tailnet

__all__ = ["Replay"]

_AGAIN = 0.02
"""Seconds until clients that have not read what was sent are looked at again."""


class Replay:
    """One recording on one server, whose every stream it feeds."""

    def __init__(
        self,
        player: ReplayPlayer,
        server: ControlServer,
        loop: Loop,
        log: Callable[..., object],
        on_over: Callable[[], object],
    ) -> None:
        """`on_over`: called once, when everything was played."""
        self._player = player
        self._server = server
        self._loop = loop
        self._log = log
        self._on_over = on_over
        self._told = False
        self._deadline = loop.deadline(self._on_due)
        for why in player.lacks:
            log("replay_incomplete", detail=why)
        server.control.netmap_of = self._netmap_of

    def begin(self) -> None:
        """A client asks for its map."""
        self._player.begin(self._loop.now())
        self._deadline.set(self._player.deadline())

    def close(self) -> None:
        """End it."""
        self._deadline.set(None)

    def _netmap_of(self, tailnet: Tailnet, node_id: int) -> RecordedNetmap:
        return RecordedNetmap(tailnet, node_id, self._player)

    def _on_due(self) -> None:
        now = self._loop.now()
        streams = [
            stream for one in self._server.connections.values() for stream in one.link.streams.values()
        ]
        if any(stream.is_congested and not stream.held for stream in streams):
            # It waits for the slowest, which is given up when it has not read for long.
            self._deadline.set(now + _AGAIN)
            return
        for due in self._player.due(now):
            for stream in streams:
                self._do(due, stream, now)
            if due.end is not None:
                self._log("replay_session_ended", reason=due.end.reason, detail=due.end.detail)
        self._server.changed()
        self._deadline.set(self._player.deadline())
        if self._player.over and not self._told:
            self._told = True
            self._log("replay_over")
            self._on_over()

    def _do(self, due: Due, stream: MapStream, now: float) -> None:
        if due.end is not None:
            stream.end(now)
        elif stream.began and not (stream.held or stream.only_keep_alives or stream.ended):
            netmap = stream.netmap
            assert isinstance(netmap, RecordedNetmap), "every stream of this server has one"
            stream.send(netmap.ours(due.json, self._server.control.wall()), now)
        elif isinstance(stream.netmap, RecordedNetmap):
            stream.netmap.missed = True
