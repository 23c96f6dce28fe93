"""What only a supervisor of control connections takes in and gives out, beside `supervision.messages`."""

from __future__ import annotations

import dataclasses

__all__ = ["ConnectionStart", "LookForRoute", "Reconnect", "Route"]


@dataclasses.dataclass(frozen=True, slots=True)
class Reconnect:
    """An operator wants a new control connection."""


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
class ConnectionStart:
    """What a control_connection has to know of those before it."""

    register_first: bool = False
    """This node key may no longer be registered."""
    had_session: bool = False
    """There was a session in this run."""
    avoid: tuple[str, ...] = ()
    """Addresses (as in ConnectionInfo) at which an attempt got stuck, the one that is longest ago first."""


@dataclasses.dataclass(frozen=True, slots=True)
class LookForRoute:
    """Ask the kernel for the way to the control server; answered by Route when it is another one."""
