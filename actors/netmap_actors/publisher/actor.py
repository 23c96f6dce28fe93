"""The publisher actor: carries MapResponses into the publication and its output to the subscribers' fronts.

Not here: every decision about what is published (`publication`).
"""

from __future__ import annotations

import collections
import contextlib
import gc
import resource
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.boot import PublisherSettings, decode_settings
from netmap_actors.bus.admission import connections_for, files_for, is_safe
from netmap_actors.bus.sockets import is_readable, receive_now
from netmap_actors.confinement.memory_guard import unwatch_memory
from netmap_actors.curve_keys import load_server_pair
from netmap_actors.errors import BadMapResponse, ConfigurationError
from netmap_actors.exit_reason import ExitReason
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.process.allocator import return_large_blocks
from netmap_actors.process.shared_sockets import prepare, share
from netmap_actors.publisher.flood_guard import FloodGuard
from netmap_actors.publisher.front import Front
from netmap_actors.publisher.publication.core import Publication
from netmap_actors.publisher.publication.intake import Remedy
from netmap_actors.publisher.publication.repeats import Repeats
from netmap_actors.publisher.publication.sequences import MAX_EPOCH
from netmap_actors.publisher.publication.status import PublicationStatus
from netmap_actors.publisher.publication.tailnet_netmap import TailnetNetmap
from netmap_actors.publisher.remote import RemoteFront
from netmap_actors.publisher.session_tap import SessionTap
from netmap_actors.web_url import UrlPolicy, WebUrl
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import ForeignEnvelope, Inbox
from netmap_actors.wire.secret import Secret
from netmap_actors.wire.vocabulary import EndReason, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.boot import Boot
    from netmap_actors.bus.loop import Timer
    from netmap_actors.publisher.publication.ring import Published

__all__ = ["Publisher"]

FEW_FILES = "few_files"
"""The condition: a flood of connections could take the publisher's last file while it is busy."""
MAX_LOCAL = 2048
"""Connections to each of the two unix sockets; each costs some 55 KiB until libzmq frees it."""
MAP_RESPONSES_HWM = 4
"""MapResponses that wait in the socket; one can be 20 MB."""
_MESSAGES_PER_TURN = 50
MAX_WAITING_BYTES = 4 * 1024 * 1024
"""Bytes of MapResponses that wait for a long one to be applied; more stay in the socket, and the connection pauses."""
MOMENT = 0.05
"""Seconds that applying may take before other sources get their turn."""
EXPIRY_PATIENCE = 60.0
"""Seconds after which the wall clock is read again while a key is going to expire: it may be set meanwhile."""
_BIG_MAP = 4 * 1024 * 1024
"""Bytes of a full map after which the heap is frozen: its objects stay for long."""


def _url_policy(control_url: str) -> UrlPolicy:
    return UrlPolicy.of(WebUrl.parse_origin(control_url, interface=True)) if control_url else UrlPolicy()


