"""The shell around the control session: resolve, connect, carry bytes, timers and words, end with a reason.

Not here: every decision about the protocol (`client.session`) and about silence (liveness).
"""

from __future__ import annotations

import contextlib
import random
import secrets
from typing import TYPE_CHECKING

from netmap_actors.boot import ConnectionSettings, decode_settings
from netmap_actors.control_connection.auth_key import read_auth_key
from netmap_actors.control_connection.client import events as said
from netmap_actors.control_connection.client.events import SessionFailed, StageEntered
from netmap_actors.control_connection.client.registration.register import Registrar, RegistrationPolicy
from netmap_actors.control_connection.client.server.control_key import ControlKey
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.control_connection.client.server.proxy import choose_proxy, connect_ports
from netmap_actors.control_connection.client.session import ControlSession, Identity, SessionLimits
from netmap_actors.control_connection.client.words import word_for
from netmap_actors.control_connection.dialer import Dialer, Dialing
from netmap_actors.control_connection.node_state import NodeState, make_directory, new_node_key
from netmap_actors.control_connection.reports import Reports
from netmap_actors.control_connection.side_requests import Errands
from netmap_actors.errors import ConfigurationError, RemoteProtocolError
from netmap_actors.exit_reason import ExitReason
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.process.allocator import return_large_blocks
from netmap_actors.transport.black_hole import BlackHole
from netmap_actors.transport.byte_stream import why_broken
from netmap_actors.transport.resolve import resolve
from netmap_actors.transport.tls import make_context
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import Stage

if TYPE_CHECKING:
    from netmap_actors.boot import Boot
    from netmap_actors.clock import Clock
    from netmap_actors.control_connection.auth_key import AuthKey
    from netmap_actors.protocol.keys import MachineKey
    from netmap_actors.transport.address import Address
    from netmap_actors.transport.byte_stream import ByteStream
    from netmap_actors.transport.tcp import TcpStream

__all__ = ["PROGRESS_INTERVAL", "ControlConnection"]

PROGRESS_INTERVAL = 3.0
"""Seconds between two Progress."""
READS_PER_TURN = 8
"""Reads of the network before timers and other sources get their turn."""
READS_AT_DEADLINE = 64
"""Reads to find the socket empty at the deadline; who sends faster than this is found hung."""


