"""The shell around the control session: resolve, connect, carry out what the session says, end with a reason.

Not here: every decision about the protocol (`client.session`) and about silence (liveness).
"""

from __future__ import annotations

import contextlib
import random
import secrets
from typing import TYPE_CHECKING

from netmap_actors.boot import ConnectionSettings, decode_settings
from netmap_actors.control_connection.auth_key import read_auth_key
from netmap_actors.control_connection.carrier import Carrier
from netmap_actors.control_connection.client import events
from netmap_actors.control_connection.client.messages import message_for
from netmap_actors.control_connection.client.preload import go_once_through
from netmap_actors.control_connection.client.registration.register import RegistrationFlow, RegistrationPolicy
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.control_connection.client.session import ControlSession, SessionLimits
from netmap_actors.control_connection.control_key import ControlKey
from netmap_actors.control_connection.node_state import NodeState, make_directory, new_node_key
from netmap_actors.control_connection.reports import Reports
from netmap_actors.control_connection.side_requests import SideRequests
from netmap_actors.errors import ConfigurationError
from netmap_actors.exit_reason import ExitReason
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.process.allocator import return_large_blocks
from netmap_actors.transport.byte_stream import why_broken
from netmap_actors.transport.dialer import Dialer
from netmap_actors.transport.proxy import choose_proxy, connect_ports, needs_tls
from netmap_actors.transport.resolve import resolve
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import Stage

if TYPE_CHECKING:
    from netmap_actors.boot import Boot
    from netmap_actors.control_connection.auth_key import ClientAuthKey
    from netmap_actors.protocol.keys import MachineKey
    from netmap_actors.transport.address import Address
    from netmap_actors.transport.byte_stream import ByteStream
    from netmap_actors.transport.proxy import Proxy
    from netmap_actors.transport.tcp import TcpStream

__all__ = ["PROGRESS_BEATS", "ControlConnection"]

PROGRESS_BEATS = 3
"""Heartbeats from one Progress to the next, which goes out in the same wake-up. Whoever waits for one gets it without
that: liveness when it comes back, or when it can take messages again, and at the connection's own deadline."""


