"""The errors of the project, each with its disposition: what its catcher should do.

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
    """What the catcher of an error should do."""

    RETRY = "retry"
    """The other side or the network failed: a new attempt may succeed."""
    GIVE_UP = "give_up"
    """Needs the operator: another attempt fails in the same way."""
    BUG = "bug"
    """A defect of ours: the process must not continue."""


class NetmapError(Exception):
    """Base of every error raised on purpose. The text reads "cannot X: why"."""

    disposition: ClassVar[Disposition] = Disposition.BUG


class ConfigurationError(NetmapError):
    """A setting, file or directory is not usable; the text says which and what to do."""

    disposition = Disposition.GIVE_UP


class AuthRefused(NetmapError):
    """The control server refused the auth key."""

    disposition = Disposition.GIVE_UP


class ProtocolError(NetmapError):
    """A protocol was violated."""

    disposition = Disposition.RETRY


class RemoteProtocolError(ProtocolError):
    """By the other side: this connection is over, a new one may work."""


class LocalProtocolError(ProtocolError):
    """By us: a defect of the caller."""

    disposition = Disposition.BUG


class BadMapResponse(RemoteProtocolError):
    """A frame of the map stream is not a MapResponse: framing, compression, JSON, UTF-8 or a top-level field."""


def escape(text: str | bytes, limit: int = 200) -> str:
    """Untrusted text made safe to print: at most `limit` characters, each visible.

    Everything outside printable Unicode (control characters, bidirectional marks, surrogates) and what prints as
    nothing becomes a backslash escape: no terminal obeys it, and different names look different.
    """
    if isinstance(text, bytes):
        text = text[: limit * 4].decode("utf-8", "backslashreplace")
    cut = text[:limit]
    safe = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in cut
    )
    if not safe.isascii():
        safe = label(safe)
    return safe + "…" if len(text) > limit else safe
