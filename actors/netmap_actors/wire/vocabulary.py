"""The terms shared by the processes, the log, `status` and the JSON outputs. Pure.

Not here: how a process ends (`netmap_actors.exit_reason`) and the topics of the bus (`topics`).
"""

from __future__ import annotations

import enum

__all__ = ["PUBLISHER_PAUSED", "TAILNET", "ActorName", "EndReason", "Stage", "Trust"]


TAILNET = "default"
"""The name of the one tailnet there is."""


class ActorName(enum.StrEnum):
    """The child processes."""

    CONNECTION = "control_connection"
    LIVENESS = "liveness"
    PUBLISHER = "publisher"
    DEV_CONTROL = "dev_control"
    HTTP_ENDPOINT = "http_endpoint"
    HISTORY = "history"
    WEBHOOKS = "webhooks"


class Stage(enum.StrEnum):
    """How far a control connection is."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    HANDSHAKE = "handshake"
    REGISTER = "register"
    LOGIN = "login"
    MAP = "map"


class EndReason(enum.StrEnum):
    """Why a control connection ended, or has to end."""

    SILENCE = "silence"
    """No MapResponse within the limit."""
    WAKE = "wake"
    """A probe after a sleep of the machine was not answered."""
    LINK = "link"
    """The same after a change of the network."""
    CLOSED = "closed"
    ERROR = "error"
    CRASHED = "crashed"
    REMOVED = "removed"
    EXPIRED = "expired"
    HUNG = "hung"
    """The process does not do its work."""
    OPERATOR = "operator"


PUBLISHER_PAUSED = "publisher_paused"
"""The reason of a Verdict that ends no connection: the publisher takes nothing, and is killed."""


class Trust(enum.StrEnum):
    """How far the netmap can be trusted."""

    NONE = "none"
    FRESH = "fresh"
    STALE = "stale"
