"""What a webhook tells: an occurrence of the history with an id, and the sentence that says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors.errors import escape
from netmap_actors.rfc3339 import stamp
from netmap_actors.webhooks.spec import DEFAULT_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_actors.history.occurrences import Occurrence

__all__ = ["TEST", "WebhookEvent", "event", "sentence", "test_event", "with_login"]

TEST: Final = "test"
"""The type of what `test_event` makes."""
LOGIN: Final = "login_needed"
_MAX_NAME: Final = 100
_MAX_VALUE: Final = 120
_MAX_LISTED: Final = 3


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
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


def event(history: str, number: int, occurrence: Occurrence, tags: Sequence[str] = ()) -> WebhookEvent:
    """The event of an occurrence. `history`: the identity of the file; `number`: the occurrence's id in it."""
    return WebhookEvent(
        # With the moment: a file that lost its end with the machine gives the same numbers once more.
        id=f"{history}-{number}-{round(occurrence.at * 1000):x}",
        number=number,
        type=str(occurrence.kind),
        at=occurrence.at,
        after=occurrence.after,
        subject=occurrence.subject,
        name=occurrence.name,
        tags=tuple(tags),
        detail=occurrence.detail,
    )


def test_event(id: str, at: float) -> WebhookEvent:  # noqa: A002
    """What `webhook test` sends."""
    return WebhookEvent(id=id, number=0, type=TEST, at=at)


def with_login(wanted: Sequence[str], events: Sequence[WebhookEvent], url: str) -> Sequence[WebhookEvent]:
    """The events, of a login with where it is: for whose owner has named that event, and not taken it by default.

    `wanted`: the `events` of its spec. Who opens the address decides whose node this is.
    """
    if not url or wanted == DEFAULT_EVENTS:
        return events
    return [
        msgspec.structs.replace(one, detail={**one.detail, "url": url}) if one.type == LOGIN else one
        for one in events
    ]


_SENTENCES: Final[dict[str, str]] = {
    "node_online": "{who} is online since {when}",
    "node_offline": "{who} is offline since {when}",
    "node_joined": "{who} joined the tailnet at {when}",
    "node_left": "{who} left the tailnet at {when}",
    "node_tagged": "{who} has other tags since {when}",
    "node_routed": "{who} is the router of other subnets since {when}",
    "node_renamed": "{who} has another name since {when}",
    "node_moved": "{who} moved at {when}",
    "node_key_expiring": "the key of {who} expires soon, as of {when}",
    "node_key_expired": "the key of {who} is expired since {when}",
    "node_key_changed": "{who} has another key since {when}",
    "netmap_stale": "the netmap is stale since {when}",
    "netmap_fresh": "the netmap is fresh since {when}",
    "login_needed": "somebody has to log in this machine's node, since {when}",
    "node_removed": "this machine's node was removed from the tailnet at {when}",
    "degraded": "{what} is degraded since {when}",
    "healed": "{what} is no longer degraded since {when}",
    "gap": "nothing was seen until {when}",
    TEST: "this is a test event, sent at {when}",
}
_SHOWN: Final = {
    "reason": "",
    "text": "",
    "detail": "",
    "url": "",
    "expires": "at ",
    "addresses": "addresses ",
    "home_derp": "relay ",
    "name": "",
    "tags": "",
    "routes": "",
}
"""Details that a sentence shows, and what stands before each."""


def sentence(event: WebhookEvent, at: float) -> str:
    """The event in plain English, on one line, without an end mark: "web-1 (tag:web) is offline since 14:03:07Z".

    `at`: UNIX seconds; what did not happen on that day is told with its date. Names and details come from others: each
    is cut, and no character of it is invisible. Not escaped for any markup.
    """
    who = escape(event.name.rstrip(".") or event.subject, _MAX_NAME)
    if event.tags:
        who += f" ({_listed(event.tags)})"
    pattern = _SENTENCES.get(event.type, event.type.replace("_", " ") + " at {when}")
    said = pattern.format(who=who, what=escape(event.subject, _MAX_NAME), when=_moment(event.at, at))
    told = [
        _SHOWN[key] + _told(value)
        for key, value in event.detail.items()
        if key in _SHOWN and value not in ("", None)
    ]
    if event.type == LOGIN and "url" not in event.detail:
        told.append("netmap-supervisor status shows the address there")
    if event.after is not None:
        told.append(f"not before {_moment(event.after, at)}" if event.after else "or at any time before")
    return ", ".join((said, *told))


def _told(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"from", "to"}:
        return f"{_told(value['from'])} before, {_told(value['to'])} now"
    if isinstance(value, list | tuple):
        return _listed(value)
    return escape("" if value is None else str(value), _MAX_VALUE) or "none"


def _listed(words: Sequence[Any]) -> str:
    more = ["…"] if len(words) > _MAX_LISTED else []
    return ", ".join([escape(str(word), _MAX_NAME) for word in words[:_MAX_LISTED]] + more) or "none"


def _moment(when: float, at: float) -> str:
    text, now = (stamp(moment, "seconds").replace("T", " ") for moment in (when, at))
    return text if text[:10] != now[:10] else text[11:]
