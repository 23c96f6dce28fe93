"""Every answer is what its schema says, with no key beyond: of a recorded session, of any netmap, of any history."""

from __future__ import annotations

import contextlib
import json
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from msgspec.structs import replace

from netmap_actors.exports import netmap_json, prometheus_sd
from netmap_actors.history.answers import Answer, NodeLane
from netmap_actors.history.occurrences import Happening, Occurrence
from netmap_actors.history.spans import Interval, Span
from netmap_actors.http_endpoint import event_stream, pages
from netmap_actors.schemas.documents import identifier
from netmap_actors.subscriber import AmbiguousName, NoSuchNode, Snapshot
from netmap_actors.subscriber.events import EVENT_KINDS
from netmap_actors.subscriber.netmap_view import DOCUMENTS, Contents, Netmap
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.status import DegradedStatus, NurseryStatus, SelfStatus
from netmap_supervisor.cli.descriptions.schema import SCHEMAS, schema_of
from tests.support.netmaps.publishing import Follower, Server, full, node
from tests.support.netmaps.recorded_netmap import FIXTURE, recorded_netmap
from tests.support.netmaps.shown_netmap import actor, peer, report
from tests.support.netmaps.true_netmaps import MapResponses
from tests.support.schemas.strict import held, part, strict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.http_endpoint.pages import Page
    from netmap_actors.subscriber import Event

