"""A publication, replicas of it and a bus that loses chosen messages, all in one thread without a clock."""

from __future__ import annotations

import itertools
import json

from netmap_actors.publisher.publication.core import Publication
from netmap_actors.publisher.publication.tailnet_netmap import TailnetNetmap
from netmap_actors.subscriber.replica import Replica
from netmap_actors.web_url import UrlPolicy
from netmap_actors.wire.internal_pb2 import MapResponseReceived
from netmap_actors.wire.topics import Kind
from tests.support.netmaps.netmap_replica import moment

SELF = {"ID": 1, "StableID": "self", "Name": "self.example.", "User": 1, "Key": "nodekey:" + "1" * 64}
SILENCE = 120.0
RING = 1 << 20

WALL = moment("2026-11-23T00:00:00Z")
"""What our wall clock shows, UNIX seconds."""


def node(number: int, **fields) -> dict:
    return {
        "ID": number,
        "StableID": f"n{number}",
        "Name": f"node{number}.example.",
        "User": 1,
        "Key": "nodekey:" + f"{number:064x}",
        "Addresses": [f"100.64.{number // 250}.{number % 250}/32"],
        "Online": True,
    } | fields


def full(*peers: dict, **fields) -> dict:
    return {"Node": SELF, "Peers": list(peers), "Domain": "example.com"} | fields


class Server:
    """A publisher process: gives a Publication its MapResponses with the right identity."""

    epochs = itertools.count(1000)

    def __init__(
        self, *, restarted: bool = False, ring: int = RING, silence: float = SILENCE, **netmap: int
    ) -> None:
        self.publication = Publication(
            TailnetNetmap(UrlPolicy(), **netmap),
            epoch=next(self.epochs),
            silence_limit=silence,
            ring_bytes=ring,
            restarted=restarted,
        )

    def feed(
        self,
        response: dict,
        now: float,
        generation: int = 1,
        session: int = 1,
        number: int = 1,
        *,
        received_at: float | None = None,
    ) -> bool:
        return self.feed_bytes(
            json.dumps(response).encode(),
            now,
            generation,
            session,
            number,
            keep_alive=bool(response.get("KeepAlive")),
            received_at=received_at,
        )

    def feed_bytes(
        self,
        document: bytes,
        now: float,
        generation: int = 1,
        session: int = 1,
        number: int = 1,
        *,
        keep_alive: bool = False,
        received_at: float | None = None,
        wall: float = WALL,
    ) -> bool:
        header = MapResponseReceived(
            generation=generation,
            session=session,
            number=number,
            received_at=now if received_at is None else received_at,
            size=len(document),
            keep_alive=keep_alive,
        )
        return self.publication.map_response(header, document, now, wall)

    def truth(self) -> dict[str, bytes]:
        """Every peer as it is encoded, by stable id."""
        from netmap_actors.subscriber.changes import stable_id_of

        return {stable_id_of(piece): piece for piece in self.publication._netmap.peer_pieces()}


class Follower:
    """A replica with its events and the requests it made."""

    def __init__(
        self,
        now: float = 0.0,
        kinds: frozenset[Kind] = frozenset(Kind),
        check_interval: float | None = None,
    ) -> None:
        tokens = itertools.count(1)
        self.replica = Replica(
            jitter=lambda: 0.5,
            token=lambda: next(tokens).to_bytes(8, "big"),
            kinds=kinds,
            check_interval=check_interval,
        )
        self.replica.start(now)
        self.events: list = []

    def hear(self, messages, now: float) -> None:
        for message in messages:
            self.events += self.replica.receive(message.topic, message.message, now)

    def ask(self, publication: Publication, now: float, lose: bool = False) -> int:
        """Let time reach `now` and carry the requests and their answers; how many there were."""
        from netmap_actors.wire import netmap_pb2

        self.events += self.replica.expire(now)
        requests = self.replica.to_send()
        for data in requests:
            if lose:
                continue
            request = netmap_pb2.Request.FromString(data)
            for part in publication.answer(request.token, request.epoch, request.seq, lambda: now):
                self.events += self.replica.receive_answer(part, now)
        return len(requests)

    def pieces(self) -> dict[str, bytes]:
        return dict(self.replica._contents.peers)
