"""Notices changes of the route to the control server: the kernel's rtnetlink, asked only when it may matter.

A filter in the kernel lets default routes, addresses and interfaces through and nothing else, so that a router with
thousands of route changes a minute does not wake us; for what it hides `look` is called at every tick. Not here: which
addresses count (`routes`) and what a change means (`core`).
Layouts: linux/netlink.h, linux/rtnetlink.h, rtnetlink(7), netlink(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import ipaddress
import itertools
import os
import re
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netmap_supervisor.system.routes import ControlRoutes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netmap_actors.bus.loop import Loop
    from netmap_supervisor.system.routes import Route

__all__ = ["RouteWatch", "route_in", "route_to"]

SETTLE_TIME: Final = 0.3
"""Seconds after a notice before we look: an interface that comes up brings a handful of them."""
LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks, however many notices there are."""

_NETLINK_ROUTE, _SO_ATTACH_FILTER = 0, 26
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE."""
_NEWLINK, _DELLINK = 16, 17
"""IPv4 routes that go with an interface that is taken down go without a notice of their own."""
_NEWADDR, _DELADDR, _NEWROUTE, _DELROUTE, _GETROUTE = 20, 21, 24, 25, 26
_NLMSG_ERROR, _NLM_F_REQUEST = 2, 1
_HEADER, _ROUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBBBBBI")
_ATTRIBUTE, _INT = struct.Struct("=HH"), struct.Struct("=i")
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_VIA = 1, 4, 5, 7, 18
_RTA_IP_PROTO, _RTA_DPORT = 27, 29
"""For rules that hold for some ports (ip-rule(8)); kernels before 4.17 overlook them."""
_UNUSABLE = frozenset({6, 7, 8})
"""RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT."""
_NO_ANSWER = frozenset({errno.EPERM, errno.ENOMEM, errno.ENOBUFS, errno.EOPNOTSUPP})
"""Errors that say nothing of routes; all others are a route's: ENETUNREACH, and what its type stands for."""
_MAX_MESSAGE = 64 * 1024
_ROOT_SERVER = ("198.41.0.4", "2001:503:ba3e::2:30")
"""a.root-servers.net. Nothing is sent there: the kernel is asked for the route."""
_MAX_LINES, _MAX_NAME_SERVERS = 100, 3
"""Of resolv.conf(5), which heeds three servers."""
_WIDE = 8
"""Bits of a destination from which on a route is ignored. A VPN may cover the default route with two of one bit."""


class RouteWatch:
    """Calls `on_route` when the route to the control server has changed.

    Without a netlink socket it never calls, and `available` is false.
    """

    def __init__(self, loop: Loop, on_route: Callable[[Route], object]) -> None:
        self._loop = loop
        self._on_route = on_route
        self._port = 0
        self._routes = ControlRoutes(lambda host: route_to(host, self._port), rest_of_the_world)
        self._deadline = loop.deadline(self._settled)
        self._looked_at = float("-inf")
        self.looks = 0
        self._socket = _listening_socket()
        if self._socket is not None:
            loop.watch(self._socket.fileno(), self._on_notice)

    @property
    def available(self) -> bool:
        """Whether the kernel reports changes."""
        return self._socket is not None

    def aim(self, lookup: tuple[int, Sequence[str]], remote: str) -> None:
        """Look at the ways to these addresses; `remote` is that of the present connection, empty for none."""
        if self._socket is not None:
            # All addresses of one lookup are dialled at one port.
            self._port = _port_of(next(iter(lookup[1]), ""))
            self._report(self._routes.aim(*lookup, remote))

    def look(self) -> None:
        """Ask the kernel now."""
        if self._socket is not None:
            self._looked_at = self._loop.now()
            self.looks += 1
            self._report(self._routes.look())

    def close(self) -> None:
        """Stop watching."""
        self._deadline.set(None)
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _on_notice(self) -> None:
        assert self._socket is not None
        # One notice is enough: the others wait in the kernel, whose queue may overflow, until we look.
        self._loop.unwatch(self._socket.fileno())
        now = self._loop.now()
        self._deadline.set(max(now + SETTLE_TIME, self._looked_at + LOOK_INTERVAL))

    def _settled(self) -> None:
        assert self._socket is not None
        # BlockingIOError: none is left. ENOBUFS: some were lost, which does not matter.
        with contextlib.suppress(OSError):
            while self._socket.recv(_MAX_MESSAGE):
                pass
        self._loop.watch(self._socket.fileno(), self._on_notice)
        self.look()

    def _report(self, route: Route | None) -> None:
        if route is not None:
            self._on_route(route)


