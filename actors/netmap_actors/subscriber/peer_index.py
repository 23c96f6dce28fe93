"""Finds peers by name, address, node key, tag and owner; a change costs the same however many there are.

Names and addresses change hands, so removing a peer removes only its own entries. Not here: which of those that are
found is meant (`naming`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.subscriber.naming import address_of, first_label, folded_name, host_address
from netmap_actors.subscriber.peer import decoded_peer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PeerIndex"]

_NAME, _LABEL, _ADDRESS, _KEY, _TAG, _USER = range(6)


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
            # Only its own entry: the address may belong to another peer by now.
            owners.pop(stable_id, None)
            if not owners:
                del self._owners[entry]

    def called(self, word: str) -> list[str]:
        """Those whose name, first label of it, address or node key this is, each once; strangers are among them."""
        try:
            found = self._of(_ADDRESS, address_of(word))
        except ValueError:
            found = []
        name = folded_name(word)
        found += self._of(_NAME, name) + self._of(_LABEL, name) + self._of(_KEY, word.lower())
        return list(dict.fromkeys(found))

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
    if message.name:
        yield _NAME, folded_name(message.name)
        yield _LABEL, first_label(message.name)
    for address in {host_address(prefix) for prefix in message.addresses}:
        if address is not None:  # whatever else stands there: the peer is found by its id
            yield _ADDRESS, address
    if message.key:
        yield _KEY, message.key.lower()
    for tag in set(message.tags):
        yield _TAG, tag
    if message.user_id:
        yield _USER, message.user_id
