"""What happened, as the page of a daemon that keeps no history shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.browser.chromium import REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.support.browser.page_daemon import PageDaemon
    from tests.support.servers.scripted import Control


def test_without_a_history_the_page_says_so_and_tells_what_it_has_seen_itself(
    control: Control, page_daemon: Callable[..., PageDaemon], open_page: Callable[..., Page]
) -> None:
    daemon = page_daemon(control=control, history=False)
    page = open_page(daemon.origin, REFUSED)
    expect(page.locator("#timeline")).to_contain_text("history.keep")
    control.server.tailnet.add_node("came-later")
    expect(page.locator("#recent")).to_contain_text("came-later")
