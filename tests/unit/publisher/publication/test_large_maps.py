"""Maps that take longer than a moment: applied in slices, seen whole or not at all, and not of any size."""

from __future__ import annotations

import copy
import itertools
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors import slices
from netmap_actors.errors import BadMapResponse
from netmap_actors.netmap.peer_table import Wanted
from netmap_actors.subscriber import replica
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.internal_pb2 import MapResponseReceived
from tests.support.netmaps.netmap_replica import moment
from tests.support.netmaps.publishing import SELF, WALL, Follower, Server, full, node
from tests.support.work import calls_of

MANY = 5000


def many(count: int = MANY, *, first: int = 2) -> list[dict]:
    return [{"ID": number, "StableID": f"n{number}"} for number in range(first, first + count)]


def begin(server: Server, response: dict, now: float = 1.0, session: int = 1, number: int = 1) -> None:
    document = json.dumps(response).encode()
    header = MapResponseReceived(
        generation=1, session=session, number=number, received_at=now, size=len(document)
    )
    server.publication.begin(header, document, now, WALL)


def shown(server: Server, now: float = 1.0) -> dict[str, bytes]:
    """What somebody who comes now is told."""
    follower = Follower(now)
    follower.ask(server.publication, now)
    return follower.pieces()


def test_a_large_map_is_applied_in_slices_and_nobody_sees_a_part_of_it() -> None:
    server = Server()
    server.feed(full(node(2), node(3)), 1.0)
    before, seq = shown(server), server.publication.seq
    begin(server, {"PeersChanged": many()}, number=2)
    slices = 0
    while server.publication.step(2.0) is None:
        slices += 1
        assert shown(server) == before
        assert server.publication.seq == seq
        assert server.publication._netmap.facts().peers == 2
    assert slices >= 3
    assert len(shown(server, 2.0)) == MANY


@pytest.mark.parametrize("drop", [False, True])
def test_who_we_are_becomes_known_together_with_the_peers(drop) -> None:
    """One of them has our new key: it is set apart in the same commit in which we have it."""
    server = Server()
    server.feed(full(*many(), node(MANY + 2)), 1.0)
    netmap = server.publication._netmap
    before = (shown(server), netmap.facts(), netmap.statistics, netmap.rest())
    own = SELF | {"Name": "new.example.", "Key": node(MANY + 2)["Key"]}
    begin(server, {"Node": own}, number=2)
    slices = 0
    while server.publication.step(2.0) is None:
        slices += 1
        assert (shown(server), netmap.facts(), netmap.statistics, netmap.rest()) == before
        if drop and slices == 2:
            server.publication.session_ended(1, 2.0)
            assert (shown(server, 2.0), netmap.facts(), netmap.statistics, netmap.rest()) == before
            return
    assert slices >= 2
    assert netmap.facts().self_name == "new.example"
    assert set(before[0]) - set(shown(server, 2.0)) == {f"n{MANY + 2}"}
    assert netmap.facts().quarantined == 1


def calls_of_slices(peers: int) -> list[int]:
    """Calls of functions in each slice in which a map of so many is applied."""
    server = Server()
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    counted = [0]
    sys.setprofile(count)
    try:
        begin(server, full(*many(peers)))
        counted = [calls]
        while server.publication.step(2.0) is None:
            counted.append(calls)
        counted.append(calls)
    finally:
        sys.setprofile(None)
    assert server.publication._netmap.facts().peers == peers
    return [after - before for before, after in itertools.pairwise(counted)]


def test_a_slice_of_a_map_twice_as_large_is_as_long() -> None:
    half, whole = calls_of_slices(4 * slices.LENGTH), calls_of_slices(8 * slices.LENGTH)
    assert len(whole) >= 1.5 * len(half)
    assert max(whole) <= 1.2 * max(half)


def test_a_delta_takes_little_work_and_the_same_among_many_peers() -> None:
    def calls(peers: int) -> int:
        server = Server()
        server.feed(full(*many(peers)), 1.0)
        number = 1

        def patch() -> None:
            nonlocal number
            number += 1
            patched = {"PeersChangedPatch": [{"NodeID": 50, "DERPRegion": number}]}
            server.feed(patched, 1.0, number=number)
            server.publication.take_outgoing()

        patch()  # decoders are made
        return calls_of(patch)

    few = calls(100)
    assert few < 460
    assert calls(MANY) == few


def test_a_delta_is_one_slice() -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    begin(server, {"PeersChangedPatch": [{"NodeID": 2, "DERPRegion": 5}]}, number=2)
    assert server.publication.step(1.0) is False


