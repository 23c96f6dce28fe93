"""What a request says, in the form of its receiver.

Names come from a control server and are not trusted: in no form can one be markup, call somebody, or end its text.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from netmap_actors import shown_json
from netmap_actors.errors import Disposition, NetmapError
from netmap_actors.rfc3339 import stamp
from netmap_actors.webhooks.events import sentence
from netmap_actors.webhooks.spec import BodyForm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netmap_actors.webhooks.events import WebhookEvent
    from netmap_actors.webhooks.spec import WebhookSpec

__all__ = ["Body", "CannotRender", "body", "load_templates", "most_events", "pause"]

MAX_TEXT: Final = 1 << 20
"""Characters of what a template makes."""
_MAX_DETAIL: Final = 8192
"""Bytes of JSON; more is left out."""
_JSON: Final = "application/json"


class CannotRender(NetmapError):
    """The template makes no body of these events; the text says why. Jinja2 may be missing."""

    disposition = Disposition.GIVE_UP


class Body(NamedTuple):
    """Of a POST request."""

    content_type: str
    data: bytes


_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP: Final = frozenset("\\`*_~|[]()<>#")


def _slack(text: str) -> list[str]:
    return [_HTML.get(character, character) for character in text]


def _markdown(text: str) -> list[str]:
    def is_markup(at: int) -> bool:
        # Inside a word "_" is none, and a link breaks when it is escaped.
        inside = text[at] == "_" and text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()
        return text[at] in _MARKUP and not inside

    return [f"\\{letter}" if is_markup(at) else letter for at, letter in enumerate(text)]


def _mattermost(text: str) -> list[str]:
    # It makes a mention of any "@", and reads Slack's markup before its own: only another character helps.
    other = {**_HTML, "@": "\N{FULLWIDTH COMMERCIAL AT}"}
    return [other.get(letter, piece) for letter, piece in zip(text, _markdown(text), strict=True)]


class _Form(NamedTuple):
    """What a receiver takes."""

    pause: float
    """Seconds between requests."""
    events: int
    """In one body."""
    characters: int = 0
    """In one text, in UTF-16 units."""
    field: str = ""
    """Of the JSON that holds the text."""
    escapes: Callable[[str], list[str]] | None = None
    """What stands for each character of a text."""


_FORMS: Final[dict[BodyForm, _Form]] = {
    BodyForm.TAILSCALE: _Form(pause=0.2, events=1000),
    BodyForm.TEMPLATE: _Form(pause=1.0, events=1000),
    # docs.slack.dev/apis/web-api/rate-limits: one a second; texts longer than 40 000 characters are cut. Nothing but
    # `text`: Google Chat takes the same, and refuses other fields.
    BodyForm.SLACK: _Form(1.0, 50, 40_000, "text", _slack),
    # 10 a second unless set otherwise; 16 383 characters.
    BodyForm.MATTERMOST: _Form(1.0, 50, 16_383, "text", _mattermost),
    # 5 in 2 s for a webhook, and 30 a minute for its channel; 2000 characters.
    BodyForm.DISCORD: _Form(2.0, 10, 2000, "content", _markdown),
}
_TAILSCALE_TYPES: Final = {
    "node_joined": "nodeCreated",
    "node_left": "nodeDeleted",
    "node_key_expired": "nodeKeyExpired",
}
"""By our own names: what Tailscale calls the same. Other events keep our names."""
_DAY: Final = 86_400.0


def most_events(spec: WebhookSpec) -> int:
    """How many events a body of this webhook may tell."""
    return min(spec.events_per_body, _FORMS[spec.body].events)


def pause(spec: WebhookSpec) -> float:
    """Seconds from the beginning of a request to that of the next, so that the receiver's documented limit is kept."""
    return _FORMS[spec.body].pause


