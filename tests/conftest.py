"""Fixtures every folder of tests may use: the Go peers, and the rules about time limits and neighbours."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.availability import unavailable
from tests.support.dispositions import default_for_children
from tests.support.peers.go_tools import GoToolsUnavailable, build, build_tsnet_client
from tests.support.peers.rust_client import RustUnavailable, build_rust_client
from tests.support.peers.testcontrol import GoControl, control_slot, running_control

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

PEER_FIXTURES = {
    "go_tools",
    "tsp_binary",
    "tailscaled_binary",
    "tailscale_binary",
    "tsnet_client",
    "testcontrol_binary",
    "testcontrol",
    "rust_client_binary",
}
ASKED_FOR = ("headscale", "release", "vm")
"""Marks of tests with a command of their own: they need what no test may fetch, or far more time than the rest."""
PEER_TEST_LIMIT = 1800
"""Seconds: the first such test may have to build the peers, or wait for port 9911."""

# What somebody's shell says of a terminal is not what is tested.
for name in ("COLUMNS", "LINES", "TERM"):
    os.environ.pop(name, None)

# The time that an example takes says how busy the machine is.
settings.register_profile("no deadline", settings.default, deadline=None)
settings.load_profile("no deadline")


def pytest_configure(config: pytest.Config) -> None:
    """Start every child with default dispositions. Not in a process that only starts workers: they go on ignoring."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        default_for_children()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: the garbage collector looks through it neither meanwhile nor afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses the Go peers, and keep the users of the one port in one worker.

    What has a command of its own is not among the tests, and no skip either, unless it is asked for.
    """
    for mark in ASKED_FOR:
        if mark in config.getoption("markexpr"):
            continue
        left_out = [item for item in items if item.get_closest_marker(mark) is not None]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & PEER_FIXTURES:
            item.add_marker(pytest.mark.interop)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(PEER_TEST_LIMIT))
        if "testcontrol" in fixtures:
            item.add_marker(pytest.mark.xdist_group("testcontrol"))


@pytest.fixture(scope="session")
def go_tools() -> Path:
    """Directory with the built Go peers."""
    try:
        return build()
    except GoToolsUnavailable as error:
        unavailable(str(error))


@pytest.fixture(scope="session")
def tsp_binary(go_tools: Path) -> Path:
    """tailscale's command line for single steps of the control protocol."""
    return go_tools / "tsp"


@pytest.fixture(scope="session")
def tailscaled_binary(go_tools: Path) -> Path:
    """tailscale's daemon."""
    return go_tools / "tailscaled"


@pytest.fixture(scope="session")
def tailscale_binary(go_tools: Path) -> Path:
    """The command line of tailscaled."""
    return go_tools / "tailscale"


@pytest.fixture(scope="session")
def tsnet_client() -> Path:
    """Our client on tailscale's library for programs, tsnet."""
    try:
        return build_tsnet_client()
    except GoToolsUnavailable as error:
        unavailable(str(error))


@pytest.fixture(scope="session")
def testcontrol_binary(go_tools: Path) -> Path:
    """tailscale's test control server."""
    return go_tools / "testcontrol"


@pytest.fixture(scope="session")
def rust_client_binary() -> Path:
    """tailscale's crate for Rust as a control client."""
    try:
        return build_rust_client()
    except RustUnavailable as error:
        unavailable(str(error))


@pytest.fixture
def testcontrol(testcontrol_binary: Path, tmp_path: Path) -> Iterator[Callable[[int], GoControl]]:
    """`testcontrol(nfake)` starts tailscale's control server on 127.0.0.1:9911; ended with the test."""
    with ExitStack() as running:
        running.enter_context(control_slot())

        def start(nfake: int = 0) -> GoControl:
            log = tmp_path / "testcontrol.log"
            return running.enter_context(running_control(testcontrol_binary, nfake, log))

        yield start
