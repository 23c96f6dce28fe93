"""The publisher actor: carries MapResponses into the publication and its output to the subscribers' sockets.

Not here: every decision about what is published (`publication`).
"""

from __future__ import annotations

import datetime
import gc
import grp
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import zmq
from google.protobuf.message import DecodeError

from netmap_actors.boot import PublisherSettings, decode_settings
from netmap_actors.bus.monitor import next_event
from netmap_actors.errors import BadMapResponse, ConfigurationError
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.publication.answers import Answers
from netmap_actors.publication.core import Publication
from netmap_actors.publication.freshness import name_of
from netmap_actors.publication.intake import Plea
from netmap_actors.publication.sequences import MAX_EPOCH
from netmap_actors.publication.tailnet_netmap import TailnetNetmap
from netmap_actors.wire import internal_pb2, netmap_pb2
from netmap_actors.wire.codec import ForeignEnvelope
from netmap_actors.wire.topics import SCHEMA

if TYPE_CHECKING:
    from netmap_actors.boot import Boot
    from netmap_actors.bus.loop import Timer
    from netmap_actors.clock import Clock

__all__ = ["Publisher"]

INTAKE_HWM = 4
"""MapResponses that wait in the socket; one can be 20 MB."""
UPDATES_HWM = 2000
"""Messages that wait for one subscriber; who is further behind has a gap and asks for a snapshot."""
REQUESTS_HWM = 4
"""Parts of an answer that wait for one subscriber, of a quarter of a mebibyte each."""
MAX_REQUEST = 64 * 1024
MESSAGES_PER_TURN = 50
PARTS_PER_TURN = 8
"""Of answers, before updates get their turn: 2 MiB, some milliseconds."""
AGE_INTERVAL = 1.0
"""Seconds between two heartbeats that only say when the last MapResponse came."""
FAREWELL_MS = 200
"""How long the last word, that the netmap is stale from now on, may take to reach the subscribers."""
_BIG_MAP = 4 * 1024 * 1024
"""Bytes of a full map after which the heap is frozen: what is in it stays for long."""


