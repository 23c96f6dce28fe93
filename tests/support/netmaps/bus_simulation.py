"""A publisher and its subscribers over a bus in simulated time: marks, stops, kills, late answers, rare polls.

The pure parts are the product's own; sockets, processes and clocks are simulated. All randomness is from one seed.
"""

from __future__ import annotations

import collections
import random
from typing import TYPE_CHECKING

from netmap_actors.publisher.publication.repeats import Repeats
from netmap_actors.subscriber.replica import SILENCE_LIMIT, Replica
from netmap_actors.wire import netmap_pb2
from tests.support.netmaps.event_netmap import EventNetmap
from tests.support.netmaps.publishing import SILENCE, Server, full, node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.publisher.publication.ring import Published

HEARTBEAT = 2.0
MARK = 12
"""Messages a subscriber's queue holds; what comes after is lost."""
TICK = 0.05
PERIODS = (0.0, 0.0, 0.0, 1.0, 4.0, 6.0, 7.0, 30.0)
"""Seconds between two polls of a subscriber; 0: it waits for its sockets."""


class Client:
    """A subscriber process: its queues, and the replica that is gone when it is killed."""

    def __init__(self, sim: Simulation, name: int) -> None:
        self._sim = sim
        self.name = name
        self.lives = 0
        self.start()

    def start(self) -> None:
        """A new process."""
        rng = self._sim.rng
        self.lives += 1
        self.stopped = False
        self.period = 0.0
        self.poll_at = 0.0
        self.updates: collections.deque = collections.deque()
        self.answers: collections.deque[bytes] = collections.deque()
        self.told = EventNetmap()
        self.seen: list[tuple[int, int]] = []
        self.replica = Replica(jitter=rng.random, token=lambda: rng.randbytes(8))
        self.replica.start(self._sim.now)
        self._sim.greet()

    def publish(self, message) -> None:
        """What ZeroMQ does: keep it in order, or lose it."""
        if len(self.updates) < MARK:
            self.updates.append(message)

    def turn(self, most: int) -> None:
        """Let the process run: some of what waits for it, from either socket, in any order between them."""
        sim = self._sim
        self.check_trust()
        if self.stopped or sim.now < self.poll_at:
            return
        self.poll_at = sim.now + self.period
        for _ in range(most):
            if self.answers and (not self.updates or sim.rng.random() < 0.5):
                self.told.take(self.replica.receive_answer(self.answers.popleft(), sim.now))
            elif self.updates:
                message = self.updates.popleft()
                self.told.take(self.replica.receive(message.topic, message.message, sim.now))
            else:
                break
            self.check()
        deadline = self.replica.deadline()
        if deadline is not None and deadline <= sim.now:
            self.told.take(self.replica.expire(sim.now))
        assert self.told.state == self.replica.state(sim.now), "the trust that was told is another"
        for data in self.replica.to_send():
            sim.requests.append((self, self.lives, data))
        self.check()

    def check_trust(self) -> None:
        """Fresh is only what the publisher said to be the newest, and fresh, less than the limit ago."""
        at, now = (self.replica.epoch, self.replica.seq), self._sim.now
        if self.replica.state(now) == "fresh":
            assert now < self._sim.proved.get(at, 0.0) + SILENCE_LIMIT + 1e-6, (
                f"{at} is fresh {now - self._sim.proved.get(at, 0.0):g} s after its publisher last said so"
            )

    def check(self) -> None:
        """What is shown was true and is what the events told, and never older than what was shown before."""
        self.check_trust()
        replica = self.replica
        if not replica.has_netmap:
            return
        at = (replica.epoch, replica.seq)
        shown = {key: peer.cap for key, peer in replica.netmap.peers.items()}
        assert self.told.peers == shown, f"told is another netmap than {at}"
        assert dict(replica._contents.peers) == self._sim.truth_at[at], (
            f"a netmap that never was, said to be {at}"
        )
        if not self.seen or self.seen[-1] != at:
            assert not self.seen or self.seen[-1] < at, f"back in time: {self.seen[-1]} to {at}"
            self.seen.append(at)


