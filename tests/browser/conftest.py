"""One Chromium for all tests of the page, and daemons whose page it opens."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.support.availability import unavailable
from tests.support.browser.blank_page import CALL, blank_page
from tests.support.browser.chromium import ChromiumMissing, launched, opened
from tests.support.browser.page_daemon import Guarded, PageDaemon
from tests.support.servers import scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page


LIMIT = 180
"""Seconds: a browser and a daemon have to start on cores that run other tests, too."""
expect.set_options(timeout=15_000)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has them all: one Chromium, and the cores for few at a time."""
    for item in items:
        if "/tests/browser/" in str(item.path):
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(LIMIT))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium without a window. For no longer: Playwright's event loop runs in this thread, and others want theirs."""
    with ExitStack() as running:
        try:
            browser = running.enter_context(launched())
        except ChromiumMissing as error:
            unavailable(str(error))
        yield browser


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """A blank one that gets the modules of the page; what opens a real one has a fixture of this name of its own."""
    with blank_page(chromium) as opened:
        yield opened


@pytest.fixture
def call(page: Page) -> Callable[..., Any]:
    """`call(module, name, *given)`: what this function of the module returns."""

    def call_one(module: str, name: str, *given: object) -> Any:
        return page.evaluate(CALL, [module, name, list(given)])

    return call_one


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(origin, *allowed, viewport=…)`: a page that complains of nothing but what is allowed."""
    with ExitStack() as pages:

        def open_one(origin: str, *allowed: str, **context: Any) -> Page:
            return pages.enter_context(opened(chromium, origin, *allowed, **context))

        yield open_one


@pytest.fixture
def control(tmp_path: Path) -> Iterator[scripted.Control]:
    """A scripted control server with five quiet nodes and a keep-alive every second."""
    with scripted.running(tmp_path) as server:
        yield server


@pytest.fixture
def page_daemon() -> Iterator[Callable[..., PageDaemon]]:
    """`page_daemon(*options, control=…)` starts a daemon and waits for its page; all are ended with the test."""
    with ExitStack() as running:

        def start(*options: str, **settings: Any) -> PageDaemon:
            daemon = running.enter_context(PageDaemon(*options, **settings))
            daemon.wait_served()
            return daemon

        yield start


@pytest.fixture(scope="session")
def guarded() -> Iterator[Guarded]:
    """The one daemon whose page asks for a token."""
    with Guarded() as daemon:
        daemon.wait_served()
        yield daemon
