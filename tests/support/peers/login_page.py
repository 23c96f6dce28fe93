"""The login page of our control server, as the person behind a browser has it."""

from __future__ import annotations

import html.parser
import urllib.parse
import urllib.request


class _LoginForm(html.parser.HTMLParser):
    """The fields and buttons of a page's only form."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.buttons: dict[str, tuple[str, str]] = {}
        """Label -> name and value."""
        self._button: tuple[str, str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input":
            self.fields[given["name"]] = given["value"]
        elif tag == "button":
            self._button = given["name"], given["value"]

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self.buttons[data] = self._button
            self._button = None


def browse(url: str, form: dict[str, str] | None = None) -> str:
    """The page; with a form, the one that answers it. Raises HTTPError."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data, timeout=10) as answer:
        return str(answer.read().decode())


def press(url: str, button: str, **typed: str) -> str:
    """Open the login page, fill in its form and press a button, as a person would; what the page says then."""
    form = _LoginForm(browse(url))
    name, value = form.buttons[button]
    return browse(url, form.fields | typed | {name: value})
