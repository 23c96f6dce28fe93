"""Behind a token: the form, the cookie, the way out, and a token that is revoked while the page is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.browser.chromium import REFUSED, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.support.browser.page_daemon import Guarded


@pytest.fixture
def page(open_page: Callable[..., Page], guarded: Guarded) -> Page:
    opened = open_page(guarded.origin, REFUSED, UNREACHABLE)
    expect(opened.get_by_label("Token")).to_be_visible()
    return opened


def log_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")


def test_nothing_is_shown_before_the_login(page: Page) -> None:
    expect(page.locator("#trust")).to_have_attribute("data-state", "token")
    expect(page.get_by_label("Token")).to_be_focused()
    assert page.locator("#nodes tbody tr").count() == 0


def test_a_token_opens_the_page_and_logging_out_closes_it(page: Page, guarded: Guarded) -> None:
    log_in(page, guarded.token("laptop"))
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


def test_a_token_for_metrics_is_refused_with_a_reason(page: Page, guarded: Guarded) -> None:
    log_in(page, guarded.token("prometheus", "metrics"))
    expect(page.get_by_role("alert")).to_contain_text("read")


def test_a_revoked_token_closes_the_open_page(page: Page, guarded: Guarded) -> None:
    log_in(page, guarded.token("lost-phone"))
    expect(page.locator("#trust")).to_have_attribute("data-state", "fresh")
    guarded.revoke("lost-phone")
    expect(page.get_by_label("Token")).to_be_visible(timeout=20_000)
    expect(page.locator("#trust")).to_have_attribute("data-state", "token")
    # Nothing of what was shown is left, neither on the screen nor in the page's memory.
    expect(page.locator("#nodes tbody tr")).to_have_count(0)
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    expect(page.locator("#trust .counts")).to_be_empty()
    expect(page.locator("#tailnet")).to_be_empty()
