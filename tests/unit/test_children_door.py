"""Only processes of this run stay connected to the Supervisor.

Not here: children as processes (`tests/process/test_supervisor`).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import zmq

from netmap_actors.bus.door import INTERNAL_SHARE
from netmap_actors.bus.loop import Loop
from netmap_actors.bus.sockets import Sockets, ipc
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import Codec
from netmap_supervisor import children as room
from netmap_supervisor.children import Children

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "0123456789abcdef"
LIMIT = 10.0


class Scene:
    def __init__(self, stack: contextlib.ExitStack) -> None:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="nm-"))
        self.endpoint = ipc(Path(directory) / "supervisor")
        self.loop, self.sockets = Loop(), Sockets()
        self.logged: list[str] = []
        self.heard: list[str] = []
        self.speaking: list[zmq.Socket[bytes]] = []
        log = SimpleNamespace(event=lambda _level, event, _fields: self.logged.append(event))
        self.children = Children(
            self.loop,
            self.sockets,
            run=RUN,
            endpoint=self.endpoint,
            log=log,  # type: ignore[arg-type]
            on_words=self.hear,
            on_death=lambda *_: None,
        )
        stack.callback(self.loop.close)
        stack.callback(self.sockets.close)
        stack.callback(self.children.close)
        self.stack = stack

    def hear(self) -> None:
        while (taken := self.children.next_word()) is not None:
            if taken[1] is not None:
                self.heard.append(taken[1].actor)

    def speak(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.stack.callback(context.destroy, 0)
        dealer = context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(self.endpoint)
        self.speaking.append(dealer)
        dealer.send(Codec(RUN, "liveness", 1).wrap(internal_pb2.Hello(pid=os.getpid())))

    def run(self, seconds: float) -> None:
        self.loop.at(end := self.loop.now() + seconds, lambda: None)
        self.loop.run(lambda: bool(self.heard) or self.loop.now() >= end)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        yield Scene(stack)


def test_a_child_is_heard(scene, monkeypatch) -> None:
    fd = os.pidfd_open(os.getpid())
    process = SimpleNamespace(pid=os.getpid(), pidfd=fd)
    scene.stack.callback(os.close, fd)
    monkeypatch.setattr(room, "spawn", lambda *_arguments, **_more: process)
    scene.children.start("liveness", 1, b"", environment={}, inherited=())
    for _ in range(INTERNAL_SHARE):
        scene.speak()
    scene.run(LIMIT)
    assert scene.heard[0] == "liveness"
    assert not scene.logged


def test_another_process_of_this_user_is_hung_up_on(scene) -> None:
    scene.speak()
    began = time.monotonic()
    while "connections_cut" not in scene.logged:
        assert time.monotonic() < began + LIMIT
        scene.heard.clear()  # a word may be faster; who says it is proved by the word
        scene.run(0.05)