class Publisher(ActorBase):
    """PULL from control_connection, XPUB and ROUTER for subscribers."""

    def __init__(self, boot: Boot, clock: Clock | None = None) -> None:
        super().__init__(boot, clock)
        self._settings = decode_settings(boot, PublisherSettings)
        self._netmap = TailnetNetmap(http_urls=self._settings.control_url.startswith("http:"))
        self._publication = Publication(
            self._netmap,
            epoch=secrets.randbelow(MAX_EPOCH - 1) + 1,
            silence_limit=self._settings.silence_timeout,
            ring_bytes=self._settings.ring_bytes,
            restarted=boot.incarnation > 1,
        )
        self._answers = Answers()
        self._timer: Timer | None = None
        self._answer_timer: Timer | None = None
        self._age_timer: Timer | None = None
        self._told_age_at = 0.0
        self._told_received_at: float | None = None
        self._subscribers: set[int] = set()
        self._shown: tuple[object, ...] = ()
        self._requests_refused = 0
        self._monitor: zmq.Socket[bytes] | None = None

    def setup(self) -> None:
        endpoints = self.boot.endpoints
        self._prepare_directory(Path(endpoints.updates.removeprefix("ipc://")).parent)
        self._intake = self.sockets.pull_bind(
            endpoints.publisher, max_size=self._settings.max_map_response + 4096, hwm=INTAKE_HWM
        )
        self._updates = self.sockets.xpub_bind(endpoints.updates, hwm=UPDATES_HWM)
        self._requests = self.sockets.router_bind(endpoints.requests, max_size=MAX_REQUEST, hwm=REQUESTS_HWM)
        self._share(endpoints.updates, endpoints.requests)
        self._monitor = self._updates.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.loop.watch(self._intake, self._on_map_responses)
        self.loop.watch(self._updates, self._on_subscriptions)
        self.loop.watch(self._requests, self._on_requests)
        self.loop.watch(self._monitor, self._on_monitor)
        self.loop.every(self._settings.heartbeat_interval, self._send_heartbeat_to_bus)
        self.ready({"updates": endpoints.updates, "requests": endpoints.requests})

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        now = self.loop.now()
        match envelope.WhichOneof("body"):
            case "connection_started":
                self._publication.connection_started(envelope.connection_started.generation, now)
            case "session_ended":
                self._publication.session_ended(envelope.session_ended.generation, now)
            case other:
                self.log.warning("unexpected_message", body=other)
        self._after()

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        publication, facts = self._publication, self._netmap.facts()
        self._told_age_at, self._told_received_at = self.loop.now(), publication.last_received_at
        generation, session = publication.mapped_session
        heartbeat.publisher.CopyFrom(
            internal_pb2.PublisherStatistics(
                state=name_of(publication.state(self.loop.now())),
                last_received_at=publication.last_received_at or 0.0,
                epoch=publication.epoch,
                seq=publication.seq,
                peers=facts.peers,
                peers_online=facts.online,
                peers_unknown=facts.unknown,
                quarantined=facts.quarantined,
                domain=facts.domain,
                self_name=facts.self_name,
                self_stable_id=facts.self_stable_id,
                self_addresses=facts.self_addresses,
                subscribers=len(self._subscribers),
                generation=generation,
                session=session,
                self_key_expiry=facts.self_key_expiry,
                self_machine_authorized=facts.self_machine_authorized,
            )
        )
        counters = heartbeat.counters
        counters["dropped"] = publication.intake.dropped
        counters["gaps"] = publication.intake.gaps
        counters["bad_map_responses"] = publication.bad
        counters["suppressed"] = self._netmap.statistics.suppressed
        counters["answers_completed"] = self._answers.completed
        counters["answers_stalled"] = self._answers.stalled
        counters["requests_refused"] = self._answers.refused + self._requests_refused

    def teardown(self) -> None:
        if self._monitor is None:
            return  # setup did not come that far
        self._publication.stop(self.loop.now())
        self._updates.setsockopt(zmq.LINGER, FAREWELL_MS)
        self._publish()
        self.loop.unwatch(self._monitor)
        self._updates.disable_monitor()
        self._monitor.close()

    # From the connection

    def _on_map_responses(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
            try:
                frames = self._intake.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            if len(frames) == 2:
                self._take(frames[0], frames[1])
        self._after()

    def _take(self, envelope_bytes: bytes, document: bytes) -> None:
        try:
            envelope = self.codec.open(envelope_bytes)
        except ForeignEnvelope:
            return  # counted by the codec
        if envelope.WhichOneof("body") != "map_response_received":
            return
        try:
            full = self._publication.map_response(
                envelope.map_response_received, document, self.loop.now(), self._now_text()
            )
        except BadMapResponse as error:
            self.log.warning("bad_map_response", detail=str(error))
            self.degraded("bad_map_response", str(error))
            return
        if full:
            self.healed("bad_map_response")
            if len(document) > _BIG_MAP:
                gc.collect()
                gc.freeze()

    def _after(self) -> None:
        """Publish what has come of the last input, tell the Supervisor, arm the next deadline."""
        self._publish()
        now = self.loop.now()
        facts = self._netmap.facts()
        quarantined = facts.quarantined
        shown = (self._publication.state(now), self._publication.mapped_session, facts.peers, quarantined)
        self._tell_age(now)
        if shown != self._shown:
            self._shown = shown
            if quarantined:
                self.degraded("peer_quarantined", f"{quarantined} peers could not be decoded")
            else:
                self.healed("peer_quarantined")
            self.heartbeat_now()
        self._arm()

    def _tell_age(self, now: float) -> None:
        """The Supervisor shows the age, so it hears of each MapResponse, within AGE_INTERVAL of it."""
        if self._publication.last_received_at == self._told_received_at or self._age_timer is not None:
            return
        due = self._told_age_at + AGE_INTERVAL
        if now >= due:
            self.heartbeat_now()
        else:
            self._age_timer = self.loop.at(due, self._on_age_due)

    def _on_age_due(self) -> None:
        self._age_timer = None
        self.heartbeat_now()

    def _publish(self) -> None:
        for published in self._publication.take_outgoing():
            self._updates.send_multipart([published.topic, published.message], zmq.DONTWAIT)

    def _arm(self) -> None:
        deadline = self._publication.deadline(self.loop.now())
        if self._timer is not None:
            if self._timer.when == deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self.loop.at(deadline, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = None
        intake = self._publication.intake
        match self._publication.expire(self.loop.now()):
            case Plea.RESYNC:
                self.tell_supervisor(internal_pb2.Resync(reason=intake.plea_reason))
            case Plea.END_SESSION:
                self.tell_supervisor(
                    internal_pb2.Verdict(
                        generation=intake.generation, session=intake.session, stage="map", reason="error"
                    )
                )
        self._after()

    # To subscribers

    def _send_heartbeat_to_bus(self) -> None:
        beat = self._publication.heartbeat(self.loop.now())
        self._updates.send_multipart([beat.topic, beat.message], zmq.DONTWAIT)

    def _on_subscriptions(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
            try:
                self._updates.recv(zmq.DONTWAIT)
            except zmq.Again:
                return

    def _on_requests(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
            try:
                frames = self._requests.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            self._on_request(frames)
        self._serve()

    def _on_request(self, frames: list[bytes]) -> None:
        try:
            requester, data = frames
            request = netmap_pb2.Request.FromString(data)
        except (ValueError, DecodeError):
            self._requests_refused += 1
            return
        if request.schema != SCHEMA or len(request.token) > 64:
            self._requests_refused += 1
            return
        token, epoch, seq = request.token, request.epoch, request.seq
        self._answers.request(requester, lambda: self._publication.answer(token, epoch, seq, self.loop.now()))

    def _serve(self) -> None:
        """Send some parts; the rest in a later turn, so that updates are never far behind."""
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None
        now = self.loop.now()
        for _ in range(PARTS_PER_TURN):
            following = self._answers.next(now)
            if following is None:
                break
            requester, part = following
            try:
                self._requests.send_multipart([requester, part], zmq.DONTWAIT)
                self._answers.sent(requester)
            except zmq.Again:
                self._answers.blocked(requester, now)
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                self._answers.gone(requester)
        deadline = self._answers.deadline(now)
        if deadline is not None:
            self._answer_timer = self.loop.at(deadline, self._serve)

    def _on_monitor(self) -> None:
        assert self._monitor is not None
        for _ in range(MESSAGES_PER_TURN):
            event = next_event(self._monitor)
            if event is None:
                break
            # Not HANDSHAKE_SUCCEEDED: libzmq does not say of which connection.
            if event.event == zmq.EVENT_ACCEPTED:
                self._subscribers.add(event.value)
            else:
                self._subscribers.discard(event.value)
        self.heartbeat_now()

    # The sockets' directory

    def _prepare_directory(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        group = self._group()
        if group is None:
            directory.chmod(0o700)
            return
        try:
            os.chown(directory, -1, group)
            # The group has to get there, too, but needs to see nothing else of the runtime directory.
            parent = directory.parent
            os.chown(parent, -1, group)
            parent.chmod(stat.S_IMODE(parent.stat().st_mode) | stat.S_IXGRP)
        except OSError as error:
            raise ConfigurationError(
                f"cannot give {directory} to group {self._settings.socket_group!r}: {error}; "
                "name a group that the daemon's user is a member of"
            ) from None
        directory.chmod(0o750)

    def _share(self, *endpoints: str) -> None:
        """Connecting to a unix socket needs the right to write to it (unix(7))."""
        group = self._group()
        if group is None:
            return
        for endpoint in endpoints:
            path = Path(endpoint.removeprefix("ipc://"))
            os.chown(path, -1, group)
            path.chmod(0o660)

    def _group(self) -> int | None:
        if not self._settings.socket_group:
            return None
        try:
            return grp.getgrnam(self._settings.socket_group).gr_gid
        except KeyError:
            raise ConfigurationError(
                f"cannot give the subscribers' sockets to group {self._settings.socket_group!r}: there is none"
            ) from None

    def _now_text(self) -> str:
        return (
            datetime.datetime.fromtimestamp(self.clock.wall(), datetime.UTC)
            .isoformat()
            .replace("+00:00", "Z")
        )
