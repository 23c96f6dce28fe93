"""What goes into the supervisor's core and what comes out of it: frozen values, nothing else."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from netmap_actors.wire import internal_pb2

__all__ = [
    "Command",
    "ConnectionStart",
    "Exit",
    "Exited",
    "Input",
    "Kill",
    "Log",
    "LookForRoute",
    "Now",
    "Reconnect",
    "Route",
    "Send",
    "Spawn",
    "SpawnFailed",
    "Spawned",
    "Stop",
    "Terminate",
    "Up",
    "Waited",
    "Word",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Now:
    """One moment on the three clocks, in seconds."""

    boottime: float
    """Runs on in suspend: delays."""
    monotonic: float
    """Stands still in suspend: limits of children."""
    wall: float
    """For stamps only."""


# In


@dataclasses.dataclass(frozen=True, slots=True)
class Spawned:
    """A Spawn was carried out."""

    actor: str
    incarnation: int
    pid: int


@dataclasses.dataclass(frozen=True, slots=True)
class SpawnFailed:
    """A Spawn could not be carried out: no memory, no process, no descriptor."""

    actor: str
    incarnation: int
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Exited:
    """A child was reaped: there is no process of that incarnation any more."""

    actor: str
    incarnation: int
    status: int | None
    """Exit status, None when a signal ended it."""
    signal: int | None = None
    said: str = ""
    """Why, in its own last words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """A message from a child."""

    envelope: internal_pb2.Envelope


@dataclasses.dataclass(frozen=True, slots=True)
class Reconnect:
    """An operator wants a new control connection."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stop:
    """Everything has to stop."""

    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """The way to the control server is known, or is another one than before."""

    text: str | None
    """For comparing and for logs; None: to none of its addresses. Empty: its addresses are not known."""
    aimed: bool = False
    """Other addresses are looked at than before, which is no change of the network."""
    elsewhere: str | None = None
    """Without a way to addresses that are known: the one to the rest of the world, when the addresses may be other
    ones there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Waited:
    """How long children have waited for a processor; told before `expire`, so that it is not held against them."""

    seconds: Mapping[str, float]
    """By actor, the sum over its present process's life."""


Input = Spawned | SpawnFailed | Exited | Word | Reconnect | Stop | Route | Waited


# Out


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionStart:
    """What a control_connection has to know of those before it."""

    register_first: bool = False
    """This node key may no longer be registered."""
    had_session: bool = False
    """There was a session in this run."""
    avoid: tuple[str, ...] = ()
    """Addresses (as in ConnectionInfo) at which an attempt got stuck, the one that is longest ago first."""


@dataclasses.dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process for this actor; answered by Spawned or SpawnFailed."""

    actor: str
    incarnation: int
    connection: ConnectionStart | None = None
    """For control_connection."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL."""

    actor: str
    incarnation: int


@dataclasses.dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM: it has to stop and no word reaches it yet."""

    actor: str
    incarnation: int


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """A word to a child."""

    actor: str
    body: Message


@dataclasses.dataclass(frozen=True, slots=True)
class Log:
    """One log event."""

    level: str
    event: str
    fields: Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True)
class LookForRoute:
    """Ask the kernel for the way to the control server; answered by Route when it is another one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Up:
    """Every child was up once: the daemon has started."""


@dataclasses.dataclass(frozen=True, slots=True)
class Exit:
    """Every child is gone: the run ends with this status."""

    code: int
    why: str = ""
    """What a person has to know, if only a person can mend it: "cannot X: why; what to do"."""


Command = Spawn | Kill | Terminate | Send | Log | LookForRoute | Up | Exit
