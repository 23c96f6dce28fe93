"""The delta engine: MapResponses in, true differences out.

The cost of a delta does not depend on the number of peers. Not here: decoding (`tailcfg.map_document`), sessions and
sequence numbers (`publisher.publication`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from netmap_actors import slices
from netmap_actors.boot import MAX_PEERS
from netmap_actors.errors import BadMapResponse, escape
from netmap_actors.netmap.arriving import ArrivingDocument
from netmap_actors.netmap.changes import Changes, SelfUpdate
from netmap_actors.netmap.documents import Documents
from netmap_actors.netmap.expiry import expiry_of, has_passed, marked_expired
from netmap_actors.netmap.model import Unreadable, identify, quarantined_node, read_node
from netmap_actors.netmap.node_json import members, same_json, with_members
from netmap_actors.netmap.own_node import OwnNode
from netmap_actors.netmap.peer_deltas import PeerDeltas
from netmap_actors.netmap.peer_table import PeerTable
from netmap_actors.netmap.profiles import Profiles
from netmap_actors.slices import complete
from netmap_actors.tailcfg.go_json import REFUSALS, NotGoJson, encode
from netmap_actors.web_url import UrlPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from netmap_actors.netmap.changes import Document, NetmapUpdate, PeerRemoval, PeerUpsert, Profile
    from netmap_actors.netmap.model import NetmapNode
    from netmap_actors.netmap.peer_table import Record, Wanted
    from netmap_actors.tailcfg.map_response import MapResponse

__all__ = ["NetmapEngine", "Statistics"]

_HTTPS_ONLY: Final = UrlPolicy()
_NAMES: Final = msgspec.json.Decoder(list[str])
_VALUES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Statistics(msgspec.Struct, frozen=True):
    """Figures of the netmap, and counters since the process began."""

    peers: int
    online: int
    unknown: int
    """Peers whose online state the server did not send."""
    quarantined: int
    """Nodes whose JSON could not be read, our own included, and peers that claim our identity."""
    hidden: int
    """Peers not shown, as another has their stable id or, in the last full map, their NodeID."""
    suppressed: int
    """Peers that were sent again unchanged."""
    ignored_unknown_ids: int
    """Removals and patches for unknown peers."""
    bad_patches: int
    """Patches that could not be read; their peers are in quarantine until sent whole."""
    bad_profiles: int
    left_out: int
    """Messages and unreferenced profiles beyond their bounds."""


class _Ourselves(NamedTuple):
    """Our own node as shown."""

    node: NetmapNode | None = None
    expiry: float | None = None
    """When our key expires, UNIX seconds of the server's clock; None: never, or marked by the server."""
    reason: str = ""
    """Of its quarantine."""
    machine_authorized: bool = False


