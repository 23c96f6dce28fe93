"""The front for subscribers on other machines: TCP with CURVE keys, opened again when a key is revoked.

An admitted connection lives as long as its socket, so a revoked client is cut off by closing the sockets; the others
reconnect by themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from netmap_actors.bus.zap import ZapHandler
from netmap_actors.curve_keys import AllowList, load_server_pair
from netmap_actors.errors import ConfigurationError
from netmap_actors.publisher.front import Front
from netmap_actors.runtime_paths import remote_endpoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.bus.sockets import Sockets
    from netmap_actors.curve_keys import ClientKey
    from netmap_actors.process.child_log import ChildLog
    from netmap_actors.publisher.publication.core import Publication
    from netmap_actors.publisher.publication.ring import Published

__all__ = ["REMOTE_SUBSCRIBERS", "RemoteFront"]

REMOTE_SUBSCRIBERS = "remote_subscribers"
"""The condition: subscribers of other machines cannot connect, although it is configured."""
BIND_AGAIN = 0.1
"""Seconds before the first new try to bind; libzmq releases a port a little after its socket is closed."""
BIND_AGAIN_MAX = 5.0
FLOOD_PAUSE = 5.0
"""Seconds without a socket after there were too many topics."""
LOG_INTERVAL = 1.0
"""Seconds between two log lines about refusals."""


class RemoteFront:
    """Keeps a Front open at a TCP endpoint; with `curve_dir` for the clients of the allow-list only."""

    def __init__(
        self,
        loop: Loop,
        sockets: Sockets,
        publication: Publication,
        *,
        listen: str,
        curve_dir: str,
        capacity: int,
        log: ChildLog,
        on_count: Callable[[], object],
        on_arrival: Callable[[], object],
        on_cut: Callable[[str], object],
        degraded: Callable[[str, str], object],
        healed: Callable[[str], object],
    ) -> None:
        """`listen`: tcp://ADDRESS:PORT; snapshots are asked for at the port after it. `curve_dir`: of the keys, empty
        for plain TCP (on loopback: the configuration checks it). `capacity`: connections to each socket."""
        self._loop = loop
        self._sockets = sockets
        self._publication = publication
        self._endpoints = remote_endpoints(listen)
        self._capacity = capacity
        self._log = log
        self._on_count = on_count
        self._on_arrival = on_arrival
        self._on_cut = on_cut
        self._degraded = degraded
        self._healed = healed
        self._curve_dir = Path(curve_dir) if curve_dir else None
        self._allowed = AllowList(self._curve_dir) if self._curve_dir is not None else None
        self._admitted: set[str] = set()
        """Public keys of clients that may be connected."""
        self._zap: ZapHandler | None = None
        self._front: Front | None = None
        self._bind_again = BIND_AGAIN
        self._mismatches = 0
        self._unlogged = 0
        self._next_log = 0.0
        self._closed = False
        self._open()

    @property
    def front(self) -> Front | None:
        """The sockets; None while they cannot be bound."""
        return self._front

    @property
    def refused(self) -> int:
        """Connections refused."""
        return self._mismatches + (self._zap.refused if self._zap is not None else 0)

    def send(self, published: Published) -> None:
        """As Front.send."""
        if self._front is not None:
            self._front.send(published)

    def look_at_keys(self) -> None:
        """Called at intervals: cut off the clients whose key was revoked."""
        if self._allowed is None or self._front is None:
            return
        try:
            known = {client.public for client in self._allowed.clients()}
            problems = self._allowed.problems()
        except OSError as error:
            # No new client is admitted; those connected were admitted by a list that could be read.
            self._degraded(REMOTE_SUBSCRIBERS, f"cannot read the allow-list of remote subscribers: {error}")
            return
        if problems:
            self._degraded(REMOTE_SUBSCRIBERS, f"a key that admits nobody: {'; '.join(problems)[:500]}")
        else:
            self._healed(REMOTE_SUBSCRIBERS)
        if self._admitted - known:
            self._admitted &= known
            self._log.info("subscriber_key_revoked", detail="remote subscribers are asked to connect again")
            self._open_again()

    def close(self) -> None:
        """Close the sockets for good."""
        self._closed = True
        self._shut()
        if self._zap is not None:
            self._zap.close()

    def _on_flood(self) -> None:
        self._log.warning(
            "too_many_subscribers", detail="too many topics of remote subscribers: all of them are cut off"
        )
        self._degraded(
            REMOTE_SUBSCRIBERS, "too many topics of remote subscribers: nobody is let in for some seconds"
        )
        # Not at once: its sender would be back as soon.
        self._shut()
        self._loop.at(self._loop.now() + FLOOD_PAUSE, self._open)

    def _open_again(self) -> None:
        self._shut()
        self._open()

    def _shut(self) -> None:
        if self._front is not None:
            self._front.close()
            self._front = None

    def _open(self) -> None:
        if self._closed or self._front is not None:
            return
        try:
            self._front = Front(
                self._loop,
                self._sockets,
                self._publication,
                updates=self._endpoints[0],
                requests=self._endpoints[1],
                on_count=self._on_count,
                on_arrival=self._on_arrival,
                on_flood=self._on_flood,
                capacity=self._capacity,
                on_cut=self._on_cut,
                protect=self._protect if self._curve_dir is not None else None,
                on_mismatch=self._on_mismatch if self._curve_dir is not None else None,
            )
        except (zmq.ZMQError, ConfigurationError, OSError) as error:
            # The subscribers of this machine are served nevertheless.
            if self._bind_again > BIND_AGAIN:
                why = getattr(error, "strerror", None) or error
                self._degraded(
                    REMOTE_SUBSCRIBERS, f"cannot listen on {self._endpoints[0]}: {why}; it is tried again"
                )
            self._loop.at(self._loop.now() + self._bind_again, self._open)
            self._bind_again = min(self._bind_again * 2, BIND_AGAIN_MAX)
            return
        self._bind_again = BIND_AGAIN
        self._healed(REMOTE_SUBSCRIBERS)
        self._log.info("remote_subscribers_welcome", updates=self._endpoints[0], requests=self._endpoints[1])

    def _protect(self, socket: zmq.Socket[bytes]) -> None:
        assert self._curve_dir is not None
        assert self._allowed is not None
        if self._zap is None:
            self._zap = ZapHandler(self._loop, self._sockets, self._allowed, self._on_decision)
        self._zap.protect(socket, load_server_pair(self._curve_dir))

    def _on_decision(self, client: ClientKey | None, address: str, why: str) -> None:
        if client is None:
            self._refused(address, why)
            return
        self._log.debug("subscriber_admitted", address=address, client=client.name)
        self._admitted.add(client.public)

    def _on_mismatch(self) -> None:
        self._mismatches += 1
        self._refused("", "it does not speak CURVE, or has another server key")

    def _refused(self, address: str, why: str) -> None:
        now = self._loop.now()
        if now < self._next_log:
            self._unlogged += 1
            return
        self._next_log = now + LOG_INTERVAL
        self._log.warning(
            "subscriber_refused", address=address, detail=why, more_since_the_last_line=self._unlogged
        )
        self._unlogged = 0
