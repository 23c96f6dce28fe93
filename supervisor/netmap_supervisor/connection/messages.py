"""What a supervisor of control connections takes in and gives out, beside `supervision.messages` and `routes`."""

from __future__ import annotations

import msgspec

__all__ = ["ConnectionStart", "LookForRoute", "Reconnect"]


class Reconnect(msgspec.Struct, frozen=True):
    """An operator wants a new control connection."""


class ConnectionStart(msgspec.Struct, frozen=True):
    """What a control_connection has to know of those before it."""

    register_first: bool = False
    """This node key may no longer be registered."""
    had_session: bool = False
    """There was a session in this run."""
    avoid: tuple[str, ...] = ()
    """Addresses (as in ConnectionInfo) at which an attempt got stuck, the one that is longest ago first."""


class LookForRoute(msgspec.Struct, frozen=True):
    """Ask the kernel for the way to the control server; answered by Route when it is another one."""
