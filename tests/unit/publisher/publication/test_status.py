from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from netmap_actors.publisher.publication.status import (
    AGE_INTERVAL,
    COUNT_INTERVAL,
    SKEW_STEP,
    PublicationStatus,
)
from netmap_actors.wire.internal_pb2 import Heartbeat
from tests.support.netmaps.publishing import SILENCE, Server, full, node


def status_of(server: Server) -> PublicationStatus:
    return PublicationStatus(server.publication, server.publication._netmap)


def reported(server: Server, now: float) -> PublicationStatus:
    """A status of which nothing is new at `now`."""
    status = status_of(server)
    status.look(now)
    status.fill(Heartbeat(), now)
    return status


def mapped() -> Server:
    server = Server()
    server.feed(full(node(2)), 10.0)
    return server


@pytest.mark.parametrize(
    ("happens", "due"),
    [
        (lambda server: None, None),
        (lambda server: server.feed({"KeepAlive": True}, 10.2, number=2), 10.0 + AGE_INTERVAL),
        (lambda server: server.feed({"PeersChanged": [node(2, Online=False)]}, 10.2, number=2), 11.0),
        (lambda server: server.feed({"PeersChanged": [node(3)]}, 10.2, number=2), 10.3),
        (lambda server: server.feed({"PeersChanged": [{"ID": 3, "StableID": 7}]}, 10.2, number=2), 10.3),
        (lambda server: server.publication.session_ended(1, 10.2), 10.3),
        (lambda server: server.feed(full(node(2)), 10.2, session=2), 10.3),
    ],
    ids=["nothing", "keep-alive", "same figures", "a peer", "quarantine", "stale", "session"],
)
def test_what_is_new_decides_when_a_heartbeat_goes(happens, due) -> None:
    server = mapped()
    status = reported(server, 10.0)
    happens(server)
    status.look(10.3)
    assert status.deadline == due
    status.look(10.4)
    assert status.deadline == due, "nothing puts it off"


def test_an_age_that_was_not_reported_for_long_is_at_once() -> None:
    server = mapped()
    status = reported(server, 10.0)
    server.feed({"KeepAlive": True}, 60.0, number=2)
    status.look(60.0)
    assert status.deadline == 60.0


def test_a_number_of_subscribers_is_reported_once_for_all_who_come() -> None:
    status = reported(mapped(), 10.0)
    for number in range(50):
        status.subscribers_changed(10.0 + number / 1000)
    assert status.deadline == 10.0 + COUNT_INTERVAL
    status.fill(Heartbeat(), 10.1)
    assert status.deadline is None


def test_a_heartbeat_has_the_figures_of_the_publication() -> None:
    server, heartbeat = mapped(), Heartbeat()
    status_of(server).fill(heartbeat, 10.0)
    figures = heartbeat.publisher
    assert (figures.state, figures.last_received_at, figures.peers, figures.peers_online) == (
        "fresh",
        10.0,
        1,
        1,
    )
    assert (figures.generation, figures.session, figures.domain) == (1, 1, "example.com")
    assert (figures.epoch, figures.seq) == (server.publication.epoch, server.publication.seq)
    assert dict(heartbeat.counters) == dict.fromkeys(
        ["dropped", "gaps", "bad_map_responses", "suppressed", "hidden_peers", "left_out", "unknown_ids"], 0
    )


def test_conditions_are_told_as_they_begin_change_and_end() -> None:
    publication: Any = SimpleNamespace(state=lambda now: 0, mapped_session=(1, 1), last_received_at=1.0)
    netmap: Any = SimpleNamespace()
    status = PublicationStatus(publication, netmap)

    def told(
        *, quarantined: int = 0, hidden: int = 0, left_out: int = 0, skew: float = 0.0
    ) -> dict[str, str]:
        netmap.figures = 1, quarantined, hidden, left_out, skew
        return dict(status.look(1.0))

    assert told() == {}
    assert told(quarantined=2).keys() == {"peer_quarantined"}
    assert told(quarantined=2) == {}
    assert told(quarantined=3)["peer_quarantined"].startswith("3 peers could not be read")
    both = told(hidden=4, left_out=5)
    assert both.pop("peer_quarantined") == ""
    assert both["peer_hidden"].startswith("4 peers are not shown")
    assert both["messages_left_out"].startswith("5 messages of the control server")
    assert told() == {"peer_hidden": "", "messages_left_out": ""}
    assert "clock is 90 s behind" in told(skew=90.2)["clock_skew"]
    assert told(skew=90.2 + SKEW_STEP - 1) == {}
    assert "clock is 100 s behind" in told(skew=90.2 + SKEW_STEP)["clock_skew"]
    assert "clock is 70 s ahead of" in told(skew=-70.0)["clock_skew"]
    assert told(skew=0.4) == {"clock_skew": ""}


def test_it_says_since_when_the_state_is_what_it_is() -> None:
    """A keep-alive and a change leave it fresh; a silence does not."""
    server = Server()

    def since(now: float) -> float:
        heartbeat = Heartbeat()
        status_of(server).fill(heartbeat, now)
        return heartbeat.publisher.state_since

    assert since(9.0) == 0.0
    server.feed(full(node(2)), 10.0)
    server.feed({"KeepAlive": True}, 11.0, number=2)
    server.feed({"PeersChanged": [node(3)]}, 12.0, number=3)
    assert since(13.0) == 10.0
    # Before the end of the silence is published it is not what it was.
    end = 12.0 + SILENCE
    assert since(end) == end
    server.publication.expire(end + 1.0)
    assert since(end + 5.0) == end + 1.0
    server.feed({"KeepAlive": True}, end + 7.0, number=4)
    assert since(end + 8.0) == end + 7.0
