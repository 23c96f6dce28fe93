"""One question to the Supervisor for all who wait for its answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netmap_actors.bus.loop import Loop
from netmap_actors.http_endpoint.supervisor_status import STATUS_LIMIT, Report, SupervisorStatus, status_page
from netmap_actors.wire import internal_pb2
from tests.support.netmaps.shown_netmap import SteppedClock

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = {"status": {"version": "1", "netmap": {"state": "fresh"}}, "counters": {}}


class Scene:
    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.loop = Loop(self.clock)
        self.asked: list[int] = []
        self.told: list[Report] = []
        self.status = SupervisorStatus(self.loop, lambda request: self.asked.append(request.token))

    def answer(self, token: int) -> None:
        self.status.answered(internal_pb2.StatusReply(token=token, json=json.dumps(SHOWN).encode()))


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.loop.close()


def test_all_who_ask_meanwhile_get_one_answer(scene: Scene) -> None:
    for _ in range(3):
        scene.status.ask(scene.told.append)
    assert scene.asked == [1]
    scene.answer(1)
    assert scene.told == [SHOWN] * 3
    scene.answer(1)
    assert len(scene.told) == 3
    scene.status.ask(scene.told.append)
    assert scene.asked == [1, 2]
    scene.answer(1)
    assert len(scene.told) == 3, "an answer to an earlier question"


def test_no_answer_in_time_is_told_and_asked_for_anew(scene: Scene) -> None:
    scene.status.ask(scene.told.append)
    scene.clock.now += STATUS_LIMIT
    for call in scene.loop.wait(block=False):
        call()
    assert scene.told == [{}]
    page = status_page({})
    assert (page.status, page.body) == (503, b"cannot show the status: the daemon did not answer in time\n")
    scene.answer(1)
    assert scene.told == [{}]
    scene.status.ask(scene.told.append)
    scene.answer(2)
    assert json.loads(status_page(scene.told[1]).body) == SHOWN["status"]