class ControlConnection(ActorBase):
    """One TCP connection, from DNS to its end."""

    def __init__(self, boot: Boot, clock: Clock | None = None) -> None:
        super().__init__(boot, clock)
        self._settings = decode_settings(boot, ConnectionSettings)
        self._generation = boot.incarnation
        self._session: ControlSession | None = None
        self._dialing: Dialing | None = None
        self._stream: ByteStream | None = None
        self._errands: Errands | None = None
        self._key: ControlKey | None = None
        self._remote: Address | None = None
        self._local = ""
        self._interest = (False, False)
        self._session_deadline = self.loop.deadline(self._on_session_deadline)
        self._silence_deadline = self.loop.deadline(self._on_silence_deadline)
        self._bytes_received = 0

    @classmethod
    def prepare(cls, boot: Boot) -> None:
        """Make the node's directory should it be gone: later what is around it is out of reach."""
        # What it cannot make now it tells of when it looks for the node.
        with contextlib.suppress(OSError):
            make_directory(decode_settings(boot, ConnectionSettings))

    @classmethod
    def connect_ports(cls, boot: Boot) -> tuple[int, ...]:
        """Of the control server, or of the proxy before it, and of DNS."""
        settings = decode_settings(boot, ConnectionSettings)
        return connect_ports(settings.control_url, settings.proxy, settings.secrets.values)

    def setup(self) -> None:
        return_large_blocks()
        settings = self._settings
        self._reports = Reports(
            self.loop,
            self.sockets,
            self.boot,
            backlog=settings.max_map_response,
            on_room=self._on_network,
        )
        try:
            self._url = ControlUrl.parse(settings.control_url)
            self._dialer = self._make_dialer()
            self._node = NodeState(settings)
            self._registrar = self._make_registrar()
        except ConfigurationError as error:
            self._tell_end(ExitReason.CONFIGURATION, Stage.RESOLVE, str(error))
            raise
        self._errands = Errands(self._dialer)
        self._key = ControlKey(self._node, self._dialer, self._errands, settings)
        self.loop.every(PROGRESS_INTERVAL, self._reports.progress)
        self.ready()
        self._enter(Stage.RESOLVE, settings.resolve_limit)
        dialer = self._dialer
        resolve(
            self.loop, *dialer.target, self._on_resolved, lambda why: self._on_failed(dialer.explain(why))
        )

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        session, now = self._session, self.loop.now()
        match envelope.WhichOneof("body"):
            case "resync" if session is not None:
                self._handle(session.resync(now))
            case "probe" if session is not None:
                self._handle(session.probe(envelope.probe.token, envelope.probe.timeout, now))
            case "truth_probe" if session is not None:
                self._handle(session.ask_truth(now, envelope.truth_probe.wake))
            case "black_hole":
                self._lose_packets(envelope.black_hole.seconds)
            case "resync" | "probe" | "truth_probe":
                pass  # there is nothing yet that could be asked; the stage's limit holds
            case other:
                self.log.warning("unexpected_message", body=other)

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        standing, session = self._reports.standing, self._session
        heartbeat.connection.CopyFrom(
            internal_pb2.ConnectionStatistics(
                stage=standing.stage,
                session=standing.session,
                map_responses=session.map_responses if session else 0,
                bytes_received=self._bytes_received,
            )
        )
        heartbeat.counters["liveness_words_lost"] = self._reports.lost
        if session is not None:
            heartbeat.counters["window_low_percent"] = int(session.window_low * 100)

    def teardown(self) -> None:
        if self._dialing is not None:
            self._dialing.cancel()
        if self._errands is not None:
            self._errands.cancel()
        self._close_stream()

    # From a name to a session

    def _make_registrar(self) -> Registrar:
        settings = self._settings
        policy = RegistrationPolicy(
            urls=self._url.policy,
            ephemeral=settings.ephemeral,
            register_first=settings.register_first,
            may_undo_removal=settings.on_removed == "register",
        )
        return Registrar(
            self._node.registration, self._node.node_key, self._read_auth_key(), policy, new_node_key
        )

    def _read_auth_key(self) -> AuthKey | None:
        """A source that is gone only matters to a node that has yet to register for the first time."""
        try:
            return read_auth_key(self._settings.auth_key, self._settings.secrets.values)
        except ConfigurationError as error:
            if self._node.registration.registered_node_key is None and not self._settings.had_session:
                raise
            self.degraded("auth_key_unreadable", str(error))
            return None

    def _enter(self, stage: Stage, limit: float) -> None:
        self._on_event(StageEntered(stage, self.loop.now(), limit, 0))

    def _make_dialer(self) -> Dialer:
        settings = self._settings
        proxy = choose_proxy(self._url, settings.proxy, settings.secrets.values)
        secured = self._url.is_https or (proxy is not None and proxy.scheme == "https")
        context = make_context(settings.ca_file) if secured else None
        return Dialer(self.loop, self._url, context, proxy, settings.avoid)

    def _on_resolved(self, addresses: list[Address]) -> None:
        self._enter(Stage.CONNECT, self._settings.connect_limit)
        self._tell_connection(*addresses)
        self._dialing = self._dialer.dial(addresses, self._on_open, self._on_failed, self._on_connected)

    def _on_connected(self, tcp: TcpStream) -> bool:
        try:
            self._remote, self._local = tcp.remote, str(tcp.local)
        except OSError as error:
            self._on_failed(f"cannot connect: {why_broken(error)}")
            return False
        self._enter(Stage.HANDSHAKE, self._settings.handshake_limit)
        self._tell_connection()
        return True

    def _on_open(self, stream: ByteStream) -> None:
        self._stream = stream
        assert self._key is not None, "made in setup"
        assert self._remote is not None, "connected"
        try:
            self._key.obtain(self._remote, self._start_session, self._on_failed)
        except ConfigurationError as error:
            self._tell_end(ExitReason.CONFIGURATION, Stage.HANDSHAKE, str(error))
            self.finish(ExitReason.CONFIGURATION, str(error))

    def _start_session(self, server_key: MachineKey) -> None:
        settings = self._settings
        self._session = ControlSession(
            self._url,
            Identity(self._node.machine_key, server_key, self._node.registration.disco_key.public()),
            self._registrar,
            SessionLimits(
                handshake=settings.handshake_limit,
                register=settings.register_limit,
                silence=settings.silence_timeout,
                max_map_response=settings.max_map_response,
            ),
            ephemeral=secrets.token_bytes(32),
            uniform=random.SystemRandom().uniform,
        )
        self._handle(self._session.start(self.loop.now(), self._reports.standing.stage_since))

    def _on_failed(self, why: str, wait: float = 0.0) -> None:
        """It did not come to a session. `wait`: seconds the server asks us to stay away."""
        self._end(SessionFailed(ExitReason.ERROR, Stage(self._reports.standing.stage), why, wait))

    # Bytes and time

    def _on_network(self) -> None:
        self._read(READS_PER_TURN)

    def _read(self, most: int) -> None:
        """Take in what the network has, up to so many reads; then send what that leads to."""
        session, stream = self._session, self._stream
        if session is None or stream is None or session.over:
            return
        self._reports.reading(self.loop.last_stop)
        for _ in range(most):
            if self._reports.paused:
                session.unread()
                break
            try:
                data = stream.receive()
            except (OSError, RemoteProtocolError) as error:
                self._handle(session.broken(why_broken(error)))
                return
            now = self.loop.now()
            if data is None:
                self._reports.drained(now)
                session.drained(now)
                break
            self._bytes_received += len(data)
            self._handle(session.receive(data, now) if data else session.eof())
            if self._session is None or session.over:
                return
        else:
            session.unread()
            # TLS may hold more that is ready, of which the socket knows nothing.
            self.loop.call_soon(self._on_network)
        self._send()

    def _handle(self, events: list[said.Event]) -> None:
        """Everything a session says, in order, before anything of it is sent."""
        for event in events:
            self._on_event(event)
            if self.exit_reason is not None:
                return
        self._send()

    def _send(self) -> None:
        session, stream = self._session, self._stream
        if session is None or stream is None or session.over:
            return
        try:
            stream.flush()
            while not stream.wants_write and (data := session.data_to_send()):
                stream.send(data)
        except (OSError, RemoteProtocolError) as error:
            self._handle(session.broken(why_broken(error)))
            return
        interest = (not self._reports.paused, stream.wants_write)
        if interest != self._interest:
            if interest[0] > self._interest[0]:
                # What came while nothing was read is looked at, also when nothing more comes.
                self.loop.call_soon(self._on_network)
            self._interest = interest
            if any(interest):
                self.loop.watch(stream.fileno(), self._on_network, read=interest[0], write=interest[1])
            else:
                self.loop.unwatch(stream.fileno())
        self._session_deadline.set(session.deadline())

    def _on_session_deadline(self) -> None:
        # An answer that lies in the socket already is in time.
        self._read(READS_AT_DEADLINE)
        session = self._session
        if session is not None and not session.over and self.exit_reason is None:
            self._handle(session.expire(self.loop.now()))

    def _on_silence_deadline(self) -> None:
        """Our own deadline: prove at once that the socket is empty, or find what was in it."""
        if self.loop.now() >= self._reports.standing.deadline:
            self._read(READS_AT_DEADLINE)
            if self.exit_reason is not None:
                return
            self._reports.progress()
        self._await_silence()

    def _await_silence(self) -> None:
        deadline = self._reports.standing.deadline
        if self._silence_deadline.when is None and deadline > self.loop.now():
            self._silence_deadline.set(deadline)

    def _lose_packets(self, seconds: float) -> None:
        """As if a firewall forgot this flow: crash-isolation tests ask for it."""
        stream = self._stream
        if stream is None or isinstance(stream, BlackHole):
            return
        self.log.warning("black_hole_on_request", seconds=seconds)
        hole = BlackHole(stream)
        self._change_stream(hole)
        if seconds:
            self.loop.at(self.loop.now() + seconds, lambda: self._find_packets(hole))

    def _find_packets(self, hole: BlackHole) -> None:
        session = self._session
        if self._stream is not hole or session is None:
            return
        self._change_stream(hole.below)
        try:
            hole.heal()
        except (OSError, RemoteProtocolError) as error:
            self._handle(session.broken(why_broken(error)))

    def _change_stream(self, stream: ByteStream) -> None:
        if self._stream is not None:
            self.loop.unwatch(self._stream.fileno())
        self._stream, self._interest = stream, (False, False)
        self.loop.call_soon(self._on_network)

    # What the session says

    def _on_event(self, event: said.Event) -> None:
        match event:
            case said.MapDocument():
                self._reports.map_document(event)
                self._await_silence()
            case said.StageEntered():
                self._on_stage(event)
            case said.ServerProved() | said.SaveNodeKey() | said.SaveRegistration():
                self._keep(event)
            case said.AuthKeyUnused(detail):
                self.degraded("auth_key_refused", detail)
            case said.PingToAnswer(url):
                assert self._errands is not None, "made in setup"
                if self._remote is not None and not self._errands.head(self._remote, url):
                    self.log.info("server_wish", wish="ping", detail="too many at a time")
            case said.ServerWish(wish, detail):
                self.log.info("server_wish", wish=wish, detail=detail)
            case said.LoginNeeded() | said.Registered() | said.ProbeEnded() | said.TruthLearned():
                self.tell_supervisor(word_for(event, self._generation))
            case said.SessionFailed():
                self._on_session_failed(event)

    def _keep(self, event: said.ServerProved | said.SaveNodeKey | said.SaveRegistration) -> None:
        """What the next process has to know."""
        match event:
            case said.ServerProved(server_key):
                assert self._key is not None, "made in setup"
                self._key.proved(server_key)
                # A node that the server is about to learn of must be on disk before.
                if self._save(required=self._node.registration.registered_node_key is None):
                    self._tell_connection()
            case said.SaveNodeKey(node_key):
                self._node.take_node_key(node_key)
                self._save(required=False)
            case said.SaveRegistration(registration, required):
                self._node.take_registration(registration)
                self._save(required=required)

    def _on_stage(self, event: StageEntered) -> None:
        self.tell_supervisor(self._reports.stage_entered(event))
        self.heartbeat_now()
        if event.stage is Stage.MAP:
            self._await_silence()

    def _save(self, *, required: bool) -> bool:
        """Write the state files. False when the actor had to end because of a failure."""
        try:
            self._node.save()
        except OSError as error:
            text = f"cannot save the node's state in {self._settings.state_dir}: {why_broken(error)}"
            if required:
                self._end(SessionFailed(ExitReason.ERROR, Stage(self._reports.standing.stage), text))
                return False
            self.degraded("state_not_saved", text)
            return True
        self.healed("state_not_saved")
        return True

    def _on_session_failed(self, failed: SessionFailed) -> None:
        if not failed.doubts_key or self._remote is None or self._key is None:
            self._end(failed)
            return
        self._close_stream()
        self._key.settle(failed, self._remote, self._on_settled)

    def _on_settled(self, failed: SessionFailed) -> None:
        # A changed key may have been accepted.
        self._save(required=False)
        self._end(failed)

    # The end

    def _end(self, failed: SessionFailed) -> None:
        self._tell_end(failed.reason, failed.stage, failed.detail, failed.retry_after)
        self.finish(failed.reason, failed.detail)

    def _tell_end(self, reason: ExitReason, stage: Stage, detail: str, retry_after: float = 0.0) -> None:
        session = self._session
        self.tell_supervisor(
            internal_pb2.SessionEnded(
                generation=self._generation,
                session=session.sessions if session is not None else 0,
                reason=reason,
                stage=stage,
                detail=detail,
                retry_after=retry_after,
                had_map=session is not None and session.had_map,
            )
        )

    def _tell_connection(self, *looked_up: Address) -> None:
        self.tell_supervisor(
            internal_pb2.ConnectionInfo(
                generation=self._generation,
                local_address=self._local,
                remote_address=str(self._remote or ""),
                addresses=[str(address) for address in looked_up],
                proxy=self._dialer.proxy.text if self._dialer.proxy is not None else "",
                **self._node.told(),
            )
        )

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self.loop.unwatch(stream.fileno())
            stream.close()
