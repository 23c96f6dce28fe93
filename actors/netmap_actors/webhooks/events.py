"""What a webhook tells: an occurrence of the history with an id, and the sentence that says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from netmap_actors.history.occurrences import Occurrence

__all__ = ["TEST", "Event", "event", "sentence", "test_event"]

TEST = "test"
"""The type of an event that `webhook test` sends."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be told."""

    id: str
    """The same at each attempt, and unlike that of any other event."""
    number: int
    """Of the occurrence in its history; 0 for none."""
    type: str
    """One of spec.EVENTS, or TEST."""
    at: float
    """When it was seen, UNIX seconds."""
    after: float | None = None
    """As of an Occurrence."""
    subject: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    detail: dict[str, Any] = {}


def event(history: str, number: int, occurrence: Occurrence, tags: tuple[str, ...] = ()) -> Event:
    """The event of an occurrence. `history`: the identity of the file; `number`: the occurrence's id in it."""
    raise NotImplementedError


def test_event(id: str, at: float) -> Event:  # noqa: A002
    """What `webhook test` sends."""
    raise NotImplementedError


def sentence(event: Event) -> str:
    """The event in plain English, on one line, without an end mark: "web-1 (tag:web) is offline since 14:03:07Z".

    Names and details come from others: each is cut, and no character of it is invisible. Not escaped for any markup.
    """
    raise NotImplementedError
