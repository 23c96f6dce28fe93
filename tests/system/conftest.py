"""Fixtures of the whole daemon: an embedded one, and one with a network of its own to break."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.availability import unavailable
from tests.system import netns
from tests.system.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

namespace_problem = functools.cache(netns.problem)


@pytest.fixture
def daemon() -> Iterator[Callable[..., Daemon]]:
    """`daemon(*options, config=…)` starts a real daemon; all of them are ended with the test."""
    with ExitStack() as running:

        def start(*options: str, **settings: object) -> Daemon:
            return running.enter_context(Daemon(*options, **settings))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def namespaces() -> Iterator[netns.Pair]:
    """A client's and a server's network namespace, joined by a wire."""
    reason = namespace_problem()
    if reason is not None:
        unavailable(reason)
    with netns.Pair() as pair:
        yield pair
