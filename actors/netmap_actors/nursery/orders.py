"""What the Supervisor and a nursery say to each other: JSON over a pair of SOCK_SEQPACKET sockets."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["MAX_ORDER", "ROLE", "Forked", "Order", "Rooms"]

ROLE: Final = "nursery"
MAX_ORDER: Final = 64 * 1024
"""Bytes of one message, either way."""


class Rooms(msgspec.Struct, frozen=True, kw_only=True):
    """The first message to a nursery: what it is to load."""

    parent_pid: int = 0
    actors: tuple[str, ...] = ()
    """Those it loads beforehand. It forks others as well, which load their own."""
    later: tuple[str, ...] = ()
    """Those it loads, each, when it is first to fork it."""
    tls: bool = False
    """What a connection by TLS needs, too."""
    bounds: msgspec.Raw = msgspec.Raw(b"null")
    """RunBounds it has to give up before it forks anything; null: who started it had given them up."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Fork this actor. The descriptors come along: the log's, that of the boot record, then all it inherits."""

    actor: str
    numbers: tuple[int, ...]
    """Of those descriptors, but for the log's, in the new process."""
    environment: dict[str, str]


class Forked(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; the first one, to Rooms, is that they are loaded.

    Along comes what the new process opened of its own /proc: stat and schedstat, or nothing where it could not.
    """

    pid: int = 0
    """Of the new process, a child of the Supervisor by now. 0: there is none."""
    error: str = ""
    """Why not."""
