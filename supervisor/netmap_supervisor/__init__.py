"""netmap-supervisor: a control client that is right, or says that it is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.subscriber import Subscriber

__all__ = ["Subscriber"]


def __getattr__(name: str) -> object:
    """Load the client library when it is asked for (PEP 562): the Supervisor, which lives here too, never does."""
    if name == "Subscriber":
        from netmap_actors.subscriber import Subscriber  # noqa: PLC0415

        return Subscriber
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
