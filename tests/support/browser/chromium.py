"""Chromium of the distribution, and pages in it that keep what must not be: errors, refusals, requests elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
UNREACHABLE = r"Failed to load resource: net::ERR_\w+"
"""What a browser itself says in the console when the endpoint is away or a stream ends."""
REFUSED = r"Failed to load resource: the server responded with a status of (401|403|404|503)"
"""The same when it answers, but not what was asked for."""
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class ChromiumMissing(Exception):
    """This machine has none."""


@contextlib.contextmanager
def launched(*arguments: str) -> Iterator[Browser]:
    """One Chromium without a window. Raises ChromiumMissing."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise ChromiumMissing(f"no {' or '.join(NAMES)} on PATH")
    from playwright.sync_api import sync_playwright

    # Its sandbox refuses root, who runs the tests in a container.
    rootly = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*rootly, "--disable-dev-shm-usage", *arguments]
        )
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What a page did that it should not. `allowed`: patterns of console messages that a test provokes."""

    def __init__(self, page: Page, origin: str, *allowed: str) -> None:
        self._origin = origin
        self.allowed = [*allowed]
        self._found: list[str] = []
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._found.append(f"uncaught: {error}"))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._found.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _request(self, url: str) -> None:
        if not url.startswith((f"{self._origin}/", "data:", "blob:", "about:")):
            self._found.append(f"asked elsewhere: {url}")

    def complaints(self) -> list[str]:
        """Those that are not allowed."""
        return [one for one in self._found if not any(re.search(pattern, one) for pattern in self.allowed)]


@contextlib.contextmanager
def opened(browser: Browser, origin: str, *allowed: str, **context: Any) -> Iterator[Page]:
    """A page of a browser profile of its own at `origin`/; on leaving it may have complained of nothing else.

    `context`: of Playwright's `new_context` (viewport, color_scheme, reduced_motion …).
    """
    own = browser.new_context(**context)
    own.set_default_timeout(15_000)
    page = own.new_page()
    watch = Watch(page, origin, *allowed)
    try:
        page.goto(f"{origin}/")
        yield page
        page.evaluate("0")  # what it said before this has arrived
        found = watch.complaints()
        assert not found, "the page complained: " + "; ".join(found)
    except Exception as error:
        error.add_note("\n".join(["what the page complained of meanwhile:", *watch.complaints()]))
        raise
    finally:
        own.close()
