"""The phases of a replica: what every event does in every one of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.subscriber.replica import ABSENCE_LIMIT, Phase
from netmap_actors.wire import netmap_pb2
from tests.support.netmaps.publishing import Follower, Server, full, node

W, B, A, C, D, K = Phase.WAITING, Phase.BEHIND, Phase.ASKED, Phase.CURRENT, Phase.DOUBTFUL, Phase.CHECKING
TABLE = {
    #                   W  B  A  C  D  K
    "commit":          (B, B, A, C, C, K),
    "lost_updates":    (B, B, A, B, B, K),
    "heartbeat":       (W, B, A, C, C, K),
    "old_heartbeat":   (W, B, A, D, D, K),
    "new_publisher":   (B, B, B, B, B, B),
    "answer":          (W, B, C, C, D, C),
    "old_answer":      (W, B, D, C, D, D),
    "no_netmap":       (W, B, W, C, D, W),
    "broken_answer":   (W, B, B, C, D, B),
    "nothing_due":     (W, B, A, C, D, K),
    "request_due":     (W, A, A, C, K, A),
}  # fmt: skip
"""The next phase, by event and phase."""
STEPS = {(phase, row[position]) for row in TABLE.values() for position, phase in enumerate(Phase)}


class Bus:
    """One publisher after another, and one replica."""

    def __init__(self) -> None:
        self.now = 10.0
        self.server = Server()
        self.number = 0
        self.follower = Follower(self.now)
        self.token = b""
        self.once_true: list[dict[str, bytes]] = [{}]

    def feed(self) -> list:
        self.number += 1
        first = not self.server.publication.seq
        peer = node(2, Cap=self.number)
        response = full(peer) if first else {"PeersChanged": [peer]}
        self.server.feed(response, self.now, number=1 if first else self.number)
        self.once_true.append(self.server.truth())
        return self.server.publication.take_outgoing()

    def do(self, event: str) -> Phase:
        self.now += 0.01
        replica = self.follower.replica
        match event:
            case "commit":
                self.follower.hear(self.feed(), self.now)
            case "lost_updates":
                self.follower.hear(self.feed()[-1:], self.now)
            case "heartbeat" | "old_heartbeat":
                beat = self.server.publication.heartbeat(self.now)
                self.now += ABSENCE_LIMIT if event == "old_heartbeat" else 0.0
                self.follower.hear([beat], self.now)
            case "new_publisher":
                self.server, self.number = Server(restarted=True), 0
                self.follower.hear([self.server.publication.heartbeat(self.now)], self.now)
            case "answer" | "old_answer":
                parts = list(self.server.publication.answer(self.token, 0, 0, lambda: self.now))
                self.now += ABSENCE_LIMIT if event == "old_answer" else 0.0
                self.receive(parts)
            case "no_netmap":
                self.receive(Server(restarted=True).publication.answer(self.token, 0, 0, lambda: self.now))
            case "broken_answer":
                self.receive([b"\xff"])
            case "nothing_due":
                replica.expire(min(self.now, replica._ask_at - 0.001))
            case "request_due":
                # In step nothing but the silence limit is due.
                self.now = max(self.now, replica.deadline() or self.now)
                replica.expire(self.now)
        for data in replica.to_send():
            self.token = netmap_pb2.Request.FromString(data).token
        return replica.phase

    def receive(self, parts) -> None:
        for part in parts:
            self.follower.events += self.follower.replica.receive_answer(part, self.now)


WAY = {
    W: ("request_due", "answer"),
    B: ("request_due", "answer", "lost_updates"),
    A: ("request_due", "answer", "lost_updates", "request_due"),
    C: ("request_due", "answer"),
    D: ("request_due", "answer", "old_heartbeat"),
    K: ("request_due", "answer", "old_heartbeat", "request_due"),
}


@pytest.mark.parametrize("event", TABLE)
@pytest.mark.parametrize("phase", Phase)
def test_every_event_in_every_phase(phase, event) -> None:
    bus = Bus()
    if phase is not W:
        bus.feed()
    for step in WAY[phase]:
        bus.do(step)
    assert bus.follower.replica.phase is phase
    assert bus.do(event) is TABLE[event][list(Phase).index(phase)]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(list(TABLE)), max_size=25))
def test_in_any_order_each_phase_has_the_request_and_the_timer_it_needs(history) -> None:
    bus = Bus()
    replica = bus.follower.replica
    for event in history:
        before = replica.phase
        after = bus.do(event)
        assert (replica._answer is not None) is (after in {A, K})
        assert (replica._ask_at == float("inf")) is (after in {W, C})
        assert not replica._pending or replica.synced
        assert (before, after) in STEPS
        assert bus.follower.pieces() in bus.once_true
