"""What all connections of this server share: the tailnet, who is online, the faults that wait, what was seen.

Not here: sockets and timers (`server`), bytes (`connection`). Times: `now` in seconds of CLOCK_BOOTTIME, `wall`
in UNIX seconds.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Protocol

import msgspec

from netmap_actors.dev_control.faults.catalogue import FaultPlan
from netmap_actors.dev_control.tailnet.client_netmap import ClientNetmap
from netmap_actors.dev_control.tailnet.tailnet import FIRST_SIMULATED_ID
from netmap_actors.protocol.keys import MachineKey, MachinePrivate
from netmap_actors.protocol.map_framing import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netmap_actors.dev_control.registration.registrar import NodeRegistrar
    from netmap_actors.dev_control.tailnet.tailnet import Aspect, Tailnet

__all__ = ["MAX_SEEN", "Control", "LiveStream", "Options", "Seen"]

MAX_SEEN = 20_000
"""Events kept; the oldest are dropped first."""
_FRAMES_KEPT = 8
_MAX_SHARED = 256 << 10
"""Bytes of a message that is kept framed: first maps are not, as each differs."""


class Options(msgspec.Struct, frozen=True):
    """How this server behaves. Durations in seconds."""

    keep_alive: float = 50.0
    keep_alive_jitter: float = 9.0
    """Added once per stream, a random share of it, as on headscale."""
    batch_delay: float = 0.05
    """Changes of so long become one message; headscale takes 0.8 s."""
    offline_grace: float = 10.0
    """After the last stream of a node has ended, until the others hear that it is offline."""
    ephemeral_grace: float = 120.0
    """The same, until an ephemeral node is deleted."""
    minimum_version: int = 60
    """Capability versions below are refused; headscale refuses those below 113."""
    early_payload: str = "split"
    """`split` over three records as headscale sends it, `whole` or `off`."""
    half_open_limit: float = 15.0
    """For the HTTP request and the upgrade of a new connection."""
    idle_limit: float = 300.0
    """For a connection on which nothing waits."""
    stalled_limit: float = 60.0
    """For a client that does not read what is sent."""
    trace: bool = False
    """Whether `seen` holds what was sent, too: one event for each answer and each message of a map stream."""


class Seen(msgspec.Struct, frozen=True):
    """Something a client did, or that was done to it."""

    at: float
    """Seconds of CLOCK_BOOTTIME: of a fault before its first byte."""
    connection: int
    """Number of the connection; 0 for what concerns none."""
    remote: str
    """host:port of the client's end; empty without a connection."""
    kind: str
    """Of the client: accept, tls, key, upgrade, register, map, lite, read, ping, ping_response, c2n, reset, goaway,
    end. Of the server: refused, fault, heal, and with `trace` sent."""
    detail: str = ""
    """For people, apart from the first word: of `fault` the fault's name, of `refused` the status if it was HTTP."""


class LiveStream(Protocol):
    """A long poll as `Control` sees it."""

    number: int
    """Among all streams of this server's life, 1 for the first."""
    node_id: int

    def mark(self, nodes: Iterable[int], aspects: Iterable[Aspect]) -> None:
        """These may have changed."""

    def send_changes(self, now: float, wall: float | None = None) -> bool:
        """The delta, if one can be sent now; `wall`: its ControlTime. False: nothing was sent."""

    def end(self, now: float) -> None:
        """END_STREAM, in good order."""


