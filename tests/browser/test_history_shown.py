"""What happened, as the page shows it: restarts, the time axis, and a daemon that keeps no history."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.browser.chromium import REFUSED, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.support.browser.page_daemon import PageDaemon
    from tests.support.servers.scripted import Control


def test_a_killed_process_is_seen_in_the_tree_and_in_what_happened(
    control: Control, page_daemon: Callable[..., PageDaemon], open_page: Callable[..., Page]
) -> None:
    daemon = page_daemon(control=control)
    page = open_page(daemon.origin, UNREACHABLE)
    processes = page.locator("#processes")
    expect(processes).to_contain_text("publisher")
    expect(processes).not_to_contain_text("signal 9")
    os.kill(daemon.pid_of("publisher"), signal.SIGKILL)
    expect(processes).to_contain_text("signal 9")
    expect(page.locator("#recent")).to_contain_text("signal 9", timeout=40_000)
    expect(page.locator("#timeline")).to_contain_text("publisher restarted once")


def test_without_a_history_the_page_says_so_and_tells_what_it_has_seen_itself(
    control: Control, page_daemon: Callable[..., PageDaemon], open_page: Callable[..., Page]
) -> None:
    daemon = page_daemon(control=control, history=False)
    page = open_page(daemon.origin, REFUSED)
    expect(page.locator("#timeline")).to_contain_text("history.keep")
    control.server.tailnet.add_node("came-later")
    expect(page.locator("#recent")).to_contain_text("came-later")