class NetmapEngine:
    """The network map of this node. `encode_peer` makes the published piece of a peer, which is kept.

    `urls`: which links of messages may be shown. `max_peers`: a message that would exceed it is refused.
    """

    def __init__(
        self,
        encode_peer: Callable[[NetmapNode], bytes],
        urls: UrlPolicy = _HTTPS_ONLY,
        *,
        max_peers: int = MAX_PEERS,
    ) -> None:
        self._max_peers = max_peers
        self._table = PeerTable(encode_peer)
        self.arriving = ArrivingDocument(self._read_ahead, max_peers=max_peers)
        """What comes of a large message before it is whole."""
        self._documents = Documents(urls)
        self._profiles = Profiles()
        self._ourselves = _Ourselves()
        self._ignored = 0
        self._bad_patches = 0
        self._repeated = 0

    def applying(
        self,
        response: MapResponse,
        *,
        first: bool,
        wall: float,
        unread: float = 0.0,
        waited: float = 0.0,
    ) -> Generator[None, None, Changes]:
        """Fold one message in, in slices: nothing shows before the end. `wall`: our wall clock, UNIX seconds.

        `unread`, `waited`: seconds since it came and since the server sent it, at most. `first`: of its session,
        keep-alives apart, hence authoritative: what it does not name is gone. Raises BadMapResponse, the netmap
        unchanged, when such a message lacks Node, or for too many peers.
        """
        first = first and not response.keep_alive
        if first and not response.has_node:
            raise BadMapResponse("cannot begin a session: its first MapResponse lacks Node")
        # Before anything changes: peers are checked against our identity while they are read.
        own = OwnNode.of(self._see_self(response, 0.0).node) if response.has_node else None
        deltas = PeerDeltas(self._table, first=first, own=own, ready=self.arriving.ready(own))
        try:
            documents = self._documents.fold(response, first=first)
            if not response.keep_alive:
                yield from deltas.collect(response, wall - max(0.0, unread))
        except (NotGoJson, Unreadable) as e:
            # The gate has checked all but nesting just below the limit.
            raise BadMapResponse(f"cannot apply MapResponse: {escape(str(e))}") from None
        self._check_number(deltas)
        self._documents.clock(response.control_time, wall, waited)
        self._ignored += deltas.ignored
        self._bad_patches += deltas.bad_patches
        # A keep-alive, too, may correct the clock by which keys expire.
        control_now = wall + self.clock_skew_s
        keep_alive = response.keep_alive
        profiles = yield from self._profiles.read(() if keep_alive else response.user_profiles or ())
        ourselves = self._see_self(response, control_now)
        # And with it the message, of which a full map has kept nothing: the table takes its place in memory.
        del response
        updates: list[NetmapUpdate] = list(
            (yield from self._change_peers(deltas.wanted, deltas.only, control_now, own))
        )
        updates += self._show_self(ourselves)
        if deltas.only is not None:
            self._repeated = deltas.repeated
        if not keep_alive:
            updates += self._change_profiles(profiles, first=first)
        updates += self._documents.settle(documents)
        return Changes(updates, keep_alive=keep_alive)

    def passing_time(self, wall: float) -> Generator[None, None, list[NetmapUpdate]]:
        """Mark the keys that have expired by `wall`, our wall clock in UNIX seconds, our own included.

        In slices: nothing shows before the end.
        """
        control_now = wall + self.clock_skew_s
        updates: list[NetmapUpdate] = list((yield from self._change_peers({}, None, control_now)))
        return [*updates, *self._show_self(self._expire_self(control_now))]

    def wall_clock(self, wall: float, boottime: float) -> None:
        """Our clocks now, UNIX and CLOCK_BOOTTIME seconds; call before each call with `wall`."""
        self._documents.wall_clock(wall, boottime)

    def next_expiry(self) -> float | None:
        """When to call `passing_time`, UNIX seconds of our wall clock; None: no key will expire."""
        node, soonest = self._ourselves.node, self._table.next_expiry()
        ours = None if node is None else expiry_of(node)
        if ours is not None:
            soonest = ours if soonest is None else min(ours, soonest)
        return None if soonest is None else soonest - self.clock_skew_s

    @property
    def self_node(self) -> NetmapNode | None:
        """Our own node; None before the first message."""
        return self._ourselves.node

    @property
    def self_machine_authorized(self) -> bool:
        """Whether the tailnet has admitted this machine."""
        return self._ourselves.machine_authorized

    @property
    def documents(self) -> Mapping[Document, bytes]:
        """Every document as JSON; b"" for none."""
        return self._documents.shown

    @property
    def domain(self) -> str:
        """The tailnet's display name."""
        return self._documents.domain

    @property
    def user_profiles(self) -> Mapping[int, Profile]:
        """The profiles to which a node of the netmap refers, by user id."""
        return self._profiles.shown

    @property
    def profiles_kept(self) -> int:
        """Number of profiles, shown or not."""
        return self._profiles.kept

    @property
    def control_time(self) -> str:
        """The server's last ControlTime, RFC 3339; "" for none."""
        return self._documents.control_time

    @property
    def clock_skew_s(self) -> float:
        """The server's wall clock minus ours in seconds, as far as proved; 0 while within SKEW_TOLERANCE."""
        return self._documents.clock_skew_s

    @property
    def quarantined(self) -> Mapping[str, str]:
        """Why a node's JSON could not be read, by stable id."""
        ourselves = self._ourselves
        if ourselves.node is None or ourselves.node.decoded:
            return self._table.quarantined
        return {**self._table.quarantined, ourselves.node.stable_id: ourselves.reason}

    @property
    def hidden(self) -> Mapping[str, int]:
        """Number of peers not shown, as another has their stable id; by stable id."""
        return self._table.hidden

    @property
    def figures(self) -> tuple[int, int, int, int, float]:
        """What is looked at after each message: peers, quarantined, hidden, messages left out, `clock_skew_s`."""
        table, documents = self._table, self._documents
        return len(table), len(self.quarantined), self._hidden, documents.left_out, documents.clock_skew_s

    @property
    def _hidden(self) -> int:
        return sum(self._table.hidden.values()) + self._repeated

    @property
    def statistics(self) -> Statistics:
        """Figures, each updated with the netmap."""
        table = self._table
        return Statistics(
            peers=len(table),
            online=table.online,
            unknown=table.unknown,
            quarantined=len(self.quarantined),
            hidden=self._hidden,
            suppressed=table.suppressed,
            ignored_unknown_ids=self._ignored,
            bad_patches=self._bad_patches,
            bad_profiles=self._profiles.bad,
            left_out=self._documents.left_out + self._profiles.left_out,
        )

    def pieces(self) -> list[bytes]:
        """The encoded pieces of all peers, in a list of its own."""
        return self._table.pieces()

    def peer(self, stable_id: str) -> NetmapNode | None:
        """The peer with this stable id, decoded from its JSON."""
        record = self._table.named(stable_id)
        return self._table.peer(record) if record is not None else None

    def _read_ahead(self, json: bytes, own: OwnNode | None) -> Record | None:
        return self._table.read_ahead(json, own)

    def _check_number(self, deltas: PeerDeltas) -> None:
        """Raises BadMapResponse for more than `max_peers`."""
        if deltas.only is None and len(self._table.keys()) + len(deltas.wanted) <= self._max_peers:
            return  # even if all are new
        number = deltas.peers_after()
        if number > self._max_peers:
            raise BadMapResponse(
                f"cannot apply MapResponse: it makes {number} peers, and limits.max_peers is {self._max_peers}"
            )

    def _change_peers(
        self,
        wanted: Mapping[int, Wanted | Record | None],
        only: set[int] | None,
        control_now: float,
        own: OwnNode | None = None,
    ) -> Generator[None, None, list[PeerUpsert | PeerRemoval]]:
        changes = len(wanted) + self._table.looks_at(own)
        if only is not None:
            changes += len(self._table.keys()) - len(only)
        changes += self._table.expiring(control_now, slices.LENGTH)
        if changes <= slices.LENGTH:
            # A copy costs more: it depends on the number of peers.
            return complete(self._table.change(wanted, only, control_now=control_now, own=own))
        table = self._table.copy()
        differences = yield from table.change(wanted, only, control_now=control_now, own=own)
        self._table = table
        return differences

    def _show_self(self, ourselves: _Ourselves) -> list[SelfUpdate]:
        old, self._ourselves = self._ourselves, ourselves
        return [SelfUpdate(ourselves.node)] if ourselves.node not in (None, old.node) else []

    def _expire_self(self, control_now: float) -> _Ourselves:
        node, expiry = self._ourselves.node, self._ourselves.expiry
        if node is None or expiry is None or node.expired == has_passed(expiry, control_now):
            return self._ourselves
        return _own(node.json, control_now)

    def _see_self(self, response: MapResponse, control_now: float) -> _Ourselves:
        """Our own node by this message; it shows when the peers do."""
        if response.keep_alive or not response.has_node:
            return self._expire_self(control_now)
        data = _with_legacy_capabilities(bytes(response.node))
        old = self._ourselves
        if old.node is not None and same_json(old.node.json, data):
            return self._expire_self(control_now)
        try:
            return _own(data, control_now)
        except Unreadable as e:
            node_id, stable_id = identify(data)
            node = quarantined_node(
                stable_id or (old.node.stable_id if old.node else f"id:{node_id or 0}"), node_id or 0, data
            )
            return _Ourselves(node, None, str(e), old.machine_authorized)

    def _change_profiles(self, profiles: list[Profile], *, first: bool) -> list[NetmapUpdate]:
        changed = self._profiles.change(
            profiles,
            first=first,
            self_user=self.self_node.user_id if self.self_node else 0,
            references=self._table.user_references,
            touched=self._table.users_touched,
        )
        self._table.users_touched.clear()
        return [changed] if changed else []


def _own(data: bytes, control_now: float) -> _Ourselves:
    """Our own node by its JSON and the clock. Raises Unreadable."""
    node = read_node(data)
    expiry = expiry_of(node)
    shown = marked_expired(node) if has_passed(expiry, control_now) else node
    return _Ourselves(shown, expiry, machine_authorized=node.machine_authorized)


def _with_legacy_capabilities(data: bytes) -> bytes:
    """Our own node with the legacy list Capabilities folded into CapMap (tailscale: map.go, self node only)."""
    if b'"Capabilities"' not in data:
        return data
    try:
        own = members(data)
        names = _NAMES.decode(own["Capabilities"])
        given = _VALUES.decode(own["CapMap"]) if "CapMap" in own else {}
        return with_members(data, {"CapMap": encode({**dict.fromkeys(names), **given})})
    except (KeyError, *REFUSALS):
        return data  # read_node decides