def body(
    spec: WebhookSpec,
    events: Sequence[WebhookEvent],
    *,
    tailnet: str,
    at: float,
    source: Callable[[str], str | None] | None = None,
) -> Body:
    """What tells all of these events, at most `most_events` of them; each text is cut to what the receiver takes.

    `tailnet`: its name. `at`: UNIX seconds of the sending. `source(name)`: the text of a template by its file name, for
    those it includes too; None for none; only for BodyForm.TEMPLATE, whose own is asked for by the file name in
    `spec.template`. A template is a program, and nothing here ends one that runs for ever
    (`confinement.bounded_child` does). Raises CannotRender.
    """
    if spec.body is BodyForm.TAILSCALE:
        return Body(_JSON, shown_json.encode([_tailscale(one, tailnet, at) for one in events]))
    if spec.body is BodyForm.TEMPLATE:
        return _rendered(
            PurePath(spec.template).name, source or (lambda _: None), _values(events, tailnet, at)
        )
    form = _FORMS[spec.body]
    assert form.escapes is not None
    room = form.characters // len(events) - 1
    value: dict[str, Any] = {
        form.field: "\n".join(_cut(form.escapes(sentence(one, at)), room) for one in events)
    }
    if spec.body is BodyForm.DISCORD:
        value["allowed_mentions"] = {"parse": []}
    return Body(_JSON, shown_json.encode(value))


def _tailscale(event: WebhookEvent, tailnet: str, at: float) -> dict[str, Any]:
    """tailscale.com/kb/1213/webhooks, "Events payload": there are receivers that refuse a field more or less.

    Every value of `data` is a string, as in the types of Tailscale's example of a receiver.
    """
    data = {"eventID": event.id}
    if event.name:
        data |= {"nodeID": event.subject, "deviceName": event.name.rstrip(".")}
    elif event.subject:
        data["subject"] = event.subject
    if event.tags:
        data["tags"] = ",".join(event.tags)
    if event.after is not None:
        data["after"] = stamp(event.after)
    if isinstance(expires := event.detail.get("expires"), str):
        data["expiration"] = expires
    if event.detail and len(detail := shown_json.encode(event.detail)) <= _MAX_DETAIL:
        data["detail"] = detail.decode()
    kind = _TAILSCALE_TYPES.get(event.type, event.type)
    if event.type == "node_key_expiring" and event.detail.get("within_s", 0.0) <= _DAY:
        kind = "nodeKeyExpiringInOneDay"
    return {
        "timestamp": stamp(event.at),
        "version": 1,
        "type": kind,
        "tailnet": tailnet,
        "message": sentence(event, at),
        "data": data,
    }


def _cut(pieces: list[str], room: int) -> str:
    """The text of these escaped characters, at most `room` UTF-16 units of it; no escape is cut in two."""
    sizes = [len(piece) + sum(letter > "\uffff" for letter in piece) for piece in pieces]
    if sum(sizes) <= room:
        return "".join(pieces)
    taken, at = 1, 0
    while taken + sizes[at] <= room:
        taken += sizes[at]
        at += 1
    return "".join(pieces[:at]) + "…"


# The template


def load_templates() -> None:
    """Load Jinja2, where it is there: for the processes that are forked to render, once."""
    with contextlib.suppress(ImportError):
        from netmap_actors.exports import template_sandbox  # noqa: F401, PLC0415


def _values(events: Sequence[WebhookEvent], tailnet: str, at: float) -> dict[str, Any]:
    """What a template sees. No string holds a line break or another control character: such are shown as an escape."""
    told = [
        msgspec.to_builtins(one)
        | {
            "at": stamp(one.at),
            "after": None if one.after is None else stamp(one.after),
            "message": sentence(one, at),
        }
        for one in events
    ]
    values: dict[str, Any] = shown_json.visible({"tailnet": tailnet, "at": stamp(at), "events": told})
    return values


def _rendered(name: str, source: Callable[[str], str | None], values: dict[str, Any]) -> Body:
    try:
        # Jinja2 is an extra, and only for who has a template.
        from netmap_actors.exports.remarks import CannotExport  # noqa: PLC0415
        from netmap_actors.exports.template_sandbox import render  # noqa: PLC0415
    except ImportError:
        raise CannotRender(
            "cannot render: Jinja2 is not installed; pip install 'netmap-supervisor[template]'"
        ) from None
    try:
        text = render(name, source, values, most=MAX_TEXT)
    except CannotExport as error:
        raise CannotRender(str(error)) from None
    except MemoryError:
        raise CannotRender(f"cannot render {name}: it takes too much memory") from None
    data = text.encode(errors="backslashreplace")
    if _is_json(data):
        return Body(_JSON, data)
    if re.search(r"\.json(\.|\Z)", name):
        raise CannotRender(
            f"cannot render {name}: its text is not JSON; is tojson missing where it puts a value in?"
        )
    return Body("text/plain; charset=utf-8", data)


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
