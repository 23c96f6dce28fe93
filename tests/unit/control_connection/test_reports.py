"""The connection's reports over real sockets: who has to know hears without waiting for the next regular Progress."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from netmap_actors.boot import Boot
from netmap_actors.bus.loop import Loop
from netmap_actors.bus.sockets import CONTROL_HWM, Sockets
from netmap_actors.control_connection.client.events import MapDocument, MapText, StageEntered
from netmap_actors.control_connection.reports import PUBLISHER_HWM, Reports
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import ActorName, Stage
from netmap_supervisor.daemon.boot_records import endpoints_of
from tests.support.processes import pairs
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "00112233445566cc"
LIMIT = 20.0


class Scene:
    """Reports on a loop, and a liveness that can be replaced; there is no timer."""

    def __init__(self, directory: Path) -> None:
        self.endpoints = endpoints_of(directory, directory)
        self.loop, self.sockets = Loop(), Sockets()
        self.context: zmq.Context[Any] = zmq.Context()
        boot = Boot(
            run=RUN,
            actor=ActorName.CONNECTION,
            generation=1,
            parent_pid=1,
            life_fd=-1,
            endpoints=self.endpoints,
            secrets=pairs.secrets_of(ActorName.CONNECTION),
        )
        self.reports = Reports(self.loop, self.sockets, boot, backlog=1, on_room=lambda: None)
        self.inbox = pairs.inbox(RUN, "liveness")
        self.liveness: zmq.Socket[bytes] | None = None

    def start_liveness(self) -> None:
        if self.liveness is not None:
            self.liveness.close(0)
        self.liveness = self.context.socket(zmq.PULL)
        self.liveness.bind(self.endpoints.liveness)

    def heard(self) -> list[internal_pb2.Envelope]:
        """What liveness has received by now; the loop turns once before."""
        for call in self.loop.wait(block=False):
            call()
        found = []
        while self.liveness is not None and self.liveness.poll(0):
            found.append(self.inbox.open(self.liveness.recv()))
        return found

    def published(self, number: int) -> list[tuple[internal_pb2.Envelope, bytes]]:
        """So many messages that a publisher gets which comes now."""
        inbox, found = pairs.inbox(RUN, "publisher"), []
        publisher = self.context.socket(zmq.PULL)
        publisher.bind(self.endpoints.publisher)
        deadline = time.monotonic() + LIMIT
        while len(found) < number and time.monotonic() < deadline:
            for call in self.loop.wait(block=False):
                call()
            while publisher.poll(10):
                header, document = publisher.recv_multipart()
                found.append((inbox.open(header, document), document))
        publisher.close(0)
        return found

    def wait_for_progress(self) -> internal_pb2.Progress:
        found: list[internal_pb2.Envelope] = []

        def comes() -> bool:
            found.extend(one for one in self.heard() if one.WhichOneof("body") == "progress")
            return bool(found)

        wait_for(comes, LIMIT, "a Progress")
        return found[-1].progress

    def close(self) -> None:
        self.reports.close()
        self.sockets.close()
        self.context.destroy(linger=0)
        self.loop.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    # Not pytest's directory: the path of a unix socket is short.
    with tempfile.TemporaryDirectory(prefix="nmr-", dir="/tmp") as directory:
        scene = Scene(Path(directory))
        yield scene
        scene.close()


def test_a_liveness_that_comes_back_is_told_at_once(scene: Scene) -> None:
    scene.start_liveness()
    scene.reports.stage_entered(StageEntered(Stage.MAP, 100.0, 120.0, 3))
    scene.wait_for_progress()
    wait_for(lambda: not scene.heard(), LIMIT, "nothing more is said")
    scene.start_liveness()
    told = scene.wait_for_progress()
    assert (told.session, told.stage, told.stage_since, told.limit) == (3, Stage.MAP, 100.0, 120.0)


def test_a_progress_that_found_no_room_is_made_up_for_as_soon_as_there_is_some(scene: Scene) -> None:
    scene.start_liveness()
    scene.reports.stage_entered(StageEntered(Stage.CONNECT, 100.0, 10.0, 0))
    scene.wait_for_progress()

    def takes_no_more() -> bool:
        for _ in range(CONTROL_HWM):
            scene.reports.progress()
        return scene.reports.lost > 2 * CONTROL_HWM

    wait_for(takes_no_more, LIMIT, "a liveness that does not read takes no more")
    scene.reports.stage_entered(StageEntered(Stage.MAP, 110.0, 120.0, 1))
    wait_for(lambda: scene.wait_for_progress().session == 1, LIMIT, "the newest Progress")


def parts_of(document: bytes, count: int) -> list[MapText]:
    return [MapText(1, 1, start, document[start : start + 2]) for start in range(0, 2 * count, 2)]


def test_a_map_of_which_the_publisher_took_every_part_ends_with_its_rest(scene: Scene) -> None:
    document = b'{"Domain":"example"}'
    for part in parts_of(document, 3):
        scene.reports.map_text(part)
    scene.reports.map_document(MapDocument(1, 1, document, 1.0, False, told=6))
    *parts, (header, rest) = scene.published(4)
    assert [(part.map_text_arrived.offset, text) for part, text in parts] == [
        (0, b'{"'),
        (2, b"Do"),
        (4, b"ma"),
    ]
    received = header.map_response_received
    assert (received.passed_on, received.size, rest) == (6, len(document), document[6:])


@pytest.mark.parametrize("new_session", [False, True])
def test_a_map_of_which_a_part_was_not_taken_follows_whole(scene: Scene, new_session: bool) -> None:
    document = b'{"Domain":"example.com"}'
    told = PUBLISHER_HWM + 2
    for part in parts_of(document, told):
        scene.reports.map_text(part)
    if new_session:
        scene.reports.stage_entered(StageEntered(Stage.MAP, 1.0, 120.0, 2))
    scene.reports.map_document(MapDocument(2, 1, document, 1.0, False, told=0 if new_session else 2 * told))
    assert scene.reports.paused, "nobody takes anything"
    *_, (header, rest) = scene.published(PUBLISHER_HWM + 1)
    assert (header.map_response_received.passed_on, rest) == (0, document)