def route_to(host: str, port: int = 0) -> str | None:
    """The way to an IP address as the kernel would choose it now: "eth0 via 192.0.2.1 from 192.0.2.7".

    `port`: the one a TCP connection would be made to, 0 for any. None: there is no way. Empty: the kernel cannot be
    asked. The text is for comparing and for logs.
    """
    host, _, interface = host.partition("%")
    address = ipaddress.ip_address(host)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = address.packed
    request = _ROUTE.pack(family, 8 * len(packed), 0, 0, 0, 0, 0, 0, 0)
    request += _attribute(_RTA_DST, packed)
    if port:
        request += _attribute(_RTA_IP_PROTO, bytes([socket.IPPROTO_TCP]))
        request += _attribute(_RTA_DPORT, port.to_bytes(2, "big"))
    if interface:
        try:
            index = int(interface) if interface.isdecimal() else socket.if_nametoindex(interface)
            request += _attribute(_RTA_OIF, _INT.pack(index))
        except (OSError, struct.error):
            return None  # it is not there (any more)
    message = _HEADER.pack(_HEADER.size + len(request), _GETROUTE, _NLM_F_REQUEST, 1, 0) + request
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE) as asker:
            asker.settimeout(1.0)
            asker.sendto(message, (0, 0))
            answer = asker.recv(_MAX_MESSAGE)
    except OSError:
        return ""
    return route_in(answer)


def rest_of_the_world() -> list[str]:
    """Addresses a lookup begins with: our name servers, unless they are this machine itself, and a root server."""
    servers: list[str] = []
    # Without the file the root server stands for all.
    with contextlib.suppress(OSError), Path("/etc/resolv.conf").open(errors="replace") as file:
        for line in itertools.islice(file, _MAX_LINES):
            words = line.split()
            if words[:1] == ["nameserver"] and words[1:] and _is_elsewhere(words[1]):
                servers.append(words[1])
    return [*servers[:_MAX_NAME_SERVERS], *_ROOT_SERVER]


def route_in(answer: bytes) -> str | None:
    """The way that the kernel's answer to RTM_GETROUTE names; None when it names none, or is no such answer. Empty:
    it would not say.
    """
    try:
        _, kind, _, _, _ = _HEADER.unpack_from(answer)
        if kind == _NLMSG_ERROR and -_INT.unpack_from(answer, _HEADER.size)[0] in _NO_ANSWER:
            return ""
        if kind != _NEWROUTE:
            return None
        route_type = _ROUTE.unpack_from(answer, _HEADER.size)[7]
        if route_type in _UNUSABLE:
            return None
        return _text(dict(_attributes(answer[_HEADER.size + _ROUTE.size :])))
    except (struct.error, ValueError):
        return None


def _port_of(address: str) -> int:
    """Of IP:PORT; 0 where there is none."""
    port = address.rpartition(":")[2]
    return int(port) if re.fullmatch("[0-9]{1,5}", port) and int(port) < 1 << 16 else 0


def _is_elsewhere(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _text(attributes: dict[int, bytes]) -> str:
    words = []
    if _RTA_OIF in attributes:
        words.append(_interface(_INT.unpack(attributes[_RTA_OIF])[0]))
    if _RTA_GATEWAY in attributes:
        words.append(f"via {_ip(attributes[_RTA_GATEWAY])}")
    elif _RTA_VIA in attributes:
        words.append(f"via {_ip(attributes[_RTA_VIA][2:])}")
    if _RTA_PREFSRC in attributes:
        words.append(f"from {_ip(attributes[_RTA_PREFSRC])}")
    return " ".join(words)


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except (OSError, OverflowError):
        return f"interface {index}"


def _ip(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _listening_socket() -> socket.socket | None:
    try:
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    except OSError:
        return None  # not in every sandbox
    try:
        listener.setblocking(False)
        _attach_filter(listener)
        listener.bind((0, _GROUPS))
    except OSError:
        listener.close()
        return None
    return listener


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def _attach_filter(listener: socket.socket) -> None:
    """Classic BPF: interfaces, addresses, and routes whose destination has few bits. It reads in network byte order."""
    load_half, load_byte, jump_equal, jump_not_below, answer = 0x28, 0x30, 0x15, 0x35, 0x06
    taken = [socket.htons(kind) for kind in (_NEWLINK, _DELLINK, _NEWADDR, _DELADDR)]
    new_route, del_route = socket.htons(_NEWROUTE), socket.htons(_DELROUTE)
    instructions = (
        (load_half, 0, 0, 4),  # nlmsg_type
        *((jump_equal, 7 - place, 0, kind) for place, kind in enumerate(taken)),
        (jump_equal, 1, 0, new_route),
        (jump_equal, 0, 3, del_route),
        (load_byte, 0, 0, _HEADER.size + 1),  # rtm_dst_len
        (jump_not_below, 1, 0, _WIDE),
        (answer, 0, 0, 0xFFFF),
        (answer, 0, 0, 0),
    )
    array = (_Instruction * len(instructions))(*(_Instruction(*one) for one in instructions))
    program = _Program(len(instructions), array)
    libc = ctypes.CDLL(None, use_errno=True)
    size = ctypes.sizeof(program)
    if (
        libc.setsockopt(listener.fileno(), socket.SOL_SOCKET, _SO_ATTACH_FILTER, ctypes.byref(program), size)
        != 0
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
