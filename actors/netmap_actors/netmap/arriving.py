"""A large MapResponse while it comes in parts: it is put together, and the peers in it are read ahead.

Nothing of it is believed before it is whole and has passed the gate. A peer read ahead counts if its JSON turns out to
be one of the peers', byte for byte; where one begins is a guess, and a wrong guess costs time only.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final

from netmap_actors.boot import MAX_PEERS
from netmap_actors.netmap.model import Unreadable, read_node
from netmap_actors.netmap.own_node import OwnNode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netmap_actors.netmap.peer_table import Record

__all__ = ["ArrivingDocument"]

_SLICE: Final = 256 * 1024
"""Bytes looked through at a time: some milliseconds."""
_MAX_NODE: Final = 64 * 1024
"""Bytes of a peer's JSON that is read ahead."""
_FIRST: Final = b'{"ID":'
_BETWEEN: Final = b"}," + _FIRST
"""How Go ends a node and begins the next."""
_OWN: Final = re.compile(rb'"Node":(\{.*?\}),"(?:DERPMap|Peers)":')
"""Our own node, as Go writes it: before the relays, or the peers."""


class ArrivingDocument:
    """One document at a time. `read(json, own)` makes the record of a peer, None for one that need not be read."""

    def __init__(
        self, read: Callable[[bytes, OwnNode | None], Record | None], *, max_peers: int = MAX_PEERS
    ) -> None:
        self._read = read
        self._max_peers = max_peers
        self.forget()

    def forget(self) -> None:
        """Give up what came of a document, and the peers read ahead."""
        self._identity: object = None
        self._text = io.BytesIO()
        self._looked_at = 0
        self._left = b""
        """The end of what was looked at, where a node may have begun."""
        self._own: OwnNode | None = None
        self._ready: dict[int, Record] = {}

    def add(self, identity: object, offset: int, text: bytes, limit: int) -> None:
        """The next part of the document with this identity, which may have `limit` bytes; any other ends it."""
        if offset == 0:
            self.forget()
            self._identity = identity
        size = self._text.seek(0, io.SEEK_END)
        if identity != self._identity or offset != size or size + len(text) > limit:
            self.forget()
            return
        self._text.write(text)

    def complete(self, identity: object, passed_on: int, rest: bytes) -> bytes | None:
        """The whole document: `passed_on` bytes of it came as parts. None when these are not here.

        The peers read ahead stay for `ready`.
        """
        text, self._text = self._text, io.BytesIO()
        if passed_on == 0:
            return rest
        if identity != self._identity or text.seek(0, io.SEEK_END) != passed_on:
            self.forget()
            return None
        text.write(rest)
        return text.getvalue()

    @property
    def unread(self) -> bool:
        """Whether there is more to `look_ahead` at."""
        return self._text.seek(0, io.SEEK_END) > self._looked_at and len(self._ready) < self._max_peers

    def look_ahead(self) -> None:
        """Read some of the peers."""
        self._text.seek(self._looked_at)
        text = self._text.read(_SLICE)
        if self._looked_at == 0:
            self._own = _own_in(text)
        self._looked_at += len(text)
        _, *found = (self._left + text).split(_BETWEEN)
        if found:
            self._left = _BETWEEN + found.pop()
        elif self._looked_at == len(text):
            self._left = text[-len(_BETWEEN) :]
        else:
            self._left += text
        if len(self._left) > _MAX_NODE:
            self._left = self._left[-len(_BETWEEN) :]
        for node in found:
            if len(node) < _MAX_NODE:
                record = self._read(b"%b%b}" % (_FIRST, node), self._own)
                if record is not None and len(self._ready) < self._max_peers:
                    self._ready.setdefault(record.key, record)

    def ready(self, own: OwnNode | None) -> Mapping[int, Record]:
        """The peers read ahead, by NodeID; none if our identity is another than the document seemed to say."""
        ready, guessed = self._ready, self._own
        self.forget()
        return ready if own == guessed else {}


def _own_in(text: bytes) -> OwnNode | None:
    if (match := _OWN.search(text)) is None:
        return None
    try:
        return OwnNode.of(read_node(match[1]))
    except Unreadable:
        return None
