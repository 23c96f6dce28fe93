"""Histories as /history answers them, and the modules of the page that read them, in the browser that runs them."""

from __future__ import annotations

import contextlib
import datetime
from typing import TYPE_CHECKING, Any

from tests.support.browser.blank_page import blank_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    Evaluate = Callable[..., Any]

WINDOW = {"since": 100_000, "until": 900_000}
IMPORTS = """
const [models, occurrences, live, laneModule, summing, windows, axis, labels, processRows] = await Promise.all(
  ["history/model", "history/occurrences", "history/live", "timeline/lanes", "timeline/summary", "timeline/window",
   "timeline/axis", "timeline/labels", "processes/rows"].map((name) => import(`/page/${name}.js`)));
"""


@contextlib.contextmanager
def page_modules(chromium: Browser) -> Iterator[Evaluate]:
    """`evaluate(body, given)`: what the body of a function of `given` returns, with the page's modules at hand."""
    with blank_page(chromium, "Europe/Berlin") as page:
        yield lambda body, given=None: page.evaluate(f"async (given) => {{{IMPORTS}{body}}}", given)


def at(second: float) -> str:
    return datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat().replace("+00:00", "Z")


def span(since: float, until: float, state: str, **detail: Any) -> dict[str, Any]:
    return {"since": at(since), "until": at(until), "state": state, "detail": detail}


def occurred(number: int, second: float, kind: str, subject: str = "", **detail: Any) -> dict[str, Any]:
    name = f"{subject}.tail.example" if kind.startswith("node_") else ""
    return {
        "id": number, "at": at(second), "after": None, "kind": kind, "subject": subject, "name": name, "detail": detail,
    }  # fmt: skip


def answer(since: float, until: float, **parts: Any) -> dict[str, Any]:
    """An answer of /history, in which nothing happened but what `parts` say."""
    happened = parts.get("occurrences", [])
    return {
        "tailnet": "default", "since": at(since), "until": at(until), "gaps": [], "netmap": [], "connection": [],
        "nodes": [], "occurrences": [], "more": False, "file": "a", "oldest_id": 1,
        "newest_id": max([one["id"] for one in happened], default=0), **parts,
    }  # fmt: skip
