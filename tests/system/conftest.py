"""Fixtures of the whole daemon: an embedded one, and one with a network of its own to break."""

from __future__ import annotations

import contextlib
import functools
import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.availability import unavailable
from tests.support.histories.history import Scenes
from tests.support.host import netns
from tests.support.processes.daemon import Daemon
from tests.support.proxies.wire_proxy import WireProxy
from tests.support.servers import scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

failed = pytest.StashKey[bool]()


class Unsuccessful(Exception):
    """What the fixtures clean up after, as if the test were their own block."""


namespace_problem = functools.cache(netns.problem)


@pytest.fixture
def daemon() -> Iterator[Callable[..., Daemon]]:
    """`daemon(*options, config=…)` starts a real daemon; all of them are ended with the test."""
    with ExitStack() as running:

        def start(*options: str, **settings: object) -> Daemon:
            return running.enter_context(Daemon(*options, **settings))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def control(tmp_path: Path) -> Iterator[scripted.Control]:
    """A scripted control server with five quiet nodes and a keep-alive every second."""
    with scripted.running(tmp_path) as server:
        yield server


@pytest.fixture
def embedded(daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon with its own control server, as `make run` starts it, and its netmap fresh."""
    running = daemon()
    running.wait_fresh()
    return running


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Callable[[], tuple[scripted.Control, WireProxy]]]:
    """`proxied()`: a scripted server behind a proxy that can spoil what it says."""
    numbers = itertools.count(1)
    with ExitStack() as running:

        def start() -> tuple[scripted.Control, WireProxy]:
            directory = tmp_path / f"server-{next(numbers)}"
            directory.mkdir()
            server = running.enter_context(scripted.running(directory))
            proxy = running.enter_context(WireProxy(server.server.port))
            behind = scripted.Control(server.server, server.key_file)
            behind.url = proxy.url
            return behind, proxy

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fixtures are not told how their test went; `recorded` has to know."""
    report = yield
    if report.when == "call":
        item.stash[failed] = report.failed
    return report


@pytest.fixture
def recorded(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scenes]:
    """`recorded(*options, silence=…)` starts a server and a daemon; at the end their history is checked."""
    with contextlib.suppress(Unsuccessful), Scenes(tmp_path) as scenes:
        yield scenes
        if request.node.stash.get(failed, True):
            raise Unsuccessful


@pytest.fixture
def namespaces() -> Iterator[netns.Pair]:
    """A client's and a server's network namespace, joined by a wire."""
    reason = namespace_problem()
    if reason is not None:
        unavailable(reason)
    with netns.Pair() as pair:
        yield pair
