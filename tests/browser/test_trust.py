"""What the banner says after kill -9 of each process, after a silence, and when the endpoint says nothing any more."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.support.browser.chromium import REFUSED, UNREACHABLE
from tests.support.browser.page_daemon import LIMIT, PageDaemon
from tests.support.host.free_ports import free_address
from tests.support.netmaps.publishing import full, node
from tests.support.processes.http_process import running_http
from tests.support.processes.publisher_process import running_publisher
from tests.support.servers import scripted
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page

    from tests.support.processes.http_process import HttpProcess


NOTE_STATES = """
window.states = [];
new MutationObserver(() => {
  const now = document.getElementById("trust")?.dataset.state;
  if (now && now !== states.at(-1)) states.push(now);
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"]});
"""

PARTLESS = "Failed to fetch dynamically imported module"
"""Said by a page whose endpoint ended before it had all its parts."""


def banner(page: Page) -> Locator:
    return page.locator("#trust")


def expect_state(page: Page, state: str, limit: float = LIMIT) -> None:
    expect(banner(page)).to_have_attribute("data-state", state, timeout=limit * 1000)


def states(page: Page) -> list[str]:
    """Those the banner has shown since the page was loaded."""
    found: list[str] = page.evaluate("states")
    return found


def wait_state(page: Page, state: str) -> None:
    """It has been shown, perhaps for a moment."""
    wait_for(lambda: state in states(page), LIMIT, f"the page says {state}")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageDaemon]:
    """One for all kills: it has to survive them anyway."""
    with (
        scripted.running(tmp_path_factory.mktemp("control")) as control,
        PageDaemon("--silence-timeout=5s", control=control) as daemon,
    ):
        daemon.wait_served()
        yield daemon


@pytest.fixture
def told_status(daemon: PageDaemon) -> dict[str, Any]:
    """A status as a Supervisor tells it."""
    return daemon.wait_fresh()


@pytest.fixture
def page(open_page: Callable[..., Page], daemon: PageDaemon) -> Page:
    """Open on a fresh netmap, and noting what the banner says."""
    opened = open_page(daemon.origin, UNREACHABLE, PARTLESS)
    opened.add_init_script(NOTE_STATES)
    opened.reload()
    expect_state(opened, "fresh")
    return opened


@pytest.mark.parametrize("role", ["liveness", "history", "nursery"])
def test_a_process_that_the_netmap_does_not_need_ends_and_it_stays_fresh(
    page: Page, daemon: PageDaemon, role: str
) -> None:
    pid = daemon.pid_of(role)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: daemon.pid_of(role) != pid, LIMIT, f"another {role}")
    expect_state(page, "fresh")
    assert not {"stale", "gone"} & set(states(page))


@pytest.mark.parametrize("role", ["publisher", "control_connection"])
def test_a_process_of_the_netmap_ends_and_it_is_fresh_again_by_itself(
    page: Page, daemon: PageDaemon, role: str
) -> None:
    pid = daemon.pid_of(role)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: daemon.pid_of(role) != pid, LIMIT, f"another {role}")
    wait_state(page, "stale")
    expect_state(page, "fresh")
    assert "gone" not in states(page)


def test_the_endpoint_ends_and_the_page_says_so_until_it_is_back(page: Page, daemon: PageDaemon) -> None:
    os.kill(daemon.pid_of("http_endpoint"), signal.SIGKILL)
    wait_state(page, "gone")
    expect_state(page, "fresh")


def test_a_page_that_lacks_a_part_is_whole_when_the_endpoint_is_back(page: Page, daemon: PageDaemon) -> None:
    page.route("**/page/processes/processes.js", lambda route: route.abort(), times=1)
    page.reload()
    expect(page.locator("#processes")).to_contain_text("cannot be shown")
    os.kill(daemon.pid_of("http_endpoint"), signal.SIGKILL)
    expect(page.locator("#processes")).to_contain_text("publisher")


@pytest.mark.parametrize("module", ["main", "trust", "format", "stream/store"])
def test_a_page_without_what_it_begins_with_says_so(page: Page, module: str) -> None:
    page.route(f"**/page/{module}.js", lambda route: route.abort(), times=1)
    page.reload()
    said = page.get_by_text("a file of the page could not be had")
    expect(said).to_be_hidden()
    page.evaluate("document.getAnimations().forEach((one) => one.finish())")
    expect(said).to_be_visible()
    page.reload()
    expect_state(page, "fresh")
    expect(said).to_have_count(0)


def test_a_silence_is_told_with_its_reason(page: Page, daemon: PageDaemon) -> None:
    control = daemon.control
    assert control is not None
    control.fault("refusal/status", status=503)
    control.fault("liveness/silence")
    expect_state(page, "stale")
    expect(banner(page)).to_contain_text("Stale")
    expect(banner(page)).to_contain_text("said nothing")
    control.heal()
    expect_state(page, "fresh", 40.0)


def test_the_supervisor_ends_and_the_page_is_stale_by_itself_until_the_daemon_is_back(
    page: Page, daemon: PageDaemon
) -> None:
    daemon.kill()
    expect_state(page, "gone")
    expect(banner(page)).to_contain_text("Stale")
    assert "Fresh" not in page.title()
    daemon.start()
    expect_state(page, "fresh", 40.0)
    assert "Fresh" in page.title()


def test_a_computer_that_slept_asks_anew(page: Page, daemon: PageDaemon) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("(ahead) => { const now = Date.now; Date.now = () => now() + ahead }", 3_600_000)
    wait_state(page, "jumped")
    expect_state(page, "fresh")
    assert f"{daemon.origin}/events" in asked


def test_a_stream_without_a_byte_for_longer_than_the_endpoint_is_ever_quiet_is_dead(
    open_page: Callable[..., Page], daemon: PageDaemon
) -> None:
    page = open_page(daemon.origin, UNREACHABLE, PARTLESS)
    # Without a time it begins in 1970, before which there is no history to ask for.
    page.clock.install(time=datetime.datetime.now(datetime.UTC))
    page.add_init_script(NOTE_STATES)
    page.reload()
    expect_state(page, "fresh")
    page.clock.fast_forward(45_000)
    wait_for(lambda: {"gone", "jumped"} & set(states(page)), LIMIT, "the page says so")
    expect_state(page, "fresh")


@contextlib.contextmanager
def looked_at(
    open_page: Callable[..., Page], told_status: dict[str, Any], *allowed: str
) -> Iterator[tuple[HttpProcess, Page]]:
    """An endpoint alone, whose status the test says, and its page, which says fresh."""
    with running_publisher() as publisher, running_http(publisher, free_address()) as endpoint:
        endpoint.told = {"status": told_status, "counters": {}}
        publisher.new_session(full(node(2)))
        endpoint.fresh()
        page = open_page(f"http://{endpoint.listen}", REFUSED, UNREACHABLE, *allowed)
        expect_state(page, "fresh")
        yield endpoint, page


def test_the_endpoint_hangs_and_the_page_says_so_although_it_is_connected(
    open_page: Callable[..., Page], told_status: dict[str, Any]
) -> None:
    with looked_at(open_page, told_status) as (endpoint, page):
        endpoint.process.send_signal(signal.SIGSTOP)
        try:
            expect_state(page, "gone", 30.0)
            expect(banner(page)).to_contain_text("Stale")
        finally:
            endpoint.process.send_signal(signal.SIGCONT)
        expect_state(page, "fresh", 30.0)


def test_a_page_is_loaded_anew_when_the_daemon_is_of_another_version(
    open_page: Callable[..., Page], told_status: dict[str, Any]
) -> None:
    with looked_at(open_page, told_status, PARTLESS) as (endpoint, page):
        expect(page.locator("#processes")).to_contain_text("publisher")
        with page.expect_event("load", timeout=LIMIT * 1000):
            endpoint.told = {"status": told_status | {"version": "9.9.9"}, "counters": {}}
        expect_state(page, "fresh")
        expect(page.locator("#processes")).to_contain_text("publisher")
