"""The one family of errors, each of which says what its catcher should do next.

Not here: the exit statuses that carry an error across a process boundary (`exit_reason`).
"""

from __future__ import annotations

import enum
from typing import ClassVar

from netmap_actors.shown_json import label

__all__ = [
    "AuthRefused",
    "BadMapResponse",
    "ConfigurationError",
    "Disposition",
    "LocalProtocolError",
    "NetmapError",
    "ProtocolError",
    "RemoteProtocolError",
    "escape",
]


class Disposition(enum.Enum):
    """What the one who catches an error should do."""

    RETRY = "retry"
    """The other side or the network was at fault: a new attempt may succeed."""
    GIVE_UP = "give_up"
    """Only a person can mend it: another attempt fails in the same way."""
    BUG = "bug"
    """Our own rule was broken: the process must not go on."""


class NetmapError(Exception):
    """Base of every error this project raises on purpose. The text reads "cannot X: why"."""

    disposition: ClassVar[Disposition] = Disposition.BUG


class ConfigurationError(NetmapError):
    """A setting, file or directory is not usable; the text says which and what to do."""

    disposition = Disposition.GIVE_UP


class AuthRefused(NetmapError):
    """The control server refused the auth key."""

    disposition = Disposition.GIVE_UP


class ProtocolError(NetmapError):
    """Somebody broke the rules of a protocol."""

    disposition = Disposition.RETRY


class RemoteProtocolError(ProtocolError):
    """The other side broke the rules: this connection is finished, a new one may work."""

    disposition = Disposition.RETRY


class LocalProtocolError(ProtocolError):
    """We broke the rules: a defect of the caller."""

    disposition = Disposition.BUG


class BadMapResponse(RemoteProtocolError):
    """A frame of the map stream is not a MapResponse: framing, compression, JSON, UTF-8 or a top-level field."""


def escape(text: str | bytes, limit: int = 200) -> str:
    """Untrusted text made safe to print: printable characters only, at most `limit` of them.

    Everything outside printable Unicode (control characters, escapes, bidirectional marks, surrogates), and what prints
    as nothing, becomes a backslash escape, so that a terminal or a log line never obeys it, and no two names look alike
    for what is not seen.
    """
    if isinstance(text, bytes):
        text = text[: limit * 4].decode("utf-8", "backslashreplace")
    cut = text[:limit]
    safe = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in cut
    )
    safe = label(safe)
    return safe + "…" if len(text) > limit else safe
