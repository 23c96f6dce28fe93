"""What the harness itself has to notice: a page that breaks the rules must not pass."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.browser.chromium import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

Bodies = dict[str, bytes]


@pytest.fixture
def served() -> Iterator[Callable[[bytes], str]]:
    """`served(html)`: the origin of a page with a strict policy and this body."""
    bodies: Bodies = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header(
                "Content-Security-Policy", "default-src 'none'; img-src data:; script-src 'nonce-own'"
            )
            self.end_headers()
            self.wfile.write(bodies["/"])

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def serve(body: bytes) -> str:
        bodies["/"] = b"<!doctype html><link rel=icon href=data:,>" + body
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "body",
    [
        b"<script nonce=own>throw new Error('broken')</script>",
        b"<script nonce=own>Promise.reject(new Error('nobody waits'))</script>",
        b"<script nonce=own>console.error('broken')</script>",
        b"<p style='color: red'>inline style",
        b"<script>document.title = 'inline'</script>",
        b"<img src='http://127.0.0.1:9/elsewhere.png'>",
    ],
)
def test_a_page_that_breaks_a_rule_is_noticed(
    chromium: Browser, served: Callable[[bytes], str], body: bytes
) -> None:
    with pytest.raises(AssertionError, match="the page complained"), opened(chromium, served(body)):
        pass


def test_a_page_that_breaks_none_passes(chromium: Browser, served: Callable[[bytes], str]) -> None:
    with opened(chromium, served(b"<title>quiet</title><script nonce=own>console.log(1)</script>")) as page:
        assert page.title() == "quiet"
