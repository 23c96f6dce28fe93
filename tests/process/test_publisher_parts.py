"""A large MapResponse that comes to a real publisher in parts, and what ends it halfway."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from netmap_actors.subscriber import Subscriber
from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, running_publisher

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = json.dumps(full(*(node(number) for number in range(2, 300))), separators=(",", ":")).encode()
CUTS = (0, 10_000, 30_000)
PASSED_ON = CUTS[-1]


@pytest.fixture
def publisher() -> Iterator[PublisherProcess]:
    with running_publisher() as publisher:
        publisher.session = 1
        yield publisher


def send_parts(publisher: PublisherProcess) -> None:
    for start, end in itertools.pairwise(CUTS):
        publisher.map_text(DOCUMENT[start:end], start)


def test_the_parts_of_a_map_and_its_rest_are_the_map(publisher: PublisherProcess) -> None:
    with Subscriber(publisher.runtime_dir) as subscriber:
        send_parts(publisher)
        publisher.map_response(DOCUMENT, passed_on=PASSED_ON)
        assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)
        assert len(subscriber.store.netmap.peers) == 298


def test_parts_alone_are_no_netmap_and_a_newer_connection_begins_anew(publisher: PublisherProcess) -> None:
    send_parts(publisher)
    publisher.session_ended()
    publisher.new_connection()
    publisher.new_session(full(node(5)))
    publisher.statistics(state="fresh", generation=2, peers=1)


def test_a_publisher_that_comes_back_in_the_middle_asks_for_the_whole_map(
    publisher: PublisherProcess,
) -> None:
    send_parts(publisher)
    publisher.kill()
    publisher.start()
    publisher.map_response(DOCUMENT, passed_on=PASSED_ON)
    publisher.next("resync", generation=1)
    publisher.new_session(json.loads(DOCUMENT))
    publisher.statistics(state="fresh", session=2, peers=298)


def test_a_map_of_parts_that_is_refused_ends_its_session(publisher: PublisherProcess) -> None:
    send_parts(publisher)
    publisher.map_response(DOCUMENT[:-1] + b"]", passed_on=PASSED_ON)
    publisher.next("verdict", generation=1, session=1)