ALL = {
    "DNSConfig": {"Domains": ["a"]},
    "DERPMap": {"Regions": {"1": {"RegionID": 1, "RegionCode": "x", "Nodes": []}}},
    "SSHPolicy": {"rules": []},
    "PacketFilter": [{"SrcIPs": ["*"], "DstPorts": [{"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}],
    "Health": ["something is wrong"],
    "CollectServices": True,
    "Domain": "other.example",
    "UserProfiles": [{"ID": 1, "LoginName": "ann@example.com", "DisplayName": "Ann", "ProfilePicURL": ""}],
    "Node": {"ID": 1, "StableID": "self", "Name": "me.example.", "User": 1, "Key": "nodekey:" + "1" * 64},
    "PeersChanged": [node(2, Tags=["tag:web"], CapMap={"a": [1]}), node(3)],
    "PeersRemoved": [4],
}
"""A MapResponse that changes everything."""


def told(responses: Iterable[dict[str, Any]]) -> list[Event]:
    """The events of a subscriber that comes after the first of these."""
    server, follower = Server(), Follower()
    for number, response in enumerate(responses, 1):
        server.feed(response, 1.0, number=number)
        messages = server.publication.take_outgoing()
        if number > 1:
            follower.hear(messages, 1.0)
            continue
        follower.replica.expire(1.0)
        request = netmap_pb2.Request.FromString(follower.replica.to_send()[0])
        for answered in server.publication.answer(request.token, request.epoch, request.seq, lambda: 1.0):
            follower.events += follower.replica.receive_answer(answered, 1.0)
    server.publication.stop(1.0)
    follower.hear(server.publication.take_outgoing(), 1.0)
    return follower.events


def body(page: Page) -> bytes:
    return page.body if page.parts is None else b"".join(page.parts)


def all_fit(netmap: Netmap, state: str = "fresh") -> None:
    """Each page and line that shows this netmap."""
    snapshot = Snapshot(epoch=1, seq=2, state=state, age_s=None if state == "none" else 1.5, netmap=netmap)
    held("netmap", netmap_json.text(netmap_json.json_object(snapshot)))
    held("netmap", body(pages.netmap(snapshot, pages.Query(""))))
    held("watch", snapshot.to_json())
    data = b"".join(event_stream.snapshot_event(snapshot)).partition(b"\ndata: ")[2]
    held("watch", data)
    for port in (None, 9100):
        groups = [*prometheus_sd.target_groups(netmap, state=state, port=port, include_self=True)]
        held("sd", prometheus_sd.text(groups))
    health = pages.healthz(snapshot)
    part("openapi", "HealthAnswer").validate(json.loads(health.body))
    for one in netmap.peers.values():
        with contextlib.suppress(AmbiguousName, NoSuchNode):
            page = pages.netmap(snapshot, pages.Query(urlencode({"peer": one.stable_id})))
            part("openapi", "NodeAnswer").validate(json.loads(body(page)))


def test_the_recorded_netmap_fits() -> None:
    all_fit(recorded_netmap())
    all_fit(Netmap(Contents()), "none")


def test_each_event_of_the_recorded_session_fits() -> None:
    lines = map(json.loads, FIXTURE.read_text().splitlines())
    events = told(line["map_response"] for line in lines if "map_response" in line)
    assert {event.kind for event in events} >= {"snapshot", "peer_upserted", "peer_removed"}
    for event in events:
        held("watch", event.to_json())


def test_each_kind_of_event_fits() -> None:
    first = full(node(2), node(4))
    gone = full() | {"Peers": []}
    events = told(
        [first, ALL, {"PeersChanged": [node(2, Online=None, KeyExpiry="2027-01-01T00:00:00Z")]}, gone]
    )
    assert {event.kind for event in events} == {"snapshot", *EVENT_KINDS}
    for event in events:
        held("watch", event.to_json())
    names = {one["$ref"].rpartition("/")[2] for one in schema_of("watch")["anyOf"]}
    types = {strict("watch").schema["$defs"][name]["properties"]["type"]["enum"][0] for name in names}
    assert types == {"snapshot", *EVENT_KINDS, "error"}
    held("watch", event_stream.error(str(AmbiguousName("x", []))).partition(b"data: ")[2])


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_any_netmap_and_its_changes_fit(seed: int, steps: int) -> None:
    responses = MapResponses(random.Random(seed), 5)
    events = told([responses.first(), *(responses.delta() for _ in range(steps))])
    for event in events:
        held("watch", event.to_json())


FREE = st.text(max_size=8)
IDS = st.integers(-(2**63), 2**63 - 1)
NODES = st.fixed_dictionaries(
    {"stable_id": st.text(min_size=1, max_size=4), "name": FREE},
    optional={
        "id": IDS, "addresses": st.lists(st.sampled_from(["100.64.0.7/32", "fd7a::7/128", "10.0.0.0/8"])),
        "online": st.booleans(), "last_seen": FREE, "tags": st.lists(FREE | st.from_regex(r"tag:[a-zA-Z0-9_:-]*\Z")),
        "user_id": IDS, "os": FREE, "hostname": FREE, "routes": st.lists(FREE), "key": FREE, "key_expiry": FREE,
        "expired": st.booleans(), "home_derp": st.integers(0, 999), "endpoints": st.lists(FREE), "created": FREE,
        "cap": st.integers(0, 2**31 - 1), "decoded": st.booleans(), "sharer_id": IDS, "jailed": st.booleans(),
        "wireguard_only": st.booleans(),
        "json": st.sampled_from([b"", b"{}", b"[]", b'{"CapMap":{"a":null}}', b'{"CapMap":7}', b"{"]),
    },
)  # fmt: skip
"""Fields of a node as the publisher sends them."""
DOCUMENT_VALUES = st.none() | st.integers() | st.dictionaries(FREE, st.lists(FREE))


@settings(max_examples=40)
@given(
    st.lists(NODES, max_size=3),
    st.none() | NODES,
    st.dictionaries(st.sampled_from(DOCUMENTS), DOCUMENT_VALUES),
    st.sampled_from(["fresh", "stale"]),
)
def test_any_nodes_and_documents_fit(
    nodes: list[dict[str, Any]], own: dict[str, Any] | None, documents: dict[str, Any], state: str
) -> None:
    contents = Contents()
    for fields in nodes:
        contents.upsert(fields["stable_id"], peer(**fields)._piece)
    contents.self_node = b"" if own is None else peer(**own)._piece
    contents.documents = {name: json.dumps(value).encode() for name, value in documents.items()}
    all_fit(Netmap(contents), state)


MOMENTS = st.floats(0, 4e9)
DETAILS = st.dictionaries(FREE, DOCUMENT_VALUES, max_size=2)
SPANS = st.lists(st.builds(Span, MOMENTS, MOMENTS, st.sampled_from(["fresh", "online"]), DETAILS), max_size=2)
OCCURRENCES = st.builds(
    Occurrence,
    at=MOMENTS,
    kind=st.sampled_from(Happening),
    subject=FREE,
    name=FREE,
    detail=DETAILS,
    after=st.none() | MOMENTS,
)
ANSWERS = st.builds(
    Answer,
    tailnet=FREE,
    window=st.builds(Interval, MOMENTS, MOMENTS),
    gaps=st.lists(st.builds(Interval, MOMENTS, MOMENTS), max_size=2),
    netmap=SPANS,
    connection=SPANS,
    nodes=st.lists(st.builds(NodeLane, FREE, FREE, SPANS), max_size=2),
    occurrences=st.lists(st.tuples(IDS, OCCURRENCES), max_size=3),
    more=st.booleans(),
    file=FREE,
    oldest_id=IDS,
    newest_id=IDS,
)


@settings(max_examples=30)
@given(ANSWERS)
def test_any_history_fits(answer: Answer) -> None:
    held("history", answer.to_json())


@pytest.mark.parametrize("state", ["none", "fresh"])
def test_a_status_fits(state: str) -> None:
    confined = actor(
        "publisher", system_calls="counted", refused_calls={"open": 1}, confinement={"landlock": 5}
    )
    plain = report(state, last_end="closed", actors=(actor("liveness", "backoff", pid=None), confined))
    held("status", plain)
    own = SelfStatus(name="a", stable_id="b", addresses=("c",))
    held(
        "status",
        replace(
            plain,
            netmap=replace(plain.netmap, self_node=own),
            degraded=(DegradedStatus(code="a", text="b", since="c"),),
            nursery=NurseryStatus(pid=1, generation=1, forked=1),
        ),
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_says_which(name: str) -> None:
    schema = schema_of(name)
    if name == "openapi":
        assert schema["x-id"] == "urn:netmap-supervisor:schema:1:openapi"
        return
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == identifier(name) == f"urn:netmap-supervisor:schema:1:{name}"


@pytest.mark.parametrize("name", ["netmap", "watch", "history", "status", "sd"])
def test_each_name_is_described_and_always_there(name: str) -> None:
    absent = {("previous", "PeerUpsertedEvent"), ("previous", "SelfChangedEvent")}
    for title, schema in schema_of(name)["$defs"].items():
        for key, about in schema.get("properties", {}).items():
            always = (
                key in schema["required"] or (key, title) in absent or key.startswith("__meta_tailscale_")
            )
            assert always, f"{title}.{key}"
            assert about.get("description") or key == "type" or name == "status", f"{title}.{key}"
        assert schema.get("description"), title


def test_a_key_too_many_and_a_key_too_few_are_found() -> None:
    snapshot = Snapshot(epoch=1, seq=2, state="fresh", age_s=1.5, netmap=recorded_netmap())
    for change in (
        lambda shown: shown.update(more=1),
        lambda shown: shown["peers"][0].update(more=1),
        lambda shown: shown.pop("epoch"),
        lambda shown: shown["peers"][0].pop("cap"),
        lambda shown: shown.update(state="fine"),
    ):
        shown = json.loads(netmap_json.text(netmap_json.json_object(snapshot)))
        held("netmap", shown)
        change(shown)
        with pytest.raises(ValidationError):
            held("netmap", shown)
