"""What a session adds up to, held against what the client's own netmap makes of the same messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netmap_actors.pseudonyms import Pseudonyms
from netmap_actors.recording.state import SessionState
from tests.support.netmaps.netmap_replica import Replica

FIXTURE = Path(__file__).parents[2] / "fixtures" / "headscale-session.jsonl"
RECORDED = [
    line["map_response"]
    for line in map(json.loads, FIXTURE.read_text().splitlines())
    if "map_response" in line
]


def state_of(*messages: dict[str, Any]) -> dict[str, Any]:
    state = SessionState()
    for message in messages:
        state.apply(message)
    return state.whole()


def shown(replica: Replica) -> tuple[Any, ...]:
    return (
        replica.self_node,
        replica.peers,
        {kind: json.loads(text or b"null") for kind, text in replica.documents.items()},
        replica.domain,
        replica.profiles,
    )


@pytest.mark.parametrize("hidden", [False, True])
def test_a_recorded_session_of_headscale_is_the_same_from_any_moment_on(hidden: bool) -> None:
    """Who comes at some moment and gets the sum has the netmap of who was there from the beginning."""
    pseudonyms = Pseudonyms(bytes(32))
    messages = [pseudonyms.map_response(one) if hidden else one for one in RECORDED]
    replica, state = Replica(), SessionState()
    for number, message in enumerate(messages):
        replica.apply(message, first=number == 0)
        state.apply(message)
        late = Replica()
        late.apply(state.whole(), first=True)
        assert shown(late) == shown(replica)


NODE = {"ID": 1, "Name": "me.", "New": [1]}
PEER = {"ID": 2, "Name": "two.", "HomeDERP": 1, "New": {"Field": True}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"PeersChanged": [{"ID": 2, "Name": "zwei."}]}, {"Peers": [{"ID": 2, "Name": "zwei."}]}),
        ({"PeersRemoved": [2]}, {"Peers": None}),
        ({"Peers": []}, {}),
        ({"Peers": [{"ID": 3}]}, {"Peers": [{"ID": 3}]}),
        (
            {"PeersChangedPatch": [{"NodeID": 2, "DERPRegion": 7, "Newer": 1}]},
            {"Peers": [PEER | {"HomeDERP": 7, "DERP": "127.3.3.40:7", "Newer": 1}]},
        ),
        ({"PeersChangedPatch": [{"NodeID": 1, "Cap": 9}]}, {"Node": NODE | {"Cap": 9}}),
        ({"OnlineChange": {"2": True, "5": True}}, {"Peers": [PEER | {"Online": True}]}),
        (
            {"ControlTime": "2026-01-01T00:00:00Z", "PeerSeenChange": {"2": True}},
            {
                "ControlTime": "2026-01-01T00:00:00Z",
                "Peers": [PEER | {"LastSeen": "2026-01-01T00:00:00Z"}],
            },
        ),
        ({"UserProfiles": [{"ID": 6}]}, {"UserProfiles": [{"ID": 5}, {"ID": 6}]}),
        ({"PacketFilters": {"b": [2]}}, {"PacketFilters": {"a": [1], "b": [2]}}),
        ({"PacketFilters": {"a": None}}, {"PacketFilters": {}}),
        ({"PacketFilters": {"*": None, "c": [3]}}, {"PacketFilters": {"c": [3]}}),
        ({"Domain": "d", "DNSConfig": None, "NewOne": {"x": 1}}, {"Domain": "d", "NewOne": {"x": 1}}),
        ({"PingRequest": {"URL": "https://x"}, "PopBrowserURL": "https://x", "ControlDialPlan": {}}, {}),
        ({"KeepAlive": True, "Domain": "no"}, {}),
        ({"PacketFilters": [1], "DisplayMessages": "no"}, {}),
        (
            {
                "Peers": "no",
                "PeersChanged": [1],
                "OnlineChange": {"x": 1, "²": True, "9" * 5000: True},
                "PeersRemoved": ["2"],
            },
            {},
        ),
    ],
)
def test_each_kind_of_change(message: dict[str, Any], expected: dict[str, Any]) -> None:
    before = {"Node": NODE, "Peers": [PEER], "UserProfiles": [{"ID": 5}], "PacketFilters": {"a": [1]}}
    after = {name: value for name, value in (before | expected).items() if value is not None}
    assert state_of(before, message) == after
