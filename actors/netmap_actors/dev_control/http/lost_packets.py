"""Drops every packet that arrives for a socket inside the kernel, unacknowledged; the socket stays open.

Not here: when (`injector`). What was sent before is retransmitted by the kernel; nothing new is sent.
"""

from __future__ import annotations

import ctypes
import socket
import struct

__all__ = ["let_in", "lose"]

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_RETURN = 0x06
"""BPF_RET | BPF_K (linux/filter.h): so many bytes of the packet are kept."""


def lose(sock: socket.socket) -> None:
    """Drop all that comes, before TCP sees it. Raises OSError."""
    # struct sock_filter and struct sock_fprog; a socket filter needs no privilege.
    program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def let_in(sock: socket.socket) -> None:
    """Stop dropping. Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
