"""Publishers and replicas over a bus that loses anything: in the end all agree, and nobody ever saw what never was."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from netmap_actors.subscriber.events import Snapshot
from tests.support.netmaps.event_netmap import EventNetmap
from tests.support.netmaps.publishing import Follower, Server, full, node

FOLLOWERS = 3

peers = st.dictionaries(st.integers(2, 7), st.integers(0, 3), max_size=6)
step = st.one_of(
    st.tuples(st.just("full"), peers),
    st.tuples(st.just("delta"), peers),
    st.tuples(st.just("delta"), peers.filter(bool)),
    st.tuples(st.just("remove"), st.lists(st.integers(2, 7), max_size=3)),
    st.tuples(st.just("keep_alive"), st.none()),
    st.tuples(st.just("gap"), st.none()),
    st.tuples(st.just("ended"), st.none()),
    st.tuples(st.just("publisher_dies"), st.none()),
    st.tuples(st.just("wait"), st.floats(0.01, 130.0)),
    st.tuples(st.just("heartbeat"), st.none()),
)
# Which of the messages of one step each follower loses: a mask that is used again and again.
losses = st.lists(st.booleans(), min_size=1, max_size=5)


class Run:
    def __init__(self, ring: int) -> None:
        self.now = 100.0
        self.ring = ring
        self.server = Server(ring=ring)
        self.followers = [Follower(self.now) for _ in range(FOLLOWERS)]
        self.generation, self.session, self.number = 1, 0, 0
        self.once_true: list[dict[str, bytes]] = [{}]

    def send(self, response: dict) -> None:
        self.number += 1
        self.server.feed(response, self.now, self.generation, self.session, self.number)

    def begin(self, response: dict) -> None:
        self.session, self.number = self.session + 1, 0
        self.send(response)

    def do(self, action: str, value) -> None:
        if self.session == 0 and action in {"delta", "remove", "keep_alive", "gap"}:
            return
        match action:
            case "full":
                self.begin(full(*(node(i, Cap=cap) for i, cap in value.items())))
            case "delta":
                self.send({"PeersChanged": [node(i, Cap=cap) for i, cap in value.items()]})
            case "remove":
                self.send({"PeersRemoved": value})
            case "keep_alive":
                self.send({"KeepAlive": True})
            case "gap":
                self.number += 1
            case "ended":
                self.server.publication.session_ended(self.generation, self.now)
                self.generation, self.session = self.generation + 1, 0
            case "publisher_dies":
                self.server = Server(restarted=True, ring=self.ring)
                self.server.publication.connection_started(self.generation, self.now)
            case "wait":
                self.now += value
        self.server.publication.expire(self.now)
        truth = self.server.truth()
        if truth != self.once_true[-1]:
            self.once_true.append(truth)

    def deliver(self, lost: list[list[bool]], *, heartbeat: bool) -> None:
        out = self.server.publication.take_outgoing()
        if heartbeat:
            out = [*out, self.server.publication.heartbeat(self.now)]
        for follower, mask in zip(self.followers, lost, strict=True):
            follower.hear((m for i, m in enumerate(out) if not mask[i % len(mask)]), self.now)
            follower.ask(self.server.publication, self.now, lose=mask[0])

    def check(self) -> None:
        for follower in self.followers:
            assert follower.pieces() in self.once_true, "a netmap was shown that never was"


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(step, st.lists(losses, min_size=FOLLOWERS, max_size=FOLLOWERS), st.booleans()), max_size=25
    ),
    st.sampled_from([0, 600, 1 << 20]),
)
def test_whatever_is_lost_replicas_end_equal_and_never_show_what_never_was(history, ring) -> None:
    run = Run(ring)
    for (action, value), lost, heartbeat in history:
        run.do(action, value)
        run.deliver(lost, heartbeat=heartbeat or action == "heartbeat")
        run.check()
    # The faults end: the connection comes back with a whole netmap, and nothing is lost any more.
    run.generation, run.session = run.generation + 1, 0
    run.do("full", {2: 1, 5: 2})
    for _ in range(12):
        run.now += 1.0
        run.do("keep_alive", None)
        run.deliver([[False]] * FOLLOWERS, heartbeat=True)
        run.check()
    for follower in run.followers:
        assert follower.pieces() == run.server.truth()
        assert follower.replica.synced
        assert follower.replica.state(run.now) == "fresh"
        assert (follower.replica.epoch, follower.replica.seq) == (
            run.server.publication.epoch,
            run.server.publication.seq,
        )
        told = EventNetmap()
        told.take(follower.events)
        assert told.peers == {key: peer.cap for key, peer in follower.replica.netmap.peers.items()}
        assert told.state == "fresh"
        assert isinstance(follower.events[0], Snapshot)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(step, losses), max_size=20))
@example([(("full", {}), [False]), (("wait", 25.0), [False]), (("wait", 101.0), [False, True])])
def test_what_a_follower_is_told_of_the_state_is_what_it_shows(history) -> None:
    run = Run(1 << 20)
    follower = run.followers[0]
    for (action, value), lost in history:
        run.do(action, value)
        run.deliver([lost] * FOLLOWERS, heartbeat=True)
        states = [event.state for event in follower.events]
        shown = follower.replica.state(run.now)
        assert (states[-1] if states else "none") == shown
        if shown == "fresh":
            assert follower.replica.age(run.now) < 120.0 + 6.0