class ControlConnection(ActorBase):
    """One TCP connection, from DNS to its end."""

    _remote: Address

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self._settings = decode_settings(boot, ConnectionSettings)
        self._generation = boot.generation
        self._session: ControlSession | None = None
        """Made before it is connected, where the server's key is pinned."""
        self._carrier: Carrier | None = None
        """From the start of the session on."""
        self._addresses: dict[str, str] = {}
        """Fields of ConnectionInfo, once connected."""
        self._opened = contextlib.ExitStack()

    @classmethod
    def preload(cls) -> None:
        go_once_through()

    @classmethod
    def prepare(cls, boot: Boot) -> None:
        """Make the node's directory if it is missing, and load TLS if it is used: later they are out of reach."""
        settings = decode_settings(boot, ConnectionSettings)
        # A failure is reported when the node is looked for.
        with contextlib.suppress(OSError):
            make_directory(settings)
        if needs_tls(settings.control_url, settings.proxy, settings.secrets.values):
            from netmap_actors.transport import tls  # noqa: F401, PLC0415

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
            on_room=self._on_room,
        )
        self._opened.callback(self._reports.close)
        try:
            self._url = ControlUrl.parse(settings.control_url)
            proxy = choose_proxy(self._url, settings.proxy, settings.secrets.values)
            # First, as the answer takes its time: meanwhile the roots, the files and the keys are read.
            self._look_up(proxy)
            self._dialer = self._make_dialer(proxy)
            self._node = NodeState(settings)
            self._flow = self._make_flow()
        except ConfigurationError as error:
            self._report_end(self._failure(ExitReason.CONFIGURATION, str(error)))
            raise
        self._side_requests = SideRequests(self._dialer)
        self._opened.callback(self._side_requests.cancel)
        self._key = ControlKey(self._node, self._dialer, self._side_requests, settings)
        self.loop.every(PROGRESS_BEATS * self.boot.heartbeat_interval, self._reports.progress)
        self.ready()
        self._enter(Stage.RESOLVE, settings.resolve_limit)

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        body = envelope.WhichOneof("body")
        if body not in {"resync", "probe", "truth_probe", "black_hole"}:
            self.log.warning("unexpected_message", body=body)
            return
        carrier, now = self._carrier, self.loop.now()
        if carrier is None:
            # The stage's limit holds.
            if body == "black_hole":
                self.log.warning("black_hole_on_request", detail="nothing is lost: there is no session yet")
            return
        match body:
            case "resync":
                carrier.handle(carrier.session.resync(now))
            case "probe":
                carrier.handle(carrier.session.probe(envelope.probe.token, envelope.probe.timeout, now))
            case "truth_probe":
                carrier.handle(carrier.session.ask_truth(now, envelope.truth_probe.wake))
            case "black_hole" if carrier.lose_packets(envelope.black_hole.seconds):
                self.log.warning("black_hole_on_request", seconds=envelope.black_hole.seconds)

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        standing, carrier = self._reports.standing, self._carrier
        figures = internal_pb2.ConnectionStatistics(stage=standing.stage, session=standing.session)
        if carrier is not None:
            figures.map_responses = carrier.session.map_responses
            figures.bytes_received = carrier.bytes_received
            heartbeat.counters["window_low_percent"] = int(carrier.session.window_low * 100)
        heartbeat.connection.CopyFrom(figures)
        heartbeat.counters["liveness_words_lost"] = self._reports.lost

    def teardown(self) -> None:
        self._opened.close()

    # From a name to a session

    def _make_flow(self) -> RegistrationFlow:
        settings = self._settings
        policy = RegistrationPolicy(
            urls=self._url.policy,
            ephemeral=settings.ephemeral,
            register_first=settings.register_first,
            may_undo_removal=settings.on_removed == "register",
        )
        return RegistrationFlow(
            self._node.registration, self._node.node_key, self._read_auth_key(), policy, new_node_key
        )

    def _read_auth_key(self) -> ClientAuthKey | None:
        """A missing source only matters to a node that was never registered."""
        try:
            return read_auth_key(self._settings.auth_key, self._settings.secrets.values)
        except ConfigurationError as error:
            if self._node.registration.registered_node_key is None and not self._settings.had_session:
                raise
            self.degraded("auth_key_unreadable", str(error))
            return None

    def _enter(self, stage: Stage, limit: float) -> None:
        self._on_event(events.StageEntered(stage, self.loop.now(), limit, 0))

    def _look_up(self, proxy: Proxy | None) -> None:
        """Resolve the host that is dialled; with a proxy that is the proxy, which then resolves the server's."""
        host = proxy or self._url
        resolve(
            self.loop,
            host.host,
            host.port,
            self._on_resolved,
            lambda why: self._on_failed(self._dialer.explain(why)),
        )

    def _make_dialer(self, proxy: Proxy | None) -> Dialer[ControlUrl]:
        settings = self._settings
        context = None
        if needs_tls(settings.control_url, settings.proxy, settings.secrets.values):
            from netmap_actors.transport.tls import make_context  # noqa: PLC0415

            context = make_context(settings.ca_file)
        return Dialer(self.loop, self._url, context, proxy, settings.avoid)

    def _on_resolved(self, addresses: list[Address]) -> None:
        self._enter(Stage.CONNECT, self._settings.connect_limit)
        self._report_addresses(*addresses)
        dialing = self._dialer.dial(addresses, self._on_open, self._on_failed, self._on_connected)
        self._opened.callback(dialing.cancel)
        if self._node.server_key is not None:
            # The handshake's first message is ready once the server is connected.
            self._session = self._make_session(self._node.server_key)

    def _on_connected(self, tcp: TcpStream) -> bool:
        try:
            self._remote = tcp.remote
            self._addresses = {"remote_address": str(tcp.remote), "local_address": str(tcp.local)}
        except OSError as error:
            self._on_failed(f"cannot connect: {why_broken(error)}")
            return False
        self._enter(Stage.HANDSHAKE, self._settings.handshake_limit)
        self._report_addresses()
        return True

    def _on_open(self, stream: ByteStream) -> None:
        self._opened.callback(stream.close)
        try:
            self._key.obtain(self._remote, lambda key: self._start_session(stream, key), self._on_failed)
        except ConfigurationError as error:
            self._end(self._failure(ExitReason.CONFIGURATION, str(error)))

    def _make_session(self, server_key: MachineKey) -> ControlSession:
        settings = self._settings
        return ControlSession(
            self._url,
            self._node.machine_key,
            server_key,
            self._flow,
            SessionLimits(
                handshake=settings.handshake_limit,
                register=settings.register_limit,
                silence=settings.silence_timeout,
                max_map_response=settings.max_map_response,
            ),
            ephemeral=secrets.token_bytes(32),
            uniform=random.SystemRandom().uniform,
        )

    def _start_session(self, stream: ByteStream, server_key: MachineKey) -> None:
        session = self._session or self._make_session(server_key)
        self._carrier = Carrier(self.loop, stream, session, self._reports, self._on_event)
        self._opened.callback(self._carrier.close)
        self._carrier.handle(session.start(self.loop.now(), self._reports.standing.stage_since))

    def _on_room(self) -> None:
        if self._carrier is not None:
            self._carrier.read()

    # Events of the session

    def _on_event(self, event: events.SessionEvent) -> None:
        match event:
            case events.MapDocument():
                self._reports.map_document(event)
            case events.MapText():
                self._reports.map_text(event)
            case events.StageEntered():
                self.tell_supervisor(self._reports.stage_entered(event))
                self.heartbeat_now()
            case events.ServerProved(server_key, required):
                self._node.pin(server_key)
                if self._save(required=required):
                    self._report_addresses()
            case events.SaveNodeKey(node_key):
                self._node.take_node_key(node_key)
                self._save(required=False)
            case events.SaveRegistration(registration, required):
                self._node.take_registration(registration)
                self._save(required=required)
            case events.AuthKeyUnused(detail):
                self.degraded("auth_key_refused", detail)
            case events.PingToAnswer(url):
                if not self._side_requests.head(self._remote, url):
                    self.log.info("server_wish", wish="ping", detail="too many at a time")
            case events.ServerWish(wish, detail):
                self.log.info("server_wish", wish=wish, detail=detail)
            case events.SessionFailed(doubts_key=True) if self._carrier is not None:
                self._carrier.close()
                self._key.settle(event, self._remote, self._on_settled)
            case events.SessionFailed():
                self._end(event)
            case _:
                self.tell_supervisor(message_for(event, self._generation))

    def _save(self, *, required: bool) -> bool:
        """Write the state files. False when a failure ended the actor."""
        try:
            self._node.save()
        except OSError as error:
            text = f"cannot save the node's state in {self._settings.state_dir}: {why_broken(error)}"
            if required:
                self._on_failed(text)
                return False
            self.degraded("state_not_saved", text)
            return True
        self.healed("state_not_saved")
        return True

    # The end

    def _on_failed(self, why: str, wait: float = 0.0) -> None:
        """End without a session. `wait`: seconds the server asks us to stay away."""
        self._end(self._failure(ExitReason.ERROR, why, wait))

    def _on_settled(self, failed: events.SessionFailed) -> None:
        # A changed key may have been accepted.
        self._save(required=False)
        self._end(failed)

    def _failure(self, reason: ExitReason, why: str, wait: float = 0.0) -> events.SessionFailed:
        return events.SessionFailed(reason, self._reports.standing.stage, why, wait)

    def _end(self, failed: events.SessionFailed) -> None:
        self._report_end(failed)
        self.finish(failed.reason, failed.detail)

    def _report_end(self, failed: events.SessionFailed) -> None:
        self.tell_supervisor(message_for(failed, self._generation))

    def _report_addresses(self, *looked_up: Address) -> None:
        self.tell_supervisor(
            internal_pb2.ConnectionInfo(
                generation=self._generation,
                addresses=[str(address) for address in looked_up],
                proxy=self._dialer.proxy.text if self._dialer.proxy is not None else "",
                **self._addresses,
                **self._node.connection_info(),
            )
        )
