"""Peers, events and reports for tests of what is shown."""

from __future__ import annotations

from typing import Any

from netmap_actors.subscriber import Netmap, Peer, PeerUpserted, Snapshot
from netmap_actors.subscriber.netmap_view import Contents
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.status import (
    ActorStatus,
    ConnectionStatus,
    ControlStatus,
    LastEnd,
    LivenessStatus,
    NetmapStatus,
    StatusReport,
)

EVIL = "\x1b[31mred\u202e[bold]x[/bold]\r\n"
"""What a peer's name must not do to a terminal."""


OWN_SUFFIX = "example.ts.net"
"""What the names of our own tailnet end with."""


class SteppedClock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def boottime(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_767_323_045.0 + self.now


def peer(**fields: Any) -> Peer:
    given: dict[str, Any] = {
        "stable_id": "n1",
        "id": 1,
        "name": "web-1.example.ts.net",
        "addresses": ["fd7a::1/128", "100.64.0.1/32"],
        "decoded": True,
        "json": b"{}",
    }
    return Peer(netmap_pb2.Peer(**(given | fields)).SerializeToString(), {}, OWN_SUFFIX)


def upserted(shown: Peer, previous: dict[str, Any] | None = None, state: str = "fresh") -> PeerUpserted:
    return PeerUpserted(epoch=1, seq=2, state=state, age_s=1.0, peer=shown, previous=previous)


def snapshot(
    *peers: Peer, state: str = "fresh", domain: str = "example.ts.net", own: Peer | None = None
) -> Snapshot:
    contents = Contents()
    for one in peers:
        contents.upsert(one.stable_id, one._piece)
    contents.domain = domain
    contents.self_node = b"" if own is None else own._piece
    return Snapshot(epoch=1, seq=1, state=state, age_s=2.0, netmap=Netmap(contents))


def report(
    state: str = "fresh", connection: str = "map_session", *, last_end: str = "", **fields: Any
) -> StatusReport:
    ended = LastEnd(
        reason=last_end, stage="connect", detail=f"cannot connect: {EVIL}", at="now", generation=1
    )
    given: dict[str, Any] = {"attempts": 3, "auth_url": None, "next_attempt_s": None, "actors": ()}
    given |= fields
    return StatusReport(
        version="0",
        pid=4711,
        uptime_s=5.0,
        control=ControlStatus(url="https://hs.example.com", embedded=False, server_key="mkey:aa"),
        netmap=NetmapStatus(
            state=state,
            age_s=None if state == "none" else 12.0,
            epoch=7,
            seq=8,
            peers=2,
            peers_online=1,
            peers_unknown=0,
            domain="example.ts.net",
            self_node=None,
        ),
        connection=ConnectionStatus(
            state=connection,
            generation=3,
            pid=4714,
            local_address="10.0.0.2:4000",
            remote_address="10.0.0.1:443",
            proxy=None,
            session_age_s=4.0,
            sessions=2,
            attempts=given["attempts"],
            ended={"silence": 1, "closed": 0},
            last_end=ended if last_end else None,
            next_attempt_s=given["next_attempt_s"],
            auth_url=given["auth_url"],
        ),
        liveness=LivenessStatus(silence_timeout_s=120.0, silent_s=12.0, deadline_in_s=108.0),
        degraded=(),
        actors=given["actors"],
        subscribers=1,
    )


def actor(name: str, state: str = "active", **fields: Any) -> ActorStatus:
    given: dict[str, Any] = {
        "pid": 4712,
        "generation": 1,
        "restarts": 0,
        "last_exit": None,
        "uptime_s": 3.0,
        "rss_bytes": 30 << 20,
    }
    return ActorStatus(name=name, state=state, **(given | fields))