class Publisher(ActorBase):
    """PULL from control_connection; a front for this machine and, when configured, one for others."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self._settings = decode_settings(boot, PublisherSettings)
        self._netmap = TailnetNetmap(
            _url_policy(self._settings.control_url), max_peers=self._settings.max_peers
        )
        self._publication = Publication(
            self._netmap,
            epoch=secrets.randbelow(MAX_EPOCH - 1) + 1,
            silence_limit=self._settings.silence_timeout,
            ring_bytes=self._settings.ring_bytes,
            restarted=boot.generation > 1,
        )
        self._inbox = Inbox(boot.run, boot.actor, boot.generation, Secret.from_text(boot.secrets.inbox))
        self._fronts: list[Front | RemoteFront] = []
        self._local: Front | None = None
        self._remote: RemoteFront | None = None
        self._deadline = self.loop.deadline(self._on_deadline)
        self._expiry_deadline = self.loop.deadline(self._on_expiry)
        self._expiry_at: float | None = None
        self._beats: Timer | None = None
        """On the bus, while someone is there to hear them."""
        self._repeats = Repeats()
        self._repeat_deadline = self.loop.deadline(self._on_repeat)
        self._status = PublicationStatus(self._publication, self._netmap)
        self._status_deadline = self.loop.deadline(self.heartbeat_now)
        self._waiting: collections.deque[tuple[bytes, bytes]] = collections.deque()
        """MapResponses read and not yet begun."""
        self._waiting_bytes = 0
        self._slice = self.loop.deadline(self._apply)
        self._slices = 0
        """How often applying was interrupted after a MOMENT."""
        self._size = 0
        """Bytes of the MapResponse that is being applied."""
        self._tap: SessionTap | None = None

    @classmethod
    def prepare(cls, boot: Boot) -> None:
        """Make the directory of its sockets and the key pair for subscribers of other machines: later it may not."""
        settings = decode_settings(boot, PublisherSettings)
        prepare(Path(boot.endpoints.updates.removeprefix("ipc://")).parent, settings.socket_group)
        if settings.listen and settings.curve_dir:
            # A failure is reported when it listens.
            with contextlib.suppress(ConfigurationError, OSError):
                load_server_pair(Path(settings.curve_dir))

    def setup(self) -> None:
        return_large_blocks()
        endpoints, settings = self.boot.endpoints, self._settings
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        sockets = 4 if settings.listen else 2
        capacity = connections_for(allowed, sockets, MAX_LOCAL)
        if not is_safe(allowed, sockets, capacity):
            self.log.warning("few_files_for_subscribers", allowed=allowed, room_for_subscribers=capacity)
            self.degraded(
                FEW_FILES,
                f"{allowed} open files are too few to hold out against a flood of subscribers' connections: "
                f"allow {files_for(sockets)} (ulimit -n, LimitNOFILE=)",
            )
        self._intake = self.sockets.pull_bind(
            endpoints.publisher, max_size=settings.max_map_response + 4096, hwm=MAP_RESPONSES_HWM
        )
        self._local = Front(
            self.loop,
            self.sockets,
            self._publication,
            updates=endpoints.updates,
            requests=endpoints.requests,
            on_count=self._on_count,
            on_arrival=self._on_arrival,
            on_flood=self._on_flood,
            capacity=capacity,
            on_cut=self._on_cut,
        )
        self._fronts.append(self._local)
        share(settings.socket_group, endpoints.updates, endpoints.requests)
        if settings.listen:
            self._remote = RemoteFront(
                self.loop,
                self.sockets,
                self._publication,
                listen=settings.listen,
                curve_dir=settings.curve_dir,
                capacity=connections_for(allowed, sockets, settings.max_remote),
                log=self.log,
                on_count=self._on_count,
                on_arrival=self._on_arrival,
                on_cut=self._on_cut,
                degraded=self.degraded,
                healed=self.healed,
            )
            self._fronts.append(self._remote)
        self.loop.watch(self._intake, self._on_map_responses)
        if (descriptor := self.boot.listeners.get(endpoints.recording)) is not None:
            self._tap = SessionTap(self.loop, descriptor)
        FloodGuard(self.loop, self._open_fronts, self.log)
        self._beat_while_heard()
        self.ready({"updates": endpoints.updates, "requests": endpoints.requests})

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        now = self.loop.now()
        match envelope.WhichOneof("body"):
            case "connection_started":
                self._inbox.began(envelope.connection_started.generation)
                self._publication.connection_started(envelope.connection_started.generation, now)
            case "session_ended":
                self._netmap.arriving.forget()
                if self._tap is not None:
                    self._tap.session_ended(envelope.session_ended, now)
                self._publication.session_ended(envelope.session_ended.generation, now)
            case "dev_command" if self._tap is not None:
                self._tap.admit(envelope.dev_command.json.decode("ascii"))
            case other:
                self.log.warning("unexpected_message", body=other)
        self._after()

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        self._status.fill(heartbeat, self.loop.now())
        self._status_deadline.set(None)
        counters = heartbeat.counters
        counters["slices"] = self._slices
        fronts = self._open_fronts()
        heartbeat.publisher.subscribers = sum(front.subscribers for front in fronts)
        counters["answers_completed"] = sum(front.answers_completed for front in fronts)
        counters["answers_stalled"] = sum(front.answers_stalled for front in fronts)
        counters["requests_refused"] = sum(front.refused for front in fronts)
        counters["recorders"] = 0 if self._tap is None else self._tap.recorders
        counters["connections_refused"] = self._remote.refused if self._remote is not None else 0

    def foreign_messages(self) -> int:
        return super().foreign_messages() + self._inbox.foreign

    def teardown(self) -> None:
        unwatch_memory()
        if self._local is None:
            return  # setup did not come that far
        self._publication.stop(self.loop.now())
        self._publish()
        for front in self._fronts:
            front.close()
        if self._tap is not None:
            self._tap.close()

    # From the connection

    def _on_map_responses(self) -> None:
        """Read what has come; what cannot be applied at once waits here: a full socket looks like a hung publisher."""
        for number in range(_MESSAGES_PER_TURN):
            if self._waiting_bytes > MAX_WAITING_BYTES or (number and not is_readable(self._intake)):
                break
            match receive_now(self._intake):
                case [envelope, document]:
                    self._waiting.append((envelope, document))
                    self._waiting_bytes += len(document)
        if self._slice.when is None:
            self._apply()

    def _apply(self) -> None:
        """Apply what waits, for a MOMENT; the rest in a later turn, after the other sources."""
        until = self.clock.monotonic() + MOMENT
        while True:
            if self._publication.working:
                self._step()
            elif self._waiting:
                envelope, document = self._waiting.popleft()
                self._waiting_bytes -= len(document)
                self._take(envelope, document)
            elif self._netmap.arriving.unread:
                self._netmap.arriving.look_ahead()
            else:
                break
            if self.clock.monotonic() >= until:
                self._slices += 1
                self._slice.set(self.loop.now())
                break
        self._after()

    def _take(self, envelope_bytes: bytes, document: bytes) -> None:
        try:
            envelope = self._inbox.open(envelope_bytes, document)
        except ForeignEnvelope:
            return  # counted by the inbox
        arriving = self._netmap.arriving
        match envelope.WhichOneof("body"):
            case "map_text_arrived":
                part = envelope.map_text_arrived
                identity = (part.generation, part.session, part.number)
                arriving.add(identity, part.offset, document, self._settings.max_map_response)
            case "map_response_received":
                header = envelope.map_response_received
                identity = (header.generation, header.session, header.number)
                whole = arriving.complete(identity, header.passed_on, document)
                if whole is None:
                    self._ask_for_whole(header.generation)
                    return
                if self._tap is not None:
                    self._tap.map_response(header, whole)
                self._publication.begin(header, whole, *self._clocks())
                self._size = len(whole)
                if not self._publication.working:
                    arriving.forget()

    def _ask_for_whole(self, generation: int) -> None:
        """The beginning of a MapResponse went to the publisher before, which most likely asks already."""
        if self._publication.intake.deadline() is None:
            self.tell_supervisor(
                internal_pb2.Resync(reason="a MapResponse came without its beginning", generation=generation)
            )

    def _step(self) -> None:
        try:
            full = self._publication.step(self.loop.now())
        except BadMapResponse as error:
            self._netmap.arriving.forget()
            self.log.warning("bad_map_response", detail=str(error))
            self.degraded("bad_map_response", str(error))
            return
        if full:
            self.healed("bad_map_response")
            if self._size > _BIG_MAP:
                gc.collect()
                gc.freeze()

    def _after(self) -> None:
        """Publish and report what came of the last input, and set the next deadlines."""
        self._publish()
        now = self.loop.now()
        for code, text in self._status.look(now):
            if text:
                self.degraded(code, text)
            else:
                self.healed(code)
        self._status_deadline.set(self._status.deadline)
        self._deadline.set(self._publication.deadline(now))
        self._arm_expiry()

    def _publish(self) -> None:
        outgoing = self._publication.take_outgoing()
        if outgoing:
            self._repeats.committed(self.loop.now())
            self._repeat_deadline.set(self._repeats.deadline())
        self._send(outgoing)

    def _send(self, messages: Iterable[Published]) -> None:
        for published in messages:
            for front in self._fronts:
                front.send(published)

    def _open_fronts(self) -> list[Front]:
        remote = self._remote.front if self._remote is not None else None
        return [front for front in (self._local, remote) if front is not None]

    def _on_deadline(self) -> None:
        intake = self._publication.intake
        match self._publication.expire(self.loop.now()):
            case Remedy.RESYNC:
                self.tell_supervisor(
                    internal_pb2.Resync(reason=intake.remedy_reason, generation=intake.remedy_generation)
                )
            case Remedy.END_SESSION:
                self.tell_supervisor(
                    internal_pb2.Verdict(
                        generation=intake.generation,
                        session=intake.session,
                        stage=Stage.MAP,
                        reason=EndReason.ERROR,
                    )
                )
        self._after()

    def _arm_expiry(self, *, passed: bool = False) -> None:
        """Wait for the next key that expires; nothing expires in the middle of a MapResponse.

        `passed`: time was passed just now. What is due all the same waits for the clock to be set: it shows a time
        before the server's, which a message may prove.
        """
        if self._publication.working:
            return
        moment = self._netmap.next_expiry()
        if moment is None:
            self._expiry_deadline.set(None)
        elif moment != self._expiry_at or passed:
            wall = self.clock.wall()
            wait = EXPIRY_PATIENCE if passed and moment <= wall else max(moment - wall, 0.0)
            self._expiry_deadline.set(self.loop.now() + min(wait, EXPIRY_PATIENCE))
        self._expiry_at = moment

    def _on_expiry(self) -> None:
        if not self._publication.working:
            self._publication.pass_time(*self._clocks())
        if self._publication.working:
            # With many keys, or a MapResponse that is being applied; after that it is looked at again.
            self._expiry_at = None
            if self._slice.when is None:
                self._apply()
            return
        self._arm_expiry(passed=True)
        self._after()

    def _on_count(self) -> None:
        self._status.subscribers_changed(self.loop.now())
        self._status_deadline.set(self._status.deadline)
        self._beat_while_heard()

    def _beat_while_heard(self) -> None:
        # Where nobody takes them nobody is woken for them; a new one is greeted. The keys of remote ones are looked at
        # with them, and a key that admits nobody is reported before there is any.
        heard = self._remote is not None or any(front.wants_heartbeats for front in self._open_fronts())
        if heard and self._beats is None:
            self._beats = self.loop.every(self._settings.heartbeat_interval, self._send_heartbeat_to_bus)
        elif not heard and self._beats is not None:
            self._beats.cancel()
            self._beats = None

    def _on_arrival(self) -> None:
        self._repeats.subscriber_came(self.loop.now())
        self._repeat_deadline.set(self._repeats.deadline())

    def _on_cut(self, whose: str) -> None:
        self.log.warning("connections_cut", last_of=whose)

    def _on_flood(self) -> None:
        """A new process is the only way to a new socket at the same path: closing the old one would remove it."""
        self.finish(
            ExitReason.CRASHED,
            "subscribers on this machine subscribe to more topics than memory is set aside for",
        )

    def _send_heartbeat_to_bus(self) -> None:
        if self._remote is not None:
            self._remote.look_at_keys()
        self._repeat_commit()

    def _on_repeat(self) -> None:
        if self._repeats.expire(self.loop.now()):
            self._repeat_commit()
        self._repeat_deadline.set(self._repeats.deadline())

    def _repeat_commit(self) -> None:
        beat = self._publication.heartbeat(self.loop.now())
        self._publish()
        self._send([beat])

    def _clocks(self) -> tuple[float, float]:
        now, wall = self.loop.now(), self.clock.wall()
        self._netmap.wall_clock(wall, now)
        return now, wall