class Control:
    """State and rules above the single connection."""

    def __init__(
        self,
        tailnet: Tailnet,
        registrar: NodeRegistrar,
        identity: MachinePrivate,
        options: Options,
        *,
        wall: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.tailnet = tailnet
        self.registrar = registrar
        self.options = options
        self.plan = FaultPlan()
        self.wall = wall
        self.random_bytes = random_bytes
        self.persist: Callable[[], None] = _nothing
        """Saves what must survive a restart, before the answer that confirms it."""
        self.seen: collections.deque[Seen] = collections.deque(maxlen=MAX_SEEN)
        self.streams: dict[int, LiveStream] = {}
        """The live map stream of each node that has one."""
        self.streams_begun = 0
        self.pings: dict[str, str] = {}
        """Answers to pings by their id: `head` or the body of a c2n answer."""
        self.touched: dict[int, None] = {}
        """Numbers of the connections that may have something to send."""
        self.on_login: Callable[[str], None] = _nothing
        """Called with the id of a login that is completed or over."""
        self.on_newcomer: Callable[[], None] = _nothing
        """Called when a map stream has begun."""
        self.on_message: Callable[[LiveStream, bytes], None] = _nothing
        """Called with each MapResponse that is sent, as JSON; broken bytes of a fault are none."""
        self.netmap_of: Callable[[Tailnet, int], ClientNetmap] = ClientNetmap
        """Made for each map stream, with the id of its node."""
        self._identity = identity
        self._other = MachinePrivate.generate(random_bytes(32))
        self._offline_at: dict[int, float] = {}
        self._delete_at: dict[int, float] = {}
        self._frames: dict[tuple[bytes, bool], bytes] = {}

    # The server's Noise key

    @property
    def identity(self) -> MachinePrivate:
        return self._identity

    def key_for(self, *, changed: bool) -> MachinePrivate:
        """The key a handshake is answered with."""
        return self._other if changed else self._identity

    def shown_key(self) -> MachineKey:
        """The key that `/key` shows."""
        return self.key_for(changed=self.plan.has("identity/server-key-changed")).public()

    def random_unit(self) -> float:
        """A random number from 0 up to 1."""
        return int.from_bytes(self.random_bytes(4), "big") / 2**32

    # Who is online

    def stream_began(self, stream: LiveStream, now: float) -> None:
        """A newer poll of a node ends the older one."""
        older = self.streams.get(stream.node_id)
        self.streams[stream.node_id] = stream
        if older is not None and older is not stream:
            older.end(now)
        self._offline_at.pop(stream.node_id, None)
        self._delete_at.pop(stream.node_id, None)
        if stream.node_id in self.tailnet.entries:
            self.tailnet.set_online(stream.node_id, True, self.wall())
        self.on_newcomer()

    def stream_ended(self, stream: LiveStream, now: float) -> None:
        """The node goes offline after a grace period, in which its client may reconnect."""
        if self.streams.get(stream.node_id) is not stream:
            return
        del self.streams[stream.node_id]
        entry = self.tailnet.entries.get(stream.node_id)
        if entry is None:
            return
        self._offline_at[stream.node_id] = now + self.options.offline_grace
        if entry.ephemeral:
            self._delete_at[stream.node_id] = now + self.options.ephemeral_grace

    def registered(self, node_key: str, now: float) -> None:
        """A node was registered. An ephemeral one is deleted if it asks for no map within its grace period."""
        entry = self.tailnet.by_key(node_key)
        if entry is not None and entry.ephemeral and entry.node.id not in self.streams:
            self._delete_at.setdefault(entry.node.id, now + self.options.ephemeral_grace)

    def restored(self, now: float) -> None:
        """After a restart: registered nodes that were online have the grace period to reconnect."""
        for node_id, entry in self.tailnet.entries.items():
            if entry.real and entry.node.online:
                self._offline_at[node_id] = now + self.options.offline_grace
            if entry.real and entry.ephemeral:
                self._delete_at[node_id] = now + self.options.ephemeral_grace

    def deadline(self, now: float) -> float | None:
        """When `expire` has something to do."""
        due = [*self._offline_at.values(), *self._delete_at.values()]
        if self.tailnet.expiries:
            due.append(now + max(0.0, min(self.tailnet.expiries.values()) - self.wall()))
        return min(due) if due else None

    def expire(self, now: float) -> None:
        """Nodes whose grace period is over go offline or, if ephemeral, are deleted; node keys expire."""
        wall = self.wall()
        for node_id in [node_id for node_id, at in self.tailnet.expiries.items() if at <= wall]:
            self.tailnet.set_expiry(node_id, self.tailnet.expiries[node_id], wall=wall)
        for node_id in [node_id for node_id, at in self._offline_at.items() if at <= now]:
            del self._offline_at[node_id]
            if node_id in self.tailnet.entries:
                self.tailnet.set_online(node_id, False, self.wall())
        gone = [node_id for node_id, at in self._delete_at.items() if at <= now]
        for node_id in gone:
            del self._delete_at[node_id]
            if node_id in self.tailnet.entries:
                self.tailnet.remove_node(node_id)
        if gone:
            self.persist()

    # Changes

    def distribute(self, now: float) -> bool:
        """Send every live stream what changed. True: registered nodes are among it."""
        nodes, aspects = self.tailnet.take_changes()
        if not nodes and not aspects:
            return False
        # The same ControlTime for all: most messages are equal then, and framed only once.
        wall = self.wall()
        for stream in list(self.streams.values()):
            stream.mark(nodes, aspects)
            stream.send_changes(now, wall)
        return any(node_id < FIRST_SIMULATED_ID for node_id in nodes)

    def framed(self, json: bytes, *, compress: bool) -> bytes:
        """A message framed, once for all streams that send it."""
        if len(json) > _MAX_SHARED:
            return encode_frame(json, compress=compress)
        frame = self._frames.get((json, compress))
        if frame is None:
            while len(self._frames) >= _FRAMES_KEPT:
                del self._frames[next(iter(self._frames))]
            frame = self._frames[json, compress] = encode_frame(json, compress=compress)
        return frame

    def note(self, now: float, connection: int, remote: str, kind: str, detail: str = "") -> None:
        """Remember what a client did, or what was done to it."""
        self.seen.append(Seen(now, connection, remote, kind, detail))

    def note_sent(self, now: float, connection: int, remote: str, what: Callable[[], str]) -> None:
        """The same of what was sent, if that is asked for."""
        if self.options.trace:
            self.note(now, connection, remote, "sent", what())


def _nothing(*_: object) -> None:
    """Until the server, or a test, sets a callback."""
