"""A recorded message as one client gets it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netmap_actors.dev_control.replay.player import ReplayPlayer
from netmap_actors.dev_control.replay.recorded_netmap import RecordedNetmap
from netmap_actors.dev_control.tailnet.tailnet import Tailnet
from netmap_actors.recording.format import began_line, document_line, header_line, read_recording

WALL = 1_800_000_000.0
"""2027-01-15."""
NODE = {"ID": 7, "Key": "nodekey:recorded", "Machine": "mkey:recorded", "Name": "x.", "New": [1]}
FIRST: dict[str, Any] = {
    "Node": NODE,
    "Peers": [{"ID": 8, "Key": "nodekey:8"}],
    "PingRequest": {"URL": "http://x"},
}


@pytest.fixture
def ours() -> RecordedNetmap:
    return played(FIRST)


def played(first: dict[str, Any]) -> RecordedNetmap:
    tailnet = Tailnet()
    tailnet.add_node("me", key="nodekey:mine", machine="mkey:mine", wall=WALL, real=True)
    lines = [header_line("x", 130, {}, ""), began_line(1, 1, ""), document_line(0, first, 1)]
    return RecordedNetmap(tailnet, tailnet.find("me").node.id, ReplayPlayer(read_recording(lines, "x")))


def test_the_recorded_node_has_the_keys_of_the_client_and_all_else_is_as_recorded(
    ours: RecordedNetmap,
) -> None:
    assert json.loads(ours.full(WALL)) == {
        "Node": NODE | {"Key": "nodekey:mine", "Machine": "mkey:mine"},
        "Peers": FIRST["Peers"],
    }
    assert ours.peers == [8]


@pytest.mark.parametrize(
    ("expiry", "kept"),
    [
        ("2026-01-01T00:00:00Z", False),
        ("2028-01-01T00:00:00Z", True),
        ("0001-01-01T00:00:00Z", True),
        (None, True),
    ],
)
def test_a_key_that_has_expired_since_is_not_the_clients(
    expiry: str | None, kept: bool, ours: RecordedNetmap
) -> None:
    made = json.loads(ours.ours(json.dumps({"Node": NODE | {"KeyExpiry": expiry}}).encode(), WALL))
    assert ("KeyExpiry" in made["Node"]) is kept


def test_any_other_message_is_as_it_was_but_for_orders_to_the_other_client(ours: RecordedNetmap) -> None:
    for same in (b'{"KeepAlive":true}', b'{ "PeersRemoved": [1], "Node": null }'):
        assert json.loads(ours.ours(same, WALL)) == json.loads(same)
    assert ours.ours(b'{"PopBrowserURL":"http://x","Domain":"d"}', WALL) == b'{"Domain":"d"}'


@pytest.mark.parametrize(
    ("peers", "ids"), [(None, []), ("no", []), ([{"ID": 8}, {}, 5, {"ID": "x"}], [8])], ids=str
)
def test_of_whatever_was_recorded_those_with_an_id_are_peers(peers: object, ids: list[int]) -> None:
    assert played({"Node": NODE, "Peers": peers}).peers == ids


def test_who_missed_something_gets_the_whole_netmap_and_edits_of_the_tailnet_nobody(
    ours: RecordedNetmap,
) -> None:
    ours.mark([1, 2], [])
    assert (ours.behind, ours.delta(WALL)) == (False, None)
    ours.missed = True
    assert ours.behind
    assert json.loads(ours.delta(WALL) or b"")["Node"]["Key"] == "nodekey:mine"
    assert ours.delta(WALL) is None
