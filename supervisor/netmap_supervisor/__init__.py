"""netmap-supervisor: a control client that is right, or says that it is stale.

The client library is offered here under the project's name; its code is `netmap_actors.subscriber`.
"""

from __future__ import annotations

TYPE_CHECKING = (
    False  # from typing nothing is needed, and `python -m` would take it from the working directory
)

if TYPE_CHECKING:
    from netmap_actors.history.answers import NoHistory
    from netmap_actors.history.occurrences import Happening
    from netmap_actors.history.questions import history
    from netmap_actors.subscriber import (
        AmbiguousName,
        DocumentChanged,
        DomainChanged,
        Event,
        EventFilter,
        EventKind,
        Mirror,
        Netmap,
        NetmapStore,
        NoSuchNode,
        NotReady,
        Peer,
        PeerRemoved,
        Peers,
        PeerUpserted,
        SelfChanged,
        Snapshot,
        StateChanged,
        Subscriber,
        SubscriberClosed,
        Trust,
        UserProfile,
        UserProfilesChanged,
        WrongThread,
    )

__all__ = [
    "AmbiguousName",
    "DocumentChanged",
    "DomainChanged",
    "Event",
    "EventFilter",
    "EventKind",
    "Happening",
    "Mirror",
    "Netmap",
    "NetmapStore",
    "NoHistory",
    "NoSuchNode",
    "NotReady",
    "Peer",
    "PeerRemoved",
    "PeerUpserted",
    "Peers",
    "SelfChanged",
    "Snapshot",
    "StateChanged",
    "Subscriber",
    "SubscriberClosed",
    "Trust",
    "UserProfile",
    "UserProfilesChanged",
    "WrongThread",
    "history",
]

_HISTORY = frozenset({"Happening", "NoHistory", "history"})


def __dir__() -> list[str]:
    """With what is loaded when it is asked for."""
    return sorted({*globals(), *__all__, "__version__"} - {"TYPE_CHECKING", "annotations"})


def __getattr__(name: str) -> object:
    """Load the client library when it is asked for (PEP 562): the Supervisor, which lives here too, never does."""
    if name in _HISTORY:
        from netmap_actors.history import questions  # noqa: PLC0415

        return getattr(questions, name)
    if name in __all__:
        from netmap_actors import subscriber  # noqa: PLC0415

        return getattr(subscriber, name)
    if name == "__version__":
        from netmap_actors import __version__  # noqa: PLC0415

        return __version__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
