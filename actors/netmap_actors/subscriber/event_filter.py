"""Events of some kinds or some nodes, for `watch --peer` and /events?peer=: nodes are followed, not their names.

The node that a word means at first is followed through its renames until it is gone or another takes the name, which is
followed then. So no change of it is missed, and the stable id in every event tells them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.subscriber.events import PeerRemoved, PeerUpserted, SelfChanged, Snapshot, checked, words
from netmap_actors.subscriber.naming import AmbiguousName, NoSuchNode

if TYPE_CHECKING:
    from collections.abc import Collection

    from netmap_actors.subscriber.events import Event
    from netmap_actors.subscriber.netmap_view import Netmap
    from netmap_actors.subscriber.peer import Peer

__all__ = ["EventFilter"]


class EventFilter:
    """Needs every event, in order, from a Snapshot on."""

    def __init__(self, kinds: Collection[str] = (), nodes: Collection[str] = ()) -> None:
        """`kinds`: only events of these. `nodes`: only changes of the nodes these words mean (`naming`). Empty: all.

        Raises ValueError for a kind that is none, and for a text where a list is meant.
        """
        self._kinds = frozenset(checked(kinds))
        self._followed = [_Followed(word) for word in words(nodes, "nodes")]

    def passes(self, event: Event) -> bool:
        """Whether it is wanted. The Snapshot always is.

        Raises AmbiguousName for the first Snapshot in which a word means several nodes.
        """
        if isinstance(event, Snapshot):
            for one in self._followed:
                one.begin(event.netmap)
            return True
        # Every word takes in every event, also one of a kind that is not wanted.
        concerned = [one.concerns(event) for one in self._followed]
        return (not self._kinds or event.kind in self._kinds) and (not concerned or any(concerned))


class _Followed:
    """The node behind one word."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._begun = False
        self._called: set[str] = set()
        """Stable ids of the nodes with that name: one, or more where others took it later."""
        self._before: set[str] = set()
        """Those that had the name last, while no node has it."""

    def begin(self, netmap: Netmap) -> None:
        try:
            called = {netmap.resolve(self._word).stable_id}
        except NoSuchNode:
            called = set()
        except AmbiguousName as error:
            if not self._begun:
                raise
            called = {node.stable_id for node in error.candidates}
        self._begun = True
        known = self._called | self._before
        self._called = called
        self._before = set() if called else {one for one in known if netmap.has(one)}

    def concerns(self, event: Event) -> bool:
        match event:
            case PeerUpserted(peer=node):
                return self._is_now(node)
            case SelfChanged(node=node) if node is not None:
                return self._is_now(node)
            case PeerRemoved(peer=node):
                followed = node.stable_id in self._called | self._before
                self._called.discard(node.stable_id)
                self._before.discard(node.stable_id)
                return followed
            case _:
                return False

    def _is_now(self, viewed: Peer) -> bool:
        node = viewed.held()
        followed = node.stable_id in self._called | self._before
        if node.is_called(self._word):
            self._called.add(node.stable_id)
            self._before.clear()
            return True
        if node.stable_id in self._called:
            self._called.discard(node.stable_id)
            if not self._called:
                self._before = {node.stable_id}
        return followed
