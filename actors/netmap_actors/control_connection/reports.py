"""The connection's messages to liveness and publisher: each MapResponse, each stage, and Progress.

Not here: messages to the Supervisor, and verdicts on silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.bus.loop import STOPPED_FOR
from netmap_actors.bus.push_queue import PushQueue
from netmap_actors.control_connection.client.arrivals import Arrivals
from netmap_actors.control_connection.client.standing import Standing
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import Codec
from netmap_actors.wire.secret import Secret
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.boot import Boot
    from netmap_actors.bus.loop import Loop
    from netmap_actors.bus.sockets import Sockets
    from netmap_actors.control_connection.client.events import MapDocument, MapText, StageEntered

__all__ = ["Reports"]

PUBLISHER_HWM = 8
"""MapResponses in the socket to the publisher: one can be 20 MB."""


def _codec(boot: Boot, receiver: str, secret: str) -> Codec:
    return Codec(boot.run, boot.actor, boot.generation, peer=receiver, secret=Secret.from_text(secret))


class Reports:
    """The two PUSH sockets, and the content of Progress."""

    def __init__(
        self,
        loop: Loop,
        sockets: Sockets,
        boot: Boot,
        *,
        backlog: int,
        on_room: Callable[[], None],
    ) -> None:
        """`backlog`: bytes that may wait for the publisher: as much as one read can bring, since nothing is read while
        any wait. `on_room`: the publisher has taken everything after a pause.
        """
        self._loop = loop
        self._generation = boot.generation
        self._liveness_codec = _codec(boot, ActorName.LIVENESS, boot.secrets.liveness)
        self._publisher_codec = _codec(boot, ActorName.PUBLISHER, boot.secrets.publisher)
        endpoints = boot.endpoints
        self._on_room = on_room
        self._liveness = PushQueue(
            loop,
            sockets.push_connect(endpoints.liveness),
            limit=0,
            on_room=self.progress,
            on_connected=self.progress,
        )
        self._publisher = PushQueue(
            loop,
            sockets.push_connect(endpoints.publisher, hwm=PUBLISHER_HWM),
            limit=backlog,
            on_room=self._resumed,
        )
        self._passed_on = 0
        """Bytes of the MapResponse that is coming which the publisher has taken."""
        self._paused_since: float | None = None
        self._said_paused = False
        self._arrivals = Arrivals()
        self.standing = Standing()
        self.lost = 0
        """Messages liveness did not take; Progress makes up for them."""

    def close(self) -> None:
        """To be called before the sockets are closed."""
        self._liveness.close()

    @property
    def paused(self) -> bool:
        """Whether messages wait for the publisher."""
        return self._paused_since is not None

    def stage_entered(self, event: StageEntered) -> internal_pb2.StageEntered:
        """A new stage or map session; returns the message, for the Supervisor."""
        if event.session != self.standing.session:
            # What is left of the session before is of no use to the publisher.
            self._publisher.clear()
            self._passed_on = 0
            self._paused_since = None
        self.standing = Standing(
            session=event.session,
            stage=event.stage,
            stage_since=event.since,
            limit=event.limit,
            last_received_at=event.since,
        )
        self._arrivals.requested(event.since)
        message = internal_pb2.StageEntered(
            generation=self._generation,
            session=event.session,
            stage=event.stage,
            since=event.since,
            limit=event.limit,
        )
        self._to_liveness(message)
        self.progress()
        return message

    def reading(self, last_stop: tuple[float, float] | None) -> None:
        """To be called before a read. `last_stop`: `Loop.last_stop`."""
        self._arrivals.reading(last_stop, self._loop.now())

    def map_text(self, part: MapText) -> None:
        """Pass a part of a large MapResponse on, so that its peers are read while the rest is coming.

        It may be lost: then the whole follows. It says nothing to liveness, which counts complete ones only.
        """
        if part.offset != self._passed_on:
            return
        header = internal_pb2.MapTextArrived(
            generation=self._generation, session=part.session, number=part.number, offset=part.offset
        )
        if self._publisher.offer([self._publisher_codec.wrap(header, part.text), part.text]):
            self._passed_on += len(part.text)

    def map_document(self, document: MapDocument) -> None:
        """One complete MapResponse: its header to both, its JSON to the publisher."""
        read_at, looked_at = document.received_at, self._loop.looked_at
        if read_at - looked_at > STOPPED_FOR:
            # The stop began within this turn: the loop does not know of it yet.
            self._arrivals.reading((looked_at, read_at), read_at)
        arrival = self._arrivals.message(read_at)
        self.standing.last_number = document.number
        self.standing.last_received_at = arrival.received_at
        header = internal_pb2.MapResponseReceived(
            generation=self._generation,
            session=document.session,
            number=document.number,
            received_at=arrival.received_at,
            present_since=arrival.present_since,
            sent_since=arrival.sent_since,
            size=len(document.json),
            keep_alive=document.keep_alive,
            passed_on=self._passed_on if self._passed_on == document.told else 0,
        )
        self._passed_on = 0
        self._to_liveness(header)
        rest = document.json[header.passed_on :]
        self._publisher.send([self._publisher_codec.wrap(header, rest), rest])
        if self._publisher.blocked and self._paused_since is None:
            self._paused_since = self._loop.now()

    def drained(self, now: float) -> None:
        """A read found nothing, and nothing is left unhandled."""
        self.standing.drained_at = now
        self._arrivals.drained(now)

    def expire(self, now: float) -> None:
        """Prove the silence when that is due. To be called after the read."""
        if self.standing.expire(now):
            self.progress()

    def progress(self) -> None:
        """Send liveness all it needs to know."""
        standing = self.standing
        self._said_paused = self.paused
        self._to_liveness(
            internal_pb2.Progress(
                generation=self._generation,
                session=standing.session,
                stage=standing.stage,
                stage_since=standing.stage_since,
                limit=standing.limit,
                last_number=standing.last_number,
                last_received_at=standing.last_received_at,
                drained_at=standing.drained_at,
                paused=self.paused,
                paused_since=self._paused_since or 0.0,
            )
        )

    def _to_liveness(
        self, message: internal_pb2.MapResponseReceived | internal_pb2.StageEntered | internal_pb2.Progress
    ) -> None:
        if not self._liveness.offer([self._liveness_codec.wrap(message)]):
            self.lost += 1

    def _resumed(self) -> None:
        if self._paused_since is not None:
            self._arrivals.resumed(self._paused_since)
        self._paused_since = None
        # What came meanwhile is read first: without it Progress proves nothing.
        self._on_room()
        if self._said_paused:
            self.progress()
