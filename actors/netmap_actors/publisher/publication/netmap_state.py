"""What the publisher needs of a netmap: MapResponses in, encoded differences and encoded pieces out.

A port: the publication knows neither tailcfg nor how a netmap is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from netmap_actors.wire.topics import Kind

__all__ = ["MAX_UPDATES", "Applied", "NetmapFacts", "NetmapState", "Update"]

MAX_UPDATES = 500
"""Updates of one transaction that are sent one by one. Of a larger one only the commit goes out: its seq shows the
gap, and who follows asks for a snapshot, which costs less than that many messages and passes no high-water mark."""


class Update(NamedTuple):
    """One true difference."""

    kind: Kind
    body: bytes
    """The encoded message of the kind's field in BusMessage.body; b"" where there are more than MAX_UPDATES."""


class Applied(NamedTuple):
    """What one MapResponse did."""

    updates: list[Update]
    keep_alive: bool = False
    """It said only that the session lives."""


class NetmapFacts(NamedTuple):
    """Figures of the netmap for status."""

    peers: int = 0
    online: int = 0
    unknown: int = 0
    """Peers of which the server did not say whether they are online."""
    quarantined: int = 0
    """Peers whose JSON did not decode."""
    hidden: int = 0
    """Peers that are not shown, since another has their stable id or NodeID."""
    domain: str = ""
    self_name: str = ""
    self_stable_id: str = ""
    self_addresses: tuple[str, ...] = ()
    self_key_expiry: str = ""
    self_machine_authorized: bool = False


class NetmapState(Protocol):
    """The netmap of the publisher."""

    def applying(
        self, document: bytes, *, first: bool, now_text: str, unread: float = 0.0, waited: float = 0.0
    ) -> Generator[None, None, Applied]:
        """Take in one MapResponse; `first`: the first of a session that is no keep-alive, authoritative for everything.

        In slices: until its end, and when it is dropped before, the netmap is what it was. `now_text` is the wall clock
        in RFC 3339, `unread` and `waited` how many seconds ago the message came and was sent, at most. Raises
        BadMapResponse, with the netmap unchanged.
        """

    def passing_time(self, now_text: str) -> Generator[None, None, Applied]:
        """What becomes of the netmap by the clock alone: keys expire. In slices, and `now_text`, as for `applying`."""

    def peer_pieces(self) -> Sequence[bytes]:
        """Every peer as an encoded Peer, in a sequence that later changes leave alone."""

    def rest(self) -> bytes:
        """Everything but the peers and the numbers, as an encoded SnapshotChunk."""

    def facts(self) -> NetmapFacts:
        """Figures for status."""
