"""What goes into a supervisor and what comes out of it: frozen values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from netmap_actors.wire import internal_pb2

__all__ = [
    "ChildMessage",
    "CodeOnDisk",
    "Exit",
    "Exited",
    "Kill",
    "LogEvent",
    "Now",
    "Send",
    "Spawn",
    "Spawned",
    "Stop",
    "Terminate",
    "TreeCommand",
    "Up",
    "Waited",
]


class Now(msgspec.Struct, frozen=True):
    """One moment on the three clocks, in seconds."""

    boottime: float
    """Runs on in suspend: delays."""
    monotonic: float
    """Stands still in suspend: limits of children."""
    wall: float
    """For stamps only."""


# In


class Spawned(msgspec.Struct, frozen=True):
    """A Spawn was carried out."""

    actor: str
    generation: int
    pid: int


class Exited(msgspec.Struct, frozen=True):
    """There is no process of that generation any more: it was reaped, or could not be spawned."""

    actor: str
    generation: int
    status: int | None
    """Exit status; None when a signal ended it, or it could not be spawned."""
    signal: int | None = None
    said: str = ""
    """Why, as the process itself reported."""
    detail: str = ""
    """Why it could not be spawned."""


class ChildMessage(msgspec.Struct, frozen=True):
    """A message from a child."""

    envelope: internal_pb2.Envelope


class Stop(msgspec.Struct, frozen=True):
    """All children have to stop."""

    reason: str


class CodeOnDisk(msgspec.Struct, frozen=True):
    """The program's files were looked at."""

    changed: bool
    """They are not those this process was loaded from."""


class Waited(msgspec.Struct, frozen=True):
    """How long children have waited for a processor; to be received before `expire`, which allows for it."""

    seconds: Mapping[str, float]
    """By actor, the sum over its present process's life."""


# Out


class Spawn(msgspec.Struct, frozen=True):
    """Start a process for this actor; answered by Spawned or Exited."""

    actor: str
    generation: int
    start: object = None
    """What the process has to know of those before it; None: nothing."""


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL."""

    actor: str
    generation: int


class Terminate(msgspec.Struct, frozen=True):
    """SIGTERM: it has to stop, and no message reaches it yet."""

    actor: str
    generation: int


class Send(msgspec.Struct, frozen=True):
    """A message to a child."""

    actor: str
    body: Message


class LogEvent(msgspec.Struct, frozen=True):
    """One log event."""

    level: str
    event: str
    fields: Mapping[str, object]


class Up(msgspec.Struct, frozen=True):
    """Every child was up once: the daemon has started."""


class Exit(msgspec.Struct, frozen=True):
    """Every child is gone: the run ends with this status."""

    code: int
    why: str = ""
    """For a person, if only a person can mend it: "cannot X: why; what to do"."""


TreeCommand = Spawn | Kill | Terminate | Send | LogEvent | Up | Exit
