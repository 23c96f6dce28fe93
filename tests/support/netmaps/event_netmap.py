"""The netmap and the trust in it that somebody has who only follows a subscriber's events; each must be a change."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from netmap_actors.subscriber.events import PeerRemoved, PeerUpserted, Snapshot, StateChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_actors.subscriber.events import Event


class EventNetmap:
    """Each peer by stable id, as its `cap`, and the state."""

    def __init__(self) -> None:
        self.peers: dict[str, int] = {}
        self.state = "none"
        self._begun = False

    def take(self, events: Sequence[Event]) -> None:
        """What one call gave. Raises AssertionError for an event that is no change, or has another state than told."""
        for event, following in itertools.zip_longest(events, events[1:]):
            self._take(event)
            # The other events of a commit carry its state already and come before the change of it.
            if following is None or (event.epoch, event.seq) != (following.epoch, following.seq):
                assert event.state == self.state, (
                    f"{event.kind} of {event.seq} is {event.state}: that was not told"
                )

    def _take(self, event: Event) -> None:
        match event:
            case Snapshot(netmap=netmap, state=state):
                assert not self._begun, "only the first event is a snapshot"
                self.peers, self.state = {key: peer.cap for key, peer in netmap.peers.items()}, state
            case PeerUpserted(peer=peer, previous=previous):
                old = self.peers.get(peer.stable_id)
                assert (previous is None) == (old is None)
                if previous is not None:
                    assert previous == {"cap": old}, "what changed, and its old value"
                    assert peer.cap != old
                self.peers[peer.stable_id] = peer.cap
            case PeerRemoved(peer=peer):
                assert self.peers.pop(peer.stable_id) == peer.cap
            case StateChanged(previous=before, state=state):
                assert before == self.state != state
                self.state = state
        self._begun = True
