"""What a request says, in the form of its receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netmap_actors.errors import Disposition, NetmapError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netmap_actors.webhooks.events import Event
    from netmap_actors.webhooks.spec import WebhookSpec

__all__ = ["Body", "CannotRender", "body", "most_events", "pause"]


class CannotRender(NetmapError):
    """The template makes no body of these events; the text says why, without a secret. Jinja2 may be missing."""

    disposition = Disposition.GIVE_UP


class Body(NamedTuple):
    """Of a POST request."""

    content_type: str
    data: bytes


def body(
    spec: WebhookSpec,
    events: Sequence[Event],
    *,
    tailnet: str,
    source: Callable[[str], str | None] | None = None,
) -> Body:
    """What tells all of these events, at most `most_events` of them; each text is cut to what the receiver takes.

    `tailnet`: what the receiver knows it by. `source(name)`: the text of a template by its file name, for those it
    includes too; None for none; only for BodyForm.TEMPLATE, whose own is asked for by the name in the path of
    `spec.template`. Raises CannotRender.
    """
    raise NotImplementedError


def most_events(spec: WebhookSpec) -> int:
    """How many events a body of this webhook may tell."""
    raise NotImplementedError


def pause(spec: WebhookSpec) -> float:
    """Seconds from the beginning of a request to that of the next, so that the receiver's documented limit is kept."""
    raise NotImplementedError
