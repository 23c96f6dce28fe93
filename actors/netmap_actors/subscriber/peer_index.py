"""Finds peers by name, address, node key, tag and owner; the cost of a change does not depend on how many there are.

Names and addresses change hands: each entry belongs to one peer, and a peer that goes takes only its own along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.subscriber.naming import address_of
from netmap_actors.subscriber.peer import decoded_peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.wire import netmap_pb2

__all__ = ["PeerIndex"]

_NAME, _ADDRESS, _KEY, _TAG, _USER = range(5)


class PeerIndex:
    """Stable ids by what a peer is known by, each list in the order of arrival."""

    __slots__ = ("_owners",)

    def __init__(self) -> None:
        self._owners: dict[tuple[int, str | int], dict[str, None]] = {}

    def add(self, stable_id: str, piece: bytes) -> None:
        """Enter a peer, as its encoded Peer shows it."""
        for entry in _entries(piece):
            self._owners.setdefault(entry, {})[stable_id] = None

    def discard(self, stable_id: str, piece: bytes) -> None:
        """Take a peer out that was entered with this piece."""
        for entry in _entries(piece):
            owners = self._owners[entry]
            # Only our own entry: the address may belong to somebody new already.
            owners.pop(stable_id, None)
            if not owners:
                del self._owners[entry]

    def named(self, name: str) -> list[str]:
        """Those with this name, fully qualified or only its first label; case does not matter."""
        return self._of(_NAME, name.rstrip(".").lower())

    def addressed(self, address: str) -> list[str]:
        """Those that have this IP address. Raises ValueError for what is no address."""
        return self._of(_ADDRESS, address_of(address))

    def keyed(self, key: str) -> list[str]:
        """Those with this node key."""
        return self._of(_KEY, key)

    def tagged(self, tag: str) -> list[str]:
        """Those with this tag, with or without its "tag:"."""
        return self._of(_TAG, tag if tag.startswith("tag:") else f"tag:{tag}")

    def owned(self, user_id: int) -> list[str]:
        """Those this user owns."""
        return self._of(_USER, user_id)

    def _of(self, kind: int, value: str | int) -> list[str]:
        return list(self._owners.get((kind, value), ()))

    def __eq__(self, other: object) -> bool:
        """The same peers are found by the same things; the order of arrival is not compared."""
        return isinstance(other, PeerIndex) and self._owners == other._owners

    __hash__ = None  # type: ignore[assignment]


def _entries(piece: bytes) -> Iterator[tuple[int, str | int]]:
    """What a peer is found by, each once."""
    message = decoded_peer(piece)
    name = message.name.lower()
    for word in {name, name.partition(".")[0]} - {""}:
        yield _NAME, word
    for address in set(_addresses(message)):
        yield _ADDRESS, address
    if message.key:
        yield _KEY, message.key
    for tag in set(message.tags):
        yield _TAG, tag
    if message.user_id:
        yield _USER, message.user_id


def _addresses(message: netmap_pb2.Peer) -> Iterator[str]:
    for prefix in message.addresses:
        text = prefix.partition("/")[0]
        try:
            # There is only one way to write an IPv4 address, and writing it again takes most of the time.
            yield address_of(text) if ":" in text else text
        except ValueError:
            continue  # quarantined peers may hold anything; they are found by id
