"""The time axis, the processes and what is recent, of a daemon to which something happens."""

from __future__ import annotations

import os
import signal
import urllib.request
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.browser.chromium import UNREACHABLE
from tests.support.browser.page_daemon import PageDaemon
from tests.support.servers import scripted
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from tests.support.servers.scripted import Control


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PageDaemon, Control]]:
    """A daemon whose nodes went, came and were renamed."""
    with scripted.running(tmp_path_factory.mktemp("control"), nodes=0) as control:
        for name in ("web-1", "db-1", "gone-1"):
            control.server.tailnet.add_node(name)
        with PageDaemon(control=control) as daemon:
            daemon.wait_served()
            # What is there when the history begins did not happen.
            wait_for(lambda: "netmap_fresh" in told(daemon), 20.0, "a history", every=0.1)
            control.server.tailnet.set_online("web-1", False)
            control.server.tailnet.remove_node("gone-1")
            control.server.tailnet.add_node("new-1")
            yield daemon, control


def told(daemon: PageDaemon) -> str:
    with urllib.request.urlopen(f"{daemon.origin}/history") as response:
        return str(response.read())


def spoken(page: Page) -> str:
    """What a screen reader is told of the place on the axis."""
    return page.locator("#timeline [role=status]").text_content() or ""


def test_the_axis_is_walked_with_the_keyboard_and_opens_a_node(
    lived: tuple[PageDaemon, Control], open_page: Callable[..., Page]
) -> None:
    page = open_page(lived[0].origin)
    expect(page.locator(".lane.of-node", has_text="gone-1")).to_be_visible()
    expect(page.locator("#timeline .headline")).to_contain_text("1 node left (gone-1)")
    expect(page.locator("#recent")).to_contain_text("new-1 joined")
    page.locator("#timeline .plot").focus()
    lanes = page.locator(".lanes .lane").count()
    for _ in range(lanes):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert spoken(page).startswith("Netmap: "), spoken(page)
    for _ in range(lanes):
        page.keyboard.press("ArrowDown")
        if spoken(page).startswith("web-1: "):
            break
    page.keyboard.press("ArrowRight")
    assert "web-1" in spoken(page)
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_contain_text("web-1")


def test_a_window_is_chosen_moved_and_zoomed_and_its_time_is_asked_for(
    lived: tuple[PageDaemon, Control], open_page: Callable[..., Page]
) -> None:
    page = open_page(lived[0].origin)
    hour = page.get_by_role("button", name="1 h", exact=True)
    expect(hour).to_have_attribute("aria-pressed", "true")  # the history has just begun
    with page.expect_request(lambda request: "/history" in request.url):
        page.get_by_role("button", name="7 d", exact=True).click()
    expect(page.locator("#timeline .headline")).to_contain_text("In the last 7 d")
    hour.click()
    page.get_by_role("button", name="Earlier").click()
    expect(page.locator("#timeline .shown")).to_contain_text(" to ")
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Go to now").click()
    expect(page.locator("#timeline .headline")).to_contain_text("In the last 30 min")


def test_nodes_are_found_and_everything_is_in_tables_too(
    lived: tuple[PageDaemon, Control], open_page: Callable[..., Page]
) -> None:
    page = open_page(lived[0].origin)
    expect(page.locator(".lane.of-node", has_text="web-1")).to_be_visible()
    expect(page.locator(".lane.of-node", has_text="db-1")).to_have_count(0)  # nothing happened to it
    page.locator("#timeline .lane-search").fill("DB-")
    expect(page.locator(".lane.of-node", has_text="db-1")).to_be_visible()
    expect(page.locator(".lane.of-node", has_text="web-1")).to_have_count(0)
    page.locator("#timeline .lane-search").fill("")
    page.locator("#timeline .as-table summary").click()
    expect(page.get_by_role("row", name="left gone-1")).to_be_visible()
    expect(page.get_by_role("row", name="web-1 offline")).to_be_visible()


def test_a_process_that_is_killed_and_starts_again_is_seen_within_seconds(
    lived: tuple[PageDaemon, Control], open_page: Callable[..., Page]
) -> None:
    page = open_page(lived[0].origin, UNREACHABLE)
    row = page.locator("#processes tr", has_text="liveness")
    expect(row.locator(".restarts")).to_have_text("0")
    os.kill(lived[0].pid_of("liveness"), signal.SIGKILL)
    expect(row.locator(".restarts")).to_have_text("1", timeout=10_000)
    expect(page.locator("#processes [role=status]")).to_contain_text("liveness was restarted after it ended")
    expect(page.locator("#recent")).to_contain_text("actor exited liveness", timeout=10_000)
    expect(page.locator('[data-lane="actor:liveness"]')).to_be_visible()
    expect(page.locator("#processes")).to_contain_text("signal 9")
    expect(page.locator("#timeline .headline")).to_contain_text("liveness restarted once")
