"""What one webhook is: which events it tells of which nodes, in which form, how fast and for how long it tries."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from netmap_actors.errors import ConfigurationError
from netmap_actors.history.occurrences import Happening

__all__ = ["DEFAULT_EVENTS", "EVENTS", "BodyForm", "WebhookSpec"]


class BodyForm(enum.StrEnum):
    """What a request says, and to whom: `body` of a webhook."""

    TAILSCALE = "tailscale"
    """The JSON that Tailscale's own webhooks send."""
    SLACK = "slack"
    MATTERMOST = "mattermost"
    DISCORD = "discord"
    TEMPLATE = "template"
    """The text of the user's Jinja2 template."""


EVENTS: Final[tuple[str, ...]] = (
    "node_online",
    "node_offline",
    "node_joined",
    "node_left",
    "node_tagged",
    "node_routed",
    "node_renamed",
    "node_moved",
    "node_key_expiring",
    "node_key_expired",
    "node_key_changed",
    "netmap_stale",
    "netmap_fresh",
    "login_needed",
    "node_removed",
    "gap",
    "degraded",
    "healed",
)
"""What a webhook can tell: the names of Happening, of what a person may want to act on."""
DEFAULT_EVENTS: Final[tuple[str, ...]] = (
    "node_online",
    "node_offline",
    "node_joined",
    "node_left",
    "node_key_expiring",
    "node_key_expired",
    "netmap_stale",
    "netmap_fresh",
    "login_needed",
    "node_removed",
)
NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,31}\Z"
"""Of a webhook: it is a label, a file name and a word of a command."""


class WebhookSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook. All times are seconds."""

    name: str
    """By NAME."""
    url: str
    """Where the URL is read from, which is a secret: file:PATH or credential:NAME."""
    secret: str = ""
    """Where the key of the signatures is read from, likewise; empty: nothing is signed."""
    events: tuple[str, ...] = DEFAULT_EVENTS
    """Some of EVENTS."""
    tags: tuple[str, ...] = ()
    """Only of nodes with any of these ("tag:web"). Together with `names`: what either chooses. Both empty: of all."""
    names: tuple[str, ...] = ()
    """Only of nodes whose full name or its first label fits any of these patterns (`*`, `?`, `[abc]`)."""
    hold_down: float = 60.0
    """A node that is offline, or a netmap that is stale, for less than this is not told of, nor its end; 0: at once."""
    body: BodyForm = BodyForm.TAILSCALE
    template: str = ""
    """The path of the template, with BodyForm.TEMPLATE."""
    retry_for: float = 86_400.0
    """What happened longer ago is given up."""
    events_per_minute: int = 600
    events_per_body: int = 50
    """At most; a form may hold fewer (`bodies.most_events`)."""

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value that cannot be."""
        raise ConfigurationError("not there yet")
