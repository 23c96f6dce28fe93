"""The metrics of each peer: what Prometheus reads is what the netmap says, whatever its nodes are called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from netmap_actors.exports.nodes import shown_tags
from netmap_actors.http_endpoint.metrics import Shown, page
from netmap_actors.http_endpoint.pages import BadQuery, Query, chosen_peers
from netmap_actors.shown_json import label
from netmap_actors.slices import LENGTH, complete
from netmap_actors.subscriber import Snapshot
from tests.unit.exports.test_exports import netmap_of

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
EXPIRY = "netmap_peer_key_expiry_timestamp_seconds"
PARSERS = [
    pytest.param("", parse_text, id="text"),
    pytest.param(OPENMETRICS, parse_openmetrics, id="OpenMetrics"),
]


def shown(*peers: dict[str, Any], tags: tuple[str, ...] = (), accept: str = "", **more: Any) -> str:
    snapshot = Snapshot(netmap=netmap_of(*peers, **more), state="fresh", age_s=1.0, epoch=1, seq=1)
    return complete(page(Shown(snapshot, None, {}, peers=shown_tags(tags)), accept))[1].decode()


def samples(text: str, parse: Any = parse_text) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in parse(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.mark.parametrize(("accept", "parse"), PARSERS)
def test_a_peer_is_told_with_its_tailnet(accept: str, parse: Any) -> None:
    peer = {
        "name": "web-1.tail.example", "os": "linux", "user_id": 7, "tags": ["tag:web", "tag:a,b", "tag:prod"],
        "online": False, "last_seen": "2026-01-02T03:04:05Z", "key_expiry": "2027-01-02T03:04:05.5Z",
    }  # fmt: skip
    found = samples(shown(peer, domain="tail.example", accept=accept), parse)
    named = {"stable_id": "n1", "name": "web-1.tail.example"}
    here = named | {"tailnet": "default"}
    assert found["netmap_peer_info"] == [
        (here | {"os": "linux", "user": "ann@example.com", "tags": ",tag:web,tag:prod,"}, 1.0)
    ]
    assert found[EXPIRY] == [(here, 1798859045.5)]
    assert found["netmap_peer_online"] == [(named, 0.0)]
    assert found["netmap_peer_last_seen_timestamp_seconds"] == [(named, 1767323045.0)]
    assert found["netmap_tailnet_info"] == [({"tailnet": "default", "domain": "tail.example"}, 1.0)]


def test_what_is_not_known_is_not_there() -> None:
    found = samples(shown({"name": "web-1.tail.example"}))
    assert not found.keys() & {EXPIRY, "netmap_peer_online", "netmap_peer_last_seen_timestamp_seconds"}
    ((labels, _),) = found["netmap_peer_info"]
    assert (labels["user"], labels["tags"]) == ("", "")


@pytest.mark.parametrize(("peers", "slices"), [(LENGTH - 1, 0), (2 * LENGTH, 4)])
def test_a_page_of_many_peers_is_made_in_slices(peers: int, slices: int) -> None:
    """Each is looked at twice: to be counted, and to be told of."""
    snapshot = Snapshot(netmap=netmap_of(*[{}] * peers), state="fresh", age_s=1.0, epoch=1, seq=1)
    assert sum(1 for _ in page(Shown(snapshot, None, {}, shown_tags(())), "")) == slices


def test_tags_choose_of_which_peers_is_told() -> None:
    peers = ({"tags": ["tag:web"]}, {"tags": ["tag:db", "tag:web"]}, {"tags": []}, {"tags": ["tag:cache"]})
    for tags, expected in (
        ((), {"n1", "n2", "n3", "n4"}),
        (("db", "tag:cache"), {"n2", "n4"}),
        (("none",), set()),
    ):
        told = samples(shown(*peers, tags=tags)).get("netmap_peer_info", [])
        assert {labels["stable_id"] for labels, _ in told} == expected
    assert samples(shown(*peers, tags=("db",)))["netmap_peers"][2] == ({"online": "unknown"}, 4.0)


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("", None),
        ("peers=false", None),
        ("peers=true", frozenset()),
        ("peers=true&tag=web&tag=tag:db", frozenset({"tag:web", "tag:db"})),
    ],
)
def test_the_query_chooses(query: str, chosen: frozenset[str] | None) -> None:
    assert chosen_peers(Query(query)) == chosen


def test_a_tag_without_peers_is_refused() -> None:
    with pytest.raises(BadQuery, match="cannot use tag without peers=true"):
        chosen_peers(Query("tag=web"))


WORDS = st.text(max_size=20) | st.text('\\"\n\r\x00,{}= a', max_size=20)


@given(WORDS, WORDS, st.lists(WORDS, max_size=3))
@pytest.mark.parametrize(("accept", "parse"), PARSERS)
def test_no_name_makes_a_page_that_reads_otherwise(
    accept: str, parse: Any, name: str, system: str, tags: list[str]
) -> None:
    peers = ({"name": name, "os": system, "tags": tags, "online": True}, {"name": "other", "online": False})
    text = shown(*peers, accept=accept)
    first, second = samples(text, parse)["netmap_peer_info"]
    listed = [label(tag) for tag in tags if tag and "," not in tag]
    assert (first[0]["name"], first[0]["os"]) == (label(name), label(system))
    assert first[0]["tags"] == (f",{','.join(listed)}," if listed else "")
    assert second[0]["name"] == "other"
    assert [value for _, value in samples(text, parse)["netmap_peer_online"]] == [1.0, 0.0]
    assert text.count("# EOF") == text.endswith("# EOF\n") == bool(accept)
