"""A blank page in Chromium that gets the page's modules without a server."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from netmap_actors.http_endpoint.page_files import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

ORIGIN = "http://page.test"
CALL = """async ([module, name, given]) => {
  const found = await import(`/page/${module}.js`);
  return found[name](...given);
}"""


def _serve(route: Route) -> None:
    name = route.request.url.removeprefix(f"{ORIGIN}/page/")
    if name.endswith(".js"):
        route.fulfill(body=(FOLDER / name).read_text(), content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html><title>blank</title>", content_type="text/html")


@contextlib.contextmanager
def blank_page(browser: Browser, timezone: str = "Asia/Kathmandu") -> Iterator[Page]:
    """In a time zone that is not UTC."""
    context = browser.new_context(timezone_id=timezone)
    page = context.new_page()
    page.route(f"{ORIGIN}/**", _serve)
    page.goto(f"{ORIGIN}/")
    yield page
    context.close()
