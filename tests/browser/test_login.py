"""Behind a token: the form, the cookie, the way out, and a token that is revoked while the page is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.browser.chromium import REFUSED, UNREACHABLE
from tests.support.browser.page_daemon import PageDaemon
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page


class Guarded(PageDaemon):
    """Where other machines can ask, too, a token is needed. Tests ask on loopback."""

    def __init__(self) -> None:
        super().__init__("--http-plaintext")
        port = self.http.rpartition(":")[2]
        self._options = (f"--http-listen=0.0.0.0:{port}", *self._options[1:])

    def wait_served(self) -> None:
        self.wait_fresh()
        wait_for(lambda: self.answers("/") == 200, 30.0, "the page", every=0.1)

    def token(self, name: str, scope: str = "read") -> str:
        done = self.command("tokens", "create", name, f"--scope={scope}", f"--state-dir={self.state_dir}")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def revoke(self, name: str) -> None:
        done = self.command("tokens", "revoke", name, f"--state-dir={self.state_dir}")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def daemon() -> Iterator[Guarded]:
    with Guarded() as daemon:
        daemon.wait_served()
        yield daemon


@pytest.fixture
def page(open_page: Callable[..., Page], daemon: Guarded) -> Page:
    opened = open_page(daemon.origin, REFUSED, UNREACHABLE)
    expect(opened.get_by_label("Token")).to_be_visible()
    return opened


def log_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")


def test_nothing_is_shown_before_the_login(page: Page) -> None:
    expect(page.locator("#trust")).to_have_attribute("data-state", "token")
    expect(page.get_by_label("Token")).to_be_focused()
    assert page.locator("#nodes tbody tr").count() == 0


def test_a_token_opens_the_page_and_logging_out_closes_it(page: Page, daemon: Guarded) -> None:
    log_in(page, daemon.token("laptop"))
    expect(page.locator("#trust")).to_have_attribute("data-state", "fresh")
    expect(page.locator("#nodes tbody tr").first).to_be_visible()
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator("#trust")).to_have_attribute("data-state", "fresh")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.context.cookies() == []
    page.go_back()
    expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize("token", ["nonsense", "+%26 &=", "x" * 200], ids=["word", "encoded", "long"])
def test_a_wrong_token_is_refused_with_a_reason(page: Page, token: str) -> None:
    log_in(page, token)
    expect(page.get_by_role("alert")).not_to_be_empty()
    expect(page.get_by_label("Token")).to_have_attribute("aria-invalid", "true")
    assert token not in page.content()
    assert token not in page.url


def test_a_token_for_metrics_is_refused_with_a_reason(page: Page, daemon: Guarded) -> None:
    log_in(page, daemon.token("prometheus", "metrics"))
    expect(page.get_by_role("alert")).to_contain_text("read")


def test_a_revoked_token_closes_the_open_page(page: Page, daemon: Guarded) -> None:
    log_in(page, daemon.token("lost-phone"))
    expect(page.locator("#trust")).to_have_attribute("data-state", "fresh")
    daemon.revoke("lost-phone")
    expect(page.get_by_label("Token")).to_be_visible(timeout=20_000)
    expect(page.locator("#trust")).to_have_attribute("data-state", "token")
