"""What one webhook is: which events it tells of which nodes, in which form, how fast and for how long it tries."""

from __future__ import annotations

import enum
import fnmatch
import math
import re
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.errors import ConfigurationError, escape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["DEFAULT_EVENTS", "EVENTS", "NODE_EVENTS", "BodyForm", "WebhookSpec"]


class BodyForm(enum.StrEnum):
    """What a request says, and to whom: `body` of a webhook."""

    TAILSCALE = "tailscale"
    """The JSON that Tailscale's own webhooks send."""
    SLACK = "slack"
    MATTERMOST = "mattermost"
    DISCORD = "discord"
    TEMPLATE = "template"
    """The text of the user's Jinja2 template."""


NODE_EVENTS: Final[tuple[str, ...]] = (
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
)
"""Those that are of a node in the netmap."""
EVENTS: Final[tuple[str, ...]] = (
    *NODE_EVENTS,
    "netmap_stale",
    "netmap_fresh",
    "login_needed",
    "node_removed",
    "degraded",
    "healed",
    "gap",
)
"""What a webhook can tell: values of Happening. `node_removed` is of our own node."""
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
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""Of a webhook: it is a label, a file name and a word of a command."""
_SOURCE: Final = re.compile(r"file:.+|credential:[A-Za-z0-9_.-]+")
_DAY: Final = 86_400.0


class WebhookSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook. All times are seconds."""

    name: str
    """Small letters, digits, "-" and "_", at most 32."""
    url: str
    """Where the URL is read from, which is a secret: file:PATH or credential:NAME."""
    secret: str = ""
    """Where the key of the signatures is read from, likewise; empty: nothing is signed."""
    events: tuple[str, ...] = DEFAULT_EVENTS
    """Some of EVENTS."""
    tags: tuple[str, ...] = ()
    """Only of nodes with any of these ("tag:web"), or whose name fits `names`. Both empty: of all nodes."""
    names: tuple[str, ...] = ()
    """Only of nodes whose full name or its first label fits any of these patterns (`*`, `?`, `[abc]`), or by `tags`."""
    hold_down: float = 60.0
    """A node that is offline, or a netmap that is stale, for less than this is not told of, nor its end; 0: at once."""
    body: BodyForm = BodyForm.TAILSCALE
    template: str = ""
    """The path of the template, with BodyForm.TEMPLATE."""
    retry_for: float = _DAY
    """What happened longer ago is given up."""
    events_per_minute: int = 600
    events_per_body: int = 50
    """At most; a form may hold fewer (`bodies.most_events`)."""
    plaintext: bool = False
    """Its URL may be http to another machine."""

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot be; what could be a secret is not repeated."""
        for problem in self._problems():
            raise ConfigurationError(f"cannot use the webhook {escape(self.name, 40)}: {problem}")

    def chooses(self, name: str, tags: Collection[str]) -> bool:
        """Whether the node of this name with these tags is one of those it tells of."""
        if not self.tags and not self.names:
            return True
        full = name.rstrip(".").lower()
        called = (full, full.partition(".")[0])
        return any(tag in self.tags for tag in tags) or any(
            fnmatch.fnmatchcase(word, pattern.rstrip(".").lower())
            for pattern in self.names
            for word in called
        )

    def _problems(self) -> Iterator[str]:
        if not NAME.fullmatch(self.name):
            yield "its name must be 1 to 32 small letters, digits, - or _, and begin with a letter or a digit"
        for key, source in (("url", self.url), ("secret", self.secret)):
            if not _SOURCE.fullmatch(source) and (source or key == "url"):
                yield f"{key} must say where it is read from, as file:PATH or credential:NAME; itself it is a secret"
        if not self.events or not set(self.events) <= set(EVENTS):
            unknown = sorted(set(self.events) - set(EVENTS))
            said = f"there is no {escape(unknown[0], 40)}" if unknown else "events names none"
            yield f"{said}; events are {', '.join(EVENTS)}"
        for tag in self.tags:
            if not tag.removeprefix("tag:") or not tag.startswith("tag:"):
                yield f"tags are written as tag:NAME, and {escape(tag, 40)!r} is not"
        if (self.body is BodyForm.TEMPLATE) is not bool(self.template):
            yield 'template must be given with body = "template", and with no other'
        for key, value, least, most in (
            ("hold_down", self.hold_down, 0.0, _DAY),
            ("retry_for", self.retry_for, 60.0, 30 * _DAY),
            ("events_per_minute", self.events_per_minute, 1, 60_000),
            ("events_per_body", self.events_per_body, 1, 1000),
        ):
            if not (math.isfinite(value) and least <= value <= most):
                yield f"{key} must be between {least:g} and {most:g}"
        if self.hold_down >= self.retry_for:
            yield "hold_down must be less than retry_for, or nothing would be told"
