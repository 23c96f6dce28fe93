"""What the table and the panel of one node show while the tailnet changes, whatever its nodes are called."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.browser.page_daemon import PageDaemon
from tests.support.servers import scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from playwright.sync_api import Locator, Page

HOSTILE = (
    "<img src=x onerror=document.title='taken'>",
    "</td><script>document.title='taken'</script>",
    "javascript:document.title='taken'//",
    "right-\u202etfel",
    "nul\x00bel\x07esc\x1b[31m",
    "zero\u200bwidth\ufeffjoiner",
    "two\nlines\r\u2028three",
    "שלום-عالم",
    "👩‍👩‍👧-🏴‍☠️",
    "n" * 63,
    "{{7*7}}${7*7}`'\"&amp;",
)
CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\u2028\ufeff\x00-\x08\x0b-\x1f]")
"""What may not reach the screen; tabs and line breaks stand between the elements of a page."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageDaemon]:
    """Five nodes and what each test adds."""
    with (
        scripted.running(tmp_path_factory.mktemp("control")) as control,
        PageDaemon(control=control) as daemon,
    ):
        daemon.wait_served()
        yield daemon


@pytest.fixture
def tailnet(daemon: PageDaemon) -> Any:
    """Edits of the tailnet."""
    assert daemon.control is not None
    return daemon.control.server.tailnet


@pytest.fixture
def page(open_page: Callable[..., Page], daemon: PageDaemon) -> Page:
    opened = open_page(daemon.origin, viewport={"width": 1440, "height": 1000})
    expect(opened.locator("#trust")).to_have_attribute("data-state", "fresh")
    return opened


def row(page: Page, name: str) -> Locator:
    """The row of the node that is shown under this name."""
    return page.locator("#nodes tbody tr").filter(has=page.get_by_text(name, exact=True))


def test_a_renamed_node_has_its_new_name_in_its_row_and_its_open_panel(page: Page, tailnet: Any) -> None:
    tailnet.add_node("before-the-rename")
    row(page, "before-the-rename").click()
    panel = page.locator("#panel")
    expect(panel.get_by_role("heading", level=2)).to_have_text("before-the-rename")
    address = page.url
    assert "#node=" in address
    tailnet.rename("before-the-rename", "after-the-rename")
    expect(row(page, "after-the-rename")).to_be_visible()
    expect(row(page, "before-the-rename")).to_have_count(0)
    expect(panel.get_by_role("heading", level=2)).to_have_text("after-the-rename")
    assert page.url == address
    # The history, too, says what it was called.
    expect(panel).to_contain_text("before-the-rename")
    page.goto(address)
    expect(panel.get_by_role("heading", level=2)).to_have_text("after-the-rename")


def test_a_node_that_leaves_is_gone_from_the_table_and_its_panel_says_so(page: Page, tailnet: Any) -> None:
    tailnet.add_node("leaves-soon")
    row(page, "leaves-soon").click()
    expect(page.locator("#panel")).to_be_visible()
    tailnet.remove_node("leaves-soon")
    expect(row(page, "leaves-soon")).to_have_count(0)
    expect(page.locator("#panel")).to_contain_text("left")
    expect(page.locator("#panel").get_by_role("heading", level=2)).to_have_text("leaves-soon")
    expect(page.locator("#recent")).to_contain_text("leaves-soon")


def test_a_node_that_goes_offline_says_so_in_words(page: Page, tailnet: Any) -> None:
    tailnet.add_node("goes-off")
    expect(row(page, "goes-off")).to_contain_text("online")
    tailnet.set_online("goes-off", False)
    expect(row(page, "goes-off")).to_contain_text("offline")
    tailnet.add_node("nobody-knows", online=None)
    expect(row(page, "nobody-knows")).to_contain_text("unknown")


def test_an_expired_key_is_found_by_its_filter(page: Page, tailnet: Any) -> None:
    tailnet.add_node("key-is-over")
    expect(row(page, "key-is-over")).to_be_visible()
    tailnet.expire("key-is-over", -60.0)
    page.get_by_role("button", name="Key expired").click()
    expect(page.locator("#nodes tbody tr")).to_have_count(1)
    expect(row(page, "key-is-over")).to_be_visible()
    row(page, "key-is-over").click()
    expect(page.locator("#panel")).to_contain_text("Key expired")


def test_the_search_finds_by_words_and_says_how_many(page: Page, tailnet: Any) -> None:
    tailnet.add_node("found-by-tag", tags=["tag:rare"])
    expect(row(page, "found-by-tag")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("tag:rare")
    expect(page.locator("#nodes tbody tr")).to_have_count(1)
    expect(page.locator("#nodes")).to_contain_text(re.compile(r"1 of \d+ peers"))
    page.keyboard.press("Escape")
    expect(page.locator("#nodes")).not_to_contain_text("1 of")


def test_hostile_names_are_text_and_nothing_else(page: Page, daemon: PageDaemon, tailnet: Any) -> None:
    control = daemon.control
    assert control is not None
    title = page.title()
    harmless = tailnet.add_node("harmless")
    row(page, "harmless").click()
    heading = page.locator("#panel").get_by_role("heading", level=2)
    expect(heading).to_have_text("harmless")
    elements = page.locator("#nodes tbody *").count()
    stated: dict[str, Any] = control.server.call(lambda it: it.peer(harmless.id))
    for name in HOSTILE:
        before = heading.inner_text()
        # As a server would say it that checks no names: ours does.
        hostinfo = {"Hostname": name, "OS": name}
        told = {"Name": f"{name}.", "ComputedName": name, "Tags": [f"tag:{name}"], "Hostinfo": hostinfo}
        control.server.raw(json.dumps({"PeersChanged": [{**stated, **told}]}))
        expect(heading).not_to_have_text(before)
        shown = page.locator("body").inner_text()
        assert not CONTROLS.search(shown), name
        assert page.locator("#nodes tbody *").count() == elements, f"{name!r} made an element"
        assert page.locator("img, main script").count() == 0, name
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], f"{name!r} makes the page wider than its window"
    assert page.title() == title
    tailnet.remove_node(harmless.id)


def test_everything_can_be_reached_by_keyboard_alone(page: Page, tailnet: Any) -> None:
    for name in ("key-a", "key-b", "key-c"):
        tailnet.add_node(name, tags=["tag:keys"])
    expect(row(page, "key-c")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the nodes")
    page.keyboard.press("Enter")
    expect(page.locator("#nodes")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("tag:keys")
    expect(page.locator("#nodes tbody tr")).to_have_count(3)
    page.keyboard.press("ArrowDown")
    grid = page.get_by_role("grid", name="Nodes")
    expect(grid).to_be_focused()
    active = page.locator("#nodes tbody tr.active")
    page.keyboard.press("End")
    expect(active).to_contain_text("key-c")
    expect(grid).to_have_attribute("aria-activedescendant", active.get_attribute("id") or "")
    page.keyboard.press("ArrowUp")
    expect(active).to_contain_text("key-b")
    page.keyboard.press("Enter")
    heading = page.locator("#panel").get_by_role("heading", level=2)
    expect(heading).to_have_text("key-b")
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(grid).to_be_focused()


def test_each_column_sorts_both_ways(page: Page) -> None:
    for head in page.locator("#nodes th").all():
        if not head.is_visible():
            continue
        orders = set()
        for _ in range(2):
            head.get_by_role("button").click()
            orders.add(head.get_attribute("aria-sort"))
        assert orders == {"ascending", "descending"}
