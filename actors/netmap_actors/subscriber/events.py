"""The events of `watch --json`: a snapshot first, then one per true change of the netmap. An event never changes.

Kinds are checked where a program names them: a misspelt one would wait for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args

import msgspec

from netmap_actors.errors import escape
from netmap_actors.subscriber.netmap_view import Netmap  # noqa: TC001 - inspect reads the annotations of structs
from netmap_actors.subscriber.peer import Peer, UserProfile  # noqa: TC001
from netmap_actors.wire.topics import Kind
from netmap_actors.wire.vocabulary import Trust  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "EVENT_KINDS",
    "DocumentChanged",
    "DomainChanged",
    "Event",
    "EventKind",
    "PeerRemoved",
    "PeerUpserted",
    "SelfChanged",
    "Snapshot",
    "StateChanged",
    "UserProfilesChanged",
    "checked",
    "words",
]

EventKind = Literal[
    "peer_upserted",
    "peer_removed",
    "self_changed",
    "dns_changed",
    "packet_filter_changed",
    "derp_map_changed",
    "user_profiles_changed",
    "ssh_policy_changed",
    "domain_changed",
    "health_changed",
    "settings_changed",
    "state_changed",
]
"""What `Event.kind` is, besides "snapshot": the topics of the bus but those of its own (`wire.topics.Kind`)."""
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)


def words(given: Iterable[str], what: str) -> tuple[str, ...]:
    """What is given as several words. Raises ValueError for one text, which would be read letter by letter."""
    if isinstance(given, str):
        raise ValueError(  # noqa: TRY004  # as for every other wrong value
            f"cannot use the text {escape(given, 50)!r} as {what}: give a list, [{escape(given, 50)!r}]"
        )
    return tuple(given)


def checked(kinds: Iterable[str], known: Collection[str] = EVENT_KINDS) -> tuple[EventKind, ...]:
    """The kinds as they are. Raises ValueError, whose text has the right ones, for any other and for one text."""
    found = words(kinds, "kinds")
    for kind in found:
        if kind not in known:
            import difflib  # noqa: PLC0415  # only for a mistake

            near = difflib.get_close_matches(str(kind), known, 1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"cannot follow events of kind {escape(str(kind), 50)!r}: {meant}there are {', '.join(known)}"
            )
    return cast("tuple[EventKind, ...]", found)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What every event carries."""

    kind: ClassVar[str] = ""
    epoch: int
    """The publisher process; 0 before one was heard."""
    seq: int
    """The commit this event belongs to."""
    state: Trust
    """none, fresh or stale, after the event."""
    age_s: float | None
    """Seconds since the last complete MapResponse."""

    def to_json(self) -> dict[str, Any]:
        """One line of `watch --json` as plain values."""
        return {
            "type": self.kind,
            "epoch": self.epoch,
            "seq": self.seq,
            "state": str(self.state),
        } | self._details()

    def _details(self) -> dict[str, Any]:
        return {}


class Snapshot(Event, frozen=True, kw_only=True):
    """The whole netmap; what follows are changes of it."""

    kind: ClassVar[str] = "snapshot"
    netmap: Netmap

    def head_json(self) -> dict[str, Any]:
        """Everything but the netmap as plain values."""
        return {"state": str(self.state), "age_s": self.age_s, "epoch": self.epoch, "seq": self.seq}

    def _details(self) -> dict[str, Any]:
        return {"age_s": self.age_s, "netmap": self.netmap.to_json()}


class _NodeChanged(Event, frozen=True, kw_only=True):
    previous: dict[str, Any] | None
    """Old values of what changed, by field; None when there was no node before."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the fields that changed; empty when there was no node before."""
        return tuple(self.previous or ())

    def _changes(self) -> dict[str, Any]:
        details: dict[str, Any] = {"changed": list(self.changed)}
        return details if self.previous is None else details | {"previous": self.previous}


class PeerUpserted(_NodeChanged, frozen=True, kw_only=True):
    """A peer is new, or something of it changed."""

    kind: ClassVar[str] = Kind.PEER_UPSERTED.value
    peer: Peer

    @property
    def is_new(self) -> bool:
        """The peer was not in the netmap before."""
        return self.previous is None

    def _details(self) -> dict[str, Any]:
        return {"peer": self.peer.to_json()} | self._changes()


class PeerRemoved(Event, frozen=True, kw_only=True):
    """A peer is gone."""

    kind: ClassVar[str] = Kind.PEER_REMOVED.value
    peer: Peer
    """As it was last."""

    def _details(self) -> dict[str, Any]:
        return {"stable_id": self.peer.stable_id, "id": self.peer.id, "name": self.peer.name}


class SelfChanged(_NodeChanged, frozen=True, kw_only=True):
    """Our own node changed."""

    kind: ClassVar[str] = Kind.SELF_CHANGED.value
    node: Peer | None

    def _details(self) -> dict[str, Any]:
        node = self.node.to_json() if self.node is not None else None
        return {"self": node} | self._changes()


class DocumentChanged(Event, frozen=True, kw_only=True):
    """A value that is replaced as a whole: DNS, packet filter, DERP map, SSH policy, health, settings."""

    document: str
    """Its name: dns, packet_filter, derp_map, ssh_policy, health, settings."""
    value: Any
    previous: Any

    @property
    def kind(self) -> str:  # type: ignore[override]
        """ "dns_changed" and so on."""
        return f"{self.document}_changed"

    def _details(self) -> dict[str, Any]:
        return {
            self.document: self.value,
            "changed": [self.document],
            "previous": {self.document: self.previous},
        }


class UserProfilesChanged(Event, frozen=True, kw_only=True):
    """Users came, changed or went."""

    kind: ClassVar[str] = Kind.USER_PROFILES_CHANGED.value
    upserted: tuple[UserProfile, ...]
    removed: tuple[UserProfile, ...]

    def _details(self) -> dict[str, Any]:
        return {
            "upserted": [profile.to_json() for profile in self.upserted],
            "removed": [profile.to_json() for profile in self.removed],
        }


class DomainChanged(Event, frozen=True, kw_only=True):
    """The tailnet has another name."""

    kind: ClassVar[str] = Kind.DOMAIN_CHANGED.value
    domain: str
    previous: str

    def _details(self) -> dict[str, Any]:
        return {"domain": self.domain, "changed": ["domain"], "previous": {"domain": self.previous}}


class StateChanged(Event, frozen=True, kw_only=True):
    """The netmap can be trusted more, or less, than before."""

    kind: ClassVar[str] = Kind.STATE_CHANGED.value
    previous: Trust
    reason: str
    """The publisher's: session_started, session_ended, silence, gap, received, bad_map_response,
    publisher_stopped. Seen here:
    publisher_restarted, publisher_silent, behind, caught_up."""

    def _details(self) -> dict[str, Any]:
        return {
            "age_s": self.age_s,
            "reason": self.reason,
            "changed": ["state"],
            "previous": {"state": str(self.previous)},
        }