def test_a_full_map_is_given_up_before_its_peers_are_put_into_the_table() -> None:
    server = Server()
    document = json.dumps(full(*many())).encode()
    ours = sys.getrefcount(document)
    header = MapResponseReceived(generation=1, session=1, number=1, received_at=1.0, size=len(document))
    server.publication.begin(header, document, 1.0, WALL)
    held = [sys.getrefcount(document) > ours]
    while server.publication.step(2.0) is None:
        held.append(sys.getrefcount(document) > ours)
    assert held[0]
    assert held.count(False) >= 2 * (MANY // slices.LENGTH)
    assert server.publication._netmap.facts().peers == MANY


def test_a_long_document_passes_the_gate_in_slices() -> None:
    def slices_of(megabytes: int) -> int:
        server = Server()
        begin(server, full(node(2)) | {"Unknown": "[" * (megabytes << 20)})
        number = 0
        while server.publication.step(2.0) is None:
            number += 1
        assert server.publication._netmap.facts().peers == 1
        return number

    assert slices_of(8) >= slices_of(2) + 6


def test_what_is_done_to_a_copy_of_the_peers_is_not_done_to_them() -> None:
    server = Server()
    strange = [
        {"ID": 9, "StableID": "n8"},
        {"ID": "no number", "StableID": "n10"},
        node(11, KeyExpiry="2030-01-01T00:00:00Z", Sharer=7),
        node(12, KeyExpiry="2020-01-01T00:00:00Z"),
        node(13, Key=SELF["Key"]),
    ]
    server.feed(full(*map(node, range(2, 9)), *strange), 1.0)
    table = server.publication._netmap._netmap._table
    before = contents(table)
    other = table.copy()
    assert contents(other) == before
    slices.complete(other.change({11: None, 8: None, 13: None, 3: Wanted(b'{"ID":3}')}, control_now=1.9e9))
    slices.complete(other.change({9: Wanted(b'{"ID":9,"StableID":"n2","User":5}')}, set()))
    assert contents(other) != before
    assert contents(table) == before


def contents(thing) -> dict:
    """Everything it holds, as it is now."""
    return {
        name: contents(value) if hasattr(value, "__dict__") and not callable(value) else copy.deepcopy(value)
        for name, value in vars(thing).items()
    }


@settings(deadline=None)
@given(stop_after=st.integers(0, 12), first=st.booleans())
def test_a_session_that_ends_while_its_map_is_half_applied_leaves_nothing_of_it(stop_after, first) -> None:
    server = Server()
    server.feed(full(node(2), node(3)), 1.0)
    before = shown(server)
    if first:
        begin(server, full(*many()), session=2)
    else:
        begin(server, {"PeersChanged": many(), "PeersRemoved": [2]}, number=2)
    for _ in range(stop_after):
        if server.publication.step(2.0) is not None:
            return
    server.publication.session_ended(1, 2.0)
    assert not server.publication.working
    assert server.publication.state(2.0) == netmap_pb2.NETMAP_STATE_STALE
    assert shown(server, 2.0) == before
    assert server.feed(full(node(4)), 3.0, generation=2)
    assert set(shown(server, 3.0)) == {"n4"}
    assert server.publication.state(3.0) == netmap_pb2.NETMAP_STATE_FRESH


@pytest.mark.parametrize("count", [10, MANY])
def test_very_many_keys_that_expire_at_once_do_so_in_slices_and_in_one_commit(count) -> None:
    server = Server()
    expiring = [peer | {"KeyExpiry": "2026-11-23T00:00:10Z"} for peer in many(count)]
    server.feed(full(*expiring), 1.0)
    server.publication.take_outgoing()
    before = shown(server)
    server.publication.pass_time(20.0, moment("2026-11-23T00:00:20Z"))
    assert server.publication.working == (count > slices.LENGTH)
    while server.publication.working:
        assert shown(server, 20.0) == before
        server.publication.step(20.0)
    commits = [one for one in server.publication.take_outgoing() if one.topic.endswith(b"/commit")]
    assert len(commits) == 1
    assert all(netmap_pb2.Peer.FromString(piece).expired for piece in shown(server, 20.0).values())
    server.publication.pass_time(21.0, moment("2026-11-23T00:00:05Z"))
    while server.publication.working:
        server.publication.step(21.0)
    assert shown(server, 21.0) == before, "the clock was set back"


PEERS = st.lists(
    st.builds(
        lambda number, stable, online: {"ID": number, "StableID": f"n{stable}", "Online": online},
        st.integers(2, 9),
        st.integers(2, 9),
        st.booleans(),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(before=PEERS, peers=PEERS, changed=PEERS, removed=st.lists(st.integers(2, 9), max_size=5))
def test_a_message_does_the_same_in_slices_as_in_one_go(before, peers, changed, removed) -> None:
    def told(slice_length: int) -> tuple:
        usual, slices.LENGTH = slices.LENGTH, slice_length
        try:
            server = Server()
            server.publication._sequences.epoch = 1
            out = []
            for number, message in enumerate(
                (full(*before), {"PeersChanged": changed, "PeersRemoved": removed}), start=1
            ):
                server.feed(message, 1.0, number=number)
                out += server.publication.take_outgoing()
            server.feed(full(*peers), 2.0, session=2)
            out += server.publication.take_outgoing()
            netmap = server.publication._netmap
            return out, server.truth(), netmap.facts(), netmap.statistics
        finally:
            slices.LENGTH = usual

    assert told(1) == told(1_000_000)


def test_keys_do_not_expire_in_the_middle_of_a_map() -> None:
    server = Server()
    expiring = node(2, KeyExpiry="2026-11-23T00:00:10Z")
    server.feed(full(expiring), 1.0)
    begin(server, {"PeersChanged": many()}, number=2)
    server.publication.step(1.0)
    server.publication.pass_time(20.0, moment("2026-11-23T00:00:20Z"))
    while server.publication.step(20.0) is None:
        pass
    assert not netmap_pb2.Peer.FromString(shown(server, 20.0)["n2"]).expired
    server.publication.pass_time(20.0, moment("2026-11-23T00:00:20Z"))
    assert server.publication._netmap.next_expiry() is None


@pytest.mark.parametrize(
    "message",
    [
        full(*many(11)),
        {"PeersChanged": many(8, first=100)},
        {"PeersChangedPatch": [{"NodeID": 2}] * 11},
        {"PeersRemoved": list(range(100, 111))},
        {"OnlineChange": {str(number): True for number in range(100, 111)}},
        {"PeerSeenChange": {str(number): True for number in range(100, 111)}},
    ],
    ids=lambda message: next(iter(message)),
)
def test_more_peers_than_the_limit_end_the_session_and_the_old_netmap_stays_stale(message) -> None:
    server = Server(max_peers=10)
    server.feed(full(node(2), node(3), node(4)), 1.0)
    before = shown(server)
    first = "Node" in message
    with pytest.raises(BadMapResponse, match=r"limits\.max_peers"):
        server.feed(message, 2.0, session=2 if first else 1, number=1 if first else 2)
    assert shown(server, 2.0) == before
    assert server.publication.state(2.0) == netmap_pb2.NETMAP_STATE_STALE
    assert server.publication.expire(2.0) is not None, "the session has to end"
    assert server.feed(full(*many(10)), 3.0, generation=2)
    assert server.publication.state(3.0) == netmap_pb2.NETMAP_STATE_FRESH


def test_as_many_peers_as_the_limit_are_welcome_whoever_they_take_the_place_of() -> None:
    server = Server(max_peers=10)
    server.feed({"Node": SELF, "Peers": many(10)}, 1.0)
    server.feed({"PeersRemoved": [2], "PeersChanged": many(1, first=50)}, 1.0, number=2)
    assert server.feed({"Node": SELF, "Peers": many(10, first=50)}, 1.0, session=2)
    assert len(shown(server)) == 10


def test_a_subscriber_is_told_of_very_many_changes_at_once_by_a_snapshot(monkeypatch) -> None:
    """Each change costs it time, and a process that works out a million of them does nothing else for long."""
    monkeypatch.setattr(replica, "MAX_CHANGES", 10)
    for changed, told in ((10, ["peer_upserted"] * 10), (11, ["snapshot"])):
        server, follower = Server(ring=1), Follower(1.0)
        server.feed(full(*many(20)), 1.0)
        server.publication.take_outgoing()
        follower.ask(server.publication, 1.0)
        follower.events.clear()
        server.feed(full(*many(20 - changed), *renamed(changed)), 2.0, session=2)
        follower.hear(server.publication.take_outgoing(), 2.0)
        follower.ask(server.publication, 3.0)
        assert [event.kind for event in follower.events] == told
        assert follower.pieces() == server.truth()


def renamed(count: int) -> list[dict]:
    return [peer | {"Name": "other."} for peer in many(20)[20 - count :]]