class Simulation:
    """One history. `run` makes it; everything is asserted on the way."""

    def __init__(self, seed: int, clients: int = 3) -> None:
        self.rng = random.Random(seed)
        self.now = 1000.0
        self.ring = self.rng.choice([0, 800, 1 << 20])
        self.silence = self.rng.choice([15.0, SILENCE])
        self.generation, self.session, self.number = 1, 0, 0
        self.truth_at: dict[tuple[int, int], dict[str, bytes]] = {}
        self.proved: dict[tuple[int, int], float] = {}
        """When a commit was last the newest of a publisher that could say fresh of it."""
        self.requests: list[tuple[Client, int, bytes]] = []
        self.late = 0.0
        """Seconds an answer is on its way."""
        self._flying: list[tuple[float, Client, int, list[bytes]]] = []
        self.frozen = False
        """The publisher process is stopped: what comes waits for it."""
        self._unread: list[tuple[dict, float, int, int, int]] = []
        self._repeats = Repeats()
        self._beat_at = self.now + HEARTBEAT
        self.server = Server(ring=self.ring, silence=self.silence)
        self.alive = True
        self.clients = [Client(self, number) for number in range(clients)]

    def greet(self) -> None:
        """A subscriber connected: the publisher repeats its last commit soon."""
        self._repeats.subscriber_came(self.now)

    def run(self, steps: int) -> float:
        """Make a history, end every fault, and let it come to rest; the simulated seconds that took."""
        for _ in range(steps):
            self.random_step()
            self.tick(self.rng.choice([0.0, 0.0, 0.01, TICK, 0.3, 1.7, 7.0]), self.rng.choice([1, 3, 50]))
        if not self.alive:
            self.restart()
        self.thaw()
        self.late = 0.0
        self._flying = [(self.now, *rest) for _, *rest in self._flying]
        for client in self.clients:
            client.stopped, client.period, client.poll_at = False, 0.0, 0.0
        self.begin_session()
        took = self.rest()
        # And a change after that is one more step for every subscriber, without a fault and without a detour in time.
        self.feed({"PeersChanged": [node(9, Cap=self.rng.randrange(100, 1000))]})
        return max(took, self.rest())

    def rest(self) -> float:
        """Simulated seconds until every subscriber holds the publisher's netmap."""
        began = self.now
        while not all(self.converged(client) for client in self.clients):
            self.tick(TICK, 50)
            assert self.now < began + 10.0, [self.told(client) for client in self.clients]
        return self.now - began

    def random_step(self) -> None:
        rng = self.rng
        client = rng.choice(self.clients)
        match rng.choices(
            [
                "burst",
                "delta",
                "remove",
                "keep",
                "session",
                "ended",
                "gap",
                "stop",
                "cont",
                "kill",
                "die",
                "restart",
                "freeze",
                "thaw",
                "period",
                "late",
            ],
            [2, 8, 3, 2, 1, 1, 0.5, 2, 3, 1, 0.7, 1.5, 0.7, 1.5, 2, 1],
        )[0]:
            case "burst":
                for _ in range(rng.randrange(5, 40)):
                    self.change()
            case "delta":
                self.change()
            case "remove":
                self.feed({"PeersRemoved": rng.sample(range(2, 9), 2)})
            case "keep":
                self.feed({"KeepAlive": True})
            case "session":
                self.begin_session()
            case "ended" if self.alive and not self.frozen:
                self.server.publication.session_ended(self.generation, self.now)
                self.generation, self.session = self.generation + 1, 0
            case "gap":
                self.number += 1
            case "stop":
                client.stopped = True
            case "cont":
                client.stopped = False
            case "kill":
                client.start()
            case "die":
                self.alive = self.frozen = False
                self._unread.clear()
            case "restart" if not self.alive:
                self.restart()
            case "freeze":
                self.frozen = self.alive
            case "thaw":
                self.thaw()
            case "period":
                client.period = rng.choice(PERIODS)
                client.poll_at = self.now
            case "late":
                self.late = rng.choice([0.0, 0.0, 0.4, 3.0, 8.0])

    def thaw(self) -> None:
        """The publisher process goes on, and reads what waited for it."""
        self.frozen = False
        unread, self._unread = self._unread, []
        for response, at, *identity in unread:
            self.server.feed(response, self.now, *identity, received_at=at)
            self.flush()

    def restart(self) -> None:
        """Another publisher process; connected subscribers reconnect by themselves."""
        self.alive, self._repeats = True, Repeats()
        self.server = Server(restarted=True, ring=self.ring, silence=self.silence)
        self.server.publication.connection_started(self.generation, self.now)
        self.requests.clear()
        self.greet()

    def begin_session(self) -> None:
        self.session, self.number = self.session + 1, 0
        peers = self.rng.sample(range(2, 9), self.rng.randrange(7))
        self.feed(full(*(node(i, Cap=self.rng.randrange(4)) for i in peers)))

    def change(self) -> None:
        changed = self.rng.sample(range(2, 9), self.rng.randrange(1, 4))
        self.feed({"PeersChanged": [node(i, Cap=self.rng.randrange(4)) for i in changed]})

    def feed(self, response: dict) -> None:
        if self.session == 0 and "Node" not in response:
            return
        self.number += 1
        if not self.alive:
            return
        if self.frozen:
            self._unread.append((response, self.now, self.generation, self.session, self.number))
            return
        self.server.feed(response, self.now, self.generation, self.session, self.number)
        self.flush()

    def flush(self) -> None:
        """What the publisher has to say goes to every queue."""
        publication = self.server.publication
        out = publication.take_outgoing()
        if out:
            self._repeats.committed(self.now)
            self.truth_at[publication.epoch, publication.seq] = self.server.truth()
            self._witness(self.now)
        for message in out:
            self.publish(message)

    def tick(self, seconds: float, most: int) -> None:
        """Time passes, and every process that can run runs."""
        began = self.now
        self._witness(began)
        self.now += seconds
        if self.alive and not self.frozen:
            fresh_until = (self.server.publication.last_received_at or 0.0) + self.silence
            if began < fresh_until:
                self._witness(began, min(self.now, fresh_until))
            # After a stop everything is due at once, in any order.
            turns = [self._expire, self._beat, self._answer]
            self.rng.shuffle(turns)
            for turn in turns:
                turn()
            self.flush()
        while self.now >= self._beat_at:
            self._beat_at += HEARTBEAT
        while self._flying and self._flying[0][0] <= self.now:
            _, client, life, parts = self._flying.pop(0)
            if client.lives == life:
                client.answers += parts
        for client in self.clients:
            client.turn(most)

    def _witness(self, at: float, until: float = 0.0) -> None:
        """If the publisher can say at `at` that what it has is fresh, it could until `until`."""
        publication = self.server.publication
        if self.alive and not self.frozen and publication.state(at) == netmap_pb2.NETMAP_STATE_FRESH:
            self.proved[publication.epoch, publication.seq] = max(at, until)

    def _expire(self) -> None:
        self.server.publication.expire(self.now)
        self.flush()

    def _beat(self) -> None:
        repeat = self._repeats.expire(self.now)
        if repeat or self.now >= self._beat_at:
            beat = self.server.publication.heartbeat(self.now)
            self.flush()
            self.publish(beat)

    def _answer(self) -> None:
        for client, life, data in self._take_requests():
            request = netmap_pb2.Request.FromString(data)
            if client.lives == life:
                parts = list(
                    self.server.publication.answer(
                        request.token, request.epoch, request.seq, lambda: self.now
                    )
                )
                for part in parts:
                    self._demand_truth(netmap_pb2.Reply.FromString(part))
                self._flying.append((self.now + self.late, client, life, parts))

    def publish(self, message: Published) -> None:
        """To every queue."""
        self._demand_truth(netmap_pb2.BusMessage.FromString(message.message))
        for client in self.clients:
            client.publish(message)

    def _demand_truth(self, said: netmap_pb2.BusMessage | netmap_pb2.Reply) -> None:
        """Nothing that leaves the publisher says fresh of what is older than the limit."""
        assert said.state != netmap_pb2.NETMAP_STATE_FRESH or said.age_s < self.silence, said

    def _take_requests(self) -> Iterator[tuple[Client, int, bytes]]:
        taken, self.requests = self.requests, []
        return iter(taken)

    def converged(self, client: Client) -> bool:
        publication, replica = self.server.publication, client.replica
        return (
            (replica.epoch, replica.seq) == (publication.epoch, publication.seq)
            and replica.synced
            and replica.state(self.now) == "fresh"
            and dict(replica._contents.peers) == self.server.truth()
        )

    def told(self, client: Client) -> str:
        replica = client.replica
        return (
            f"{client.name}: {replica.epoch}/{replica.seq} synced={replica.synced} {replica.state(self.now)}"
        )
