"""axe-core finds nothing, in light and dark, at each width, with the panel open and behind the login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser.chromium import REFUSED, UNREACHABLE
from tests.support.browser.page_daemon import PageDaemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from tests.support.browser.page_daemon import Guarded

WIDE, PHONE, NARROWEST = (1440, 900), (390, 844), (320, 640)
LOOKS = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "contrast": {"contrast": "more"},
    "forced": {"forced_colors": "active"},
    "still": {"reduced_motion": "reduce"},
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[PageDaemon]:
    with PageDaemon("--dev-nodes=12", "--dev-churn=0") as daemon:
        daemon.wait_served()
        yield daemon


def violations(page: Page) -> list[str]:
    """What axe-core has to say, an element a line."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def sized(size: tuple[int, int]) -> dict[str, int]:
    return {"width": size[0], "height": size[1]}


@pytest.mark.parametrize(
    ("size", "look"),
    [
        (WIDE, "light"),
        (WIDE, "dark"),
        (PHONE, "light"),
        (PHONE, "dark"),
        (WIDE, "contrast"),
        (WIDE, "forced"),
    ],
)
def test_axe_finds_nothing(
    open_page: Callable[..., Page], daemon: PageDaemon, size: tuple[int, int], look: str
) -> None:
    page = open_page(daemon.origin, viewport=sized(size), **LOOKS[look])
    expect(page.locator("#processes")).to_contain_text("publisher")
    expect(page.locator("#recent li").first).to_be_visible()
    if size == PHONE:  # elsewhere it stays beside the panel
        assert violations(page) == []
    page.locator("#nodes tbody tr").first.click()
    expect(page.locator("#panel")).to_be_visible()
    page.locator("#panel summary").click()
    assert violations(page) == []


@pytest.mark.parametrize("look", ["light", "dark"])
def test_axe_finds_nothing_in_the_login(open_page: Callable[..., Page], guarded: Guarded, look: str) -> None:
    page = open_page(guarded.origin, REFUSED, UNREACHABLE, **LOOKS[look])
    expect(page.get_by_label("Token")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert violations(page) == []


@pytest.mark.parametrize("size", [WIDE, (820, 1180), PHONE, NARROWEST])
def test_no_width_has_to_be_scrolled_sideways(
    open_page: Callable[..., Page], daemon: PageDaemon, size: tuple[int, int]
) -> None:
    page = open_page(daemon.origin, viewport=sized(size))
    expect(page.locator("#nodes tbody tr").first).to_be_visible()
    expect(page.locator("#processes")).to_contain_text("publisher")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_who_wants_no_motion_gets_none(open_page: Callable[..., Page], daemon: PageDaemon) -> None:
    page = open_page(daemon.origin, **LOOKS["still"])
    expect(page.locator("#nodes tbody tr").first).to_be_visible()
    moving = """() => document.getAnimations().filter((one) => one.playState === "running").length"""
    assert page.evaluate(moving) == 0


def test_behind_a_panel_that_covers_everything_nothing_is_reached(
    open_page: Callable[..., Page], daemon: PageDaemon
) -> None:
    page = open_page(daemon.origin, viewport=sized(PHONE))
    page.locator("#nodes tbody tr").first.click()
    expect(page.locator("#panel")).to_be_visible()
    inert = "[...document.querySelectorAll('[inert]')].map((one) => one.id)"
    assert {"nodes", "timeline", "recent", "processes"} <= set(page.evaluate(inert))
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    assert page.evaluate(inert) == []


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_the_row_that_the_keys_are_at_is_in_the_window(
    open_page: Callable[..., Page], daemon: PageDaemon, size: tuple[int, int]
) -> None:
    page = open_page(daemon.origin, viewport=sized(size), **LOOKS["still"])
    expect(page.locator("#nodes tbody tr").first).to_be_attached()
    # In Firefox what scrolls is a stop of its own.
    expect(page.locator("#nodes .scroller")).to_have_attribute("tabindex", "-1")
    page.locator("#nodes .chip").last.focus()
    page.keyboard.press("Tab")
    whole = """() => {
      const {top, bottom} = document.querySelector("#nodes tbody tr.active").getBoundingClientRect();
      return top >= document.getElementById("top").offsetHeight && bottom <= innerHeight;
    }"""
    for key in ("", "End", "Home", "PageDown"):
        if key:
            page.keyboard.press(key)
        page.wait_for_function(whole)
